"""What reporting reads: releases, and released tables through their views. Nothing else.

`Source` is all that the room needs of a lake, so that a test, or another lake, can stand behind it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol

import pyarrow as pa

from paylake import release
from paylake.errors import Held, PermanentFailure
from paylake.settings import Settings


class Reader(Protocol):
    """Read-only SQL (DuckDB's dialect) over the views of one release."""

    def query(self, sql: str) -> pa.Table: ...

    def tables(self) -> list[str]: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Release:
    """One link of the release chain.

    :param through: last business date that it shows; a restatement has that of the one before.
    :param partitions: (gold table, business date) -> content digest of what it published or
        restated; empty where a restated date has no rows any more.
    """

    release_id: str
    sequence: int
    through: date
    digest: str
    partitions: Mapping[tuple[str, date], str] = field(default_factory=dict, repr=False)


class Source(Protocol):
    """A lake's releases."""

    def releases(self) -> Sequence[Release]:
        """In order, without the empty one; the last is in force."""

    def reader(self, release_id: str) -> Reader: ...


class Chain:
    """The releases of a source, with the history of each partition."""

    def __init__(self, releases: Sequence[Release]) -> None:
        self.releases = tuple(releases)
        self._by_id = {r.release_id: r for r in releases}
        self._published: dict[date, Release] = {}
        self._history: dict[tuple[str, date], list[tuple[int, str]]] = defaultdict(list)
        through = None
        for link in releases:
            for (table, day), digest in link.partitions.items():
                self._history[table, day].append((link.sequence, digest))
            # A restatement publishes no date of its own, and names those that it changed.
            own = {link.through} if through is None or link.through > through else set()
            for day in {d for _, d in link.partitions} | own:
                self._published[day] = link
            through = link.through

    @property
    def in_force(self) -> Release:
        return self.releases[-1]

    def get(self, release_id: str) -> Release:
        """:raises PermanentFailure: for a release that is not in the chain."""
        if release_id not in self._by_id:
            raise PermanentFailure(
                f"Release {release_id}, which a filed package pins, is not in the chain",
                "Restore ops.release and the gold tables from the backup.",
            )
        return self._by_id[release_id]

    def pinned(self, day: date) -> Release:
        """The release that a package of `day` is made from: the one that published that date, or
        restated it last.

        It is the same however many later dates have been released, so that a package made on the
        day and one made in a range are equal.

        :raises Held: when `day` is in no release.
        """
        if day not in self._published:
            last = self.releases[-1].through if self.releases else None
            so_far = f"the release in force goes through {last}" if last else "no date is yet"
            raise Held(
                f"Business date {day} is not released ({so_far})",
                "`bin/paylake status` shows what holds it back.",
            )
        return self._published[day]

    def still_shows(self, table: str, day: date, link: Release) -> bool:
        """True when the release in force shows the same rows of a partition as `link` does."""
        history = self._history[table, day]
        at = bisect_right(history, link.sequence, key=lambda entry: entry[0])
        return at == len(history) or (at > 0 and history[at - 1][1] == history[-1][1])


    def restated(
        self, day: date, release_id: str, tables: Sequence[str]
    ) -> tuple[Release | None, bool]:
        """The release that restated a date after this one, and whether rows of the tables differ.
        """
        link, newest = self.get(release_id), self.pinned(day)
        if newest.sequence <= link.sequence:
            return None, False
        return newest, not all(self.still_shows(table, day, link) for table in tables)


class LakeSource:
    """The releases of a home."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def releases(self) -> list[Release]:
        """:raises NotVerified: when the chain is broken."""
        found: list[Release] = []
        shown: dict[date, set[str]] = defaultdict(set)
        for link in release.listing(self.settings):
            if link.through is None:
                continue
            partitions = {}
            for day, named in link.named().items():
                gone = shown[day] - named.published.keys()
                partitions |= {(table, day): "" for table in gone}
                partitions |= {(t, day): digest for t, digest in named.published.items()}
                shown[day] |= named.published.keys()
            found.append(
                Release(link.release_id, link.sequence, link.through, link.digest, partitions)
            )
        return found

    def reader(self, release_id: str) -> Reader:
        return release.reader(self.settings, release_id)
