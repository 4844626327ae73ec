"""One test a refusal reason, that their order holds, and that a refusal has no postings."""

from __future__ import annotations

import pytest

from ledger.domain.refusals import REASONS


def _refused(world, result, reason, field=None):
    assert result["status"] == "refused", result
    assert result["reason"] == reason, result
    assert result.get("field") == field, result


FORM = [
    ("not_an_object", None, lambda w: [1]),
    ("unknown_type", "type", lambda w: {"type": "gift"}),
    ("unknown_type", "type", lambda w: {"type": ["payment"]}),
    ("unknown_field", "colour", lambda w: w.command("fee", colour="red")),
    ("unknown_field", "fee_minor", lambda w: w.command("fee", fee_minor=1)),
    ("missing_field", "idempotency_key", lambda w: w.command("fee", idempotency_key=None)),
    ("missing_field", "occurred_at", lambda w: w.command("fee", occurred_at=None)),
    ("missing_field", "amount_minor", lambda w: w.command("fee", amount_minor=None)),
    ("invalid_field", "idempotency_key", lambda w: w.command("fee", idempotency_key="a b")),
    ("invalid_field", "idempotency_key", lambda w: w.command("fee", idempotency_key="a\n")),
    ("invalid_field", "idempotency_key", lambda w: w.command("fee", idempotency_key=7)),
    ("invalid_field", "merchant_id", lambda w: w.command("fee", merchant_id="M'; drop")),
    ("invalid_field", "currency_code", lambda w: w.command("fee", currency_code="cny")),
    ("invalid_field", "channel", lambda w: w.command("payment", channel="cash")),
    ("invalid_field", "occurred_at", lambda w: w.command("fee", occurred_at="2026-09-12")),
    ("invalid_field", "occurred_at",
     lambda w: w.command("fee", occurred_at="2026-09-12T10:00:00")),
    ("invalid_field", "occurred_at",
     lambda w: w.command("fee", occurred_at="2026-09-12T10:00:00.5+08:00")),
    ("invalid_field", "user_id", lambda w: w.command("payment", channel="internal")),
    ("invalid_field", "user_id", lambda w: w.command("payment", user_id="U1")),
    ("amount_out_of_range", "amount_minor", lambda w: w.command("fee", amount_minor=0)),
    ("amount_out_of_range", "amount_minor", lambda w: w.command("fee", amount_minor=-5)),
    ("amount_out_of_range", "amount_minor", lambda w: w.command("fee", amount_minor=10**15 + 1)),
    ("amount_out_of_range", "amount_minor", lambda w: w.command("fee", amount_minor=1.0)),
    ("amount_out_of_range", "amount_minor", lambda w: w.command("fee", amount_minor="100")),
    ("amount_out_of_range", "amount_minor", lambda w: w.command("fee", amount_minor=True)),
    ("amount_out_of_range", "issuer_fee_minor",
     lambda w: w.command("payment", issuer_fee_minor=-1)),
]


@pytest.mark.parametrize(("reason", "field", "make"), FORM)
def test_form(world, reason, field, make):
    raw = make(world)
    _refused(world, world.ledger.apply([raw])[0], reason, field)
    assert world.ledger.head.command_number == 0  # leaves no trace


def test_clock_not_set(settings):
    from tests.ledger.conftest import World

    world = World(settings)
    try:
        _refused(world, world.do("fee"), "clock_not_set")
    finally:
        world.ledger.store.close()


def test_clock(world):
    _refused(
        world, world.do("fee", occurred_at="2026-09-12T23:00:00+08:00"), "ahead_of_clock",
        "occurred_at",
    )
    world.close()
    _refused(world, world.do("fee"), "date_closed", "occurred_at")
    assert world.ledger.head.command_number == 0


