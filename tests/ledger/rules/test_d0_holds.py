"""D0, rules 13 to 16: denied payments and freezes. Others are in test_settling.py."""

from __future__ import annotations

import orjson
import pytest

from ledger.entrypoints.operations import verify
from ledger.service.deadlines import deadlines
from tests.ledger.conftest import ANN, DAY, SYSTEM
from tests.ledger.rules.words import (
    CNY,
    INTERNAL,
    PLAIN,
    days,
    on,
    plain_weekdays,
    posted,
    refused,
    run,
)

WHOLE = {"issuer_fee_minor": 0, "network_fee_minor": 0, "acquirer_fee_minor": 0}


def _denied(world, **payment):
    world.do("payment", transaction_id="P", amount_minor=6_000, **{**PLAIN, **payment})
    posted(world.send("denied_payment", hold_id="H", original_transaction_id="P",
                      case_number="C1"))
    return world.ledger.state.account("2201:M1", "CNY")


def test_d0_13_exactly_the_amount_of_the_denied_payment_is_frozen(world):
    """The other payments' money stays free."""
    world.do("payment", amount_minor=4_000, **PLAIN)
    account = _denied(world)
    assert (account.balance, account.held, account.available) == (10_000, 6_000, 4_000)
    assert refused(world.do("settlement", amount_minor=4_001), "below_floor")
    posted(world.do("settlement", amount_minor=4_000))


def test_d0_13_the_same_payment_is_not_frozen_twice(world):
    """A second denial takes what an earlier one left; what was released may be frozen again."""
    world.do("payment", amount_minor=9_000, **PLAIN)
    account = _denied(world)
    again = {"original_transaction_id": "P", "case_number": "C2"}
    assert refused(world.send("denied_payment", hold_id="H2", **again), "exceeds_original")
    assert account.held == 6_000
    world.approved("hold_release", result_id="R", hold_id="H", case_number="C1",
                   amount_minor=1_000)
    posted(world.send("denied_payment", hold_id="H3", **again))
    assert (account.held, world.ledger.state.holds["H3"]["placed"]) == (6_000, 1_000)
    world.approved("hold_takeover", result_id="T", hold_id="H3", case_number="COURT-9")
    assert refused(world.send("denied_payment", hold_id="H4", **again), "exceeds_original")


def test_d0_13_what_is_frozen_of_a_payment_is_not_disputed_too(world):
    """It would be kept from the merchant twice; what the denial leaves free of it is disputed."""
    world.do("payment", amount_minor=9_000, **PLAIN)
    account = _denied(world)
    asked = {"transaction_id": "D", "original_transaction_id": "P"}
    assert refused(world.do("dispute", amount_minor=1, **asked), "exceeds_original")
    world.approved("hold_release", result_id="R", hold_id="H", case_number="C1",
                   amount_minor=2_000)
    asked["transaction_id"] = "DA"
    assert refused(world.do("dispute", amount_minor=2_001, **asked), "exceeds_original")
    asked["transaction_id"] = "DC"
    posted(world.do("dispute", amount_minor=2_000, **asked))
    assert (account.balance, account.held) == (13_000, 4_000)
    again = {"hold_id": "H4", "original_transaction_id": "P", "case_number": "C2"}
    assert refused(world.send("denied_payment", **again), "exceeds_original")
    assert verify(world.settings).broken is None


def test_d0_14_the_amount_is_deducted_and_goes_the_original_route_by_two(world):
    """Captured to the payer alone, linked to the original, by maker and checker."""
    world.do("top_up", amount_minor=10_000)
    account = _denied(world, **INTERNAL)
    capture = {"hold_id": "H", "case_number": "C1"}
    for wrong in ("1001", "2101:U2"):
        result = world.send("hold_capture", ANN, result_id=f"X{wrong[:4]}", to_account_id=wrong,
                            **capture)
        assert refused(result, "hold_not_allowed", "to_account_id")
    assert refused(world.send("hold_capture", result_id="Y", to_account_id="2101:U1", **capture),
                   "no_right")  # not by one alone
    done = world.approved("hold_capture", result_id="Z", to_account_id="2101:U1", **capture)
    assert [leg[:3] for leg in world.legs(done)] == [
        ("2201:M1", "D", 6_000), ("2101:U1", "C", 6_000)]
    assert (account.balance, account.held, world.balance("2101:U1")) == (0, 0, 10_000)
    again = world.do("refund", original_transaction_id="P", amount_minor=1, **WHOLE)
    assert refused(again, "exceeds_original")  # given back already


