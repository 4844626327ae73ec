"""The steps of a run, timed and recorded in `ops.run_step`, and what each date is made from."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from paylake import content, ops, release
from paylake.errors import Held, PaylakeError, Waiting
from paylake.lake import Lake
from paylake.settings import Settings


@dataclass
class RunResult:
    """Outcome by date: `released`, `waiting`, `held`, `behind` (built, gated, not published) or
    `unchanged`. `mended` names what was damaged and made again, `refused` what could not be,
    `error` is that of the first date that did not go out, or of what was refused."""

    run_id: str
    dates: dict[date, str] = field(default_factory=dict)
    steps: list[dict[str, Any]] = field(default_factory=list)
    mended: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    error: PaylakeError | None = None

    @property
    def nothing(self) -> bool:
        """True when everything was done before."""
        touched = self.mended or self.refused
        return not touched and all(result == "unchanged" for result in self.dates.values())

    @property
    def exit_code(self) -> int:
        return 0 if self.error is None else self.error.exit_code

    def rows(self) -> list[dict[str, Any]]:
        """One row a date, after what was mended."""
        why = "" if self.error is None else self.error.sentence()
        blocked = [d for d, result in self.dates.items() if result in ("waiting", "held")]
        found = [{"date": "", "result": "mended", "detail": text} for text in self.mended]
        found += [{"date": "", "result": "damaged", "detail": text} for text in self.refused]
        return found + [
            {
                "date": day,
                "result": "nothing to do" if result == "unchanged" else result,
                "detail": why if blocked and day == blocked[0] else "",
            }
            for day, result in sorted(self.dates.items())
        ]


class StepLog:
    """Runs the steps that were handed in; what ran is recorded when the run ends, however."""

    def __init__(self, settings: Settings, steps: Mapping[str, Callable[..., Any]]) -> None:
        self.settings = settings
        self.steps = steps
        self.result = RunResult(uuid.uuid4().hex)
        self.records: list[dict[str, Any]] = []

    @contextmanager
    def recorded(self) -> Iterator[None]:
        try:
            yield
        finally:
            ops.record(self.settings, "run_step", self.records)
            self.result.steps = self.records

    def step(
        self, name: str, first: date, last: date, call: Callable[..., Any] | None = None,
        detail: Callable[[Any], Any] | None = None,
    ) -> Any:
        started, clock = datetime.now(UTC), time.monotonic()
        result, told = "failed", None  # also when it is interrupted, which is no Exception
        try:
            outcome = (call or self.steps[name])(first, last)
            told = None if detail is None else detail(outcome)
            result = "nothing" if getattr(outcome, "nothing", False) is True else "done"
            return outcome
        except Exception as error:
            result = {Held: "held", Waiting: "waiting"}.get(type(error), "failed")
            told = error.sentence() if isinstance(error, PaylakeError) else repr(error)
            raise
        finally:
            text = None if told is None else content.canonical(told).decode()
            self.record(name, first, last, result, text, started, time.monotonic() - clock)

    def record(
        self, name: str, first: date, last: date, result: str, detail: str | None,
        started: datetime | None = None, seconds: float = 0.0,
    ) -> None:
        self.records.append(
            {
                "run_id": self.result.run_id,
                "step": name,
                "first_date": first,
                "last_date": last,
                "started_at": started or datetime.now(UTC),
                "seconds": round(seconds, 3),
                "result": result,
                "detail": detail,
            }
        )

    def inputs(self, todo: list[date]) -> dict[date, str]:
        """A key of what each date is made from: its deliveries and those of all dates before, as
        the last restatement left these."""
        came: dict[date, list[list[Any]]] = {day: [] for day in todo}
        for row in ops.latest(self.settings, "delivery"):
            taken = [row["rows_accepted"], row["rows_quarantined"]]
            came.setdefault(row["business_date"], []).append(
                [row["delivery_id"], str(row["data_digest"]), row["state"], *taken]
            )
        key = content.code_version()
        restated = [r.digest for r in release.listing(self.settings) if r.restatement]
        if restated:
            key = content.digest_of([key, restated[-1]])
        keys: dict[date, str] = {}
        for day in sorted(came):
            key = content.digest_of([key, sorted(came[day], key=str)])
            keys[day] = key
        return {day: keys[day] for day in todo}

    def stale(self, ready: list[date], todo: list[date]) -> list[date]:
        """Dates whose inputs, or whose built rows, are not those of their last build."""
        if not ready:
            return []
        built: dict[str, list[str]] = {}
        for row in ops.rows(self.settings, "run_step", "step = 'build' and result = 'done'"):
            built |= json.loads(row["detail"])
        for row in self.records:
            if row["step"] == "build" and row["result"] == "done":
                built |= json.loads(row["detail"])
        keys = self.inputs(todo)
        held = content.gated(Lake(self.settings), ready[0], ready[-1])
        return [day for day in ready if built.get(str(day)) != [keys[day], held[day]]]

    def build(self, part: list[date], todo: list[date]) -> None:
        keys = self.inputs(todo)

        def detail(_: Any) -> dict[str, Any]:
            held = content.gated(Lake(self.settings), part[0], part[-1])
            return {str(day): [keys[day], held[day]] for day in part}

        self.step("build", part[0], part[-1], detail=detail)
