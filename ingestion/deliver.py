"""`paylake ingest`: deliveries of a range of business dates from the inbox to bronze."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from ingestion import kept
from ingestion.codes import WAITING
from ingestion.control import Place, Received, check_files, inbox, receive, strangers
from ingestion.engine import FLUSH_ROWS, Candidate, Pass
from ingestion.evaluate import parse
from ingestion.feeds import Feed, all_feeds
from ingestion.log import DeliveryLog
from paylake import home, runs
from paylake.dates import date_range, run_time
from paylake.deliveries import Control, ControlError, parse_control, read_control
from paylake.errors import Waiting
from paylake.keys import Keyring
from paylake.lease import lease
from paylake.settings import Settings

AsOf = datetime | Callable[[date], datetime] | None


@dataclass
class IngestResult:
    """What an ingest did.

    `outcomes` has a row for each delivery that was decided, `waiting` the required feeds that a
    date still lacks, `built` how many (feed, date) partitions were written.
    """

    first: date
    last: date
    outcomes: list[dict[str, Any]] = field(default_factory=list)
    waiting: dict[date, list[str]] = field(default_factory=dict)
    built: int = 0
    strangers: list[str] = field(default_factory=list)
    unsigned: bool = False

    @property
    def nothing(self) -> bool:
        """True when everything was as it should be already."""
        return not self.built and not self.outcomes

    @property
    def exit_code(self) -> int:
        return Waiting.exit_code if self.waiting else 0

    def rows(self) -> list[dict[str, Any]]:
        """Rows for a table: decided deliveries, then what is waited for."""
        shown = [
            {
                "delivery": o["delivery_id"],
                "state": o["state"],
                "reason": o.get("reason_code"),
                "detail": o.get("reason"),
                "accepted": o.get("rows_accepted"),
                "quarantined": o.get("rows_quarantined"),
            }
            for o in self.outcomes
        ]
        for day, feeds in sorted(self.waiting.items()):
            for name in feeds:
                shown.append(
                    {
                        "delivery": f"{name}/{day}",
                        "state": "waiting",
                        "reason": None,
                        "detail": "required, not accepted yet",
                        "accepted": None,
                        "quarantined": None,
                    }
                )
        return shown


def as_of_function(settings: Settings, last: date, as_of: AsOf) -> Callable[[date], datetime]:
    """Until when deliveries of a date are seen: as given; in a simulated home the last run time."""
    if callable(as_of):
        return as_of
    if as_of is not None:
        moment = as_of
        return lambda day: moment
    if home.exists(settings) and home.read(settings).kind == "simulated":
        simulated = run_time(last, settings)
        return lambda day: simulated
    now = datetime.now(UTC)
    return lambda day: now


def ingest(settings: Settings, first: date, last: date, as_of: AsOf = None) -> IngestResult:
    """Take in the deliveries of these business dates; repeatable, in one pass.

    :param as_of: deliveries sent later are not seen yet; a function of the date gives each its
        own, as a loop over run times does.
    :raises LeaseHeld: when another writer is at work.
    """
    days = date_range(first, last)
    seen_until = as_of_function(settings, last, as_of)
    with lease(settings, "ingest", f"{first}..{last}"), Pass(settings, first, last) as run:
        result = IngestResult(first, last)
        result.strangers = [str(path) for path in strangers(settings)]
        work = _Deliveries(settings, first, run, seen_until)
        for place in work.late_ones():
            work.decide_alone(place)
        for day in days:
            for name in work.names(day):
                work.feed_day(name, day)
            if run.pending_rows >= FLUSH_ROWS:
                work.flush()
        work.flush()
        result.outcomes = work.outcomes
        result.built = len(run.built)
        result.waiting = missing_feeds(settings, first, last)
        return result


class _Deliveries:
    """Inbox and kept deliveries, handed to one pass."""

    def __init__(
        self, settings: Settings, first: date, run: Pass, seen_until: Callable[[date], datetime]
    ) -> None:
        self.settings = settings
        self.first = first
        self.seen_until = seen_until
        self.run = run
        self.feeds = feeds_of(settings)
        self.trust = Keyring(settings).trust() if inbox(settings) else {}
        self.places: dict[tuple[date, str], list[Place]] = {}
        for place in inbox(settings):
            self.places.setdefault((place.business_date, place.feed), []).append(place)
        self.outcomes: list[dict[str, Any]] = []

    def late_ones(self) -> list[Place]:
        """Deliveries for dates before the range that are released: nobody will ask for them."""
        return [
            place
            for (day, _), places in sorted(self.places.items())
            if day < self.first and self.run.is_closed(day)
            for place in places
        ]

    def names(self, day: date) -> list[str]:
        """Feeds with a contract, then folders of unknown ones."""
        unknown = {feed for d, feed in self.places if d == day} - set(self.feeds)
        return [*self.feeds, *sorted(unknown)]

    def feed_day(self, name: str, day: date) -> None:
        """Everything of one feed and date."""
        feed = self.feeds.get(name)
        arrived: list[Candidate] = []
        for place in self.places.get((day, name), []):
            candidate = self._decide(place, feed)
            if candidate is not None:
                arrived.append(candidate)
        if feed is None or (not arrived and self.run.is_current(feed, day)):
            return
        kept_ones = [
            reopen(self.settings, self.run.seal_key, feed, event)
            for event in self.run.log.accepted(feed.name, day)
        ]
        self.run.build(feed, day, kept_ones + arrived)

    def decide_alone(self, place: Place) -> None:
        """A delivery for a released date: never built, only refused or ignored."""
        self._decide(place, self.feeds.get(place.feed))

    def flush(self) -> None:
        self.outcomes += self.run.events
        self.run.flush()

    def _decide(self, place: Place, feed: Feed | None) -> Candidate | None:
        """A candidate, or None when the delivery is unseen, waiting, refused or ignored."""
        until = self.seen_until(place.business_date)
        if _sent_later(place, until):
            return None
        received = receive(place, set(self.feeds), self.trust)
        if received.reason in WAITING:
            self._wait(received, until)
            return None
        # Digests and parsing are work of libraries over the same bytes: one beside the other.
        checking = self.run.beside.submit(check_files, received)
        files = parse(feed, received.files) if feed is not None else {}
        checking.result()
        digest = received.data_digest
        self._decision(received, feed, digest)
        clean = {name: p.clean for name, p in files.items()} if feed else received.files
        path = self.run.keep(received, clean, digest)
        event = _event(received, digest, path, until)
        self._close_waiting(place, until)
        self.run.done.append(place)
        if received.reason is None:
            assert received.control is not None
            return Candidate(received.control, files, event, is_new=True)
        same = received.reason == "same_content"
        known = self.run.log.same_content(place.feed, place.business_date, digest)
        if same and known is not None and known["sequence"] == place.sequence:
            return None  # the very same delivery again: its state stays as it is
        event |= {
            "state": "ignored_duplicate" if same else "refused",
            "reason_code": received.reason,
            "reason": received.detail,
        }
        self.run.events.append(event)
        return None

    def _decision(self, received: Received, feed: Feed | None, digest: str) -> None:
        """Checks that need the log, after those of the control file itself. Same data within the
        pass is the pass's own business: it knows which of its deliveries were accepted."""
        if received.reason is not None or feed is None:
            return
        place = received.place
        log: DeliveryLog = self.run.log
        same = log.same_content(place.feed, place.business_date, digest)
        named = [e for e in log.accepted(place.feed, place.business_date)
                 if e["sequence"] == place.sequence]
        if same is not None:
            received.stop("same_content", f"the same data as {same['delivery_id']}")
        elif named:
            received.stop("name_taken", f"{place.delivery_id} was accepted with other content")
        elif self.run.is_closed(place.business_date):
            received.stop(
                "date_closed",
                f"{place.business_date} is released; send it for a date after {self.run.closed}",
            )

    def _wait(self, received: Received, until: datetime) -> None:
        place = received.place
        known = self.run.log.waiting(place.feed, place.business_date, place.sequence)
        if known is not None and known["reason_code"] == received.reason:
            return
        event = _event(received, None, None, until)
        event |= {"state": "waiting", "reason_code": received.reason, "reason": received.detail}
        self.run.events.append(event)

    def _close_waiting(self, place: Place, until: datetime) -> None:
        """The row of an incomplete delivery gives way to that of the complete one."""
        known = self.run.log.waiting(place.feed, place.business_date, place.sequence)
        if known is not None:
            self.run.events.append(
                {
                    **{k: v for k, v in known.items() if k != "recorded_at"},
                    "state": "superseded",
                    "reason_code": None,
                    "reason": "came complete",
                    "received_at": until,
                }
            )


