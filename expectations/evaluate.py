"""Judging evidence with Great Expectations: the whole range at once, failures date by date."""

from __future__ import annotations

import logging
import os
from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import duckdb
import pandas as pd

from expectations import evidence
from expectations.suites import ROW_KINDS, Check, Suite
from paylake.dates import date_range
from paylake.errors import PaylakeError
from paylake.lake import Lake

if TYPE_CHECKING:
    from great_expectations.core.batch_definition import BatchDefinition

_EXAMPLES = 5
_COUNTS = ("compared", "least", "differing", "most")
#: Every failing row with its date.
_LISTING = {"result_format": "COMPLETE", "unexpected_index_column_names": ["business_date"]}


@dataclass(frozen=True)
class CheckResult:
    """Result of one check on one date: `pass`, `fail`, `not_determinable` or `error`.

    Screens build their sentences from the numbers: `compared` rows or items looked at, `differing`
    ones among them, and the `value` of the one row that lies outside its bounds.
    """

    business_date: date
    suite: str
    check: Check
    result: str
    observed: str | None
    expected: str
    detail: str | None = None
    compared: int | None = None
    differing: int | None = None
    value: Decimal | None = None

    @property
    def holds(self) -> bool:
        """Whether it keeps the date back, waivers aside."""
        return self.check.severity == "fail" and self.result in ("fail", "error")


@lru_cache(maxsize=1)
def _batches() -> BatchDefinition:
    # Before the import: the library would otherwise report its use over the network.
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations

    # It tells of its temporary folder, wherever another library has turned logging on; the module
    # that does so gives its own logger a level, which the package's does not reach.
    for name in ("great_expectations", "great_expectations.data_context.types.base"):
        logging.getLogger(name).setLevel(logging.WARNING)
    context = great_expectations.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    source = context.data_sources.add_pandas("evidence")
    return source.add_dataframe_asset("frame").add_batch_definition_whole_dataframe("whole")


def _expectation(check: Check, column: str | None, day: date) -> Any:
    import great_expectations.expectations as gxe

    meta = {"code": check.code}
    if check.kind == "unique":
        if len(check.columns) == 1:
            return gxe.ExpectColumnValuesToBeUnique(column=check.columns[0], meta=meta)
        return gxe.ExpectCompoundColumnsToBeUnique(column_list=list(check.columns), meta=meta)
    if check.kind == "not_null":
        return gxe.ExpectColumnValuesToNotBeNull(column=column, meta=meta)
    if check.kind == "in_set":
        return gxe.ExpectColumnValuesToBeInSet(
            column=column, value_set=list(check.values), meta=meta
        )
    low, high = check.bounds(day)
    return gxe.ExpectColumnValuesToBeBetween(
        column=column,
        min_value=_number(low),
        max_value=_number(high),
        meta=meta,
    )


def _number(bound: Decimal | None) -> int | float | None:
    """A bound for the library: whole numbers stay exact; only rates have fractions."""
    if bound is None:
        return None
    return int(bound) if bound == bound.to_integral_value() else float(bound)


def _validate(frame: pd.DataFrame, expectations: list[Any], form: Any = "SUMMARY") -> list[Any]:
    """Results in the library's own form, one an expectation."""
    from great_expectations import ExpectationSuite

    batch = _batches().get_batch(batch_parameters={"dataframe": frame})
    suite = ExpectationSuite(name="gate", expectations=expectations)
    return list(batch.validate(suite, result_format=form).results)


