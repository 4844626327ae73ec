"""Stand-in steps for the run loop: deliveries with sending times, tables from the small world.

`ingest` records deliveries as the real one does (seen when sent up to the moment, refused once the
date is released); `build` writes the world's rows of a date, spoiled as long as a date lacks a part
that comes later; publish is the real one, and so is the gate, unless a test about the loop takes a
quick one, which asks two things alone.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import expectations
from paylake import content, contracts, home, ops, release
from paylake.dates import date_range, run_time
from paylake.lake import Lake
from paylake.settings import Settings
from tests.expectations.gate_world import World, good

KPI = "work.mart_kpi__institution_day"
BAND = "kpi_success_rate_band"
FEEDS = sorted(c.name for c in contracts.all_contracts("feed"))


@dataclass
class Institution:
    """:param sent: (feed, date, sequence) → moment of sending.
    :param spoiled: dates whose success rate is out of its band until sequence 2 of the
        transaction feed is there.
    :param is_real: whether the gate is the real one.
    :param lossy: dates that fail the quick gate's other check, which cannot be waived.
    """

    settings: Settings
    world: World = field(default_factory=lambda: good(5))
    sent: dict[tuple[str, date, int], datetime] = field(default_factory=dict)
    spoiled: set[date] = field(default_factory=set)
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    is_real: bool = True
    lossy: frozenset[date] = frozenset()

    def __post_init__(self) -> None:
        home.claim(self.settings, home.Home("simulated", {"seed": 1}))
        for day in self.world.days:
            for feed in FEEDS:
                self.sent[feed, day, 1] = run_time(day, self.settings) - timedelta(hours=2)

    @property
    def days(self) -> list[date]:
        return self.world.days

    def steps(self) -> dict[str, Callable[..., Any]]:
        return {
            "ingest": self.ingest,
            "build": self.build,
            "gate": self.gate,
            "publish": self.publish,
            "report": self.report,
        }

    def ingest(self, first: date, last: date, as_of: Callable[[date], datetime]) -> None:
        self.calls.append(("ingest", first, last))
        through = release.in_force(self.settings).through
        known = {row["delivery_id"]: row["state"] for row in ops.latest(self.settings, "delivery")}
        rows = []
        for (feed, day, sequence), moment in sorted(self.sent.items()):
            name = f"{feed}/{day}/{sequence}"
            if not first <= day <= last or moment > as_of(day) or name in known:
                continue
            closed = through is not None and day <= through
            rows.append(
                {
                    "feed": feed, "business_date": day, "sequence": sequence,
                    "delivery_id": name, "state": "refused" if closed else "accepted",
                    "reason_code": "date_closed" if closed else None, "sent_at": moment,
                    "data_digest": name.encode().hex()[:64], "rows_accepted": 1,
                    "rows_quarantined": 0,
                }
            )
        ops.record(self.settings, "delivery", rows)

    def build(self, first: date, last: date) -> None:
        self.calls.append(("build", first, last))
        complete = {
            row["business_date"]
            for row in ops.latest(
                self.settings, "delivery",
                "feed = 'transaction' and sequence = 2 and state = 'accepted'",
            )
        }
        for day in date_range(first, last):
            rate = 0.5 if day in self.spoiled - complete else 1.0

            def edit(rows: list[dict[str, Any]], rate: float = rate) -> list[dict[str, Any]]:
                return [{**row, "success_rate": rate} for row in rows]

            self.world.change(KPI, day, edit)
        self.world.write(self.settings, first, last)

    def gate(self, first: date, last: date) -> Any:
        self.calls.append(("gate", first, last))
        return expectations.gate(self.settings, first, last) if self.is_real else self._quick()

    def _quick(self) -> None:
        _, first, last = self.calls[-1]
        lake = Lake(self.settings)
        rates = lake.query(f"select business_date as d, success_rate as r from {KPI}").to_pylist()
        this = uuid.uuid4().hex
        low = {row["d"] for row in rates if row["r"] < 0.85}
        ops.record(self.settings, "gate_result", [
            {
                "business_date": day, "run_id": this, "suite": "test",
                "check_code": code, "severity": "fail", "owner": "test", "observed": "0.5",
                "result": "fail" if day in failing else "pass", "expected": "none",
                "input_digest": digest, "is_waivable": code == BAND,
            }
            for day, digest in content.gated(lake, first, last).items()
            for code, failing in ((BAND, low), ("totals", self.lossy))
        ])

    def publish(self, first: date, last: date) -> Any:
        self.calls.append(("publish", first, last))
        return release.publish(self.settings, first, last)

    def report(self, first: date, last: date) -> None:
        self.calls.append(("report", first, last))
