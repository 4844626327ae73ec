"""Where a home stands: dates by stage, what is due and late, the oldest open item, the disk."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from paylake import content, contracts, ops, release, restatement, runs
from paylake.dates import date_range, run_time
from paylake.lake import Lake
from paylake.settings import Settings


@dataclass
class Status:
    """`dates` is one row a date, newest last; `late` one row a delivery that is overdue."""

    as_of: datetime
    release_id: str
    through: date | None
    dates: list[dict[str, Any]] = field(default_factory=list)
    late: list[dict[str, Any]] = field(default_factory=list)
    oldest_open_item: dict[str, Any] | None = None
    open_item_count: int = 0
    open_restatement: str | None = None
    lake_bytes: int = 0
    home_bytes: int = 0
    free_bytes: int = 0

    def rows(self) -> list[dict[str, Any]]:
        """Dates by stage."""
        return self.dates

    def summary(self) -> list[dict[str, Any]]:
        """What stands beside the dates, one row a fact."""
        oldest = self.oldest_open_item
        open_restatement = [
            {"what": "open restatement", "value": text}
            for text in filter(None, [self.open_restatement])
        ]
        text = "none" if oldest is None else (
            f"{oldest['kind']} {oldest['item_key']} since {oldest['business_date']}"
        )
        return [
            {"what": "as of", "value": self.as_of.isoformat(timespec="minutes")},
            {"what": "release in force", "value": self.release_id},
            *open_restatement,
            {"what": "late deliveries", "value": len(self.late)},
            {"what": "open items", "value": self.open_item_count},
            {"what": "oldest open item", "value": text},
            {"what": "lake", "value": f"{self.lake_bytes / 1e6:,.1f} MB"},
            {"what": "home", "value": f"{self.home_bytes / 1e6:,.1f} MB"},
            {"what": "disk free", "value": f"{self.free_bytes / 1e9:,.1f} GB"},
        ]


def as_of_of(settings: Settings, as_of: datetime | None = None) -> datetime:
    """The moment at which lateness and age are judged: given, now, or the last simulated run."""
    if as_of is not None:
        return as_of
    if runs.is_simulated(settings):
        days = [row["last_date"] for row in ops.rows(settings, "run_step")]
        days += [row["business_date"] for row in ops.latest(settings, "delivery")]
        if days:
            return run_time(max(days), settings)
    return datetime.now(UTC)


def due_at(contract: contracts.Contract, day: date, settings: Settings) -> datetime | None:
    """When a feed's delivery for a date is due (UTC); None when its contract does not say."""
    due = contract.get("due")
    if not due:
        return None
    wall = datetime.combine(
        day + timedelta(days=int(due["dayOffset"])), time(int(due["hour"])),
        ZoneInfo(settings.zone),
    )
    return wall.astimezone(UTC)


def status(settings: Settings, as_of: datetime | None = None, last: int = 40) -> Status:
    """Where the home stands.

    :param as_of: judge lateness and age at this moment.
    :param last: how many of the newest dates to list.
    """
    moment = as_of_of(settings, as_of)
    chain = release.listing(settings)
    found = Status(moment, chain[-1].release_id, chain[-1].through)
    days = _days(settings, moment)[-last:]
    if days:
        _dates(settings, found, chain, days)
    intent = restatement.opened(settings)
    if intent is not None:
        found.open_restatement = f"{intent.first} to {intent.through} by {intent.person}"
    today = moment.astimezone(ZoneInfo(settings.zone)).date()
    items = [i for i in ops.latest(settings, "open_item") if i["closed_date"] is None]
    found.open_item_count = len(items)
    if items:
        oldest = min(items, key=lambda i: (i["business_date"], i["kind"], i["item_key"]))
        found.oldest_open_item = {**oldest, "age_days": (today - oldest["business_date"]).days}
    found.lake_bytes = Lake(settings).size()
    found.home_bytes = _size(settings.home)
    found.free_bytes = shutil.disk_usage(_existing(settings.home)).free
    return found


def _days(settings: Settings, moment: datetime) -> list[date]:
    first = runs.first_known_date(settings)
    if first is None:
        return []
    last = moment.astimezone(ZoneInfo(settings.zone)).date() - timedelta(days=1)
    known = [row["business_date"] for row in ops.latest(settings, "delivery")]
    return date_range(first, max([last, first, *known]))


def _dates(
    settings: Settings, found: Status, chain: list[release.Release], days: list[date]
) -> None:
    expected = runs.Expected(settings)
    accepted = expected.accepted
    released = release.naming(chain)
    open_days = [day for day in days if day not in released]
    judged = release.verdicts(settings, open_days[0], open_days[-1]) if open_days else {}
    built = _built(Lake(settings), days)
    for day in days:
        feeds = expected.feeds(day)
        came = sum((feed.name, day) in accepted for feed in feeds)
        late = []
        for feed in feeds:
            due = due_at(feed, day, settings)
            if due is None or (feed.name, day) in accepted or due > found.as_of:
                continue
            late.append(feed.name)
            found.late.append({"feed": feed.name, "date": day, "due_at": due})
        verdict = judged.get(day)
        gate = "passed" if verdict is None else verdict.result.replace("_", " ")
        if day in released and released[day].waivers:
            gate = "waived"
        found.dates.append(
            {
                "date": day,
                "deliveries": f"{came}/{len(feeds)}",
                "late": ", ".join(late),
                "built": "yes" if day in built else "",
                "gate": gate,
                "release": released[day].release.release_id if day in released else "",
                "held_by": "" if verdict is None else ", ".join(verdict.blocking),
            }
        )


def _built(lake: Lake, days: list[date]) -> set[date]:
    found: set[date] = set()
    for table in content.publishable_tables(lake):
        rows = lake.query(
            f"select distinct business_date from work.{table} "
            "where business_date between $first and $last",
            {"first": days[0], "last": days[-1]},
        )
        found.update(rows.column(0).to_pylist())
    return found


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            if path.is_file() and not path.is_symlink():
                total += path.stat().st_size
        except FileNotFoundError:
            continue  # a service removed it while we were counting
    return total


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path
