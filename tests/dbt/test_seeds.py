"""Reference tables: what they say is true, and they fit their column types."""

from __future__ import annotations

import importlib.util
from datetime import date

import iso18245
import pytest

from paylake import dbt_project, dbt_runner
from paylake.errors import PermanentFailure

SEEDS = {seed.name: seed for seed in dbt_project.seeds()}


def rows(name: str) -> list[dict]:
    return dbt_runner.read_seed(SEEDS[name]).to_pylist()


def test_every_seed_is_typed_and_has_rows() -> None:
    assert sorted(SEEDS) == [
        "calendar_working_day", "check_threshold", "fee_class", "mcc", "region",
    ]  # fmt: skip
    for name, seed in SEEDS.items():
        table = dbt_runner.read_seed(seed)
        assert table.num_rows > 0, name
        assert table.column_names == [column for column, _ in seed.columns]


def test_the_calendar_is_what_its_script_writes() -> None:
    path = dbt_project.PROJECT / "scripts" / "make_calendar.py"
    spec = importlib.util.spec_from_file_location("make_calendar", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    for row in rows("calendar_working_day")[::11]:
        day, working, *rest = script.calendar_row(row["calendar_date"])
        assert (day, working) == (
            row["calendar_date"].isoformat(), str(row["is_working_day"]).lower(),
        )  # fmt: skip
        assert rest == [row["kind"], row["name_zh"], row["name_en"]]


@pytest.mark.parametrize(
    ("day", "kind", "working"),
    [
        (date(2026, 9, 20), "make_up", True),  # a Sunday worked for the National Day
        (date(2026, 9, 25), "holiday", False),
        (date(2026, 10, 11), "weekend", False),
        (date(2020, 1, 31), "holiday", False),  # the extended Spring Festival
        (date(2018, 4, 8), "make_up", True),
    ],
)
def test_known_days(day: date, kind: str, working: bool) -> None:
    found = {row["calendar_date"]: row for row in rows("calendar_working_day")}[day]
    assert (found["kind"], found["is_working_day"]) == (kind, working)


def test_the_calendar_has_every_day_to_a_known_end() -> None:
    days = [row["calendar_date"] for row in rows("calendar_working_day")]
    assert (days[0], days[-1]) == (date(2018, 1, 1), date(2026, 12, 31))
    assert len(days) == len(set(days)) == (days[-1] - days[0]).days + 1


def test_category_codes_are_those_of_the_standard() -> None:
    codes = [row["mcc"] for row in rows("mcc")]
    assert len(codes) == len(set(codes)) >= 60
    for code in codes:
        assert iso18245.get_mcc(code).mcc == code


def test_regions_are_the_province_level_divisions() -> None:
    codes = [row["region_code"] for row in rows("region")]
    assert len(codes) == len(set(codes)) == 34
    assert all(len(code) == 6 and code.endswith("0000") for code in codes)


@pytest.mark.parametrize("name", ["fee_class", "check_threshold"])
def test_validities_of_a_key_do_not_overlap(name: str) -> None:
    key = ("fee_class", "funding") if name == "fee_class" else ("check_code",)
    last: dict[tuple, date] = {}
    for row in sorted(rows(name), key=lambda r: (*(r[k] for k in key), r["valid_from"])):
        owner = tuple(row[k] for k in key)
        assert row["valid_from"] > last.get(owner, date.min), row
        last[owner] = row["valid_to"] or date.max


def test_every_threshold_has_an_owner_and_a_reason() -> None:
    for row in rows("check_threshold"):
        assert row["owner"] and row["reason"] and row["severity"] in ("fail", "warn")


def test_a_seed_that_does_not_fit_is_named(tmp_path) -> None:
    path = tmp_path / "region.csv"
    path.write_text("region_code,since\n110000,yesterday\n", "utf-8")
    seed = dbt_project.Seed("region", path, (("region_code", "string"), ("since", "date")))
    with pytest.raises(PermanentFailure, match="does not fit"):
        dbt_runner.read_seed(seed)
