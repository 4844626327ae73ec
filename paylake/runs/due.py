"""What a run has to do: the dates that are pending, and the deliveries that a date lacks."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

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


def stretches(days: list[date]) -> list[list[date]]:
    """Consecutive dates together: each stretch is one call."""
    found: list[list[date]] = []
    for day in days:
        if found and found[-1][-1] + timedelta(days=1) == day:
            found[-1].append(day)
        else:
            found.append([day])
    return found
