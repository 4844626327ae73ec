"""Random histories of what merchants and users have with the institution beside payments: merchant
balances, transfers, wealth products booked at once, payouts that come back, fees and their bills,
deposits, advances, provision and compensation, points, adjustments; and of its own funds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule

from paylake.dates import is_public_holiday
from tests.ledger.conftest import DAY
from tests.ledger.modelled import (
    AMOUNTS,
    FEES,
    MERCHANTS,
    RESULTS,
    USERS,
    WHICH,
    Held,
    Modelled,
    histories,
    named,
)

CLAIMS = ("1201", "1202", "1203", "1205")
#: Last dates of the bills of MF, which has one each month from the first date.
PERIODS = (date(2026, 10, 11), date(2026, 11, 11), date(2026, 12, 11), date(2027, 1, 11))
#: Accounts between which an adjustment may move money, by kind of books.
ADJUSTED = (("1001", "2201:M1", "2211:M2", "2101:U1", "2301"), ("1101", "2601:MP", "6001", "2701"))

#: What one amount of one merchant and user moves: by type the accounts and the further fields.
Movement = Callable[[int, str, str, str], tuple[dict[str, int], dict[str, Any]]]
SIMPLE: dict[str, Movement] = {
    "own_funds": lambda a, m, u, c: ({"1101": -a, "3001": a}, {}),
    "fee_income": lambda a, m, u, c: ({"2301": -a, "1001": a, "1101": -a, "6001": a}, {}),
    "reserve_yield": lambda a, m, u, c: ({"1101": -a, "6003": a}, {}),
    "provision": lambda a, m, u, c: ({"6401": -a, "2701": a}, {}),
    "fee_prepayment": lambda a, m, u, c: ({"1101": -a, "2601:MP": a}, {"merchant_id": "MP"}),
    "bill_payment": lambda a, m, u, c: ({"1101": -a, "1205:MF": a}, {"merchant_id": "MF"}),
    "deposit_received": lambda a, m, u, c: ({"1102": -a, f"2602:{m}": a}, {"merchant_id": m}),
    "deposit_drawn": lambda a, m, u, c: (
        {f"2602:{m}": -a, f"{c}:{m}": a}, {"merchant_id": m, "claim": c, "notice_number": "N"}),
    "advance": lambda a, m, u, c: (
        {f"1202:{m}": -a, "1101": a}, {"merchant_id": m, "case_number": "N"}),
    "penalty": lambda a, m, u, c: ({f"1203:{m}": -a, "6002": a}, {"merchant_id": m}),
    "claim_payment": lambda a, m, u, c: (
        {"1101": -a, f"{c}:{m}": a}, {"merchant_id": m, "claim": c}),
    "shortfall": lambda a, m, u, c: (
        {"1001": -a, f"2201:{m}": a, f"1201:{m}": -a, "1101": a},
        {"merchant_id": m, "notice_number": "N"}),
    "points_issue": lambda a, m, u, c: ({"6402": -a, f"2702:{u}": a}, {"user_id": u}),
}


class Funds(Modelled):
    """The model beside balances: receipts, transfers, purchases, payouts, compensations, bills."""

    def set_up(self) -> None:
        self.world.merchant("MP", fee_choice="prepaid")
        self.world.merchant("MF", bill_months=1)
        self.world.open([
            *((code, "MP") for code in ("2601", "2602", *CLAIMS)),
            *((code, "MF") for code in ("1204", "1205")),
        ])
        self.left_us = False  # MP
        self.receipts: dict[str, int] = {}
        self.orders: dict[str, tuple[str, int, int]] = {}
        self.transfers: dict[str, tuple[str, str, int]] = {}
        self.bought: dict[str, tuple[str, date]] = {}
        self.paid_out: dict[str, tuple[str, int]] = {}
        self.compensated: dict[str, tuple[str, int]] = {}
        self.items: list[tuple[date, int]] = []
        self.bills: dict[str, tuple[int, date, date]] = {}  # not confirmed: sum, through, before
        self.billed = DAY - timedelta(1)
        Funds.move(self, "own_funds", 10**6, "M1", "U1", "1201")
        for n in "12":
            Funds.top_up(self, f"U{n}", 200)
            Funds.pay(self, f"M{n}", 50_000, False)
            Funds.receive(self, 20_000)
            Funds.assign(self, 0, f"M{n}", 0)
            for type_ in ("deposit_received", "provision", "fee_prepayment", "points_issue"):
                Funds.move(self, type_, 5_000, f"M{n}", f"U{n}", "1201")
        Funds.move(self, "advance", 700, "M1", "U1", "1201")
        Funds.deposit_of_mp(self, 700, "deposit_received")

    # own funds, and what is one amount

    @rule(type_=st.sampled_from(sorted(SIMPLE)), amount=AMOUNTS, merchant=MERCHANTS, user=USERS,
          claim=st.sampled_from(CLAIMS))
    def move(self, type_, amount, merchant, user, claim):
        moves, values = SIMPLE[type_](amount, merchant, user, claim)
        self.post(type_, moves, checked=type_ == "deposit_drawn", amount_minor=amount,
                  movement_id=self.name("M"), **values)

    @rule(type_=st.sampled_from(["claim_payment", "deposit_drawn", "offset"]), which=WHICH,
          merchant=MERCHANTS, amount=AMOUNTS)
    def owed_is_paid(self, type_, which, merchant, amount):
        """A claim that there is, and no more of it."""
        claim = self.pick([c for c in CLAIMS if self.balance(f"{c}:{merchant}")] or CLAIMS, which)
        amount = min(amount, self.balance(f"{claim}:{merchant}") or amount)
        if type_ == "offset":
            Funds.offset(self, merchant, claim, amount)
        else:
            Funds.move(self, type_, amount, merchant, "U1", claim)

    @rule(user=USERS, merchant=MERCHANTS, amount=AMOUNTS)
    def spend_points(self, user, merchant, amount):
        self.post("points_spend", {f"2702:{user}": -amount, "1101": amount, "1001": -amount,
                                   f"2201:{merchant}": amount},
                  movement_id=self.name("M"), user_id=user, merchant_id=merchant,
                  amount_minor=amount, authorisation=self.consent(user, merchant, amount))

    @rule(user=USERS, yuan=st.integers(10, 200))
    def top_up(self, user, yuan):
        self.post("top_up", {"1001": -100 * yuan, f"2101:{user}": 100 * yuan},
                  top_up_id=self.name("I"), user_id=user, amount_minor=100 * yuan)

    @rule(merchant=MERCHANTS, amount=AMOUNTS, taken=st.booleans())
    def pay(self, merchant, amount, taken):
        fee = amount // 50
        self.post("payment", {"1001": -amount, f"2201:{merchant}": amount - fee, "2301": fee},
                  transaction_id=self.name("P"), merchant_id=merchant, amount_minor=amount,
                  channel="unionpay", issuer_fee_minor=0, network_fee_minor=0,
                  acquirer_fee_minor=fee)
        if taken and fee:
            Funds.move(self, "fee_income", fee, merchant, "U1", "1201")

    @rule(books=st.sampled_from(ADJUSTED), places=st.tuples(st.integers(0, 4), st.integers(0, 4)),
          amount=AMOUNTS, crossed=st.sampled_from([False, False, False, True]))
    def adjust(self, books, places, amount, crossed):
        debited, credited = (books[place % len(books)] for place in places)
        if debited == credited:
            return
        if crossed:
            credited = ADJUSTED[books is ADJUSTED[0]][0]
        self.post(
            "adjustment", {debited: -amount, credited: amount}, not crossed, checked=True,
            currency=None, adjustment_id=self.name("J"), incident_number="N", reason="x", legs=[
                {"account_id": account, "currency_code": "CNY", "direction": side,
                 "amount_minor": amount, "component": "correction"}
                for account, side in ((debited, "D"), (credited, "C"))
            ],
        )

    # merchant balances

    @rule(amount=AMOUNTS)
    def receive(self, amount):
        key = self.name("R")
        self.post("receipt", {"1001": -amount, "2401": amount}, receipt_id=key,
                  amount_minor=amount)
        self.receipts[key] = amount

    @rule(which=WHICH, merchant=MERCHANTS, over=st.sampled_from([0, 0, 0, 1]))
    def assign(self, which, merchant, over):
        receipt = self.pick(self.receipts, which)
        amount = self.receipts.get(receipt, 1) + over
        if self.post("merchant_top_up", {"2401": -amount, f"2211:{merchant}": amount},
                     receipt in self.receipts and not over, checked=True,
                     application_id=self.name("Q"), merchant_id=merchant, receipt_id=receipt,
                     amount_minor=amount):
            del self.receipts[receipt]

    @rule(which=WHICH)
    def send_back(self, which):
        receipt = self.pick(self.receipts, which)
        amount = self.receipts.get(receipt, 0)
        if self.post("receipt_returned", {"2401": -amount, "1001": amount}, amount > 0,
                     return_id=self.name("B"), receipt_id=receipt, currency=None):
            del self.receipts[receipt]

    @rule(merchant=MERCHANTS, amount=AMOUNTS, fee=FEES, order=st.booleans())
    def spend(self, merchant, amount, fee, order):
        key, account, whole = self.name("S"), f"2211:{merchant}", amount + fee
        moves = {} if order else {account: -whole, "1001": amount, "2301": fee}
        if self.post("merchant_spend_order" if order else "merchant_spend", moves,
                     not order or self.may_hold(account, whole), transaction_id=key,
                     merchant_id=merchant, amount_minor=amount, fee_minor=fee) and order:
            self.holds[key] = Held("outgoing", account, whole, key)
            self.orders[key] = (account, amount, fee)

    @rule(which=WHICH, result=RESULTS, by_person=st.booleans())
    def answer(self, which, result, by_person):
        order = self.pick(self.orders, which)
        account, amount, fee = self.orders.get(order, ("2211:M1", 1, 0))
        moves = {account: -amount - fee, "1001": amount, "2301": fee}
        if self.post("merchant_spend_result", moves if result == "succeeded" else {},
                     order in self.orders, answered=True, checked=by_person, currency=None,
                     ends=None if result == "unknown" else order, result_id=self.name("Z"),
                     original_transaction_id=order, result=result,
                     evidence="E" if by_person else None) and result != "unknown":
            del self.orders[order]

    @rule(merchant=MERCHANTS, user=USERS, amount=AMOUNTS, fee=FEES, data_fee=FEES)
    def pay_for(self, merchant, user, amount, fee, data_fee):
        moves = {f"2211:{merchant}": -amount - fee, f"2101:{user}": amount, "2301": fee,
                 f"1204:{merchant}": -data_fee, "6001": data_fee}
        self.post("payout_on_behalf", moves, transaction_id=self.name("O"), merchant_id=merchant,
                  user_id=user, amount_minor=amount, fee_minor=fee,
                  data_fee_minor=data_fee or None)

    # payouts that come back

    @rule(merchant=MERCHANTS, amount=AMOUNTS, whole=st.booleans())
    def settle(self, merchant, amount, whole):
        account, key = f"2201:{merchant}", self.name("S")
        amount = self.balance(account) if whole and self.balance(account) > 0 else amount
        may = not is_public_holiday(self.today) and not self.balance(f"1201:{merchant}")
        if self.post("settlement", {account: -amount, "1001": amount}, may, payout_id=key,
                     merchant_id=merchant, destination_id=f"S-{merchant}", amount_minor=amount):
            self.paid_out[key] = (merchant, amount)

    @rule(which=WHICH)
    def payout_returned(self, which):
        payout = self.pick(self.paid_out, which)
        merchant, amount = self.paid_out.get(payout, ("M1", 0))
        if self.post("settlement_returned", {"1001": -amount, f"2201:{merchant}": amount},
                     amount > 0, return_id=self.name("B"), payout_id=payout, currency=None):
            del self.paid_out[payout]

    # transfers, wealth products

    @rule(user=USERS, amount=AMOUNTS)
    def transfer(self, user, amount):
        key, other = self.name("T"), "U2" if user == "U1" else "U1"
        if self.post("transfer", {f"2101:{user}": -amount, f"2101:{other}": amount},
                     transaction_id=key, user_id=user, payee_id=other, amount_minor=amount,
                     authorisation=self.consent(user, other, amount)):
            self.transfers[key] = (user, other, amount)

    @rule(which=WHICH, amount=AMOUNTS, whole=st.booleans())
    def give_back(self, which, amount, whole):
        name = self.pick(self.transfers, which)
        user, other, left = self.transfers.get(name, ("U1", "U2", 0))
        amount = left if whole and left else amount
        if self.post("transfer_refund", {f"2101:{other}": -amount, f"2101:{user}": amount},
                     amount <= left, checked=True, transaction_id=self.name("R"),
                     original_transaction_id=name, amount_minor=amount, ground="wrong_amount",
                     authorisation=self.consent(other, user, amount)):
            self.transfers[name] = (user, other, left - amount)

    @rule(user=USERS, amount=AMOUNTS, days=st.sampled_from([0, 0, 2]))
    def buy(self, user, amount, days):
        key, settles = self.name("W"), self.today + timedelta(days)
        if self.post("wealth_purchase", {f"2101:{user}": -amount, "1001": amount},
                     transaction_id=key, user_id=user, product_id="F", amount_minor=amount,
                     authorisation=self.consent(user, "F", amount),
                     settles_on=settles.isoformat()):
            self.bought[key] = (user, settles)

    @rule(which=WHICH, amount=AMOUNTS)
    def redeem(self, which, amount):
        """Once, not before its date; what arrives is the user's."""
        key = self.pick(self.bought, which)
        user, settles = self.bought.get(key, ("U1", date.max))
        if self.post("wealth_redemption", {"1001": -amount, f"2101:{user}": amount},
                     self.today >= settles, transaction_id=self.name("Y"),
                     original_transaction_id=key, amount_minor=amount):
            del self.bought[key]

    # losses

    @rule(user=USERS, amount=AMOUNTS, finding=st.sampled_from(["merchant", "this_institution"]),
          merchant=st.none() | MERCHANTS)
    def compensate(self, user, amount, finding, merchant):
        """Out of the provision as far as it goes."""
        key = self.name("C")
        covered = min(amount, self.balance("2701"))
        moves = {"2701": -covered, "6401": covered - amount, "1101": amount, "1001": -amount,
                 f"2101:{user}": amount}
        if self.post("compensation", moves, checked=True, movement_id=key, user_id=user,
                     amount_minor=amount, case_number="N", finding=finding, evidence="E"):
            self.compensated[key] = (finding, amount)
        if merchant is not None:
            Funds.recover(self, len(self.compensated) - 1, merchant, (amount + 1) // 2, False)

    @rule(which=WHICH, merchant=MERCHANTS, amount=AMOUNTS, whole=st.booleans())
    def recover(self, which, merchant, amount, whole):
        key = self.pick(self.compensated, which)
        finding, left = self.compensated.get(key, ("", 0))
        amount = left if whole and left else amount
        may = finding == "merchant" and amount <= left
        if self.post("recovery", {f"1201:{merchant}": -amount, "6401": amount}, may, checked=True,
                     movement_id=self.name("M"), compensation_id=key, merchant_id=merchant,
                     amount_minor=amount, case_number="N"):
            self.compensated[key] = (finding, left - amount)

    @rule(merchant=MERCHANTS, claim=st.sampled_from(CLAIMS), amount=AMOUNTS)
    def offset(self, merchant, claim, amount):
        """The oldest claim first, but for a negative net, which is taken at any time."""
        since = {code: self.owed_since(f"{code}:{merchant}") for code in CLAIMS}
        older = [s for s in since.values() if s < since[claim]]
        self.post("offset", {f"2201:{merchant}": -amount, "1001": amount, "1101": -amount,
                             f"{claim}:{merchant}": amount},
                  claim == "1201" or since[claim] == date.max or not older,
                  movement_id=self.name("M"), merchant_id=merchant, claim=claim,
                  amount_minor=amount, notice_number="N")

    def owed_since(self, account: str) -> date:
        """The date of the oldest part of a claim that is not paid; of none the last of all."""
        paid = sum(max(m.moves.get(account, 0), 0) for m in self.moved)
        for moved in self.moved:
            owed = max(-moved.moves.get(account, 0), 0)
            if owed > paid:
                return moved.day
            paid -= owed
        return date.max

    # fees, bills, deposits

    @rule(merchant=st.sampled_from(["MF", "MF", "MP"]), amount=AMOUNTS,
          item=st.sampled_from(["data_in", "verify_person", "service"]))
    def charge(self, merchant, amount, item):
        """Taken from what was prepaid; else on the next bill, or due at once."""
        code = "2601" if merchant == "MP" else "1205" if item == "service" else "1204"
        if self.post("fee_charge", {f"{code}:{merchant}": -amount, "6001": amount},
                     merchant != "MP" or not self.left_us, fee_id=self.name("F"),
                     merchant_id=merchant, fee_item=item, amount_minor=amount) and code == "1204":
            self.items.append((self.today, amount))

    @rule()
    def issue_a_bill(self):
        """Of the first month that has an item on no bill, once it is over."""
        days = [day for day, _ in self.items if day > self.billed]
        through = next((p for p in PERIODS if days and p >= min(days)), date.max)
        key = self.name("BILL")
        if self.post("bill_issued", {}, through < self.today, bill_id=key, merchant_id="MF"):
            amount = sum(a for day, a in self.items if self.billed < day <= through)
            self.bills[key] = (amount, through, self.billed)
            self.billed = through

    @rule(which=WHICH, over=st.sampled_from([0, 0, 0, 1]))
    def confirm_a_bill(self, which, over):
        key = self.pick(self.bills, which)
        amount, *_ = self.bills.get(key, (0,))
        if self.post("bill_confirmed", {"1205:MF": -amount, "1204:MF": amount},
                     key in self.bills and not over, confirmation_id=self.name("C"), bill_id=key,
                     amount_minor=amount + over or 1, evidence="E", currency=None):
            del self.bills[key]

    @rule(which=WHICH)
    def withdraw_a_bill(self, which):
        key = self.pick(self.bills, which)
        _, through, before = self.bills.get(key, (0, DAY, DAY))
        if self.post("bill_withdrawn", {}, key in self.bills and through == self.billed,
                     bill_id=key, reason="x", currency=None):
            del self.bills[key]
            self.billed = before

    @rule(amounts=st.lists(AMOUNTS, min_size=1, max_size=3), anew=st.booleans(),
          paid=AMOUNTS, confirmed=st.booleans())
    def month_of_bills(self, amounts, anew, paid, confirmed):
        """Its steps one after the other, which rules drawn one by one seldom come to."""
        for amount in amounts:
            Funds.charge(self, "MF", amount, "data_in")
        Funds.days_go_by(self, 31)
        Funds.issue_a_bill(self)
        if anew:
            Funds.withdraw_a_bill(self, len(self.bills) - 1)
            Funds.issue_a_bill(self)
        if confirmed:
            Funds.confirm_a_bill(self, 0, 0)
        Funds.move(self, "bill_payment", paid, "M1", "U1", "1205")

    @rule(late=st.integers(0, 3))
    def mp_leaves(self, late):
        if late == 3 and not self.left_us:
            self.reviewed("party_state", party_id="MP", state="cancelled", suspension_ground="9",
                          evidence="E")
            self.left_us = True
            Funds.deposit_of_mp(self, 500, "deposit_returned")

    @rule(amount=AMOUNTS, type_=st.sampled_from(["deposit_received", "deposit_returned"]))
    def deposit_of_mp(self, amount, type_):
        change = amount if type_ == "deposit_received" else -amount
        self.post(type_, {"1102": -change, "2602:MP": change},
                  self.left_us or type_ == "deposit_received", movement_id=self.name("M"),
                  merchant_id="MP", amount_minor=amount)

    @rule()
    def fees_of_mp_unused(self):
        left = self.balance("2601:MP")
        self.post("fees_unused", {"2601:MP": -left, "6001": left}, self.left_us and left > 0,
                  movement_id=self.name("M"), merchant_id="MP")


def test_balances_fees_and_own_funds():
    histories(Funds, 25, 40)


@pytest.mark.long
def test_balances_fees_and_own_funds_in_many_histories():
    """In which every operation of the model is posted."""
    assert named(__file__) - histories(Funds, 200, 60) == set()
