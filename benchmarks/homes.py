"""Homes that the measurements run in: one with the history, and a copy of it for each engine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from benchmarks import measure
from paylake import settings as settings_module
from paylake.errors import PermanentFailure
from paylake.settings import Settings
from simulator import bulk
from simulator.params import Params

#: Rows of transactions that one pass over history takes in.
CHUNK_ROWS = 2_000_000
START = date(2026, 9, 12)


@dataclass
class Stage:
    """A folder with everything of one benchmark."""

    root: Path
    params: Params
    tell: Callable[[str], None]

    @property
    def base(self) -> Settings:
        return settings_module.load({}, home=self.root / "base", engine="sail")

    @property
    def peer(self) -> Path:
        return self.root / "peer"

    @property
    def log(self) -> Path:
        return self.root / "benchmark.log"

    def until(self, days: list[int]) -> Iterator[date]:
        """Prepare history up to each measured day, whose whole feeds then lie in the inbox.

        When asked for the next, the measured day itself becomes history.
        """
        measured = [self.params.start + timedelta(days=n - 1) for n in days]
        summarised = [d for d in self.params.dates() if d not in measured]
        chunk = max(1, CHUNK_ROWS // self.params.txns)
        waiting: list[date] = []
        # One pass over history runs while the next dates are written; nothing runs beside a
        # measured day.
        with ThreadPoolExecutor(1) as background:
            passing: Future[None] | None = None
            for day, _ in bulk.write_days(self.base, self.params, summarised=summarised):
                if day not in measured and len(waiting) + 1 < chunk:
                    waiting.append(day)
                    continue
                if passing is not None:
                    passing.result()
                if day in measured:
                    self._take_in(waiting)
                    passing, waiting = None, [day]
                    yield day
                else:
                    passing, waiting = background.submit(self._take_in, [*waiting, day]), []

    def _take_in(self, days: list[date]) -> None:
        """Make dates that are in the inbox history: the peer's first, because ingest empties it."""
        if not days:
            return
        self.tell(f"history {days[0]} to {days[-1]}")
        todo = [day for day in days if not self.peer_has(day)]
        if todo:
            self.run_peer(todo[0], todo[-1], is_summary=True)
        measure.run(
            "benchmarks.step", str(self.base.home), "sail", "history", str(days[0]),
            str(days[-1]), log=self.log,
        )
        # Nothing opens them again here, and they are most of what history weighs.
        shutil.rmtree(self.base.path("landing", "kept"))

    def peer_has(self, day: date) -> bool:
        return (self.peer / "silver.transaction" / f"{day}.parquet").exists()

    def run_peer(self, first: date, last: date, is_summary: bool) -> measure.Measured:
        """The peer's days in one process, from the files in the base home's inbox."""
        return measure.run(
            "benchmarks.peer", "--inbox", str(self.base.path("landing", "inbox")),
            "--out", str(self.peer), "--home", str(self.base.home), "--date", str(first),
            "--to", str(last), *(["--summary"] if is_summary else []), log=self.log,
        )

    def copy_for(self, engine: str, day: date) -> Settings:
        """A home of its own for an engine, with the history and the measured day's deliveries."""
        home = self.root / f"{engine}-{day}"
        # Files of the lake and of the inbox are never changed in place: links are enough.
        shutil.copytree(self.base.home, home, copy_function=self._link, symlinks=True)
        copy = settings_module.load({}, home=home, engine=engine)
        if day > self.params.start:
            before = str(day - timedelta(days=1))
            measure.run("benchmarks.step", str(home), "sail", "base", before, log=self.log)
        return copy

    def _link(self, source: str, target: str) -> str:
        if Path(source).relative_to(self.base.home).parts[0] in ("lake", "landing"):
            os.link(source, target)
            return target
        return shutil.copy2(source, target)

    def run_step(self, settings: Settings, step: str, day: date) -> measure.Measured:
        return measure.run(
            "benchmarks.step", str(settings.home), settings.engine, step, str(day), log=self.log
        )

    def check_disk(self, days: int) -> None:
        """:raises PermanentFailure: when the disk is too small for what will be written."""
        needed = self.params.txns * (400 * days + 12_000)
        free = shutil.disk_usage(self.root).free
        if free < needed:
            raise PermanentFailure(
                f"About {needed / 1e9:.0f} GB are needed and {free / 1e9:.0f} GB are free",
                "Give fewer --txns or --days, or another --work folder.",
                where=str(self.root),
            )


def world(txns: int, days: int, seed: int) -> Params:
    """The world of a benchmark: small shops by the thousand, as bulk feeds have them.

    :param days: the last date that is measured.
    """
    merchants = max(20, min(3_000, txns // 300))
    return Params(START, days, merchants, 3 * merchants, txns, seed)