def test_d0_14_merchant_and_cardholder_have_a_working_day_from_the_notice(world):
    """Denied on Saturday 12 September: until Monday. Overdue decides nothing by itself, and a
    merchant that cannot solve it need not be waited for."""
    _denied(world)
    (line,) = deadlines(world.ledger, days(2))
    assert (line["kind"], line["number"], line["due_on"], line["overdue"]) == (
        "denied_payment", "H", "2026-09-14", False)
    assert deadlines(world.ledger, days(3))[0]["overdue"]
    world.approved("hold_release", result_id="R", hold_id="H", case_number="C1")
    assert deadlines(world.ledger, days(3)) == []


def test_d0_14_what_was_refunded_meanwhile_is_not_deducted_again(world):
    """No more is captured than is left of the original."""
    world.do("payment", amount_minor=9_000, **PLAIN)
    _denied(world)
    posted(world.do("refund", original_transaction_id="P", amount_minor=2_000, **WHOLE))
    capture = {"hold_id": "H", "case_number": "C1", "to_account_id": "1001"}
    assert refused(world.send("hold_capture", ANN, result_id="A", **capture), "exceeds_original")
    world.approved("hold_capture", result_id="B", amount_minor=4_000, **capture)
    assert refused(world.send("hold_capture", ANN, result_id="C", amount_minor=1, **capture),
                   "exceeds_original")


def test_d0_14_an_authority_that_took_the_hold_over_says_where_the_money_goes(world):
    """The original's route binds the institution's own deduction alone."""
    world.do("top_up", amount_minor=10_000)
    account = _denied(world, **INTERNAL)
    world.approved("hold_takeover", result_id="T", hold_id="H", case_number="COURT-9")
    world.approved("hold_capture", result_id="Z", hold_id="H", to_account_id="1001",
                   case_number="COURT-9")
    assert (account.balance, account.held) == (0, 0)


def test_d0_14_what_an_authority_gives_back_to_the_payer_is_not_refunded_again(world):
    """It counts against the payment, whoever took the hold over; its reversal takes it back."""
    world.do("top_up", amount_minor=10_000)
    world.do("payment", amount_minor=9_000, **PLAIN)
    _denied(world, **INTERNAL)
    world.approved("hold_takeover", result_id="T", hold_id="H", case_number="COURT-9")
    order = {"hold_id": "H", "to_account_id": "2101:U1", "case_number": "COURT-9"}
    back = {"original_transaction_id": "P", **WHOLE}
    done = world.approved("hold_capture", result_id="A", amount_minor=4_000, **order)
    assert refused(world.do("refund", amount_minor=2_001, **back), "exceeds_original")
    posted(world.do("refund", amount_minor=1_500, **back))
    more = world.send("hold_capture", ANN, result_id="B", amount_minor=501, **order)
    assert refused(more, "exceeds_original", "amount_minor")
    world.approved("reversal", adjustment_id="AD", incident_number="I", reason="x",
                   journal_id=done["journal_id"])
    posted(world.do("refund", amount_minor=4_500, **back))
    assert world.balance("2101:U1") == 10_000
    assert verify(world.settings).broken is None


def test_d0_16_a_denied_payment_is_not_given_back_out_of_frozen_money(world):
    """The money that an authority froze stays for it, as under an order on the whole account; what
    comes in beside it goes back to the payer."""
    world.do("payment", amount_minor=4_000, **PLAIN)
    _denied(world)
    posted(world.send("hold", hold_id="A", hold_kind="authority", account_id="2201:M1",
                      amount_minor=10_000, case_number="COURT-9", **CNY))
    capture = {"hold_id": "H", "case_number": "C1", "to_account_id": "1001"}
    assert refused(world.send("hold_capture", ANN, result_id="X", **capture), "below_floor")
    world.do("payment", amount_minor=4_000, **PLAIN)
    world.approved("hold_capture", result_id="Y", amount_minor=4_000, **capture)
    assert refused(world.send("hold_capture", ANN, result_id="Z", amount_minor=1, **capture),
                   "below_floor")
    assert world.balance("2201:M1") == 10_000
    assert verify(world.settings).broken is None


