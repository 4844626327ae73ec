"""What a run has to do: the dates that are pending, and the deliveries that a date lacks."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta

from paylake import contracts, home, ops, release
from paylake.dates import date_range
from paylake.settings import Settings


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


class Expected:
    """Which feeds a date has to have, beside those that were accepted for it.

    A feed whose contract is younger than a home has a first date there: a date that was released
    before is complete as it is (nothing more could be accepted for it), while one that is open
    expects the feed, whenever its other feeds were sent: its sender can still send it.
    """

    def __init__(self, settings: Settings) -> None:
        absent = absent_feeds(settings)
        self.contracts = [c for c in contracts.all_contracts("feed") if c.name not in absent]
        self.through = release.in_force(settings).through
        self.accepted: dict[tuple[str, date], datetime | None] = {}
        self.first: dict[str, date] = {}
        for row in ops.latest(settings, "delivery", "state = 'accepted'"):
            feed, day = row["feed"], row["business_date"]
            sent = [self.accepted.get((feed, day)), row["sent_at"]]
            self.accepted[feed, day] = min(filter(None, sent), default=None)
            self.first[feed] = min(day, self.first.get(feed, day))

    def feeds(self, day: date) -> list[contracts.Contract]:
        """Contracts of the feeds that are expected for a date."""
        if self.through is None or day > self.through:
            return self.contracts
        return [c for c in self.contracts if self.first.get(c.name, date.max) <= day]


def missing_feeds(settings: Settings, days: Iterable[date]) -> dict[date, list[str]]:
    """Required feeds without an accepted delivery, by date; complete dates are left out."""
    expected = Expected(settings)
    found = {
        day: [c.name for c in expected.feeds(day)
              if c.get("blocking") and (c.name, day) not in expected.accepted]
        for day in days
    }
    return {day: feeds for day, feeds in found.items() if feeds}


def stretches(days: list[date]) -> list[list[date]]:
    """Consecutive dates together: each stretch is one call."""
    found: list[list[date]] = []
    for day in days:
        if found and found[-1][-1] + timedelta(days=1) == day:
            found[-1].append(day)
        else:
            found.append([day])
    return found
