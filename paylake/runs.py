"""The run loop: every unreleased earlier date first, then the date itself; a range is that loop.

A run for a date sees the deliveries that were sent up to its run time (in a simulated home; else up
to now). Only computing is batched: dates of a range are ingested, built and gated together, each
with what its own run could see, and the later runs of the range retry what waits or is held.

The loop knows no room: its steps are handed in.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from paylake import content, contracts, home, ops, release
from paylake.dates import date_range, run_time
from paylake.errors import Held, PaylakeError, UsageFault, Waiting
from paylake.lake import Lake
from paylake.lease import lease
from paylake.settings import Settings

STEPS = ("ingest", "build", "gate", "publish", "report")
AsOf = Callable[[date], datetime]


@dataclass
class RunResult:
    """Outcome by date: `released`, `waiting`, `held`, `behind` (built, gated, not published) or
    `unchanged`. `error` is that of the first date that did not go out."""

    run_id: str
    dates: dict[date, str] = field(default_factory=dict)
    steps: list[dict[str, Any]] = field(default_factory=list)
    error: PaylakeError | None = None

    @property
    def nothing(self) -> bool:
        """True when everything was done before."""
        return all(result == "unchanged" for result in self.dates.values())

    @property
    def exit_code(self) -> int:
        return 0 if self.error is None else self.error.exit_code

    def rows(self) -> list[dict[str, Any]]:
        """One row a date."""
        why = "" if self.error is None else self.error.sentence()
        blocked = [d for d, result in self.dates.items() if result in ("waiting", "held")]
        return [
            {
                "date": day,
                "result": "nothing to do" if result == "unchanged" else result,
                "detail": why if blocked and day == blocked[0] else "",
            }
            for day, result in sorted(self.dates.items())
        ]


def is_simulated(settings: Settings) -> bool:
    return home.exists(settings) and home.read(settings).kind == "simulated"


def absent_feeds(settings: Settings) -> frozenset[str]:
    """Feeds that the home's institution is declared not to send."""
    return frozenset(home.read(settings).absent_feeds if home.exists(settings) else ())


def first_known_date(settings: Settings) -> date | None:
    """The first date that was released, delivered (the inbox included) or built."""
    seen = [release.first_date(settings)]
    for folder in settings.path("landing", "inbox").glob("*/*"):
        try:
            seen.append(date.fromisoformat(folder.name))
        except ValueError:
            continue  # not a delivery's folder: ingestion names such strangers
    return min((day for day in seen if day is not None), default=None)


def pending(settings: Settings, day: date) -> list[date]:
    """The unreleased dates up to `day`, in order, `day` included unless it is released."""
    through = release.in_force(settings).through
    first = first_known_date(settings) if through is None else through + timedelta(days=1)
    first = day if first is None else first
    return date_range(first, day) if first <= day else []


def missing_feeds(settings: Settings, days: Iterable[date]) -> dict[date, list[str]]:
    """Required feeds without an accepted delivery, by date; complete dates are left out."""
    absent = absent_feeds(settings)
    required = [c.name for c in contracts.all_contracts("feed")
                if c.get("blocking") and c.name not in absent]
    accepted = {
        (row["feed"], row["business_date"])
        for row in ops.latest(settings, "delivery", "state = 'accepted'")
    }
    found = {day: [f for f in required if (f, day) not in accepted] for day in days}
    return {day: feeds for day, feeds in found.items() if feeds}


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
        return _Loop(settings, first, last, steps, as_of).run()


def run_step(
    settings: Settings,
    name: str,
    day: date,
    steps: Mapping[str, Callable[..., Any]],
    as_of: datetime | None = None,
) -> RunResult:
    """One step of the run of a date, for a scheduler that calls the steps one after another.

    It does to the pending dates up to `day` what :func:`run` would do to them in that step.

    :raises Waiting: `ingest`, when the date itself lacks a required delivery.
    :raises Held: `publish`, naming the first date that may not go out; the ones before it did.
    """
    with lease(settings, name, str(day)):
        return _Loop(settings, day, day, steps, as_of).run_step(name)