def _frozen(world, name, kind="authority", case="COURT", day=0, amount=10_000):
    posted(world.send("hold", hold_id=name, hold_kind=kind, account_id="2201:M1",
                      amount_minor=amount, case_number=case, **CNY, **on(world, day)))


def _captured(world, name, amount, case, day=0):
    return world.send("hold_capture", ANN, result_id=f"{name}{world.number}", hold_id=name,
                      to_account_id="2211:M1", amount_minor=amount, case_number=case,
                      **on(world, day))


def test_d0_16_the_institutions_freeze_is_not_captured_out_of_an_orders_money(world):
    """Of 10,000 an order has 6,000, whenever it came; what the freeze holds itself is no hindrance
    to it, also where that is more than there is."""
    world.do("payment", amount_minor=10_000, **PLAIN)
    _frozen(world, "S", "suspicious", "CASE-1", amount=20_000)
    _frozen(world, "A", amount=6_000, day=1)
    assert refused(_captured(world, "S", 4_001, "CASE-1", 1), "below_floor")
    waits = _captured(world, "S", 4_000, "CASE-1", 1)
    posted(world.approve(waits["sequence"], **on(world, 1)))
    waits = _captured(world, "A", 6_000, "COURT", 1)  # an order is carried out all the same
    posted(world.approve(waits["sequence"], **on(world, 1)))
    assert world.balance("2201:M1") == 0
    assert verify(world.settings).broken is None


def test_d0_16_of_two_orders_on_the_same_money_the_earlier_takes_it(world):
    """The later one takes what is left of it."""
    world.do("payment", amount_minor=10_000, **PLAIN)
    _frozen(world, "A", case="FIRST", amount=7_000)
    _frozen(world, "B", case="SECOND", day=1)
    assert refused(_captured(world, "B", 3_001, "SECOND", 1), "below_floor")
    for name, amount, case in (("B", 3_000, "SECOND"), ("A", 7_000, "FIRST")):
        waits = _captured(world, name, amount, case, 1)
        posted(world.approve(waits["sequence"], **on(world, 1)))
    assert world.balance("2201:M1") == 0
    assert verify(world.settings).broken is None


def test_d0_16_a_capture_takes_nothing_that_is_under_way_to_a_bank(world):
    """A freeze that came later may be larger than what is free; the money of a withdrawal has left
    all the same, so the capture takes the rest alone, and the result is booked."""
    world.do("top_up", amount_minor=10_000)
    posted(world.do("withdrawal", withdrawal_id="W", amount_minor=9_000, fee_minor=45))
    posted(world.send("hold", hold_id="H", hold_kind="suspicious", account_id="2101:U1",
                      amount_minor=10_000, case_number="C", **CNY))
    capture = {"hold_id": "H", "to_account_id": "2101:U2", "case_number": "C"}
    for name, amount in (("A", None), ("B", 956)):
        most = world.send("hold_capture", ANN, result_id=name, amount_minor=amount, **capture)
        assert refused(most, "below_floor")
    world.approved("hold_capture", result_id="D", amount_minor=955, **capture)
    posted(world.do("withdrawal_result", withdrawal_id="W"))
    assert (world.balance("2101:U1"), world.balance("2101:U2")) == (0, 955)
    assert verify(world.settings).broken is None


def test_d0_16_a_capture_takes_nothing_that_a_bank_was_instructed_to_pay(world):
    """Nor does that of a denied payment, however large it is; it is filled by what comes later."""
    world.merchant("MB", settlement_mode="bank")
    world.open([("9001", None), ("9201", "MB")])
    world.do("payment", transaction_id="P", merchant_id="MB", amount_minor=3_000, **PLAIN)
    assert run(world, 0).booked == {"settlement": 1}
    posted(world.send("denied_payment", hold_id="H", original_transaction_id="P",
                      case_number="C1"))
    capture = {"hold_id": "H", "to_account_id": "9001", "case_number": "C1"}
    assert refused(world.send("hold_capture", ANN, result_id="A", **capture), "below_floor")
    posted(world.send("settlement_result", result_id="R", payout_id=f"settlement-{DAY}-MB-CNY",
                      result="succeeded"))
    assert refused(world.send("hold_capture", ANN, result_id="B", **capture), "below_floor")
    world.do("payment", merchant_id="MB", amount_minor=3_000, **PLAIN)
    world.approved("hold_capture", result_id="D", **capture)
    assert (world.balance("9201:MB"), world.balance("9001")) == (0, 0)
    assert verify(world.settings).broken is None


