"""D1: the payment account of a user."""

from __future__ import annotations

import time

import orjson
import pytest

from ledger.adapters.export import ledger_path
from ledger.entrypoints.operations import open_ledger, verify
from ledger.service.deadlines import deadlines
from ledger.service.events import events
from ledger.service.faults import RequestRefused
from ledger.service.queries import standing
from ledger.service.statements import Asked, statement, window_start
from paylake.dates import next_working_day
from tests.ledger.conftest import ANN, BEN, DAY, SYSTEM, at
from tests.ledger.rules.words import CNY, INTERNAL, PLAIN, days, on, posted, refused


def _statement(world, account="2101:U1", **asked):
    return statement(world.ledger, account, "CNY", Asked(**asked), 0, 100)["movements"]


def _withdraw(world, amount, fee, **values):
    return world.do("withdrawal", amount_minor=amount, fee_minor=fee, **values)


def test_d1_06_each_balance_change_makes_one_notice_without_c2_data(world):
    """By account, with amount and time; no account number, no name."""
    last = events(world.ledger.store, None, 1000)["next"]
    world.do("top_up", amount_minor=10_000)
    world.do("withdrawal", withdrawal_id="W", amount_minor=5_000, fee_minor=25)  # held only
    world.do("withdrawal_result", withdrawal_id="W")
    found = events(world.ledger.store, last, 1000)["events"]
    changes = [
        (e["account_id"], e["credit_minor"]) for e in found if e["event"] == "balance_change"
    ]
    assert changes == [("2101:U1", 10_000), ("2101:U1", -5_025)]
    text = orjson.dumps(events(world.ledger.store, None, 1000)["events"]).decode()
    assert "card of" not in text and "name of" not in text


def test_d1_07_the_account_shows_its_standing_derived_from_state_and_holds(world):
    """Balance, available, frozen, bound cards; 正常, 冻结 and 异常 follow, they are not set."""
    world.do("top_up", amount_minor=20_000)
    _withdraw(world, 10_000, 50)  # a withdrawal under way is no freeze
    shown = standing(world.ledger, "2101:U1", "CNY")
    assert (shown["balance_minor"], shown["available_minor"], shown["frozen_minor"]) == (
        20_000, 9_950, 10_050)
    assert (shown["shows"], shown["destinations"]) == ("normal", ["D1"])
    world.send("hold", hold_id="H", hold_kind="suspicious", account_id="2101:U1",
               amount_minor=1, case_number="C", **CNY)
    assert standing(world.ledger, "2101:U1", "CNY")["shows"] == "frozen"
    world.register("account_status", account_id="2101:U2", status="no_debit", reason="x", **CNY)
    assert standing(world.ledger, "2101:U2", "CNY")["shows"] == "abnormal"
    world.register("account_status", account_id="2101:U2", status="frozen", reason="x", **CNY)
    assert standing(world.ledger, "2101:U2", "CNY")["shows"] == "frozen"


@pytest.mark.parametrize("kind", ["user", "card"])
def test_d0_40_entered_anew_a_party_keeps_what_is_not_named(world, kind):
    """Its check, details and owner: whoever enters it, nobody who is active becomes unchecked."""
    given = {"owner_id": "M1", "identity_check": "ID-9", "details": {"job": "baker"},
             "sensitive_details": {"phone": "13800000000"}}
    named = {"party_id": "U9", "party_kind": kind}
    world.register("party", **named, **given)
    before = world.ledger.state.get("party", "U9")
    for actor in (SYSTEM, ANN):
        posted(world.send("party", actor, **named))
        assert before.items() <= world.ledger.state.get("party", "U9").items()
    assert before["identity_check"] == "ID-9" and before["details"] == {"job": "baker"}
    posted(world.send("party", **named, identity_check="ID-10"))
    assert {**before, "identity_check": "ID-10"}.items() <= (
        world.ledger.state.get("party", "U9").items())
    assert verify(world.settings).broken is None


