"""Dates by stage after a restatement: each once, with the newest release that names it."""

from __future__ import annotations

import json
from datetime import date

import duckdb

from dashboards.views import operations


def test_each_date_is_named_by_its_newest_release():
    connection = duckdb.connect()
    connection.execute(
        "create table release (release_id varchar, sequence int, through date,"
        " document varchar, recorded_at timestamp)"
    )
    section = {"restatement": {"dates": {"2026-09-12": {}, "2026-09-13": {}}}}
    days = [date(2026, 9, n) for n in (12, 13, 13, 14)]
    names = ["R000001-20260912", "R000002-20260913", "R000003-20260913-restated",
             "R000004-20260914"]
    for n, (day, name) in enumerate(zip(days, names, strict=True), 1):
        document = json.dumps(section if name.endswith("restated") else {"published": {}})
        connection.execute(
            "insert into release values (?, ?, ?, ?, now())", [name, n, day, document]
        )
    connection.execute("set variable scope_all = true")
    found = connection.execute(f"{operations.NAMED} order by business_date").fetchall()
    assert found == [(days[0], names[2]), (days[1], names[2]), (days[3], names[3])]
