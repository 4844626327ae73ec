"""D0.73 and D2.8: what a reversal leaves of an original and of what was done to it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledger.domain import corrections, registers
from ledger.domain.operations import Operations
from ledger.entrypoints.operations import verify
from ledger.service.verify import reversals
from tests.ledger.conftest import ANN
from tests.ledger.rules.words import CNY, INTERNAL, PLAIN, posted, refused
from tests.ledger.test_verify import _broken, _forge

FEES = {"issuer_fee_minor": 35, "network_fee_minor": 3, "acquirer_fee_minor": 22}


def _back(world, result, **more):
    """The command that reverses a journal."""
    world.number += 1
    return {"adjustment_id": f"AD{world.number}", "incident_number": "INC-1", "reason": "wrong",
            "journal_id": result["journal_id"], **more}


def _reversed(world, result):
    return world.approved("reversal", **_back(world, result))


def _not_reversed(world, result, reason="exceeds_original"):
    """Neither as it is in memory, nor once what was done is written down and no longer there."""
    assert refused(world.send("reversal", ANN, **_back(world, result)), reason)
    world.ledger.checkpoint()
    return refused(world.send("reversal", ANN, **_back(world, result)), reason)


def _verified(world):
    """Everything is the same after a start, and verifies."""
    before = world.balances()
    world.ledger.checkpoint()
    world.reopen()
    assert world.balances() == before
    assert verify(world.settings).broken is None


def _to_payment(world, type_, **values):
    common = {"original_transaction_id": "P"}
    if type_ in ("refund", "void", "dispute", "denied_payment"):
        return world.do(type_, **{**common, **values})
    return world.send(type_, ANN, transaction_id="X", **{**common, **values}, **CNY)


@pytest.mark.parametrize("checkpoint", [False, True])
def test_d0_73_nothing_refers_to_a_payment_that_was_reversed(world, checkpoint):
    """No refund, void, dispute, chargeback or denial pays it out a second time."""
    world.do("payment", amount_minor=50_000, **PLAIN)
    done = posted(world.do("payment", transaction_id="P", **PLAIN))
    _reversed(world, done)
    if checkpoint:
        world.ledger.checkpoint()
        world.reopen()
    for type_, values in (
        ("refund", PLAIN), ("void", {}), ("dispute", {}), ("denied_payment", {}),
        ("chargeback", {"amount_minor": 1, "case_number": "N"}),
    ):
        assert refused(_to_payment(world, type_, **values), "already_reversed"), type_
    assert world.balance("2201:M1") == 50_000


def test_d0_73_in_one_batch_too(world):
    """What the batch itself reversed before."""
    world.do("payment", amount_minor=50_000, **PLAIN)
    done = posted(world.do("payment", transaction_id="P", **PLAIN))
    waits = world.send("reversal", ANN, **_back(world, done))
    approve = {
        "type": "approve", "idempotency_key": "ok", "occurred_at": "2026-09-12T02:00:00Z",
        "pending": waits["sequence"], "operator_id": "ben",
        "signature": world.signature(waits["sequence"]),
    }
    from ledger.domain.actors import Actor

    refund = world.command("refund", original_transaction_id="P", amount_minor=10_000)
    results = world.ledger.apply([approve, refund], Actor("operator", "ben"))
    posted(results[0])
    assert refused(results[1], "already_reversed")


@pytest.mark.parametrize("since", ["refund", "void", "dispute", "chargeback", "denied_payment"])
def test_d0_73_a_payment_to_which_something_was_done_is_not_reversed_whole(world, since):
    """What was refunded, disputed or frozen is undone first; then it can be."""
    world.do("payment", amount_minor=50_000, **PLAIN)
    done = posted(world.do("payment", transaction_id="P", **PLAIN))
    part = {"amount_minor": 4_000}
    later = posted(_to_payment(world, since, **{
        "refund": {**part, **PLAIN}, "void": {}, "dispute": part, "denied_payment": {},
        "chargeback": {**part, "case_number": "N"},
    }[since]))
    assert _not_reversed(world, done)
    if since == "denied_payment":
        hold = next(iter(world.ledger.state.holds))
        world.approved("hold_release", result_id="R", hold_id=hold, case_number="N")
    else:
        _reversed(world, later)
    _reversed(world, done)
    assert world.balance("2201:M1") == 50_000 and world.balance("2202:M1") == 0
    _verified(world)


@pytest.mark.parametrize(("since", "sure"), [(4, True), (5, False)])
def test_d0_73_a_reversal_that_overlooked_a_refund_is_named(world, monkeypatch, since, sure):
    """One of an older template is not: it did not promise it."""
    world.do("payment", amount_minor=50_000, **PLAIN)
    done = posted(world.do("payment", transaction_id="P", **PLAIN))
    posted(world.do("refund", original_transaction_id="P", amount_minor=4_000, **PLAIN))
    world.ledger.checkpoint()
    known = world.ledger.operations
    old = replace(known.by_type["reversal"], version=4)
    world.ledger.operations = Operations({**known.by_type, "reversal": old}, known.versions)
    monkeypatch.setattr(reversals, "_SURE_SINCE", since)
    with monkeypatch.context() as patched:
        patched.setattr(world.ledger.pipeline.reads.reader, "items", lambda *_: {})
        wrong = _reversed(world, done)
    if sure:
        assert _broken(world) == (
            f"entry {wrong['sequence']} ({wrong['journal_id']}): it reverses "
            f"{done['journal_id']}, which was refunded since"
        )
    else:
        assert verify(world.settings).broken is None


def test_d0_73_what_is_no_reversal_of_its_journal_is_named(world, monkeypatch):
    """Its legs are the journal's with sides changed, and none is reversed twice."""
    done = posted(world.do("payment", **PLAIN))
    _reversed(world, done)
    with monkeypatch.context() as patched:
        patched.setattr(world.ledger.pipeline.reads.reader, "items", lambda *_: {})
        world.ledger.checkpoint()
        world.do("payment", **PLAIN)
        _reversed(world, done)
    assert _broken(world).endswith(f"it reverses {done['journal_id']} a second time")