@pytest.mark.parametrize("change", [
    {"details": {"job": "judge"}}, {"sensitive_details": {"phone": "13900000000"}},
])
def test_d0_40_other_details_of_a_checked_user_need_a_check_of_their_own(world, change):
    """The check was of what was entered before; one that was never checked may be entered anew."""
    named = {"party_id": "U1", "party_kind": "user"}
    for check in ({}, {"identity_check": "ID1"}):
        assert refused(world.send("party", **named, **change, **check), "register_differs",
                       "identity_check")
    posted(world.send("party", **named, **change, identity_check="ID2"))
    document = world.ledger.state.get("party", "U1")
    assert (document["state"], document["identity_check"]) == ("active", "ID2")
    posted(world.send("party", **named, details=document["details"] or {"job": "baker"},
                      identity_check="ID3"))
    world.register("party", party_id="U9", party_kind="user")
    posted(world.send("party", party_id="U9", party_kind="user", **change))
    assert world.ledger.state.get("party", "U9")["state"] == "entered"
    assert verify(world.settings).broken is None


def test_d0_40_a_merchants_details_stay_where_a_review_names_none(world):
    """Two people change what they name, nothing else."""
    world.approved("party", party_id="M1", party_kind="merchant", details={"shop": "old"})
    world.approved("party", party_id="M1", party_kind="merchant")
    assert world.ledger.state.get("party", "M1")["details"] == {"shop": "old"}
    world.approved("party", party_id="M1", party_kind="merchant", details={"shop": "new"})
    assert world.ledger.state.get("party", "M1")["details"] == {"shop": "new"}


def test_d1_08_an_account_is_not_active_before_the_real_name_check(world):
    """Entered only: no top-up, no payment."""
    world.register("party", party_id="U9", party_kind="user")
    world.open([("2101", "U9")])
    assert refused(world.do("top_up", user_id="U9"), "party_not_active", "user_id")
    posted(world.send("party_state", party_id="U9", state="active", identity_check="REAL-1"))
    posted(world.do("top_up", user_id="U9"))


@pytest.mark.parametrize(("amount", "reason"), [
    (900, "below_minimum"), (1_000, None), (1_050, "not_whole_yuan"), (1_100, None),
])
def test_d1_09_a_top_up_is_in_whole_yuan_from_ten(world, amount, reason):
    """9 refused, 10 accepted, 10.5 refused; the balance rises by the amount, without a fee."""
    result = world.do("top_up", amount_minor=amount)
    if reason is None:
        posted(result)
        assert world.balance("2101:U1") == amount and world.balance("2301") == 0
    else:
        assert refused(result, reason, "amount_minor") and world.balance("2101:U1") == 0


@pytest.mark.parametrize("status", ["no_debit", "no_credit", "frozen"])
def test_d1_09_the_account_must_be_normal_to_be_topped_up(world, status):
    """Any other status refuses, and so does a hold on the whole account."""
    world.register("account_status", account_id="2101:U1", status=status, reason="x", **CNY)
    assert refused(world.do("top_up"), "account_status")
    world.send("hold", hold_id="H", hold_kind="suspicious", account_id="2101:U2",
               case_number="C", **CNY)
    assert refused(world.do("top_up", user_id="U2"), "account_status")


def test_d1_11_a_tariff_says_its_bound_for_a_checker_or_that_there_is_none(world):
    """One that left it out would have dropped the bound of the one before it."""
    rates = {"tariff_id": "T", "bank_ppm": 5_000, "third_party_ppm": 10_000, "least_minor": 0}
    bounds = [
        ({}, False), ({"approval_above_minor": 9_000, "approval_bound": "none"}, False),
        ({"approval_above_minor": 9_000}, True), ({"approval_bound": "none"}, True),
    ]
    for number, (bound, passes) in enumerate(bounds):
        asked = {**rates, "tariff_id": f"T{number}", **bound}
        if passes:
            world.approved("tariff", **asked)
        else:
            assert refused(world.send("tariff", ANN, **asked), "register_differs",
                           "approval_above_minor")
        found = world.ledger.state.get("tariff", "withdrawal")
        assert (found or {}).get("approval_above_minor") == (9_000 if number == 2 else None)
    assert verify(world.settings).broken is None


