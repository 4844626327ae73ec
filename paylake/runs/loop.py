"""The loop over dates: pending ones first, each with what its own run could see."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from paylake import ops, release
from paylake.dates import date_range, run_time
from paylake.errors import Held, NotVerified, Waiting
from paylake.runs.due import is_simulated, missing_feeds, pending, stretches
from paylake.runs.mending import Mending
from paylake.runs.steps import RunResult
from paylake.settings import Settings

AsOf = Callable[[date], datetime]


class Loop(Mending):
    """A run of the dates first to last, or one step of it."""

    def __init__(
        self, settings: Settings, first: date, last: date,
        steps: Mapping[str, Callable[..., Any]], as_of: datetime | None,
    ) -> None:
        super().__init__(settings, steps)
        self.first, self.last = first, last
        self.now = as_of or (None if is_simulated(settings) else datetime.now(UTC))

    def seen_until(self, day: date) -> datetime:
        """What the run of a date sees."""
        return self.now or run_time(day, self.settings)

    def run(self) -> RunResult:
        days = date_range(self.first, self.last)
        todo = pending(self.settings, self.last, self.first)
        self.result.dates = {day: "unchanged" for day in days if day not in todo}
        with self.recorded():
            self.mend([day for day in days if day not in todo])
            if todo:
                self._run(todo)
            if "report" in self.steps:
                done = {d for d, r in self.result.dates.items() if r in ("released", "unchanged")}
                for part in stretches(sorted(done | set(self._unreported(self.last)))):
                    self._report(part[0], part[-1])
            self._refuse()
        return self.result

    def _report(self, first: date, last: date) -> None:
        outcome = self.step("report", first, last)
        self.result.mended += getattr(outcome, "mended", ())
        self.result.refused += getattr(outcome, "damaged", ())

    def _refuse(self) -> None:
        """What is damaged and cannot be made again; everything else was done all the same."""
        refused = self.result.refused
        if refused and self.result.error is None:
            more = f", and {len(refused) - 1} more" if len(refused) > 1 else ""
            self.result.error = NotVerified(
                f"{refused[0]}{more}; nothing here can make it again",
                "Restore it from the backup (`bin/paylake restore`).",
            )

    def step_alone(self, name: str) -> RunResult:
        """One step for the date and the unreleased ones before it."""
        day = self.last
        todo = pending(self.settings, day)
        with self.recorded():
            if name == "report":
                self._report_alone(todo, day)
            elif todo:
                getattr(self, f"_{name}_all")(todo)
            if name == "ingest" and todo and day in missing_feeds(self.settings, [day]):
                self.result.error = self._waiting(day)
        return self.result

    def _run(self, todo: list[date]) -> None:
        self._ingest_all(todo)
        blocked = self._compute(todo)
        for this in [d for d in todo if d > self.first]:
            if blocked is None:
                break
            if this <= blocked or self.seen_until(this) == self.seen_until(self.first):
                continue
            before = self.inputs(todo)
            self._ingest(blocked, this, lambda day, this=this: self.seen_until(this))
            if self.inputs(todo) != before:
                blocked = self._compute([d for d in todo if d >= blocked])

    def _compute(self, todo: list[date]) -> date | None:
        """Build, gate and publish what can be; returns the first date that did not go out."""
        self._build_all(todo)
        self._gate_all(todo)
        return self._publish_all(todo)

    def _ingest(self, first: date, last: date, as_of: AsOf) -> None:
        self.step("ingest", first, last, lambda f, t: self.steps["ingest"](f, t, as_of))

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
        for part in stretches(self.stale(self._complete(todo), todo)):
            self.build(part, todo)

    def _gate_all(self, todo: list[date]) -> None:
        judged = release.verdicts(self.settings, todo[0], todo[-1])
        ungated = [d for d in self._complete(todo) if judged[d].result == "not_gated"]
        for part in stretches(ungated):
            self.step("gate", part[0], part[-1])

    def _publish_all(self, todo: list[date]) -> date | None:
        self.result.error = None
        lacking = missing_feeds(self.settings, todo)
        blocked = min(lacking, default=None)
        out = [day for day in todo if blocked is None or day < blocked]
        if blocked is not None:
            self.result.error = self._waiting(blocked)
        if out:
            try:
                self.step("publish", out[0], out[-1])
            except Held as error:
                self.result.error = error
        if isinstance(self.result.error, Waiting):
            self.record("publish", blocked, todo[-1], "waiting", self.result.error.sentence())
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

    def _unreported(self, day: date) -> list[date]:
        """Released dates up to `day` whose report never ran: a kill may come between the two."""
        reported: set[date] = set()
        for row in ops.rows(self.settings, "run_step", "step = 'report' and result <> 'failed'"):
            reported.update(date_range(row["first_date"], row["last_date"]))
        released = release.naming(release.listing(self.settings))
        return [d for d in released if d <= day and d not in reported]

    def _report_alone(self, todo: list[date], day: date) -> None:
        """Reports of the date and of those released since the last report."""
        for part in stretches(self._unreported(day)):
            self._report(part[0], part[-1])
        if todo:
            lacking = missing_feeds(self.settings, todo)
            if todo[0] in lacking:
                self.result.error = self._waiting(todo[0])
            else:
                verdict = release.verdicts(self.settings, todo[0], todo[0])[todo[0]]
                self.result.error = release.held(verdict)
