"""Random histories of what customers pay (from a card, an account, a prepaid card; by a mandate, on
a pre-authorisation), of what gives it back, and of holds that authorities and risk officers place,
take over, capture and release meanwhile. Refunds, voids and disputes of card payments, withdrawals
and denials are in :mod:`tests.ledger.test_model`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.ledger.conftest import DAY
from tests.ledger.modelled import (
    AMOUNTS,
    FEES,
    KEEPS,
    MERCHANTS,
    RESULTS,
    UNDER_WAY,
    USERS,
    WHICH,
    Held,
    Modelled,
    histories,
    named,
)

CARDS = st.sampled_from(["K1", "K2"])
#: What a chargeback is for: what came over a card, a mandate of a wallet or a pre-authorisation.
CHARGED_BACK = {"payment", "agreement_payment", "pre_authorisation_completion"}
#: Kinds that a person places, and on which accounts.
PLACED = {
    "objection": ("2201",), "suspicious": ("2101", "2201"), "evidence": ("2201",),
    "banned": ("2201",), "authority": ("2101", "2201", "2501"),
    "pre_authorisation": ("2101", "2501"),
}


@dataclass
class Payment:
    """What was paid, and what of it was given back."""

    type: str
    merchant: str
    source: str
    gross: int
    fee: int
    day: object
    refunded: int = 0
    fee_back: int = 0
    disputed: int = 0
    charged_back: int = 0

    @property
    def left(self) -> int:
        return self.gross - self.refunded - self.disputed - self.charged_back


class Customers(Modelled):
    """The model beside balances and holds: payments, mandates, orders that wait."""

    def set_up(self) -> None:
        for n in (1, 2):
            self.register("party", party_id=f"K{n}", party_kind="card", identity_check="ID")
            self.register(
                "bind_account", destination_id=f"DK{n}", party_id=f"K{n}", bound_account="6",
                bound_name="K", bank_code="B",
            )
            self.world.open([("2501", f"K{n}")])
        self.payments: dict[str, Payment] = {}
        self.disputes: dict[str, tuple[str, int]] = {}
        self.mandates: dict[str, dict] = {}
        self.allowed: dict[str, tuple[str, str, int]] = {}  # pre-authorisations not yet decided on
        self.orders: dict[str, tuple[str, int]] = {}
        for n in ("1", "2"):  # so that most of what is drawn may be
            Customers.top_up(self, f"U{n}", 500, 0)
            Customers.load(self, f"K{n}", 50_000, "prepaid_load")
            Customers.pay(self, f"M{n}", 30_000, 22, None, 0)
            Customers.mandate(self, f"U{n}", "M1", 20_000, 40, None, None)
            Customers.allow(self, f"K{n}", "M2", 700, None)

    # money comes in

    @rule(user=USERS, yuan=st.integers(9, 10**4), back=st.sampled_from([0, 0, 1, 20]))
    def top_up(self, user, yuan, back):
        amount = 100 * yuan
        self.post("top_up", {"1001": -amount, f"2101:{user}": amount}, yuan >= 10, normal=True,
                  back=back, top_up_id=self.name("I"), user_id=user, amount_minor=amount)

    @rule(card=CARDS, amount=AMOUNTS, type_=st.sampled_from(["prepaid_issue", "prepaid_load"]))
    def load(self, card, amount, type_):
        self.post(type_, {"1001": -amount, f"2501:{card}": amount}, transaction_id=self.name("L"),
                  card_id=card, amount_minor=amount)

    # payments

    def paid(self, type_, source, merchant, amount, fee, data_fee=0, may=True, back=0, **values):
        """A payment of one of the kinds."""
        key = values.setdefault("transaction_id", self.name("P"))
        moves = {
            source: -amount, f"2201:{merchant}": amount - fee, "2301": fee,
            f"1204:{merchant}": -data_fee, "6001": data_fee,
        }
        if self.post(
            type_, moves, may and fee <= amount, back=back, merchant_id=merchant,
            leaves={f"2201:{merchant}"} if fee else None, amount_minor=amount,
            acquirer_fee_minor=fee, data_fee_minor=data_fee or None, **values,
        ):
            self.payments[key] = Payment(type_, merchant, source, amount, fee, self.today)

    @rule(merchant=MERCHANTS, amount=AMOUNTS, fee=FEES, user=st.none() | USERS,
          back=st.sampled_from([0, 0, 3]))
    def pay(self, merchant, amount, fee, user, back):
        consent = {} if user is None else {
            "user_id": user, "authorisation": self.consent(user, merchant, amount)}
        self.paid(
            "payment", f"2101:{user}" if user else "1001", merchant, amount, fee, back=back,
            channel="internal" if user else "unionpay", issuer_fee_minor=0, network_fee_minor=0,
            **consent,
        )

    @rule(card=CARDS, merchant=MERCHANTS, amount=AMOUNTS, fee=FEES, data_fee=FEES)
    def spend(self, card, merchant, amount, fee, data_fee):
        self.paid("prepaid_spend", f"2501:{card}", merchant, amount, fee, data_fee, card_id=card,
                  authorisation=self.consent(card, merchant, amount))

    @rule(user=USERS, merchant=MERCHANTS, most=AMOUNTS, days=st.sampled_from([0, 40]),
          total=st.none() | AMOUNTS, count=st.none() | st.integers(1, 2))
    def mandate(self, user, merchant, most, days, total, count):
        name = self.name("M")
        ends = self.today + timedelta(days)
        bounds = {"total_minor": total, "total_count": count}
        given = {name: value for name, value in bounds.items() if value is not None}
        self.register("mandate", mandate_id=name, payer_id=user, payee=merchant,
                      amount_minor=most, currency_code="CNY", method="signature",
                      valid_from=DAY.isoformat(), valid_to=ends.isoformat(), **given)
        self.mandates[name] = {"user": user, "merchant": merchant, "most": most, "ends": ends,
                               "total": total or 10**9, "count": count or 99}

    @rule(which=WHICH)
    def end_a_mandate(self, which):
        name = self.pick(self.mandates, which)
        if self.post("mandate_end", {}, name in self.mandates, mandate_id=name, currency=None):
            del self.mandates[name]

    @rule(which=WHICH, type_=st.sampled_from(["collection", "agreement_payment"]), fee=FEES,
          amount=AMOUNTS, data_fee=FEES, most=st.booleans())
    def collect(self, which, type_, fee, amount, data_fee, most):
        name = self.pick(self.mandates, which)
        m = self.mandates.get(name, {"user": "U1", "merchant": "M1", "most": 0, "ends": DAY,
                                     "total": 0, "count": 0})
        amount = m["most"] if most and m["most"] else amount
        may = amount <= min(m["most"], m["total"]) and m["count"] > 0 and self.today <= m["ends"]
        before = len(self.payments)
        self.paid(type_, f"2101:{m['user']}", m["merchant"], amount, fee, data_fee, may,
                  user_id=m["user"], authorisation=name)
        if len(self.payments) > before:
            m["total"] -= amount
            m["count"] -= 1

    @rule(payer=USERS | CARDS, merchant=MERCHANTS, amount=AMOUNTS, taken=st.none() | AMOUNTS)
    def allow(self, payer, merchant, amount, taken):
        """A pre-authorisation; it ends after thirty days."""
        key, user = self.name("H"), payer[0] == "U"
        account = f"{'2101' if user else '2501'}:{payer}"
        if self.post(
            "pre_authorisation" if user else "prepaid_pre_authorisation", {},
            self.may_hold(account, amount), transaction_id=key, merchant_id=merchant,
            amount_minor=amount, authorisation=self.consent(payer, merchant, amount),
            **{"user_id" if user else "card_id": payer},
        ):
            self.holds[key] = Held("pre_authorisation", account, amount, key,
                                   self.today + timedelta(30))
            self.allowed[key] = (payer, merchant, amount)
            if taken is not None:
                Customers.complete_or_cancel(self, len(self.allowed) - 1, taken, False, 0, True)

    @rule(which=WHICH, amount=AMOUNTS, whole=st.booleans(), fee=FEES, done=st.booleans())
    def complete_or_cancel(self, which, amount, whole, fee, done):
        name = self.pick(self.allowed, which)
        payer, merchant, most = self.allowed.get(name, ("U1", "M1", 0))
        hold, user = self.holds.get(name), payer[0] == "U"
        there = hold is not None and hold.kind == "pre_authorisation"
        if not done:
            if self.post("pre_authorisation_cancel", {}, there, ends=name if there else None,
                         currency=None, transaction_id=self.name("X"),
                         original_transaction_id=name):
                del self.allowed[name]
            return
        amount = hold.left if whole and there else amount
        key = self.name("C")
        self.paid(
            "pre_authorisation_completion" if user else "prepaid_completion",
            f"{'2101' if user else '2501'}:{payer}", merchant, amount, fee,
            may=there and amount <= min(most, hold.left), transaction_id=key,
            original_transaction_id=name, ends=name if there else None,
            **{"user_id" if user else "card_id": payer},
        )
        if key in self.payments:
            del self.allowed[name]

    # what gives it back

    @rule(which=WHICH, amount=AMOUNTS, whole=st.booleans(), back=st.sampled_from([0, 0, 2]))
    def refund(self, which, amount, whole, back):
        name = self.pick(self.payments, which)
        p = self.payments.get(name, Payment("", "M1", "1001", 1, 0, DAY))
        amount = p.left if whole and p.left else amount
        may = name in self.payments and amount <= p.left
        done = p.refunded + min(amount, p.gross - p.refunded)
        due = (2 * p.fee * done + p.gross) // (2 * p.gross) - p.fee_back  # half up, in all
        moves = {p.source: amount, f"2201:{p.merchant}": due - amount, "2301": -due}
        if self.post("refund", moves, may, below="2201", leaves={f"2201:{p.merchant}"}, back=back,
                     transaction_id=self.name("R"), original_transaction_id=name,
                     amount_minor=amount, issuer_fee_minor=0, network_fee_minor=0,
                     acquirer_fee_minor=due):
            p.refunded += amount
            p.fee_back += due
            assert p.refunded < p.gross or p.fee_back == p.fee

    @rule(which=WHICH)
    def void(self, which):
        name = self.pick(self.payments, which)
        p = self.payments.get(name, Payment("", "M1", "1001", 1, 0, DAY))
        may = name in self.payments and p.left == p.gross and p.day == self.today
        moves = {p.source: p.gross, f"2201:{p.merchant}": p.fee - p.gross, "2301": -p.fee}
        if self.post("void", moves, may, below="2201", leaves={f"2201:{p.merchant}"},
                     currency=None, transaction_id=self.name("V"), original_transaction_id=name):
            p.refunded, p.fee_back = p.gross, p.fee

    @rule(which=WHICH, amount=AMOUNTS, whole=st.booleans())
    def charge_back(self, which, amount, whole):
        name = self.pick(self.payments, which)
        p = self.payments.get(name, Payment("", "M1", "1001", 1, 0, DAY))
        amount = p.left if whole and p.left else amount
        may = p.type in CHARGED_BACK and amount <= p.left
        if self.post("chargeback", {p.source: amount, f"2201:{p.merchant}": -amount}, may,
                     below="2201", transaction_id=self.name("B"), original_transaction_id=name,
                     amount_minor=amount, case_number="N"):
            p.charged_back += amount

    @rule(which=WHICH, amount=AMOUNTS, whole=st.booleans())
    def dispute(self, which, amount, whole):
        name, key = self.pick(self.payments, which), self.name("D")
        p = self.payments.get(name, Payment("", "M1", "1001", 1, 0, DAY))
        amount = p.left if whole and p.left else amount
        if self.post("dispute", {f"2201:{p.merchant}": -amount, f"2202:{p.merchant}": amount},
                     name in self.payments and amount <= p.left, below="2201",
                     transaction_id=key, original_transaction_id=name, amount_minor=amount):
            p.disputed += amount
            self.disputes[key] = (name, amount)

    @rule(which=WHICH, captured=st.booleans())
    def end_a_dispute(self, which, captured):
        """For the payer, by two people, or for the merchant."""
        dispute = self.pick(self.disputes, which)
        name, amount = self.disputes.get(dispute, ("", 1))
        p = self.payments.get(name, Payment("", "M1", "1001", 1, 0, DAY))
        to = p.source if captured else f"2201:{p.merchant}"
        more = {"case_number": "N", "currency": None} if captured else {"amount_minor": amount}
        if self.post("dispute_capture" if captured else "dispute_release",
                     {f"2202:{p.merchant}": -amount, to: amount}, bool(name), checked=captured,
                     transaction_id=self.name("E"), original_transaction_id=dispute, **more):
            p.disputed -= amount
            p.charged_back += amount if captured else 0
            del self.disputes[dispute]

    # a card paid back

    @rule(card=CARDS, amount=AMOUNTS, order=st.booleans())
    def redeem(self, card, amount, order):
        """At once, or by an order that the bank answers."""
        key, account = self.name("O"), f"2501:{card}"
        moves = {} if order else {account: -amount, "1001": amount}
        if self.post("prepaid_redeem_order" if order else "prepaid_redeem", moves,
                     not order or self.may_hold(account, amount), transaction_id=key,
                     card_id=card, amount_minor=amount, destination_id=f"D{card}",
                     authorisation=self.consent(card, f"D{card}", amount)) and order:
            self.holds[key] = Held("outgoing", account, amount, key)
            self.orders[key] = (account, amount)

    @rule(which=WHICH, result=RESULTS, by_person=st.booleans())
    def answer(self, which, result, by_person):
        name = self.pick(self.orders, which)
        account, amount = self.orders.get(name, ("2501:K1", 1))
        moves = {account: -amount, "1001": amount} if result == "succeeded" else {}
        if self.post("prepaid_redeem_result", moves, name in self.orders, answered=True,
                     ends=None if result == "unknown" else name, checked=by_person, currency=None,
                     result_id=self.name("Z"), original_transaction_id=name, result=result,
                     evidence="E" if by_person else None) and result != "unknown":
            del self.orders[name]

    # holds

    @rule(kind=st.sampled_from(sorted(PLACED)), number=st.integers(0, 5), days=st.none() |
          st.integers(-1, 20), amount=st.none() | AMOUNTS)
    def freeze(self, kind, number, days, amount):
        """On an amount, which may be more than is there, or on the whole account."""
        codes = PLACED[kind]
        code = codes[number % len(codes)]
        account = f"{code}:{ {'2101': 'U', '2201': 'M', '2501': 'K'}[code] }{number % 2 + 1}"
        key, dated = self.name("H"), kind in ("authority", "pre_authorisation")
        ends = None if days is None else self.today + timedelta(days)
        may = (ends is None or (dated and days >= 0)) and (amount is not None or kind in KEEPS)
        if kind == "pre_authorisation" and amount is not None:
            may = may and self.available(account) >= amount
        if self.post("hold", {}, may, checked=kind == "evidence", hold_id=key, hold_kind=kind,
                     account_id=account, amount_minor=amount, case_number=key,
                     expires_on=ends and ends.isoformat()):
            if kind == "pre_authorisation":
                last = self.today + timedelta(30)
                ends = min(ends or last, last)
            self.holds[key] = Held(kind, account, amount, key, ends)

    @rule(which=WHICH, part=AMOUNTS, whole=st.booleans(), right=st.booleans())
    def release(self, which, part, whole, right):
        name = self.pick(self.holds, which)
        hold = self.holds.get(name, Held("", "", 0))
        order = hold.kind != "authority" or right
        part = hold.left if whole or hold.left is None else part
        may = bool(hold.kind) and hold.kind not in UNDER_WAY and order and (
            part is None or part <= (hold.left or 0))
        self.post("hold_release", {}, may, checked=True, ends=name, currency=None, part=part,
                  result_id=self.name("E"), hold_id=name, amount_minor=part or None,
                  case_number=hold.case if right and hold.case else "ANOTHER")

    @rule(which=WHICH, part=AMOUNTS, whole=st.booleans(), right=st.booleans(),
          to=st.sampled_from(["1001", "2301", "2101:U1", "2201:M2"]))
    def capture(self, which, part, whole, right, to):
        name = self.pick(self.holds, which)
        hold = self.holds.get(name, Held("", "", 0))
        part = (hold.left if whole else part) or 1
        may = bool(hold.kind) and hold.kind not in UNDER_WAY and hold.left is not None and (
            part <= hold.left and (hold.kind != "authority" or right))
        if hold.account == to:
            return
        self.post("hold_capture", {hold.account: -part, to: part} if may else {}, may,
                  checked=True, thawed=True, ends=name, part=part, currency=None,
                  result_id=self.name("E"), hold_id=name, to_account_id=to, amount_minor=part,
                  case_number=hold.case if right and hold.case else "ANOTHER")

    @rule(which=WHICH, days=st.none() | st.integers(-1, 20))
    def take_over(self, which, days):
        """By an authority's order, whose own end applies."""
        name, case = self.pick(self.holds, which), self.name("ORDER")
        hold = self.holds.get(name, Held("", "", 0))
        may = bool(hold.kind) and hold.kind not in (*UNDER_WAY, "authority") and (
            days is None or days >= 0)
        ends = None if days is None else self.today + timedelta(days)
        if self.post("hold_takeover", {}, may, checked=True, currency=None,
                     result_id=self.name("E"), hold_id=name, case_number=case,
                     expires_on=ends and ends.isoformat()):
            hold.kind, hold.case, hold.ends = "authority", case, ends


def test_what_customers_pay_and_what_is_held_of_it():
    histories(Customers, 25, 40)


@pytest.mark.long
def test_what_customers_pay_and_what_is_held_of_it_in_many_histories():
    """In which every operation of the model is posted."""
    assert named(__file__) - histories(Customers, 200, 60) == set()