@pytest.mark.usefixtures("older_after_newer")
def test_d1_11_a_tariff_of_before_that_left_the_bound_out_is_kept(world):
    """It had none. What waited as such is entered anew."""
    rates = {"bank_ppm": 5_000, "third_party_ppm": 10_000, "least_minor": 0}
    with world.of_before("tariff", 3, check=None):
        waits = world.send("tariff", ANN, tariff_id="T0", **rates)
        world.approved("tariff", tariff_id="T", **rates)
    assert refused(world.approve(waits["sequence"]), "register_differs", "approval_above_minor")
    assert verify(world.settings).broken is None
    world.reopen()
    assert world.ledger.state.get("tariff", "withdrawal")["approval_above_minor"] is None


@pytest.mark.parametrize(("amount", "fee", "reason"), [
    (4_900, 25, "below_minimum"), (5_000, 25, None), (5_050, 25, "not_whole_yuan"),
])
def test_d1_10_a_withdrawal_is_in_whole_yuan_from_fifty(world, amount, fee, reason):
    """49 refused, 50 accepted, 50.5 refused."""
    world.do("top_up", amount_minor=100_000)
    result = _withdraw(world, amount, fee)
    assert refused(result, reason, "amount_minor") if reason else posted(result)


@pytest.mark.parametrize(("available", "passes"), [(5_024, False), (5_025, True)])
def test_d1_10_fifty_by_bank_needs_its_fee_on_top(world, available, passes):
    """50.25 must be available."""
    world.do("top_up", amount_minor=10_000)
    world.do("payment", amount_minor=10_000 - available, **INTERNAL)
    result = _withdraw(world, 5_000, 25)
    assert posted(result) if passes else refused(result, "below_floor")


@pytest.mark.parametrize(("results", "balance", "available"), [
    ([], 20_000, 14_975), (["unknown"], 20_000, 14_975), (["failed"], 20_000, 20_000),
    (["succeeded"], 14_975, 14_975), (["unknown", "succeeded"], 14_975, 14_975),
    (["unknown", "failed"], 20_000, 20_000),
])
def test_d1_10_held_at_request_captured_on_success_released_on_failure(
    world, results, balance, available
):
    """An unknown result keeps the hold until the answer or a person decides."""
    world.do("top_up", amount_minor=20_000)
    _withdraw(world, 5_000, 25, withdrawal_id="W")
    for result in results:
        posted(world.do("withdrawal_result", withdrawal_id="W", result=result))
    account = world.ledger.state.account("2101:U1", "CNY")
    assert (account.balance, account.available) == (balance, available)


def test_d1_10_a_payout_that_comes_back_is_credited_with_its_fee_to_bound_accounts_only(world):
    """Returned later: amount and fee; another's card is no destination."""
    world.do("top_up", amount_minor=20_000)
    assert refused(_withdraw(world, 5_000, 25, destination_id="D2"), "destination_unknown")
    _withdraw(world, 5_000, 25, withdrawal_id="W")
    world.do("withdrawal_result", withdrawal_id="W")
    posted(world.do("withdrawal_returned", withdrawal_id="W"))
    assert (world.balance("2101:U1"), world.balance("2301")) == (20_000, 0)


@pytest.mark.parametrize(("via", "yuan", "fee"), [
    ("bank", 50, 25), ("bank", 51, 26), ("bank", 100, 50), ("bank", 101, 51),
    ("third_party", 50, 50), ("third_party", 101, 101),
])
def test_d1_11_the_fee_comes_on_top_half_up_to_the_fen(world, via, yuan, fee):
    """By bank 0.5 %: 51 -> 0.26, 101 -> 0.51; third party 1 %: 101 -> 1.01; no other fee."""
    world.do("top_up", amount_minor=100_000)
    for wrong in (fee - 1, fee + 1):
        assert refused(_withdraw(world, yuan * 100, wrong, via=via), "fee_differs", "fee_minor")
    posted(_withdraw(world, yuan * 100, fee, via=via, withdrawal_id="W"))
    world.do("withdrawal_result", withdrawal_id="W")
    assert world.balance("2101:U1") == 100_000 - yuan * 100 - fee
    assert world.balance("2301") == fee


