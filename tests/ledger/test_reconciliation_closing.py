"""Open items of reconciliations, closed by two people."""

from __future__ import annotations

import pytest

from ledger.entrypoints.operations import verify
from tests.ledger.banks import (
    NEXT,
    Bank,
    adjust,
    bank,
    close,
    line,
    settle_next_day,
    top_up,
)
from tests.ledger.conftest import ANN, SYSTEM, at

__all__ = ["bank"]


def test_two_people_close_items_that_explain_one_another(world, bank):
    top_up(world, 10000)
    bank.send([line("1", 10000, "typing-error")])
    items = list(bank.open())
    assert len(items) == 2
    assert close(world, items)["status"] == "posted"
    assert not bank.open()
    (closing,) = world.ledger.state.table("reconciliation_closing").values()
    assert {item["item_id"] for item in closing["items"]} == set(items)
    settle_next_day(world)
    done = bank.send([], opening=10000, first=NEXT)
    assert done["difference_minor"] == 0 and done["open_items"] == 0
    verify(world.settings)


def test_what_does_not_come_to_zero_is_not_closed(world, bank):
    top_up(world, 10000)
    bank.send([line("1", 9999, "typing-error")])
    result = close(world, bank.open())
    assert (result["status"], result["reason"]) == ("refused", "difference_left")
    assert "1 minor units" in result["detail"]
    assert len(bank.open()) == 2


def test_a_correcting_journal_closes_what_it_corrects_once_it_is_seen(world, bank):
    reference = top_up(world, 10000)
    bank.send([line("1", 10000, reference), line("2", 500, "interest")])
    settle_next_day(world)
    journal = adjust(world, 500)
    (item,) = bank.open()
    assert close(world, [item], journal_id=journal)["status"] == "posted"
    (waiting,) = bank.open().values()
    assert waiting["key"] == ["journal", journal]
    done = bank.send([], opening=10500, first=NEXT)
    assert bank.classes(done) == {"matched": 1} and not bank.open()
    assert done["difference_minor"] == 0
    verify(world.settings)


def test_a_journal_that_was_seen_already_is_named_as_one_of_the_items(world, bank):
    reference = top_up(world, 10000)
    bank.send([line("1", 10000, reference), line("2", 500, "interest")])
    settle_next_day(world)
    journal = adjust(world, 500)
    bank.send([], opening=10500, first=NEXT)
    assert len(bank.open()) == 2
    assert close(world, bank.open(), journal_id=journal)["status"] == "posted"
    assert not bank.open()
    verify(world.settings)


def test_a_closing_names_a_journal_that_fits(world, bank):
    bank.send([line("2", 500, "interest")])
    (item,) = bank.open()
    settle_next_day(world)
    journal = adjust(world, 400)
    assert close(world, [item], journal_id=journal)["reason"] == "difference_left"
    assert close(world, [item], journal_id="J000000009999")["reason"] == "original_unknown"
    elsewhere = world.do("fee", occurred_at=at(NEXT, "10:00:00"))
    found = close(world, [item], journal_id=elsewhere["journal_id"])
    assert (found["reason"], found["field"]) == ("register_differs", "journal_id")
    waits = world.send("reversal", ANN, adjustment_id="RV1", journal_id=journal,
                       incident_number="I1", reason="wrong", occurred_at=at(NEXT, "10:00:00"))
    assert world.approve(waits["sequence"], occurred_at=at(NEXT, "10:00:00"))["status"] == "posted"
    assert close(world, [item], journal_id=journal)["reason"] == "already_reversed"


@pytest.mark.parametrize("items", [[], ["nothing"], [1], "twice", ["x"] * 101])
def test_a_closing_names_open_items_each_once(world, bank, items):
    top_up(world, 10000)
    bank.send([])
    if items == "twice":
        items = list(bank.open()) * 2
    found = close(world, items)
    assert (found["reason"], found["field"]) == ("register_differs", "open_items")


def test_items_of_two_accounts_are_not_closed_together(world, bank):
    top_up(world, 10000)
    bank.send([])
    world.register("own_funds", movement_id="OF1", amount_minor=5000, currency_code="CNY")
    own = Bank(world, "1101")
    own.send([])
    found = close(world, [*bank.open(), *own.open()])
    assert found["reason"] == "register_differs"
    assert "one account" in found["detail"]


def test_one_person_closes_nothing(world, bank):
    top_up(world, 10000)
    bank.send([line("1", 10000, "typing-error")])
    waits = world.send("reconciliation_close", ANN, closing_id="C1",
                       open_items=list(bank.open()), reason="x")
    assert waits["status"] == "pending" and len(bank.open()) == 2
    assert world.approve(waits["sequence"], "ann")["reason"] == "maker_is_checker"
    assert world.send(
        "reconciliation_close", SYSTEM, closing_id="C2", open_items=list(bank.open()), reason="x"
    )["reason"] == "no_right"
