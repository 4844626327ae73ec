"""One embedded engine for the whole run of this suite; homes and sessions come and go on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from paylake import engine, settings
from paylake.settings import Settings


@pytest.fixture(scope="session")
def home_on_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Settings]]:
    """Gives the settings of a new empty home that uses this run's engine."""
    port = engine.free_port()

    def make(home: Path | None = None, **overrides: str) -> Settings:
        home = home or tmp_path_factory.mktemp("home")
        return settings.load({}, home=home, engine="sail", engine_port=port, **overrides)

    with engine.server(make(), port):
        yield make


@pytest.fixture(scope="session")
def spark(home_on_engine: Callable[..., Settings]) -> Iterator[SparkSession]:
    with engine.session(home_on_engine()) as session:
        yield session
