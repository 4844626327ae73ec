"""Limits as they are kept for each posting: which are for an account, and that what is kept
follows the registers. What they refuse over HTTP stands in test_refusals.py and rules/."""

from __future__ import annotations

import pytest

from ledger.domain.account import Used
from ledger.domain.limits import Limit, in_force
from tests.ledger.conftest import DAY

_TODAY = DAY.isoformat()
CNY = {"currency_code": "CNY"}


def row(limit_id: str, **values) -> dict:
    return {"id": limit_id, "scene": "payment", "account_code": "2201", "currency_code": "CNY",
            "valid_from": "2026-09-01", **values}


def ids(*rows: dict, grade: str = "standard", day: str = _TODAY) -> list[str]:
    return [found.id for found in in_force(rows, "payment", "2201", grade, "CNY", day)]


def test_a_grades_own_limits_come_before_those_of_all():
    assert ids(row("all"), row("own", grade="standard"), row("other", grade="gold")) == [
        "own", "all",
    ]


@pytest.mark.parametrize("other", [
    {"scene": "refund"}, {"account_code": "2101"}, {"currency_code": "USD"},
    {"valid_from": "2026-09-13"}, {"valid_to": "2026-09-11"}, {"grade": "gold"},
])
def test_a_limit_for_something_else_is_not_in_force(other):
    assert ids(row("L", **other)) == []


def test_the_first_and_the_last_date_of_validity_count():
    limit = row("L", valid_from=_TODAY, valid_to=_TODAY)
    assert ids(limit) == ["L"]
    assert ids(limit, day="2026-09-11") == ids(limit, day="2026-09-13") == []


@pytest.mark.parametrize(("bounds", "amount", "crossed"), [
    ({"single_minor": 100}, 100, None),
    ({"single_minor": 100}, 101, "100 minor units a time"),
    ({"day_minor": 1000}, 400, None),
    ({"day_minor": 1000}, 401, "1000 minor units a day"),
    ({"day_count": 3}, 1, None),
    ({"day_count": 2}, 1, "2 times a day"),
    ({"month_minor": 5000}, 1000, None),
    ({"month_minor": 5000}, 1001, "5000 minor units a month"),
    ({"month_count": 9}, 1, "9 times a month"),
    ({"day_minor": 0}, 1, "0 minor units a day"),
    ({}, 10**15, None),
])
def test_exactly_the_limit_passes(bounds, amount, crossed):
    usage = {period: Used(None, 0) for period in (_TODAY, _TODAY[:7])}
    usage[_TODAY].amount, usage[_TODAY].times = 600, 2
    usage[_TODAY[:7]].amount, usage[_TODAY[:7]].times = 4000, 9
    assert Limit(row("L", **bounds)).crossed(usage, amount, _TODAY) == crossed


def test_a_new_limit_holds_for_an_account_that_was_asked_about_before(world):
    assert world.do("payment")["status"] == "posted"
    world.approved("limit", limit_id="L", scene="payment", account_code="2201", single_minor=1,
                   valid_from=_TODAY, **CNY)
    assert world.do("payment")["reason"] == "limit_exceeded"
    world.approved("limit", limit_id="L", scene="payment", account_code="2201",
                   single_minor=10**9, valid_from=_TODAY, **CNY)
    assert world.do("payment")["status"] == "posted"


def test_a_changed_grade_has_its_limits_at_once(world):
    world.approved("limit", limit_id="L", scene="top_up", account_code="2101", grade="trusted",
                   single_minor=1, valid_from=_TODAY, **CNY)
    assert world.do("top_up")["status"] == "posted"
    world.approved("grade_change", party_id="U1", grade="trusted", evidence="RATING-1")
    assert world.do("top_up")["reason"] == "limit_exceeded"


def test_the_same_limit_and_the_same_stop_are_named_after_a_start(world):
    """What is read from a checkpoint comes by name, not in the order in which it was set."""
    for name in ("L9", "L10"):
        world.approved(
            "limit", limit_id=name, scene="payment", account_code="2201", currency_code="CNY",
            single_minor=100, valid_from=DAY.isoformat(),
        )
    for name in ("S9", "S10"):
        world.register("stop", stop_id=name, stop_scope="merchant", stop_target="M2",
                       stop_mode="everything", reason="drill")
    before = [world.do("payment", merchant_id=merchant) for merchant in ("M1", "M2")]
    world.reopen()
    after = [world.do("payment", merchant_id=merchant) for merchant in ("M1", "M2")]
    assert [r["reason"] for r in before] == ["limit_exceeded", "stopped"]
    assert [r["detail"] for r in after] == [r["detail"] for r in before]
