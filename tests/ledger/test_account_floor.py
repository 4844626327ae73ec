"""One account may have a higher floor of its own, set by two people."""

from __future__ import annotations

import pytest

from ledger.entrypoints.operations import verify
from tests.ledger.conftest import ANN
from tests.ledger.rules.words import CNY, posted, refused

FLOOR = {"account_id": "2101:U1", "reason": "contract", **CNY}


def _transfer(world, amount):
    return world.send(
        "transfer", transaction_id=f"T{world.number}", user_id="U1", payee_id="U2",
        amount_minor=amount, authorisation=world.authorise("U1", "U2", amount), **CNY,
    )


@pytest.mark.parametrize("remembered", ["log", "checkpoint"])
def test_it_holds_for_postings_and_holds_and_over_a_restart(world, settings, remembered):
    world.do("top_up", amount_minor=10_000)
    assert refused(world.send("account_floor", floor_minor=4_000, **FLOOR), "no_right")
    world.approved("account_floor", floor_minor=4_000, **FLOOR)
    if remembered == "checkpoint":
        world.ledger.checkpoint()
    world.reopen()
    assert refused(_transfer(world, 6_001), "below_floor")
    assert refused(world.do("withdrawal", amount_minor=6_000, fee_minor=30), "below_floor")
    posted(_transfer(world, 6_000))
    world.approved("account_floor", floor_minor=0, **FLOOR)
    posted(_transfer(world, 4_000))
    assert verify(settings).broken is None


def test_it_is_of_an_account_that_is_open_and_whole(world):
    assert refused(world.send("account_floor", ANN, floor_minor=1,
                              **{**FLOOR, "account_id": "2101:ghost"}), "account_not_open")


@pytest.mark.parametrize(("account", "floor"), [("1001", 5_000), ("3001", 0)])
def test_an_account_with_a_floor_of_its_own_is_not_kept_in_shards(world, settings, account, floor):
    """`3001` has none by its class, so that 0 is a floor of its own."""
    world.approved("account_floor", floor_minor=floor, **{**FLOOR, "account_id": account})
    result = world.send("account_shards", ANN, account_id=account, shards=2, **CNY)
    assert refused(result, "register_differs", "account_id")


def test_an_account_in_shards_has_no_floor_of_its_own(world, settings):
    """What waited for a checker while it was split or got its floor is refused by then."""
    floor, shards = {**FLOOR, "account_id": "1001"}, {"account_id": "1001", "shards": 2, **CNY}
    waits = world.send("account_shards", ANN, **shards)
    world.approved("account_floor", floor_minor=5_000, **floor)
    assert refused(world.approve(waits["sequence"]), "register_differs")
    world.approved("account_floor", floor_minor=0, **floor)
    waits = world.send("account_floor", ANN, floor_minor=5_000, **floor)
    world.approved("account_shards", **shards)
    assert refused(world.approve(waits["sequence"]), "register_differs")
    assert verify(settings).broken is None


@pytest.mark.parametrize("remembered", ["log", "checkpoint"])
@pytest.mark.parametrize(("account", "class_floor"), [("2101:U1", 0), ("3001", None)])
def test_without_an_amount_it_is_that_of_its_class_again(
    world, settings, account, class_floor, remembered
):
    """For a class without a floor as well."""
    floor = {**FLOOR, "account_id": account}
    assert world.ledger.state.account(account, "CNY").line.floor == class_floor
    world.approved("account_floor", floor_minor=3_000, **floor)
    world.approved("account_floor", **floor)
    if remembered == "checkpoint":
        world.ledger.checkpoint()
    world.reopen()
    assert world.ledger.state.account(account, "CNY").floor == class_floor
    assert verify(settings).broken is None
