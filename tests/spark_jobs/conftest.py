"""One embedded engine and one session for the whole run of this suite."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from paylake import engine, settings


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    home = tmp_path_factory.mktemp("spark_jobs")
    own = settings.load({}, home=home, engine="sail", engine_port=engine.free_port())
    with engine.session(own) as session:
        yield session
