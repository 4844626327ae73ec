"""Random histories of currency exchange: what users and merchants sell and buy, what banks square
of it, and the gains and losses; each currency balances by itself."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from fractions import Fraction
from unittest import mock

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule

from ledger.adapters.data_files import load_chart
from tests.ledger.conftest import SCALES
from tests.ledger.modelled import AMOUNTS, MERCHANTS, USERS, WHICH, Modelled, histories, named

#: What a unit of each is worth in yuan; a rate is about the quotient.
WORTH = {"CNY": Fraction(1), "USD": Fraction(71, 10), "JPY": Fraction(487, 10_000)}
CURRENCIES = st.sampled_from(sorted(WORTH))
#: What the bank gives for a thousand of what customers were given.
GIVEN = st.sampled_from([990, 999, 1000, 1001, 1010])


def of(account: str, currency: str) -> str:
    return account if currency == "CNY" else f"{account}/{currency}"


def half_up(value: Fraction) -> int:
    return int((2 * value + 1) // 2)


class Exchange(Modelled):
    """The model beside balances: by what was sold and bought, the two sums that are open."""

    def __init__(self) -> None:
        kept = dataclasses.replace(load_chart(), currencies=SCALES)
        self.chart = mock.patch("ledger.entrypoints.operations.load_chart", lambda: kept)
        self.chart.start()
        super().__init__()

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            self.chart.stop()

    def set_up(self) -> None:
        self.open: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
        self.world.open_in(*WORTH)
        for currency in WORTH:
            self.world.ledger.open_accounts(
                [{"account_code": "2302", "party_id": None, "currency_code": currency}])
            self.post("own_funds", {of("1101", currency): -10**6, of("3001", currency): 10**6},
                      movement_id=self.name("OF"), amount_minor=10**6, currency=currency)
            for n in "12":
                Exchange.comes_in(self, f"U{n}", f"M{n}", currency, 30_000)

    @rule(user=USERS, merchant=MERCHANTS, currency=CURRENCIES, amount=AMOUNTS)
    def comes_in(self, user, merchant, currency, amount):
        amount += -amount % 100 + 1000  # whole yuan, and ten at least
        self.post("top_up", {of("1001", currency): -amount, of(f"2101:{user}", currency): amount},
                  top_up_id=self.name("I"), user_id=user, amount_minor=amount, currency=currency)
        self.post("payment", {of("1001", currency): -amount,
                              of(f"2201:{merchant}", currency): amount},
                  transaction_id=self.name("P"), merchant_id=merchant, amount_minor=amount,
                  channel="unionpay", issuer_fee_minor=0, network_fee_minor=0,
                  acquirer_fee_minor=0, currency=currency)

    @rule(who=USERS | MERCHANTS, sold=CURRENCIES, bought=CURRENCIES, amount=AMOUNTS,
          thousandths=st.integers(980, 1020), over=st.sampled_from([0, 0, 0, 0, 1]))
    def exchange(self, who, sold, bought, amount, thousandths, over):
        """At a rate of so many decimals, to the minor unit."""
        user = who[0] == "U"
        rate = f"{float(WORTH[sold] / WORTH[bought] * thousandths / 1000):.6f}"
        exact = Fraction(rate) * amount * 10 ** SCALES[bought] / 10 ** SCALES[sold]
        gets = half_up(exact) + over
        account, kind = f"{'2101' if user else '2201'}:{who}", "exchange" if user else (
            "merchant_exchange")
        may = sold != bought and not over and gets > 0
        moves = {of(account, sold): -amount, of("1901", sold): amount,
                 of("1901", bought): -gets, of(account, bought): gets} if may else {}
        bought_for = {"bought_minor": max(gets, 1), "bought_currency_code": bought}
        quote = self.name("QUOTE")
        if self.post(kind, moves, may, exchange_id=self.name("X"), amount_minor=amount,
                     currency=sold, rate=rate, quote_id=quote,
                     authorisation=self.consent(who, quote, amount, sold, **bought_for),
                     **bought_for, **{"user_id" if user else "merchant_id": who}):
            self.open[sold, bought][0] += amount
            self.open[sold, bought][1] += gets

    @rule(which=WHICH, part=st.sampled_from([0.1, 0.5, 1, 1.01]), given=GIVEN, moved=st.booleans())
    def square(self, which, part, given, moved):
        """A bank takes what was sold and gives what was bought, or a part of it; what it gives
        beyond the customers' average is a difference, in yuan where that is one of the two."""
        pairs = [pair for pair, sums in self.open.items() if any(sums)] or [("USD", "CNY")]
        sold, bought = pairs[which % len(pairs)]
        position = self.open[sold, bought]
        took, gave = (max(1, int(side * part)) for side in position)
        sums = tuple(position)
        if sold == "CNY":
            took = max(1, took * given // 1000)
            may = gave <= sums[1]
            squared = [half_up(Fraction(sums[0] * gave, sums[1])) if may else 0, gave]
        else:
            gave = max(1, gave * given // 1000)
            may = took <= sums[0]
            squared = [took, half_up(Fraction(sums[1] * took, sums[0])) if may else 0]
        moves = {
            of("1901", sold): -squared[0], of("1001", sold): took,
            of("2302", sold): squared[0] - took, of("1901", bought): squared[1],
            of("1001", bought): -gave, of("2302", bought): gave - squared[1],
        } if may else {}
        if self.post("exchange_settled", moves, may, checked=True, movement_id=self.name("DEAL"),
                     amount_minor=took, currency=sold, bought_minor=gave,
                     bought_currency_code=bought):
            self.open[sold, bought] = [sums[0] - squared[0], sums[1] - squared[1]]
        if moved:
            Exchange.move_the_result(self, bought)
            Exchange.move_the_result(self, "CNY")

    @rule(currency=CURRENCIES)
    def move_the_result(self, currency):
        """All differences of a currency, between the reserve and own funds."""
        gain = self.balance(of("2302", currency))
        self.post("exchange_result", {
            of("2302", currency): -gain, of("1001", currency): gain,
            of("1101", currency): -gain, of("6004", currency): gain,
        }, gain != 0, checked=True, movement_id=self.name("RESULT"), currency=currency)

    @rule()
    def positions_agree(self):
        found = self.world.ledger.state.tables.get("position", {})
        assert found == {
            f"{sold}/{bought}": {"sold": sums[0], "bought": sums[1]}
            for (sold, bought), sums in self.open.items() if any(sums)
        }


def test_currencies_are_exchanged_and_squared():
    histories(Exchange, 15, 30)


@pytest.mark.long
def test_currencies_are_exchanged_and_squared_in_many_histories():
    """In which every operation of the model is posted."""
    assert named(__file__) - histories(Exchange, 100, 50) == set()
