"""The demo's report files: filed, explained where a check asks for a reason, and listed."""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import TYPE_CHECKING, Any

from cli.demo_dates import OPERATIONS
from cli.output import console, show
from paylake.errors import PermanentFailure
from paylake.settings import Settings

if TYPE_CHECKING:
    from reporting.results import Item

# What the demo's operations login answers to a check that asks for a reason. The planted receipt
# that nobody knows stays open, so that in a longer history its age must be explained. Nothing else
# is planted to ask: another check that does is a finding, and ends the demo by name.
_REASONS = {
    "RFC-Q201": "Enquiry with the custodian about a receipt of an unknown payer is under way "
                "(demo reason).",
}


def file_reports(settings: Settings, first: date, last: date) -> str:
    """File what is released, giving the demo's reasons where a check asks for one.

    A reason stands for later dates with the same findings, so the earliest date is explained and
    the rest filed again, until nothing asks any more.

    :raises PermanentFailure: when a date cannot be filed.
    """
    import reporting
    from reporting.results import EXIT_CODES

    explained = 0
    done: dict[tuple[str, date], str] = {}
    asked: set[tuple[str, date]] = set()
    while True:
        result = reporting.report(settings, first, last)
        for item in result.items:
            key = (item.report, item.business_date)
            if item.state != "unchanged" or key not in done:
                done[key] = item.state
            if item.state == "mended":
                console.print(f"  mended {item.report} of {item.business_date}: {item.detail}")
        earliest: dict[str, Item] = {}
        for item in result.items:
            if item.state == "awaiting_reason" and _REASONS.keys() >= set(item.codes):
                earliest.setdefault(item.report, item)
        new = [i for i in earliest.values() if (i.report, i.business_date) not in asked]
        for item in new:
            asked.add((item.report, item.business_date))
            for code in item.codes:
                text = _REASONS[code]
                reporting.explain(
                    settings, item.report, item.business_date, code, OPERATIONS, text
                )
                console.print(f"  explained {code} of {item.report} {item.business_date}: {text}")
                explained += 1
        if not new:
            break
    if result.exit_code:
        wrong = next(i for i in result.items if EXIT_CODES[i.state] == result.exit_code)
        raise PermanentFailure(
            f"Not every report could be filed: {wrong.report} of {wrong.business_date} is "
            f"{wrong.state}: {wrong.detail}",
            f"`bin/paylake report --date {wrong.business_date}` says it again.",
        )
    counted = sorted(Counter(done.values()).items())
    told = ", ".join(f"{n} {state}" for state, n in counted)
    return told + (f", demo reasons given: {explained}" if explained else "")


def show_packages(packages: list[dict[str, Any]]) -> None:
    """One row a report: sixty lines of "verified" tell less than one."""
    rows = []
    for report in sorted({p["report"] for p in packages}):
        mine = [p for p in packages if p["report"] == report]
        wrong = [f"{p['business_date']}: {p['result']}" for p in mine if p["result"] != "verified"]
        rows.append(
            {
                "report": report,
                "packages": len(mine),
                "files": sum(p["files"] for p in mine),
                "from": mine[0]["business_date"],
                "to": mine[-1]["business_date"],
                "result": "; ".join(wrong) or "each verified against reports/institution.pub.pem",
            }
        )
    show(rows, as_json=False, title="report packages")
