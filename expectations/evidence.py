"""Evidence for the gate, read by DuckDB: rows of a mart, and one row a date for totals and ties.

Great Expectations on frames of this size takes 10 ms an expectation; on the embedded engine's
DataFrames each would be a query of its own. Comparing millions of rows is left to SQL, which gives
counts a date; nothing is limited to the first rows of a failure.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import pandas as pd

from expectations.suites import Check
from paylake.dates import date_range
from paylake.lake import Lake

#: How many items of a date a result names; the counts are of all of them.
EXAMPLES = 20


def rows(lake: Lake, table: str, columns: Sequence[str], first: date, last: date) -> pd.DataFrame:
    """The named columns of a mart for a range of dates; business_date is always among them."""
    names = ", ".join(f'"{name}"' for name in dict.fromkeys(["business_date", *columns]))
    return lake.query(
        f"select {names} from {table} where business_date between $first and $last",
        {"first": first, "last": last},
    ).to_pandas(date_as_object=True)


def by_date(lake: Lake, check: Check, table: str, first: date, last: date) -> pd.DataFrame:
    """One row a date: `compared` items, `differing` ones, and `examples` of these as text.

    The SQL of a `reconcile` gives business_date, item_key, observed and expected, one row an item;
    that of a `none` gives business_date, item_key and detail, one row an item that must not be.
    """
    found = lake.query(_sql(check, table), {"first": first, "last": last}).to_pylist()
    counted = {row["business_date"]: row for row in found}
    nothing: dict[str, Any] = {"compared": 0, "differing": 0, "examples": None}
    frame = [
        {"business_date": day, **nothing, **counted.get(day, {})}
        for day in date_range(first, last)
    ]
    return pd.DataFrame(frame)


def _sql(check: Check, table: str) -> str:
    if check.kind == "rows_present":
        return (
            "select business_date, count(*) as compared, 0 as differing, null as examples "
            f"from {table} where business_date between $first and $last group by business_date"
        )
    if check.kind == "none":
        differs, example = "true", "item_key || coalesce(': ' || detail, '')"
    else:
        differs = "observed is distinct from expected"
        example = (
            "item_key || ': ' || coalesce(observed::varchar, 'nothing') || ', expected ' "
            "|| coalesce(expected::varchar, 'nothing')"
        )
    return f"""
    with item as ({check.sql})
    select
        business_date,
        count(*) as compared,
        count(*) filter (where {differs}) as differing,
        array_to_string(
            (list({example} order by item_key) filter (where {differs}))[1:{EXAMPLES}], '; '
        ) as examples
    from item
    where business_date between $first and $last
    group by business_date
    """
