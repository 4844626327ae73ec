"""Let the institution trade: post to the ledger, close and export the date, send the feeds.

Resumable and idempotent: commands carry their business key as idempotency key, a day closes once,
a delivery that is there is left alone, and a finished date leaves a marker.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from ledger.client import BATCH_LIMIT, LedgerClient
from paylake import dates, release
from paylake.crypto import sm3_hex
from paylake.deliveries import DeliveryFile, inbox_path, write_delivery
from paylake.errors import PermanentFailure, UsageFault
from paylake.keys import Keyring
from paylake.settings import Settings
from simulator import answers
from simulator.commands import accounts, commands, parties, utc_texts
from simulator.outbox import LEDGER_TIME, ZONE, Outbox, Sending, at, outbox
from simulator.params import Params
from simulator.records import Day, State
from simulator.registration import Registrar
from simulator.world import World

#: Changes when the same parameters give another world.
WORLD_FORMAT = "paylake-world/1"
_KEEP_BYTES = 300_000_000
_LEDGER_FEEDS = ("ledger_journal", "ledger_balance", "ledger_head", "ledger_event")
#: What dates sent whose marker does not say, because an older program made them.
_FIRST_LEDGER_FEEDS = _LEDGER_FEEDS[:2]

Progress = Callable[[date, str], None]


@dataclass(frozen=True)
class Simulated:
    """What a call did: dates made now, dates found done, commands posted, deliveries written."""

    first: date
    last: date
    dates_made: int
    dates_found: int
    commands: int
    deliveries: int

    def as_dict(self) -> dict[str, Any]:
        return {**vars(self), "first": self.first.isoformat(), "last": self.last.isoformat()}


def simulate(
    settings: Settings,
    client: LedgerClient,
    first: date,
    last: date,
    progress: Progress | None = None,
) -> Simulated:
    """Simulate the dates from first to last.

    The answer file is complete before the first command is posted.

    :param progress: called with a date and `answers`, `made` or `found` when that is finished.
    :raises UsageFault: for dates outside the world, or when an earlier date is not simulated yet.
    :raises PermanentFailure: when the home holds another world, or the ledger's books differ from
        the world's.
    """
    wanted = dates.date_range(first, last)
    run = _Run(settings, client, progress or (lambda day, what: None))
    run.check_place(first, last)
    if not answers.answers_path(settings).exists():
        run.world()
    made = found = posted = written = 0
    for day in wanted:
        marker = run.marker(day)
        if marker is not None:
            written += run.mend(day, marker)
            found += 1
            run.progress(day, "found")
            continue
        count, sent = run.date(day)
        made, posted, written = made + 1, posted + count, written + sent
        run.progress(day, "made")
    return Simulated(first, last, made, found, posted, written)


def world_digest(params: Params) -> str:
    """What a home's world is recognised by."""
    return sm3_hex(f"{WORLD_FORMAT} {json.dumps(params.document(), sort_keys=True)}".encode())