def test_d0_15_the_last_day_is_the_180th_after_the_freeze(world):
    """Freeze day is 0; no date of its own can lengthen it."""
    _denied(world)
    (hold,) = world.ledger.state.holds.values()
    assert hold["expires_on"] == days(180).isoformat()
    longer = world.send("hold", hold_id="H2", hold_kind="denied", account_id="2201:M1",
                        amount_minor=1, case_number="C", expires_on=days(181).isoformat(), **CNY)
    assert refused(longer, "hold_not_allowed", "hold_kind")  # nor a hold that names no payment


@pytest.mark.parametrize("how", ["released", "ended", "both"])
def test_d0_15_a_payment_that_is_denied_again_is_not_frozen_beyond_its_180_days(world, how):
    """The days are the payment's: a later denial ends with the first, and after it there is
    none; also after a start from what was written down."""
    account = _denied(world)
    again = {"original_transaction_id": "P", "case_number": "C2"}
    if how != "ended":
        world.approved("hold_release", result_id="R", hold_id="H", case_number="C1",
                       amount_minor=2_000)
        world.close()
        world.ledger.checkpoint()
        world.reopen()
        account = world.ledger.state.account("2201:M1", "CNY")
        posted(world.send("denied_payment", hold_id="H2", **again, **on(world, 100)))
        hold = world.ledger.state.holds["H2"]
        assert (hold["placed_on"], hold["expires_on"]) == (
            days(100).isoformat(), days(180).isoformat())
        assert account.held == 6_000
    if how != "released":
        posted(world.do("payment", amount_minor=5, **PLAIN, **on(world, 181)))
        assert account.held == 0
        late = world.send("denied_payment", hold_id="H3", **again, **on(world, 181))
        assert refused(late, "hold_not_allowed", "original_transaction_id")
        assert days(180).isoformat() in late["detail"]
    assert verify(world.settings).broken is None


def test_d0_15_the_days_of_a_freeze_by_the_template_of_before_count_too(world):
    """It left its date in the hold alone."""
    _denied(world)
    world.approved("hold_release", result_id="R", hold_id="H", case_number="C1",
                   amount_minor=2_000)
    world.ledger.state.items["P"].pop("denied_on")
    posted(world.send("denied_payment", hold_id="H2", original_transaction_id="P",
                      case_number="C2", **on(world, 100)))
    assert world.ledger.state.holds["H2"]["expires_on"] == days(180).isoformat()


def test_d0_15_a_payment_that_was_denied_and_released_is_reversed(world):
    """That it was frozen once is not done to it any more."""
    payment = world.do("payment", transaction_id="P", amount_minor=6_000, **PLAIN)
    posted(world.send("denied_payment", hold_id="H", original_transaction_id="P",
                      case_number="C1"))
    back = {"adjustment_id": "AD", "incident_number": "I", "reason": "x",
            "journal_id": payment["journal_id"]}
    assert refused(world.send("reversal", ANN, **back), "exceeds_original")
    world.approved("hold_release", result_id="R", hold_id="H", case_number="C1")
    world.approved("reversal", **back)
    assert verify(world.settings).broken is None


def _released(world):
    """Booking dates of the entries by which holds came to their end."""
    return [row[10] for row in world.ledger.store.entries(1) if row[2] == "hold_expiry"]


def test_d0_15_the_release_is_booked_on_day_180_at_its_close(world):
    """The close comes after the cut-off; the entry is of the closed date all the same."""
    account = _denied(world)
    world.close()
    world.close(days(179))
    assert account.held == 6_000
    world.close(days(180))
    assert (account.held, _released(world)) == (0, [days(180).isoformat()])
    world.reopen()
    assert world.ledger.state.account("2201:M1", "CNY").held == 0
    assert verify(world.settings).broken is None