def test_d0_73_a_reversal_of_another_sum_is_named(world, monkeypatch):
    done = posted(world.do("payment", **PLAIN))
    world.do("payment", amount_minor=1, **PLAIN)
    real = corrections.HANDLERS["reversal"]

    def one_more(*given):
        plan = real(*given)
        for leg in plan.legs:
            leg[3] += 1
        return plan

    monkeypatch.setitem(registers.HANDLERS, "reversal", one_more)
    _reversed(world, done)
    assert _broken(world).endswith(
        f"its legs are not those of {done['journal_id']} with sides changed")


def test_d0_73_a_reversal_that_gives_its_original_nothing_back_is_named(world):
    """What it changes is what its template undoes, no less."""
    posted(world.do("payment", transaction_id="P", amount_minor=10_000, **PLAIN))
    refund = posted(world.do("refund", original_transaction_id="P", amount_minor=4_000, **PLAIN))
    _reversed(world, refund)
    assert verify(world.settings).broken is None
    _forge(world, "update entry set effects = replace(effects, '\"refunded\":0', "
                  "'\"refunded\":9') where type = 'reversal' and outcome = 'posted'")
    assert _broken(world).endswith("what it changes is not what its content says")


def test_d0_73_a_refund_that_was_reversed_is_left_to_refund_again(world):
    """With its fees, to the fen."""
    posted(world.do("payment", transaction_id="P", amount_minor=10_000, **FEES))
    empty = {**world.balances(), **dict.fromkeys(("1001", "2201:M1", "2301"), 0)}
    first = posted(world.do("refund", original_transaction_id="P", amount_minor=333,
                            issuer_fee_minor=1, network_fee_minor=0, acquirer_fee_minor=1))
    second = {"issuer_fee_minor": 1, "network_fee_minor": 0, "acquirer_fee_minor": 0}
    posted(world.do("refund", original_transaction_id="P", amount_minor=333, **second))
    _reversed(world, first)
    assert refused(world.do("refund", original_transaction_id="P", amount_minor=9_668, **FEES),
                   "exceeds_original")
    tiny = {"issuer_fee_minor": 0, "network_fee_minor": 0, "acquirer_fee_minor": 1}
    posted(world.do("refund", original_transaction_id="P", amount_minor=1, **tiny))
    rest = {"issuer_fee_minor": 34, "network_fee_minor": 3, "acquirer_fee_minor": 21}
    posted(world.do("refund", original_transaction_id="P", amount_minor=9_666, **rest))
    assert world.balances() == empty
    _verified(world)


