"""The release that restates: what differs from the chain, and the one row that makes it visible.

A restatement is one more release, with the `through` of the one before. It names the dates whose
rows, or whose waivers, are others than the chain says, and no other date. What it replaces in gold
are new Delta versions: releases before it keep theirs, and show what they showed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from paylake import content, files
from paylake.errors import Held, NotVerified
from paylake.lake import Lake
from paylake.release import chain as chains
from paylake.release import publishing
from paylake.release.chain import FORMAT, Named, Release
from paylake.release.verdict import Verdict, verdicts
from paylake.restatement import Intent
from paylake.settings import Settings


@dataclass(frozen=True)
class Rebuilt:
    """The dates of a restatement as they were built again, beside what the chain names.

    :param changed: the dates whose rows, published or beneath, are others than those named.
    """

    published: content.Partitions
    sources: content.Partitions
    named: Mapping[date, Named]
    changed: list[date]

    def tables(self) -> dict[str, list[date]]:
        """Published tables that changed → on which dates."""
        found: dict[str, list[date]] = {}
        for day in self.changed:
            now, was = self.published.get(day, {}), self.named[day].published
            for table in sorted(now.keys() | was.keys()):
                if now.get(table) != was.get(table):
                    found.setdefault(table, []).append(day)
        return found


def rebuilt(settings: Settings, intent: Intent) -> Rebuilt:
    """Compare what was built with what the chain names, date by date.

    :raises NotVerified: when bronze is not what the releases were made from: a restatement is of a
        rule or of code, never of data.
    """
    published, sources = publishing.built(Lake(settings), intent.first, intent.through)
    named = {
        day: said
        for day, said in chains.naming(chains.listing(settings)).items()
        if intent.first <= day <= intent.through
    }
    changed = []
    for day, said in named.items():
        now = sources.get(day, {})
        if _bronze(now) != _bronze(said.sources):
            raise NotVerified(
                f"Bronze of {day} is not what {said.release.release_id} was made from",
                f"`bin/paylake restate --withdraw`, then `bin/paylake run --date {day}` names and "
                "mends it; a restatement never takes in other data.",
                where="lake/bronze",
            )
        if (published.get(day, {}), now) != (said.published, said.sources):
            changed.append(day)
    return Rebuilt(published, sources, named, changed)


def _bronze(sources: Mapping[str, str]) -> dict[str, str]:
    return {name: digest for name, digest in sources.items() if name.startswith("bronze.")}


def judged(settings: Settings, intent: Intent, first: date) -> list[Verdict]:
    """The verdicts from the first changed date on: they all stand on it.

    :raises Held: at the first that may not go out; the restatement stays open.
    """
    found = list(verdicts(settings, first, intent.through).values())
    for verdict in found:
        if not verdict.may_go_out:
            raise _held(intent, verdict)
    return found


def _held(intent: Intent, verdict: Verdict) -> Held:
    day = verdict.business_date
    waivable = [
        row["check_code"]
        for row in verdict.checks
        if row["check_code"] in verdict.blocking and row["is_waivable"]
    ]
    step = "Correct the rule or code"
    if waivable:
        step += (
            f", or waive it: `bin/paylake release waive --date {day} --check {waivable[0]} "
            "--person NAME --reason TEXT`"
        )
    return Held(
        f"The restatement of {intent.first} is held at {day}: {verdict.reason}",
        f"{step}; then `{intent.command}` goes on. Or put everything back: "
        "`bin/paylake restate --withdraw`.",
        where=str(day),
    )


def even_out(settings: Settings, intent: Intent, made: Rebuilt) -> dict[str, int]:
    """Make gold of the dates equal to work, in new versions; returns the versions to pin.

    A partition whose rows are equal keeps its files, so that releases go on sharing them.
    """
    lake = Lake(settings)
    tables = content.publishable_tables(lake)
    there = content.partitions(
        lake, [("gold", t) for t in tables if lake.exists("gold", t)], intent.first, intent.through
    )
    versions = {}
    for table in tables:
        differing = [
            day
            for day in made.named
            if there.get(day, {}).get(f"gold.{table}") != made.published.get(day, {}).get(table)
        ]
        for first, last in _stretches(differing):
            publishing.copy(lake, table, made.published, first, last)
    for table in lake.tables("gold"):
        versions[table] = lake.version("gold", table)
    return versions


def _stretches(days: Sequence[date]) -> list[tuple[date, date]]:
    found: list[tuple[date, date]] = []
    for day in days:
        if found and found[-1][1] + timedelta(days=1) == day:
            found[-1] = (found[-1][0], day)
        else:
            found.append((day, day))
    return found


def publish(settings: Settings, intent: Intent, made: Rebuilt, out: list[Verdict]) -> Release:
    """Append the release that names the changed dates."""
    before = chains.listing(settings)[-1]
    versions = even_out(settings, intent, made)
    # Before the row: what is released is recorded, and a kill between the two records it again.
    files.record(settings, intent.first, intent.through)
    events = publishing.item_events(settings, intent.through)
    document: dict[str, Any] = {
        "format": FORMAT,
        "release_id": intent.release_id,
        "sequence": before.sequence + 1,
        "through": str(intent.through),
        "previous": before.digest,
        "restatement": {
            "date": str(intent.first),
            "person": intent.person,
            "reason": intent.reason,
            "is_demo": intent.is_demo,
            "dates": {
                str(verdict.business_date): publishing.said_of(
                    verdict, made.published, made.sources, events
                )
                for verdict in out
                if _is_named(made, verdict)
            },
        },
        "code_version": content.code_version(),
        "rule_version": content.rule_version(),
    }
    release = Release(
        intent.release_id, before.sequence + 1, intent.through, before.digest,
        content.digest_of(document), document, versions,
    )
    chains.append(settings, [release])
    return release


def _is_named(made: Rebuilt, verdict: Verdict) -> bool:
    """A date is named when its rows changed; or when it goes out on another waiver than before,
    because a waiver that no release names would be seen by nobody."""
    day = verdict.business_date
    return day in made.changed or publishing.waivers_of(verdict) != made.named[day].waivers
