"""A home whose marts an older program built: its dates stay, further columns come with new ones."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from paylake import dbt_project, dbt_runner, engine
from paylake.lake import Lake
from paylake.release import publishing
from tests.dbt import world
from tests.dbt.conftest import Built, new_home

pytestmark = pytest.mark.engine
#: Columns that these marts had from the start; what stands behind them came later.
LAST_OF_BEFORE = {
    "mart_settlement__merchant_day": "settlement_status",
    "mart_settlement__reserve_fund_day": "largest_age_days",
}


def test_new_dates_are_built_beside_those_of_an_older_program(
    built: Built, engine_port: int, tmp_path: Path
) -> None:
    home = new_home(tmp_path / "home", engine_port)
    lake, split = Lake(home), world.FIRST + timedelta(days=7)
    world.store(world.build(), lake)
    before, after = (world.FIRST, split), (split + timedelta(days=1), world.LAST)
    older: dict[str, dict] = {}
    for name, model in dbt_project.models().items():
        if not model.stored:
            continue
        columns = [c.name for c in model.columns]
        if name in LAST_OF_BEFORE:
            columns = columns[: columns.index(LAST_OF_BEFORE[name]) + 1]
            assert len(columns) < len(model.columns)
        rows = built.lake.query(
            f"select {', '.join(columns)} from work.{name} where business_date <= '{split}'"
        )
        for layer in ("work", "gold") if model.published else ("work",):
            lake.ensure(layer, name, rows.schema)
            lake.replace(layer, name, rows, *before)
            older[f"{layer}.{name}"] = lake.digests(layer, name, *before)
    versions = {name: lake.version("gold", name) for name in LAST_OF_BEFORE}
    with engine.session(home) as spark:
        dbt_runner.run(home, spark.paylake_remote, *after)
    for name in LAST_OF_BEFORE:
        assert lake.digests("work", name, *before) == older[f"work.{name}"]
        assert lake.digests("work", name, *after) == built.lake.digests("work", name, *after)
        published, _ = publishing.built(lake, *after)
        publishing.copy(lake, name, published, *after)
        assert lake.digests("gold", name, *before) == older[f"gold.{name}"]
        assert lake.digests("gold", name, *before, versions[name]) == older[f"gold.{name}"]
        assert lake.digests("gold", name, *after) == built.lake.digests("work", name, *after)
    (row,) = lake.query(
        "select count(other_amount) as filled, count(*) as n, min(business_date) as first "
        "from gold.mart_settlement__merchant_day where other_amount is not null"
    ).to_pylist()
    assert (row["first"], row["filled"]) == (after[0], row["n"])
    with engine.session(home) as spark:  # an old date that is built again has them as well
        dbt_runner.run(home, spark.paylake_remote, world.FIRST, world.FIRST)
    name = "mart_settlement__merchant_day"
    again = lake.digests("work", name, world.FIRST, world.FIRST)
    assert again == built.lake.digests("work", name, world.FIRST, world.FIRST)
