"""Every operation type stands in a stateful model, or here with the reason why it does not: so that
a new one is not forgotten. A model names the types that it sends as texts; that it posts each of
them its long run asks."""

from __future__ import annotations

from pathlib import Path

import pytest

from ledger.adapters.data_files import load_operations
from tests.ledger.modelled import named

MODELS = ("model", "model_dates", "model_customers", "model_funds", "model_exchange")
HERE = Path(__file__).parent
#: What moves or holds no money: it changes a register, or records what was asked.
WITHOUT_MONEY = {
    "accounts, parties and their contracts": {
        "open_account", "account_shards", "account_status", "account_floor", "move_account",
        "party", "party_state", "grade_change", "grade_terms", "channel_onboarded", "contract",
        "bind_account", "destination", "tariff",
    },
    "people, their rights and decisions; callers and their sessions": {
        "operator", "membership", "right", "caller", "approve", "reject", "session_open",
        "session_cover",
    },
    "guards": {"stop", "stop_lift", "breaker"},
    "records of reads": {"foreign_read", "sensitive_read"},
    "reconciliation, which has a property test of its own": {
        "reconciliation", "reconciliation_close",
    },
}


@pytest.fixture(scope="module")
def catalogue():
    return load_operations().by_type


@pytest.fixture(scope="module")
def modelled():
    files = [*(f"test_{name}.py" for name in MODELS), "modelled.py"]
    return set().union(*(named(str(HERE / file)) for file in files))


def test_every_operation_stands_in_a_model_or_moves_no_money(catalogue, modelled):
    listed = [type_ for types in WITHOUT_MONEY.values() for type_ in types]
    assert len(listed) == len(set(listed)) and set(listed) <= set(catalogue)
    assert set(catalogue) - modelled - set(listed) == set()
    assert [type_ for type_ in listed if catalogue[type_].plan is not None] == []  # it has legs


def test_what_stands_in_no_model_books_nothing(world):
    """What a ledger is begun with, an entry of the log each, has neither legs nor holds."""
    listed = {type_ for types in WITHOUT_MONEY.values() for type_ in types}
    rows = world.ledger.store.entries(1, world.ledger.head.sequence)
    found = [row for row in rows if row[2] in listed]
    assert len({row[2] for row in found}) > 8
    assert {row[13] for row in found} == {"[]"} and world.ledger.state.holds == {}
