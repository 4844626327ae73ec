"""What customers ask of their accounts, and what consumers take from the outbox exactly once."""

from __future__ import annotations

from datetime import date

import pytest

from ledger.adapters.data_files import load_events
from ledger.service.events import events
from ledger.service.faults import RequestRefused
from ledger.service.statements import Asked, statement, window_start
from tests.ledger.banks import Bank, line
from tests.ledger.conftest import DAY, at


def asked(world, after=0, limit=100, account="2101:U1", **filters):
    return statement(world.ledger, account, "CNY", Asked(**filters), after, limit)


@pytest.fixture
def busy(world):
    world.do("top_up", top_up_id="I1", amount_minor=100_000, occurred_at=at(DAY, "08:00:00"))
    for number in range(1, 6):
        world.do("payment", transaction_id=f"P{number}", channel="internal", user_id="U1",
                 merchant_id=f"M{1 + number % 2}", amount_minor=1000 * number,
                 issuer_fee_minor=0, network_fee_minor=0)
    world.do("refund", transaction_id="R1", original_transaction_id="P3", amount_minor=3000,
             acquirer_fee_minor=22)
    return world


def test_d1_14_movements_by_time_type_amount_number_and_counterparty(busy):
    found = asked(busy)["movements"]
    assert [m["amount_minor"] for m in found] == [
        100_000, -1000, -2000, -3000, -4000, -5000, 3000,
    ]
    assert [m["number"] for m in asked(busy, type="refund")["movements"]] == ["R1"]
    assert [m["number"] for m in asked(busy, least=4000, most=5000)["movements"]] == ["P4", "P5"]
    assert [m["number"] for m in asked(busy, number="P2")["movements"]] == ["P2"]
    assert [m["number"] for m in asked(busy, counterparty="M1")["movements"]] == ["P2", "P4"]
    assert found[-1]["original"] == "P3" and found[1]["status"] == "posted"
    assert sum(m["amount_minor"] for m in found) == busy.balance("2101:U1")


def test_pages_give_every_movement_once(busy):
    seen, after = [], 0
    while after is not None:
        page = asked(busy, after=after, limit=2)
        seen += [m["sequence"] for m in page["movements"]]
        after = page["next"]
    assert seen == [m["sequence"] for m in asked(busy)["movements"]] and len(seen) == 7


def test_movements_are_found_before_and_after_a_checkpoint(busy):
    before = asked(busy)["movements"]
    busy.ledger.checkpoint()
    assert asked(busy)["movements"] == before
    busy.reopen()
    assert asked(busy)["movements"] == before


@pytest.mark.parametrize(("today", "begin"), [
    ("2026-09-12", "2026-06-12"), ("2026-05-31", "2026-02-28"), ("2024-05-31", "2024-02-29"),
    ("2026-01-15", "2025-10-15"), ("2026-03-31", "2025-12-31"),
])
def test_d1_14_the_window_is_three_calendar_months(today, begin):
    assert window_start(date.fromisoformat(today)).isoformat() == begin


def test_d1_14_what_is_older_is_refused_by_name(busy):
    assert asked(busy, first="2026-06-12")["movements"]
    with pytest.raises(RequestRefused) as caught:
        asked(busy, first="2026-06-11")
    assert caught.value.reason == "outside_window"


def test_every_entry_gives_its_events_once_and_in_order(busy):
    busy.do("settlement", amount_minor=10**9)
    found, after = [], None
    while True:
        page = events(busy.ledger.store, after, 7)
        if not page["events"]:
            break
        found += page["events"]
        after = page["next"]
    keys = [tuple(map(int, event["key"].split("/"))) for event in found]
    assert keys == sorted(set(keys))
    whole = events(busy.ledger.store, None, 10**6)["events"]
    assert found == whole
    # taken up anywhere, what follows is the same
    assert events(busy.ledger.store, found[40]["key"], 10**6)["events"] == whole[41:]


def test_notices_of_balance_holds_offsets_refusals_and_results(busy):
    busy.register("own_funds", movement_id="OF", amount_minor=10**6, currency_code="CNY")
    busy.send("hold", hold_id="H", hold_kind="suspicious", account_id="2101:U1",
              amount_minor=500, currency_code="CNY", case_number="C1")
    busy.do("settlement", amount_minor=10**9)
    found = events(busy.ledger.store, None, 10**6)["events"]
    mine = [e for e in found if e["event"] == "balance_change" and e["account_id"] == "2101:U1"]
    assert sum(e["credit_minor"] for e in mine) == busy.balance("2101:U1")
    (hold,) = [e for e in found if e["event"] == "hold"]
    assert (hold["left_minor"], hold["ended"]) == (500, False)
    (refusal,) = [e for e in found if e["event"] == "refusal"]
    assert refusal["reason"] == "below_floor" and refusal["merchant_id"] == "M1"
    result = next(e for e in found if e["event"] == "result" and e["business_key"] == "P1")
    assert (result["user_id"], result["merchant_id"]) == ("U1", "M2")


def test_d1_06_events_carry_no_sensitive_value(busy):
    busy.approved("destination", destination_id="DM", party_id="M1", bank_code="ICBC",
                  bound_account="6222021234567890123", bound_name="张三")
    text = str(events(busy.ledger.store, None, 10**6))
    assert "6222021234567890123" not in text and "张三" not in text


def test_every_event_has_the_fields_of_its_page(world):
    """Each kind of event, with exactly the common fields and its own."""
    from tests.ledger.rules import test_d0_fees as fees

    said = load_events()
    fees._billed(world)
    fees._issue(world, 30, "B1")
    world.register("own_funds", movement_id="O", amount_minor=1000, **fees.CNY)
    world.do("payment", transaction_id="P", amount_minor=6000)
    world.do("payment", transaction_id="P")
    world.register("advance", movement_id="A", merchant_id="M1", amount_minor=100,
                   case_number="N", **fees.CNY)
    world.register("offset", movement_id="F", merchant_id="M1", claim="1202", amount_minor=100,
                   notice_number="N1", **fees.CNY)
    world.register("denied_payment", hold_id="H", original_transaction_id="P", case_number="C")
    Bank(world).send([line("1", 1, "not here")])
    found = events(world.ledger.store, None, 10**6)["events"]
    assert {event["event"] for event in found} == set(said["events"])
    for event in found:
        own = said["events"][event["event"]]["fields"]
        assert set(event) == set(said["common"]) | set(own), event
