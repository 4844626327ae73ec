"""The pass over a range of dates: judge deliveries in order, then write each table once.

Order of effects, so that a kill at any point loses nothing: kept copy → tables → `ops` → the inbox
folder goes. What is found half done is done again and comes out the same.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ingestion import kept, log
from ingestion.control import Place, Received
from ingestion.evaluate import QUARANTINE_SCHEMA, Judged, joined_key, judge, unclassed_json
from ingestion.feeds import Feed
from ingestion.identifiers import Identifiers
from ingestion.readers import Parsed
from paylake import ops
from paylake.deliveries import Control
from paylake.keys import Keyring, TrustedKey
from paylake.lake import Lake
from paylake.settings import Settings

#: Rows held in memory before tables are written; bounds memory, not correctness.
FLUSH_ROWS = 2_500_000


@dataclass
class Candidate:
    """A delivery whose control file holds, with its parsed files and its event for the log."""

    control: Control
    files: dict[str, Parsed]
    event: dict[str, Any]
    is_new: bool


@dataclass
class Slot:
    """Rows of one feed and date, ready to be written."""

    bronze: list[pa.Table] = field(default_factory=list)
    quarantine: list[dict[str, Any]] = field(default_factory=list)
    digest: str = ""


class Pass:
    """One ingest over a range; the lease is held by the caller.

    A context manager: a thread of its own digests and seals what is kept, beside the judging.
    """

    def __init__(self, settings: Settings, first: date, last: date) -> None:
        self.settings = settings
        self.first, self.last = first, last
        self.lake = Lake(settings)
        keyring = Keyring(settings)
        self.seal_key = keyring.seal_key()
        self.tokeniser = keyring.tokeniser()
        self.identifiers = Identifiers(self.tokeniser)
        self.log = log.DeliveryLog(settings, first - timedelta(days=400), last)
        self.recorded = log.recorded_inputs(settings, first, last)
        self.closed = log.closed_through(settings)
        self.slots: dict[Feed, dict[date, Slot]] = {}
        self.keys: dict[tuple[str, date], list[pa.Array]] = {}
        self.events: list[dict[str, Any]] = []
        self.alarms: list[dict[str, Any]] = []
        self.done: list[Place] = []
        self.pending_rows = 0
        self.built: set[tuple[str, date]] = set()
        self.run_id = f"ingest-{uuid.uuid4().hex[:12]}"
        self.started = datetime.now(UTC)
        self.clock = time.monotonic()
        self._outputs: dict[str, dict[date, str]] = {}
        self.beside = ThreadPoolExecutor(1, "kept")
        self._keeping: list[Future[None]] = []

    def __enter__(self) -> Pass:
        return self

    def __exit__(self, *_: object) -> None:
        self.beside.shutdown(cancel_futures=True)

    @cached_property
    def trust(self) -> dict[str, TrustedKey]:
        """Senders' keys; a home without feeds that carry signatures may have none."""
        return Keyring(self.settings).trust()

    def keep(self, received: Received, clean: dict[str, bytes], digest: str) -> str:
        """Have a delivery kept beside the judging; returns its folder's path below the home.

        Nothing else is written before it is durable: `flush` waits for it.
        """
        place = kept.place(self.settings, received, digest)
        if place.is_new:
            self._keeping.append(
                self.beside.submit(kept.keep, self.settings, self.seal_key, received, clean, place)
            )
        return place.path

    # -- what is there -------------------------------------------------------------------------

    def is_closed(self, day: date) -> bool:
        return self.closed is not None and day <= self.closed

    def input_digest(self, feed: Feed, day: date, in_force: list[dict[str, Any]]) -> str:
        """Digest of everything that decides this feed's rows of this date."""
        listed = list(in_force)
        for back in range(1, feed.lookback_days + 1):
            listed += self.log.accepted(feed.name, day - timedelta(days=back))
        return log.input_digest(feed.digest, self.tokeniser.key_id, listed)

    def is_current(self, feed: Feed, day: date) -> bool:
        """True when the stored rows are those of the deliveries in force, judged by digests."""
        recorded = self.recorded.get((feed.name, day))
        in_force = self.log.accepted(feed.name, day)
        if recorded is None:
            return not in_force
        # A released date is only mended: a contract that changed since is a restatement's matter.
        if not self.is_closed(day) and recorded[0] != self.input_digest(feed, day, in_force):
            return False
        if feed.table not in self._outputs:
            self._outputs[feed.table] = log.output_digests(
                self.lake, feed.table, self.first, self.last
            )
        return recorded[1] == self._outputs[feed.table].get(day)

    # -- keys seen before ----------------------------------------------------------------------

    def stored_keys(self, feed: Feed, day: date) -> list[pa.Array]:
        """Accepted keys of an earlier date: of this pass, or of bronze."""
        known = self.keys.get((feed.name, day))
        if known is None:
            known = []
            if self.lake.exists("bronze", feed.table):
                names = ", ".join(f'"{name}"' for name in feed.key)
                table = self.lake.query(
                    f"select {names} from bronze.{feed.table} where business_date = $day",
                    {"day": day},
                )
                known = [joined_key(table, feed.key)] if table.num_rows else []
            self.keys[(feed.name, day)] = known
        return known

    def seen_before(self, feed: Feed, day: date, files: dict[str, Parsed]) -> list[pa.Array]:
        """Keys of earlier dates that rows of this delivery could repeat.

        The dates within the contract's lookback, and for rows about older events the dates on
        which such an event may have been delivered.
        """
        if not feed.lookback_days:
            return []
        days = {day - timedelta(days=n) for n in range(1, feed.lookback_days + 1)}
        oldest = min(days)
        for event_day in self._event_days(feed, files):
            if event_day < oldest:
                days |= {event_day + timedelta(days=n) for n in range(feed.lateness_days + 2)}
        return [key for d in sorted(days) if d < day for key in self.stored_keys(feed, d)]

    def _event_days(self, feed: Feed, files: dict[str, Parsed]) -> list[date]:
        found: set[date] = set()
        if feed.event_column is None:
            return []
        for parsed in files.values():
            column = parsed.table.column(feed.event_column)
            texts = pc.unique(pc.utf8_slice_codeunits(column, 0, 10))
            for text in texts.to_pylist():
                if text is not None:
                    with contextlib.suppress(ValueError):  # a bad date is a bad row, found later
                        found.add(date.fromisoformat(text))
        return sorted(found)

    # -- one feed and date ---------------------------------------------------------------------

    def build(self, feed: Feed, day: date, candidates: list[Candidate]) -> None:
        """Judge the deliveries of a feed and date in sequence order and stage their rows."""
        in_force: dict[int, tuple[Candidate, Judged]] = {}
        replaced: set[int] = set()
        for candidate in sorted(candidates, key=lambda c: c.control.sequence):
            control = candidate.control
            gone = control.supersedes
            twin = self._twin(candidate, in_force)
            if twin is not None:
                judged = Judged(control.delivery_id, candidate.files).refuse(
                    "same_content", f"the same data as {twin}"
                )
            elif candidate.is_new and gone is not None and gone not in in_force:
                judged = Judged(control.delivery_id, candidate.files).refuse(
                    "supersedes_unknown", f"sequence {gone} is not in force"
                )
            else:
                judged = self._judge(feed, day, candidate, in_force, gone)
            if judged.reason is None:
                if gone in in_force:
                    replaced.add(gone)
                    self._superseded(in_force.pop(gone)[0], control)
                in_force[control.sequence] = (candidate, judged)
            self._record(candidate, judged)
        if replaced:  # what came between was judged beside rows that are no longer there
            staged, in_force = dict(in_force), {}
            for sequence, (candidate, _) in sorted(staged.items()):
                judged = self._judge(feed, day, candidate, in_force, None)
                if judged.reason is None:
                    in_force[sequence] = (candidate, judged)
                self._record(candidate, judged)
        self._stage(feed, day, in_force)

    @staticmethod
    def _twin(
        candidate: Candidate, in_force: dict[int, tuple[Candidate, Judged]]
    ) -> str | None:
        """The accepted delivery of this pass with the same data. It is looked for here, once the
        earlier one was judged: a refused one's data may come again."""
        if not candidate.is_new:
            return None
        digest = candidate.event["data_digest"]
        same = (c for c, _ in in_force.values() if c.event["data_digest"] == digest)
        return next((c.control.delivery_id for c in same), None)

    def _judge(
        self,
        feed: Feed,
        day: date,
        candidate: Candidate,
        in_force: dict[int, tuple[Candidate, Judged]],
        without: int | None,
    ) -> Judged:
        seen = self.seen_before(feed, day, candidate.files)
        for sequence, (_, earlier) in in_force.items():
            if sequence != without:
                seen += earlier.keys
        return judge(
            feed, candidate.control, candidate.files, seen, self.identifiers, self.seal_key,
            self.trust if feed.signed_document else {},
        )

    def _superseded(self, candidate: Candidate, by: Control) -> None:
        self.events.append(
            {
                **candidate.event,
                "state": "superseded",
                "reason_code": None,
                "reason": f"replaced by {by.delivery_id}",
            }
        )

    def _record(self, candidate: Candidate, judged: Judged) -> None:
        states = {None: "accepted", "same_content": "ignored_duplicate"}
        event = {
            **candidate.event,
            "state": states.get(judged.reason, "refused"),
            "reason_code": judged.reason,
            "reason": (judged.detail or judged.note) or None,
            "rows_accepted": judged.accepted,
            "rows_quarantined": len(judged.quarantine),
            "unclassed_columns": unclassed_json(judged.unclassed),
        }
        compared = ("state", "reason_code", "reason", "rows_accepted", "rows_quarantined")
        if candidate.is_new or any(event[n] != candidate.event.get(n) for n in compared):
            self.events.append(event)
        candidate.event.update(event)
        if candidate.is_new and judged.reason is None:
            for name in judged.unclassed:
                self.alarms.append(
                    {
                        "business_date": event["business_date"],
                        "alarm_code": "unclassed_column",
                        "subject": f"{event['feed']}.{name}",
                        "severity": "warning",
                        "state": "raised",
                        "detail": "No contract classes this column: it is kept sealed and shown "
                        f"nowhere. Class it in contracts/feeds/{event['feed']}.yml.",
                    }
                )

    def _stage(
        self, feed: Feed, day: date, in_force: dict[int, tuple[Candidate, Judged]]
    ) -> None:
        slot = Slot()
        events = []
        keys: list[pa.Array] = []
        for _, (candidate, judged) in sorted(in_force.items()):
            assert judged.bronze is not None
            slot.bronze.append(judged.bronze)
            slot.quarantine += judged.quarantine
            keys += judged.keys
            events.append(candidate.event)
            self.pending_rows += judged.accepted
        self.keys[(feed.name, day)] = keys
        # Later dates of this pass look back on what is in force now.
        self.log.now_in_force(feed.name, day, events)
        slot.digest = self.input_digest(feed, day, events)
        self.slots.setdefault(feed, {})[day] = slot
        self.built.add((feed.name, day))

    # -- writing -------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what is staged: tables, then the log; then let the inbox folders go."""
        for keeping in self._keeping:
            keeping.result()
        self._keeping.clear()
        self.identifiers.store(self.lake, self.seal_key)
        self.identifiers.forget()
        details: dict[str, dict[str, list[str]]] = {}
        for feed, slots in self.slots.items():
            self._write(feed, slots)
            days = sorted(slots)
            outputs = log.output_digests(self.lake, feed.table, days[0], days[-1])
            details[feed.name] = {
                day.isoformat(): [slots[day].digest, outputs[day]] for day in days
            }
        ops.record(self.settings, "delivery", self.events)
        ops.record(self.settings, "alarm", self.alarms)
        if details:
            days = [day for slots in self.slots.values() for day in slots]
            ops.record(
                self.settings,
                "run_step",
                [
                    {
                        "run_id": f"{self.run_id}-{min(days)}",
                        "step": log.INPUTS_STEP,
                        "first_date": min(days),
                        "last_date": max(days),
                        "started_at": self.started,
                        "seconds": round(time.monotonic() - self.clock, 3),
                        "result": "done",
                        "detail": json.dumps(details, separators=(",", ":")),
                    }
                ],
            )
        for place in self.done:
            shutil.rmtree(place.path)
            with contextlib.suppress(OSError):  # other deliveries of the date are still there
                place.path.parent.rmdir()
        flushed = {day for slots in self.slots.values() for day in slots}
        if flushed:
            horizon = max(flushed) - timedelta(days=7)
            self.keys = {k: v for k, v in self.keys.items() if k[1] >= horizon}
        self.slots, self.events, self.alarms, self.done = {}, [], [], []
        self.pending_rows = 0

    def _write(self, feed: Feed, slots: dict[date, Slot]) -> None:
        schema = feed.contract.arrow_schema
        self.lake.ensure("bronze", feed.table, schema)
        self.lake.ensure("quarantine", feed.table, QUARANTINE_SCHEMA)
        for run in _contiguous(sorted(slots)):
            pieces = [piece for day in run for piece in slots[day].bronze]
            bronze = pa.concat_tables(pieces) if pieces else schema.empty_table()
            rows = [row for day in run for row in slots[day].quarantine]
            refused = pa.Table.from_pylist(rows, schema=QUARANTINE_SCHEMA)
            for layer, data in (("bronze", bronze), ("quarantine", refused)):
                if data.num_rows or self._has_rows(layer, feed.table, run[0], run[-1]):
                    self.lake.replace(layer, feed.table, data, run[0], run[-1])

    def _has_rows(self, layer: str, table: str, first: date, last: date) -> bool:
        found = self.lake.query(
            f"select 1 from {layer}.{table} where business_date between $first and $last limit 1",
            {"first": first, "last": last},
        )
        return found.num_rows > 0


def _contiguous(days: list[date]) -> list[list[date]]:
    """Runs of days without a gap, each replaced by one commit."""
    runs: list[list[date]] = []
    for day in days:
        if runs and day - runs[-1][-1] == timedelta(days=1):
            runs[-1].append(day)
        else:
            runs.append([day])
    return runs
