"""Whatever the ledger books, the lake takes: from its own export through the door, silver and the
marts to the gate, in every currency to the minor unit; and what does not hang together is held."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

import expectations
import ingestion
import reporting
import spark_jobs
from ledger.adapters.data_files import load_chart
from ledger.adapters.tokens import ensure_demo_token
from paylake import contracts, engine, home, release
from paylake import settings as settings_module
from paylake.keys import Keyring
from paylake.lake import Lake
from tests.e2e.ledger_books import CURRENCIES, Books, amount
from tests.ledger.conftest import DAY, SCALES, World

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]
SECOND, THIRD = DAY + timedelta(1), DAY + timedelta(2)
RESERVE = {
    "2101": "user_balance", "2201": "merchant_pending", "2202": "merchant_disputed",
    "2211": "merchant_balance", "2301": "fee_pending", "2302": "exchange_difference",
    "2401": "unidentified", "2501": "prepaid_card", "1901": "currency_position",
}
ZERO = Decimal(0)


@dataclasses.dataclass
class Taken:
    """Two dates that went through, and a third that an exporter sent wrong: first with a kind of
    journal that nobody knows, then a leg short."""

    books: Books
    results: list[Any]
    gated: Any
    refused: Any
    third: Any

    @property
    def lake(self) -> Lake:
        return Lake(self.books.settings)

    def rows(self, sql: str) -> list[dict[str, Any]]:
        return self.lake.query(sql).to_pylist()


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Taken]:
    here = settings_module.load(
        {}, home=tmp_path_factory.mktemp("books"), engine="sail", engine_port=engine.free_port()
    )
    Keyring(here).ensure_demo()
    ensure_demo_token(here)
    home.claim(here, home.Home("simulated", {"seed": 1}))
    kept = dataclasses.replace(load_chart(), currencies=CURRENCIES)
    with pytest.MonkeyPatch.context() as patch:
        for place in ("ledger.entrypoints.operations", "ledger.adapters.export"):
            patch.setattr(f"{place}.load_chart", lambda: kept)
        books = Books(World(here))
        books.prepare()
        books.first_date()
        books.close(0, keeps_back=True)
        books.second_date()
        books.close(1)
        books.third_date()
        books.close(2)
        books.world.ledger.close()
    legs = books.legs[THIRD]
    voided = next(leg for leg in legs
                  if leg["journal_type"] == "void" and leg["component"] == "gross")
    books.sent_otherwise(THIRD, 1, [
        {**leg, "journal_type": "teleport"} if leg is voided else leg for leg in legs
    ])
    results = [ingestion.ingest(here, day, day) for day in (DAY, SECOND)]
    refused = ingestion.ingest(here, THIRD, THIRD)
    books.sent_otherwise(THIRD, 2, [leg for leg in legs if leg is not voided])
    results.append(ingestion.ingest(here, THIRD, THIRD))
    with engine.server(here, here.engine_port):
        spark_jobs.build(here, DAY, SECOND)
        gated = expectations.gate(here, DAY, SECOND)
        release.publish(here, DAY, SECOND)
        spark_jobs.build(here, THIRD, THIRD)
    yield Taken(books, results, gated, refused, expectations.gate(here, THIRD, THIRD))


def test_nearly_every_kind_of_journal_and_component_is_there(taken):
    legs = [leg for day in (DAY, SECOND) for leg in taken.books.legs[day]]
    listed = contracts.load("ledger_journal")
    kinds = {leg["journal_type"] for leg in legs}
    # a bill covers a month, and its confirmation moves own claims alone
    assert set(listed.column("journal_type").valid_values) - kinds == {"bill_confirmed"}
    assert set(listed.column("component").valid_values) - {leg["component"] for leg in legs} == {
        "bill"
    }
    assert {leg["currency_code"] for leg in legs} == set(CURRENCIES)
    assert {leg["account_code"] for leg in legs} >= {"9201", "9202", "9211", "9212", "1901"}


def test_nothing_is_refused_and_nothing_is_held(taken):
    for result in taken.results:
        assert {outcome["state"] for outcome in result.outcomes} == {"accepted"}, result.outcomes
    assert [(f.check.code, f.observed, f.detail) for f in taken.gated.failures] == []
    assert set(taken.gated.dates.values()) == {"passed"}
    assert release.in_force(taken.books.settings).through == SECOND


def of_ledger(taken: Taken, day) -> dict[tuple[str, str], Decimal]:
    """The ledger's own balances at a close, by code and currency."""
    sums: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for (account, currency), minor in taken.books.balances[day].items():
        sums[account.partition(":")[0], currency] += amount(minor, currency)
    return sums


