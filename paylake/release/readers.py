"""What readers open: a file of views a release, written anew where it is missing or wrong."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import pyarrow as pa

from paylake import files, serving
from paylake.errors import UsageFault
from paylake.release import chain, changes
from paylake.serving import Reader, View
from paylake.settings import Settings, load


def reader(settings: Settings, release: str | None = None) -> Reader:
    """A reader over the views of a release, by default the one in force.

    The pointer may be behind for the moment between the release row and its file; the row decides.
    """
    found = chain.show(settings, release)
    if not serving.file_of(settings, found.release_id).is_file():
        mend(settings, only=[found.release_id])
    return Reader(settings, found.release_id)


def read(name: str, release: str | None = None, home: str | None = None) -> Any:
    """A released table as a pandas frame; see `paylake.read`.

    :raises UsageFault: when the release has no such table.
    """
    with reader(load(home=home), release) as opened:
        known = opened.tables()
        if name not in known:
            raise UsageFault(
                f"Release {opened.release_id} has no table {name!r}",
                f"It has: {', '.join(known)}.",
            )
        return opened.query(f'select * from "{name}"').to_pandas()


def rows_of(reader: Reader) -> changes.Rows:
    """The rows that a release shows, as `changes.compare` asks for them."""
    known = set(reader.tables())

    def rows(table: str, days: Sequence[date]) -> pa.Table | None:
        if table not in known:
            return None
        return reader.query(
            f'select * from "{table}" where list_contains(?, business_date)', [list(days)]
        )

    return rows


def changed_rows(settings: Settings, older: str, newer: str) -> list[changes.Change]:
    """How the rows of two releases differ, by date and table; see `changes.compare`."""
    ends = [chain.show(settings, older), chain.show(settings, newer)]
    older, newer = (r.release_id for r in sorted(ends, key=lambda r: r.sequence))
    partitions: dict[str, list[date]] = {}
    for found in chain.diff(settings, older, newer):
        partitions.setdefault(found["table"], []).append(found["date"])
    with reader(settings, older) as before, reader(settings, newer) as after:
        return changes.compare(rows_of(before), rows_of(after), partitions)


def mend(
    settings: Settings,
    view_definitions: Sequence[View] | None = None,
    *,
    only: Sequence[str] | None = None,
) -> list[str]:
    """Write missing or wrong reader files anew, and the pointer; returns the ids written.

    Publishing writes the file of the release in force; those of earlier releases are written when
    somebody asks for them (`reader`), or here.

    :param only: just these releases.
    """
    found = chain.listing(settings)
    extra = serving.extra_views(settings, view_definitions)
    written: list[str] = []
    new = []
    for release in found:
        if only is not None and release.release_id not in only:
            continue
        if not serving.shows(settings, release.pinned, extra):
            new.append(serving.write(settings, release.pinned, extra))
            written.append(release.release_id)
    if view_definitions is not None:
        new.append(serving.folder(settings) / serving.EXTRA)
    files.record_readers(settings, new)
    last = found[-1].release_id
    if (only is None or last in only) and serving.pointer(settings) != last:
        serving.point(settings, last)
    return written
