"""A small home."""

from __future__ import annotations

from pathlib import Path

import pytest

from paylake import settings as paylake_settings
from paylake.keys import Keyring
from paylake.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = paylake_settings.load(environ={}, home=tmp_path / "home", lease_wait_seconds=1)
    Keyring(found).ensure_demo()
    return found
