"""The gate over signed heads: what each check finds, and what it leaves alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

import expectations
from paylake import settings
from tests.expectations.gate_world import World, good

HEAD = "silver.ledger_head"
EVENT = "bronze.raw_ledger__event"
OTHER = "ff" * 32


@pytest.fixture
def here(tmp_path):
    return settings.load({}, home=tmp_path)


def found(here, world: World) -> dict[tuple, str]:
    """(date, check) -> its examples, of the checks of heads that did not pass."""
    world.write(here)
    result = expectations.gate(here, world.days[0], world.days[-1])
    return {
        (f.business_date, f.check.code): f.detail
        for f in result.failures if f.check.code.startswith("ledger_head_")
    }


def change(world: World, day, **values) -> None:
    world.change(HEAD, day, lambda rows: [{**row, **values} for row in rows])


def anchored(world: World, day) -> None:
    """An anchor before the close of a date, in its place in the chain of heads."""
    def add(rows):
        (close,) = rows
        anchor = {
            **close, "head_name": f"hour-{day}T05-5", "head_kind": "anchor",
            "document": "{}", "document_sm3": "aa" * 32, "chain_sequence": 5,
            "chain_digest": "bb" * 32, "received_digest": None,
            **dict.fromkeys((
                "journal_count", "leg_count", "account_count", "received_journal_count",
                "received_leg_count", "received_later_count",
            )),
        }
        return [anchor, {**close, "head_number": 2, "previous_anchor": "aa" * 32}]
    world.change(HEAD, day, add)


def test_anchors_and_closes_of_whole_days_pass(here):
    world = good()
    for day in world.days:
        anchored(world, day)
    assert found(here, world) == {}


def test_an_anchor_with_another_digest_than_the_journal_holds_the_date(here):
    world = good()
    day = world.days[1]
    anchored(world, day)
    world.change(HEAD, day, lambda rows: [{**rows[0], "received_digest": OTHER}, rows[1]])
    assert found(here, world) == {
        (day, "ledger_head_chain_end"):
            f"hour-{day}T05-5 digest: {OTHER}, expected {'bb' * 32}",
    }


def test_legs_behind_the_close_hold_the_date(here):
    world = good()
    change(world, world.days[1], received_later_count=2)
    assert found(here, world) == {
        (world.days[1], "ledger_head_chain_end"):
            f"{world.days[1]} legs behind it: 2, expected 0",
    }


@pytest.mark.parametrize("column", ["journal_count", "leg_count", "account_count"])
def test_another_count_than_came_holds_the_date(here, column):
    world = good()
    change(world, world.days[2], **{column: 1})
    assert set(found(here, world)) == {(world.days[2], "ledger_head_counts")}


@pytest.mark.parametrize("place", ["opening", "debit", "credit", "closing"])
def test_a_signed_line_that_the_balances_do_not_give_holds_the_date(here, place):
    world = good()
    day = world.days[1]

    def edit(rows):
        document = json.loads(rows[0]["document"])
        document["trial_balance"][0][f"{place}_minor"] += 1
        return [{**rows[0], "document": json.dumps(document)}]

    world.change(HEAD, day, edit)
    ((at, code), detail), = found(here, world).items()
    assert (at, code) == (day, "ledger_head_trial_balance")
    assert detail.startswith("1001 CNY: opening ")


@pytest.mark.parametrize("edit", [
    lambda lines: lines[1:],
    lambda lines: [*lines, {**lines[0], "account_code": "9999"}],
])
def test_a_line_on_one_side_alone_holds_the_date(here, edit):
    world = good()
    day = world.days[1]

    def change_lines(rows):
        document = json.loads(rows[0]["document"])
        document["trial_balance"] = edit(document["trial_balance"])
        return [{**rows[0], "document": json.dumps(document)}]

    world.change(HEAD, day, change_lines)
    assert set(found(here, world)) == {(day, "ledger_head_trial_balance")}


def test_a_ledger_that_was_written_anew_shows_on_the_next_date(here):
    """Each day is right in itself; the head before the second is not the one that came."""
    world = good()
    change(world, world.days[0], document_sm3="cc" * 32)
    assert set(found(here, world)) == {(world.days[1], "ledger_head_continues")}


def test_days_one_by_one_see_the_day_before(here):
    world = good()
    change(world, world.days[0], document_sm3="cc" * 32)
    world.write(here)
    for day in world.days:
        result = expectations.gate(here, day, day)
        failed = {f.check.code for f in result.failures}
        assert failed == ({"ledger_head_continues"} if day == world.days[1] else set())


def test_dates_before_the_first_head_have_none_and_later_ones_must(here):
    """An older program exported none; once heads come, a date without one is held."""
    world = good(4)
    world.change(HEAD, world.days[0], lambda rows: [])
    world.change(HEAD, world.days[1], lambda rows: [])
    assert found(here, world) == {}
    world.change(HEAD, world.days[3], lambda rows: [])
    assert found(here, world) == {
        (world.days[3], "ledger_head_present"): "day_close: 0 of 0, expected 1 of 1",
    }


def test_the_close_of_another_date_is_not_this_ones(here):
    world = good()
    day = world.days[1]
    change(world, day, head_name="2026-01-01")
    assert set(found(here, world)) == {(day, "ledger_head_present")}


def test_heads_of_the_first_format_are_held_to_their_counts_alone(here):
    """Their chain was one of journals: its end and the digest before are not those of the log."""
    world = good()
    first = {"head_format": "paylake-ledger-head/1", "previous_anchor": None,
             "received_digest": None, "chain_sequence": 3}
    for day in world.days[:2]:
        change(world, day, **first)
    change(world, world.days[2], previous_anchor=None)
    assert found(here, world) == {}
    change(world, world.days[0], leg_count=1)
    assert set(found(here, world)) == {(world.days[0], "ledger_head_counts")}


# events


def gaps(here, world: World) -> dict:
    """date -> what the check of events found; a gap is shown and holds nothing."""
    world.write(here)
    result = expectations.gate(here, world.days[0], world.days[-1])
    assert {result.dates[day] for day in world.days} == {"passed"}
    return {
        f.business_date: f.detail for f in result.failures
        if f.check.code == "ledger_event_gap"
    }


def without(world: World, day, *keys: str) -> None:
    world.change(EVENT, day, lambda rows: [r for r in rows if r["event_key"] not in keys])


def test_events_of_whole_days_have_no_gap(here):
    world = good(4)
    assert gaps(here, world) == {}
    assert {len([r for r in world.rows[EVENT] if r["business_date"] == day]) for day in world.days
            } == {130, 133, 134}


def test_an_event_that_is_missing_within_its_entry_shows_on_its_date(here):
    world = good(4)
    without(world, world.days[1], "150/1")
    assert gaps(here, world) == {world.days[1]: "numbers: 133, expected 134"}


@pytest.mark.parametrize(("place", "keys"), [(1, ("151/1",)), (2, ("199/1",))])
def test_an_entry_without_events_shows_on_the_date_after_the_close_that_covers_it(
    here, place, keys
):
    """Whichever of the two dates it was booked on."""
    world = good(4)
    without(world, world.days[place], *keys)
    day = world.days[1]
    assert gaps(here, world) == {world.days[2]: f"entries through {day}: 99, expected 100"}


def test_what_cannot_be_judged_of_events_is_not_called_a_gap(here):
    """A file that did not come is late; a close of a later day may have entries of a third date
    before it."""
    world = good(5)
    world.change(EVENT, world.days[1], lambda rows: [])
    change(world, world.days[3], signed_at=datetime(2026, 9, 16, 16, 0, tzinfo=UTC))
    without(world, world.days[3], "350/1")
    assert gaps(here, world) == {}
    change(world, world.days[3], signed_at=datetime(2026, 9, 16, 15, 59, tzinfo=UTC))
    assert set(gaps(here, world)) == {world.days[4]}


def test_days_one_by_one_judge_events_as_the_range_does(here):
    world = good(4)
    without(world, world.days[1], "151/1")
    whole = gaps(here, world)
    found = {}
    for day in world.days:
        result = expectations.gate(here, day, day)
        found |= {
            f.business_date: f.detail for f in result.failures
            if f.check.code == "ledger_event_gap"
        }
    assert found == whole and len(whole) == 1
