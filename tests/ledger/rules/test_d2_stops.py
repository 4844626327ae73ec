"""Rule D2.10 over every template: an emergency stop covers each party whose money an operation
moves, each rail that it goes over, and the caller that sends it."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
import yaml

from ledger.domain.actors import Actor
from ledger.domain.guards import BOUGHT
from ledger.domain.operations import RAILS
from paylake.crypto import PrivateKey
from tests.ledger.conftest import ANN, DAY, SYSTEM, at
from tests.ledger.rules.words import CNY, PLAIN, days, funds, on, posted, refused, run

FEES = {"acquirer_fee_minor": 0}
pytestmark = pytest.mark.usefixtures("currencies")
#: Dollars for 100 yuan.
DOLLARS = {"bought_currency_code": "USD", "bought_minor": 1_400, "rate": "0.14", "quote_id": "Q"}
#: What became of an order, as a person says it.
ANSWER = {"result": "succeeded", "evidence": "E"}
#: type -> (its values beside number, date and currency, the parties whose money moves, its rail)
TABLE: dict[str, tuple[dict, set[str], str | None]] = {
    "top_up": ({"user_id": "U1"}, {"U1"}, "bank"),
    "withdrawal": ({"user_id": "U1", "fee_minor": 50, "destination_id": "D1",
                    "authorisation": "A-D1"}, {"U1"}, "bank"),
    "withdrawal_result": ({"withdrawal_id": "W1", **ANSWER}, {"U1"}, "bank"),
    "withdrawal_returned": ({"withdrawal_id": "W2"}, {"U1"}, "third_party"),
    "transfer": ({"user_id": "U1", "payee_id": "U2", "authorisation": "A-U2"}, {"U1", "U2"},
                 "internal"),
    "transfer_refund": ({"original_transaction_id": "TR", "ground": "wrong_counterparty",
                         "authorisation": "A-TR"}, {"U1", "U2"}, "internal"),
    "receipt": ({}, set(), "bank"),
    "receipt_returned": ({"receipt_id": "R1"}, set(), "bank"),
    "merchant_top_up": ({"merchant_id": "M1", "receipt_id": "R1"}, {"M1"}, "internal"),
    "merchant_spend": ({"merchant_id": "M1", "fee_minor": 0}, {"M1"}, "bank"),
    "payout_on_behalf": ({"merchant_id": "M1", "user_id": "U2", "fee_minor": 0}, {"M1", "U2"},
                         "internal"),
    "prepaid_issue": ({"card_id": "K1"}, {"K1"}, "bank"),
    "prepaid_load": ({"card_id": "K1"}, {"K1"}, "bank"),
    "prepaid_spend": ({"card_id": "K1", "merchant_id": "M1", "authorisation": "A-K1", **FEES},
                      {"K1", "M1"}, "internal"),
    "prepaid_pre_authorisation": (
        {"card_id": "K1", "merchant_id": "M1", "authorisation": "A-K1"}, {"K1", "M1"}, "internal"),
    "prepaid_completion": ({"original_transaction_id": "KP", "card_id": "K1",
                            "merchant_id": "M1", **FEES}, {"K1", "M1"}, "internal"),
    "prepaid_redeem": ({"card_id": "K1", "destination_id": "DK", "authorisation": "A-DK"},
                       {"K1"}, "bank"),
    "wealth_purchase": ({"user_id": "U1", "product_id": "FUND", "authorisation": "A-FUND"},
                        {"U1"}, "bank"),
    "wealth_redemption": ({"original_transaction_id": "WP"}, {"U1"}, "bank"),
    "wealth_purchase_order": ({"user_id": "U1", "product_id": "FUND", "authorisation": "A-FUND"},
                              {"U1"}, "bank"),
    "wealth_purchase_result": ({"original_transaction_id": "WO", **ANSWER}, {"U1"}, "bank"),
    "wealth_redemption_order": ({"user_id": "U1", "original_transaction_id": "WP"}, {"U1"},
                                "bank"),
    "wealth_redemption_result": ({"user_id": "U1", "original_transaction_id": "WR", **ANSWER},
                                 {"U1"}, "bank"),
    "prepaid_redeem_order": ({"card_id": "K1", "destination_id": "DK", "authorisation": "A-DK"},
                             {"K1"}, "bank"),
    "prepaid_redeem_result": ({"original_transaction_id": "KO", **ANSWER}, {"K1"}, "bank"),
    "merchant_spend_order": ({"merchant_id": "M1", "fee_minor": 0}, {"M1"}, "bank"),
    "merchant_spend_result": ({"original_transaction_id": "MO", **ANSWER}, {"M1"}, "bank"),
    "payment": ({"merchant_id": "M1", "channel": "unionpay", **PLAIN}, {"M1"}, "unionpay"),
    "collection": ({"merchant_id": "M1", "user_id": "U1", "authorisation": "MD", **FEES},
                   {"M1", "U1"}, "internal"),
    "agreement_payment": ({"merchant_id": "M1", "user_id": "U1", "authorisation": "MD", **FEES},
                          {"M1", "U1"}, "internal"),
    "pre_authorisation": ({"merchant_id": "M1", "user_id": "U1", "authorisation": "A-M1"},
                          {"M1", "U1"}, "internal"),
    "pre_authorisation_completion": (
        {"original_transaction_id": "UP", "merchant_id": "M1", "user_id": "U1", **FEES},
        {"M1", "U1"}, "internal"),
    "pre_authorisation_cancel": ({"original_transaction_id": "UP"}, {"M1"}, "internal"),
    "refund": ({"original_transaction_id": "PI", **PLAIN}, {"M1", "U1"}, "internal"),
    "void": ({"original_transaction_id": "P"}, {"M1"}, "netsunion"),
    "dispute": ({"original_transaction_id": "P"}, {"M1"}, None),
    "dispute_release": ({"original_transaction_id": "DP"}, {"M2"}, None),
    "dispute_capture": ({"original_transaction_id": "DP", "case_number": "C"}, {"M2"},
                        "unionpay"),
    "chargeback": ({"original_transaction_id": "P", "case_number": "C"}, {"M1"}, "netsunion"),
    "split": ({"merchant_id": "M1", "parts": [{"merchant_id": "M1", "weight": 1},
                                              {"merchant_id": "M2", "weight": 1}]},
              {"M1", "M2"}, "internal"),
    "fee": ({"merchant_id": "M1", "notice_number": "N"}, {"M1"}, None),
    "settlement": ({"merchant_id": "M1", "destination_id": "S-M1"}, {"M1"}, "bank"),
    "settlement_returned": ({"payout_id": "SO"}, {"M2"}, "bank"),
    "settlement_result": ({"payout_id": "SB", **ANSWER}, {"MB"}, "bank"),
    "fee_income": ({}, set(), "bank"),
    "fee_prepayment": ({"merchant_id": "M1"}, {"M1"}, "bank"),
    "fee_charge": ({"merchant_id": "M1", "fee_item": "service"}, {"M1"}, None),
    "bill_payment": ({"merchant_id": "M1", "amount_minor": 1}, {"M1"}, "bank"),
    "deposit_received": ({"merchant_id": "M1"}, {"M1"}, "bank"),
    "deposit_returned": ({"merchant_id": "M5"}, {"M5"}, "bank"),
    "deposit_drawn": ({"merchant_id": "M1", "claim": "1202", "notice_number": "N"}, {"M1"}, None),
    "advance": ({"merchant_id": "M1", "case_number": "C"}, {"M1"}, "bank"),
    "claim_payment": ({"merchant_id": "M1", "claim": "1202"}, {"M1"}, "bank"),
    "offset": ({"merchant_id": "M1", "claim": "1202", "notice_number": "N"}, {"M1"}, "bank"),
    "shortfall": ({"merchant_id": "M1", "notice_number": "N"}, {"M1"}, "bank"),
    "provision": ({}, set(), None),
    "compensation": ({"user_id": "U2", "case_number": "C", "finding": "merchant",
                      "evidence": "E"}, {"U2"}, "bank"),
    "recovery": ({"compensation_id": "CO", "merchant_id": "M1", "case_number": "C"}, {"M1"},
                 None),
    "reserve_yield": ({}, set(), "bank"),
    "own_funds": ({}, set(), "bank"),
    "points_issue": ({"user_id": "U1"}, {"U1"}, None),
    "points_spend": ({"user_id": "U1", "merchant_id": "M1", "authorisation": "A-PS"},
                     {"U1", "M1"}, "bank"),
    "exchange": ({"user_id": "U1", "authorisation": "A-EX", **DOLLARS}, {"U1"}, "internal"),
    "merchant_exchange": ({"merchant_id": "M1", "authorisation": "A-ME", **DOLLARS}, {"M1"},
                          "internal"),
    "exchange_settled": ({"bought_currency_code": "USD", "bought_minor": 1_400}, set(), "bank"),
    "exchange_result": ({}, set(), "bank"),
    "hold_capture": ({"hold_id": "H", "to_account_id": "2201:M1", "case_number": "C"},
                     {"U1", "M1"}, "internal"),
    "adjustment": ({"incident_number": "I", "reason": "x", "legs": [
        {"account_id": "2201:M1", "currency_code": "CNY", "direction": "D", "amount_minor": 5,
         "component": "gross"},
        {"account_id": "2201:M2", "currency_code": "CNY", "direction": "C", "amount_minor": 5,
         "component": "gross"},
    ]}, {"M1", "M2"}, None),
    "reversal": ({"journal_id": "JOURNAL", "incident_number": "I", "reason": "x"}, {"M2"}, None),
}
#: Handlers that move no money between accounts: registers, freezes, bills; the day's
#: accrual, and unused fees that become income.
STILL = frozenset({
    "open_account", "account_shards", "account_status", "account_floor", "move_account",
    "party", "party_state", "grade_change", "grade_terms", "channel_onboarded", "contract",
    "bind_account", "destination", "authorise", "mandate", "mandate_end", "operator",
    "membership", "right", "caller", "limit", "tariff", "stop", "stop_lift", "session_open",
    "session_cover", "foreign_read", "sensitive_read", "period_close", "breaker", "approve",
    "reject", "hold", "denied_payment", "hold_release", "hold_takeover", "hold_expiry",
    "reconciliation", "reconciliation_close", "bill_issued", "bill_confirmed", "bill_withdrawn",
    "fees_unused", "penalty",
})


def _commands(world, journal):
    found = []
    for type_, (values, _, _) in TABLE.items():
        operation = world.ledger.operations.by_type[type_]
        names = {field.name for field in operation.form.fields}
        common = {"amount_minor": 10_000, **CNY, operation.business_key: f"N-{type_}"}
        command = {
            "type": type_, "idempotency_key": f"n-{type_}", "occurred_at": at(DAY, "10:00:00"),
            **{name: value for name, value in common.items() if name in names}, **values,
        }
        if type_ == "reversal":
            command["journal_id"] = journal
        found.append(command)
    return found


def _scene(world):
    """Something of everything that the table refers to; the table's commands."""
    funds(world, 10**6)
    world.open([(code, None) for code in ("9001", "1901", "2302", "6004")])
    world.open_in("USD")
    world.register("party", party_id="K1", party_kind="card", identity_check="ID")
    world.register("bind_account", destination_id="DK", party_id="K1", bound_account="6",
                   bound_name="K", bank_code="B")
    world.open([("2501", "K1")])
    for user in ("U1", "U2"):
        world.do("top_up", user_id=user, amount_minor=1_000_000)
    for name, amount in (("R1", 10_000), ("R2", 30_000)):
        posted(world.send("receipt", receipt_id=name, amount_minor=amount, **CNY))
    world.approved("merchant_top_up", application_id="MT", merchant_id="M1", receipt_id="R2",
                   amount_minor=30_000, **CNY)
    posted(world.send("prepaid_load", transaction_id="KL", card_id="K1", amount_minor=90_000,
                      **CNY))
    for reference, payer, payee in (
        ("A-D1", "U1", "D1"), ("A-U2", "U1", "U2"), ("A-K1", "K1", "M1"), ("A-DK", "K1", "DK"),
        ("A-FUND", "U1", "FUND"), ("A-M1", "U1", "M1"), ("A-KP", "K1", "M1"),
        ("A-PS", "U1", "M1"), ("A-TP", "U1", "U2"), ("A-TR", "U2", "U1"),
        ("A-UP", "U1", "M1"), ("A-WP", "U1", "FUND"), ("A-WO", "U1", "FUND"),
        ("A-W2", "U1", "FUND"), ("A-KO", "K1", "DK"), ("A-EX", "U1", "Q"), ("A-ME", "M1", "Q"),
        ("A-E2", "U2", "Q"), ("A-E3", "U2", "Q"),
    ):
        gets = {name: DOLLARS[name] for name in BOUGHT} if payee == "Q" else {}
        world.register("authorise", authorisation_id=reference, payer_id=payer, payee=payee,
                       amount_minor=10_000, method="password", **CNY, **gets)
    for name in ("A-E2", "A-E3"):  # twice what the table squares, once squared with a gain
        posted(world.send("exchange", exchange_id=f"X{name}", user_id="U2", amount_minor=10_000,
                          authorisation=name, **DOLLARS, **CNY))
    world.approved("exchange_settled", movement_id="XS", amount_minor=9_000, bought_minor=1_400,
                   bought_currency_code="USD", **CNY)
    world.register("mandate", mandate_id="MD", payer_id="U1", payee="M1", amount_minor=10_000,
                   method="signature", valid_from=DAY.isoformat(), valid_to="2026-12-31", **CNY)
    posted(world.send("transfer", transaction_id="TR", user_id="U1", payee_id="U2",
                      amount_minor=10_000, authorisation="A-TP", **CNY))
    world.merchant("MB", settlement_mode="bank")
    world.open([("9201", "MB")])
    posted(world.do("payment", merchant_id="MB", **PLAIN))
    posted(world.do("settlement", payout_id="SB", merchant_id="MB"))
    world.do("withdrawal", withdrawal_id="W1")
    world.do("withdrawal", withdrawal_id="W2", via="third_party", fee_minor=100)
    posted(world.do("withdrawal_result", withdrawal_id="W2"))
    posted(world.send("prepaid_pre_authorisation", transaction_id="KP", card_id="K1",
                      merchant_id="M1", amount_minor=10_000, authorisation="A-KP", **CNY))
    posted(world.send("pre_authorisation", transaction_id="UP", user_id="U1", merchant_id="M1",
                      amount_minor=10_000, authorisation="A-UP", **CNY))
    posted(world.send("wealth_purchase", transaction_id="WP", user_id="U1", product_id="FUND",
                      amount_minor=10_000, authorisation="A-WP", **CNY))
    for type_, values in (
        ("wealth_purchase_order", {"transaction_id": "WO", "user_id": "U1", "product_id": "FUND",
                                   "authorisation": "A-WO"}),
        ("wealth_purchase", {"transaction_id": "W0", "user_id": "U1", "product_id": "FUND",
                             "authorisation": "A-W2"}),
        ("prepaid_redeem_order", {"transaction_id": "KO", "card_id": "K1", "destination_id": "DK",
                                  "authorisation": "A-KO"}),
        ("merchant_spend_order", {"transaction_id": "MO", "merchant_id": "M1", "fee_minor": 0}),
    ):
        posted(world.send(type_, amount_minor=10_000, **values, **CNY))
    posted(world.send("wealth_redemption_order", transaction_id="WR", user_id="U1",
                      original_transaction_id="W0"))
    posted(world.do("payment", transaction_id="P", channel="netsunion", **PLAIN))
    posted(world.do("payment", transaction_id="PI", channel="internal", user_id="U1", **PLAIN))
    posted(world.do("payment", transaction_id="PD", merchant_id="M2", **PLAIN))
    reversible = posted(world.do("payment", transaction_id="PR", merchant_id="M2", **PLAIN))
    posted(world.do("dispute", transaction_id="DP", original_transaction_id="PD"))
    posted(world.do("payment", merchant_id="M2", **PLAIN))
    posted(world.do("settlement", payout_id="SO", merchant_id="M2"))
    for type_, values in (
        ("deposit_received", {"merchant_id": "M1"}), ("points_issue", {"user_id": "U1"}),
        ("advance", {"merchant_id": "M1", "case_number": "C"}),
    ):
        posted(world.send(type_, movement_id=f"S-{type_}", amount_minor=10_000, **values, **CNY))
    world.approved("party", party_id="M5", party_kind="merchant")
    world.open([("2602", "M5")])
    posted(world.send("deposit_received", movement_id="S-M5", merchant_id="M5",
                      amount_minor=10_000, **CNY))
    posted(world.send("party_state", party_id="M5", state="cancelled"))
    posted(world.do("fee", amount_minor=100))
    for _ in range(3):  # so that fees and what the reserve is owed can be taken
        posted(world.do("payment", **{**PLAIN, "acquirer_fee_minor": 9_000}))
    posted(world.do("payment", amount_minor=100_000, **PLAIN))
    posted(world.send("fee_charge", fee_id="FD", merchant_id="M1", fee_item="service",
                      amount_minor=500, **CNY))
    world.approved("compensation", movement_id="CO", user_id="U2", amount_minor=10_000,
                   case_number="C", finding="merchant", evidence="E", **CNY)
    posted(world.send("hold", hold_id="H", hold_kind="suspicious", account_id="2101:U1",
                      amount_minor=10_000, case_number="C", **CNY))
    return _commands(world, reversible["journal_id"])