class _Run:
    """One call: the world is made only when something is to do."""

    def __init__(self, settings: Settings, client: LedgerClient, progress: Progress) -> None:
        if settings.cutoff != "23:00" or settings.zone != "Asia/Shanghai":
            raise UsageFault(
                f"The simulated institution cuts off at 23:00 in Asia/Shanghai, the settings say "
                f"{settings.cutoff} in {settings.zone}",
                "Leave PAYLAKE_CUTOFF and PAYLAKE_ZONE at their defaults for a simulated home.",
            )
        self.settings = settings
        self.client = client
        self.progress = progress
        self.params = Params.from_settings(settings)
        self.digest = world_digest(self.params)
        self._world: World | None = None
        self._boxes: dict[date, Outbox] = {}
        self._registrar: Registrar | None = None
        self.released = release.in_force(settings).through
        self._check_home()

    def _check_home(self) -> None:
        path = answers.answers_path(self.settings)
        if not path.exists():
            return
        held = orjson.loads(path.read_bytes())["params"]
        if held != self.params.document():
            differing = sorted(k for k in held if held[k] != self.params.document().get(k))
            raise PermanentFailure(
                f"This home holds another simulated world: {', '.join(differing)} differ",
                "Give a home of its own (PAYLAKE_HOME), or the parameters that it was made with.",
                where=str(path),
            )

    def check_place(self, first: date, last: date) -> None:
        """Dates are simulated in order, without gaps."""
        if first < self.params.start or last > self.params.last:
            raise UsageFault(
                f"{first} to {last} is not inside the world's {self.params.start} to "
                f"{self.params.last}",
                "Give dates in that period, or another START and DAYS.",
            )
        before = first - timedelta(days=1)
        if first > self.params.start and self.marker(before) is None:
            raise UsageFault(f"{before} is not simulated yet", f"Begin with {self.params.start}.")

    def world(self) -> World:
        """The world; its answer file is there before anything is asked of it."""
        if self._world is None:
            self._world = World(self.params)
            Keyring(self.settings).ensure_demo()
            if not answers.answers_path(self.settings).exists():
                answers.write_answers(self.settings, self._world, boxes=self.box)
                self.progress(self.params.start, "answers")
        return self._world

    def box(self, day: date) -> Outbox:
        """A date's deliveries, kept while they fit into memory: the answer file needs them too."""
        if day not in self._boxes:
            assert self._world is not None
            made = outbox(self._world, day)
            held = sum(len(s.content) for b in self._boxes.values() for s in b.sendings)
            if held > _KEEP_BYTES:
                return made
            self._boxes[day] = made
        return self._boxes[day]

    # -- one date ------------------------------------------------------------------------------

    def date(self, day: date) -> tuple[int, int]:
        """Post, close, export, send. Returns commands posted and deliveries written."""
        world = self.world()
        made = world.day(day)
        posted = 0
        closed = self.client.health().get("last_closed")
        if closed is None or closed < day.isoformat():
            posted = self._post(world, made)
        head = self.client.close_day(day)
        _same_books(made.closing, head)
        self.client.export_day(day, at(day, LEDGER_TIME))
        sendings = self.box(day).sendings
        written = sum(self._send(sending) for sending in sendings)
        self._boxes.pop(day, None)
        self._mark(day, {
            "world": self.digest,
            "commands": len(made.operations),
            "chain_digest": head["chain_digest"],
            "deliveries": [sending.delivery_id for sending in sendings],
            "ledger_feeds": _LEDGER_FEEDS,
        })
        return posted, written

    def _post(self, world: World, made: Day) -> int:
        day = made.day
        self.client.set_clock(datetime.combine(day, time(22, 59, 59), ZONE))
        self._register(world, made)
        opened = self.client.open_accounts(accounts(world.people, made.operations))
        _all_well(day, opened, {"opened", "already_open"})
        batch = commands(world.people, made)
        for begin in range(0, len(batch), BATCH_LIMIT):
            results = self.client.batch(batch[begin:begin + BATCH_LIMIT])
            _all_well(day, results, {"posted"})
        self.client.set_clock(datetime.combine(day, time(23, 5), ZONE))
        return len(batch)

    def _register(self, world: World, made: Day) -> None:
        if self._registrar is None:
            self._registrar = Registrar(self.settings, self.client, world.people)
        merchants, users = parties(world.people, made.operations)
        begin = utc_texts(made.day, np.zeros(1, dtype=np.int64))[0]
        self._registrar.register(merchants, users, made.day, begin)

    def _send(self, sending: Sending) -> int:
        """Write one delivery unless it is there. Returns how many were written."""
        if _is_delivered(self.settings, sending.feed, sending.day, sending.sequence):
            self._cut(sending)
            return 0
        write_delivery(
            self.settings, sending.feed, sending.day, sending.sequence,
            [DeliveryFile(sending.name, sending.content, sending.rows)],
            sending.sent_at, sending.key_id, sending.totals,
        )
        self._cut(sending)
        return 1

    def _cut(self, sending: Sending) -> None:
        """Truncate what is planted to be truncated; its control file describes the whole."""
        if sending.cut_to is None:
            return
        path = inbox_path(self.settings, sending.feed, sending.day, sending.sequence) / sending.name
        if path.exists() and path.stat().st_size != sending.cut_to:
            os.truncate(path, sending.cut_to)

    # -- markers -------------------------------------------------------------------------------

    def _marker_path(self, day: date) -> Path:
        return self.settings.path("simulator", "dates", f"{day.isoformat()}.json")

    def marker(self, day: date) -> dict[str, Any] | None:
        """What a finished date left behind.

        :raises PermanentFailure: when it is of another world.
        """
        path = self._marker_path(day)
        if not path.exists():
            return None
        found = orjson.loads(path.read_bytes())
        if found["world"] != self.digest:
            raise PermanentFailure(
                f"{day} was simulated with other parameters or another version",
                "Give a home of its own (PAYLAKE_HOME), or remove this one.",
                where=str(path),
            )
        return found

    def _mark(self, day: date, content: dict[str, Any]) -> None:
        path = self._marker_path(day)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        partial.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n")
        partial.replace(path)

    def mend(self, day: date, marker: dict[str, Any]) -> int:
        """Send again what a finished date sent and is nowhere any more."""
        lost = []
        for delivery_id in marker["deliveries"]:
            feed, _, sequence = delivery_id.split("/")
            if not _is_delivered(self.settings, feed, day, int(sequence)):
                lost.append(delivery_id)
        if any(
            not _is_delivered(self.settings, feed, day, 1)
            for feed in self._sent_by_ledger(day, marker)
        ):
            self.client.export_day(day, at(day, LEDGER_TIME))
        if not lost:
            return 0
        self.world()
        return sum(self._send(s) for s in self.box(day).sendings if s.delivery_id in lost)

    def _sent_by_ledger(self, day: date, marker: dict[str, Any]) -> Sequence[str]:
        """Feeds that a finished date should have from the ledger: what it sent, and while it is not
        released what a younger program sends as well."""
        if self.released is None or day > self.released:
            return _LEDGER_FEEDS
        return marker.get("ledger_feeds", _FIRST_LEDGER_FEEDS)


