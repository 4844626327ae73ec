"""Publishing: gated partitions from `work` to `gold`, then the release rows in one commit.

A crash between the copy and the rows leaves the former release in force; running it again
completes it. A published date is never changed here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from paylake import content, files, ops
from paylake.dates import date_range
from paylake.errors import Held, PermanentFailure
from paylake.lake import Lake
from paylake.lease import lease
from paylake.release import chain as chains
from paylake.release import readers
from paylake.release.chain import FORMAT, Release, first_date, listing, release_id
from paylake.release.verdict import Verdict, held, verdicts
from paylake.serving import View
from paylake.settings import Settings


@dataclass
class PublishResult:
    """What `publish` did. `held` is the first date that may not go out, with its error."""

    released: list[Release] = field(default_factory=list)
    unchanged: list[date] = field(default_factory=list)
    mended: list[str] = field(default_factory=list)
    held: Held | None = None
    held_date: date | None = None

    def rows(self) -> list[dict[str, Any]]:
        made = [{"date": r.through, "result": "released", "detail": r.release_id}
                for r in self.released]
        same = [{"date": d, "result": "nothing to do", "detail": "already released"}
                for d in self.unchanged]
        held = []
        if self.held is not None:
            held = [{"date": self.held_date, "result": "held", "detail": self.held.sentence()}]
        return [*same, *made, *held]


def publish(
    settings: Settings,
    first: date,
    last: date,
    view_definitions: Sequence[View] | None = None,
) -> PublishResult:
    """Release the dates of a range in order, one release each, up to the first that may not go out.

    :param view_definitions: (name, SQL) of views beyond the gold tables; kept for later mending.
    :raises Held: exit code 12, after the dates before it were published; `.result` of the error is
        the :class:`PublishResult`.
    """
    with lease(settings, "publish", f"{first} to {last}"):
        result = _publish(settings, first, last, view_definitions)
    if result.held is not None:
        result.held.result = result  # type: ignore[attr-defined]
        raise result.held
    return result


def _publish(
    settings: Settings, first: date, last: date, view_definitions: Sequence[View] | None
) -> PublishResult:
    chain = listing(settings)
    through = chain[-1].through
    days = date_range(first, last)
    result = PublishResult(unchanged=[d for d in days if through is not None and d <= through])
    todo = days[len(result.unchanged):]
    if todo:
        expected = first_date(settings) if through is None else through + timedelta(days=1)
        if expected is not None and todo[0] > expected:
            result.held_date = todo[0]
            result.held = Held(
                f"{todo[0]} cannot be published before {expected}, which is not released",
                f"Run `bin/paylake run --date {expected}` first; releases go out in date order.",
                where=str(todo[0]),
            )
        else:
            ready, result.held_date, result.held = _ready(settings, todo)
            if ready:
                result.released = _release(settings, chain, ready)
    in_force = listing(settings)[-1].release_id
    new = {r.release_id for r in result.released}
    result.mended = [
        i for i in readers.mend(settings, view_definitions, only=[in_force]) if i not in new
    ]
    return result


def _ready(
    settings: Settings, todo: list[date]
) -> tuple[list[Verdict], date | None, Held | None]:
    judged = verdicts(settings, todo[0], todo[-1])
    ready: list[Verdict] = []
    for day in todo:
        if not judged[day].may_go_out:
            return ready, day, held(judged[day])
        ready.append(judged[day])
    return ready, None, None


def _release(settings: Settings, chain: list[Release], ready: list[Verdict]) -> list[Release]:
    lake = Lake(settings)
    first, last = ready[0].business_date, ready[-1].business_date
    published, sources = built(lake, first, last)
    versions = {
        table: copy(lake, table, published, first, last)
        for table in content.publishable_tables(lake)
    }
    for table in lake.tables("gold"):
        versions.setdefault(table, lake.version("gold", table))
    open_items = item_events(settings, last)
    code, rules = content.code_version(), content.rule_version()
    made: list[Release] = []
    before = chain[-1]
    for verdict in ready:
        day = verdict.business_date
        sequence = before.sequence + 1
        document = {
            "format": FORMAT,
            "release_id": release_id(sequence, day),
            "sequence": sequence,
            "through": str(day),
            "previous": before.digest,
            **said_of(verdict, published, sources, open_items),
            "code_version": code,
            "rule_version": rules,
        }
        before = Release(
            document["release_id"], sequence, day, before.digest,
            content.digest_of(document), document, versions,
        )
        made.append(before)
    # Before the rows: what is released is recorded, and a kill between the two records it again.
    files.record(settings, first, last)
    chains.append(settings, made)
    return made


def built(
    lake: Lake, first: date, last: date
) -> tuple[content.Partitions, content.Partitions]:
    """Digests of what is in `work` for publication, and of the silver and bronze beneath it."""
    found = content.partitions(
        lake, [("work", t) for t in content.publishable_tables(lake)], first, last
    )
    published = {
        day: {name.removeprefix("work."): digest for name, digest in tables.items()}
        for day, tables in found.items()
    }
    sources = content.partitions(
        lake,
        [(layer, t) for layer in ("bronze", "silver") for t in content.dated_tables(lake, layer)],
        first,
        last,
    )
    return published, sources


def item_events(settings: Settings, last: date) -> list[dict[str, Any]]:
    """The events of open items up to a date, failing checks apart."""
    return ops.rows(
        settings, "open_item", "kind <> 'gate' and business_date <= $last", {"last": last}
    )


def said_of(
    verdict: Verdict,
    published: content.Partitions,
    sources: content.Partitions,
    open_items: list[dict[str, Any]],
) -> dict[str, Any]:
    """What a release's document says of a date (`chain.PARTS`)."""
    day = verdict.business_date
    return {
        "published": published.get(day, {}),
        "sources": sources.get(day, {}),
        "checks": [
            {k: row[k] for k in ("suite", "check_code", "severity", "result", "observed",
                                 "expected")}
            for row in sorted(verdict.checks, key=lambda r: (r["suite"], r["check_code"]))
        ],
        "waivers": waivers_of(verdict),
        "open_items": open_on(open_items, day),
    }