def _reasons(world, commands):
    """What each command would give by itself: its status, or the reason of its refusal."""
    found = {}
    for command in commands:
        actor = ANN if world.ledger.operations.by_type[command["type"]].approval else SYSTEM
        (result,) = world.ledger.dry_run([command], actor)
        found[command["type"]] = (
            result["status"] if result["status"] != "refused"
            else f"{result['reason']}: {result['detail']}"
        )
    return found


def test_d2_10_the_table_has_every_operation_that_moves_money(world):
    """And whatever a bank account of the institution books goes over a rail."""
    operations = world.ledger.operations.by_type
    assert set(operations) - STILL == set(TABLE)
    for path in sorted(Path("ledger/data/operations").glob("*.yml")):
        for type_, template in yaml.safe_load(path.read_text("utf-8"))["operations"].items():
            accounts = {
                leg.get("debit") or leg.get("credit") for leg in template.get("legs", ())
                if leg["component"] != "clearing"
            }
            if accounts & {"1001", "1101", "1102"}:
                assert TABLE[type_][2] not in (None, "internal"), type_
    choices = {
        name for type_, field in (("payment", "channel"), ("withdrawal", "via"))
        for f in operations[type_].form.fields if f.name == field for name in f.of
    }
    assert choices == set(RAILS)