@pytest.mark.parametrize("first", ["close", "command", "refused", "run", "linked", "hour"])
def test_d0_15_the_release_is_booked_on_day_180_by_what_comes_first_after_it(world, first):
    """Nobody closes or sends anything for days."""
    _denied(world)
    world.close()
    when = on(world, 185)
    if first == "close":
        world.close(days(185))
    elif first == "command":
        posted(world.do("payment", amount_minor=5, **PLAIN, **when))
    elif first == "refused":
        refused(world.do("payment", merchant_id="M9", **when), "party_unknown")
    elif first == "linked":
        world.ledger.apply([
            world.command("payment", amount_minor=5, linked=True, **PLAIN, **when),
            world.command("refund", original_transaction_id="none", **when)])
        posted(world.do("payment", amount_minor=5, **PLAIN, **when))
    elif first == "hour":
        world.ledger.end_holds_before_today()
    else:
        plain_weekdays(world)
        assert run(world, 185).amounts == {"settlement": 6_000}
    assert world.ledger.state.account("2201:M1", "CNY").held == 0
    assert _released(world) == [days(180).isoformat()]
    world.close(days(185))
    world.reopen()
    assert world.ledger.state.account("2201:M1", "CNY").held == 0
    assert verify(world.settings).broken is None


def test_d0_15_a_command_of_day_180_itself_finds_the_hold(world):
    """The last day belongs to the freeze."""
    account = _denied(world)
    posted(world.do("payment", amount_minor=5, **PLAIN, **on(world, 180)))
    assert (account.held, _released(world)) == (6_000, [])


def test_d0_15_the_release_is_the_ledgers_own_beside_a_callers_signed_batch(world, caller):
    """It carries neither the caller's name nor its request, and both stand in the chain."""
    account = _denied(world)
    when = on(world, 181)
    body = orjson.dumps({"commands": [
        world.of("C1", world.command("payment", amount_minor=5, **PLAIN, **when))
        for _ in range(2)
    ]})
    answer = caller.send("POST", "/v1/batches", body).json()
    assert [result["status"] for result in answer["results"]] == ["posted", "posted"]
    assert (account.held, _released(world)) == (0, [days(180).isoformat()])
    row = next(row for row in world.ledger.store.entries(1) if row[2] == "hold_expiry")
    assert (row[7], row[8]) == ("system:ledger", "")
    found = verify(world.settings)
    assert (found.broken, found.requests) == (None, 1)


def test_d0_15_a_dry_run_ends_no_hold(world):
    """What is only tried leaves no trace; the next command of that date ends it."""
    account = _denied(world)
    when = on(world, 181)
    world.ledger.dry_run([world.command("payment", amount_minor=5, **PLAIN, **when)])
    assert (account.held, _released(world)) == (6_000, [])
    posted(world.do("payment", amount_minor=5, **PLAIN, **when))
    assert (account.held, _released(world)) == (0, [days(180).isoformat()])


def test_d0_15_an_orders_own_end_applies_after_it_took_the_hold_over(world):
    """The order's number and end stand in the hold; it is released on that date."""
    account = _denied(world)
    world.approved("hold_takeover", result_id="T", hold_id="H", case_number="COURT-9",
                   expires_on=days(200).isoformat())
    for number, held in ((0, 6_000), (180, 6_000), (199, 6_000), (200, 0)):
        world.close(days(number))
        assert account.held == held, number
    assert account.balance == 6_000


def test_d0_15_an_order_takes_a_hold_over_by_two_and_has_not_ended(world):
    """Nobody frees money alone by the number of an order; an order of yesterday takes nothing."""
    world.close()
    when = on(world, 1)
    posted(world.send("hold", hold_id="H", hold_kind="suspicious", account_id="2101:U1",
                      amount_minor=900, case_number="C", **CNY, **when))
    order = {"hold_id": "H", "case_number": "COURT-9", **when}
    alone = world.send("hold_takeover", result_id="T1", expires_on=days(1).isoformat(), **order)
    assert refused(alone, "no_right")
    waits = world.send("hold_takeover", ANN, result_id="T2", **order)
    assert waits["status"] == "pending"
    assert refused(world.approve(waits["sequence"], "ann", **when), "maker_is_checker")
    past = world.send("hold_takeover", ANN, result_id="T3", expires_on=days(0).isoformat(), **order)
    assert refused(past, "hold_not_allowed", "expires_on")
    world.close(days(1))
    assert world.ledger.state.account("2101:U1", "CNY").held == 900


