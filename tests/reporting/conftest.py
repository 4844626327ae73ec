"""Fixtures: a signing key, the office of a home below the test's folder, the two specifications."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from paylake.crypto import PrivateKey
from reporting import specification
from reporting.office import Office
from tests.reporting.institution import FakeLake


@pytest.fixture(scope="session")
def key() -> PrivateKey:
    return PrivateKey.generate()


@pytest.fixture
def open_office(tmp_path: Path, key: PrivateKey) -> Callable[..., Office]:
    """Opens the office of a home below the test's folder; `office.events` are what it recorded."""

    def opened(lake: FakeLake, home: str = "home", **options: Any) -> Office:
        events: list[dict[str, Any]] = []
        office = Office(
            tmp_path / home / "reports", lake, options.pop("key", key), events.extend, **options
        )
        office.events = events  # type: ignore[attr-defined]
        return office

    return opened


@pytest.fixture(scope="session")
def reserve() -> specification.Specification:
    return specification.load("reserve_fund_check")


@pytest.fixture(scope="session")
def statement() -> specification.Specification:
    return specification.load("merchant_settlement_statement")


@pytest.fixture
def public_key(tmp_path: Path, key: PrivateKey) -> Path:
    path = tmp_path / "institution.pub.pem"
    path.write_text(key.public.pem(), "ascii")
    return path