@pytest.mark.parametrize("day", [DAY, SECOND])
def test_the_reserve_is_the_ledgers_in_each_currency(taken, day):
    there = of_ledger(taken, day)
    days = {row["currency_code"]: row for row in taken.rows(
        f"select * from work.mart_settlement__reserve_fund_day where business_date = '{day}'"
    )}
    assert set(days) == set(SCALES)  # others have own funds, or money of others, alone
    for currency, row in days.items():
        for code, name in RESERVE.items():
            assert row[f"{name}_amount"] == there[code, currency], (code, currency)
        assert row["book_amount"] == there["1001", currency]
        assert row["unexplained_amount"] == ZERO
        assert row["book_amount"] == (
            row["book_opening_amount"] + row["book_inflow_amount"] - row["book_outflow_amount"]
        )
    # the bank booked the clearing of the first date on the second
    assert days["CNY"]["fee_moved_amount"] == (Decimal("0.20") if day == DAY else ZERO)
    waiting = {currency for currency, row in days.items() if row["item_count"]}
    assert waiting == (set(SCALES) if day == DAY else set())
    assert any(there[code, "CNY"] for code in ("9001", "9011")), "memo books that nothing mixes in"
    assert all(there[code, "CNY"] for code in ("2211", "2501", "2302", "1901"))


@pytest.mark.parametrize("day", [DAY, SECOND])
def test_each_merchants_day_ends_where_its_account_ends(taken, day):
    rows = taken.rows(
        f"select * from work.mart_settlement__merchant_day where business_date = '{day}'"
    )
    found = {(row["merchant_id"], row["currency_code"]): row for row in rows}
    assert {merchant for merchant, _ in found} <= {"M1", "M2", "M4"}  # memo books are not ours
    for (account, currency), minor in taken.books.balances[day].items():
        code, _, party = account.partition(":")
        name = {"2201": "closing_pending_amount", "2202": "closing_disputed_amount"}.get(code)
        if name and (minor or (party, currency) in found):
            assert found[party, currency][name] == amount(minor, currency), (account, currency)
    for row in rows:
        assert row["closing_pending_amount"] == (
            row["opening_pending_amount"] + row["net_amount"] - row["payout_amount"]
        )


def test_every_measure_of_a_merchant_is_what_was_done_to_it(taken):
    """By hand, of the operations of the first date."""
    (row,) = taken.rows(
        "select * from work.mart_settlement__merchant_day "
        f"where business_date = '{DAY}' and merchant_id = 'M1' and currency_code = 'CNY'"
    )
    expected = {
        # 7 card payments, two collected, one completed, three of a card, one reversed
        "gross": 70_000 + 14_000 + 8_000 + 12_000 + 1_000, "void": 10_000 + 4_000,
        "chargeback": 9_000, "disputed": 3_000, "split": -4_000, "points": 60,
        "exchange": -1_000, "offset": 200, "shortfall": 50, "capture": 2_500, "returned": 2_000,
        "payout": 6_000 + 2_000 + 1_500, "service_fee": 300,
        # one adjustment stays; a payment and a payout were reversed
        "correction": 40 - 1_000 + 1_500,
    }
    assert {name: row[f"{name}_amount"] for name in expected} == {
        name: amount(minor, "CNY") for name, minor in expected.items()
    }
    assert row["payment_count"] == 14
    (yen,) = taken.rows(
        "select * from work.mart_settlement__merchant_day "
        f"where business_date = '{DAY}' and merchant_id = 'M1' and currency_code = 'JPY'"
    )
    assert (yen["gross_amount"], yen["refund_amount"], yen["exchange_amount"]) == (1999, 1000, 209)
    assert yen["closing_pending_amount"] == 1999 - 1000 - 7 + 4 + 209


def test_a_kind_that_nobody_knows_refuses_the_journal_and_the_date_waits(taken):
    (found,) = [o for o in taken.refused.outcomes if o["state"] != "accepted"]
    assert (found["feed"], found["reason_code"]) == ("ledger_journal", "bad_row_in_book")
    assert taken.refused.waiting == {THIRD: ["ledger_journal"]}


def test_a_leg_that_was_dropped_from_the_journal_is_caught(taken):
    assert taken.third.dates == {THIRD: "failed"}
    found = {failure.check.code for failure in taken.third.failures}
    assert found >= {
        "double_entry", "ledger_entries_equal_day_close", "ledger_head_counts",
        "settlement_closing_equals_ledger",
    }


def test_both_reports_of_a_date_add_up_in_every_currency(taken):
    """Edit checks of every severity pass; a yen has no decimals and a dinar three, on paper too."""
    here = taken.books.settings
    for name in ("reserve_fund_check", "merchant_settlement_statement"):
        done = reporting.report(here, DAY, SECOND, [name])
        assert [item.state for item in done.items] == ["filed", "filed"], done.items
