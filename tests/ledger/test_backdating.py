"""A posting valued on a past date leaves no past in which an account was below its floor."""

from __future__ import annotations

import pytest

from ledger.entrypoints.operations import verify
from ledger.service.ledger import Job
from ledger.service.queries import balance_at
from tests.ledger.conftest import SYSTEM
from tests.ledger.rules.words import CNY, days, on, posted, refused


def _on(number: int) -> str:
    return days(number).isoformat()


def _transfer(world, amount, number, **values):
    return world.send(
        "transfer", transaction_id=f"T{world.number}", user_id="U1", payee_id="U2",
        amount_minor=amount, value_date=_on(number),
        authorisation=world.authorise("U1", "U2", amount), **CNY, **values,
    )


@pytest.mark.parametrize("remembered", ["memory", "checkpoint", "reopened"])
def test_a_debit_valued_before_the_money_came_is_refused(world, settings, remembered):
    """30 yuan came on -5, 50 more today: 40 were never there on -3, and 30 were."""
    world.do("top_up", amount_minor=3_000, value_date=_on(-5))
    world.do("top_up", amount_minor=5_000)
    if remembered == "checkpoint":
        world.ledger.checkpoint()
    elif remembered == "reopened":
        world.reopen()
    assert refused(_transfer(world, 4_000, -3), "below_floor", "value_date")
    assert refused(_transfer(world, 1, -6), "below_floor", "value_date")
    posted(_transfer(world, 3_000, -5))
    assert refused(_transfer(world, 1, -1), "below_floor", "value_date")
    posted(_transfer(world, 5_000, 0))
    found = balance_at(world.ledger, "2101:U1", "CNY", _on(-1), None)
    assert found["balance_minor"] == 0
    assert verify(settings).broken is None


def test_what_left_later_counts_too(world):
    """50 came on -5 and 40 left on -2: valued on -4, more than 10 would have been missing then."""
    world.do("top_up", amount_minor=5_000, value_date=_on(-5))
    posted(_transfer(world, 4_000, -2))
    world.do("top_up", amount_minor=5_000)
    said = _transfer(world, 1_001, -4)
    assert refused(said, "below_floor", "value_date") and _on(-2) in said["detail"]
    posted(_transfer(world, 1_000, -4))


def test_commands_of_one_batch_and_of_the_unit_before_are_seen(world):
    """Nothing of it is in the history yet."""
    def command(amount):
        reference = world.authorise("U1", "U2", amount)
        return world._keyed("transfer", {
            "transaction_id": f"T{world.number}", "user_id": "U1", "payee_id": "U2",
            "amount_minor": amount, "value_date": _on(-1), "authorisation": reference, **CNY,
        })

    world.do("top_up", amount_minor=3_000, value_date=_on(-2))
    world.do("top_up", amount_minor=9_000)
    said = world.ledger.apply([command(2_000), command(1_000), command(1)])
    assert [r.get("reason") for r in said] == [None, None, "below_floor"]
    world.do("top_up", amount_minor=3_000, value_date=_on(-2))
    commands = [command(amount) for amount in (2_500, 500, 1)]
    flying = [world.ledger.begin([Job([one], SYSTEM, "")]) for one in commands]
    said = [future.result()[0][0] for future in flying]
    world.ledger.settle()
    assert [r.get("reason") for r in said] == [None, None, "below_floor"]


def test_a_checkpoint_that_was_written_meanwhile_counts_once(world, monkeypatch):
    """The history gives up what a checkpoint took only with the next one; the storage has it."""
    monkeypatch.setattr("ledger.service.ledger.CHECKPOINT_ENTRIES", 3)
    world.do("top_up", amount_minor=30_000, value_date=_on(-2))
    world.do("top_up", amount_minor=9_000)
    world.ledger.settle()
    said = []
    for number in range(7):  # checkpoints begin between these units
        reference = world._keyed("authorise", {
            "authorisation_id": f"AB{number}", "payer_id": "U1", "payee": "U2",
            "amount_minor": 4_500, "method": "password", **CNY})
        transfer = world._keyed("transfer", {
            "transaction_id": f"TB{number}", "user_id": "U1", "payee_id": "U2",
            "amount_minor": 4_500, "value_date": _on(-1), "authorisation": f"AB{number}", **CNY})
        begun = world.ledger.begin([Job([reference, transfer], SYSTEM, "")])
        said.append(begun.result()[0][1].get("reason"))
    world.ledger.settle()
    assert said == [*[None] * 6, "below_floor"]


def test_an_account_in_shards_is_judged_as_a_whole(world):
    """The sum of its shards was there on the day."""
    world.register("own_funds", movement_id="O", amount_minor=1_000_000, **CNY)
    world.approved("account_shards", account_id="1101", shards=4, **CNY)
    when = on(world, 1)
    world.register("advance", movement_id="A", merchant_id="M1", amount_minor=900,
                   case_number="C", value_date=_on(0), **CNY, **when)
    low = world.send("advance", movement_id="B", merchant_id="M1", amount_minor=1,
                     case_number="C", value_date=_on(-1), **CNY, **when)
    assert refused(low, "below_floor", "value_date")


def test_a_linked_group_that_failed_leaves_nothing_behind(world):
    """What it moved does not count for the commands after it in the batch."""
    world.do("top_up", amount_minor=3_000, value_date=_on(-2))
    world.do("top_up", amount_minor=9_000)

    def command(amount, **values):
        reference = world.authorise("U1", "U2", amount)
        return world._keyed("transfer", {
            "transaction_id": f"T{world.number}", "user_id": "U1", "payee_id": "U2",
            "amount_minor": amount, "value_date": _on(-1), "authorisation": reference, **CNY,
            **values,
        })

    said = world.ledger.apply([
        command(2_000, linked=True), command(2_000), command(3_000), command(1)])
    assert [r.get("reason") for r in said] == [
        "linked_failed", "below_floor", None, "below_floor"]