@pytest.mark.parametrize("again", [False, True])
def test_d0_11_a_dispute_of_a_completed_pre_authorisation_that_was_none_rests_nothing(
    world, again
):
    """The completion refers to the pre-authorisation, the dispute to the completion: reversed, no
    dispute is open."""
    world.do("top_up", amount_minor=20_000)
    pay = {"merchant_id": "M1", "user_id": "U1", "amount_minor": 8_000, **CNY}
    posted(world.send("pre_authorisation", transaction_id="PA", **pay,
                      authorisation=world.authorise("U1", "M1", 8_000)))
    posted(world.send("pre_authorisation_completion", transaction_id="P",
                      original_transaction_id="PA", acquirer_fee_minor=0, **pay))
    dispute = posted(_to_payment(world, "dispute", transaction_id="D", amount_minor=8_000))
    if again:
        ends = {"original_transaction_id": "D", "amount_minor": 8_000}
        _reversed(world, posted(world.do("dispute_release", **ends)))
        assert world.balance("2202:M1") == 8_000
    _reversed(world, dispute)
    assert world.balance("2201:M1") == 8_000
    posted(world.do("settlement", amount_minor=8_000))
    _verified(world)


def test_d0_73_a_dispute_and_what_ended_it_are_reversed_one_after_the_other(world):
    """The last first; the payment is whole again at the end."""
    world.do("payment", amount_minor=50_000, **PLAIN)
    done = posted(world.do("payment", transaction_id="P", **PLAIN))
    dispute = posted(world.do("dispute", transaction_id="D", original_transaction_id="P"))
    release = posted(world.do("dispute_release", original_transaction_id="D"))
    assert _not_reversed(world, dispute)
    _reversed(world, release)
    assert refused(world.do("refund", original_transaction_id="P", **PLAIN), "exceeds_original")
    assert not any(name.startswith("quiet/") for name in
                   world.ledger.state.account("2201:M1", "CNY").buckets)
    capture = world.approved("dispute_capture", transaction_id="C", original_transaction_id="D",
                             case_number="N")
    assert _not_reversed(world, dispute)
    _reversed(world, capture)
    _reversed(world, dispute)
    assert refused(world.do("dispute_release", original_transaction_id="D"), "already_reversed")
    _reversed(world, done)
    assert (world.balance("2201:M1"), world.balance("2202:M1")) == (50_000, 0)
    _verified(world)


def test_d0_73_a_release_is_not_reversed_once_its_payment_was_given_back(world):
    """It would be given back twice."""
    world.do("payment", amount_minor=50_000, **PLAIN)
    world.do("payment", transaction_id="P", **PLAIN)
    world.do("dispute", transaction_id="D", original_transaction_id="P")
    release = posted(world.do("dispute_release", original_transaction_id="D"))
    posted(world.do("refund", original_transaction_id="P", amount_minor=1, **PLAIN))
    assert _not_reversed(world, release)


def test_d0_73_what_a_denied_payment_took_is_left_of_it_again(world):
    """The capture was wrong: the payment may be refunded."""
    world.do("top_up", amount_minor=10_000)
    world.do("payment", transaction_id="P", **INTERNAL)
    world.do("denied_payment", hold_id="H", original_transaction_id="P")
    capture = world.approved("hold_capture", result_id="C", hold_id="H", case_number="N",
                             to_account_id="2101:U1")
    assert refused(world.do("refund", original_transaction_id="P", **PLAIN), "exceeds_original")
    _reversed(world, capture)
    posted(world.do("refund", original_transaction_id="P", **PLAIN))
    assert (world.balance("2201:M1"), world.balance("2101:U1")) == (0, 10_000)
    _verified(world)