def test_d0_16_an_order_is_not_replaced_by_another_which_is_a_hold_of_its_own(world):
    """Each authority's money stays until that authority releases it."""
    for number in ("1", "2"):
        posted(world.send("hold", hold_id=f"H{number}", hold_kind="authority",
                          account_id="2101:U1", amount_minor=900, case_number=f"COURT-{number}",
                          **CNY))
    again = world.send("hold_takeover", ANN, result_id="T", hold_id="H1", case_number="COURT-3",
                       expires_on=days(0).isoformat())
    assert refused(again, "hold_not_allowed", "hold_id")
    world.approved("hold_release", result_id="R", hold_id="H1", case_number="COURT-1")
    assert world.ledger.state.account("2101:U1", "CNY").held == 900


@pytest.mark.parametrize("kind", ["banned", "suspicious", "objection"])
def test_d0_16_other_freezes_are_placed_at_once_by_one(world, kind):
    """With a case number, without an end, released by a person and a checker."""
    world.do("payment", amount_minor=9_000, **PLAIN)
    account = world.ledger.state.account("2201:M1", "CNY")
    freeze = {"hold_kind": kind, "account_id": "2201:M1", "amount_minor": 9_000, **CNY}
    bare = world.send("hold", hold_id="H0", **freeze)
    assert (bare["reason"], bare["field"]) == ("missing_field", "case_number")
    ends = world.send("hold", hold_id="H1", case_number="C", expires_on=days(9).isoformat(),
                      **freeze)
    assert refused(ends, "hold_not_allowed", "expires_on")
    posted(world.send("hold", ANN, hold_id="H", case_number="C", **freeze))
    assert account.available == 0
    world.close()
    world.close(days(400))
    assert account.held == 9_000  # no term
    when = on(world, 401)
    release = {"hold_id": "H", "case_number": "C", **when}
    assert refused(world.send("hold_release", result_id="R1", **release), "no_right")
    waits = world.send("hold_release", ANN, result_id="R2", **release)
    assert refused(world.approve(waits["sequence"], "ann", **when), "maker_is_checker")
    posted(world.approve(waits["sequence"], **when))
    assert account.held == 0


def test_d0_16_the_freeze_of_an_unmet_request_needs_two(world):
    """It waits for a checker and holds nothing until then."""
    freeze = {"hold_id": "H", "hold_kind": "evidence", "account_id": "2211:M1",
              "case_number": "C", **CNY}
    assert refused(world.send("hold", **freeze), "no_right")
    waits = world.send("hold", ANN, **{**freeze, "hold_id": "H2"})
    assert (waits["status"], world.ledger.state.holds) == ("pending", {})
    posted(world.approve(waits["sequence"]))
    assert world.ledger.state.account("2211:M1", "CNY").frozen == 1


def test_d0_16_under_an_order_only_the_authoritys_release_frees(world):
    """Another number than the order's does not release it, even by two."""
    posted(world.send("hold", hold_id="H", hold_kind="authority", account_id="2101:U1",
                      case_number="COURT-9", **CNY))
    other = world.send("hold_release", ANN, result_id="R", hold_id="H", case_number="CASE-1")
    assert refused(other, "hold_not_allowed", "case_number")
    world.approved("hold_release", result_id="R2", hold_id="H", case_number="COURT-9")
    assert world.ledger.state.account("2101:U1", "CNY").frozen == 0


STATUSES = ("normal", "no_debit", "no_credit", "frozen", "closed")
#: What one person may do alone: it permits nothing that was not permitted before.
ALONE = {
    "normal": {"no_debit", "no_credit", "frozen", "closed"}, "no_debit": {"frozen", "closed"},
    "no_credit": {"closed"}, "frozen": set(),
}


