"""Releases: one a business date, in date order, chained; the row in `ops.release` makes it visible.

`publish` copies the gated partitions from `work` to `gold` (one atomic commit a table), appends all
new release rows in one commit, and writes the readers' files, which are derived. A crash between
these steps leaves the former release in force; running it again completes it.

A published date is never changed here; restatements are not part of this version.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from paylake import content, ops, serving
from paylake.dates import date_range
from paylake.errors import Held, NotVerified, PermanentFailure, UsageFault
from paylake.lake import Lake
from paylake.lease import lease
from paylake.serving import Reader, View
from paylake.settings import Settings, load

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


@dataclass
class Verdict:
    """Whether a date may go out. `blocking` are checks that hold it, `waived` those let through."""

    business_date: date
    result: str  # passed | waived | failed | not_gated
    blocking: list[str] = field(default_factory=list)
    waived: list[dict[str, Any]] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=list)
    reason: str = ""

    @property
    def may_go_out(self) -> bool:
        return self.result in ("passed", "waived")


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


def reader(settings: Settings, release: str | None = None) -> Reader:
    """A reader over the views of a release, by default the one in force.

    The pointer may be behind for the moment between the release row and its file; the row decides.
    """
    found = show(settings, release)
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


def verdicts(
    settings: Settings, first: date, last: date, digests: dict[date, str] | None = None
) -> dict[date, Verdict]:
    """What the newest gate says of each date, waivers applied, for the content that is there now.

    :param digests: of `content.gated`, when the caller has just computed them.
    """
    rows: dict[date, list[dict[str, Any]]] = {}
    for row in ops.rows(
        settings, "gate_result", "business_date between $first and $last",
        {"first": first, "last": last},
    ):
        rows.setdefault(row["business_date"], []).append(row)
    waivers = ops.latest(
        settings, "waiver", "business_date between $first and $last",
        {"first": first, "last": last},
    )
    now = digests if digests is not None else content.gated(Lake(settings), first, last)
    return {
        day: _verdict(day, rows.get(day, []), waivers, now[day])
        for day in date_range(first, last)
    }


def _verdict(
    day: date, rows: list[dict[str, Any]], waivers: list[dict[str, Any]], digest: str
) -> Verdict:
    if not rows:
        return Verdict(day, "not_gated", reason="it has not been through the gate")
    newest = rows[-1]["run_id"]
    checks = [row for row in rows if row["run_id"] == newest]
    if any(row["input_digest"] != digest for row in checks):
        return Verdict(day, "not_gated", reason="it was built again since it went through the gate")
    given = {
        w["check_code"]: w
        for w in waivers
        if w["business_date"] == day and w["input_digest"] == digest
    }
    verdict = Verdict(day, "passed", checks=checks)
    for row in checks:
        if row["severity"] != "fail" or row["result"] not in ("fail", "error"):
            continue
        if row["is_waivable"] and row["check_code"] in given:
            verdict.waived.append(given[row["check_code"]])
        else:
            verdict.blocking.append(row["check_code"])
    if verdict.blocking:
        verdict.result = "failed"
        verdict.reason = _why(checks, verdict.blocking)
    elif verdict.waived:
        verdict.result = "waived"
    return verdict


def _why(checks: list[dict[str, Any]], blocking: list[str]) -> str:
    parts = []
    for row in checks:
        if row["check_code"] in blocking:
            found = row["detail"] if row["result"] == "error" else row["observed"]
            parts.append(f"{row['check_code']} ({found})")
    return f"the gate holds it: {'; '.join(parts)}"


def held(verdict: Verdict) -> Held:
    """The error that names a held date, the check, and how to clear it."""
    day = verdict.business_date
    if verdict.result == "not_gated":
        return Held(
            f"{day} cannot be published: {verdict.reason}",
            f"Run `bin/paylake gate --date {day}`.",
            where=str(day),
        )
    waivable = [
        row["check_code"]
        for row in verdict.checks
        if row["check_code"] in verdict.blocking and row["is_waivable"]
    ]
    step = f"Correct the cause at its source and run {day} again"
    if waivable:
        step += (
            f", or waive it: `bin/paylake release waive --date {day} --check {waivable[0]} "
            "--person NAME --reason TEXT`"
        )
    return Held(f"{day} is held: {verdict.reason}", f"{step}.", where=str(day))


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
        i for i in mend(settings, view_definitions, only=[in_force]) if i not in new
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
    tables = content.publishable_tables(lake)
    published = content.partitions(lake, [("work", t) for t in tables], first, last)
    sources = content.partitions(
        lake,
        [(layer, t) for layer in ("bronze", "silver") for t in content.dated_tables(lake, layer)],
        first,
        last,
    )
    versions = {table: _copy(lake, table, published, first, last) for table in tables}
    for table in lake.tables("gold"):
        versions.setdefault(table, lake.version("gold", table))
    open_items = ops.rows(
        settings, "open_item", "kind <> 'gate' and business_date <= $last", {"last": last}
    )
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
            "published": {
                name.removeprefix("work."): digest
                for name, digest in published.get(day, {}).items()
            },
            "sources": sources.get(day, {}),
            "checks": [
                {k: row[k] for k in ("suite", "check_code", "severity", "result", "observed",
                                     "expected")}
                for row in sorted(verdict.checks, key=lambda r: (r["suite"], r["check_code"]))
            ],
            "waivers": [
                {k: row[k] for k in ("check_code", "person", "reason", "input_digest")}
                for row in verdict.waived
            ],
            "open_items": open_on(open_items, day),
            "code_version": code,
            "rule_version": rules,
        }
        before = Release(
            document["release_id"], sequence, day, before.digest,
            content.digest_of(document), document, versions,
        )
        made.append(before)
    append(settings, made)
    return made


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


def _copy(
    lake: Lake, table: str, published: content.Partitions, first: date, last: date
) -> int:
    """Make the gold partitions of a range equal to those of work; returns the version to pin."""
    name = f"work.{table}"
    wanted = {day: found[name] for day, found in published.items() if name in found}
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
            where=str(lake.path("gold", table)),
        )
    return version


def append(settings: Settings, made: list[Release]) -> None:
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
    chain = listing(settings)
    extra = serving.extra_views(settings, view_definitions)
    written = []
    for release in chain:
        if only is not None and release.release_id not in only:
            continue
        if not serving.shows(settings, release.pinned, extra):
            serving.write(settings, release.pinned, extra)
            written.append(release.release_id)
    last = chain[-1].release_id
    if (only is None or last in only) and serving.pointer(settings) != last:
        serving.point(settings, last)
    return written
