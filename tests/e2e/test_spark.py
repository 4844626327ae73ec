"""`PAYLAKE_ENGINE=spark make run`: the demo on Apache Spark, with the other engine's figures."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from paylake import release
from paylake import settings as settings_module
from paylake.engine import free_port
from paylake.settings import ROOT, Settings
from tests.conftest import PAYLAKE, SIZE

pytestmark = [pytest.mark.long, pytest.mark.timeout(5400)]


@pytest.fixture(scope="module")
def on_spark() -> Iterator[tuple[Settings, subprocess.CompletedProcess[str]]]:
    """A home of the same institution as `demo`, made by Apache Spark; servers are stopped after."""
    home = ROOT / "var" / "test-spark"
    environment = {
        **os.environ,
        "PAYLAKE_HOME": str(home),
        "PAYLAKE_ENGINE": "spark",
        **{f"PAYLAKE_{name}": value for name, value in SIZE.items()},
        **{
            f"PAYLAKE_{name}_PORT": str(free_port())
            for name in ("ENGINE", "LEDGER", "AIRFLOW", "SUPERSET")
        },
    }
    down = [str(PAYLAKE), "down"]
    if home.exists():
        subprocess.run(down, env=environment, check=False, capture_output=True)
        shutil.rmtree(home)
    first = subprocess.run(
        [str(PAYLAKE), "--debug", "demo"],
        env=environment, capture_output=True, text=True, timeout=3600, check=False,
    )  # fmt: skip
    yield settings_module.load(environment), first
    subprocess.run(down, env=environment, check=False, capture_output=True)


def test_the_demo_runs_on_spark(on_spark):
    settings, first = on_spark
    assert settings.engine == "spark"
    assert first.returncode == 0, first.stdout[-3000:] + first.stderr[-3000:]
    assert "0 not as they should be" in first.stdout


def test_every_release_shows_what_the_embedded_engine_released(on_spark, demo):
    """Digests are over rows with their types; tokens of cards differ with the keys of a home, and
    nothing that is published holds one."""
    assert demo.first.returncode == 0, demo.first.stdout[-3000:] + demo.first.stderr[-3000:]
    left, right = (
        {each.through: each.document["published"] for each in release.listing(settings)[1:]}
        for settings in (on_spark[0], demo.settings)
    )
    assert len(left) == int(SIZE["DAYS"])
    assert left == right
    assert all(len(tables) >= 9 for tables in left.values())