@pytest.mark.parametrize(("before", "after"), [
    (before, after) for before in ALONE for after in STATUSES if before != after
])
def test_d0_16_a_status_that_permits_more_than_before_is_set_by_two(world, before, after):
    """A freeze is ended by two, whatever comes in its place; one person may only restrict."""
    def change(status, actor):
        return world.send("account_status", actor, account_id="2101:U1", status=status,
                          reason="x", **CNY)
    if before != "normal":
        posted(change(before, ANN))
    done = change(after, ANN)
    if after in ALONE[before]:
        posted(done)
    else:
        assert done["status"] == "pending"
        assert refused(change(after, SYSTEM), "no_right")
        assert refused(world.approve(done["sequence"], "ann"), "maker_is_checker")
        assert world.ledger.state.account("2101:U1", "CNY").status == before
        posted(world.approve(done["sequence"]))
    assert world.ledger.state.account("2101:U1", "CNY").status == after
    assert verify(world.settings).broken is None


@pytest.mark.parametrize(("status", "is_freeze"), [
    ("frozen", True), ("no_debit", True), ("no_credit", False), ("closed", False),
])
def test_d0_16_a_status_that_keeps_the_money_in_names_its_case(world, status, is_freeze):
    """Whatever it is called: what may not leave is frozen, so by nobody without a case number."""
    change = {"account_id": "2101:U1", "status": status, "reason": "x", **CNY}
    for actor in (ANN, SYSTEM):
        if is_freeze:
            bare = world.send("account_status", actor, case_number=None, **change)
            assert refused(bare, "register_differs", "case_number")
    posted(world.send("account_status", ANN, case_number="COURT-9" if is_freeze else None,
                      **change))
    assert world.ledger.state.account("2101:U1", "CNY").status == status
    assert verify(world.settings).broken is None


@pytest.mark.usefixtures("older_after_newer")
def test_d0_16_a_freeze_of_before_without_a_case_still_verifies(world):
    """Its template did not ask."""
    with world.of_before("account_status", 3, check=None):
        posted(world.send("account_status", ANN, account_id="2101:U1", status="frozen",
                          case_number=None, reason="x", **CNY))
    assert verify(world.settings).broken is None
    world.reopen()
    assert world.ledger.state.account("2101:U1", "CNY").status == "frozen"


def test_d0_16_money_under_an_order_is_taken_by_that_order_alone(world):
    """Another number than the order's does not move it, even by two."""
    world.do("payment", amount_minor=9_000, **PLAIN)
    posted(world.send("hold", hold_id="H", hold_kind="authority", account_id="2201:M1",
                      amount_minor=900, case_number="COURT-9", **CNY))
    capture = {"hold_id": "H", "to_account_id": "2211:M1"}
    other = world.send("hold_capture", ANN, result_id="C1", case_number="CASE-1", **capture)
    assert refused(other, "hold_not_allowed", "case_number")
    world.approved("hold_capture", result_id="C2", case_number="COURT-9", **capture)
    assert world.balance("2211:M1") == 900


def test_d0_15_an_order_that_has_ended_freezes_nothing(world):
    """Its end would be booked before it: on its own last day it still holds."""
    world.close()
    order = {"account_id": "2101:U1", "hold_kind": "authority", "case_number": "ORDER", **CNY}
    when = on(world, 3)
    late = world.send("hold", hold_id="H", expires_on=days(2).isoformat(), **order, **when)
    assert refused(late, "hold_not_allowed", "expires_on")
    posted(world.send("hold", hold_id="H2", expires_on=days(3).isoformat(), **order, **when))


def test_d0_15_a_hold_that_is_placed_late_on_its_last_date_ends_with_the_next_command(world):
    """The clock of a simulated ledger went back; what comes first after that date ends it, in the
    memory of a service that runs on as in that of one that was started again."""
    world.close()
    order = {"account_id": "2101:U1", "hold_kind": "authority", "case_number": "ORDER", **CNY}
    posted(world.do("payment", amount_minor=5, **PLAIN, **on(world, 2)))
    early = on(world, 1)
    posted(world.send("hold", hold_id="H", expires_on=days(1).isoformat(), **order, **early))
    posted(world.do("payment", amount_minor=5, **PLAIN, **on(world, 2)))
    assert world.ledger.state.holds == {} and _released(world) == [days(1).isoformat()]