def test_d1_12_arrival_by_bank_on_the_next_working_day_by_a_third_party_at_once(world):
    """T is the business date of the request; three working days are the outer bound."""
    world.do("top_up", amount_minor=100_000)
    _withdraw(world, 5_000, 25, withdrawal_id="WB", occurred_at=at(DAY, "09:00:00"))
    _withdraw(world, 5_000, 50, withdrawal_id="WT", via="third_party")
    found = {line["number"]: line for line in deadlines(world.ledger, DAY)}
    first, third = next_working_day(DAY, 1).isoformat(), next_working_day(DAY, 3).isoformat()
    assert (found["WB"]["due_on"], found["WB"]["latest_on"]) == (first, third)
    assert (found["WT"]["due_on"], found["WT"]["overdue"]) == (DAY.isoformat(), False)
    later = deadlines(world.ledger, days(1))
    assert {line["number"]: line["overdue"] for line in later} == {"WB": False, "WT": True}
    world.do("withdrawal_result", withdrawal_id="WT")
    world.do("withdrawal_result", withdrawal_id="WB", result="unknown")
    assert [x["number"] for x in deadlines(world.ledger, DAY)] == ["WB"]


def test_d1_12_a_request_after_the_cut_off_counts_from_the_next_business_date(world):
    """Before National Day: asked on 30 September at 23:30 is business date 1 October."""
    world.ledger.set_clock("2026-09-30T23:40:00+08:00")
    when = {"occurred_at": "2026-09-30T23:30:00+08:00"}
    world.do("top_up", amount_minor=100_000, **when)
    world.register("authorise", authorisation_id="AX", payer_id="U1", payee="D1",
                   amount_minor=5_000, method="password", **CNY, **when)
    _withdraw(world, 5_000, 25, withdrawal_id="W", authorisation="AX", **when)
    (line,) = deadlines(world.ledger, DAY)
    assert (line["due_on"], line["latest_on"]) == ("2026-10-08", "2026-10-10")  # made up


@pytest.mark.parametrize(("today", "first"), [
    ("2026-09-12", "2026-06-12"), ("2026-05-31", "2026-02-28"), ("2026-02-10", "2025-11-10"),
])
def test_d1_14_the_window_is_three_calendar_months_back(today, first):
    """Counted in months, not in days."""
    assert window_start(DAY.fromisoformat(today)).isoformat() == first


def test_d1_14_the_first_day_is_included_and_older_is_refused_by_name(world):
    """A payment of the first day is shown; asking for the day before is not cut silently."""
    world.do("top_up", amount_minor=7_000)  # 12 September
    world.ledger.set_clock("2026-12-12T12:00:00+08:00")
    assert [m["amount_minor"] for m in _statement(world, first="2026-09-12")] == [7_000]
    assert [m["amount_minor"] for m in _statement(world)] == [7_000]
    with pytest.raises(RequestRefused) as caught:
        _statement(world, first="2026-09-11")
    assert caught.value.reason == "outside_window"
    world.ledger.set_clock("2026-12-13T12:00:00+08:00")
    assert _statement(world) == []


def test_d1_14_filters_by_time_type_amount_number_and_counterparty(world):
    """Each shows time, type, amount, counterparty and status."""
    world.do("top_up", top_up_id="TU", amount_minor=9_000)
    world.do("payment", transaction_id="P", amount_minor=2_000, **INTERNAL)
    world.do("payment", transaction_id="Q", amount_minor=3_000, **{**INTERNAL,
                                                                   "merchant_id": "M2"})
    def numbers(**asked):
        return [m["number"] for m in _statement(world, **asked)]
    assert numbers(type="payment") == ["P", "Q"]
    assert numbers(least=2_001, most=8_999) == ["Q"]
    assert numbers(number="P") == ["P"]
    assert numbers(counterparty="M2") == ["Q"]
    assert numbers(last="2026-09-11") == []
    (line,) = _statement(world, number="P")
    assert (line["time"], line["type"], line["amount_minor"], line["counterparties"],
            line["status"]) == ("2026-09-12T02:00:00Z", "payment", -2_000, ["2201:M1"], "posted")


