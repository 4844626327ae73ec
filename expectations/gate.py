"""The gate: every suite over a range of built dates, in one pass when all is well."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from expectations import items, suites
from expectations.evaluate import CheckResult, evaluate
from paylake import content, ops, release, runs
from paylake.dates import date_range
from paylake.lake import Lake
from paylake.lease import lease
from paylake.settings import Settings


@dataclass
class GateResult:
    """Outcome by date, and every result that is not a pass.

    `dates` maps each date to `passed`, `failed` or `waived`.
    """

    run_id: str
    dates: dict[date, str] = field(default_factory=dict)
    failures: list[CheckResult] = field(default_factory=list)
    checked: int = 0
    not_determinable: int = 0

    def rows(self) -> list[dict[str, Any]]:
        """One row a date, with the checks that did not pass."""
        return [
            {
                "date": day,
                "result": result,
                "failing": "; ".join(
                    f"{f.check.code} ({f.check.severity}): {f.observed or f.detail}"
                    for f in self.failures
                    if f.business_date == day
                ),
            }
            for day, result in self.dates.items()
        ]


def gate(settings: Settings, first: date, last: date, run_id: str | None = None) -> GateResult:
    """Check the built partitions of a range of dates and record every result.

    A date is `failed` when a check of severity `fail` fails or cannot be evaluated, `waived` when
    each such check has a waiver for the very inputs that are there, else `passed`. A check is
    `not_determinable` only where the home's mapping declares a feed absent that it needs.

    :param run_id: of the run that this is a step of; a new one by default.
    """
    with lease(settings, "gate", f"{first} to {last}"):
        return _gate(settings, first, last, run_id or uuid.uuid4().hex)


def _gate(settings: Settings, first: date, last: date, run_id: str) -> GateResult:
    lake = Lake(settings)
    absent = runs.absent_feeds(settings)
    digests = content.gated(lake, first, last)
    results = evaluate(lake, suites.load(), first, last, absent)
    # A gate of its own id each time: the newest one of a date is the one that counts.
    this_gate = f"{run_id}.{uuid.uuid4().hex[:8]}"
    ops.record(
        settings,
        "gate_result",
        [
            {
                "business_date": r.business_date,
                "run_id": this_gate,
                "suite": r.suite,
                "check_code": r.check.code,
                "severity": r.check.severity,
                "result": r.result,
                "observed": None if r.observed is None else r.observed[:1000],
                "expected": r.expected[:1000],
                "detail": None if r.detail is None else r.detail[:10000],
                "check_kind": r.check.kind,
                "compared_count": r.compared,
                "differing_count": r.differing,
                "observed_value": _number(r.value),
                **_bounds(r),
                "input_digest": digests[r.business_date],
                "is_waivable": r.check.is_waivable,
                "owner": r.check.owner,
            }
            for r in results
        ],
    )
    ops.record(settings, "open_item", items.events(settings, first, last, absent, results))
    judged = release.verdicts(settings, first, last, digests)
    return GateResult(
        this_gate,
        {day: judged[day].result for day in date_range(first, last)},
        [r for r in results if r.result in ("fail", "error")],
        len(results),
        sum(r.result == "not_determinable" for r in results),
    )


def _bounds(result: CheckResult) -> dict[str, Decimal | None]:
    low, high = result.check.bounds(result.business_date)
    return {"lower_bound": _number(low), "upper_bound": _number(high)}


def _number(value: Decimal | None) -> Decimal | None:
    """A number at the scale of its column; only rates have more digits, and nobody reads them."""
    return None if value is None else value.quantize(Decimal("0.000000001"))