@pytest.mark.parametrize(("scope", "target"), [
    *(("rail", name) for name in RAILS),
    *(("merchant", name) for name in ("M1", "M2", "U1", "U2", "K1")),
])
def test_d2_10_a_stop_covers_each_party_and_each_rail_of_every_operation(world, scope, target):
    """Payer, payee, receivers of a split, who is refunded: all of them, and nobody else."""
    commands = _scene(world)
    before = _reasons(world, commands)
    assert set(before.values()) <= {"posted", "pending"}, {
        name: said for name, said in before.items() if said not in ("posted", "pending")
    }
    world.register("stop", stop_id="S", stop_scope=scope, stop_target=target,
                   stop_mode="everything", reason="fraud")
    after = _reasons(world, commands)
    for type_, (_, parties, rail) in TABLE.items():
        if target in parties or (scope == "rail" and target == rail):
            assert after[type_].startswith("stopped: stop S covers"), (type_, after[type_])
        else:
            assert after[type_] == before[type_], type_


def test_d2_10_a_withdrawal_without_a_way_goes_by_bank(world):
    """Left out, `via` is the bank; a top-up says how it came in the same way."""
    world.do("top_up", amount_minor=100_000)
    world.register("stop", stop_id="S", stop_scope="rail", stop_target="bank",
                   stop_mode="everything", reason="x")
    assert refused(world.do("withdrawal"), "stopped")
    assert refused(world.do("top_up"), "stopped")
    posted(world.do("withdrawal", via="third_party", fee_minor=100))
    posted(world.do("top_up", via="third_party"))


