"""Stand-in steps for the run loop: deliveries with sending times, tables from the small world.

`ingest` records deliveries as the real one does (seen when sent up to the moment, refused once the
date is released); `build` writes the world's rows of a date, spoiled as long as a date lacks a part
that comes later; gate and publish are the real ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import expectations
from paylake import contracts, home, ops, release
from paylake.dates import date_range, run_time
from paylake.settings import Settings
from tests.expectations.gate_world import World, good

KPI = "work.mart_kpi__institution_day"
FEEDS = sorted(c.name for c in contracts.all_contracts("feed"))


@dataclass
class Institution:
    """:param sent: (feed, date, sequence) → moment of sending.
    :param spoiled: dates whose success rate is out of its band until sequence 2 of the
        transaction feed is there.
    """

    settings: Settings
    world: World = field(default_factory=lambda: good(5))
    sent: dict[tuple[str, date, int], datetime] = field(default_factory=dict)
    spoiled: set[date] = field(default_factory=set)
    calls: list[tuple[Any, ...]] = field(default_factory=list)

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
        return expectations.gate(self.settings, first, last)

    def publish(self, first: date, last: date) -> Any:
        self.calls.append(("publish", first, last))
        return release.publish(self.settings, first, last)

    def report(self, first: date, last: date) -> None:
        self.calls.append(("report", first, last))