def test_d0_73_a_result_that_was_reversed_holds_the_withdrawal_again(world):
    """Nobody knows the outcome until the bank or a person says it; then it counts once."""
    world.do("top_up", amount_minor=20_000)
    world.do("withdrawal", withdrawal_id="W", amount_minor=10_000, fee_minor=50)
    paid = posted(world.do("withdrawal_result", withdrawal_id="W"))
    _reversed(world, paid)
    account = world.ledger.state.account("2101:U1", "CNY")
    assert (account.balance, account.held) == (20_000, 10_050)
    assert refused(world.do("withdrawal_returned", withdrawal_id="W"), "not_paid")
    paid = posted(world.do("withdrawal_result", withdrawal_id="W"))
    back = posted(world.do("withdrawal_returned", withdrawal_id="W"))
    assert _not_reversed(world, paid, "already_returned")
    _reversed(world, back)
    assert (account.balance, account.held) == (9_950, 0)
    posted(world.do("withdrawal_returned", withdrawal_id="W"))
    _verified(world)


def test_d0_73_a_payout_that_came_back_is_not_reversed_and_the_other_way_round(world):
    """Each of both would give the merchant its money twice."""
    world.do("payment", amount_minor=10_000, **PLAIN)
    payout = posted(world.do("settlement", payout_id="S", amount_minor=10_000))
    back = posted(world.send("settlement_returned", return_id="B", payout_id="S"))
    assert _not_reversed(world, payout)
    _reversed(world, back)
    _reversed(world, payout)
    assert refused(world.send("settlement_returned", return_id="B2", payout_id="S"),
                   "already_reversed")
    assert world.balance("2201:M1") == 10_000


def test_d0_73_a_bank_receipt_serves_again_once_its_application_was_reversed(world):
    """Once; and one that serves is not reversed."""
    receipt = posted(world.send("receipt", receipt_id="R", amount_minor=500, **CNY))
    wanted = {"merchant_id": "M1", "receipt_id": "R", "amount_minor": 500, **CNY}
    first = world.approved("merchant_top_up", application_id="A", **wanted)
    assert _not_reversed(world, receipt)
    _reversed(world, first)
    posted(world.send("receipt_returned", return_id="B", receipt_id="R"))
    assert refused(world.send("merchant_top_up", ANN, application_id="A2", **wanted),
                   "receipt_used")


def test_d0_73_a_wealth_product_and_a_recovery_are_open_again(world):
    """Redeemed or recovered by mistake."""
    world.do("top_up", amount_minor=1_000)
    bought = posted(world.send("wealth_purchase", transaction_id="B", user_id="U1",
                               product_id="F", amount_minor=1_000,
                               authorisation=world.authorise("U1", "F", 1_000), **CNY))
    redeem = {"original_transaction_id": "B", "amount_minor": 1_000, **CNY}
    redeemed = posted(world.send("wealth_redemption", transaction_id="R", **redeem))
    assert _not_reversed(world, bought)
    _reversed(world, redeemed)
    posted(world.send("wealth_redemption", transaction_id="R2", **redeem))
    world.register("own_funds", movement_id="O", amount_minor=900, **CNY)
    paid = world.approved("compensation", movement_id="C", user_id="U1", amount_minor=900,
                          case_number="N", finding="merchant", evidence="E", **CNY)
    claim = {"compensation_id": "C", "merchant_id": "M1", "amount_minor": 900,
             "case_number": "N", **CNY}
    owed = world.approved("recovery", movement_id="Y", **claim)
    assert _not_reversed(world, paid)
    _reversed(world, owed)
    owed = world.approved("recovery", movement_id="Y2", **claim)
    _reversed(world, owed)
    _reversed(world, paid)
    assert refused(world.send("recovery", ANN, movement_id="Y3", **claim), "already_reversed")
    _verified(world)


def test_d0_73_a_reversal_is_not_reversed(world):
    """What was reversed by mistake is booked anew."""
    done = posted(world.do("payment", **PLAIN))
    assert _not_reversed(world, _reversed(world, done), "already_reversed")


@pytest.mark.parametrize("done", ["refund", "void", "dispute"])
def test_d0_73_what_was_done_to_a_payment_is_known_after_a_start_too(world, done):
    """Its counters are in the checkpoint then, and no longer in memory."""
    paid = posted(world.do("payment", transaction_id="P", **PLAIN))
    values = {} if done == "void" else {"amount_minor": 100}
    posted(world.do(done, transaction_id="X", original_transaction_id="P", **values,
                    **(PLAIN if done == "refund" else {})))
    world.ledger.checkpoint()
    world.reopen()
    assert _not_reversed(world, paid)
    _verified(world)
