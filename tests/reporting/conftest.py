"""Fixtures: a signing key, the office of a home below the test's folder, the two specifications."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from paylake import content, ops, release
from paylake.crypto import PrivateKey
from paylake.keys import Keyring
from paylake.lake import Lake
from paylake.settings import Settings, load
from reporting import specification
from reporting.office import Office
from tests.reporting.institution import FIRST, TABLES, FakeLake, institution

LAST = FIRST + timedelta(days=1)


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


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> Settings:
    """A home with two built and gated dates, the first of them published."""
    settings = load({}, home=tmp_path_factory.mktemp("homes") / "built")
    Keyring(settings).ensure_demo()
    lake = Lake(settings)
    for table, rows in institution(days=2, merchants=3).rows.items():
        lake.ensure("work", table, TABLES[table])
        lake.append("work", table, pa.Table.from_pylist(rows, schema=TABLES[table]))
    digests = content.gated(lake, FIRST, LAST)
    ops.record(
        settings,
        "gate_result",
        [
            {
                "business_date": day,
                "run_id": "r1",
                "suite": "test",
                "check_code": "GT-1",
                "severity": "fail",
                "result": "pass",
                "observed": "0",
                "expected": "0",
                "input_digest": digest,
                "is_waivable": False,
                "owner": "test",
            }
            for day, digest in digests.items()
        ],
    )
    release.publish(settings, FIRST, FIRST)
    return settings


@pytest.fixture
def home(built, tmp_path) -> Settings:
    """A copy of that home: views of a release file name the lake by path, so they are made anew."""
    settings = load({}, home=tmp_path / "home")
    shutil.copytree(built.home, settings.home)
    shutil.rmtree(settings.path("serving"))
    release.mend(settings)
    return settings