def evaluate(
    lake: Lake, suites: Sequence[Suite], first: date, last: date, absent: frozenset[str]
) -> list[CheckResult]:
    """Every check of every suite on every date of a range.

    :param absent: feeds that the home's mapping declares absent; checks that need one are
        `not_determinable`. For a feed that is due, a missing table is a failure.
    """
    days = date_range(first, last)
    results: list[CheckResult] = []
    counted: list[tuple[Suite, Check, pd.DataFrame]] = []
    for suite in suites:
        due = []
        for check in suite.checks:
            lacking = sorted(absent.intersection(check.feeds))
            if lacking:
                why = f"the mapping of this home declares no {', '.join(lacking)}"
                results += [_result(suite, check, d, "not_determinable", None, why) for d in days]
            else:
                due.append(check)
        if not lake.exists(*suite.table.split(".")):
            why = f"{suite.table} was not built"
            results += [
                _result(suite, check, day, "fail", "no table", why)
                for check in due for day in days
            ]
            continue
        results += _rows(lake, suite, [c for c in due if c.kind in ROW_KINDS], days)
        for check in due:
            if check.kind not in ROW_KINDS:
                try:
                    found = evidence.by_date(lake, check, suite.table, first, last)
                except (duckdb.Error, PaylakeError) as error:
                    why = str(error).split("\n")[0]
                    results += [_result(suite, check, d, "error", None, why) for d in days]
                else:
                    counted.append((suite, check, found))
    return results + _totals(counted)


def _rows(lake: Lake, suite: Suite, checks: list[Check], days: list[date]) -> list[CheckResult]:
    """Row checks: one pass when all is well; a failing check is judged again on each date."""
    if not checks:
        return []
    columns = [column for check in checks for column in check.columns]
    try:
        frame = evidence.rows(lake, suite.table, columns, days[0], days[-1])
    except duckdb.Error as error:
        return [_result(suite, c, d, "error", None, str(error)) for c in checks for d in days]
    doubtful = _doubtful(frame, checks, days) if len(frame) else {}
    results = []
    slices = dict(iter(frame.groupby("business_date"))) if len(frame) else {}
    for check in checks:
        for day in days:
            part = slices.get(day)
            if part is None:
                results.append(
                    _result(suite, check, day, "pass", "no rows", compared=0, differing=0)
                )
            elif day not in doubtful.get(check.code, ()):
                observed = f"{len(part)} rows, 0 failing"
                results.append(
                    _result(
                        suite, check, day, "pass", observed, compared=len(part), differing=0
                    )
                )
            else:
                results.append(_row_result(suite, check, day, part))
    return results


def _doubtful(
    frame: pd.DataFrame, checks: list[Check], days: list[date]
) -> dict[str, Container[date]]:
    """The dates on which a check has to be judged by itself: where the library found a row, and
    all of them where bounds change within the range or the library could not evaluate it."""
    steady = [c for c in checks if c.bounds(days[0]) == c.bounds(days[-1])]
    found: dict[str, Container[date]] = {c.code: days for c in checks if c not in steady}
    failing = {
        r.expectation_config.meta["code"]
        for r in _validate(frame, _on_range(steady, days[0]), "BOOLEAN_ONLY") if not r.success
    } if steady else set()
    again = [c for c in steady if c.code in failing]
    if not again or len(days) == 1:
        return found | dict.fromkeys(failing, days)
    listed: dict[str, set[date]] = {code: set() for code in failing}
    for result in _validate(frame, _on_range(again, days[0]), _LISTING):
        code = result.expectation_config.meta["code"]
        if "unexpected_index_list" in result.result:
            listed[code] |= {
                _date(item["business_date"])
                for item in result.result["unexpected_index_list"] or ()
            }
        elif not result.success:
            listed[code] |= set(days)
    return found | listed


def _on_range(checks: list[Check], first: date) -> list[Any]:
    return [_expectation(c, column, first) for c in checks for column in _columns(c)]


def _date(value: Any) -> date:
    return value if isinstance(value, date) else date.fromisoformat(str(value))


def _columns(check: Check) -> tuple[str | None, ...]:
    return (None,) if check.kind == "unique" else check.columns


