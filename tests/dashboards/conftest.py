"""Homes of made-up data, made once for all tests of the dashboards."""

from __future__ import annotations

import pytest

from paylake.settings import Settings
from tests.dashboards import serving_fixture


@pytest.fixture(scope="session")
def full_home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return serving_fixture.make_home(tmp_path_factory.mktemp("full"))


@pytest.fixture(scope="session")
def held_home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return serving_fixture.make_home(tmp_path_factory.mktemp("held"), "held")


@pytest.fixture(scope="session")
def mapped_home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return serving_fixture.make_home(tmp_path_factory.mktemp("mapped"), "mapped")
