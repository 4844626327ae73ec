"""The ledger's own run of a date: cycles, minimum, quiet days, holds, shortfalls, penalties."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from ledger.adapters.calendars import payout_calendar
from ledger.domain.buckets import end_added, end_taken, last_end
from ledger.domain.settling import due_date, penalty
from ledger.entrypoints.operations import verify
from ledger.service.day_run import DayRun
from ledger.service.faults import RequestRefused
from tests.ledger.conftest import ANN, DAY, at

CALENDAR = payout_calendar()
PLAIN = {"issuer_fee_minor": 0, "network_fee_minor": 0, "acquirer_fee_minor": 0}


def on(world, day: date, hour: str = "22:59:59") -> dict:
    """Move the clock to a date; the time of its commands."""
    world.ledger.set_clock(at(day, hour))
    return {"occurred_at": at(day, "12:00:00")}


def run(world, day: date):
    return DayRun(world.ledger, day).run()


def paid(world, merchant: str) -> int:
    rows = world.ledger.store.db.execute(
        "select sum(content ->> 'amount_minor') from entry where type = 'settlement' "
        "and outcome = 'posted' and content ->> 'merchant_id' = ?", (merchant,),
    ).fetchone()
    return rows[0] or 0


@pytest.mark.parametrize(("cycle", "expected"), [
    ("T+0", "2026-09-30"), ("D+1", "2026-10-08"), ("T+1", "2026-10-08"),
])
def test_d0_07_cycles_on_the_working_calendar(cycle, expected):
    found = due_date("2026-09-30", cycle, CALENDAR)  # the day before National Day
    assert found.isoformat() == expected


@pytest.mark.parametrize(("bucket", "cycle", "expected"), [
    ("2026-10-01", "T+0", "2026-10-08"),  # a public holiday pushes it on
    ("2026-09-26", "T+0", "2026-09-28"),  # the Saturday of a holiday too
    ("2026-09-12", "T+0", "2026-09-12"),  # a Saturday by itself is no public holiday
    ("2026-09-12", "D+1", "2026-09-13"), ("2026-09-12", "T+1", "2026-09-14"),
    ("2026-09-18", "T+1", "2026-09-20"),  # a Sunday that is worked
    ("quiet/2026-09-30/P", "T+0", "2026-10-08"), ("quiet/2026-09-11/P", "T+1", "2026-09-12"),
])
def test_d0_07_a_public_holiday_pushes_every_payout_to_the_next_working_day(
    bucket, cycle, expected
):
    assert due_date(bucket, cycle, CALENDAR).isoformat() == expected


def test_d0_07_nothing_is_paid_on_a_public_holiday(world):
    """By the run or by hand, whatever its cycle; what was rolled waits as well."""
    holiday, working = date(2026, 9, 25), date(2026, 9, 28)
    world.do("payment", amount_minor=5_000, **PLAIN)
    when = on(world, holiday)
    assert run(world, holiday).not_paid == [
        {"account_id": "2201:M1", "due_minor": 5_000, "reason": "holiday"}
    ]
    early = world.do("settlement", amount_minor=5_000, **when)
    assert (early["reason"], early["field"]) == ("not_due", "amount_minor")
    on(world, working)
    assert run(world, working).amounts == {"settlement": 5_000}


@pytest.mark.parametrize(("cycle", "first"), [
    ("T+0", date(2027, 1, 4)), ("T+1", date(2026, 12, 31)),
])
def test_d0_07_nothing_is_paid_by_a_calendar_that_does_not_know_the_date(world, cycle, first):
    """Refused by name, and said by the run: late rather than early."""
    world.merchant("M3", settlement_cycle=cycle)
    world.open([("2201", "M3")])
    when = on(world, first)
    world.do("payment", merchant_id="M3", amount_minor=5_000, **PLAIN, **when)
    assert world.do("settlement", merchant_id="M3", amount_minor=5_000, **when)["reason"] == (
        "not_due")
    assert run(world, first).booked == {}


def test_d0_08_a_payout_by_hand_keeps_to_the_minimum_too(world):
    """But for the final payout of a merchant that has left."""
    world.merchant("M3", minimum_minor=10_000)
    world.open([("2201", "M3"), ("1205", "M3")])
    world.do("payment", merchant_id="M3", amount_minor=9_999, **PLAIN)
    low = world.do("settlement", merchant_id="M3", amount_minor=9_999)
    assert (low["reason"], low["field"]) == ("below_minimum", "amount_minor")
    world.approved("party_state", party_id="M3", state="cancelled", suspension_ground="3",
                   evidence="COURT-7")
    assert world.do("settlement", merchant_id="M3", amount_minor=4_000)["status"] == "posted"
    assert run(world, DAY).amounts == {"settlement": 5_999}


def test_d0_09_a_payout_by_hand_waits_for_what_a_negative_net_left_owed(world):
    world.do("payment", merchant_id="M2", **PLAIN)
    world.do("payment", transaction_id="P", amount_minor=5_000, **PLAIN)
    world.do("settlement", amount_minor=5_000)
    world.do("refund", original_transaction_id="P", amount_minor=1_000, **PLAIN)
    world.register("own_funds", movement_id="OF", amount_minor=10**6, currency_code="CNY")
    assert run(world, DAY).amounts == {"shortfall": 1_000, "settlement": 10_000}
    when = on(world, DAY + timedelta(2))
    world.do("payment", amount_minor=8_000, **PLAIN, **when)
    owed = world.do("settlement", amount_minor=8_000, **when)
    assert owed["reason"] == "older_due"
    assert run(world, DAY + timedelta(2)).amounts == {"offset": 1_000, "settlement": 7_000}


def test_d0_07_paid_on_its_date_never_earlier_and_once(world):
    world.merchant("M3", settlement_cycle="D+1")
    world.open([("2201", "M3")])
    for merchant in ("M1", "M3"):
        world.do("payment", merchant_id=merchant, amount_minor=5000, **PLAIN)
    first = run(world, DAY)
    assert (first.booked, first.amounts) == ({"settlement": 1}, {"settlement": 5000})
    assert run(world, DAY).booked == {}  # again: nothing twice
    on(world, DAY + timedelta(1))
    assert run(world, DAY + timedelta(1)).amounts == {"settlement": 5000}
    assert (paid(world, "M1"), paid(world, "M3")) == (5000, 5000)
    with pytest.raises(RequestRefused, match="before_date"):
        run(world, DAY + timedelta(9))


@pytest.mark.parametrize(("cycle", "waits"), [("T+0", 0), ("D+1", 1), ("T+1", 2)])
def test_d0_07_a_payout_by_hand_is_never_earlier_either(world, cycle, waits):
    """The date is a Saturday; the Sunday after it is no working day."""
    world.merchant("M3", settlement_cycle=cycle)
    world.open([("2201", "M3")])
    hand = {"merchant_id": "M3", "amount_minor": 5000}
    world.do("payment", **hand, **PLAIN)
    for number in range(waits):
        when = on(world, DAY + timedelta(number))
        refused = world.do("settlement", **hand, **when)
        assert (refused["reason"], refused["field"]) == ("not_due", "amount_minor")
        assert f"0 minor units are due through {when['occurred_at'][:10]}" in refused["detail"]
    when = on(world, DAY + timedelta(waits))
    world.do("payment", **hand, **PLAIN, **when)
    if cycle != "T+0":  # what came on the date itself waits for its own
        assert world.do("settlement", **{**hand, "amount_minor": 5001}, **when)["reason"] == (
            "not_due"
        )
    assert world.do("settlement", **hand, **when)["status"] == "posted"


def test_d0_07_refunds_of_the_date_itself_do_not_make_more_due(world):
    world.merchant("M3", settlement_cycle="D+1")
    world.open([("2201", "M3")])
    world.do("payment", transaction_id="A", merchant_id="M3", amount_minor=5000, **PLAIN)
    when = on(world, DAY + timedelta(1))
    world.do("refund", original_transaction_id="A", amount_minor=1000, **PLAIN, **when)
    assert world.do("settlement", merchant_id="M3", amount_minor=4001, **when)["reason"] == (
        "below_floor"  # 5,000 were due, 4,000 are there
    )
    assert world.do("settlement", merchant_id="M3", amount_minor=4000, **when)["status"] == (
        "posted"
    )


def test_d0_08_below_the_minimum_joins_the_next_cycle_and_exactly_it_is_paid(world):
    world.merchant("M3", settlement_cycle="T+0", minimum_minor=10_000)
    world.open([("2201", "M3")])
    world.do("payment", merchant_id="M3", amount_minor=9_999, **PLAIN)
    ran = run(world, DAY)
    assert ran.not_paid == [
        {"account_id": "2201:M3", "due_minor": 9_999, "reason": "below_minimum"}
    ]
    later = DAY + timedelta(40)
    when = on(world, later)
    world.do("payment", merchant_id="M3", amount_minor=1, **PLAIN, **when)
    ran = run(world, later)
    assert paid(world, "M3") == 10_000
    assert ran.old == [{"account_id": "2201:M3", "dates": [DAY.isoformat()]}]


def test_d0_09_negative_net_becomes_a_receivable_taken_from_the_next_cycle(world):
    world.register("own_funds", movement_id="OF", amount_minor=10**6, currency_code="CNY")
    world.do("fee", amount_minor=700)
    ran = run(world, DAY)
    assert ran.amounts == {"shortfall": 700}
    assert (world.balance("2201:M1"), world.balance("1201:M1")) == (0, 700)
    when = on(world, DAY + timedelta(1))
    world.do("payment", amount_minor=1_000, **PLAIN, **when)
    on(world, DAY + timedelta(2))
    assert run(world, DAY + timedelta(2)).amounts == {"offset": 700, "settlement": 300}
    assert (world.balance("2201:M1"), world.balance("1201:M1")) == (0, 0)


def test_d0_11_a_released_dispute_settles_after_thirty_quiet_days(world):
    world.do("payment", transaction_id="P", amount_minor=8_000, **PLAIN)
    world.do("payment", amount_minor=500, **PLAIN)
    world.do("dispute", transaction_id="D", original_transaction_id="P", amount_minor=8_000)
    end = DAY + timedelta(2)
    when = on(world, end)
    world.do("dispute_release", original_transaction_id="D", amount_minor=8_000, **when)
    assert run(world, end).amounts == {"settlement": 500}  # the rest settles
    last_quiet = end + timedelta(30)
    on(world, last_quiet)
    assert run(world, last_quiet).amounts == {}
    # a dispute on another payment does not restart the count
    first = last_quiet + timedelta(1)
    on(world, first)
    assert run(world, first).amounts == {"settlement": 8_000}


def test_d0_11_what_rests_is_not_paid_out_by_hand_either(world):
    world.do("payment", amount_minor=500, **PLAIN)
    for name, amount in (("P", 5_000), ("Q", 3_000)):
        world.do("payment", transaction_id=name, amount_minor=amount, **PLAIN)
        world.do("dispute", transaction_id=f"D{name}", original_transaction_id=name,
                 amount_minor=amount)
        world.do("dispute_release", original_transaction_id=f"D{name}", amount_minor=amount)
    refused = world.do("settlement", amount_minor=501)
    assert (refused["reason"], refused["field"]) == ("not_due", "amount_minor")
    assert "8000 minor units of disputed payments rest" in refused["detail"]
    assert world.do("settlement", amount_minor=500)["status"] == "posted"
    last_quiet = DAY + timedelta(30)
    when = on(world, last_quiet)
    assert world.do("settlement", amount_minor=1, **when)["reason"] == "not_due"
    when = on(world, last_quiet + timedelta(1))
    assert world.do("settlement", amount_minor=8_000, **when)["status"] == "posted"


def test_d0_11_the_run_leaves_what_rests_when_refunds_of_the_day_take_the_rest(world):
    """And the run of everybody else goes on."""
    world.do("payment", transaction_id="A", amount_minor=10_000, **PLAIN)
    world.do("payment", transaction_id="P", amount_minor=5_000, **PLAIN)
    world.do("dispute", transaction_id="D", original_transaction_id="P", amount_minor=5_000)
    world.do("dispute_release", original_transaction_id="D", amount_minor=5_000)
    next_ = DAY + timedelta(1)
    when = on(world, next_)
    world.do("refund", original_transaction_id="A", amount_minor=8_000, **PLAIN, **when)
    assert world.balance("2201:M1") == 7_000  # 10,000 due, 8,000 back since, 5,000 rest
    assert run(world, next_).amounts == {"settlement": 2_000}
    assert world.balance("2201:M1") == 5_000


def test_d0_11_a_new_dispute_on_the_same_payment_restarts_the_count(world):
    world.do("payment", transaction_id="P", amount_minor=8_000, **PLAIN)
    world.do("dispute", transaction_id="D", original_transaction_id="P", amount_minor=8_000)
    world.do("dispute_release", original_transaction_id="D", amount_minor=8_000)
    again = DAY + timedelta(20)
    when = on(world, again)
    world.do("dispute", transaction_id="DP2", original_transaction_id="P", amount_minor=8_000,
             **when)
    world.do("dispute_release", original_transaction_id="DP2", amount_minor=8_000, **when)
    for days, expected in ((31, {}), (50, {}), (51, {"settlement": 8_000})):
        day = DAY + timedelta(days)
        on(world, day)
        assert run(world, day).amounts == expected, days


def _dispute(world, number, amount, when):
    done = world.do("dispute", transaction_id=number, original_transaction_id="P",
                    amount_minor=amount, **when)
    assert done["status"] == "posted", done
    return done


def _by_two(world, type_, when, **values):
    done = world.approve(world.send(type_, ANN, **values, **when)["sequence"], **when)
    assert done["status"] == "posted", done
    return done


def _ended(world, number, amount, when, capture=False):
    if capture:
        return _by_two(world, "dispute_capture", when, transaction_id=f"E{number}",
                       case_number="N", original_transaction_id=number)
    done = world.do("dispute_release", original_transaction_id=number, amount_minor=amount, **when)
    assert done["status"] == "posted", done
    return done


@pytest.mark.parametrize(("capture", "left"), [(False, 8_000), (True, 5_000)])
def test_d0_11_a_new_dispute_on_a_part_keeps_back_what_else_rests_of_the_payment(
    world, capture, left
):
    """As long as it is open; then the count of all of it begins anew, however it ended."""
    world.do("payment", transaction_id="P", amount_minor=8_000, **PLAIN)
    world.do("payment", amount_minor=1, **PLAIN)
    first = on(world, DAY)
    _dispute(world, "DA", 8_000, first)
    _ended(world, "DA", 8_000, first)
    _dispute(world, "DB", 3_000, on(world, DAY + timedelta(20)))
    on(world, DAY + timedelta(31))
    assert run(world, DAY + timedelta(31)).amounts == {"settlement": 1}
    hand = world.do("settlement", amount_minor=1, **on(world, DAY + timedelta(40)))
    assert hand["reason"] == "not_due" and "while a dispute is open" in hand["detail"]
    world.ledger.checkpoint()
    world.reopen()
    _ended(world, "DB", 3_000, on(world, DAY + timedelta(70)), capture)
    for days, expected in ((71, {}), (100, {}), (101, {"settlement": left})):
        day = DAY + timedelta(days)
        on(world, day)
        assert run(world, day).amounts == expected, days
    assert verify(world.settings).broken is None


def test_d0_11_of_two_disputes_on_a_payment_the_last_to_end_begins_the_count(world):
    world.do("payment", transaction_id="P", amount_minor=8_000, **PLAIN)
    when = on(world, DAY)
    _dispute(world, "DA", 5_000, when)
    _dispute(world, "DB", 2_000, when)
    _ended(world, "DA", 5_000, when)
    _ended(world, "DB", 2_000, on(world, DAY + timedelta(10)))
    for days, expected in ((31, {"settlement": 1_000}), (40, {}), (41, {"settlement": 7_000})):
        day = DAY + timedelta(days)
        on(world, day)
        assert run(world, day).amounts == expected, days


def test_d0_11_what_rests_goes_on_resting_when_a_dispute_or_its_end_was_none(world):
    """Reversed: the end leaves the dispute open, the dispute lets the count begin anew."""
    world.do("payment", transaction_id="P", amount_minor=8_000, **PLAIN)
    when = on(world, DAY)
    _dispute(world, "DA", 8_000, when)
    _ended(world, "DA", 8_000, when)
    when = on(world, DAY + timedelta(20))
    dispute = _dispute(world, "DB", 3_000, when)
    ended = _ended(world, "DB", 3_000, when)

    def back(done, name):
        _by_two(world, "reversal", when, adjustment_id=name, incident_number="I", reason="wrong",
                journal_id=done["journal_id"])
        return world.ledger.state.account("2201:M1", "CNY").buckets

    assert back(ended, "R1") == {"quiet/9999-12-31/P": 5_000}
    assert back(dispute, "R2") == {"quiet/2026-11-01/P": 8_000}
    before = world.balances()
    world.ledger.checkpoint()
    world.reopen()
    assert world.balances() == before
    assert verify(world.settings).broken is None


def _was_none(world, done, when, name="R"):
    """A dispute is reversed: what then is of which date, and what rests."""
    _by_two(world, "reversal", when, adjustment_id=name, incident_number="I", reason="wrong",
            journal_id=done["journal_id"])
    assert verify(world.settings).broken is None
    return world.ledger.state.account("2201:M1", "CNY").buckets


def test_d0_11_a_payment_that_was_never_disputed_does_not_rest(world):
    """A dispute that was none has no end from which to count: the money is due by its cycle."""
    world.do("payment", transaction_id="P", amount_minor=8_000, **PLAIN)
    when = on(world, DAY)
    dispute = _dispute(world, "DA", 8_000, when)
    assert _was_none(world, dispute, on(world, DAY + timedelta(3))) == {"2026-09-15": 8_000}
    on(world, DAY + timedelta(4))
    assert run(world, DAY + timedelta(4)).amounts == {"settlement": 8_000}


@pytest.mark.parametrize(("rested", "none", "rests"), [
    (8_000, 8_000, 8_000), (8_000, 3_000, 8_000), (1_000, 8_000, 1_000), (1_000, 600, 1_000),
])
def test_d0_11_what_a_dispute_that_was_none_took_out_of_a_rest_rests_again(
    world, rested, none, rests
):
    """No more than rested for the dispute that ended before; the rest is due by its cycle."""
    world.do("payment", transaction_id="P", amount_minor=8_000, **PLAIN)
    when = on(world, DAY)
    _dispute(world, "DA", rested, when)
    _ended(world, "DA", rested, when)
    when = on(world, DAY + timedelta(20))
    dispute = _dispute(world, "DB", none, when)
    buckets = _was_none(world, dispute, when)
    assert buckets["quiet/2026-11-01/P"] == rests and sum(buckets.values()) == 8_000
    world.ledger.checkpoint()
    world.reopen()
    assert world.ledger.state.account("2201:M1", "CNY").buckets == buckets


@pytest.mark.parametrize("capture", [False, True])
@pytest.mark.parametrize(("first", "second"), [(2, 3), (3, 3), (3, 2)])
def test_d0_11_ends_that_were_none_in_any_order_leave_the_last_of_the_others(
    world, first, second, capture
):
    """Two disputes end, the end of one was none, then the dispute itself was none: the other one
    has ended all the same, so that what a further dispute takes out of its rest rests again."""
    world.do("payment", transaction_id="P", amount_minor=10_000, **PLAIN)
    when = on(world, DAY + timedelta(1))
    _dispute(world, "DA", 3_000, when)
    other = _dispute(world, "DB", 4_000, when)
    ends = on(world, DAY + timedelta(first))
    end = _ended(world, "DB", 4_000, ends, capture)
    _ended(world, "DA", 3_000, on(world, DAY + timedelta(second)))
    when = on(world, DAY + timedelta(4))
    _was_none(world, end, when, "RE")
    world.ledger.checkpoint()
    world.reopen()
    buckets = _was_none(world, other, when, "RD")
    assert buckets["quiet/2026-10-16/P"] == 3_000
    when = on(world, DAY + timedelta(5))
    buckets = _was_none(world, _dispute(world, "DC", 3_000, when), when, "RC")
    assert {name: left for name, left in buckets.items() if name[:6] == "quiet/" and left} == {
        "quiet/2026-10-17/P": 3_000}
    assert sum(buckets.values()) == 10_000
    assert verify(world.settings).broken is None


def test_d0_11_an_end_of_a_template_of_before_is_taken_back_as_far_as_it_is_known():
    """It kept the last end alone, and with each the one before it."""
    assert end_added(None, "2026-09-14", "2026-09-15") == ["2026-09-14", "2026-09-15"]
    assert end_taken(None, "2026-09-15", "2026-09-15", "2026-09-14") == ["2026-09-14"]
    assert end_taken(None, "2026-09-15", "2026-09-14", None) == ["2026-09-15"]
    assert end_taken(["2026-09-15"], "2026-09-15", "2026-09-14", None) == ["2026-09-15"]
    assert last_end(end_taken(None, "2026-09-15", "2026-09-15", None)) is None


def test_d0_11_a_rest_that_was_over_is_none_any_more(world):
    """Thirty-one days after the end; nor does one that ended after this one was placed count."""
    world.do("payment", transaction_id="P", amount_minor=8_000, **PLAIN)
    when = on(world, DAY)
    _dispute(world, "DA", 5_000, when)
    early = _dispute(world, "DB", 3_000, when)
    _ended(world, "DA", 5_000, on(world, DAY + timedelta(1)))
    when = on(world, DAY + timedelta(2))
    assert _was_none(world, early, when) == {"2026-09-14": 3_000, "quiet/2026-10-14/P": 5_000}
    late = _dispute(world, "DC", 5_000, on(world, DAY + timedelta(40)))
    assert _was_none(world, late, on(world, DAY + timedelta(40)), "R2")["2026-10-22"] == 5_000


def test_d0_11_a_rest_of_a_log_of_before_is_read_as_it_was(world):
    """Five items: the dispute ends the rest of as much, and nothing else of the payment."""
    state = world.ledger.state
    rest = ["quiet", "2201:M1", "CNY", "P"]
    state.post([["2201:M1", "CNY", "C", 8_000, "gross", None]], DAY.isoformat())
    state.change([[*rest, 8_000]], DAY.isoformat())
    state.change([[*rest, -3_000]], "2026-10-02")
    assert state.account("2201:M1", "CNY").buckets == {
        "quiet/2026-10-12/P": 5_000, "2026-10-02": 3_000,
    }
    state.back()


def test_d0_13_a_denied_payment_is_filled_by_later_settlements_before_any_payout(world):
    world.do("payment", transaction_id="P", amount_minor=6_000, **PLAIN)
    on(world, DAY + timedelta(1))
    run(world, DAY + timedelta(1))
    when = {"occurred_at": at(DAY + timedelta(1), "20:00:00")}
    world.send("denied_payment", hold_id="H", original_transaction_id="P", case_number="C1",
               **when)
    world.do("payment", amount_minor=5_000, **PLAIN, **when)
    on(world, DAY + timedelta(2))
    assert run(world, DAY + timedelta(2)).not_paid[0]["reason"] == "held"
    when = {"occurred_at": at(DAY + timedelta(2), "20:00:00")}
    world.do("payment", amount_minor=4_000, **PLAIN, **when)
    on(world, DAY + timedelta(3))
    assert run(world, DAY + timedelta(3)).amounts == {"settlement": 3_000}
    account = world.ledger.state.account("2201:M1", "CNY")
    assert (account.balance, account.held) == (6_000, 6_000)


def test_d0_15_a_denied_payment_is_released_on_day_180_without_interest(world):
    world.do("payment", transaction_id="P", amount_minor=6_000, **PLAIN)
    world.send("denied_payment", hold_id="H", original_transaction_id="P", case_number="C1")
    for days, held in ((0, 6_000), (179, 6_000), (180, 0)):
        day = DAY + timedelta(days)
        world.ledger.set_clock(at(day, "23:30:00"))
        world.ledger.close_day(day)
        account = world.ledger.state.account("2201:M1", "CNY")
        assert (account.held, account.balance) == (held, 6_000), days


def test_d0_15_an_authority_order_takes_the_hold_over(world):
    world.do("payment", transaction_id="P", amount_minor=6_000, **PLAIN)
    world.send("denied_payment", hold_id="H", original_transaction_id="P", case_number="C1")
    world.approved("hold_takeover", result_id="R", hold_id="H", case_number="COURT-9")
    day = DAY + timedelta(181)
    world.ledger.set_clock(at(day, "23:30:00"))
    world.ledger.close_day(DAY)
    world.ledger.close_day(day)
    assert world.ledger.state.account("2201:M1", "CNY").held == 6_000


def test_d0_21_penalty_of_one_per_cent_a_day_on_what_is_unpaid(world):
    """1,000.00 advanced on day 0 and repaid on day 3: 30.00."""
    world.register("own_funds", movement_id="OF", amount_minor=10**7, currency_code="CNY")
    world.send("advance", movement_id="A", merchant_id="M1", amount_minor=100_000,
               currency_code="CNY", case_number="C1")
    assert run(world, DAY).amounts == {}
    for days in (1, 2, 3):
        day = DAY + timedelta(days)
        when = on(world, day)
        if days == 3:
            world.send("claim_payment", movement_id="CP", merchant_id="M1", claim="1202",
                       amount_minor=100_000, currency_code="CNY", **when)
        assert run(world, day).amounts == {"penalty": 1_000}, days
    day = DAY + timedelta(4)
    on(world, day)
    assert run(world, day).amounts == {}
    assert world.balance("1203:M1") == 3_000


def test_d0_21_a_penalty_is_rounded_half_up_to_the_fen():
    assert [penalty(n) for n in (49, 50, 149, 150, 100_050)] == [0, 1, 1, 2, 1001]


@pytest.mark.parametrize("block", [
    {"type_": "hold", "hold_id": "H", "hold_kind": "suspicious", "case_number": "C1"},
    {"type_": "account_status", "status": "frozen", "reason": "asked by the court"},
])
def test_d1_10_a_withdrawal_that_the_bank_paid_is_booked_whatever_came_between(world, block):
    world.do("top_up", amount_minor=100_000)
    world.do("withdrawal", withdrawal_id="W", amount_minor=5_000, fee_minor=25)
    world.register(**block, account_id="2101:U1", currency_code="CNY")
    assert world.do("withdrawal_result", withdrawal_id="W")["status"] == "posted"
    assert world.balance("2101:U1") == 100_000 - 5_025
    again = world.do("withdrawal", amount_minor=5_000, fee_minor=25)
    assert again["reason"] == "account_status"  # nothing new leaves