#: Of a line: what customers look at.
_SEEN = ("type", "number", "result_number", "amount_minor", "status")


def _seen(world, **asked):
    return [tuple(line[name] for name in _SEEN) for line in _statement(world, **asked)]


def test_d1_14_a_withdrawal_is_found_by_the_customers_own_number_in_every_state(world):
    """Under way, paid, failed, sent back: each by its own number, by its type, by the result's."""
    world.do("top_up", top_up_id="TU", amount_minor=100_000)
    for number in ("W1", "W2", "W3", "W4"):
        _withdraw(world, 5_000, 25, withdrawal_id=number)
    for number, result in (("W1", "succeeded"), ("W2", "failed"), ("W4", "succeeded")):
        world.do("withdrawal_result", withdrawal_id=number, result_id=f"RES-{number}",
                 result=result)
    world.do("withdrawal_returned", withdrawal_id="W4", return_id="BACK")
    whole = [
        ("withdrawal", "W2", "RES-W2", -5_025, "failed"),
        ("withdrawal", "W3", None, -5_025, "under_way"),
        ("withdrawal", "W1", "RES-W1", -5_025, "posted"),
        ("withdrawal", "W4", "RES-W4", -5_025, "returned"),
    ]
    assert _seen(world, type="withdrawal") == whole
    for line in whole:
        assert _seen(world, number=line[1]) == [line]
        assert line[2] is None or _seen(world, number=line[2]) == [line]
    assert _seen(world, type="withdrawal_result") == [whole[0], *whole[2:]]  # as it was asked for
    assert _seen(world, least=5_025, most=5_025, type="withdrawal") == whole
    (back,) = _statement(world, number="BACK")
    assert (back["type"], back["original"], back["amount_minor"], back["status"]) == (
        "withdrawal_returned", "W4", 5_025, "posted")
    moved = [line for line in _statement(world) if line["journal_id"] is not None]
    assert sum(line["amount_minor"] for line in moved) == world.balance("2101:U1") == 94_975
    assert [line["journal_id"] for line in _statement(world, number="W3")] == [None]


def test_d1_14_a_withdrawal_that_waits_for_a_checker_is_under_way_or_failed(world):
    """It holds its money from the request on, so its customer sees it from then on."""
    world.approved("tariff", tariff_id="T", bank_ppm=5_000, third_party_ppm=10_000,
                   least_minor=0, approval_above_minor=5_000)
    world.do("top_up", amount_minor=100_000)
    waits = []
    for number in ("W1", "W2", "W3"):
        command = world.command("withdrawal", withdrawal_id=number, fee_minor=50,
                                authorisation=world.authorise("U1", "D1", 10_000))
        waits.append(world.ledger.apply([command], ANN)[0])
    assert [line["status"] for line in waits] == ["pending"] * 3
    posted(world.approve(waits[1]["sequence"]))
    posted(world.send("reject", BEN, pending=waits[2]["sequence"], operator_id="ben", reason="x"))
    assert _seen(world, type="withdrawal") == [
        ("withdrawal", "W1", None, -10_050, "under_way"),
        ("withdrawal", "W3", None, -10_050, "failed"),
        ("withdrawal", "W2", None, -10_050, "under_way"),
    ]


def test_d1_14_a_result_that_was_reversed_is_under_way_again(world):
    """The movement of the first result stands, as reversed."""
    world.do("top_up", amount_minor=100_000)
    _withdraw(world, 5_000, 25, withdrawal_id="W")
    done = world.do("withdrawal_result", withdrawal_id="W", result_id="RES-1")
    world.approved("reversal", adjustment_id="J", incident_number="N", reason="x",
                   journal_id=done["journal_id"])
    assert _seen(world, number="W") == [
        ("withdrawal", "W", None, -5_025, "under_way"),
        ("withdrawal", "W", "RES-1", -5_025, "reversed"),
    ]
    world.do("withdrawal_result", withdrawal_id="W", result_id="RES-2")
    assert [line[2:] for line in _seen(world, number="W")] == [
        ("RES-1", -5_025, "reversed"), ("RES-2", -5_025, "posted")]


