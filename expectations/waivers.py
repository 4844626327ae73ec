"""Waivers: a person lets a date out in spite of a failing check, for the inputs as they are."""

from __future__ import annotations

from datetime import UTC, date, datetime

from paylake import content, ops, runs
from paylake.errors import PermanentFailure, UsageFault
from paylake.lake import Lake
from paylake.lease import lease
from paylake.settings import Settings


def waive(
    settings: Settings, business_date: date, check_code: str, person: str, reason: str
) -> dict[str, object]:
    """Record a waiver and return its row.

    It holds for the content that the gate looked at; when an input changes it lapses. Conservation
    and double entry (and every other check that its suite declares so) cannot be waived.

    :raises UsageFault: without person or reason, or when the check does not fail on that date.
    :raises PermanentFailure: when the check cannot be waived, or the date was built again since.
    """
    if not person.strip() or not reason.strip():
        raise UsageFault(
            "A waiver needs a person and a reason", "Give --person and --reason in words."
        )
    with lease(settings, "waive", str(business_date), during_restatement=True):
        rows = ops.rows(
            settings, "gate_result", "business_date = $day", {"day": business_date}
        )
        newest = [row for row in rows if row["run_id"] == rows[-1]["run_id"]]
        found = next((row for row in newest if row["check_code"] == check_code), None)
        failing = sorted(
            row["check_code"]
            for row in newest
            if row["severity"] == "fail" and row["result"] in ("fail", "error")
        )
        if found is None or found["check_code"] not in failing:
            raise UsageFault(
                f"Check {check_code!r} does not hold {business_date}",
                f"Failing checks of that date: {', '.join(failing) or 'none'}.",
            )
        if not found["is_waivable"]:
            raise PermanentFailure(
                f"Check {check_code} cannot be waived",
                f"Correct the cause at its source and run {business_date} again.",
                where=f"expectations/suites/{found['suite']}.yml",
            )
        digest = content.gated(Lake(settings), business_date, business_date)[business_date]
        if digest != found["input_digest"]:
            raise PermanentFailure(
                f"{business_date} was built again since it went through the gate",
                f"Run `bin/paylake gate --date {business_date}` and look at the result first.",
            )
        row = {
            "business_date": business_date,
            "check_code": check_code,
            "person": person.strip(),
            "reason": reason.strip(),
            "input_digest": digest,
            "given_at": datetime.now(UTC),
            "is_demo": runs.is_simulated(settings),
        }
        ops.record(settings, "waiver", [row])
        return row
