"""What happens to a simulated ledger, drawn from a seed before any of it is sent."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

from ledger.domain.actors import Actor
from tests.ledger.conftest import ANN, DAY, SHANGHAI, SYSTEM

START = datetime(DAY.year, DAY.month, DAY.day, 9, tzinfo=SHANGHAI)
Command = dict[str, Any]
#: One sender's commands, which are answered together.
Sent = tuple[Actor, list[Command]]


class History:
    """Draws commands that mostly fit together: what they refer to was drawn before, whether or not
    it was posted. Its clock is the ledger's, and goes back as well as on."""

    def __init__(self, drawn: random.Random) -> None:
        self.drawn, self.now, self.number = drawn, START, 0
        self.made: dict[str, list[str]] = {}
        self.amounts: dict[str, int] = {}
        self.kinds = sorted(name for name in dir(self) if name.startswith("a_"))

    def steps(self) -> list[tuple[str, Any]]:
        """(kind, what) in order: `units` with (whether they overlap, senders by unit), `clock`
        with a time, `run` and `close` with a date, `checkpoint`, `anchor`, `reopen`."""
        funds = [self.new("top_up", "top_up_id", user_id=user, currency_code="CNY",
                          amount_minor=200_000) for user in ("U1", "U2")]
        return [
            ("units", (False, [[(SYSTEM, funds)]])),
            *(self._step() for _ in range(self.drawn.randint(8, 16))),
        ]

    def _step(self) -> tuple[str, Any]:
        kind = self.drawn.choices(
            ("units", "clock", "run", "close", "checkpoint", "anchor", "reopen"),
            (60, 14, 6, 8, 5, 3, 4),
        )[0]
        if kind == "units":
            units = [
                [self._sent() for _ in range(self.drawn.randint(1, 2))]
                for _ in range(self.drawn.randint(1, 4))
            ]
            return kind, (self.drawn.random() < 0.6, units)
        if kind == "clock":
            self.now += self.drawn.choice((
                timedelta(0), timedelta(minutes=1), timedelta(hours=5), timedelta(days=1),
                timedelta(days=2), timedelta(hours=-3), timedelta(days=-1),
            ))
            return kind, self.now.isoformat()
        days = (START.date() - self.now.date()).days
        return kind, self.now.date() - timedelta(self.drawn.choice((0, 1, 1, max(0, -days))))

    def _sent(self) -> Sent:
        if self.drawn.random() < 0.1:
            return ANN, [self._reviewed()]
        commands: list[Command] = []
        for _ in range(self.drawn.randint(1, 4)):
            commands += getattr(self, self.drawn.choice(self.kinds))()
        if self.drawn.random() < 0.1:
            commands.append(self.drawn.choice(commands))  # the same key again
        return SYSTEM, commands

    # pieces

    def new(self, type_: str, id_field: str = "", **values: Any) -> Command:
        self.number += 1
        name = f"S{self.number}"
        if id_field:
            self.made.setdefault(type_, []).append(name)
            self.amounts[name] = values.get("amount_minor", 0)
        at = self.now - self.drawn.choice((timedelta(0), timedelta(0), timedelta(hours=2)))
        command = {
            "type": type_, "idempotency_key": f"s{self.number}", "occurred_at": at.isoformat(),
            id_field: name, **values,
        }
        return {field: value for field, value in command.items() if field and value is not None}

    def earlier(self, *types: str) -> str:
        made = [name for type_ in types for name in self.made.get(type_, ())]
        return self.drawn.choice(made[-6:]) if made else "nothing"

    def amount(self) -> int:
        return self.drawn.choice((100, 1000, 5000, 10000, self.drawn.randint(1, 50000)))

    def money(self) -> dict[str, Any]:
        return {"amount_minor": self.amount(), "currency_code": "CNY"}

    def of(self, original: str) -> dict[str, Any]:
        """Mostly the amount of an original, or a part of it."""
        whole = self.amounts.get(original, 0)
        amount = self.drawn.choice((whole, whole, whole // 2, self.amount())) or 1
        return {"amount_minor": amount, "currency_code": "CNY"}

    def user(self) -> str:
        return self.drawn.choice(("U1", "U2"))

    def merchant(self) -> str:
        return self.drawn.choice(("M1", "M2"))

    def consent(self, payer: str, payee: str, money: dict[str, Any]) -> Command:
        return self.new("authorise", "authorisation_id", payer_id=payer, payee=payee,
                        method="password", **money)

    # what people do; each gives the commands that belong together

    def a_payment(self) -> list[Command]:
        return [self.new(
            "payment", "transaction_id", merchant_id=self.merchant(), channel="unionpay",
            issuer_fee_minor=0, network_fee_minor=0,
            acquirer_fee_minor=self.drawn.choice((0, 0, 10)), **self.money(),
        ) for _ in range(self.drawn.randint(1, 3))]

    def a_payment_by_a_user(self) -> list[Command]:
        user, merchant, money = self.user(), self.merchant(), self.money()
        consent = self.consent(user, merchant, money)
        return [consent, self.new(
            "payment", "transaction_id", merchant_id=merchant, channel="internal", user_id=user,
            authorisation=consent["authorisation_id"], issuer_fee_minor=0, network_fee_minor=0,
            acquirer_fee_minor=0, **money,
        )]

    def a_refund(self) -> list[Command]:
        payment = self.earlier("payment")
        return [self.new("refund", "transaction_id", original_transaction_id=payment,
                         issuer_fee_minor=0, network_fee_minor=0,
                         acquirer_fee_minor=self.drawn.choice((0, 0, 10)), **self.of(payment))]

    def a_void(self) -> list[Command]:
        return [self.new("void", "transaction_id",
                         original_transaction_id=self.earlier("payment"))]

    def a_dispute(self) -> list[Command]:
        payment = self.earlier("payment")
        return [self.new("dispute", "transaction_id", original_transaction_id=payment,
                         **self.of(payment))]

    def a_release(self) -> list[Command]:
        dispute = self.earlier("dispute")
        return [self.new("dispute_release", "transaction_id", original_transaction_id=dispute,
                         **self.of(dispute))]

    def a_chargeback(self) -> list[Command]:
        payment = self.earlier("payment")
        return [self.new("chargeback", "transaction_id", case_number="CASE",
                         original_transaction_id=payment, **self.of(payment))]

    def a_top_up(self) -> list[Command]:
        return [self.new("top_up", "top_up_id", user_id=self.user(), currency_code="CNY",
                         amount_minor=self.drawn.choice((1000, 50000, 150)))]

    def a_withdrawal(self) -> list[Command]:
        user = self.user()
        money = {"amount_minor": self.drawn.choice((5000, 20000)), "currency_code": "CNY"}
        consent = self.consent(user, f"D{user[1:]}", money)
        return [consent, self.new(
            "withdrawal", "withdrawal_id", user_id=user, destination_id=f"D{user[1:]}",
            authorisation=consent["authorisation_id"],
            fee_minor=money["amount_minor"] // 200, **money,
        )]

    def a_withdrawal_result(self) -> list[Command]:
        return [self.new("withdrawal_result", "result_id",
                         withdrawal_id=self.earlier("withdrawal"),
                         result=self.drawn.choice(("succeeded", "failed", "unknown")))]

    def a_withdrawal_returned(self) -> list[Command]:
        return [self.new("withdrawal_returned", "return_id",
                         withdrawal_id=self.earlier("withdrawal"))]

    def a_product_order(self) -> list[Command]:
        user, money = self.user(), self.money()
        consent = self.consent(user, "FUND", money)
        return [consent, self.new(
            "wealth_purchase_order", "transaction_id", user_id=user, product_id="FUND",
            authorisation=consent["authorisation_id"], **money,
        )]

    def a_products_result(self) -> list[Command]:
        return [self.new("wealth_purchase_result", "result_id",
                         original_transaction_id=self.earlier("wealth_purchase_order"),
                         result=self.drawn.choice(("succeeded", "failed", "unknown")))]

    def a_redemption_order(self) -> list[Command]:
        return [self.new("wealth_redemption_order", "transaction_id", user_id=self.user(),
                         original_transaction_id=self.earlier("wealth_purchase_order"))]

    def a_redemptions_result(self) -> list[Command]:
        result = self.drawn.choice(("succeeded", "failed", "unknown"))
        return [self.new("wealth_redemption_result", "result_id", user_id=self.user(),
                         original_transaction_id=self.earlier("wealth_redemption_order"),
                         result=result,
                         amount_minor=self.amount() if result == "succeeded" else None)]

    def a_transfer(self) -> list[Command]:
        user, money = self.user(), self.money()
        other = "U2" if user == "U1" else "U1"
        consent = self.consent(user, other, money)
        return [
            {**consent, "linked": True},
            self.new("transfer", "transaction_id", user_id=user, payee_id=other,
                     authorisation=consent["authorisation_id"], **money),
        ]

    def a_split(self) -> list[Command]:
        return [self.new(
            "split", "transaction_id", merchant_id="M1", **self.money(),
            parts=[{"merchant_id": "M2", "weight": 2}, {"merchant_id": "M1", "weight": 1}],
        )]

    def a_settlement(self) -> list[Command]:
        return [self.new("settlement", "payout_id", merchant_id=self.merchant(), **self.money())]

    def a_payout_that_came_back(self) -> list[Command]:
        return [self.new("settlement_returned", "return_id", payout_id=self.earlier("settlement"))]

    def a_fee(self) -> list[Command]:
        return [self.new("fee", "fee_id", merchant_id=self.merchant(), **self.money())]

    def a_hold(self) -> list[Command]:
        account = self.drawn.choice((f"2101:{self.user()}", f"2201:{self.merchant()}"))
        ends = (self.now + timedelta(self.drawn.randint(0, 2))).date().isoformat()
        return [self.new(
            "hold", "hold_id", hold_kind="authority", account_id=account, currency_code="CNY",
            amount_minor=self.drawn.choice((None, self.amount())), case_number="ORDER",
            expires_on=self.drawn.choice((None, ends)),
        )]

    def a_denial(self) -> list[Command]:
        return [self.new("denied_payment", "hold_id", case_number="CASE",
                         original_transaction_id=self.earlier("payment"))]

    def a_stop(self) -> list[Command]:
        if self.drawn.random() < 0.7:
            return self.a_payment()
        return [self.new("stop", "stop_id", stop_scope="merchant", stop_target=self.merchant(),
                         stop_mode="new_business", reason="drill")]

    def a_receipt(self) -> list[Command]:
        return [self.new("receipt", "receipt_id", **self.money())]

    def a_receipt_sent_back(self) -> list[Command]:
        return [self.new("receipt_returned", "return_id", receipt_id=self.earlier("receipt"))]

    def own_money(self) -> list[Command]:
        return [self.new("own_funds", "movement_id", amount_minor=10**6, currency_code="CNY")]

    def a_advance(self) -> list[Command]:
        return [*self.own_money(), self.new("advance", "movement_id", case_number="CASE",
                                            merchant_id=self.merchant(), **self.money())]

    def a_claim_paid(self) -> list[Command]:
        return [self.new("claim_payment", "movement_id", merchant_id=self.merchant(),
                         claim="1202", **self.money())]

    def a_deposit(self) -> list[Command]:
        return [self.new(self.drawn.choice(("deposit_received", "deposit_returned")),
                         "movement_id", merchant_id=self.merchant(), **self.money())]

    def a_provision(self) -> list[Command]:
        return [self.new("provision", "movement_id", **self.money())]

    def _reviewed(self) -> Command:
        """Entered by Ann; Ben approves it in the next round."""
        return self.drawn.choice((
            lambda: self.new(
                "limit", "limit_id", scene="payment", account_code="2201", currency_code="CNY",
                single_minor=20000, day_count=self.drawn.randint(3, 30),
                valid_from=self.now.date().isoformat(),
            ),
            lambda: self.new("stop_lift", stop_id=self.earlier("stop"), reason="drill over"),
            lambda: self.new("hold_release", "result_id", hold_id=self.earlier("denied_payment"),
                             case_number="CASE"),
            lambda: self.new("dispute_capture", "transaction_id", case_number="CASE",
                             original_transaction_id=self.earlier("dispute")),
            lambda: self._merchant_top_up(self.earlier("receipt")),
            lambda: self.new(
                "adjustment", "adjustment_id", incident_number="INC", reason="drill",
                legs=[
                    {"account_id": "2201:M1", "currency_code": "CNY", "direction": "C",
                     "amount_minor": 100, "component": "adjustment"},
                    {"account_id": "2301", "currency_code": "CNY", "direction": "D",
                     "amount_minor": 100, "component": "adjustment"},
                ],
            ),
        ))()

    def _merchant_top_up(self, receipt: str) -> Command:
        return self.new("merchant_top_up", "application_id", merchant_id="M1",
                        receipt_id=receipt, **self.of(receipt))
