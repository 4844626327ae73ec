"""One account may have a higher floor of its own, set by two people."""

from __future__ import annotations

import pytest

from ledger.entrypoints.operations import verify
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
    from tests.ledger.conftest import ANN

    assert refused(world.send("account_floor", ANN, floor_minor=1,
                              **{**FLOOR, "account_id": "2101:ghost"}), "account_not_open")
