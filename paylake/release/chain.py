"""The chain of releases as recorded in `ops.release`: each names the digest of the one before."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from paylake import content, ops, serving
from paylake.errors import NotVerified, UsageFault
from paylake.lake import Lake
from paylake.settings import Settings

FORMAT = "paylake-release/1"


@dataclass(frozen=True)
class Release:
    """One release as recorded; `document` is the parsed canonical JSON that `digest` is of."""

    release_id: str
    sequence: int
    through: date | None
    previous_digest: str
    digest: str
    document: dict[str, Any]
    versions: dict[str, int]

    @property
    def pinned(self) -> serving.Pinned:
        return serving.Pinned(
            self.release_id, self.sequence, self.through, self.digest, self.versions
        )


def _empty() -> Release:
    document = {"format": FORMAT, "release_id": serving.EMPTY, "sequence": 0, "through": None}
    return Release(
        serving.EMPTY, 0, None, "", content.digest_of(document), document, {}
    )


def listing(settings: Settings) -> list[Release]:
    """Every release in order, release 0 (empty) first.

    :raises NotVerified: when a document does not have its digest, or the chain is broken.
    """
    found = [_empty()]
    for row in ops.latest(settings, "release"):
        release = Release(
            row["release_id"],
            row["sequence"],
            row["through"],
            row["previous_digest"],
            row["digest"],
            json.loads(row["document"]),
            json.loads(row["delta_versions"]),
        )
        found.append(release)
    found.sort(key=lambda release: release.sequence)
    for before, release in itertools.pairwise(found):
        right = (
            release.sequence == before.sequence + 1
            and release.previous_digest == before.digest
            and release.document.get("previous") == before.digest
            and release.digest == content.digest_of(release.document)
        )
        if not right:
            raise NotVerified(
                f"The chain of releases is broken at {release.release_id}",
                "Restore ops.release from a backup; nothing is published until it verifies.",
                where="ops.release",
            )
    return found


def in_force(settings: Settings) -> Release:
    """The last release; release 0 when nothing was published yet."""
    return listing(settings)[-1]


def show(settings: Settings, release_id: str | None = None) -> Release:
    """A release by its id; the one in force when left out.

    :raises UsageFault: when there is none of that id.
    """
    found = listing(settings)
    if release_id is None:
        return found[-1]
    for release in found:
        if release.release_id == release_id:
            return release
    raise UsageFault(
        f"There is no release {release_id!r}", "`bin/paylake release list` shows the releases."
    )


def diff(settings: Settings, older: str, newer: str) -> list[dict[str, Any]]:
    """What the newer release shows that the older does not: one row a date and table.

    :returns: mappings with date, release_id, table, digest.
    """
    first, last = show(settings, older), show(settings, newer)
    if first.sequence > last.sequence:
        first, last = last, first
    return [
        {"date": r.through, "release_id": r.release_id, "table": table, "digest": digest}
        for r in listing(settings)
        if first.sequence < r.sequence <= last.sequence
        for table, digest in sorted(r.document["published"].items())
    ]


def release_id(sequence: int, through: date) -> str:
    """`R000012-20260923`."""
    return f"R{sequence:06d}-{through:%Y%m%d}"


def first_date(settings: Settings) -> date | None:
    """The first business date that this home knows of: a release, a delivery or a built row."""
    chain = listing(settings)
    if len(chain) > 1:
        return chain[1].through
    lake = Lake(settings)
    seen = [row["business_date"] for row in ops.latest(settings, "delivery")]
    for table in content.publishable_tables(lake):
        seen += lake.query(f"select min(business_date) from work.{table}").column(0).to_pylist()
    return min((day for day in seen if day is not None), default=None)


def append(settings: Settings, made: Sequence[Release]) -> None:
    """The one atomic step that makes releases visible."""
    ops.record(
        settings,
        "release",
        [
            {
                "release_id": r.release_id,
                "sequence": r.sequence,
                "through": r.through,
                "previous_digest": r.previous_digest,
                "digest": r.digest,
                "document": content.canonical(r.document).decode(),
                "delta_versions": content.canonical(r.versions).decode(),
            }
            for r in made
        ],
    )
