"""The delivery log (`ops.delivery`) as ingestion reads it, and what was built from which inputs.

A delivery is known by its name *and* its content (`delivery_id`, `data_digest`): other content
under an accepted name is refused without hiding the accepted one.
"""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

from paylake import ops
from paylake.crypto import sm3_hex
from paylake.lake import Lake
from paylake.release import in_force
from paylake.settings import Settings

INPUTS_STEP = "ingest_inputs"
NOTHING = sm3_hex(b"")


def closed_through(settings: Settings) -> date | None:
    """The last released business date: deliveries up to it come too late."""
    return in_force(settings).through


class DeliveryLog:
    """Newest event of every delivery of a range of business dates."""

    def __init__(self, settings: Settings, first: date, last: date) -> None:
        self._events: dict[tuple[str, date], list[dict[str, Any]]] = {}
        for event in ops.latest(
            settings,
            "delivery",
            "business_date between $first and $last",
            {"first": first, "last": last},
        ):
            self._events.setdefault((event["feed"], event["business_date"]), []).append(event)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for events in self._events.values() for event in events]

    def of(self, feed: str, day: date) -> list[dict[str, Any]]:
        return self._events.get((feed, day), [])

    def now_in_force(self, feed: str, day: date, events: list[dict[str, Any]]) -> None:
        """Put these in the place of the accepted deliveries of a feed and date."""
        others = [e for e in self.of(feed, day) if e["state"] != "accepted"]
        self._events[(feed, day)] = others + events

    def accepted(self, feed: str, day: date) -> list[dict[str, Any]]:
        """Deliveries in force, in sequence order."""
        found = [e for e in self.of(feed, day) if e["state"] == "accepted"]
        return sorted(found, key=lambda e: e["sequence"])

    def waiting(self, feed: str, day: date, sequence: int) -> dict[str, Any] | None:
        return next(
            (
                e
                for e in self.of(feed, day)
                if e["state"] == "waiting" and e["sequence"] == sequence
            ),
            None,
        )

    def same_content(self, feed: str, day: date, digest: str) -> dict[str, Any] | None:
        """A delivery with these data digests that was taken (a refused one frees them)."""
        return next(
            (
                e
                for e in self.of(feed, day)
                if e["data_digest"] == digest and e["state"] in ("accepted", "superseded")
            ),
            None,
        )


def input_digest(feed_digest: str, key_id: str, deliveries: list[dict[str, Any]]) -> str:
    """What decides the rows of a feed and date: contract, token key, deliveries in force."""
    listed = [f"{e['delivery_id']}={e['data_digest']}" for e in deliveries]
    return sm3_hex("\n".join([feed_digest, key_id, *listed]).encode())


def recorded_inputs(
    settings: Settings, first: date, last: date
) -> dict[tuple[str, date], list[str]]:
    """(feed, date) → [input digest, output digest] of the newest build."""
    found: dict[tuple[str, date], list[str]] = {}
    for row in ops.rows(
        settings,
        "run_step",
        f"step = '{INPUTS_STEP}' and last_date >= $first and first_date <= $last",
        {"first": first, "last": last},
    ):
        for feed, days in json.loads(row["detail"]).items():
            for day, digests in days.items():
                found[(feed, date.fromisoformat(day))] = digests
    return found


def output_digests(lake: Lake, table: str, first: date, last: date) -> dict[date, str]:
    """Digest over the stored files of each date's bronze and quarantine rows.

    Of files, not of rows: a deleted or changed file is found at the speed of reading it.
    """
    parts: dict[date, list[str]] = {}
    for layer in ("bronze", "quarantine"):
        if not lake.exists(layer, table):
            continue
        actions = lake.actions(layer, table)
        names = actions.column("path").to_pylist()
        days = (
            actions.column("partition.business_date").to_pylist()
            if names
            else []
        )
        for name, value in zip(names, days, strict=True):
            day = value if isinstance(value, date) else date.fromisoformat(str(value))
            if not first <= day <= last:
                continue
            digest = lake.file_digest(layer, table, name) or "missing"
            parts.setdefault(day, []).append(f"{layer}/{name}={digest}")
    day = first
    result = {}
    while day <= last:
        result[day] = sm3_hex("\n".join(sorted(parts.get(day, []))).encode())
        day += timedelta(days=1)
    return result