@pytest.mark.parametrize(("scope", "target"), [
    ("rail", "banks"), ("merchant", "M9"), ("caller", "M1"), ("account", "2201:M9"),
])
def test_d2_10_a_stop_names_something_that_there_is(world, scope, target):
    """A slip of the pen would stop nothing."""
    wrong = world.send("stop", stop_id="S", stop_scope=scope, stop_target=target,
                       stop_mode="everything", reason="x")
    assert refused(wrong, "register_differs", "stop_target")


def test_d2_10_the_days_run_goes_on_around_what_is_stopped(world):
    """One merchant's stop keeps nobody else's payout back, and its own is booked after the lift."""
    for merchant in ("M1", "M2"):
        posted(world.do("payment", merchant_id=merchant, **PLAIN))
    funds(world)
    posted(world.send("advance", movement_id="A", merchant_id="M1", amount_minor=1_000,
                      case_number="C", **CNY))
    world.register("stop", stop_id="S", stop_scope="merchant", stop_target="M1",
                   stop_mode="everything", reason="x")
    ran = run(world, 0)
    assert ran.amounts == {"settlement": 10_000}
    assert ran.not_paid == [
        {"merchant_id": "M1", "type": "settlement", "due_minor": 10_000, "reason": "stopped"}
    ]
    world.approved("stop_lift", stop_id="S", reason="over")
    assert run(world, 0).amounts == {"settlement": 10_000}
    world.register("stop", stop_id="S2", stop_scope="merchant", stop_target="M1",
                   stop_mode="everything", reason="x")
    world.close()
    on(world, 1)
    assert run(world, 1).amounts == {"penalty": 10}  # accrues; the close asks for it
    world.close(days(1))


