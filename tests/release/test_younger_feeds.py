"""Feeds that came after a home was made: what dates of before expect, and homes without them."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pytest

from paylake import contracts, home, release, runs, settings
from paylake.dates import run_time
from paylake.errors import Waiting
from paylake.status import status
from tests.release.institution import Institution

YOUNGER = ("ledger_event", "ledger_head")
ALL = contracts.all_contracts


@pytest.fixture
def there(tmp_path, monkeypatch):
    """Two dates that a program without the younger feeds released, and a third that it sent."""
    found = Institution(settings.load({}, home=tmp_path / "home"), is_real=False)
    first, second, third, *_ = found.days
    for feed in YOUNGER:
        for day in (first, second, third):
            del found.sent[feed, day, 1]
    with monkeypatch.context() as older:
        older.setattr(
            contracts, "all_contracts",
            lambda kind=None: [c for c in ALL(kind) if c.name not in YOUNGER],
        )
        go(found, 0, 1)
        assert release.in_force(found.settings).through == second
        found.ingest(third, third, lambda day: run_time(day, found.settings))
    return found


def go(there: Institution, first: int, last: int) -> runs.RunResult:
    return runs.run(there.settings, there.days[first], there.days[last], there.steps())


def rows(there: Institution) -> dict:
    return {row["date"]: row for row in status(there.settings).rows()}


def test_released_dates_are_complete_without_them(there):
    found = rows(there)
    for day in there.days[:2]:
        assert (found[day]["deliveries"], found[day]["late"]) == ("6/6", "")
    assert runs.missing_feeds(there.settings, there.days[:2]) == {}
    again = go(there, 0, 1)
    assert again.error is None and set(again.dates.values()) == {"unchanged"}


def test_an_open_date_waits_for_the_heads_and_goes_out_once_they_come(there):
    third = there.days[2]
    result = go(there, 2, 2)
    assert isinstance(result.error, Waiting)
    assert f"{third} waits for ledger_head (" in result.error.sentence()
    assert f"landing/inbox/ledger_head/{third}" in result.error.sentence()
    assert rows(there)[third]["deliveries"] == "6/8"
    for feed in YOUNGER:  # exported again: its other feeds are known, these are new
        there.sent[feed, third, 1] = run_time(third, there.settings) - timedelta(minutes=5)
    assert go(there, 2, 3).error is None
    found = rows(there)
    assert [found[day]["deliveries"] for day in there.days[:4]] == ["6/6", "6/6", "8/8", "8/8"]
    assert not any(found[day]["late"] for day in there.days[:4])


def test_events_that_do_not_come_are_late_but_keep_nothing_back(there):
    third, fourth = there.days[2:4]
    for feed in YOUNGER:
        there.sent[feed, third, 1] = run_time(third, there.settings) - timedelta(minutes=5)
    del there.sent["ledger_event", fourth, 1]
    assert go(there, 2, 3).error is None
    row = rows(there)[fourth]
    assert (row["deliveries"], row["late"]) == ("7/8", "ledger_event")


@pytest.mark.parametrize(("relaxed", "absent"), [
    ({"ledger_journal": [], "ledger_balance": []}, sorted(YOUNGER)),
    ({"ledger_journal": [], "ledger_head": []}, ["ledger_event"]),
])
def test_foreign_books_come_without_what_is_not_mapped(tmp_path, relaxed, absent):
    """Heads are the ledger's own; a file of somebody else's journal has none."""
    here = settings.load({}, home=tmp_path / "home")
    home.claim(here, home.Home("mapped", {"mapping": "x"}, (), extra={"relaxed": relaxed}))
    assert home.read(here).absent_feeds == tuple(absent)
    assert home.Home("simulated", {}).absent_feeds == ()


@pytest.mark.parametrize("named", [("ledger_journal", "ledger_balance"), ("ledger_journal",)])
def test_a_home_without_a_ledger_has_none_of_its_younger_feeds(tmp_path, named):
    """Its file was written when nobody knew of them."""
    here = settings.load({}, home=tmp_path / "home")
    home.claim(here, home.Home("mapped", {"mapping": "x"}, named))
    written = json.loads(here.path("home.json").read_text("utf-8"))
    assert written["absent_feeds"] == list(named)
    assert home.read(here).absent_feeds == (*named, *sorted(YOUNGER))
    assert runs.absent_feeds(here) >= set(YOUNGER)
    lacking = runs.missing_feeds(here, [date(2026, 9, 12)])[date(2026, 9, 12)]
    assert lacking and not set(YOUNGER) & set(lacking)
