"""The tree may change while the tests run; what a release says of its code must not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from paylake import content, release, runs, settings
from tests.release.institution import Institution


@pytest.fixture(scope="session")
def published_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which three dates went through the real gate and were released."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(content, "code_version", lambda: "c" * 64)
        patch.setattr(content, "rule_version", lambda: "d" * 64)
        made = Institution(settings.load({}, home=tmp_path_factory.mktemp("published") / "home"))
        kept = made.settings.path("landing", "kept", "merchant", str(made.days[1]), "1-abc")
        kept.mkdir(parents=True)
        (kept / "merchant.csv.sealed").write_bytes(b"sealed bytes of a delivery")
        runs.run(made.settings, made.days[0], made.days[2], made.steps())
    return made.settings.home


@pytest.fixture
def released(published_home: Path, tmp_path: Path) -> Institution:
    """A copy of it; its reader files are written for the place that it came to."""
    shutil.copytree(published_home, tmp_path / "home")
    made = Institution(settings.load({}, home=tmp_path / "home"))
    release.mend(made.settings)
    return made


@pytest.fixture(autouse=True)
def steady_versions(monkeypatch):
    monkeypatch.setattr(content, "code_version", lambda: "c" * 64)
    monkeypatch.setattr(content, "rule_version", lambda: "d" * 64)