def _row_result(suite: Suite, check: Check, day: date, part: pd.DataFrame) -> CheckResult:
    outcome = _validate(part, [_expectation(check, column, day) for column in _columns(check)])
    broken = [r for r in outcome if (r.exception_info or {}).get("raised_exception")]
    if broken or any("unexpected_count" not in r.result for r in outcome):
        why = "; ".join(str(r.exception_info.get("exception_message")) for r in broken)
        return _result(suite, check, day, "error", None, why or "the library gave no count")
    failing = sum(r.result["unexpected_count"] for r in outcome)
    observed = f"{len(part)} rows, {failing} failing"
    counts = {"compared": len(part), "differing": failing}
    if all(r.success for r in outcome):
        return _result(suite, check, day, "pass", observed, **counts)
    examples = [
        f"{r.expectation_config.kwargs.get('column', ', '.join(check.columns))}: "
        + ", ".join(str(v) for v in r.result["partial_unexpected_list"][:_EXAMPLES])
        for r in outcome
        if not r.success
    ]
    value = None
    if len(part) == 1 and check.kind != "unique":
        observed = examples[0].split("\n")[0]
        listed = [v for r in outcome if not r.success for v in r.result["partial_unexpected_list"]]
        if check.kind == "between" and listed:
            value = Decimal(str(listed[0]))
    return _result(
        suite, check, day, "fail", observed, "; ".join(examples), value=value, **counts
    )


def _totals(counted: list[tuple[Suite, Check, pd.DataFrame]]) -> list[CheckResult]:
    """Checks of a whole date: SQL counted what differs, the library judges the counts of all
    suites at once."""
    if not counted:
        return []
    frames = []
    for _, check, frame in counted:
        least = max(1, check.minimum_items) if check.kind == "rows_present" else check.minimum_items
        frames.append(frame.assign(check_code=check.code, least=least, most=0))
    everything = pd.concat(frames, ignore_index=True)
    failing = _failing(everything[["check_code", "business_date", *_COUNTS]])
    by_code = {check.code: (suite, check) for suite, check, _ in counted}  # codes stand once
    results = []
    for row in everything.to_dict("records"):
        (suite, check), day = by_code[row["check_code"]], row["business_date"]
        if check.kind == "rows_present":
            observed = f"{row['compared']} rows"
        elif check.kind == "none":
            observed = f"{row['differing']} items"
        else:
            observed = f"{row['differing']} of {row['compared']} items differ"
        result = "fail" if (check.code, day) in failing else "pass"
        results.append(
            _result(
                suite, check, day, result, observed, row["examples"] or None,
                compared=int(row["compared"]), differing=int(row["differing"]),
            )
        )
    return results


def _failing(counted: pd.DataFrame) -> set[tuple[str, date]]:
    """Which (check, date) have too few items or differing ones; every one is returned."""
    import great_expectations.expectations as gxe

    outcome = _validate(
        counted,
        [
            gxe.ExpectColumnPairValuesAToBeGreaterThanB(
                column_A=high, column_B=low, or_equal=True, ignore_row_if="neither"
            )
            for high, low in (("compared", "least"), ("most", "differing"))
        ],
        {**_LISTING, "unexpected_index_column_names": ["check_code", "business_date"]},
    )
    return {
        (str(item["check_code"]), _date(item["business_date"]))
        for result in outcome if not result.success
        for item in result.result["unexpected_index_list"]
    }


def _result(
    suite: Suite, check: Check, day: date, result: str, observed: str | None,
    detail: str | None = None, **numbers: Any,
) -> CheckResult:
    expected = check.expected
    if check.kind == "between":
        low, high = check.bounds(day)
        parts = [f">= {low}" if low is not None else "", f"<= {high}" if high is not None else ""]
        expected = f"{', '.join(check.columns)} {' and '.join(p for p in parts if p)}"
    elif check.kind == "reconcile" and check.minimum_items:
        expected = f"at least {check.minimum_items} item(s), all equal"
    return CheckResult(day, suite.name, check, result, observed, expected, detail, **numbers)
