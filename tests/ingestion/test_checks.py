"""The rules over columns equal the same rules written row by row in plain Python."""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.checks import check
from ingestion.feeds import Feed
from paylake.contracts import Column
from tests.ingestion.world import MAKERS

QUICK = settings(max_examples=200, deadline=None)


def reference(feed: Feed, column: Column, value: str | None) -> str | None:
    """The first rule that a value breaks, one value at a time."""
    if value is None:
        return "missing_value" if feed.is_required(column) else None
    kind = column.type
    if kind.startswith("varchar") or kind == "string":
        if column.max_length is not None and len(value) > column.max_length:
            return "too_long"
        if column.valid_values and value not in column.valid_values:
            return "bad_enum"
    elif kind.startswith("decimal"):
        if not re.fullmatch(r"-?[0-9]{1,14}(\.[0-9]+)?", value):
            return "bad_number"
        least = column.options.get("minimum")
        if least is not None and Decimal(value) < least:
            return "bad_number"
        if len(value.partition(".")[2]) > column.properties["scale"]:
            return "bad_scale"
    elif kind in ("int", "bigint"):
        if not re.fullmatch(r"-?[0-9]{1,40}", value):
            return "bad_number"
        bits = 31 if kind == "int" else 63
        low = column.options.get("minimum", -(2**bits))
        if not low <= int(value) < 2**bits:
            return "bad_number"
    elif kind == "date":
        return None if _is_date(value) else "bad_date"
    elif "'T'" in column.options["format"]:
        match = re.fullmatch(
            r"(.{10})T(.{8})(\.[0-9]{1,6})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])", value
        )
        fine = match and value.isascii() and _is_moment(f"{match[1]} {match[2]}")
        return None if fine else "bad_date"
    else:
        return None if _is_moment(value) else "bad_date"
    return None


def _is_date(value: str) -> bool:
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        return False
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


def _is_moment(value: str) -> bool:
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}", value):
        return False
    try:
        datetime.strptime(value, "%Y-%m-%d %H:%M:%S")
    except ValueError:
        return False
    return True


ODD = st.sampled_from(
    [None, "0", "-0", "-1", "1.", ".5", "1.005", "1e3", "00012.30", "99999999999999.99",
     "100000000000000", "9223372036854775807", "9223372036854775808", "-9223372036854775808",
     "2147483647", "2147483648", "１２", " 1", "1 ", "NaN", "inf", "2026-02-29", "2024-02-29",
     "2026-13-01", "2026-00-10", "2026-04-31", "0000-01-01", "2026-9-1", "2026-09-12 24:00:00",
     "2026-09-12 23:59:60", "2026-09-12 10:11:12", "2026-09-12T10:11:12Z", "2026-09-12T10:11:12",
     "2026-09-12T10:11:12.123456+08:00", "2026-09-12T10:11:12+99:00", "20２6-09-12", "payment",
     "PAYMENT", "D", "", "\0"]
) | st.text(max_size=25)
ANY_COLUMN = st.sampled_from(
    [(name, c.name) for name in sorted(MAKERS) for c in Feed.load(name).columns
     if c.classification != "C3"]
)


@QUICK
@given(ANY_COLUMN, st.lists(ODD, min_size=1, max_size=8))
def test_columns_are_judged_as_single_values_are(
    place: tuple[str, str], values: list[str | None]
) -> None:
    name, column_name = place
    feed = Feed.load(name)
    column = feed.contract.column(column_name)
    rows = [MAKERS[name](n) | {column_name: value or None} for n, value in enumerate(values, 1)]
    table = pa.table({n: pa.array([r[n] for r in rows], pa.string()) for n in feed.names})
    verdict = check(feed, table)
    found = [verdict.rule(n) if verdict.bad[n] else None for n in range(len(rows))]
    assert found == [reference(feed, column, row[column_name]) for row in rows]


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_the_first_violation_in_contract_order_decides(name: str) -> None:
    feed = Feed.load(name)
    required = [c.name for c in feed.columns if c.required and c.classification != "C3"]
    row = MAKERS[name](1) | dict.fromkeys(required)
    table = pa.table({n: pa.array([row[n]], pa.string()) for n in feed.names})
    verdict = check(feed, table)
    assert verdict.rule(0) == "missing_value"
    assert verdict.detail(0).startswith(f"{required[0]}:")


def test_details_never_show_a_value() -> None:
    feed = Feed.load("transaction")
    row = MAKERS["transaction"](1, status="6222021234567890")
    table = pa.table({n: pa.array([row[n]], pa.string()) for n in feed.names})
    assert "6222021234567890" not in check(feed, table).detail(0)
