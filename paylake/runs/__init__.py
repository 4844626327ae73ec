"""The run loop: every unreleased earlier date first, then the date itself; a range is that loop.

A run for a date sees the deliveries that were sent up to its run time (in a simulated home; else up
to now). Only computing is batched: dates of a range are ingested, built and gated together, each
with what its own run could see, and the later runs of the range retry what waits or is held.

The loop knows no room: its steps are handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

from paylake.errors import UsageFault
from paylake.lease import lease
from paylake.runs.due import (
    Expected,
    absent_feeds,
    first_known_date,
    is_simulated,
    missing_feeds,
    pending,
)
from paylake.runs.loop import Loop
from paylake.runs.restating import RestatementResult, restate, withdraw
from paylake.runs.steps import RunResult
from paylake.settings import Settings

__all__ = [
    "STEPS",
    "Expected",
    "RestatementResult",
    "RunResult",
    "absent_feeds",
    "first_known_date",
    "is_simulated",
    "missing_feeds",
    "pending",
    "restate",
    "run",
    "run_step",
    "status",
    "withdraw",
]

STEPS = ("ingest", "build", "gate", "publish", "report")


def run(
    settings: Settings,
    first: date,
    last: date,
    steps: Mapping[str, Callable[..., Any]],
    as_of: datetime | None = None,
) -> RunResult:
    """Run the dates first to last, earlier unreleased ones before them.

    :param steps: `ingest(first, last, as_of)` (as_of: date → moment), `build(first, last)`,
        `gate(first, last)`, `publish(first, last)`, and optionally `report(first, last)`.
    :param as_of: the moment of the run, instead of the run time of each date or now.
    :returns: the result; its `error` (exit 11 or 12) says why the first blocked date did not go
        out. Other errors of a step are recorded in `ops.run_step` and raised.
    """
    lacking = sorted(set(STEPS[:4]) - set(steps))
    if lacking:
        raise UsageFault(f"The run has no step {', '.join(lacking)}", "Hand in all of them.")
    with lease(settings, "run", f"{first} to {last}"):
        return Loop(settings, first, last, steps, as_of).run()


def run_step(
    settings: Settings,
    name: str,
    day: date,
    steps: Mapping[str, Callable[..., Any]],
    as_of: datetime | None = None,
) -> RunResult:
    """One step of the run of a date, unreleased earlier dates with it: what a scheduler calls.

    Calling `ingest`, `build`, `gate`, `publish` and `report` one after the other for a date does
    what :func:`run` does.

    :raises Waiting: from `ingest` when the date itself lacks a required delivery, from `publish`
        and `report` when it or an earlier one does.
    :raises Held: from `publish` and `report` when the gate holds the date or an earlier one.
    """
    if name not in steps:
        raise UsageFault(f"The run has no step {name}", f"Steps: {', '.join(steps)}.")
    with lease(settings, name, str(day)):
        result = Loop(settings, day, day, steps, as_of).step_alone(name)
    if result.error is not None:
        raise result.error
    return result


def status(settings: Settings, as_of: datetime | None = None) -> Any:
    """Where the home stands; see :func:`paylake.status.status`."""
    from paylake.status import status as look

    return look(settings, as_of)
