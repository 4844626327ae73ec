"""D2, rule 8, on a prepaid card: held on the card, completed once for at most that, or freed."""

from __future__ import annotations

import pytest

from ledger.entrypoints.operations import verify
from tests.ledger.rules.words import CNY, PLAIN, days, on, posted, refused


def _allow(world, amount=5_000, name="PA", **values):
    if "authorisation" not in values:
        values["authorisation"] = world.authorise("K1", "M1", amount)
    return world.send("prepaid_pre_authorisation", transaction_id=name, card_id="K1",
                      merchant_id="M1", amount_minor=amount, **CNY, **values)


def _complete(world, amount, name="C", of="PA", **values):
    return world.send("prepaid_completion", **{
        "transaction_id": name, "original_transaction_id": of, "card_id": "K1",
        "merchant_id": "M1", "amount_minor": amount, "acquirer_fee_minor": 0, **CNY, **values})


def _cancel(world, name="X", of="PA", **values):
    return world.send("pre_authorisation_cancel", transaction_id=name,
                      original_transaction_id=of, **values)


def _card(world):
    account = world.ledger.state.account("2501:K1", "CNY")
    return account.balance, account.available


@pytest.fixture
def allowed(world):
    """8,000 on the card K1, 5,000 of it held for M1; another card, K2."""
    for card in ("K1", "K2"):
        world.register("party", party_id=card, party_kind="card", identity_check=f"ID-{card}")
        world.open([("2501", card)])
    posted(world.send("prepaid_issue", transaction_id="I", card_id="K1", amount_minor=8_000,
                      **CNY))
    assert refused(_allow(world, authorisation="A0"), "authorisation_unknown")
    assert refused(_allow(world, 8_001), "below_floor")
    done = posted(_allow(world))
    assert world.legs(done) == [] and _card(world) == (8_000, 3_000)
    return world


def test_d2_08_what_is_held_on_a_card_is_not_spent_otherwise(allowed):
    """Neither at another merchant, nor paid back; it ends after 30 days."""
    world = allowed
    assert world.ledger.state.holds["PA"]["expires_on"] == days(30).isoformat()
    spent = world.send("prepaid_spend", transaction_id="P", card_id="K1", merchant_id="M2",
                       amount_minor=3_001, acquirer_fee_minor=0,
                       authorisation=world.authorise("K1", "M2", 3_001), **CNY)
    assert refused(spent, "below_floor")
    world.close()
    world.close(days(30))
    assert _card(world) == (8_000, 8_000)
    assert refused(_complete(world, 1, **on(world, 31)), "hold_unknown")


@pytest.mark.parametrize("amount", [5_000, 4_000, 1])
def test_d2_08_on_a_card_it_is_completed_once_for_at_most_the_allowed_amount(allowed, amount):
    """The rest is free at once."""
    world = allowed
    assert refused(_complete(world, 5_001), "exceeds_original", "amount_minor")
    done = posted(_complete(world, amount, acquirer_fee_minor=1))
    assert [leg[:3] for leg in world.legs(done)] == [
        ("2501:K1", "D", amount), ("2201:M1", "C", amount), ("2201:M1", "D", 1),
        ("2301", "C", 1)]
    assert _card(world) == (8_000 - amount, 8_000 - amount)
    assert world.ledger.state.holds == {}
    assert refused(_complete(world, 1, "C2"), "already_decided")
    assert refused(_cancel(world), "already_decided")
    assert verify(world.settings).entries == world.ledger.head.sequence


@pytest.mark.parametrize(("field", "value"), [("merchant_id", "M2"), ("card_id", "K2")])
def test_d2_08_on_a_card_only_its_own_merchant_completes_it_for_its_own_card(
    allowed, field, value
):
    """Both are those that the holder authorised."""
    assert refused(_complete(allowed, 1, **{field: value}), "original_differs", field)
    assert _card(allowed) == (8_000, 3_000)


def test_d2_08_on_a_card_it_is_cancelled_and_neither_kind_completes_the_other(allowed):
    """The cancellation is one for both kinds; a card's is not completed from an account."""
    world = allowed
    from_account = world.send(
        "pre_authorisation_completion", transaction_id="C", original_transaction_id="PA",
        merchant_id="M1", user_id="U1", amount_minor=1, acquirer_fee_minor=0, **CNY)
    assert refused(from_account, "original_unknown")
    posted(_cancel(world))
    assert _card(world) == (8_000, 8_000)
    assert refused(_complete(world, 1), "already_decided")


def test_d2_08_a_cards_completion_is_refunded_voided_disputed_like_a_payment(allowed):
    """What goes back goes to the card."""
    world = allowed
    posted(world.do("payment", amount_minor=100, **PLAIN))  # for the fee that is not given back
    posted(_complete(world, 4_000, acquirer_fee_minor=40))
    back = posted(world.do("refund", original_transaction_id="C", amount_minor=1_000,
                           **{**PLAIN, "acquirer_fee_minor": 10}))
    assert world.legs(back)[0][:3] == ("2501:K1", "C", 1_000)
    posted(world.send("denied_payment", hold_id="H", original_transaction_id="C",
                      case_number="N"))
    done = world.approved("hold_capture", result_id="R", hold_id="H", to_account_id="2501:K1",
                          case_number="N")
    assert [leg[:3] for leg in world.legs(done)] == [
        ("2201:M1", "D", 3_000), ("2501:K1", "C", 3_000)]
    posted(_allow(world, name="PB"))
    posted(_complete(world, 4_000, "C2", of="PB"))
    posted(world.do("void", original_transaction_id="C2"))
    assert _card(world) == (8_000, 8_000)


def test_d2_08_a_freeze_of_an_amount_comes_before_what_is_allowed_on_a_card(allowed):
    world = allowed
    posted(world.send("hold", hold_id="H", hold_kind="authority", account_id="2501:K1",
                      amount_minor=8_000, case_number="COURT-9", **CNY))
    assert refused(_complete(world, 1), "below_floor")
    world.approved("hold_release", result_id="R", hold_id="H", amount_minor=1_000,
                   case_number="COURT-9")
    posted(_complete(world, 1_000))
    assert _card(world) == (7_000, 0)
    assert verify(world.settings).broken is None


def test_a_completion_takes_nothing_that_is_under_way_to_a_bank(allowed):
    """An authority took what was held for it: the rest is what the bank may have paid out."""
    world = allowed
    world.register("bind_account", destination_id="DK", party_id="K1", bound_account="6",
                   bound_name="K", bank_code="B")
    posted(world.send("prepaid_redeem_order", transaction_id="O", card_id="K1",
                      amount_minor=3_000, destination_id="DK",
                      authorisation=world.authorise("K1", "DK", 3_000), **CNY))
    posted(world.send("hold", hold_id="H", hold_kind="authority", account_id="2501:K1",
                      amount_minor=9_000, case_number="N", **CNY))
    world.approved("hold_capture", result_id="E", hold_id="H", to_account_id="1001",
                   amount_minor=5_000, case_number="N")
    assert refused(_complete(world, 1), "below_floor")
    posted(world.send("prepaid_redeem_result", result_id="R", original_transaction_id="O",
                      result="succeeded"))
    assert _card(world) == (0, -9_000)
