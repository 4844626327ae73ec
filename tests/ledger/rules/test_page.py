"""The page of rules: complete, true to the tests' names, up to date."""

from __future__ import annotations

import importlib.util
import re
import sys

import pytest

from paylake.settings import ROOT

#: Numbers of the rules that are marked for the ledger in the business rules of the house.
MARKED = {
    "D0": [*range(1, 18), 21, *range(23, 32), *range(33, 39), 40, 42, 45, 46, 48, 52, 53, 56, 61,
           73],
    "D1": [*range(6, 13), *range(14, 18), 19, 22, 23],
    "D2": [*range(1, 11), 12, 17, 18, 24, 25, 26],
    "D4a": [6, *range(8, 14), 15],
    "D4b": [13],
    "D4c": [4, 5],
}


@pytest.fixture(scope="module")
def reference():
    """`bin/reference.py` with the modules beside it."""
    spec = importlib.util.spec_from_file_location("reference", ROOT / "bin" / "reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(ROOT / "bin"))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(ROOT / "bin"))
    return module


def test_every_rule_of_the_ledger_has_its_sentence(reference):
    wanted = [f"{document}.{number}" for document, numbers in MARKED.items()
              for number in numbers]
    said = reference.reference_rules.rules()
    assert list(said) == wanted
    assert all(text.endswith(".") and len(text) > 20 for text in said.values())
    assert len(set(said.values())) == len(said)


def test_every_test_named_after_a_rule_names_a_rule_that_exists(reference):
    carried = reference.reference_rules.tests()
    assert set(carried) <= set(reference.reference_rules.rules())
    assert len(carried) > 80
    names = [name for listed in carried.values() for _, name in listed]
    assert len(names) == len(set(names))  # two of one name would hide one another


def test_every_rule_is_named_where_the_code_keeps_it(reference):
    kept = reference.reference_rules.places()
    assert [rule for rule in reference.reference_rules.rules() if rule not in kept] == []
    assert "operation `withdrawal` (accounts.yml)" in kept["D1.11"]
    assert "`ledger/domain/state.py`" in kept["D0.11"]
    assert "`ledger/domain/settling.py`" in kept["D0.8"]  # named in a range


def test_the_page_is_up_to_date_and_says_tested_only_where_a_test_is(reference):
    made = reference.reference_rules.rules_page(reference._head, reference.table)
    page = (ROOT / "docs" / "reference" / "rules.md").read_text("utf-8")
    assert page == made.rstrip() + "\n", "run bin/generate-reference and commit rules.md"
    states = dict(re.findall(r"^\| (D\w+\.\d+) \| [^|]+ \| ledger \| ([\w ]+?) \|", page, re.M))
    carried = reference.reference_rules.tests()
    assert states == {
        rule: "tested" if rule in carried else "not yet"
        for rule in reference.reference_rules.rules()
    }
