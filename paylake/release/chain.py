"""The chain of releases as recorded in `ops.release`: each names the digest of the one before."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from paylake import content, ops, serving
from paylake.errors import NotVerified, UsageFault
from paylake.lake import Lake
from paylake.settings import Settings

FORMAT = "paylake-release/1"
#: What a release's document says of each date that it names.
PARTS = ("published", "sources", "checks", "waivers", "open_items")


@dataclass(frozen=True)
class Named:
    """What a release says of one business date: its rows by digest, and on what they went out."""

    release: Release
    published: dict[str, str]
    sources: dict[str, str]
    checks: list[dict[str, Any]]
    waivers: list[dict[str, Any]]
    open_items: list[dict[str, Any]]


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

    @property
    def restatement(self) -> dict[str, Any] | None:
        """Date, person, reason and the changed dates, when this release restates; else None."""
        return self.document.get("restatement")

    def named(self) -> dict[date, Named]:
        """The business dates that it names: its own, or those that it restates."""
        if self.through is None:
            return {}
        said = (
            {str(self.through): self.document}
            if self.restatement is None
            else self.restatement["dates"]
        )
        return {
            date.fromisoformat(day): Named(self, **{part: of[part] for part in PARTS})
            for day, of in said.items()
        }


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


def naming(chain: Iterable[Release]) -> dict[date, Named]:
    """What the newest release that names it says of each business date, in date order.

    :param chain: releases in order; up to an older one, to know what that one shows.
    """
    found: dict[date, Named] = {}
    for release in chain:
        found |= release.named()
    return dict(sorted(found.items()))


def diff(settings: Settings, older: str, newer: str) -> list[dict[str, Any]]:
    """The partitions that the newer release shows otherwise than the older: one row each.

    :returns: mappings with date, release_id (that names it), table, digest (None: no rows now).
    """
    first, last = show(settings, older), show(settings, newer)
    if first.sequence > last.sequence:
        first, last = last, first
    chain = listing(settings)
    before = naming(chain[: first.sequence + 1])
    found = []
    for day, named in naming(chain[: last.sequence + 1]).items():
        was = before[day].published if day in before else {}
        found += [
            {
                "date": day,
                "release_id": named.release.release_id,
                "table": table,
                "digest": named.published.get(table),
            }
            for table in sorted(was.keys() | named.published.keys())
            if was.get(table) != named.published.get(table)
        ]
    return found


def release_id(sequence: int, through: date) -> str:
    """`R000012-20260923`."""
    return f"R{sequence:06d}-{through:%Y%m%d}"


def restatement_id(sequence: int, through: date) -> str:
    """`R000013-20260923-restated`: in order with the others, and never one that publishes."""
    return f"{release_id(sequence, through)}-restated"


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