def _refund(world, amount, fees, **values):
    names = ("issuer_fee_minor", "network_fee_minor", "acquirer_fee_minor")
    return world.do("refund", original_transaction_id="P", amount_minor=amount,
                    **dict(zip(names, fees, strict=True)), **values)


def test_d1_15_a_users_request_names_one_of_three_grounds_a_merchants_is_free(world):
    """Wrong amount, wrong counterparty, not arrived."""
    world.do("payment", transaction_id="P", amount_minor=10_000, **PLAIN)
    bare = _refund(world, 1_000, (0, 0, 0), request="user")
    assert refused(bare, "ground_missing", "ground")
    other = _refund(world, 1_000, (0, 0, 0), request="user", ground="changed_mind")
    assert other["reason"] == "invalid_field"
    for ground in ("wrong_amount", "wrong_counterparty", "not_arrived"):
        command = world.command("refund", original_transaction_id="P", amount_minor=1_000,
                                request="user", ground=ground)
        assert world.ledger.apply([command], ANN)[0]["status"] == "pending", ground
    posted(_refund(world, 1_000, (0, 0, 0)))


def test_d1_15_parts_return_the_fee_and_add_up_to_the_full_refund(world):
    """Half up of fee x refunded so far / original, less what was returned before."""
    world.do("payment", transaction_id="P", amount_minor=10_000)  # fees 35, 3, 22
    for amount, fees in ((3_333, (12, 1, 7)), (3_333, (11, 1, 8)), (3_334, (12, 1, 7))):
        assert refused(_refund(world, amount, (fees[0] + 1, *fees[1:])), "returned_fee_differs")
        posted(_refund(world, amount, fees))
    assert set(world.balances().values()) == {0}
    assert refused(_refund(world, 1, (0, 0, 0)), "exceeds_original")


def test_d1_15_a_refund_that_is_less_than_the_fees_it_returns_is_paid_by_the_scheme(world):
    """Issuer and network fee each round up to the one unit that is refunded, so the scheme owes
    one: no leg is below nothing, and the last part brings all back."""
    posted(world.do("payment", transaction_id="P", amount_minor=100, issuer_fee_minor=50,
                    network_fee_minor=50, acquirer_fee_minor=0))
    least = posted(_refund(world, 1, (1, 1, 0)))
    assert [leg[:4] for leg in world.legs(least)] == [
        ("1001", "D", 1, "clearing"), ("2201:M1", "D", 1, "gross"),
        ("2201:M1", "C", 1, "issuer_fee"), ("2201:M1", "C", 1, "network_fee")]
    posted(_refund(world, 99, (49, 49, 0)))
    assert set(world.balances().values()) == {0}
    assert verify(world.settings).broken is None


def test_d1_15_a_payment_of_a_closed_period_is_refunded_today(world):
    """No entry goes back into the period."""
    world.do("payment", transaction_id="P", amount_minor=10_000, **PLAIN)
    head = world.close()
    when = on(world, 1)
    waits = world.send("period_close", ANN, valid_to=DAY.isoformat(), reason="month",
                       trial_balance_sm3=head["trial_balance_sm3"], **when)
    posted(world.approve(waits["sequence"], **when))
    back = {"value_date": DAY.isoformat(), **when}
    assert refused(_refund(world, 10_000, (0, 0, 0), **back), "value_date_closed")
    done = posted(_refund(world, 10_000, (0, 0, 0), **when))
    assert done["booking_date"] == days(1).isoformat()


def _transfer(world, amount=1_000):
    world.do("top_up", amount_minor=10_000)
    return posted(world.send("transfer", transaction_id="T", user_id="U1", payee_id="U2",
                             amount_minor=amount, authorisation=world.authorise("U1", "U2", amount),
                             **CNY))


