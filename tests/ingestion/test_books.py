"""Books at the door: kinds of journals that the contract lists, amounts by their currency."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from ingestion import ingest
from ingestion.checks import check
from ingestion.evaluate import amounts
from ingestion.feeds import Feed
from ingestion.readers import read
from ingestion.writers import write
from paylake import contracts
from paylake.errors import PermanentFailure
from paylake.settings import Settings
from tests.ingestion.world import DAY, balance, entry, leg, send, transaction


def outcome(settings: Settings, feed: str, rows, **sent) -> tuple[str, str | None, str]:
    send(settings, feed, rows, **sent)
    (found,) = ingest(settings, DAY, DAY).outcomes
    return found["state"], found["reason_code"], found["reason"] or ""


@pytest.mark.parametrize("changes", [
    {"journal_type": "void", "component": "gross"},
    {"journal_type": "withdrawal_returned", "component": "returned"},
    {"journal_type": "adjustment", "component": "a_word_of_the_person_who_did_it"},
    {"journal_type": "reversal", "component": "a_word_of_the_person_who_did_it"},
])
def test_what_the_ledger_books_is_taken(settings: Settings, changes) -> None:
    assert outcome(settings, "ledger_journal", [leg(1, **changes)])[0] == "accepted"


@pytest.mark.parametrize("changes", [
    {"journal_type": "teleport"},
    {"component": "goodwill"},
    {"journal_type": "void", "component": "goodwill"},
    {"journal_type": "adjustment", "component": "x" * 33},
    {"journal_type": "adjustment", "direction": "X"},
])
def test_what_it_does_not_book_refuses_the_journal(settings: Settings, changes) -> None:
    rows = [leg(1, journal_type="adjustment", component="goodwill"), leg(2, **changes)]
    state, reason, _ = outcome(settings, "ledger_journal", rows)
    assert (state, reason) == ("refused", "bad_row_in_book")


def test_what_an_older_lake_refused_is_taken_when_it_is_exported_again(
    settings: Settings, monkeypatch
) -> None:
    journal = contracts.load("ledger_journal")
    older = replace(journal, columns=tuple(
        replace(c, valid_values=("payment",)) if c.name == "journal_type" else c
        for c in journal.columns
    ))
    rows = [leg(1, journal_type="void", component="gross")]
    with monkeypatch.context() as before:
        before.setitem(contracts._all(), "ledger_journal", older)
        assert outcome(settings, "ledger_journal", rows)[:2] == ("refused", "bad_row_in_book")
    assert outcome(settings, "ledger_journal", rows)[0] == "accepted"


MANY = {"CNY": "12345", "JPY": "12345", "KWD": "12345", "USD": "1", "CLF": "12345"}
UNITS = {"CNY": "123.45", "JPY": "12345", "KWD": "12.345", "USD": "0.01", "CLF": "1.2345"}


def books(feed: str) -> list[dict]:
    make, column = (leg, "amount_minor") if feed == "ledger_journal" else (
        balance, "closing_minor")
    return [
        make(n, currency_code=code, **{column: minor})
        for n, (code, minor) in enumerate(MANY.items(), 1)
    ]


@pytest.mark.parametrize("feed", ["ledger_journal", "ledger_balance"])
def test_minor_units_are_those_of_their_currency(settings: Settings, feed) -> None:
    right = {code: Decimal(text) for code, text in UNITS.items()}
    assert outcome(settings, feed, books(feed), amount_totals=right)[0] == "accepted"


@pytest.mark.parametrize("feed", ["ledger_journal", "ledger_balance"])
def test_a_yen_is_no_hundredth(settings: Settings, feed) -> None:
    wrong = {code: Decimal(text) for code, text in UNITS.items()} | {"JPY": Decimal("123.45")}
    state, reason, said = outcome(settings, feed, books(feed), amount_totals=wrong)
    assert (state, reason) == ("refused", "amount_mismatch")
    assert "JPY +12221.55" in said


def test_a_currency_without_a_minor_unit_is_refused_whatever_is_announced(settings) -> None:
    rows = [leg(1), leg(2, currency_code="XXX")]
    state, reason, said = outcome(settings, "ledger_journal", rows,
                                  amount_totals={"CNY": Decimal(1), "XXX": Decimal(2)})
    assert (state, reason) == ("refused", "amount_mismatch")
    assert "XXX" in said


def test_what_is_no_code_is_a_bad_row_and_is_not_repeated(settings) -> None:
    card = "6222021234500001"
    state, reason, said = outcome(settings, "ledger_journal",
                                  [leg(1), leg(2, currency_code=card), leg(3, currency_code="cny")],
                                  amount_totals={"CNY": Decimal(1)})
    assert (state, reason) == ("refused", "bad_row_in_book")
    assert card not in said and "cny" not in said


def test_one_divisor_for_all_currencies_is_no_contract() -> None:
    journal = contracts.load("ledger_journal")
    with pytest.raises(PermanentFailure, match="amountDivisor 100"):
        Feed(replace(journal, properties={**journal.properties, "amountDivisor": 100}))


@pytest.mark.parametrize(("currency", "text", "rule"), [
    ("CNY", "12.34", None), ("CNY", "12.345", "bad_scale"), ("CNY", "12.340", "bad_scale"),
    ("JPY", "12", None), ("JPY", "12.00", None), ("JPY", "12.5", "bad_scale"),
    ("JPY", "12.000", "bad_scale"), ("KWD", "1.234", None), ("KWD", "1.2", None),
    ("KWD", "1.2345", "bad_scale"), ("CLF", "1.2345", None), ("XXX", "1.23", None),
    ("XXX", "1.234", "bad_scale"),
])
@pytest.mark.parametrize(("name", "make"), [
    ("transaction", transaction), ("custodian_statement", entry),
])
def test_an_amount_has_the_decimals_of_its_currency(name, make, currency, text, rule) -> None:
    """Others beside it, so that rows of one file are each judged by their own."""
    feed = Feed.load(name)
    rows = [make(1), make(2, currency_code=currency, amount=text),
            make(3, currency_code="KWD", amount="1.001")]
    table = read(feed, write(feed, rows)).table
    verdict = check(feed, table)
    assert [verdict.rule(n) if verdict.bad[n] else None for n in range(3)] == [None, rule, None]
    # a text with more decimals is no exact amount, so a total does not count it
    assert amounts(feed, table).to_pylist() == [
        Decimal(rows[0]["amount"]), Decimal(text) if rule is None else None, Decimal("1.001")
    ]
