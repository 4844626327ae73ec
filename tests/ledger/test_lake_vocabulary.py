"""The lake's lists are the ledger's: kinds of journals, components, and which accounts are whose.

The contract of `ledger_journal` names every kind and component; marts and the gate name accounts.
A template, a handler or a line of the chart that is new fails here until the lake has a place for
it. That a date of all of them goes through is tests/e2e/test_ledger_books.py.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ledger.adapters.data_files import load_chart, load_operations
from paylake import contracts
from paylake.settings import ROOT

OPERATIONS = load_operations().by_type
CHART = load_chart().classes
#: Account, currency, side, amount, component, reference.
PARTS_OF_A_LEG = 6


def _functions() -> Iterator[ast.FunctionDef]:
    for path in sorted((ROOT / "ledger" / "domain").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef):
                yield node


def _legs(function: ast.AST) -> Iterator[ast.expr]:
    """The component of each leg that a function of the domain writes, as an expression."""
    for node in ast.walk(function):
        if isinstance(node, ast.List) and len(node.elts) == PARTS_OF_A_LEG:
            yield node.elts[4]
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "_leg":
            yield node.args[3]


def _templates() -> dict[str, dict]:
    found = {}
    for path in sorted((ROOT / "ledger" / "data" / "operations").glob("*.yml")):
        found |= yaml.safe_load(path.read_text("utf-8"))["operations"]
    return found


def _values(column: str) -> set[str]:
    return set(contracts.load("ledger_journal").column(column).valid_values)


def test_every_kind_of_journal_is_known_and_no_other():
    handlers = {f.name for f in _functions() if any(True for _ in _legs(f))}
    booking = {
        type_ for type_, spec in _templates().items()
        if spec.get("legs") or spec.get("handler") in handlers
    }
    assert {"split", "compensation", "reversal", "exchange_settled"} <= booking
    assert len(booking) > 50
    assert _values("journal_type") == {OPERATIONS[type_].journal_type for type_ in booking}


def test_every_component_is_known_and_no_other():
    written = {
        expression.value for function in _functions() for expression in _legs(function)
        if isinstance(expression, ast.Constant)
    }
    templates = {
        leg["component"] for spec in _templates().values() for leg in spec.get("legs") or ()
    }
    assert {"bill", "capture", "compensation", "exchange"} <= written
    assert _values("component") == written | templates
    free = contracts.load("ledger_journal").column("component").properties["freeWhere"]
    assert free == {"journal_type": ["adjustment", "reversal"]}  # whose legs a person wrote


@pytest.mark.parametrize("column", ["journal_type", "component"])
def test_they_fit(column):
    limit = contracts.load("ledger_journal").column(column).max_length
    assert limit == 32  # of a person's word as well: `_COMPONENT` of ledger/domain/corrections.py
    assert max(map(len, _values(column))) <= limit


def _codes(books: str) -> set[str]:
    return {code for code, line in CHART.items() if line.books == books}


def _text(*parts: str) -> str:
    return Path(ROOT, *parts).read_text("utf-8")


def test_each_account_of_the_reserve_has_its_place_in_the_mart():
    """The gate takes a range of codes, so that one without a column of its own is found there."""
    liabilities = _codes("reserve") - {"1001", "1901"}
    assert {code for code in CHART if "2100" <= code <= "2599"} == liabilities
    mart = _text("dbt/models/marts/settlement/mart_settlement__reserve_fund_day.sql")
    for code in liabilities | {"1901"}:
        assert f"case account_code when '{code}' then closing_amount else 0" in mart, code
    suite = _text("expectations/suites/mart_settlement__reserve_fund_day.yml")
    for code in liabilities | {"1901"}:
        assert f'as "{code}"' in suite, code


def test_memo_books_and_pending_accounts_are_those_of_the_chart():
    listed = sorted(_codes("bank_memo")) + sorted(_codes("self_memo"))
    named = ", ".join(f"'{code}'" for code in ("9001", "9101", "9201", "9202", "9011", "9111",
                                               "9211", "9212"))
    assert sorted(listed) == sorted(named.replace("'", "").split(", "))
    assert f"account_code in ({named})" in _text("expectations/suites/ledger_day.yml")
    for books in ("bank_memo", "self_memo"):
        codes = ", ".join(f"'{code}'" for code in sorted(_codes(books)))
        assert f"when account_code in ({codes})" in _text("expectations/suites/ledger_day.yml")
    assert {code[2] for code in _codes("bank_memo")} == {"0"}
    assert {code[2] for code in _codes("self_memo")} == {"1"}
    pending = sorted(code for code, line in CHART.items() if line.settles)
    where = "account_code in ({})".format(", ".join(f"'{code}'" for code in pending))
    assert where in _text("dbt/models/staging/stg_ledger__entry.sql")
    assert _text("expectations/suites/fct_tie_item.yml").count(where) == 2
