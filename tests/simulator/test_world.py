"""The world: deterministic, its books balance, its shapes are there."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from paylake import dates
from paylake.errors import UsageFault
from simulator.params import Params
from simulator.plan import MALFORMED, Plan, make_plan
from simulator.records import PAYMENT, REFUND, SETTLEMENT, TOP_UP, WITHDRAWAL
from simulator.trade import REFUND_DAYS
from simulator.world import World
from tests.simulator.conftest import SMALL

NO_PLAN = Plan({}, {})


def same(left, right) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(vars(left).values(), vars(right).values(),
                                                    strict=True))


def test_a_date_made_alone_is_the_same(world):
    day = SMALL.start + timedelta(days=11)
    assert same(World(SMALL).attempts(day), world.day(day).attempts)
    assert same(World(SMALL).day(day).operations, world.day(day).operations)


def test_forgetting_dates_changes_nothing(world, monkeypatch):
    monkeypatch.setattr("simulator.world._KEEP_ATTEMPTS", 400)
    other = World(SMALL)
    last = other.day(SMALL.last)
    assert len(other._days) <= 2 and len(other._attempts) <= REFUND_DAYS + 2
    assert same(last.operations, world.day(SMALL.last).operations)


def test_another_seed_is_another_world(world):
    other = World(replace(SMALL, seed=8))
    assert not np.array_equal(
        other.attempts(SMALL.start).amount, world.attempts(SMALL.start).amount
    )


def test_books_balance_every_date(world):
    seen = 0
    for day in SMALL.dates():
        made = world.day(day)
        closing, opening, operations = made.closing, made.opening, made.operations
        owed = int(closing.users.sum() + closing.pending.sum() + closing.disputed.sum())
        assert owed + closing.fee_pending == closing.book
        assert closing.custodian == opening.custodian + sum(m.amount for m in made.movements)
        assert min(closing.users.min(), closing.pending.min(), closing.custodian) >= 0
        seen += len(operations)
    assert seen > 5_000


def test_never_below_zero_within_a_date(world):
    """Users and merchants in event order: no balance is overdrawn even for a second."""
    checked = 0
    for day in SMALL.dates()[:8]:
        made = world.day(day)
        users, pending = made.opening.users.copy(), made.opening.pending.copy()
        operations = made.operations
        for n in range(len(operations)):
            kind, party = int(operations.kind[n]), int(operations.party[n])
            amount = int(operations.amount[n])
            parts = int(operations.issuer_fee[n] + operations.network_fee[n]
                        + operations.acquirer_fee[n])
            user = int(operations.user[n])
            if kind == PAYMENT:
                pending[party] += amount - parts
                if user >= 0:
                    users[user] -= amount
            elif kind == REFUND:
                pending[party] -= amount - parts
                if user >= 0:
                    users[user] += amount
            elif kind == TOP_UP:
                users[party] += amount
            elif kind == WITHDRAWAL:
                users[party] -= amount + parts
            else:
                pending[party] -= amount
            if kind in (PAYMENT, WITHDRAWAL):
                assert users[user if kind == PAYMENT else party] >= 0
            if kind in (REFUND, SETTLEMENT):
                assert pending[party] >= 0
            checked += 1
    assert checked > 1_000


def test_whole_yuan_and_least_amounts(world):
    for day in SMALL.dates()[:15]:
        operations = world.day(day).operations
        for kind, least in ((TOP_UP, 10_00), (WITHDRAWAL, 50_00)):
            amounts = operations.only(kind).amount
            assert (amounts % 100 == 0).all() and (amounts >= least).all()


def test_refunds_of_a_payment_never_exceed_it(world):
    paid: dict[str, int] = {}
    back: dict[str, list[int]] = {}
    for day in SMALL.dates():
        operations = world.day(day).operations
        payments, refunds = operations.only(PAYMENT), operations.only(REFUND)
        paid.update(zip(payments.key.tolist(), payments.amount.tolist(), strict=True))
        for origin, amount in zip(refunds.origin.tolist(), refunds.amount.tolist(), strict=True):
            back.setdefault(origin, []).append(amount)
    assert len(back) > 50 and any(len(parts) == 2 for parts in back.values())
    assert all(sum(parts) <= paid[origin] for origin, parts in back.items())


def test_payouts_follow_the_working_calendar(world):
    cycle = world.people.cycle_of
    for day in SMALL.dates():
        made = world.day(day)
        paid = np.unique(made.operations.only(SETTLEMENT).party)
        minimum = world.people.minimum_payout_on(day)
        if not dates.is_working_day(day):
            assert not (cycle[paid] == 1).any()
        enough = made.opening.pending >= np.maximum(minimum, 1)
        due = enough & (
            ((cycle == 2) & (not dates.is_public_holiday(day)))
            | ((cycle == 1) & dates.is_working_day(day))
        )
        assert set(np.flatnonzero(due)) <= set(paid.tolist())
        assert not (cycle[paid] == 1).any() or dates.is_working_day(day)
    assert dates.is_working_day(date(2026, 9, 20))  # a Sunday that is worked


def test_nobody_is_paid_out_on_a_public_holiday():
    made = World(replace(SMALL, start=date(2026, 9, 24), days=6))
    counts = {
        day: len(made.day(day).operations.only(SETTLEMENT).party) for day in made.params.dates()
    }
    holidays = [day for day in counts if dates.is_public_holiday(day)]
    assert len(holidays) == 3 and not any(counts[day] for day in holidays)
    assert all(counts[day] for day in counts if day not in holidays)


def test_success_rate_is_high_but_for_the_outage():
    params = replace(SMALL, txns=3_000, days=4)
    made = World(params)
    rates = {day: float(made.attempts(day).ok.mean()) for day in params.dates()}
    waived = made.plan.on("waived")
    assert 0.66 < rates.pop(waived) < 0.74
    assert all(rate > 0.93 for rate in rates.values())


def test_business_date_begins_at_the_cut_off(world):
    seconds = world.attempts(SMALL.start).second
    assert seconds.min() >= 0 and seconds.max() < 86_400
    assert (seconds < 3_600).any()  # 23:00 to midnight belongs to the next date


@pytest.mark.parametrize("days", [1, 2, 3, 5, 9, 15, 30, 45])
def test_plan_fits_any_period(days):
    params = replace(SMALL, days=days, txns=2_000)
    plan = make_plan(params)
    assert set(plan.when.values()) <= set(params.dates())
    assert set(plan.when) | set(plan.left_out) >= {*MALFORMED, "held", "waived", "dispute"}
    if days >= 3:
        early = set(params.dates()[:-3])
        assert plan.on("held") == params.dates()[-3] and plan.on("waived") == params.dates()[-2]
        assert all(d in early for k, d in plan.when.items() if k not in ("held", "waived"))
    if days <= 15:
        World(params).day(params.last)


def test_parameters_that_cannot_be_are_refused():
    with pytest.raises(UsageFault, match="too few"):
        Params(merchants=10, terminals=9)
    with pytest.raises(UsageFault, match="TXNS"):
        Params(txns=3)
    with pytest.raises(UsageFault, match="not simulated"):
        World(SMALL).day(SMALL.last + timedelta(days=1))


@pytest.mark.parametrize("days", [*range(1, 13), 30])
def test_two_deliveries_of_a_feed_are_not_refused_on_one_date(days):
    """Each is sent again under the next number, which the other may not take."""
    plan = make_plan(replace(SMALL, days=days))
    both = [plan.on(kind) for kind in ("truncated_file", "wrong_key")]
    assert None in both or both[0] != both[1]
    if days >= 5:
        assert None not in both
    for kind, planted in zip(("truncated_file", "wrong_key"), both, strict=True):
        assert (planted is None) == (kind in plan.left_out)
