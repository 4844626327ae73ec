"""Whether a date may go out: the newest gate, for the content that is there now, and waivers."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any

from paylake import content, ops
from paylake.dates import date_range
from paylake.errors import Held
from paylake.lake import Lake
from paylake.settings import Settings


@dataclass
class Verdict:
    """Whether a date may go out. `blocking` are checks that hold it, `waived` those let through."""

    business_date: date
    result: str  # passed | waived | failed | not_gated
    blocking: list[str] = field(default_factory=list)
    waived: list[dict[str, Any]] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=list)
    reason: str = ""

    @property
    def may_go_out(self) -> bool:
        return self.result in ("passed", "waived")


def verdicts(
    settings: Settings, first: date, last: date, digests: dict[date, str] | None = None
) -> dict[date, Verdict]:
    """What the newest gate says of each date, waivers applied, for the content that is there now.

    :param digests: of `content.gated`, when the caller has just computed them.
    """
    rows: dict[date, list[dict[str, Any]]] = {}
    for row in ops.rows(
        settings, "gate_result", "business_date between $first and $last",
        {"first": first, "last": last},
    ):
        rows.setdefault(row["business_date"], []).append(row)
    waivers = ops.latest(
        settings, "waiver", "business_date between $first and $last",
        {"first": first, "last": last},
    )
    now = digests if digests is not None else content.gated(Lake(settings), first, last)
    return {
        day: _verdict(day, rows.get(day, []), waivers, now[day])
        for day in date_range(first, last)
    }


def _verdict(
    day: date, rows: list[dict[str, Any]], waivers: list[dict[str, Any]], digest: str
) -> Verdict:
    if not rows:
        return Verdict(day, "not_gated", reason="it has not been through the gate")
    newest = rows[-1]["run_id"]
    checks = [row for row in rows if row["run_id"] == newest]
    if any(row["input_digest"] != digest for row in checks):
        return Verdict(day, "not_gated", reason="it was built again since it went through the gate")
    given = {
        w["check_code"]: w
        for w in waivers
        if w["business_date"] == day and w["input_digest"] == digest
    }
    verdict = Verdict(day, "passed", checks=checks)
    for row in checks:
        if row["severity"] != "fail" or row["result"] not in ("fail", "error"):
            continue
        if row["is_waivable"] and row["check_code"] in given:
            verdict.waived.append(given[row["check_code"]])
        else:
            verdict.blocking.append(row["check_code"])
    if verdict.blocking:
        verdict.result = "failed"
        verdict.reason = _why(checks, verdict.blocking)
    elif verdict.waived:
        verdict.result = "waived"
    return verdict


def _why(checks: list[dict[str, Any]], blocking: list[str]) -> str:
    parts = []
    for row in checks:
        if row["check_code"] in blocking:
            found = row["detail"] if row["result"] == "error" else row["observed"]
            parts.append(f"{row['check_code']} ({found})")
    return f"the gate holds it: {'; '.join(parts)}"


def held(verdict: Verdict) -> Held:
    """The error that names a held date, the check, and how to clear it."""
    day = verdict.business_date
    if verdict.result == "not_gated":
        return Held(
            f"{day} cannot be published: {verdict.reason}",
            f"Run `bin/paylake gate --date {day}`.",
            where=str(day),
        )
    waivable = [
        row["check_code"]
        for row in verdict.checks
        if row["check_code"] in verdict.blocking and row["is_waivable"]
    ]
    step = f"Correct the cause at its source and run {day} again"
    if waivable:
        step += (
            f", or waive it: `bin/paylake release waive --date {day} --check {waivable[0]} "
            "--person NAME --reason TEXT`"
        )
    return Held(f"{day} is held: {verdict.reason}", f"{step}.", where=str(day))
