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
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from paylake import content, contracts, home, ops, release, repair
from paylake.dates import date_range, run_time
from paylake.errors import Held, NotVerified, PaylakeError, UsageFault, Waiting
from paylake.lake import Lake
from paylake.lease import lease
from paylake.settings import Settings

STEPS = ("ingest", "build", "gate", "publish", "report")
AsOf = Callable[[date], datetime]


@dataclass
class RunResult:
    """Outcome by date: `released`, `waiting`, `held`, `behind` (built, gated, not published) or
    `unchanged`. `mended` names published partitions that were damaged, `error` is that of the first
    date that did not go out."""

    run_id: str
    dates: dict[date, str] = field(default_factory=dict)
    steps: list[dict[str, Any]] = field(default_factory=list)
    mended: list[str] = field(default_factory=list)
    error: PaylakeError | None = None

    @property
    def nothing(self) -> bool:
        """True when everything was done before."""
        return not self.mended and all(result == "unchanged" for result in self.dates.values())

    @property
    def exit_code(self) -> int:
        return 0 if self.error is None else self.error.exit_code

    def rows(self) -> list[dict[str, Any]]:
        """One row a date, after what was mended."""
        why = "" if self.error is None else self.error.sentence()
        blocked = [d for d, result in self.dates.items() if result in ("waiting", "held")]
        found = [{"date": "", "result": "mended", "detail": text} for text in self.mended]
        return found + [
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


def pending(settings: Settings, day: date, first: date | None = None) -> list[date]:
    """The unreleased dates up to `day`, in order, `day` included unless it is released.

    :param first: where to begin at the latest, while nothing is released yet.
    """
    through = release.in_force(settings).through
    if through is None:
        begin = min(filter(None, [first_known_date(settings), first, day]))
    else:
        begin = through + timedelta(days=1)
    return date_range(begin, day) if begin <= day else []


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
        result = _Loop(settings, day, day, steps, as_of).step_alone(name)
    if result.error is not None:
        raise result.error
    return result


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
        todo = pending(self.settings, self.last, self.first)
        self.result.dates = {day: "unchanged" for day in days if day not in todo}
        with self._recorded():
            self._mend([day for day in days if day not in todo])
            if todo:
                self._run(todo)
            done = [d for d, r in self.result.dates.items() if r in ("released", "unchanged")]
            if done and "report" in self.steps:
                self._step("report", min(done), max(done))
        return self.result

    def step_alone(self, name: str) -> RunResult:
        """One step for the date and the unreleased ones before it."""
        day = self.last
        todo = pending(self.settings, day)
        with self._recorded():
            if name == "report":
                self._report_alone(todo, day)
            elif todo:
                getattr(self, f"_{name}_all")(todo)
            if name == "ingest" and todo and day in missing_feeds(self.settings, [day]):
                self.result.error = self._waiting(day)
        return self.result

    @contextmanager
    def _recorded(self) -> Iterator[None]:
        try:
            yield
        finally:
            ops.record(self.settings, "run_step", self.records)
            self.result.steps = self.records

    def _run(self, todo: list[date]) -> None:
        self._ingest_all(todo)
        blocked = self._compute(todo)
        for this in [d for d in todo if d > self.first]:
            if blocked is None:
                break
            if this <= blocked or self.seen_until(this) == self.seen_until(self.first):
                continue
            before = self._inputs(todo)
            self._ingest(blocked, this, lambda day, this=this: self.seen_until(this))
            if self._inputs(todo) != before:
                blocked = self._compute([d for d in todo if d >= blocked])

    def _mend(self, released: list[date]) -> None:
        """Compare what was released with its digests; name and mend what was altered or lost."""
        if not released:
            return
        damaged = repair.verify(self.settings, released[0], released[-1])
        if not damaged:
            return
        self.result.mended = [str(each) for each in damaged]
        try:
            self._step("mend", released[0], released[-1],
                       lambda f, t: repair.repair(self.settings, damaged))
        except NotVerified:
            # work lost it too: the inputs are kept, so the same code builds the same rows
            for part in _stretches(sorted({each.business_date for each in damaged})):
                self._step("build", part[0], part[-1], detail=lambda _: {})
            self._step("mend", released[0], released[-1],
                       lambda f, t: repair.repair(self.settings, damaged))

    def _compute(self, todo: list[date]) -> date | None:
        """Build, gate and publish what can be; returns the first date that did not go out."""
        self._build_all(todo)
        self._gate_all(todo)
        return self._publish_all(todo)

    def _ingest(self, first: date, last: date, as_of: AsOf) -> None:
        self._step("ingest", first, last, lambda f, t: self.steps["ingest"](f, t, as_of))

    def _ingest_all(self, todo: list[date]) -> None:
        """Each date as its own run sees it; those whose run is over as the first run here does."""
        over = self._attempted()

        def as_of(day: date) -> datetime:
            return self.seen_until(max(day, self.first) if day in over else day)

        self._ingest(todo[0], todo[-1], as_of)

    def _attempted(self) -> set[date]:
        """Dates whose publication was tried: still unreleased, they are retried by later runs."""
        found: set[date] = set()
        for row in ops.rows(self.settings, "run_step", "step = 'publish'"):
            found.update(date_range(row["first_date"], row["last_date"]))
        return found

    def _complete(self, todo: list[date]) -> list[date]:
        """The dates up to the first that lacks a delivery. What lies behind it cannot be built:
        registries, open items and balances are carried from date to date, and with a gap in them
        the gate would report breaks that are none."""
        lacking = missing_feeds(self.settings, todo)
        first_gap = min(lacking, default=None)
        return [day for day in todo if first_gap is None or day < first_gap]

    def _build_all(self, todo: list[date]) -> None:
        for part in _stretches(self._stale(self._complete(todo), todo)):
            self._build(part, todo)

    def _gate_all(self, todo: list[date]) -> None:
        judged = release.verdicts(self.settings, todo[0], todo[-1])
        ungated = [d for d in self._complete(todo) if judged[d].result == "not_gated"]
        for part in _stretches(ungated):
            self._step("gate", part[0], part[-1])

    def _publish_all(self, todo: list[date]) -> date | None:
        self.result.error = None
        lacking = missing_feeds(self.settings, todo)
        blocked = min(lacking, default=None)
        out = [day for day in todo if blocked is None or day < blocked]
        if blocked is not None:
            self.result.error = self._waiting(blocked)
        if out:
            try:
                self._step("publish", out[0], out[-1])
            except Held as error:
                self.result.error = error
        if isinstance(self.result.error, Waiting):
            self._record("publish", blocked, todo[-1], "waiting", self.result.error.sentence())
        return self._outcome(todo, lacking)

    def _outcome(self, todo: list[date], lacking: Mapping[date, list[str]]) -> date | None:
        through = release.in_force(self.settings).through
        left = [day for day in todo if through is None or day > through]
        for day in todo:
            if day not in left:
                self.result.dates[day] = "released"
            elif day in lacking:
                self.result.dates[day] = "waiting"
            else:
                self.result.dates[day] = "held" if day == left[0] else "behind"
        return left[0] if left else None

    def _waiting(self, day: date) -> Waiting:
        feeds = missing_feeds(self.settings, [day])[day]
        return Waiting(
            f"{day} waits for {', '.join(feeds)}",
            "It is taken up by the next run once the sender has delivered.",
            where=f"landing/inbox/{feeds[0]}/{day}",
        )

    def _report_alone(self, todo: list[date], day: date) -> None:
        """Reports of the date and of those released since the last report."""
        reported: set[date] = set()
        for row in ops.rows(self.settings, "run_step", "step = 'report' and result <> 'failed'"):
            reported.update(date_range(row["first_date"], row["last_date"]))
        released = [r.through for r in release.listing(self.settings)[1:]]
        for part in _stretches([d for d in released if d <= day and d not in reported]):
            self._step("report", part[0], part[-1])
        if todo:
            lacking = missing_feeds(self.settings, todo)
            if todo[0] in lacking:
                self.result.error = self._waiting(todo[0])
            else:
                verdict = release.verdicts(self.settings, todo[0], todo[0])[todo[0]]
                self.result.error = release.held(verdict)

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
            text = None if told is None else content.canonical(told).decode()
            self._record(name, first, last, result, text, started, time.monotonic() - clock)

    def _record(
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


def _stretches(days: list[date]) -> list[list[date]]:
    """Consecutive dates together: each stretch is one call."""
    found: list[list[date]] = []
    for day in days:
        if found and found[-1][-1] + timedelta(days=1) == day:
            found[-1].append(day)
        else:
            found.append([day])
    return found
