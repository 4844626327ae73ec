"""Day close: once, in order, only when everything foots; heads signed and kept outside."""

from __future__ import annotations

import json
from datetime import date

import pytest

from ledger.adapters.heads import head_paths
from ledger.service.faults import RequestRefused
from paylake.keys import Keyring
from tests.ledger.conftest import ANN, DAY, at

NEXT = date(2026, 9, 13)


def _reason(call) -> str:
    with pytest.raises(RequestRefused) as caught:
        call()
    assert caught.value.http_status == 409
    return caught.value.reason


def test_close(world, settings):
    world.do("payment")
    world.do("top_up", amount_minor=5000)
    head = world.close()
    assert head["replayed"] is False
    assert (head["journals"], head["legs"]) == (2, 8)
    assert head["chain_sequence"] == world.ledger.head.sequence > 2  # registers are entries too
    closing = {t["account_code"]: t["closing_minor"] for t in head["trial_balance"]}
    assert {code: value for code, value in closing.items() if value} == {
        "1001": 14962, "2101": 5000, "2201": 9940, "2301": 22,
    }
    assert {"2202", "2401", "1101", "3001", "6402"} < set(closing)
    document, signature = head_paths(settings.path("ledger", "heads"), "2026-09-12")
    assert json.loads(document.read_bytes())["chain_digest"] == world.ledger.head.digest.hex()
    public = Keyring(settings).trust()["ledger-1"].public
    assert public.verify(document.read_bytes(), signature.read_bytes())


def test_once_and_a_lost_head_file_comes_back(world, settings):
    world.do("payment")
    first = world.close()
    document, signature = head_paths(settings.path("ledger", "heads"), "2026-09-12")
    before = (document.read_bytes(), signature.read_bytes())
    document.unlink()
    signature.unlink()
    assert world.ledger.close_day(DAY) == {**first, "replayed": True}
    assert (document.read_bytes(), signature.read_bytes()) == before


def test_before_cut_off(world):
    world.ledger.set_clock(at(DAY, "22:59:59"))
    assert _reason(lambda: world.ledger.close_day(DAY)) == "before_cut_off"
    world.ledger.set_clock(at(DAY, "23:00:00"))
    assert world.ledger.close_day(DAY)["journals"] == 0


def test_in_order(world):
    world.do("payment")
    world.ledger.set_clock(at(NEXT, "23:30:00"))
    assert _reason(lambda: world.ledger.close_day(NEXT)) == "earlier_date_open"
    world.ledger.close_day(DAY)
    world.ledger.close_day(NEXT)
    assert _reason(lambda: world.ledger.close_day(date(2026, 9, 11))) == "date_closed"


def test_clock_does_not_go_back_into_a_closed_date(world):
    world.close()
    assert _reason(lambda: world.ledger.set_clock(at(DAY, "22:00:00"))) == "date_closed"


def test_postings_of_the_next_date_do_not_wait(world):
    world.do("payment")
    world.ledger.set_clock(at(NEXT, "10:00:00"))
    assert world.do("payment", occurred_at=at(NEXT, "09:00:00"))["booking_date"] == "2026-09-13"
    head = world.ledger.close_day(DAY)
    assert (head["journals"], head["chain_sequence"]) == (1, world.ledger.head.sequence)
    world.ledger.set_clock(at(NEXT, "23:30:00"))
    following = world.ledger.close_day(NEXT)
    assert following["previous_date"] == "2026-09-12"
    reserve = next(t for t in following["trial_balance"] if t["account_code"] == "1001")
    assert (reserve["opening_minor"], reserve["closing_minor"]) == (9962, 19924)


@pytest.mark.parametrize(("change", "reason"), [
    ("update document set document = replace(document, '\"balance\":19880', '\"balance\":19881') "
     "where key = '2201:M1/CNY'", "balance_differs"),
    ("update segment set debit_minor = debit_minor + 1 where account_id = '2201:M1'",
     "balance_differs"),
    ("update document set document = replace(document, '\"balance\":19880', '\"balance\":19881') "
     "where key = '2201:M1/CNY'; "
     "update segment set credit_minor = credit_minor + 1 where account_id = '2201:M1'",
     "trial_balance_differs"),
    ("update entry set legs = replace(legs, '9962', '9961') where journal = 1", "chain_broken"),
    ("update entry set content = replace(content, 'M1', 'M2') where journal = 1",
     "chain_broken"),
    ("delete from entry where journal = 1", "chain_broken"),
])
def test_refused_when_something_does_not_foot(world, change, reason):
    world.do("payment")
    world.do("payment")
    world.reopen()
    db = world.ledger.store.db
    for (name,) in db.execute("select name from sqlite_master where type = 'trigger'").fetchall():
        db.execute(f"drop trigger {name}")
    for statement in change.split("; "):
        assert db.execute(statement).rowcount > 0
    world.reopen()
    world.ledger.set_clock(at(DAY, "23:30:00"))
    assert _reason(lambda: world.ledger.close_day(DAY)) == reason
    assert world.ledger.head.closed is None


def test_holds_end_by_their_date(world):
    """The last date of a hold is the day that it is held on at last: its close ends it."""
    long = "H" * 60
    world.do("top_up", amount_minor=10000)
    for name in (long + "1", long + "2"):
        world.register("hold", hold_id=name, hold_kind="pre_authorisation",
                       account_id="2101:U1", amount_minor=100, currency_code="CNY",
                       case_number="N", expires_on=DAY.isoformat())
    world.do("payment", transaction_id="P")
    world.register("denied_payment", hold_id="D", original_transaction_id="P", case_number="N")
    assert world.ledger.state.account("2101:U1", "CNY").available == 9800
    head = world.close()
    assert world.ledger.state.account("2101:U1", "CNY").available == 10000
    assert (list(world.ledger.state.holds), head["open_holds"]) == (["D"], 1)
    assert world.ledger.state.holds["D"]["expires_on"] == "2027-03-11"  # day 0 and 180 more


def test_what_waits_is_said_in_the_head(world):
    world.send("contract", ANN, contract_id="C", merchant_id="M1", settlement_mode="institution",
               settlement_cycle="D+1", minimum_minor=0, fee_choice="bill",
               valid_from="2026-09-20")
    assert world.close()["waiting_approvals"] == 1


def test_a_real_ledger_has_no_clock_to_set(settings):
    from ledger.adapters.calendars import payout_calendar
    from ledger.service.clock import Clock
    from paylake.dates import business_date, next_working_day

    clock = Clock(
        False, lambda moment: business_date(moment, settings), next_working_day,
        payout_calendar(),
    )
    booked_at, day = clock.time_of(None, None, "")
    assert booked_at.endswith("Z") and len(booked_at) == 20 and len(day) == 10
    assert clock.time_of(None, None, "2999-01-01T00:00:00Z")[0] == "2999-01-01T00:00:00Z"
