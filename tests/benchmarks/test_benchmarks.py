"""A small day on the embedded engine and on the peer: every table equal, and one cell matters."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import pytest

from benchmarks import compare, homes, measure, show
from benchmarks.__main__ import measure_day, numbers
from benchmarks.peer import TABLES
from paylake import settings as settings_module
from paylake.errors import PermanentFailure
from paylake.lake import Lake
from paylake.settings import Settings

TXNS, DAYS = 2_000, 2


@dataclass(frozen=True)
class Day:
    """The second date, built by Sail and by the peer; the homes are still there."""

    settings: Settings
    peer: Path
    date: date
    parts: tuple[str, ...]
    peer_parts: tuple[str, ...]
    peak_bytes: int


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Day:
    root = tmp_path_factory.mktemp("bench")
    stage = homes.Stage(root, homes.world(TXNS, DAYS, 7), lambda text: None)
    measured = next(stage.until([DAYS]))
    peer = stage.run_peer(measured, measured, is_summary=False)
    stage.run_step(stage.base, "ingest", measured)
    built = stage.run_step(stage.base, "build", measured)
    return Day(
        stage.base, stage.peer, measured, tuple(p.name for p in built.parts),
        tuple(p.name for p in peer.parts), built.peak_bytes,
    )

@pytest.mark.engine
@pytest.mark.long
def test_peer_makes_equal_tables(day):
    rows, found = compare.with_peer(day.settings, day.peer, day.date)
    assert found == []
    assert rows > 5 * TXNS
    lake = Lake(day.settings)
    for table in TABLES:
        layer, _, name = table.partition(".")
        assert list(lake.digests(layer, name, day.date, day.date)) == [day.date], table


@pytest.mark.engine
@pytest.mark.long
def test_history_and_every_part_were_there(day):
    assert day.parts == ("engine start", "conform", "states", "profiles", "marts")
    assert day.peer_parts == ("ingest", "conform", "states", "profiles", "marts", "gate")
    assert day.peak_bytes > 50 * 2**20
    profile = Lake(day.settings).query(
        "select count(*) filter (payment_count_7d > payment_count_1d) as grown "
        f"from work.merchant_profile where business_date = date '{day.date}'"
    )
    assert profile["grown"][0].as_py() > 0
    market = Lake(day.settings).query(
        "select median_30d_payment_amount from work.mart_kpi__institution_day"
    )
    assert market["median_30d_payment_amount"][0].as_py() > 0


@pytest.mark.engine
@pytest.mark.long
@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("work.mart_settlement__merchant_day", "net_amount = net_amount + 0.01"),
        ("silver.transaction", "card_token = null"),
        ("work.merchant_profile", "night_share_rate_7d = coalesce(night_share_rate_7d, 0) + 1e-9"),
    ],
)
def test_one_changed_cell_is_found(day, tmp_path, table, change):
    altered = tmp_path / "peer"
    shutil.copytree(day.peer, altered)
    file = altered / table / f"{day.date}.parquet"
    with duckdb.connect() as db:
        db.execute("set timezone = 'UTC'")
        db.execute(f"create table t as select * from read_parquet('{file}')")
        key = "transaction_id" if table == "silver.transaction" else "merchant_id"
        which = "card_token is not null" if "card_token" in change else "true"
        db.execute(
            f"update t set {change} where {key} = (select min({key}) from t where {which})"
        )
        db.execute(f"copy t to '{file}' (format parquet)")
    _, found = compare.with_peer(day.settings, altered, day.date)
    assert [line.split(":")[0] for line in found] == [table] * 4
    assert found[0] == f"{table}: 1 rows only ours"


def test_comparison_sees_types_and_repeated_rows():
    with duckdb.connect() as db:
        one = "(select 1::bigint as a, 'x' as b union all select 1, 'x')"
        assert compare.differences(db, one, one) == []
        assert compare.differences(db, one, "(select 1::bigint as a, 'x' as b)") == [
            "1 rows only ours", "only ours: (1, 'x')"
        ]
        assert compare.differences(db, one, "(select 1::int as a, 'x' as b)") == [
            "column a is BIGINT against INTEGER"
        ]


def test_a_step_that_fails_is_named(tmp_path):
    with pytest.raises(PermanentFailure, match=r"benchmarks\.step .* ended with code"):
        measure.run(
            "benchmarks.step", str(tmp_path), "sail", "ingest", "2026-09-12",
            log=tmp_path / "log",
        )


def test_history_is_taken_in_once_in_order_and_never_beside_a_measured_day(tmp_path, monkeypatch):
    events: list[tuple[str, tuple[int, ...]]] = []
    params = homes.world(1_000_000, 9, 1)
    stage = homes.Stage(tmp_path, params, lambda text: None)
    monkeypatch.setattr(
        homes.bulk, "write_days", lambda *_, **__: ((day, None) for day in params.dates())
    )

    def take_in(_: homes.Stage, days: list[date]) -> None:
        events.append(("begin", tuple(d.day - homes.START.day + 1 for d in days)))
        time.sleep(0.02)
        events.append(("end", ()))

    monkeypatch.setattr(homes.Stage, "_take_in", take_in)
    for day in stage.until([4, 9]):
        events.append(("measured", (day.day - homes.START.day + 1,)))
        time.sleep(0.05)
    taken = [days for name, days in events if name == "begin"]
    assert sum(taken, ()) == (1, 2, 3, 4, 5, 6, 7, 8)
    measured = [n for n, (name, _) in enumerate(events) if name == "measured"]
    assert [events[n][1] for n in measured] == [(4,), (9,)]
    assert all(events[n - 1][0] == "end" for n in measured)


def test_an_engine_that_fails_leaves_the_figures_of_the_others(tmp_path, monkeypatch):
    stage = homes.Stage(tmp_path, homes.world(400, 1, 1), lambda text: None)
    good = measure.Measured((measure.Part("ingest", 1.0, 1),), 1.0, 1)
    monkeypatch.setattr(homes.Stage, "run_peer", lambda *_, **__: good)

    def copy_for(_: homes.Stage, engine: str, day: date) -> Settings:
        (tmp_path / engine).mkdir()
        return settings_module.load({}, home=tmp_path / engine, engine=engine)

    def run_step(_: homes.Stage, settings: Settings, step: str, day: date) -> measure.Measured:
        if settings.engine == "spark" and step == "build":
            raise PermanentFailure("It broke", "Mend it.")
        return good

    monkeypatch.setattr(homes.Stage, "copy_for", copy_for)
    monkeypatch.setattr(homes.Stage, "run_step", run_step)
    monkeypatch.setattr(compare, "with_peer", lambda *_: (5, []))
    result = measure_day(stage, homes.START, ["sail", "spark"])
    assert "It broke" in result["failed"]["spark"] and list(result["failed"]) == ["spark"]
    assert [check["compared"] for check in result["equal"]] == [5]
    rows = show.figures(result)
    assert set(rows["ingest"]) == {"duckdb", "sail", "spark"}
    assert set(rows[show.WHOLE]) == {"duckdb", "sail"}


def test_figures_put_programs_side_by_side():
    part = measure.Part("ingest", 4.0, 2**30)
    peer = measure.Measured((measure.Part("ingest", 2.0, 2**29),), 3.0, 2**29)
    ours = {step: measure.Measured((), 1.0, 0) for step in ("build", "gate", "publish")}
    ours["ingest"] = measure.Measured((part,), 5.0, 2**30)
    rows = show.figures({"columns": {"duckdb": {"day": peer}, "sail": ours}})
    assert rows["ingest"] == {"duckdb": (2.0, 2**29), "sail": (4.0, 2**30)}
    assert rows[show.WHOLE] == {"duckdb": (3.0, 2**29), "sail": (8.0, 2**30)}
    assert numbers("90,31") == [31, 90]
