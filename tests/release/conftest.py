"""The tree may change while the tests run; what a release says of its code must not."""

from __future__ import annotations

import pytest

from paylake import content


@pytest.fixture(autouse=True)
def steady_versions(monkeypatch):
    monkeypatch.setattr(content, "code_version", lambda: "c" * 64)
    monkeypatch.setattr(content, "rule_version", lambda: "d" * 64)