def status(settings: Settings, as_of: datetime | None = None) -> Any:
    """Where the home stands; see :func:`paylake.status.status`."""
    from paylake.status import status as look

    return look(settings, as_of)


class _Loop:
    def __init__(
        self, settings: Settings, first: date, last: date,
        steps: Mapping[str, Callable[..., Any]], as_of: datetime | None,
    ) -> None:
        self.settings = settings
        self.first, self.last = first, last
        self.steps = steps
        self.now = as_of or (None if is_simulated(settings) else datetime.now(UTC))
        self.result = RunResult(uuid.uuid4().hex)
        self.records: list[dict[str, Any]] = []

    def seen_until(self, day: date) -> datetime:
        """What the run of a date sees."""
        return self.now or run_time(day, self.settings)

    def run(self) -> RunResult:
        days = date_range(self.first, self.last)
        todo = pending(self.settings, self.last)
        self.result.dates = {day: "unchanged" for day in days if day not in todo}
        try:
            if todo:
                self._run(todo)
            done = [d for d, r in self.result.dates.items() if r in ("released", "unchanged")]
            if done and "report" in self.steps:
                self._step("report", min(done), max(done))
        finally:
            ops.record(self.settings, "run_step", self.records)
            self.result.steps = self.records
        return self.result

    def run_step(self, name: str) -> RunResult:
        todo = pending(self.settings, self.last)
        try:
            if name == "report":
                self._step("report", self._first_released(), self.last)
            elif todo:
                self._pending_step(name, todo)
            else:
                self.result.dates = {self.last: "unchanged"}
        finally:
            ops.record(self.settings, "run_step", self.records)
            self.result.steps = self.records
        return self.result

    def _first_released(self) -> date:
        chain = release.listing(self.settings)
        return self.last if len(chain) == 1 else min(self.last, chain[1].through or self.last)

    def _pending_step(self, name: str, todo: list[date]) -> None:
        if name == "ingest":
            self._step(
                "ingest", todo[0], todo[-1],
                lambda f, t: self.steps["ingest"](f, t, lambda _: self.seen_until(self.last)),
            )
        lacking = missing_feeds(self.settings, todo)
        ready = [day for day in todo if day not in lacking]
        if name == "ingest" and self.last in lacking:
            raise self._waiting(self.last, lacking)
        if name == "build":
            for part in _stretches(self._stale(ready, todo)):
                self._build(part, todo)
        if name == "gate":
            judged = release.verdicts(self.settings, todo[0], todo[-1])
            for part in _stretches([d for d in ready if judged[d].result == "not_gated"]):
                self._step("gate", part[0], part[-1])
        if name == "publish":
            self._publish(todo, lacking)
            if self.result.error is not None:
                raise self.result.error

    @staticmethod
    def _waiting(day: date, lacking: dict[date, list[str]]) -> Waiting:
        return Waiting(
            f"{day} waits for {', '.join(lacking[day])}",
            "It is taken up by the next run once the sender has delivered.",
            where=f"landing/inbox/{lacking[day][0]}/{day}",
        )

    def _run(self, todo: list[date]) -> None:
        # Earlier dates are retried by the first run of the range; each of its dates has its own.
        self._step(
            "ingest", todo[0], todo[-1],
            lambda f, t: self.steps["ingest"](
                f, t, lambda day: self.seen_until(max(day, self.first))
            ),
        )
        blocked = self._compute(todo)
        runs = [d for d in todo if d > max(self.first, blocked or self.last)]
        for this in runs:
            if blocked is None:
                break
            if this <= blocked or self.seen_until(this) == self.seen_until(self.first):
                continue
            before = self._inputs(todo)
            self._step(
                "ingest", blocked, this,
                lambda f, t, this=this: self.steps["ingest"](
                    f, t, lambda day: self.seen_until(this)
                ),
            )
            if self._inputs(todo) != before:
                blocked = self._compute([d for d in todo if d >= blocked])

    def _compute(self, todo: list[date]) -> date | None:
        """Build, gate and publish what can be; returns the first date that did not go out."""
        lacking = missing_feeds(self.settings, todo)
        ready = [day for day in todo if day not in lacking]
        for part in _stretches(self._stale(ready, todo)):
            self._build(part, todo)
        judged = release.verdicts(self.settings, todo[0], todo[-1])
        for part in _stretches([d for d in ready if judged[d].result == "not_gated"]):
            self._step("gate", part[0], part[-1])
        return self._publish(todo, lacking)

    def _publish(self, todo: list[date], lacking: dict[date, list[str]]) -> date | None:
        self.result.error = None
        out = []
        for day in todo:
            if day in lacking:
                break
            out.append(day)
        blocked = todo[len(out)] if len(out) < len(todo) else None
        if blocked is not None:
            self.result.error = self._waiting(blocked, lacking)
        if out:
            try:
                self._step("publish", out[0], out[-1])
            except Held as error:
                self.result.error = error
        through = release.in_force(self.settings).through
        for day in todo:
            if through is not None and day <= through:
                self.result.dates[day] = "released"
            elif day in lacking:
                self.result.dates[day] = "waiting"
            elif blocked is None or day < blocked:
                self.result.dates[day], blocked = "held", day
            else:
                self.result.dates[day] = "behind"
        return blocked

    # What is stale ---------------------------------------------------------------------------

    def _inputs(self, todo: list[date]) -> dict[date, str]:
        """A key of what each date is made from: its deliveries and those of all dates before."""
        came: dict[date, list[list[Any]]] = {day: [] for day in todo}
        for row in ops.latest(self.settings, "delivery"):
            taken = [row["rows_accepted"], row["rows_quarantined"]]
            came.setdefault(row["business_date"], []).append(
                [row["delivery_id"], str(row["data_digest"]), row["state"], *taken]
            )
        key = content.code_version()
        keys: dict[date, str] = {}
        for day in sorted(came):
            key = content.digest_of([key, sorted(came[day], key=str)])
            keys[day] = key
        return {day: keys[day] for day in todo}

    def _stale(self, ready: list[date], todo: list[date]) -> list[date]:
        """Dates whose inputs, or whose built rows, are not those of their last build."""
        if not ready:
            return []
        built: dict[str, list[str]] = {}
        for row in ops.rows(self.settings, "run_step", "step = 'build' and result = 'done'"):
            built |= json.loads(row["detail"])
        for row in self.records:
            if row["step"] == "build" and row["result"] == "done":
                built |= json.loads(row["detail"])
        keys = self._inputs(todo)
        held = content.gated(Lake(self.settings), ready[0], ready[-1])
        return [day for day in ready if built.get(str(day)) != [keys[day], held[day]]]

    def _build(self, part: list[date], todo: list[date]) -> None:
        keys = self._inputs(todo)

        def detail(_: Any) -> dict[str, Any]:
            held = content.gated(Lake(self.settings), part[0], part[-1])
            return {str(day): [keys[day], held[day]] for day in part}

        self._step("build", part[0], part[-1], detail=detail)

    # Steps -----------------------------------------------------------------------------------

    def _step(
        self, name: str, first: date, last: date, call: Callable[..., Any] | None = None,
        detail: Callable[[Any], Any] | None = None,
    ) -> Any:
        started, clock = datetime.now(UTC), time.monotonic()
        result, told = "done", None
        try:
            outcome = (call or self.steps[name])(first, last)
            if getattr(outcome, "nothing", False) is True:
                result = "nothing"
            told = None if detail is None else detail(outcome)
            return outcome
        except Exception as error:
            result = {Held: "held", Waiting: "waiting"}.get(type(error), "failed")
            told = error.sentence() if isinstance(error, PaylakeError) else repr(error)
            raise
        finally:
            self.records.append(
                {
                    "run_id": self.result.run_id,
                    "step": name,
                    "first_date": first,
                    "last_date": last,
                    "started_at": started,
                    "seconds": round(time.monotonic() - clock, 3),
                    "result": result,
                    "detail": None if told is None else content.canonical(told).decode(),
                }
            )


def _stretches(days: list[date]) -> list[list[date]]:
    """Consecutive dates together: each stretch is one call."""
    found: list[list[date]] = []
    for day in days:
        if found and found[-1][-1] + timedelta(days=1) == day:
            found[-1].append(day)
        else:
            found.append([day])
    return found
