"""The ledger's outbox in bronze: each event once by its key, however it is sent."""

from __future__ import annotations

from datetime import timedelta

import ingestion
from paylake.lake import Lake
from tests.ingestion.world import DAY, event, send


def keys(settings) -> list[str]:
    rows = Lake(settings).query(
        "select event_key from bronze.raw_ledger__event order by entry_sequence::int"
    )
    return rows.column("event_key").to_pylist()


def take(settings, first=DAY, last=None) -> list[tuple[str, str | None]]:
    outcomes = ingestion.ingest(settings, first, last or first).outcomes
    return [(o["state"], o["reason_code"]) for o in outcomes]


def test_a_delivery_that_is_run_twice_brings_each_event_once(settings):
    send(settings, "ledger_event")
    assert take(settings) == [("accepted", None)]
    assert take(settings) == []
    assert keys(settings) == [f"{n}/1" for n in range(1, 9)]
    send(settings, "ledger_event")  # the very same folder again
    take(settings)
    send(settings, "ledger_event", sequence=2)  # the same data under another name
    assert take(settings) == [("ignored_duplicate", "same_content")]
    assert keys(settings) == [f"{n}/1" for n in range(1, 9)]


def test_a_delivery_that_replaces_another_brings_each_event_once(settings):
    send(settings, "ledger_event", [event(n) for n in range(1, 5)])
    take(settings)
    send(settings, "ledger_event", [event(n) for n in range(1, 9)], sequence=2, supersedes=1)
    assert set(take(settings)) == {("accepted", None), ("superseded", None)}
    assert keys(settings) == [f"{n}/1" for n in range(1, 9)]


def test_deliveries_of_a_date_add_up_and_do_not_overlap(settings):
    send(settings, "ledger_event", [event(n) for n in range(1, 5)])
    send(settings, "ledger_event", [event(n) for n in range(4, 9)], sequence=2)
    send(settings, "ledger_event", [event(n) for n in range(5, 9)], sequence=3)
    assert take(settings) == [
        ("accepted", None), ("refused", "bad_row_in_book"), ("accepted", None),
    ]
    assert keys(settings) == [f"{n}/1" for n in range(1, 9)]


def test_events_of_a_date_that_come_under_another_one_are_known(settings):
    """Also weeks later: they say on which date they were booked."""
    send(settings, "ledger_event", [event(n) for n in range(1, 5)])
    take(settings)
    later = DAY + timedelta(days=20)
    send(settings, "ledger_event", [event(4), event(1, later)], day=later)
    assert take(settings, later) == [("refused", "bad_row_in_book")]
    # and what never came may come under an open date
    send(settings, "ledger_event", [event(5), event(1, later)], day=later, sequence=2)
    assert take(settings, later) == [("accepted", None)]
    assert keys(settings) == ["1/1", "2/1", "3/1", "4/1", "5/1", "20001/1"]


def test_a_date_does_not_wait_for_events(settings):
    assert "ledger_event" not in ingestion.missing_feeds(settings, DAY, DAY)[DAY]
