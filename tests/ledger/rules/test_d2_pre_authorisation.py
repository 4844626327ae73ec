"""D2, rule 8: a payment on a pre-authorisation: held, completed once for at most that, or freed."""

from __future__ import annotations

import pytest

from ledger.entrypoints.operations import verify
from tests.ledger.conftest import ANN, DAY
from tests.ledger.rules.words import CNY, PLAIN, days, on, posted, refused, tenant


def _allow(world, amount=5_000, name="PA", merchant="M1", user="U1", **values):
    if "authorisation" not in values:
        values["authorisation"] = world.authorise(user, merchant, amount)
    return world.send("pre_authorisation", transaction_id=name, merchant_id=merchant,
                      user_id=user, amount_minor=amount, **CNY, **values)


def _complete(world, amount, name="C", of="PA", **values):
    return world.send("pre_authorisation_completion", **{
        "transaction_id": name, "original_transaction_id": of, "merchant_id": "M1",
        "user_id": "U1", "amount_minor": amount, "acquirer_fee_minor": 0, **CNY, **values})


def _cancel(world, name="X", **values):
    return world.send("pre_authorisation_cancel", transaction_id=name,
                      original_transaction_id="PA", **values)


def _account(world):
    account = world.ledger.state.account("2101:U1", "CNY")
    return account.balance, account.available


@pytest.fixture
def allowed(world):
    """8,000 on U1, 5,000 of it held for M1."""
    world.do("top_up", amount_minor=8_000)
    posted(_allow(world))
    return world


def test_d2_08_a_pre_authorisation_holds_and_moves_nothing(world):
    """With the payer's authorisation, good once; what is held cannot be spent."""
    world.do("top_up", amount_minor=8_000)
    assert refused(_allow(world, authorisation="A0"), "authorisation_unknown")
    assert refused(_allow(world, 8_001), "below_floor")
    done = posted(_allow(world))
    assert world.legs(done) == [] and _account(world) == (8_000, 3_000)
    assert world.ledger.state.holds["PA"]["expires_on"] == days(30).isoformat()
    spend = world.send("transfer", transaction_id="T", user_id="U1", payee_id="U2", **CNY,
                       amount_minor=3_001, authorisation=world.authorise("U1", "U2", 3_001))
    assert refused(spend, "below_floor")


@pytest.mark.parametrize("amount", [5_000, 4_000, 1])
def test_d2_08_it_is_completed_once_for_at_most_the_allowed_amount(allowed, amount):
    """The rest is free at once; no second authorisation is needed."""
    world = allowed
    assert refused(_complete(world, 5_001), "exceeds_original", "amount_minor")
    done = posted(_complete(world, amount, acquirer_fee_minor=1))
    assert [leg[:3] for leg in world.legs(done)] == [
        ("2101:U1", "D", amount), ("2201:M1", "C", amount), ("2201:M1", "D", 1),
        ("2301", "C", 1)]
    assert _account(world) == (8_000 - amount, 8_000 - amount)
    assert world.ledger.state.holds == {}
    assert refused(_complete(world, 1, "C2"), "already_decided")
    assert refused(_cancel(world), "already_decided")
    assert verify(world.settings).entries == world.ledger.head.sequence


def test_d2_08_cancelled_or_ended_it_is_free_and_not_completed(allowed):
    """By the merchant's cancellation, or by the system after 30 days."""
    world = allowed
    posted(_cancel(world))
    assert _account(world) == (8_000, 8_000)
    assert refused(_complete(world, 1), "already_decided")
    assert refused(_cancel(world, "X2"), "already_decided")
    posted(_allow(world, name="PB"))
    world.close()
    world.close(days(30))
    assert _account(world) == (8_000, 8_000)
    when = on(world, 31)
    assert refused(_complete(world, 1, of="PB", **when), "hold_unknown")


@pytest.mark.parametrize(("field", "value"), [("merchant_id", "M2"), ("user_id", "U2")])
def test_d2_08_only_its_own_merchant_completes_it_for_its_own_payer(allowed, field, value):
    """Both are those that the payer authorised."""
    assert refused(_complete(allowed, 1, **{field: value}), "original_differs", field)
    assert _account(allowed) == (8_000, 3_000)


def test_d2_08_what_was_completed_is_voided_or_refunded_like_a_payment(allowed):
    """In part and in whole; the pre-authorisation stays used."""
    world = allowed
    posted(_complete(world, 4_000, acquirer_fee_minor=40))
    posted(world.do("refund", original_transaction_id="C", amount_minor=1_000,
                    **{**PLAIN, "acquirer_fee_minor": 10}))
    assert refused(world.do("void", original_transaction_id="C"), "exceeds_original")
    posted(world.do("refund", original_transaction_id="C", amount_minor=3_000,
                    **{**PLAIN, "acquirer_fee_minor": 30}))
    assert _account(world) == (8_000, 8_000)
    posted(_allow(world, name="PB"))
    posted(_complete(world, 4_000, "C2", of="PB"))
    posted(world.do("void", original_transaction_id="C2"))
    assert _account(world) == (8_000, 8_000)
    assert refused(_complete(world, 1, "C3", of="PB"), "already_decided")
    assert (world.balance("2201:M1"), world.balance("2301")) == (0, 0)


def test_d2_08_a_disputed_completion_goes_back_to_its_payer(allowed):
    """Disputes, denied payments and chargebacks know it as a payment."""
    world = allowed
    posted(_complete(world, 4_000))
    posted(world.do("dispute", transaction_id="D", original_transaction_id="C",
                    amount_minor=1_000))
    posted(world.do("dispute_release", original_transaction_id="D", amount_minor=1_000))
    posted(world.send("denied_payment", hold_id="H", original_transaction_id="C",
                      case_number="N"))
    done = world.approved("hold_capture", result_id="R", hold_id="H", to_account_id="2101:U1",
                          case_number="N")
    assert [leg[:3] for leg in world.legs(done)] == [
        ("2201:M1", "D", 4_000), ("2101:U1", "C", 4_000)]


