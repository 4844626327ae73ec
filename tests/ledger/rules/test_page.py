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
        yield module
    finally:
        sys.path.remove(str(ROOT / "bin"))


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
    assert "`ledger/domain/buckets.py`" in kept["D0.11"]
    assert "`ledger/domain/settling.py`" in kept["D0.8"]  # named in a range


def test_the_page_is_up_to_date_and_says_what_a_run_said(reference):
    made = reference.reference_rules.rules_page(reference._head, reference.table)
    page = (ROOT / "docs" / "reference" / "rules.md").read_text("utf-8")
    assert page == made.rstrip() + "\n", "run bin/generate-reference and commit rules.md"
    run = reference.reference_rules.recorded()
    shown = dict(re.findall(r"^\| (D\w+\.\d+) \|.*\| ([\w ,]+) \|$", page, re.M))
    assert set(shown) == set(reference.reference_rules.rules())
    if run["commit"]:
        assert run["commit"] in page and set(run["results"].values()) <= {
            "passed", "skipped", "failed"
        }
    else:
        assert set(shown.values()) <= {"not run", "no test"}


def test_a_result_is_what_the_run_said_of_every_test_of_the_rule(reference):
    result = reference.reference_rules.result
    one, two = ("tests/a.py", "test_d0_01_x"), ("tests/a.py", "test_d0_01_y")
    said = {"tests/a.py::test_d0_01_x": "passed"}
    assert result([], said) == "no test"
    assert result([two], said) == "not run"
    assert result([one], said) == "passed"
    assert result([one, two], said) == "passed 1 of 2, others not run"
    assert result([one, two], {**said, "tests/a.py::test_d0_01_y": "failed"}) == "failed"


def test_results_are_read_from_the_file_of_a_run(reference, tmp_path):
    import rule_results

    path, name = reference.reference_rules.tests()["D1.11"][0]
    module = path.removesuffix(".py").replace("/", ".")
    cases = "".join(
        f'<testcase classname="{module}" name="{name}[{number}]">{said}</testcase>'
        for number, said in enumerate(("", "<failure/>", ""))
    )
    file = tmp_path / "fast.xml"
    file.write_text(
        '<testsuites><testsuite timestamp="2026-11-29T15:00:00.1">'
        f'{cases}<testcase classname="tests.other" name="test_x"/></testsuite></testsuites>'
    )
    assert rule_results.read([file]) == {f"{path}::{name}": "failed"}
    assert rule_results.began([file]) == "2026-11-29T15:00:00"
