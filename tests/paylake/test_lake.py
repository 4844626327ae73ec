"""Delta tables: replaced by date, digested by content, refused when the columns differ."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime
from decimal import Decimal

import deltalake
import pyarrow as pa
import pytest

from paylake import settings
from paylake.contracts import arrow_schema
from paylake.errors import PermanentFailure
from paylake.lake import PROPERTIES, Lake

SCHEMA = arrow_schema(
    [
        ("business_date", "date"), ("name", "string"), ("amount", "decimal(18,4)"),
        ("at", "timestamp"), ("rate", "double"),
    ]
)
D1, D2, D3 = date(2026, 9, 12), date(2026, 9, 13), date(2026, 9, 14)


def rows(day: date, count: int, *, reverse: bool = False) -> pa.Table:
    numbers = range(count - 1, -1, -1) if reverse else range(count)
    return pa.Table.from_pylist(
        [
            {
                "business_date": day,
                "name": None if n == 3 else f"商户,\"{n}",
                "amount": Decimal(n) / 8,
                "at": datetime(2026, 9, 12, 1, 2, 3, n, tzinfo=UTC),
                "rate": n / 3,
            }
            for n in numbers
        ],
        schema=SCHEMA,
    )


@pytest.fixture
def lake(tmp_path):
    lake = Lake(settings.load({"PAYLAKE_HOME": str(tmp_path)}))
    lake.ensure("silver", "thing", SCHEMA)
    lake.replace("silver", "thing", pa.concat_tables([rows(D1, 9), rows(D2, 5)]), D1, D2)
    return lake


def test_replacing_a_date_leaves_the_others(lake):
    before = lake.digests("silver", "thing", D1, D3)
    lake.replace("silver", "thing", rows(D2, 6), D2, D2)
    after = lake.digests("silver", "thing", D1, D3)
    assert after[D1] == before[D1] and after[D2] != before[D2]
    count = lake.query("select count(*) from silver.thing").column(0)[0].as_py()
    assert count == 15


def test_a_digest_is_of_content_not_of_order_or_files(lake):
    before = lake.digests("silver", "thing", D1, D1)
    lake.replace("silver", "thing", rows(D1, 9, reverse=True), D1, D1)
    assert lake.digests("silver", "thing", D1, D1) == before


def test_a_digest_sees_one_changed_cell_a_lost_null_and_a_repeated_row(lake):
    seen = {lake.digests("silver", "thing", D1, D1)[D1]}
    table = rows(D1, 9).to_pylist()
    cell = [dict(r) for r in table]
    cell[4]["amount"] += Decimal("0.0001")
    null = [dict(r) for r in table]
    null[3]["name"] = ""
    for changed in (cell, null, [*table, table[0]]):
        lake.replace("silver", "thing", pa.Table.from_pylist(changed, schema=SCHEMA), D1, D1)
        seen.add(lake.digests("silver", "thing", D1, D1)[D1])
    assert len(seen) == 4


def test_every_older_version_stays_readable(lake):
    first = lake.version("silver", "thing")
    expected = lake.digests("silver", "thing", D1, D1, first)
    for count in range(1, 15):
        lake.replace("silver", "thing", rows(D1, count), D1, D1)
    assert lake.digests("silver", "thing", D1, D1, first) == expected


def test_tables_carry_the_properties_that_pinned_reading_needs(lake):
    stored = lake._table("silver", "thing").metadata().configuration
    assert {name: stored[name] for name in PROPERTIES} == PROPERTIES


@pytest.mark.parametrize("change", ["extra", "missing", "type"])
def test_other_columns_are_refused_by_name(lake, change):
    table = rows(D1, 2)
    if change == "extra":
        table = table.append_column("surprise", pa.array(["x", "y"]))
    elif change == "missing":
        table = table.drop(["rate"])
    else:
        table = table.set_column(2, "amount", pa.array([1.5, 2.5]))
    word = {"extra": "surprise", "missing": "rate", "type": "amount"}[change]
    with pytest.raises(PermanentFailure, match=word):
        lake.replace("silver", "thing", table, D1, D1)
    with pytest.raises(PermanentFailure, match=word):
        lake.ensure("silver", "thing", table.schema)


def test_a_table_that_is_not_there_is_named(lake):
    with pytest.raises(PermanentFailure, match=r"gold\.nothing"):
        lake.query("select * from gold.nothing")


def test_a_table_opened_before_is_read_again_when_its_log_changed(lake):
    path = lake.path("silver", "thing")
    before = lake.version("silver", "thing")
    assert lake.version("silver", "thing") == before
    data = rows(date(2026, 9, 13), 1)
    deltalake.write_deltalake(str(path), data, mode="append")  # as another process would
    assert lake.version("silver", "thing") == before + 1
    now, then = lake.actions("silver", "thing"), lake.actions("silver", "thing", before)
    assert now.num_rows == then.num_rows + 1
    shutil.rmtree(path)
    with pytest.raises(PermanentFailure, match="There is no table"):
        lake.columns("silver", "thing")


WIDER = SCHEMA.append(pa.field("void_amount", pa.decimal128(18, 4))).append(
    pa.field("note", pa.string())
)


@pytest.fixture
def grown(tmp_path):
    """A table of marts that an older program made, with a column less on two dates."""
    lake = Lake(settings.load({"PAYLAKE_HOME": str(tmp_path / "grown")}))
    lake.ensure("work", "thing", SCHEMA)
    lake.replace("work", "thing", pa.concat_tables([rows(D1, 9), rows(D2, 5)]), D1, D2)
    return lake


def wider(day: date, count: int) -> pa.Table:
    made = [{**row, "void_amount": Decimal(0)} for row in rows(day, count).to_pylist()]
    return pa.Table.from_pylist(made, schema=WIDER)


def test_a_mart_gets_further_columns_and_its_dates_keep_their_digests(grown, tmp_path):
    before, files = grown.digests("work", "thing", D1, D2), grown.actions("work", "thing")
    version = grown.version("work", "thing")
    grown.ensure("work", "thing", WIDER)
    assert [name for name, _ in grown.columns("work", "thing")] == WIDER.names
    assert grown.actions("work", "thing")["path"] == files["path"]  # nothing is written anew
    assert grown.digests("work", "thing", D1, D2) == before
    assert grown.digests("work", "thing", D1, D2, version) == before
    grown.replace("work", "thing", wider(D2, 5), D2, D2)
    after = grown.digests("work", "thing", D1, D2)
    assert after[D1] == before[D1] and after[D2] != before[D2]
    fresh = Lake(settings.load({"PAYLAKE_HOME": str(tmp_path / "fresh")}))
    fresh.ensure("work", "thing", WIDER)
    fresh.replace("work", "thing", wider(D2, 5), D2, D2)
    assert fresh.digests("work", "thing", D2, D2)[D2] == after[D2]
    assert grown.ensure("work", "thing", WIDER)  # once
    assert grown.version("work", "thing") == version + 2


@pytest.mark.parametrize(("layer", "schema"), [
    ("work", WIDER.remove(1)),  # a column is gone
    ("work", pa.schema([*reversed(list(WIDER))])),
    ("silver", WIDER),  # its contract says how it is read: that is another matter
])
def test_columns_that_differ_otherwise_are_refused(grown, lake, layer, schema):
    where = grown if layer == "work" else lake
    with pytest.raises(PermanentFailure, match="other columns"):
        where.ensure(layer, "thing", schema)