def waivers_of(verdict: Verdict) -> list[dict[str, Any]]:
    """The waivers that a date goes out on, as a release names them."""
    return [
        {k: row[k] for k in ("check_code", "person", "reason", "input_digest")}
        for row in verdict.waived
    ]


def open_on(events: Iterable[dict[str, Any]], day: date) -> list[dict[str, Any]]:
    """The items that were open at the end of a date, from the event log, whenever it was written.

    An event speaks for the date `business_date + age_days`. What later dates say is left out, so
    that a date released alone and one released in a range name the same items.
    """
    state: dict[tuple[str, str], tuple[date, dict[str, Any]]] = {}
    for event in events:
        spoken = event["business_date"] + timedelta(days=event["age_days"])
        if spoken > day:
            continue
        key = (event["kind"], event["item_key"])
        if key not in state or spoken >= state[key][0]:
            state[key] = (spoken, event)
    return [
        {
            "kind": kind,
            "item_key": item,
            "class": event["class"],
            "amount": None if event["amount"] is None else format(event["amount"], "f"),
            "currency_code": event["currency_code"],
            "since": str(event["business_date"]),
        }
        for (kind, item), (_, event) in sorted(state.items())
        if event["closed_date"] is None
    ]


def copy(
    lake: Lake, table: str, published: content.Partitions, first: date, last: date
) -> int:
    """Make the gold partitions of a range equal to those of work; returns the version to pin."""
    wanted = {
        day: found[table]
        for day, found in published.items()
        if table in found and first <= day <= last
    }
    if lake.exists("gold", table) and lake.digests("gold", table, first, last) == wanted:
        return lake.version("gold", table)
    rows = lake.query(
        f"select * from work.{table} where business_date between $first and $last",
        {"first": first, "last": last},
    )
    lake.ensure("gold", table, rows.schema)
    version = lake.replace("gold", table, rows, first, last)
    if lake.digests("gold", table, first, last, version) != wanted:
        raise PermanentFailure(
            f"gold.{table} does not hold what work.{table} held for {first} to {last}",
            "Nothing was released; check the disk and publish again.",
            where=lake.address("gold", table),
        )
    return version
