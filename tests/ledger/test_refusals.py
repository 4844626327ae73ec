"""Every refusal reason, that their order holds, and that a refusal has no postings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ledger.domain.actors import Actor
from ledger.domain.refusals import BY_CODE, REASONS
from paylake.crypto import PrivateKey
from tests.ledger.conftest import ANN, BEN, DAY, SYSTEM, World, at

CNY = {"currency_code": "CNY"}
pytestmark = pytest.mark.usefixtures("currencies")  # some reasons need two


def _refused(result: dict, reason: str, field: str | None = None) -> None:
    assert result["status"] == "refused", result
    assert result["reason"] == reason, result
    assert result.get("field") == field, result


FORM = [
    ("not_an_object", None, lambda w: [1]),
    ("unknown_type", "type", lambda w: {"type": "gift"}),
    ("unknown_type", "type", lambda w: {"type": ["payment"]}),
    ("ledger_only", "type", lambda w: {
        "type": "hold_expiry", "idempotency_key": "k", "hold_id": "H",
    }),
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
    raw, before = make(world), world.ledger.head.sequence
    _refused(world.ledger.apply([raw], SYSTEM)[0], reason, field)
    if not BY_CODE[reason].recorded:
        assert world.ledger.head.sequence == before  # leaves no trace


def test_clock_not_set(settings):
    world = World(settings)
    try:
        _refused(world.do("fee"), "clock_not_set")
    finally:
        world.ledger.close()


def test_a_closed_period_takes_nothing_dated_back_into_it(world):
    head = world.close()
    world.ledger.set_clock(at(DAY.replace(day=13), "12:00:00"))
    today = {"occurred_at": at(DAY.replace(day=13), "10:00:00")}
    assert world.do("fee", value_date="2026-09-12", **today)["status"] == "posted"
    waits = world.send("period_close", ANN, valid_to="2026-09-12", reason="month",
                       trial_balance_sm3=head["trial_balance_sm3"], **today)
    assert world.approve(waits["sequence"], **today)["status"] == "posted"
    _refused(world.do("fee", value_date="2026-09-12", **today), "value_date_closed",
             "value_date")
    assert world.do("fee", value_date="2026-09-13", **today)["status"] == "posted"


def test_clock(world):
    before = world.ledger.head.sequence
    _refused(world.do("fee", occurred_at="2026-09-12T23:00:00+08:00"), "ahead_of_clock",
             "occurred_at")
    world.close()
    _refused(world.do("fee"), "date_closed", "occurred_at")
    assert world.ledger.head.sequence == before


# each case brings a world to where one command is refused, and sends it


def _paid(world: World, **values: Any) -> None:
    assert world.do("payment", transaction_id="P", **values)["status"] == "posted"


def _refund(world: World, **values: Any) -> dict:
    return world.do("refund", original_transaction_id="P", **values)


def _topped_up(world: World, amount: int = 20000) -> None:
    assert world.do("top_up", amount_minor=amount)["status"] == "posted"


def _withdrawn(world: World) -> None:
    _topped_up(world)
    assert world.do("withdrawal", withdrawal_id="W")["status"] == "posted"


def _hold(world: World, kind: str = "suspicious", account: str = "2101:U1",
          **values: Any) -> dict:
    return world.send("hold", hold_id=values.pop("hold_id", "H"), hold_kind=kind,
                      account_id=account, case_number="N", **CNY, **values)


def _transfer(world: World, amount: int = 100, **values: Any) -> dict:
    return world.send("transfer", **{
        "transaction_id": f"X{world.number}", "user_id": "U1", "payee_id": "U2",
        "amount_minor": amount, **CNY,
        "authorisation": world.authorise("U1", "U2", amount), **values,
    })


def _exchange(world: World, type_: str = "exchange", **values: Any) -> dict:
    return world.send(type_, **{
        "exchange_id": f"X{world.number}", "user_id": "U1", "amount_minor": 10_000, **CNY,
        "bought_minor": 1_400, "bought_currency_code": "USD", "rate": "0.14", "quote_id": "Q",
        "authorisation": "A", **values,
    })


def _mandate(world: World, **values: Any) -> None:
    world.register("mandate", **{
        "mandate_id": "A", "payer_id": "U1", "payee": "M1", "amount_minor": 500, **CNY,
        "method": "signature", "valid_from": "2026-09-12", "valid_to": "2026-09-30", **values,
    })


def _collection(world: World, **values: Any) -> dict:
    return world.send("collection", **{
        "transaction_id": f"X{world.number}", "merchant_id": "M1", "user_id": "U1",
        "amount_minor": 500, **CNY, "acquirer_fee_minor": 0, "authorisation": "A", **values,
    })


def _caller(world: World) -> Actor:
    world.approved("caller", caller_id="C1", party_id="M1", on_behalf=["M2"], rates={},
                   public_key=PrivateKey.generate().public.point, enabled=True)
    world.merchant("M3")
    return Actor("caller", "C1")


def _state(world: World, party: str, state: str) -> None:
    ground = {"suspension_ground": "3", "evidence": "DOC-3"} if state == "suspended" else {}
    send = world.approved if state == "suspended" else world.register
    send("party_state", party_id=party, state=state, **ground)


def _terminal(world: World, state: str = "active", owner: str = "M1") -> None:
    world.approved("party", party_id="POS1", party_kind="terminal", owner_id=owner)
    if state != "active":
        _state(world, "POS1", state)


def _stop(world: World, scope: str, target: str | None, mode: str = "everything") -> None:
    world.register("stop", stop_id="S", stop_scope=scope, stop_target=target, stop_mode=mode,
                   reason="incident")


def _limit(world: World, scene: str, code: str, **most: int) -> None:
    world.approved("limit", limit_id="L", scene=scene, account_code=code, **CNY,
                   valid_from="2026-09-12", **most)


def _waiting(world: World) -> int:
    return world.send("stop_lift", ANN, stop_id="S", reason="over")["sequence"]


def _adjust(world: World, legs: list) -> dict:
    return world.send("adjustment", ANN, adjustment_id="J", incident_number="N", reason="why",
                      legs=legs)


def _leg(account: str, direction: str, amount: int = 100, **values: Any) -> dict:
    return {"account_id": account, "direction": direction, "amount_minor": amount, **CNY,
            "component": "correction", **values}


def _receipt(world: World) -> None:
    world.register("receipt", receipt_id="R", amount_minor=5000, **CNY)


def _apply_for(world: World, **values: Any) -> dict:
    return world.send("merchant_top_up", ANN, **{
        "application_id": f"A{world.number}", "merchant_id": "M1", "receipt_id": "R",
        "amount_minor": 5000, **CNY, **values,
    })


def _split(world: World, parts: list) -> dict:
    return world.send("split", transaction_id="S", merchant_id="M1", amount_minor=100, **CNY,
                      parts=parts)


def _contract(world: World, name: str = "M1", **values: Any) -> dict:
    return world.send("contract", ANN, **{
        "contract_id": f"C{world.number}", "merchant_id": name, "minimum_minor": 0,
        "settlement_mode": "institution", "settlement_cycle": "D+1", "fee_choice": "bill",
        "valid_from": "2026-09-20", **values,
    })


def _in_turn(*steps: Callable[[World], Any]) -> Callable[[World], dict]:
    def run(world: World) -> dict:
        for step in steps:
            result = step(world)
        return result

    return run


INTERNAL = {"channel": "internal", "user_id": "U1", "issuer_fee_minor": 0,
            "network_fee_minor": 0}
NO_FEES = {"issuer_fee_minor": 0, "network_fee_minor": 0, "acquirer_fee_minor": 0}

CASES: list[tuple[str, str | None, Callable[[World], dict]]] = [
    ("value_date_closed", "value_date", lambda w: w.do("fee", value_date="2026-09-13")),
    # who asks, and who approves
    ("no_right", "type", lambda w: w.send("stop", Actor("operator", "eve"), stop_id="S",
                                          stop_scope="all", stop_mode="everything", reason="x")),
    ("no_right", "type", lambda w: w.send("contract", contract_id="C", merchant_id="M1",
                                          settlement_mode="institution", settlement_cycle="D+1",
                                          minimum_minor=0, fee_choice="bill",
                                          valid_from="2026-09-20")),  # needs a person
    ("no_right", "type", lambda w: w.send("receipt", _caller(w), receipt_id="R",
                                          amount_minor=1, **CNY)),
    ("no_right", "type", _in_turn(
        lambda w: w.approved("right", group_id="staff", module="stops", duty="enter",
                             allowed=False),
        lambda w: w.send("stop", ANN, stop_id="S", stop_scope="all", stop_mode="everything",
                         reason="x"))),
    ("no_right", "operator_id", _in_turn(
        lambda w: _stop(w, "rail", "unionpay"),
        lambda w: w.send("approve", ANN, pending=_waiting(w), operator_id="ben",
                         signature="00" * 8))),
    ("no_right", "operator_id", _in_turn(
        lambda w: _stop(w, "rail", "unionpay"),
        lambda w: w.approved("right", group_id="staff", module="stops", duty="review",
                             allowed=False),
        lambda w: w.approve(_waiting(w)))),
    ("no_right", "operator_id", lambda w: w.send("approve", _caller(w), pending=1,
                                                 operator_id="ben", signature="00" * 8)),
    ("no_right", "operator_id", _in_turn(  # a system in a checker's name
        lambda w: _stop(w, "rail", "unionpay"),
        lambda w: w.send("reject", pending=_waiting(w), operator_id="ben", reason="x"))),
    ("pending_unknown", "pending", lambda w: w.approve(1)),
    ("pending_unknown", "pending", lambda w: w.send("reject", BEN, pending=1, operator_id="ben",
                                                    reason="x")),
    ("maker_is_checker", "operator_id", _in_turn(
        lambda w: _stop(w, "rail", "unionpay"),
        lambda w: w.approve(_waiting(w), "ann"))),
    ("maker_is_checker", "operator_id", _in_turn(
        lambda w: _stop(w, "rail", "unionpay"),
        lambda w: w.send("reject", ANN, pending=_waiting(w), operator_id="ann", reason="x"))),
    ("signature_wrong", "signature", _in_turn(
        lambda w: _stop(w, "rail", "unionpay"),
        lambda w: w.approve(_waiting(w), signature=w.signature(1)))),
    ("signature_wrong", "signature", _in_turn(
        lambda w: _stop(w, "rail", "unionpay"),
        lambda w: w.approve(n := _waiting(w), signature=w.signature(n, "ann")))),
    # what it refers to
    ("unknown_currency", "currency_code", lambda w: w.do("fee", currency_code="EUR")),
    ("unknown_currency", "bought_currency_code",
     lambda w: _exchange(w, bought_currency_code="EUR")),
    ("business_key_taken", "transaction_id", _in_turn(
        _paid, lambda w: w.do("payment", transaction_id="P"))),
    ("business_key_taken", "fee_id", _in_turn(_paid, lambda w: w.do("fee", fee_id="P"))),
    ("business_key_taken", "contract_id", _in_turn(  # kept for what waits
        lambda w: _contract(w, contract_id="K"), lambda w: _contract(w, contract_id="K"))),
    ("original_unknown", "original_transaction_id", _refund),
    ("original_unknown", "original_transaction_id",
     lambda w: w.do("dispute", original_transaction_id="P")),
    ("original_unknown", "original_transaction_id",
     lambda w: w.do("dispute_release", original_transaction_id="D")),
    ("original_unknown", "original_transaction_id", _in_turn(  # a payment is not a dispute
        _paid, lambda w: w.do("dispute_release", original_transaction_id="P"))),
    ("original_unknown", "original_transaction_id", _in_turn(  # nor the other way round
        _paid,
        lambda w: w.do("dispute", transaction_id="D", original_transaction_id="P"),
        lambda w: w.do("refund", original_transaction_id="D"))),
    ("original_unknown", "withdrawal_id", lambda w: w.do("withdrawal_result",
                                                         withdrawal_id="W")),
    ("original_unknown", "payout_id", lambda w: w.send("settlement_returned", return_id="B",
                                                       payout_id="S")),
    ("original_unknown", "journal_id", lambda w: w.send(
        "reversal", ANN, adjustment_id="J", incident_number="N", reason="x",
        journal_id="J000000000001")),
    ("hold_unknown", "hold_id", lambda w: w.send("hold_release", ANN, result_id="R",
                                                 hold_id="H", case_number="N")),
    ("hold_not_allowed", "hold_id", _in_turn(  # the money is under way
        _withdrawn,
        lambda w: w.send("hold_takeover", result_id="T", hold_id="W", case_number="O"))),
    ("not_your_merchant", None, lambda w: w.ledger.apply(
        [w.of("C1", w.command("payment", merchant_id="M3"))], _caller(w))[0]),
    ("not_your_merchant", None, lambda w: w.ledger.apply(
        [w.of("C1", w.command("top_up"))], _caller(w))[0]),
    ("not_your_merchant", None, lambda w: w.send(
        "prepaid_issue", _caller(w), transaction_id="I", card_id="K1", amount_minor=100, **CNY)),
    # parties and contracts
    ("party_unknown", "merchant_id", lambda w: w.do("payment", merchant_id="M9")),
    ("party_unknown", "user_id", lambda w: w.do("top_up", user_id="U9")),
    ("party_unknown", "payee_id", lambda w: _transfer(w, payee_id="U9")),
    ("party_unknown", "party_id", lambda w: w.send("party_state", party_id="X", state="active")),
    ("party_unknown", "owner_id", lambda w: w.send("party", ANN, party_id="POS",
                                                   party_kind="terminal", owner_id="M9")),
    ("party_not_active", "merchant_id", _in_turn(
        lambda w: w.approved("party", party_id="M3", party_kind="merchant"),
        lambda w: w.do("payment", merchant_id="M3"))),
    ("party_not_active", "merchant_id", _in_turn(
        lambda w: _state(w, "M1", "suspended"), lambda w: w.do("payment"))),
    ("party_not_active", "merchant_id", _in_turn(
        lambda w: _state(w, "M1", "leaving"), lambda w: w.do("payment"))),
    ("party_not_active", "user_id", _in_turn(
        lambda w: _state(w, "U1", "cancelled"), lambda w: w.do("top_up"))),
    ("party_not_active", "parts", _in_turn(
        _paid, lambda w: _state(w, "M2", "suspended"),
        lambda w: _split(w, [{"merchant_id": "M2", "amount_minor": 100}]))),
    ("contract_missing", None, _in_turn(
        lambda w: w.approved("party", party_id="M3", party_kind="merchant"),
        lambda w: w.send("party_state", party_id="M3", state="active"))),
    ("start_missing", None, _in_turn(
        lambda w: w.approved("party", party_id="M3", party_kind="merchant"),
        lambda w: w.approved("contract", contract_id="C3", merchant_id="M3", minimum_minor=0,
                             settlement_mode="institution", settlement_cycle="D+1",
                             fee_choice="bill", access_fee_minor=0, use_fee_minor=0,
                             valid_from="2026-09-12"),
        lambda w: w.send("party_state", party_id="M3", state="active"))),
    ("terminal_not_active", "terminal_id", lambda w: w.do("payment", terminal_id="POS1")),
    ("terminal_not_active", "terminal_id", lambda w: w.do("payment", terminal_id="M2")),
    ("terminal_not_active", "terminal_id", _in_turn(
        lambda w: _terminal(w, owner="M2"), lambda w: w.do("payment", terminal_id="POS1"))),
    ("terminal_not_active", "terminal_id", _in_turn(
        lambda w: _terminal(w, "cancelled"), lambda w: w.do("payment", terminal_id="POS1"))),
    ("channel_not_open", None, _in_turn(
        lambda w: w.ledger.state.get("party", "M1")["channels"].pop("unionpay"),
        lambda w: w.do("payment"))),
    ("grade_not_allowed", None, _in_turn(
        lambda w: w.approved("grade_terms", grade="standard", valid_from="2026-09-12",
                             barred_scenes=["payment"], evidence="SHEET-1", delay_days=0,
                             deposit_minor=0),
        lambda w: w.do("payment"))),
    ("stopped", None, _in_turn(lambda w: _stop(w, "all", None), lambda w: w.do("payment"))),
    ("stopped", None, _in_turn(
        lambda w: _stop(w, "merchant", "M1", "new_business"), lambda w: w.do("payment"))),
    ("stopped", None, _in_turn(
        lambda w: _stop(w, "rail", "unionpay"), lambda w: w.do("payment"))),
    ("stopped", None, _in_turn(
        _paid, lambda w: _stop(w, "account", "2201:M1"), lambda w: w.do("fee"))),
    ("stopped", None, _in_turn(  # a hold that will be captured is as good as a debit
        _topped_up, lambda w: _stop(w, "account", "2101:U1"), lambda w: w.do("withdrawal"))),
    # the template's own checks
    ("fee_not_allowed", "issuer_fee_minor",
     lambda w: w.do("payment", **{**INTERNAL, "issuer_fee_minor": 1})),
    ("fee_not_allowed", None, _in_turn(
        lambda w: w.merchant("M3", settlement_mode="bank"),
        lambda w: w.do("payment", merchant_id="M3"))),
    ("fees_exceed_amount", None, lambda w: w.do("payment", issuer_fee_minor=9999)),
    ("not_whole_yuan", "amount_minor", lambda w: w.do("top_up", amount_minor=10001)),
    ("not_whole_yuan", "amount_minor", lambda w: w.do("withdrawal", amount_minor=10001)),
    ("below_minimum", "amount_minor", lambda w: w.do("top_up", amount_minor=900)),
    ("below_minimum", "amount_minor", lambda w: w.do("withdrawal", amount_minor=4900)),
    ("fee_differs", "fee_minor", lambda w: w.do("withdrawal", fee_minor=49)),
    ("fee_differs", "fee_minor", _in_turn(
        lambda w: w.approved("tariff", tariff_id="T", bank_ppm=0, third_party_ppm=0,
                             least_minor=100, approval_bound="none"),
        lambda w: w.do("withdrawal", fee_minor=0))),
    ("ground_missing", "ground", _in_turn(_paid, lambda w: _refund(w, request="user"))),
    ("result_incomplete", "evidence", _in_turn(
        _withdrawn, lambda w: w.send("withdrawal_result", ANN, result_id="R", withdrawal_id="W",
                                     result="failed"))),
    ("same_account", "payee_id", lambda w: _transfer(w, payee_id="U1")),
    ("same_currency", "bought_currency_code", lambda w: _exchange(w, bought_currency_code="CNY")),
    ("rate_differs", "bought_minor", lambda w: _exchange(w, bought_minor=1_401)),
    ("mode_differs", "merchant_id", _in_turn(
        lambda w: w.merchant("M3", settlement_mode="self"),
        lambda w: w.send("offset", movement_id="O", merchant_id="M3", claim="1201",
                         amount_minor=1, notice_number="N", **CNY))),
    ("mode_differs", "settlement_mode", _in_turn(
        _paid, lambda w: _contract(w, settlement_mode="bank"))),
    ("parts_differ", "parts", lambda w: _split(w, [])),
    ("parts_differ", "parts", lambda w: _split(w, [{"merchant_id": "M2", "amount_minor": 99}])),
    ("parts_differ", "parts", lambda w: _split(w, [{"merchant_id": "M2", "amount_minor": True}])),
    ("parts_differ", "parts", lambda w: _split(w, [
        {"merchant_id": "M1", "amount_minor": 50}, {"merchant_id": "M2", "weight": 1}])),
    ("legs_unbalanced", "legs", lambda w: _adjust(w, [])),
    ("legs_unbalanced", "legs", lambda w: _adjust(w, [_leg("1001", "X")])),
    ("legs_unbalanced", "legs", lambda w: _adjust(w, [_leg("1001", "D", 0)])),
    ("register_differs", "stop_target", lambda w: w.send(
        "stop", stop_id="S", stop_scope="all", stop_target="M1", stop_mode="everything",
        reason="x")),
    ("register_differs", "account_code", lambda w: w.send(
        "open_account", account_code="9999", **CNY)),
    ("register_differs", "status", _in_turn(
        _topped_up,
        lambda w: w.send("account_status", account_id="2101:U1", status="closed", reason="x",
                         **CNY))),
    ("register_differs", "parent_account_id", _in_turn(
        lambda w: w.register("move_account", account_id="2101:U1", parent_account_id="2101:U2",
                             **CNY),
        lambda w: w.send("move_account", account_id="2101:U2", parent_account_id="2101:U1",
                         **CNY))),
    ("not_due", None, _in_turn(
        _topped_up,
        lambda w: w.send("wealth_purchase", transaction_id="B", user_id="U1", product_id="F",
                         amount_minor=100, authorisation=w.authorise("U1", "F", 100),
                         settles_on="2026-09-13", **CNY),
        lambda w: w.send("wealth_redemption", transaction_id="R", original_transaction_id="B",
                         amount_minor=100, **CNY))),
    ("older_due", "claim", _in_turn(
        lambda w: w.register("own_funds", movement_id="O", amount_minor=100, **CNY),
        lambda w: w.register("advance", movement_id="A", merchant_id="M1", amount_minor=100,
                             case_number="N", occurred_at=at_day(11), **CNY),
        lambda w: w.register("penalty", movement_id="P", merchant_id="M1", amount_minor=1,
                             **CNY),
        lambda w: w.send("offset", movement_id="S", merchant_id="M1", claim="1203",
                         amount_minor=1, notice_number="N", **CNY))),
    # the template's checks of the original
    ("original_differs", "amount_minor", _in_turn(
        _paid,
        lambda w: w.do("dispute", transaction_id="D", original_transaction_id="P"),
        lambda w: w.do("dispute_release", original_transaction_id="D", amount_minor=1))),
    ("original_differs", "amount_minor", _in_turn(
        _receipt, lambda w: _apply_for(w, amount_minor=4999))),
    ("void_too_late", None, _in_turn(
        lambda w: _paid(w, occurred_at=at_day(11)),
        lambda w: w.send("void", transaction_id="V", original_transaction_id="P"))),
    ("void_too_late", None, _in_turn(
        _paid, lambda w: w.do("settlement", amount_minor=1),
        lambda w: w.send("void", transaction_id="V", original_transaction_id="P"))),
    ("already_released", None, _in_turn(
        _paid,
        lambda w: w.do("dispute", transaction_id="D", original_transaction_id="P"),
        lambda w: w.do("dispute_release", original_transaction_id="D"),
        lambda w: w.do("dispute_release", original_transaction_id="D"))),
    ("already_released", None, _in_turn(
        _paid, _topped_up,
        lambda w: w.do("dispute", transaction_id="D", original_transaction_id="P"),
        lambda w: w.approved("dispute_capture", transaction_id="C", original_transaction_id="D",
                             case_number="N"),
        lambda w: w.do("dispute_release", original_transaction_id="D"))),
    ("already_decided", None, _in_turn(
        _withdrawn, lambda w: w.do("withdrawal_result", withdrawal_id="W"),
        lambda w: w.do("withdrawal_result", withdrawal_id="W", result="failed"))),
    ("already_returned", None, _in_turn(
        _paid, lambda w: w.do("settlement", payout_id="S", amount_minor=100),
        lambda w: w.send("settlement_returned", return_id="B1", payout_id="S"),
        lambda w: w.send("settlement_returned", return_id="B2", payout_id="S"))),
    ("already_returned", None, _in_turn(
        _withdrawn, lambda w: w.do("withdrawal_result", withdrawal_id="W"),
        lambda w: w.send("withdrawal_returned", return_id="B1", withdrawal_id="W"),
        lambda w: w.send("withdrawal_returned", return_id="B2", withdrawal_id="W"))),
    ("already_reversed", None, _in_turn(
        _paid, lambda w: w.approved("reversal", adjustment_id="J1", incident_number="N",
                                    reason="x", journal_id="J000000000001"),
        lambda w: w.send("reversal", ANN, adjustment_id="J2", incident_number="N", reason="x",
                         journal_id="J000000000001"))),
    ("not_paid", None, _in_turn(
        _withdrawn,
        lambda w: w.send("withdrawal_returned", return_id="B", withdrawal_id="W"))),
    ("receipt_used", "receipt_id", _in_turn(
        _receipt, lambda w: w.send("receipt_returned", return_id="B", receipt_id="R"),
        _apply_for)),
    ("receipt_used", "receipt_id", _in_turn(  # of two that wait the second comes too late
        _receipt, _apply_for, _apply_for,
        lambda w: [w.approve(p["sequence"]) for p in waiting(w)][-1])),
    ("exceeds_original", "amount_minor", _in_turn(
        _paid, lambda w: _refund(w, amount_minor=10001))),
    ("exceeds_original", "amount_minor", _in_turn(
        _paid, lambda w: w.do("dispute", original_transaction_id="P", amount_minor=4000),
        lambda w: _refund(w, amount_minor=6001))),
    ("exceeds_original", "amount_minor", _in_turn(
        _paid, lambda w: w.do("dispute", original_transaction_id="P", amount_minor=10001))),
    ("exceeds_original", None, _in_turn(
        _paid, lambda w: w.do("dispute", original_transaction_id="P"),
        lambda w: w.send("denied_payment", hold_id="H", original_transaction_id="P",
                         case_number="N"))),
    ("exceeds_position", "bought_minor", lambda w: w.send(
        "exchange_settled", ANN, movement_id="D", amount_minor=100, **CNY, bought_minor=14,
        bought_currency_code="USD")),
    ("returned_fee_differs", "issuer_fee_minor", _in_turn(
        _paid, lambda w: _refund(w, amount_minor=5000, issuer_fee_minor=17,
                                 network_fee_minor=2, acquirer_fee_minor=11))),
    # the payer's consent
    ("authorisation_missing", "authorisation", _in_turn(
        _topped_up, lambda w: w.do("payment", authorisation=None, **INTERNAL))),
    ("authorisation_unknown", "authorisation", _in_turn(
        _topped_up, lambda w: w.do("payment", authorisation="A9", **INTERNAL))),
    ("authorisation_unknown", "authorisation", _in_turn(  # good once
        _topped_up, lambda w: w.do("payment", authorisation=w.authorise("U1", "M1", 10000),
                                   **INTERNAL),
        lambda w: w.do("payment", authorisation=f"A{w.number - 1}", **INTERNAL))),
    ("authorisation_unknown", "authorisation", _in_turn(
        _topped_up, lambda w: _mandate(w, valid_to="2026-09-12", valid_from="2026-09-12"),
        lambda w: w.register("mandate_end", mandate_id="A"), _collection)),
    ("authorisation_unknown", "authorisation", _in_turn(  # not yet
        _topped_up, lambda w: _mandate(w, valid_from="2026-09-13"), _collection)),
    ("authorisation_differs", "payer_id", _in_turn(
        _topped_up, lambda w: _transfer(w, authorisation=w.authorise("U2", "U2", 100)))),
    ("authorisation_differs", "payee", _in_turn(
        _topped_up, lambda w: _transfer(w, authorisation=w.authorise("U1", "M1", 100)))),
    ("authorisation_differs", "amount_minor", _in_turn(
        _topped_up, lambda w: _transfer(w, authorisation=w.authorise("U1", "U2", 101)))),
    ("authorisation_differs", "amount_minor", _in_turn(
        _topped_up, _mandate, lambda w: _collection(w, amount_minor=501))),
    ("destination_unknown", "destination_id", _in_turn(
        _topped_up, lambda w: w.do("withdrawal", destination_id="D9"))),
    ("destination_unknown", "destination_id", _in_turn(  # another user's
        _topped_up, lambda w: w.do("withdrawal", destination_id="D2"))),
    # holds
    ("hold_not_allowed", "account_id", lambda w: _hold(w, "banned", amount_minor=1)),
    ("hold_not_allowed", "amount_minor", lambda w: _hold(w, "objection", "2201:M1")),
    ("hold_not_allowed", "hold_kind", lambda w: _hold(w, "denied", "2201:M1", amount_minor=1)),
    ("hold_not_allowed", "expires_on",
     lambda w: _hold(w, amount_minor=1, expires_on="2026-10-01")),
    ("hold_not_allowed", "hold_kind", lambda w: _hold(w, "withdrawal", amount_minor=1)),
    ("hold_not_allowed", "case_number", _in_turn(
        lambda w: _hold(w, "authority", amount_minor=1),
        lambda w: w.send("hold_release", ANN, result_id="R", hold_id="H", case_number="other"))),
    ("hold_not_allowed", "hold_id", _in_turn(
        _withdrawn, lambda w: w.send("hold_release", ANN, result_id="R", hold_id="W",
                                     case_number="N"))),
    ("exceeds_hold", "amount_minor", _in_turn(
        lambda w: _hold(w, amount_minor=10),
        lambda w: w.send("hold_release", ANN, result_id="R", hold_id="H", case_number="N",
                         amount_minor=11))),
    # accounts and balances
    ("account_not_open", None, _in_turn(
        lambda w: w.merchant("M3"), lambda w: w.do("payment", merchant_id="M3"))),
    ("account_not_open", "account_id", lambda w: _hold(w, account="2101:U9", amount_minor=1)),
    ("account_status", None, _in_turn(
        _topped_up, lambda w: _set_status(w, "2101:U1", "no_debit"), _transfer)),
    ("account_status", None, _in_turn(
        _topped_up, lambda w: _set_status(w, "2101:U2", "no_credit"), _transfer)),
    ("account_status", None, _in_turn(
        _topped_up, lambda w: _set_status(w, "2101:U1", "frozen"),
        lambda w: w.do("withdrawal"))),
    ("account_status", None, _in_turn(
        lambda w: _set_status(w, "2101:U1", "closed"), lambda w: w.do("top_up"))),
    ("account_status", None, _in_turn(_topped_up, _hold, _transfer)),
    ("purpose_differs", None, _in_turn(
        lambda w: w.register("party", party_id="U3", party_kind="user", identity_check="ID"),
        lambda w: w.register("open_account", account_code="2101", party_id="U3",
                             purpose=["payment"], **CNY),
        lambda w: w.do("top_up", user_id="U3"),
        lambda w: _transfer(w, user_id="U3", authorisation=w.authorise("U3", "U2", 100)))),
    ("books_crossed", None, lambda w: _adjust(w, [_leg("1001", "D"), _leg("2201:M1", "C", 99)])),
    ("books_crossed", None, lambda w: _adjust(w, [_leg("1001", "D"), _leg("3001", "C")])),
    ("below_floor", None, lambda w: w.do("settlement", amount_minor=1)),
    ("below_floor", None, lambda w: w.do("withdrawal")),
    ("below_floor", None, _in_turn(  # what is held is not there to be spent
        _topped_up, lambda w: _hold(w, amount_minor=19901), _transfer)),
    ("limit_exceeded", "amount_minor", _in_turn(
        lambda w: _limit(w, "top_up", "2101", single_minor=9900), lambda w: w.do("top_up"))),
]


def at_day(number: int) -> str:
    return f"2026-09-{number}T10:00:00+08:00"


def waiting(world: World) -> list[dict]:
    from ledger.service.queries import waiting as found

    return found(world.ledger)["pending"]


def _set_status(world: World, account: str, status: str) -> None:
    world.register("account_status", account_id=account, status=status, reason="x", **CNY)


@pytest.mark.parametrize(
    ("reason", "field", "case"), CASES, ids=[f"{n}-{c[0]}" for n, c in enumerate(CASES)]
)
def test_reason(world, reason, field, case):
    result = case(world)
    _refused(result, reason, field)
    (row,) = world.ledger.store.find_by_key([result["idempotency_key"]]).values()
    assert (row[1], row[4], row[13]) == (None, "refused", "[]")  # recorded, without postings


def test_every_reason_has_a_case():
    elsewhere = {
        "clock_not_set", "ahead_of_clock", "date_closed",  # above
        "balance_out_of_range", "linked_failed",  # below
        "idempotency_key_reused",  # test_idempotency.py
        "key_not_yours",  # rules/test_d0_callers.py
        "difference_left",  # test_reconciliation_closing.py
    }
    covered = {case[0] for case in [*FORM, *CASES]}
    assert not covered & elsewhere
    assert covered | elsewhere == set(BY_CODE)


def test_details_say_what_it_must_be(world):
    _paid(world)
    result = _refund(world, amount_minor=5000, issuer_fee_minor=17, network_fee_minor=2,
                     acquirer_fee_minor=11)
    assert result["detail"] == "issuer_fee_minor must be 18"
    assert world.do("withdrawal", fee_minor=1)["detail"] == "fee_minor must be 50"
    _stop(world, "rail", "unionpay")
    assert "stop S" in world.do("payment")["detail"]


def test_floors(world):
    world.do("top_up", amount_minor=5100)
    _refused(world.do("withdrawal", amount_minor=5100, fee_minor=26), "below_floor")
    assert world.do("withdrawal", amount_minor=5000, fee_minor=25)["status"] == "posted"
    # pending settlement may go below zero by a fee, and a payment may then raise it towards zero
    assert world.do("fee", amount_minor=500)["status"] == "posted"
    assert world.balance("2201:M1") == -500
    assert world.do("payment", amount_minor=100, **NO_FEES)["status"] == "posted"
    assert world.balance("2201:M1") == -400
    _refused(world.do("settlement", amount_minor=1), "below_floor")


@pytest.mark.parametrize(("most", "posted"), [
    ({"single_minor": 10000}, 3), ({"day_minor": 20000}, 2), ({"day_count": 1}, 1),
    ({"month_minor": 29900}, 2), ({"month_count": 2}, 2),
])
def test_exactly_the_limit_passes(world, most, posted):
    _limit(world, "top_up", "2101", **most)
    results = [world.do("top_up") for _ in range(3)]
    assert [r["status"] for r in results] == ["posted"] * posted + ["refused"] * (3 - posted)
    assert {r["reason"] for r in results[posted:]} <= {"limit_exceeded"}
    assert world.do("top_up", user_id="U2")["status"] == "posted"  # of each account by itself


def test_balance_range(world):
    world.ledger.state.account("2101:U1", "CNY").balance = 10**18 - 1000
    _refused(world.do("top_up", amount_minor=1000), "balance_out_of_range")


def test_linked(world):
    first, second = world.command("top_up", linked=True), world.command("settlement")
    results = world.ledger.apply([first, second])
    _refused(results[0], "linked_failed")
    _refused(results[1], "below_floor")
    assert world.balance("2101:U1") == 0


def test_what_may_still_post_when_a_merchant_is_suspended_or_new_business_stopped(world):
    world.do("top_up")
    _paid(world)
    _state(world, "M1", "suspended")
    _stop(world, "merchant", "M1", "new_business")
    whole = {"issuer_fee_minor": 35, "network_fee_minor": 3, "acquirer_fee_minor": 22}
    assert _refund(world, **whole)["status"] == "posted"
    assert world.do("fee", amount_minor=1)["status"] == "posted"


def test_a_refusal_has_no_postings_and_is_recorded(world):
    before, journal = world.balances(), world.ledger.head.journal
    first = world.command("settlement")
    refused = world.ledger.apply([first])[0]
    assert refused["reason"] == "below_floor"
    assert world.balances() == before and world.ledger.head.journal == journal == 0
    world.do("payment", amount_minor=50000)
    again = world.ledger.apply([first])[0]
    assert again == {**refused, "replayed": True}  # the cause is gone, the key is bound
    assert world.do("settlement")["status"] == "posted"


def test_reasons_are_tested_in_the_order_of_the_list(world):
    """A command with several faults gets the first; mended one by one it walks down the list."""
    order = [reason.code for reason in REASONS]
    world.do("top_up", amount_minor=10000)
    _stop(world, "rail", "internal")
    _terminal(world, owner="M2")
    _limit(world, "payment", "2101", single_minor=9999)
    world.do("payment", transaction_id="taken")
    world.register("account_status", account_id="2101:U1", status="no_debit", reason="x", **CNY)
    right = world.authorise("U1", "M1", 10001)
    steps: list[tuple[dict, Callable[[], Any] | dict]] = [
        ({"colour": 1}, {"colour": None}),
        ({"merchant_id": None}, {"merchant_id": "bad id"}),
        ({}, {"merchant_id": "M9"}),
        ({"amount_minor": 0}, {"amount_minor": 10}),
        ({"occurred_at": at_future()}, {"occurred_at": "2026-09-12T10:00:00+08:00"}),
        ({"value_date": "2026-09-13"}, {"value_date": None}),
        ({"currency_code": "EUR"}, {"currency_code": "CNY"}),
        ({"transaction_id": "taken"}, {"transaction_id": "free"}),
        ({}, {"merchant_id": "M1"}),
        ({"terminal_id": "POS1"}, {"terminal_id": None}),
        ({}, lambda: world.approved("stop_lift", stop_id="S", reason="over")),
        ({"issuer_fee_minor": 11}, {"issuer_fee_minor": 0, "network_fee_minor": 0}),
        ({"acquirer_fee_minor": 99999}, {"acquirer_fee_minor": 0, "amount_minor": 10001}),
        ({"authorisation": None}, {"authorisation": "A0"}),
        ({}, {"authorisation": world.authorise("U1", "M2", 10001)}),
        ({}, {"authorisation": right}),
        ({}, lambda: world.approved("account_status", account_id="2101:U1", status="normal",
                                    reason="x", **CNY)),
        ({}, lambda: world.do("top_up", amount_minor=10000)),
        ({}, lambda: world.approved("limit", limit_id="L", scene="payment", account_code="2101",
                                    valid_from="2026-09-12", **CNY)),
    ]
    values: dict = {"channel": "internal", "user_id": "U1"}
    for faulty, _ in steps:
        values.update(faulty)
    seen = []
    for _, mended in steps:
        result = world.do("payment", **values)
        seen.append(result.get("reason"))
        if callable(mended):
            mended()
        else:
            values.update(mended)
    assert world.do("payment", **values)["status"] == "posted"
    places = [order.index(code) for code in seen]
    assert places == sorted(places) and len(set(places)) == len(steps), seen


def at_future() -> str:
    return at(DAY.replace(year=2027), "00:00:00")
