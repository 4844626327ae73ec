"""Edit checks as data: both examples of each rule, executed, and the closed set of results."""

from copy import deepcopy
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from paylake.errors import PermanentFailure
from reporting import edits, specification
from reporting.data import Rows, working_days

ALL = [(r, rule.code) for r in specification.reports() for rule in edits.load(r)]


def rows_of(report: str, changes: dict) -> tuple[Rows, date]:
    """The report's base example with a rule's changes, as the office would have loaded it."""
    spec = specification.load(report)
    example = deepcopy(edits.base_example(report))
    for dataset, change in changes.items():
        if isinstance(change, list):
            example[dataset] = change
        else:
            for position, cells in change.items():
                example[dataset][position].update(cells)
    by_date: dict = {name: {} for name in spec.datasets}
    columns = {}
    days = {row["business_date"] for rows in example.values() for row in rows}
    for name, dataset in spec.datasets.items():
        present = tuple(c.name for c in dataset.columns.values() if not c.is_optional)
        for day in days:
            columns[name, day] = present
            by_date[name][day] = []
        for row in example[name]:
            for column in dataset.columns.values():
                if column.kind == "amount" and row.get(column.name) is not None:
                    row[column.name] = Decimal(row[column.name]).quantize(Decimal("0.0001"))
                if column.working_days_since:
                    row[column.name] = working_days(
                        row[column.working_days_since], row["business_date"]
                    )
                if column.setting:
                    row[column.name] = None
                if column.name == "balance_status":
                    row[column.name] = "itemised"
            by_date[name][row["business_date"]].append(row)
    return Rows(columns, by_date), max(days)


def outcomes_of(report: str, changes: dict) -> dict[str, edits.Outcome]:
    rows, day = rows_of(report, changes)
    found = edits.run(specification.load(report), edits.load(report), rows, [day])[day]
    return {o.rule.code: o for o in found}


def test_there_are_rules_of_every_severity():
    assert len(ALL) >= 20
    for report in specification.reports():
        assert {rule.severity for rule in edits.load(report)} == set(edits.SEVERITIES)


@pytest.mark.parametrize("report", specification.reports())
def test_base_example_passes_every_rule(report):
    assert {o.result for o in outcomes_of(report, {}).values()} == {"pass"}


@pytest.mark.parametrize(("report", "code"), ALL)
def test_rule_examples(report, code):
    rule = next(r for r in edits.load(report) if r.code == code)
    assert outcomes_of(report, rule.passes)[code].result == "pass"
    fired = outcomes_of(report, rule.fires)[code]
    assert fired.result == "fired" and fired.findings
    assert fired.blocks == (rule.severity in ("S", "V"))
    assert fired.needs_reason == (rule.severity in ("Q", "M"))


def test_missing_input_is_not_determinable_and_never_a_pass():
    outcomes = outcomes_of("reserve_fund_check", {"summary": {0: {"custodian_amount": None}}})
    assert outcomes["RFC-V102"].result == "not_determinable"
    assert outcomes["RFC-S001"].blocks
    rows, day = rows_of("merchant_settlement_statement", {})
    rows = Rows(rows.columns, {"merchants": {day: rows.of("merchants", day)}})  # no earlier date
    spec = specification.load("merchant_settlement_statement")
    found = edits.run(spec, edits.load(spec.report), rows, [day])[day]
    assert {o.rule.code: o.result for o in found}["MSS-V103"] == "not_determinable"


def test_a_query_that_breaks_is_an_error_and_blocks():
    rows, day = rows_of("reserve_fund_check", {})
    rule = replace(edits.load("reserve_fund_check")[3], sql="select no_such_column from summary")
    outcome = edits.run(specification.load("reserve_fund_check"), [rule], rows, [day])[day][0]
    assert outcome.result == "error" and outcome.blocks


def test_rule_outside_its_validity_is_not_run():
    rows, day = rows_of("reserve_fund_check", {})
    rule = replace(edits.load("reserve_fund_check")[4], valid_to=date(2026, 9, 13))
    assert edits.run(specification.load("reserve_fund_check"), [rule], rows, [day]) == {day: []}


def test_age_in_working_days_counts_make_up_days_and_skips_the_festival():
    # 2026-09-30 is a Wednesday; National Day is a holiday in any calendar of that year
    assert working_days(date(2026, 9, 30), date(2026, 10, 1)) == 0
    assert working_days(date(2026, 9, 14), date(2026, 9, 18)) == 4
    assert working_days(date(2026, 9, 14), date(2026, 9, 14)) == 0


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"datasets": None}, "lacks 'datasets'"),
        ({"report": "other"}, "not for its file's name"),
        ({"clear_columns": ["merchant_name"]}, "is not a token"),
        ({"files": [{"kind": "pdf", "name": "x"}]}, "has kind 'pdf'"),
    ],
)
def test_specification_that_contradicts_itself_is_refused(change, problem):
    import yaml

    path = specification.SPECS / "reserve_fund_check.yml"
    document = yaml.safe_load(path.read_text("utf-8")) | change
    document = {k: v for k, v in document.items() if v is not None}
    with pytest.raises(PermanentFailure, match=problem):
        specification.parse(document, path.name)
