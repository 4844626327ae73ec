"""Damage to what was published: found by digests, mended from equal content.

Nothing here changes a release: its document and digest stay; only the Delta version that it pins
may become another one with the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date

import duckdb

from paylake import contracts, files, release, serving
from paylake.errors import NotVerified, PermanentFailure
from paylake.files import Partition
from paylake.lake import Lake
from paylake.lease import lease
from paylake.settings import Settings


@dataclass(frozen=True)
class Damage:
    """A partition of a released date that is not as its release left it; `what` says how."""

    business_date: date
    table: str
    release_id: str
    layer: str = "gold"
    what: str = ""

    def __str__(self) -> str:
        named = f"{self.layer}.{self.table} of {self.business_date} ({self.release_id})"
        return f"{named}: {self.what}" if self.what else named


def verify(settings: Settings, first: date, last: date) -> list[Damage]:
    """Read the files of the released dates of a range again and compare them with their records.

    A file without a record (of a home that is older than the records, or that was just mended) is
    compared by its rows with what the release names.
    """
    chain = release.listing(settings)
    named = {d: n for d, n in release.naming(chain).items() if first <= d <= last}
    if not named:
        return []
    compared = files.compare(settings, min(named), max(named))
    what: dict[Partition, list[str]] = {}
    for each in compared.altered:
        what.setdefault(files.partition(each.file), []).append(str(each))
    wanted = {(*name, day): digest for day, n in named.items() for name, digest in _parts(n)}
    for lost in compared.gone | (wanted.keys() - compared.present):
        what.setdefault(lost, []).append("its files are gone")
    unknown = {files.partition(each) for each in compared.unknown} & wanted.keys() - what.keys()
    for part in _other_rows(Lake(settings), {p: wanted[p] for p in unknown}, chain[-1].versions):
        what[part] = ["it holds other rows than its release names"]
    return [
        Damage(day, table, named[day].release.release_id, layer, "; ".join(sorted(texts)))
        for (layer, table, day), texts in sorted(what.items(), key=lambda i: (i[0][2], i[0]))
        if day in named
    ]


def _parts(named: release.Named) -> Iterable[tuple[tuple[str, str], str]]:
    """((layer, table), content digest) of each partition of a date that its release names."""
    for table, digest in named.published.items():
        yield ("gold", table), digest
    for name, digest in named.sources.items():
        layer, _, table = name.partition(".")
        yield (layer, table), digest


def _other_rows(
    lake: Lake, wanted: dict[Partition, str], versions: dict[str, int]
) -> Iterable[Partition]:
    """Those partitions whose rows have another digest, or cannot be read."""
    days: dict[tuple[str, str], list[date]] = {}
    for layer, table, day in wanted:
        days.setdefault((layer, table), []).append(day)
    for (layer, table), listed in days.items():
        version = versions.get(table) if layer == "gold" else None
        found = _digests(lake, layer, table, sorted(listed), version)
        for day in listed:
            if found.get(day) != wanted[layer, table, day]:
                yield layer, table, day


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


def clear(settings: Settings, damaged: Iterable[Damage]) -> None:
    """Empty damaged partitions of silver and state, so that the build that makes them again does
    not stumble over them. A kill in between leaves partitions that are gone, which is found."""
    lake = Lake(settings)
    for each in damaged:
        schema = contracts.load(f"{each.layer}.{each.table}").arrow_schema
        day = each.business_date
        lake.replace(each.layer, each.table, schema.empty_table(), day, day)


def repair(settings: Settings, damaged: Sequence[Damage]) -> list[str]:
    """Write damaged gold partitions again from `work`, where it still holds the same content.

    The rows are put in as a new Delta version, and every release that shows the rows of that
    version pins it from now on: the release itself, its document and digest, stay as they are. A
    release from before a restatement shows other rows and keeps its version. Returns the ids
    pinned anew.

    :raises NotVerified: when `work` does not hold what the release names; nothing is changed then.
    """
    damaged = [each for each in damaged if each.layer == "gold"]
    if not damaged:
        return []
    with lease(settings, "repair", str(damaged[0].business_date)):
        lake = Lake(settings)
        chain = release.listing(settings)
        named = release.naming(chain)
        for each in damaged:
            day = each.business_date
            now = _digests(lake, "work", each.table, [day])
            if now.get(day) != named[day].published.get(each.table):
                raise NotVerified(
                    f"{each} is damaged, and work does not hold its content any more",
                    f"Build {day} again with the code of that release, or restore a backup.",
                    where=lake.address("gold", each.table),
                )
        versions: dict[str, int] = {}
        for each in damaged:
            day = each.business_date
            rows = lake.query(f"select * from work.{each.table} where business_date = ?", [day])
            versions[each.table] = lake.replace("gold", each.table, rows, day, day)
        first = min(each.business_date for each in damaged)
        shown = _shown_by(chain, sorted(versions))
        pinned = [
            replace(r, versions={**r.versions, **new})
            for r in chain[1:]
            if r.through >= first
            and (new := {t: versions[t] for t in shown[r.sequence] if t in r.versions})
        ]
        days = [each.business_date for each in damaged]
        files.record(settings, min(days), max(days))
        release.append(settings, pinned)
        there = [r.release_id for r in pinned
                 if serving.file_of(settings, r.release_id).is_file()]
        release.mend(settings, only=[*there, chain[-1].release_id])
        return [each.release_id for each in pinned]


def _shown_by(chain: Sequence[release.Release], tables: Sequence[str]) -> dict[int, list[str]]:
    """Sequence of each release → those of the tables of which it shows what the last one shows of
    the same dates."""
    final = release.naming(chain)
    other: dict[str, set[date]] = {table: set() for table in tables}
    found: dict[int, list[str]] = {}
    for link in chain:
        for day, named in link.named().items():
            for table, days in other.items():
                same = named.published.get(table) == final[day].published.get(table)
                days.discard(day) if same else days.add(day)
        found[link.sequence] = [table for table in tables if not other[table]]
    return found
