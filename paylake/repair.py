"""Damage to what was published: found by content digests, mended from equal content.

Nothing here changes a release: its document and digest stay; only the Delta version that it pins
may become another one with the same rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

import duckdb

from paylake import release, serving
from paylake.errors import NotVerified, PermanentFailure
from paylake.lake import Lake
from paylake.lease import lease
from paylake.settings import Settings


@dataclass(frozen=True)
class Damage:
    """A published partition that does not hold what its release says."""

    business_date: date
    table: str
    release_id: str

    def __str__(self) -> str:
        return f"gold.{self.table} of {self.business_date} ({self.release_id})"


def verify(settings: Settings, first: date, last: date) -> list[Damage]:
    """Read the published partitions of a range again and compare them with their releases."""
    lake = Lake(settings)
    chain = [r for r in release.listing(settings)[1:] if first <= r.through <= last]
    found: dict[str, dict[date, str]] = {}
    for table in sorted({table for r in chain for table in r.document["published"]}):
        version = chain[-1].versions[table]
        found[table] = _digests(lake, "gold", table, [r.through for r in chain], version)
    return [
        Damage(each.through, table, each.release_id)
        for each in chain
        for table, digest in sorted(each.document["published"].items())
        if found[table].get(each.through) != digest
    ]


def _digests(
    lake: Lake, layer: str, table: str, days: Sequence[date], version: int | None = None
) -> dict[date, str]:
    """Digests of the dates that can be read; an unreadable one is as good as lost."""
    try:
        return lake.digests(layer, table, days[0], days[-1], version)
    except (duckdb.Error, PermanentFailure):
        if len(days) == 1:
            return {}
    found: dict[date, str] = {}
    for day in days:
        found |= _digests(lake, layer, table, [day], version)
    return found


def repair(settings: Settings, damaged: Sequence[Damage]) -> list[str]:
    """Write damaged gold partitions again from `work`, where it still holds the same content.

    The rows are put in as a new Delta version, and every release that shows them pins it from now
    on: the release itself, its document and digest, stay as they are. Returns the ids pinned anew.

    :raises NotVerified: when `work` does not hold what the release names; nothing is changed then.
    """
    if not damaged:
        return []
    with lease(settings, "repair", str(damaged[0].business_date)):
        lake = Lake(settings)
        chain = release.listing(settings)
        wanted = {r.through: r.document["published"] for r in chain[1:]}
        for each in damaged:
            day = each.business_date
            now = _digests(lake, "work", each.table, [day])
            if now.get(day) != wanted[day][each.table]:
                raise NotVerified(
                    f"{each} is damaged, and work does not hold its content any more",
                    f"Build {day} again with the code of that release, or restore a backup.",
                    where=str(lake.path("gold", each.table)),
                )
        versions: dict[str, int] = {}
        for each in damaged:
            day = each.business_date
            rows = lake.query(f"select * from work.{each.table} where business_date = ?", [day])
            versions[each.table] = lake.replace("gold", each.table, rows, day, day)
        first = min(each.business_date for each in damaged)
        pinned = [
            replace(r, versions={**r.versions, **{t: v for t, v in versions.items()
                                                  if t in r.versions}})
            for r in chain[1:]
            if r.through >= first
        ]
        release.append(settings, pinned)
        for each in pinned:
            serving.file_of(settings, each.release_id).unlink(missing_ok=True)
        release.mend(settings, only=[chain[-1].release_id])
        return [each.release_id for each in pinned]