def reopen(settings: Settings, key: bytes, feed: Feed, event: dict[str, Any]) -> Candidate:
    """An accepted delivery again, from its kept copy."""
    event = {k: v for k, v in event.items() if k != "recorded_at"}
    if event["key_id"] is None:
        from ingestion import mapping

        return mapping.reopen(settings, key, feed, event)
    files = kept.open_files(settings, key, event["delivery_id"], event["kept_path"])
    control = parse_control(settings.path(event["kept_path"], "control.json").read_bytes())
    return Candidate(control, parse(feed, files), event, is_new=False)


def _sent_later(place: Place, until: datetime) -> bool:
    try:
        return read_control(place.path).sent_at > until
    except ControlError:
        return False  # judged, with its reason, by `receive`


def _event(
    received: Received, digest: str | None, path: str | None, until: datetime
) -> dict[str, Any]:
    place, control = received.place, received.control
    totals = {c: format(t, "f") for c, t in control.amount_totals.items()} if control else None
    return {
        "feed": place.feed,
        "business_date": place.business_date,
        "sequence": place.sequence,
        "delivery_id": place.delivery_id,
        "sent_at": control.sent_at.astimezone(UTC) if control else None,
        "received_at": until.astimezone(UTC),
        "rows": control.rows if control else None,
        "amount_totals": json.dumps(totals) if totals is not None else None,
        "key_id": control.key_id if control else None,
        "data_digest": digest,
        "kept_path": path,
        "supersedes": control.supersedes if control else None,
        # A replay's file names the line that it corrects: screens tell open rows by it.
        "file_names": _file_names(control) if control else None,
    }


def _file_names(control: Control) -> str:
    return json.dumps([file.name for file in control.files], ensure_ascii=False)


def feeds_of(settings: Settings) -> dict[str, Feed]:
    """Feeds of this home: with what its mapping relaxes, without those it declares absent."""
    feeds = all_feeds()
    if home.exists(settings):
        here = home.read(settings)
        relaxed = here.extra.get("relaxed", {})
        feeds = {
            name: Feed(feed.contract, frozenset(relaxed.get(name, ())))
            for name, feed in feeds.items()
            if name not in here.absent_feeds
        }
    return feeds


def missing_feeds(settings: Settings, first: date, last: date) -> dict[date, list[str]]:
    """Required feeds without an accepted delivery, by date; dates that have all are absent."""
    return runs.missing_feeds(settings, date_range(first, last))


def due_at(feed: Feed, day: date, settings: Settings) -> datetime:
    """Until when a feed's delivery for a date is expected."""
    due = feed.contract.get("due")
    local = datetime.combine(
        day + timedelta(days=int(due["dayOffset"])),
        time(int(due["hour"])),
        ZoneInfo(settings.zone),
    )
    return local.astimezone(UTC)