def test_d1_15_a_transfer_to_the_wrong_counterparty_goes_back_by_its_payees_leave(world):
    """On a ground, reviewed, never more than the transfer; nobody is debited without consent."""
    done = _transfer(world)
    asked = {"original_transaction_id": "T", "ground": "wrong_counterparty", **CNY}
    leave = {"amount_minor": 700, "authorisation": world.authorise("U2", "U1", 700)}
    refund = {"transaction_id": "R", **asked, **leave}
    bare = world.send("transfer_refund", ANN, **{**refund, "ground": None})
    assert (bare["reason"], bare["field"]) == ("missing_field", "ground")
    assert refused(world.send("transfer_refund", **refund), "no_right")
    waits = world.send("transfer_refund", ANN, **refund)
    (line,) = deadlines(world.ledger, DAY)
    assert (line["kind"], line["due_on"]) == ("refund_review", "2026-09-16")
    assert refused(world.approve(waits["sequence"], "ann"), "maker_is_checker")
    back = posted(world.approve(waits["sequence"]))
    assert [leg[:3] for leg in world.legs(back)] == [
        ("2101:U2", "D", 700), ("2101:U1", "C", 700)]
    for amount, payer, reason in ((301, "U2", "exceeds_original"),
                                  (300, "U1", "authorisation_differs")):
        more = {"amount_minor": amount, "authorisation": world.authorise(payer, "U1", amount)}
        again = world.send("transfer_refund", ANN, transaction_id=f"R{amount}", **asked, **more)
        assert refused(again, reason)
    reverse = {"incident_number": "I", "reason": "x"}
    assert refused(world.send("reversal", ANN, adjustment_id="A", journal_id=done["journal_id"],
                              **reverse), "exceeds_original")
    world.approved("reversal", adjustment_id="B", journal_id=back["journal_id"], **reverse)
    world.approved("reversal", adjustment_id="C", journal_id=done["journal_id"], **reverse)
    assert (world.balance("2101:U1"), world.balance("2101:U2")) == (10_000, 0)


def test_d1_15_a_withdrawal_to_the_wrong_account_comes_back_on_a_ground_by_two(world):
    """When the user asked for it; what the bank sends back by itself posts at once."""
    world.do("top_up", amount_minor=20_000)
    world.do("withdrawal", withdrawal_id="W", amount_minor=5_000, fee_minor=25)
    world.do("withdrawal_result", withdrawal_id="W")
    asked = {"withdrawal_id": "W", "request": "user"}
    bare = world.send("withdrawal_returned", ANN, return_id="B0", **asked)
    assert refused(bare, "ground_missing", "ground")
    asked["ground"] = "wrong_counterparty"
    assert refused(world.send("withdrawal_returned", return_id="B1", **asked), "no_right")
    waits = world.send("withdrawal_returned", ANN, return_id="B2", **asked)
    assert (waits["status"], world.balance("2101:U1")) == ("pending", 14_975)
    (line,) = deadlines(world.ledger, DAY)
    assert line["kind"] == "refund_review"
    posted(world.approve(waits["sequence"]))
    assert world.balance("2101:U1") == 20_000
    assert verify(world.settings).broken is None


def _asked(world, **values):
    command = world.command("refund", original_transaction_id="P", amount_minor=10_000,
                            request="user", ground="not_arrived", **values)
    return world.ledger.apply([command], ANN)[0]


def test_d1_16_a_users_refund_is_reviewed_and_goes_the_original_route(world):
    """Transaction number and reason, then a checker, then back to the payer."""
    world.do("top_up", amount_minor=10_000)
    world.do("payment", transaction_id="P", **INTERNAL)
    waits = _asked(world)
    assert (waits["status"], world.balance("2101:U1")) == ("pending", 0)
    rejected = world.send(
        "reject", BEN, pending=waits["sequence"], operator_id="ben", reason="why")
    assert rejected["status"] == "posted" and world.balance("2101:U1") == 0
    waits = _asked(world)
    assert refused(world.approve(waits["sequence"], "ann"), "maker_is_checker")
    done = posted(world.approve(waits["sequence"]))
    assert world.legs(done)[0][:3] == ("2101:U1", "C", 10_000)