def test_business_refusals(world):
    _refused(world, world.do("fee", currency_code="USD"), "unknown_currency", "currency_code")
    internal = {"channel": "internal", "user_id": "U1"}
    _refused(world, world.do("payment", **internal), "fee_not_allowed", "issuer_fee_minor")
    _refused(world, world.do("payment", issuer_fee_minor=9999), "fees_exceed_amount")
    world.do("payment", transaction_id="P")
    _refused(world, world.do("payment", transaction_id="P"), "business_key_taken")
    _refused(world, world.do("fee", fee_id="P"), "business_key_taken")
    for type_ in ("refund", "dispute", "dispute_release"):
        _refused(
            world, world.do(type_, original_transaction_id="X"), "original_unknown",
            "original_transaction_id",
        )
    # a payment is not a dispute, a dispute not a payment
    _refused(world, world.do("dispute_release", original_transaction_id="P"),
             "original_unknown", "original_transaction_id")
    _refused(world, world.do("refund", original_transaction_id="P", amount_minor=10001),
             "exceeds_original", "amount_minor")
    _refused(world, world.do("dispute", original_transaction_id="P", amount_minor=10001),
             "exceeds_original", "amount_minor")
    result = world.do("refund", original_transaction_id="P", amount_minor=5000,
                      issuer_fee_minor=17, network_fee_minor=2, acquirer_fee_minor=11)
    _refused(world, result, "returned_fee_differs", "issuer_fee_minor")
    assert result["detail"] == "issuer_fee_minor must be 18"
    world.do("dispute", transaction_id="D", original_transaction_id="P", amount_minor=4000)
    _refused(world, world.do("refund", original_transaction_id="P", amount_minor=6001),
             "exceeds_original", "amount_minor")
    _refused(world, world.do("dispute_release", original_transaction_id="D", amount_minor=1),
             "original_differs", "amount_minor")
    world.do("dispute_release", original_transaction_id="D", amount_minor=4000)
    _refused(world, world.do("dispute_release", original_transaction_id="D", amount_minor=4000),
             "already_released")
    _refused(world, world.do("payment", merchant_id="M9"), "account_not_open")


def test_floors(world):
    _refused(world, world.do("settlement", amount_minor=1), "below_floor")
    _refused(world, world.do("withdrawal", amount_minor=1), "below_floor")
    world.do("top_up", amount_minor=100)
    _refused(world, world.do("withdrawal", amount_minor=100, fee_minor=1), "below_floor")
    assert world.do("withdrawal", amount_minor=99, fee_minor=1)["status"] == "posted"
    # pending settlement may go below zero by a fee, and a payment may then raise it towards zero
    assert world.do("fee", amount_minor=500)["status"] == "posted"
    assert world.balance("2201:M1") == -500
    assert world.do("payment", amount_minor=100, issuer_fee_minor=0, network_fee_minor=0,
                    acquirer_fee_minor=0)["status"] == "posted"
    assert world.balance("2201:M1") == -400
    _refused(world, world.do("settlement", amount_minor=1), "below_floor")


def test_balance_range(world):
    account = world.ledger.books.get("2101:U1", "CNY")
    account.balance = account.pending = 10**18 - 10
    _refused(world, world.do("top_up", amount_minor=10), "balance_out_of_range")


def test_a_refusal_has_no_postings_and_is_recorded(world):
    before = world.balances()
    first = world.command("settlement")
    refused = world.ledger.apply([first])[0]
    assert refused["reason"] == "below_floor"
    assert world.balances() == before and world.ledger.head.sequence == 0
    world.do("payment", amount_minor=50000)
    again = world.ledger.apply([first])[0]
    assert again == {**refused, "replayed": True}  # the cause is gone, the key is bound
    assert world.do("settlement")["status"] == "posted"


def test_reasons_are_tested_in_the_order_of_the_list(world):
    """A command with several faults gets the first; mended one by one it walks down the list."""
    order = [reason.code for reason in REASONS]
    steps = [
        ({"colour": 1}, {"colour": None}),
        ({"merchant_id": None}, {"merchant_id": "bad id"}),
        ({}, {"merchant_id": "M9"}),
        ({"amount_minor": 0}, {"amount_minor": 10}),
        ({"occurred_at": at_future()}, {"occurred_at": "2026-09-12T10:00:00+08:00"}),
        ({"currency_code": "USD"}, {"currency_code": "CNY"}),
        ({"issuer_fee_minor": 11}, {"issuer_fee_minor": 0, "network_fee_minor": 0,
                                    "acquirer_fee_minor": 0}),
        ({}, {"merchant_id": "M1"}),
    ]
    values: dict = {}
    for faulty, _ in steps:
        values.update(faulty)
    seen = []
    for _, mended in steps:
        result = world.do("payment", **values)
        seen.append(result.get("reason"))
        values.update(mended)
    assert world.do("payment", **values)["status"] == "posted"
    places = [order.index(code) for code in seen]
    assert places == sorted(places) and len(set(places)) >= 7, seen


def at_future() -> str:
    return "2027-01-01T00:00:00+08:00"
