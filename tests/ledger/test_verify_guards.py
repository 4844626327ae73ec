"""One who can write the database, and computes every digest anew, books nothing past a floor, a
status, a stop or the state of a party: `verify` asks the guards again, of the state of then."""

from __future__ import annotations

import orjson
import pytest

from ledger.entrypoints.operations import verify
from tests.ledger.conftest import ANN, World
from tests.ledger.rules.words import CNY, INTERNAL, PLAIN, ended, on, posted
from tests.ledger.test_verify import _broken
from tests.ledger.test_verify_forged import _again, _rows, _write


def _paid_again(world: World, amount: int, authorisation: str) -> None:
    """The last payment once more, at the end, by another authorisation of the payer."""
    rows = _rows(world)
    copy = dict([row for row in rows if row["type"] == "payment"][-1])
    before = orjson.loads(copy["content"])
    for column in ("content", "legs", "effects"):
        copy[column] = copy[column].replace(
            before["authorisation"], authorisation
        ).replace(str(before["amount_minor"]), str(amount)).replace(
            before["transaction_id"], "AGAIN"
        )
    copy.update(idempotency_key="AGAIN", business_key="AGAIN")
    _write(world, [*rows, copy])


def _user_pays(world: World) -> str:
    """A user with 50,000 who paid 10,000 and agreed to the same once more."""
    world.do("top_up", amount_minor=50_000)
    posted(world.do("payment", **INTERNAL))
    return world.authorise("U1", "M1", 10_000)


def test_what_nothing_keeps_back_is_told_by_signatures_alone(world):
    _paid_again(world, 10_000, _user_pays(world))
    assert verify(world.settings).broken is None


def test_a_payment_below_the_floor_is_named(world):
    _user_pays(world)
    _paid_again(world, 40_001, world.authorise("U1", "M1", 40_001))
    assert "it should have been refused: below_floor, account 2101:U1" in _broken(world)


def test_a_payment_below_a_floor_of_the_accounts_own_is_named(world):
    consent = _user_pays(world)
    world.approved("account_floor", account_id="2101:U1", floor_minor=30_001,
                   reason="x", **CNY)
    _paid_again(world, 10_000, consent)
    assert "it should have been refused: below_floor, account 2101:U1" in _broken(world)


def test_a_payment_of_what_is_held_is_named(world):
    consent = _user_pays(world)
    posted(world.send("hold", hold_id="H", hold_kind="suspicious", account_id="2101:U1",
                      amount_minor=30_001, case_number="N", **CNY))
    _paid_again(world, 10_000, consent)
    assert "it should have been refused: below_floor, account 2101:U1" in _broken(world)


@pytest.mark.parametrize(("status", "who", "reason"), [
    ("frozen", "2101:U1", "account_status"), ("no_debit", "2101:U1", "account_status"),
    ("no_credit", "2201:M1", "account_status"),
])
def test_a_payment_that_the_status_of_an_account_kept_back_is_named(world, status, who, reason):
    consent = _user_pays(world)
    world.register("account_status", account_id=who, status=status, reason="x", **CNY)
    _paid_again(world, 10_000, consent)
    assert f"it should have been refused: {reason}, account {who} is {status}" in _broken(world)


def test_a_payment_out_of_an_account_under_a_hold_is_named(world):
    consent = _user_pays(world)
    posted(world.send("hold", hold_id="H", hold_kind="suspicious", account_id="2101:U1",
                      case_number="N", **CNY))
    _paid_again(world, 10_000, consent)
    assert "account_status, account 2101:U1 is under a hold" in _broken(world)


@pytest.mark.parametrize(("scope", "target", "mode"), [
    ("all", None, "new_business"), ("rail", "internal", "everything"),
    ("merchant", "M1", "new_business"), ("merchant", "U1", "everything"),
    ("account", "2201:M1", "new_business"),
])
def test_a_payment_under_a_stop_is_named(world, scope, target, mode):
    consent = _user_pays(world)
    world.register("stop", stop_id="S", stop_scope=scope, stop_target=target, stop_mode=mode,
                   reason="x")
    _paid_again(world, 10_000, consent)
    assert "it should have been refused: stopped, stop S covers" in _broken(world)