def test_d2_08_a_voided_completion_is_too_late_after_the_payout(allowed):
    """Then it is refunded."""
    world = allowed
    posted(_complete(world, 4_000))
    world.do("settlement", amount_minor=1)
    assert refused(world.do("void", original_transaction_id="C"), "void_too_late")
    posted(world.do("payment", amount_minor=10, **PLAIN))
    posted(world.do("refund", original_transaction_id="C", amount_minor=4_000, **PLAIN))


def test_d2_08_an_authority_that_took_it_over_or_froze_the_account_comes_first(allowed):
    """Nothing has left yet, so the order holds the money."""
    world = allowed
    posted(_allow(world, 1_000, name="PB"))
    world.approved("hold_takeover", result_id="T", hold_id="PB", case_number="COURT-9")
    assert refused(_complete(world, 1, of="PB"), "hold_not_allowed")
    posted(world.send("hold", hold_id="H", hold_kind="authority", account_id="2101:U1",
                      case_number="COURT-9", **CNY))
    assert refused(_complete(world, 1), "account_status")
    assert _account(world) == (8_000, 2_000)


@pytest.mark.parametrize("kind", ["authority", "suspicious"])
def test_d2_08_a_freeze_of_an_amount_comes_before_what_is_allowed(allowed, kind):
    """Of 8,000 what is not frozen may go, however much of it was allowed; a withdrawal that the
    bank was asked for goes before both."""
    world = allowed
    posted(world.send("hold", hold_id="H", hold_kind=kind, account_id="2101:U1",
                      amount_minor=4_500, case_number="COURT-9", **CNY))
    assert refused(_complete(world, 3_501), "below_floor")
    posted(_complete(world, 3_500))
    assert _account(world) == (4_500, 0)
    assert verify(world.settings).broken is None


def test_d2_08_a_freeze_keeps_its_amount_beside_what_is_under_way(world):
    world.do("top_up", amount_minor=11_100)
    posted(world.do("withdrawal", withdrawal_id="W", amount_minor=5_000, fee_minor=25))
    posted(_allow(world))
    posted(world.send("hold", hold_id="H", hold_kind="authority", account_id="2101:U1",
                      amount_minor=4_000, case_number="COURT-9", **CNY))
    assert refused(_complete(world, 2_076), "below_floor")
    posted(_complete(world, 2_075))
    posted(world.do("withdrawal_result", withdrawal_id="W"))
    assert _account(world) == (4_000, 0)
    assert verify(world.settings).broken is None


def test_d2_08_what_two_people_released_of_it_is_not_completed(allowed):
    """At most what is still held."""
    world = allowed
    world.approved("hold_release", result_id="R", hold_id="PA", amount_minor=4_000,
                   case_number="N")
    assert refused(_complete(world, 1_001), "exceeds_hold")
    posted(_complete(world, 1_000))
    assert _account(world) == (7_000, 7_000)


def test_d2_08_the_payers_limit_counts_the_pre_authorisation_once(world):
    """At its most; the completion counts on the merchant's side alone."""
    world.approved("limit", limit_id="L", scene="payment", account_code="2101",
                   day_minor=5_000, valid_from=DAY.isoformat(), **CNY)
    world.do("top_up", amount_minor=8_000)
    assert refused(_allow(world, 5_001), "limit_exceeded")
    posted(_allow(world))
    posted(_complete(world, 5_000))
    assert refused(_allow(world, 1, name="PB"), "limit_exceeded")


@pytest.mark.parametrize("state", ["suspended", "leaving"])
def test_d2_08_a_merchant_that_starts_nothing_new_finishes_what_was_allowed(allowed, state):
    """The payer had consented before; the money stays pending like any."""
    world = allowed
    if state == "suspended":
        world.approved("party_state", party_id="M1", state=state, suspension_ground="6",
                       evidence="DOC-1")
    else:
        posted(world.send("party_state", ANN, party_id="M1", state=state))
    assert refused(_allow(world, name="PB"), "party_not_active")
    posted(_complete(world, 5_000))


@pytest.mark.parametrize(("mode", "book", "pending"), [
    ("institution", "2101", "2201"), ("bank", "9101", "9201"), ("self", "9111", "9211"),
])
def test_d2_08_it_works_in_the_books_of_each_settlement_mode(world, mode, book, pending):
    """Hold, completion and void stay within one kind of books."""
    tenant(world, settlement_mode=mode)
    world.open([(book, "TU1"), (pending, "TM")] + (
        [] if mode == "institution" else [(world.ledger.chart.modes[mode]["1001"], None)]))
    world.do("top_up", user_id="TU1", amount_minor=8_000)
    posted(_allow(world, merchant="TM", user="TU1"))
    account = world.ledger.state.account(f"{book}:TU1", "CNY")
    assert (account.balance, account.available) == (8_000, 3_000)
    both = {"merchant_id": "TM", "user_id": "TU1"}
    if mode != "institution":
        assert refused(_complete(world, 10, acquirer_fee_minor=1, **both), "fee_not_allowed")
    posted(_complete(world, 4_000, **both))
    assert (account.balance, account.available, world.balance(f"{pending}:TM")) == (
        4_000, 4_000, 4_000)
    posted(world.do("void", original_transaction_id="C"))
    assert (account.available, world.balance(f"{pending}:TM")) == (8_000, 0)