@pytest.mark.parametrize(("mode", "voids"), [("everything", False), ("new_business", True)])
def test_d0_38_a_caller_is_stopped_by_one_person(caller, world, mode, voids):
    """Everything that it sends, or what starts alone; others go on, and two people lift it."""
    known = world.ledger.state.get("caller", "C1")
    world.approved("caller", caller_id="C1", rates={"transaction": 99, "data": 99},
                   rails=["unionpay"], **{
        name: known[name] for name in ("party_id", "public_key", "on_behalf", "enabled")
    })
    posted(world.do("payment", transaction_id="P", **PLAIN))
    world.register("stop", ANN, stop_id="S", stop_scope="caller", stop_target="C1",
                   stop_mode=mode, reason="its key leaked")

    def send(type_, **values):
        body = orjson.dumps(world.of("C1", world.command(type_, **values)))
        return caller.send("POST", "/v1/commands", body).json()

    assert refused(send("payment"), "stopped")
    back = send("void", original_transaction_id="P")
    assert posted(back) if voids else refused(back, "stopped")
    read = caller.send("GET", "/v1/balances?party_id=M1")
    assert read.status_code == (200 if voids else 403), read.text
    if not voids:
        assert read.json()["error"]["reason"] == "stopped"
    posted(world.do("payment"))  # the merchant itself is not stopped
    posted(world.ledger.apply([world.command("payment")], Actor("system", "switch"))[0])
    assert refused(world.send("stop_lift", stop_id="S", reason="over"), "no_right")
    world.approved("stop_lift", stop_id="S", reason="a new key")
    posted(send("payment"))
    assert caller.send("GET", "/v1/balances?party_id=M1").status_code == 200