def test_what_was_booked_before_a_stop_and_after_it_was_lifted_verifies(world):
    world.do("payment", **PLAIN)
    world.register("stop", stop_id="S", stop_scope="merchant", stop_target="M1",
                   stop_mode="everything", reason="x")
    assert world.do("payment", **PLAIN)["reason"] == "stopped"
    world.approved("stop_lift", stop_id="S", reason="over")
    posted(world.do("payment", **PLAIN))
    assert verify(world.settings).journals == 2


def test_new_business_of_a_cancelled_merchant_is_named(world):
    world.do("payment", **PLAIN)
    ended(world, "M1")
    _again(world, "payment", "transaction_id")
    assert "it should have been refused: party_not_active, M1 is cancelled" in _broken(world)


def test_business_that_a_grade_bars_is_named(world):
    world.do("payment", **PLAIN)
    world.approved("grade_terms", grade="standard", barred_scenes=["payment"], evidence="E",
                   valid_from="2026-09-12", delay_days=0, deposit_minor=0)
    _again(world, "payment", "transaction_id")
    assert "it should have been refused: grade_not_allowed" in _broken(world)


def test_a_reversal_below_a_floor_is_named(world):
    """Of a handler that says its legs itself: moved behind the payout of what it takes back."""
    first = posted(world.do("payment", **PLAIN))
    posted(world.do("payment", **PLAIN))
    world.approved("reversal", adjustment_id="R", journal_id=first["journal_id"], reason="x",
                   incident_number="I")
    posted(world.do("settlement", amount_minor=10_000))
    *rows, reversal, payout = _rows(world)
    for column in ("content", "legs", "effects"):
        payout[column] = payout[column].replace("10000", "20000")
    _write(world, [*rows, payout, reversal])
    assert "it should have been refused: below_floor, account 1001" in _broken(world)


@pytest.mark.parametrize(("old", "new"), [
    ('"expires_on":"2026-10-12"', '"expires_on":"2026-09-12"'),
    ('"placed_on":"2026-09-12"', '"placed_on":"2026-09-01"'), ('"case":', '"due":'),
])
def test_a_hold_that_says_another_thing_than_its_kind_gives_is_named(world, old, new):
    world.do("top_up", amount_minor=50_000)
    posted(world.send(
        "pre_authorisation", transaction_id="H", merchant_id="M1", user_id="U1",
        amount_minor=1_000,
        authorisation=world.authorise("U1", "M1", 1_000), **CNY,
    ))
    rows = _rows(world)
    assert old in rows[-1]["effects"], rows[-1]["effects"]
    rows[-1]["effects"] = rows[-1]["effects"].replace(old, new)
    _write(world, rows)
    assert "the holds that it places or ends are not those of its template" in _broken(world)


def test_a_request_that_holds_more_than_is_there_is_named(world):
    world.do("top_up", amount_minor=50_000)
    posted(world.do("withdrawal", withdrawal_id="W"))
    rows = _rows(world)
    for row in rows:
        if row["type"] == "top_up":
            for column in ("content", "legs", "effects"):
                row[column] = row[column].replace("50000", "1000")
    _write(world, rows)
    assert "it should have been refused: below_floor, account 2101:U1" in _broken(world)


def test_two_people_and_a_later_date_change_nothing_of_that(world):
    """What waited is judged by the state of its approval, holds of the request included."""
    world.do("top_up", amount_minor=50_000)
    world.approved("tariff", tariff_id="T", bank_ppm=5_000, third_party_ppm=10_000,
                   least_minor=0, approval_above_minor=1_000)
    waits = world.send(
        "withdrawal", ANN, withdrawal_id="W", user_id="U1", amount_minor=20_000, fee_minor=100,
        destination_id="D1", authorisation=world.authorise("U1", "D1", 20_000), **CNY,
    )
    assert waits["status"] == "pending", waits
    later = on(world, 1)
    posted(world.approve(waits["sequence"], **later))
    assert verify(world.settings).broken is None