def _is_delivered(settings: Settings, feed: str, day: date, sequence: int) -> bool:
    """Whether a delivery stands in the inbox or is kept."""
    if inbox_path(settings, feed, day, sequence).is_dir():
        return True
    kept = settings.path("landing", "kept", feed, day.isoformat())
    return kept.is_dir() and any(kept.glob(f"{sequence}-*"))


def _all_well(day: date, results: list[dict[str, Any]], good: set[str]) -> None:
    """:raises PermanentFailure: when the ledger refused something; names the first."""
    bad = [r for r in results if r.get("status") not in good]
    if bad:
        first = bad[0]
        raise PermanentFailure(
            f"The ledger refused {len(bad)} of {len(results)} commands of {day}; the first, "
            f"{first.get('idempotency_key') or first.get('field')}: {first.get('reason')} "
            f"({first.get('detail')})",
            "See whether something else posts to this ledger; a simulated one has one caller.",
        )


def _same_books(closing: State, head: dict[str, Any]) -> None:
    """Compare the ledger's trial balance with the world's own books, to the cent.

    :raises PermanentFailure: when an account differs.
    """
    expected = {
        "1001": closing.book,
        "2101": int(closing.users.sum()),
        "2201": int(closing.pending.sum()),
        "2202": int(closing.disputed.sum()),
        "2301": closing.fee_pending,
    }
    found = {line["account_code"]: line["closing_minor"] for line in head["trial_balance"]}
    for code, minor in expected.items():
        if found.get(code, 0) != minor:
            raise PermanentFailure(
                f"At the close of {closing.day} account {code} has {found.get(code, 0)} minor "
                f"units in the ledger and {minor} in the simulated world",
                "See whether something else posts to this ledger; a simulated one has one caller.",
            )