def test_d0_38_a_stopped_provider_is_cut_off_with_all_its_callers(world):
    """The stop of the provider as a party covers what its callers send for its merchants."""
    world.approved("party", party_id="PR", party_kind="provider")
    world.approved("caller", caller_id="PV", party_id="PR", on_behalf=["M1"], enabled=True,
                   public_key=PrivateKey.generate().public.point, rates={"transaction": 9},
                   rails=["unionpay"])
    sender = Actor("caller", "PV")

    def pay():
        return world.ledger.apply([world.of("PV", world.command("payment"))], sender)[0]

    posted(pay())
    world.register("stop", stop_id="S", stop_scope="merchant", stop_target="PR",
                   stop_mode="new_business", reason="x")
    assert refused(pay(), "stopped")
    posted(world.do("payment"))


@pytest.mark.parametrize("rail", ["unionpay", "netsunion", "internal", "bank"])
def test_d2_10_a_denied_payments_money_goes_back_over_its_rail_or_not_at_all(world, rail):
    """As a refund, a chargeback or a captured dispute of it does; what an authority takes elsewhere
    goes over the bank."""
    world.do("top_up", amount_minor=20_000)
    for number, channel in enumerate(("unionpay", "netsunion", "internal")):
        name, user = f"P{number}", "U1" if channel == "internal" else None
        posted(world.do("payment", transaction_id=name, channel=channel, user_id=user, **PLAIN))
        posted(world.send("denied_payment", hold_id=f"H{number}", case_number="C",
                          original_transaction_id=name))
    posted(world.send("hold", hold_id="H3", hold_kind="authority", account_id="2201:M1",
                      amount_minor=1_000, case_number="C", **CNY))
    world.register("stop", stop_id="S", stop_scope="rail", stop_target=rail, reason="x",
                   stop_mode="everything")
    said = {}
    for number, channel in enumerate(("unionpay", "netsunion", "internal", "bank")):
        to = "2101:U1" if channel == "internal" else "1001"
        (result,) = world.ledger.dry_run([{
            "type": "hold_capture", "idempotency_key": f"c{number}", "result_id": f"X{number}",
            "hold_id": f"H{number}", "to_account_id": to, "case_number": "C",
            "occurred_at": at(DAY, "10:00:00")}], ANN)
        said[channel] = result.get("reason", result["status"])
    assert said == {
        name: "stopped" if name == rail else "pending"
        for name in ("unionpay", "netsunion", "internal", "bank")}