def test_d1_17_the_review_is_due_in_three_working_days_and_the_money_comes_with_it(world):
    """Asked on Saturday 12 September: due on Wednesday 16; posted by the approval itself."""
    world.do("payment", transaction_id="P", **PLAIN)
    waits = _asked(world)
    (line,) = deadlines(world.ledger, DAY)
    assert (line["kind"], line["due_on"]) == ("refund_review", "2026-09-16")
    when = on(world, 5)
    (line,) = deadlines(world.ledger, days(5))
    assert line["overdue"] is True and world.ledger.state.table("pending")  # decides nothing
    done = posted(world.approve(waits["sequence"], **when))
    assert done["booking_date"] == days(5).isoformat()
    assert world.legs(done)[0][:3] == ("1001", "C", 10_000)


def test_d1_19_a_product_is_bought_only_if_normal_and_affordable(world):
    """Redeemed to the account on the product's settlement date, not before."""
    world.do("top_up", amount_minor=10_000)
    buy = {"user_id": "U1", "product_id": "F1", **CNY}
    dear = world.send("wealth_purchase", transaction_id="B0", amount_minor=10_001,
                      authorisation=world.authorise("U1", "F1", 10_001), **buy)
    assert refused(dear, "below_floor")
    buy |= {"amount_minor": 10_000, "authorisation": world.authorise("U1", "F1", 10_000)}
    world.register("account_status", account_id="2101:U1", status="no_credit", reason="x", **CNY)
    assert refused(world.send("wealth_purchase", transaction_id="B1", **buy), "account_status")
    world.approved("account_status", account_id="2101:U1", status="normal", reason="x", **CNY)
    due = days(2).isoformat()
    posted(world.send("wealth_purchase", transaction_id="B2", settles_on=due, **buy))
    back = {"original_transaction_id": "B2", "amount_minor": 10_030, **CNY}
    when = on(world, 1)
    assert refused(world.send("wealth_redemption", transaction_id="R1", **back, **when),
                   "not_due")
    when = on(world, 2)
    posted(world.send("wealth_redemption", transaction_id="R2", **back, **when))
    assert world.balance("2101:U1") == 10_030


def test_d1_22_a_thousand_payouts_are_one_batch_done_in_seconds(world):
    """Each with its own result; one that is refused does not stop the others."""
    world.register("receipt", receipt_id="R", amount_minor=10**6, **CNY)
    world.approved("merchant_top_up", application_id="A", merchant_id="M1", receipt_id="R",
                   amount_minor=10**6, **CNY)
    batch = [{
        "type": "payout_on_behalf", "idempotency_key": f"B{n:04d}", "transaction_id": f"B{n}",
        "merchant_id": "M1", "user_id": "U1" if n != 500 else "U77", "amount_minor": 100,
        "fee_minor": 0, "occurred_at": at(DAY, "10:00:00"), **CNY,
    } for n in range(1000)]
    started = time.monotonic()
    results = world.ledger.apply(batch, SYSTEM)
    assert time.monotonic() - started < 5
    assert [n for n, r in enumerate(results) if r["status"] != "posted"] == [500]
    assert world.balance("2101:U1") == 99_900


def test_d1_23_sensitive_values_are_sealed_with_sm4_and_a_copy_restores(world, tmp_path):
    """No file holds them in clear; a copy of the home opens, verifies, and has all of it."""
    import shutil
    from dataclasses import replace

    world.do("top_up", amount_minor=7_000)
    bound = world.ledger.state.get("destination", "D1")["bound_account"]
    sealed, key = world.ledger.store.secret(bound)
    assert b"card of U1" not in sealed
    vault = world.ledger.vault
    assert vault.reveal(bound, sealed, key) == "card of U1"
    world.close()
    chain = world.ledger.head.digest
    world.ledger.close()
    copy = replace(world.settings, home=tmp_path / "copy")
    shutil.copytree(world.settings.home, copy.home)
    for path in copy.home.rglob("*"):
        assert not path.is_file() or b"card of U1" not in path.read_bytes(), path
    assert verify(copy).chain_digest == chain.hex() and ledger_path(copy).is_file()
    world.ledger = open_ledger(copy, simulated=True)
    assert (world.balance("2101:U1"), world.ledger.head.digest) == (7_000, chain)
