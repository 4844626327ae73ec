"""One embedded engine, one home and one built world for the suite."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from paylake import dbt_runner, engine, settings
from paylake.lake import Lake
from tests.dbt import world


@dataclass(frozen=True)
class Built:
    """A home whose marts were built over the world's whole range."""

    settings: settings.Settings
    spark: Any
    lake: Lake

    def rows(self, sql: str) -> list[dict[str, Any]]:
        return self.lake.query(sql).to_pylist()


def new_home(folder: Path, port: int) -> settings.Settings:
    return settings.load({}, home=folder, engine="sail", engine_port=port)


@pytest.fixture(scope="session")
def engine_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    port = engine.free_port()
    with engine.server(new_home(tmp_path_factory.mktemp("engine"), port), port):
        yield port


@pytest.fixture(scope="session")
def built(engine_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    home = new_home(tmp_path_factory.mktemp("home"), engine_port)
    lake = Lake(home)
    world.store(world.build(), lake)
    with engine.session(home) as spark:
        dbt_runner.run(home, spark.paylake_remote, world.FIRST, world.LAST)
        yield Built(home, spark, lake)
