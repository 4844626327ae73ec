"""Files that others wrote: a mapping turns them into deliveries of a feed, by business date.

A mapping (`ingestion/mappings/<name>.yml`) says which files are which feed, what their columns are
called, how each is cast, what is constant, what this sender does not have, and how a file splits
into dates. Such files have no control file: totals are computed, and the deliveries are marked
unsigned (`key_id` is null). All else, from checks to quarantine, is the same as for signed feeds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ingestion import checks, mapped_kept
from ingestion.casts import Outside, read_outside
from ingestion.deliver import IngestResult, missing_feeds
from ingestion.engine import FLUSH_ROWS, Candidate, Pass
from ingestion.evaluate import amounts
from ingestion.feeds import Feed
from ingestion.mapping_file import FeedMapping, Mapping, load_mapping, parse_mapping
from ingestion.readers import Parsed
from paylake import home
from paylake.crypto import sm3_file, sm3_hex
from paylake.deliveries import Control, ControlFile
from paylake.durable import write_private
from paylake.errors import PermanentFailure, UsageFault
from paylake.keys import Keyring
from paylake.lease import lease
from paylake.settings import Settings

UNSIGNED = "unsigned"
REPLAY_KEY = "paylake-1"
def ingest_mapped(settings: Settings, feeds_dir: Path, mapping_path: Path) -> IngestResult:
    """Take in a folder of outside files, all dates in one pass; repeatable.

    :returns: the dates found, as `first` and `last`, and what was decided.
    :raises UsageFault: for a mapping that is wrong, or a folder without matching files.
    :raises PermanentFailure: for a file that cannot be read, or another institution's home.
    """
    mapping = load_mapping(mapping_path)
    files = _matched(mapping, Path(feeds_dir))
    home.claim(
        settings,
        home.Home(
            kind="mapped",
            institution={"mapping": mapping.name},
            absent_feeds=mapping.absent_feeds,
            cutoff=mapping.cutoff,
            extra={
                "title": mapping.title,
                "relaxed": {n: sorted(m.feed.relaxed) for n, m in mapping.feeds.items()},
            },
        ),
    )
    _keys(settings)
    with lease(settings, "ingest", mapping.name):
        unchanged = _unchanged(settings, mapping, files)
        if unchanged is not None:
            return unchanged
        loaded = [_Loaded.read(mapping, name, path) for name, path in files]
        days = sorted({day for item in loaded for day in item.days})
        result = IngestResult(days[0], days[-1], unsigned=True)
        result.strangers = _strangers(Path(feeds_dir), [path for _, path in files])
        run = Pass(settings, days[0], days[-1])
        for item in loaded:
            item.kept_path = mapped_kept.keep(
                settings, run.seal_key, item.mapping.feed.name, item.path.name, item.data,
                mapping.raw, item.days,
            )
        for name, each in mapping.feeds.items():
            mine = [item for item in loaded if item.name == name]
            for day in sorted({day for item in mine for day in item.days}):
                _feed_day(settings, run, each, day, mine)
                if run.pending_rows >= FLUSH_ROWS:
                    result.outcomes += run.events
                    run.flush()
        result.outcomes += run.events
        run.flush()
        result.built = len(run.built)
        result.waiting = missing_feeds(settings, days[0], days[-1])
        return result


def _keys(settings: Settings) -> None:
    """Keys of a home that others do not sign for: its own, trusted for replays."""
    keyring = Keyring(settings)
    keyring.ensure_secrets()
    trust = settings.path("keys", "trust.json")
    if not trust.exists():
        entry = {
            "sender": "paylake",
            "feeds": ["*"],
            "public_key": keyring.public(REPLAY_KEY).pem(),
            "valid_from": "2018-01-01",
            "valid_to": "2035-12-31",
        }
        write_private(trust, json.dumps({REPLAY_KEY: entry}, indent=2).encode())


def _unchanged(
    settings: Settings, mapping: Mapping, files: list[tuple[str, Path]]
) -> IngestResult | None:
    """The result for files that are all taken in and stored as they should be, by digests."""
    days_of: dict[str, set[date]] = {}
    kept_paths: dict[str, list[tuple[str, list[date]]]] = {}
    for name, path in files:
        digest = sm3_file(path)
        days = mapped_kept.known_days(settings, name, digest, mapping.raw)
        if not days:
            return None
        target = mapped_kept.folder(settings, name, digest, mapping.raw)
        kept_paths.setdefault(name, []).append((str(target.relative_to(settings.home)), days))
        days_of.setdefault(name, set()).update(days)
    every = sorted({day for days in days_of.values() for day in days})
    run = Pass(settings, every[0], every[-1])
    for name, entries in kept_paths.items():
        for kept_path, days in entries:
            taken = {
                e["business_date"]
                for e in run.log.events
                if e["kept_path"] == kept_path and e["state"] in ("accepted", "superseded")
            }
            if not taken.issuperset(days):
                return None
        if not all(run.is_current(mapping.feeds[name].feed, day) for day in days_of[name]):
            return None
    result = IngestResult(every[0], every[-1], unsigned=True)
    result.waiting = missing_feeds(settings, every[0], every[-1])
    return result


def _matched(mapping: Mapping, folder: Path) -> list[tuple[str, Path]]:
    found = []
    for name, each in mapping.feeds.items():
        paths = sorted(p for p in folder.glob(each.files) if p.is_file())
        if not paths:
            raise UsageFault(
                f"No file matches {each.files!r}, which mapping {mapping.name} names for {name}",
                "Give the folder that holds the files.",
                where=str(folder),
            )
        found += [(name, path) for path in paths]
    return found


def _strangers(folder: Path, taken: list[Path]) -> list[str]:
    return [str(p) for p in sorted(folder.iterdir()) if p.is_file() and p not in taken]


@dataclass
class _Loaded:
    """One outside file, read and split by business date."""

    name: str
    path: Path
    data: bytes
    mapping: FeedMapping
    file_digest: str
    mapping_digest: str
    outside: Outside
    rows_of: dict[date, np.ndarray]
    kept_path: str = ""

    @property
    def days(self) -> list[date]:
        return sorted(self.rows_of)

    @classmethod
    def read(cls, mapping: Mapping, name: str, path: Path) -> _Loaded:
        return cls.of(mapping, name, path, path.read_bytes())

    @classmethod
    def of(cls, mapping: Mapping, name: str, path: Path, data: bytes) -> _Loaded:
        each = mapping.feeds[name]
        outside = read_outside(each, data, str(path))
        rows_of = split_by_date(outside.table.column(each.date_from), mapping.cutoff)
        if not rows_of:
            raise PermanentFailure(
                f"No row has a readable {each.date_from}",
                "Check the mapping's from and format of this column.",
                where=str(path),
            )
        return cls(name, path, data, each, sm3_hex(data), mapping.digest, outside, rows_of)

    def parsed(self, day: date) -> Parsed:
        """The file's rows of one date, as a reader would give them."""
        rows = self.rows_of[day]
        table = self.outside.table.take(pa.array(rows))

        def row_bytes(row: int) -> bytes:
            return json.dumps(table.slice(row, 1).to_pylist()[0], ensure_ascii=False).encode()

        first = day == self.days[0]
        return Parsed(
            table,
            self.outside.lines[rows],
            self.outside.offsets[rows],
            self.outside.offsets[rows],
            self.data,
            malformed=list(self.outside.malformed) if first else [],
            unclassed=self.outside.unclassed,
            row_bytes=row_bytes,
        )

    def control(self, day: date, sequence: int, supersedes: int | None, parsed: Parsed) -> Control:
        """What a control file would say; totals are computed from the rows themselves."""
        feed = self.mapping.feed
        totals: dict[str, Decimal] = {}
        if feed.amount_column is not None and feed.currency_column is not None:
            table = pa.table(
                {
                    "currency": parsed.table.column(feed.currency_column),
                    "amount": amounts(feed, parsed.table).cast(pa.decimal128(38, 4)),
                }
            )
            for row in table.group_by("currency").aggregate([("amount", "sum")]).to_pylist():
                if row["currency"] is not None and row["amount_sum"] is not None:
                    totals[row["currency"]] = row["amount_sum"]
        return Control(
            feed=feed.name,
            business_date=day,
            sequence=sequence,
            sent_at=datetime.fromtimestamp(0, UTC),
            key_id=UNSIGNED,
            supersedes=supersedes,
            files=(ControlFile(self.path.name, parsed.rows, len(self.data), self.file_digest),),
            amount_totals=totals,
        )


def split_by_date(column: pa.ChunkedArray, cutoff: str) -> dict[date, np.ndarray]:
    """Row numbers by business date; rows without a readable time go with the earliest date.

    There they are found as bad rows: nothing is dropped because it has no date.
    """
    text = column.combine_chunks()
    moments = checks.moments(text, 19)
    if text.null_count < len(text):
        moments = np.where(np.isnat(moments), checks.moments(text, 10), moments)
    known = ~np.isnat(moments)
    if not known.any():
        return {}
    hours, minutes = (int(part) for part in cutoff.split(":"))
    shift = (24 * 60 - hours * 60 - minutes) % (24 * 60)
    days = (moments + np.timedelta64(shift, "m")).astype("datetime64[D]")
    days[~known] = days[known].min()
    order = np.argsort(days, kind="stable")
    values, starts = np.unique(days[order], return_index=True)
    bounds = [*starts.tolist(), order.size]
    return {
        value.item(): order[bounds[n] : bounds[n + 1]] for n, value in enumerate(values)
    }


def _feed_day(
    settings: Settings, run: Pass, each: FeedMapping, day: date, loaded: list[_Loaded]
) -> None:
    feed = each.feed
    accepted = run.log.accepted(feed.name, day)
    arrived = []
    sequence = max((e["sequence"] for e in run.log.of(feed.name, day)), default=0)
    for item in loaded:
        if day not in item.rows_of:
            continue
        digest = sm3_hex(f"{item.file_digest}:{item.mapping_digest}:{day}".encode())
        if run.log.same_content(feed.name, day, digest) is not None:
            continue
        # The same file under a changed mapping takes the place of what it gave before.
        stem = item.kept_path.rsplit("-", 1)[0]
        before = next((e for e in accepted if (e["kept_path"] or "").startswith(f"{stem}-")), None)
        sequence += 1
        parsed = item.parsed(day)
        control = item.control(day, sequence, before and before["sequence"], parsed)
        event = _event(item, control, digest)
        if run.is_closed(day):
            run.events.append(
                event | {"state": "refused", "reason_code": "date_closed",
                         "reason": f"{day} is released"}
            )
            continue
        arrived.append(Candidate(control, {item.path.name: parsed}, event, is_new=True))
    if not arrived and run.is_current(feed, day):
        return
    kept_ones = [_again(settings, run, feed, event, loaded) for event in accepted]
    run.build(feed, day, kept_ones + arrived)


def _again(
    settings: Settings, run: Pass, feed: Feed, event: dict[str, Any], loaded: list[_Loaded]
) -> Candidate:
    from ingestion import deliver

    if event["key_id"] is not None:  # a replay, signed by paylake
        return deliver.reopen(settings, run.seal_key, feed, event)
    event = {k: v for k, v in event.items() if k != "recorded_at"}
    for item in loaded:
        if item.kept_path == event["kept_path"]:
            return _candidate(item, event)
    return reopen(settings, run.seal_key, feed, event)


def _candidate(item: _Loaded, event: dict[str, Any]) -> Candidate:
    day = event["business_date"]
    parsed = item.parsed(day)
    control = item.control(day, event["sequence"], event["supersedes"], parsed)
    return Candidate(control, {item.path.name: parsed}, event, is_new=False)


def reopen(settings: Settings, key: bytes, feed: Feed, event: dict[str, Any]) -> Candidate:
    """An unsigned delivery again, from the kept original and the mapping kept beside it."""
    item = _reopened(settings, key, feed.name, event["kept_path"])
    return _candidate(replace(item, kept_path=event["kept_path"]), event)


@lru_cache(maxsize=2)
def _reopened(settings: Settings, key: bytes, feed: str, kept_path: str) -> _Loaded:
    file_name, data, raw = mapped_kept.open_kept(settings, key, kept_path)
    return _Loaded.of(parse_mapping(raw, kept_path), feed, Path(file_name), data)


def _event(item: _Loaded, control: Control, digest: str) -> dict[str, Any]:
    totals = {c: format(t.normalize(), "f") for c, t in control.amount_totals.items()}
    return {
        "feed": control.feed,
        "business_date": control.business_date,
        "sequence": control.sequence,
        "delivery_id": control.delivery_id,
        "sent_at": None,
        "received_at": datetime.now(UTC),
        "rows": control.rows,
        "amount_totals": json.dumps(totals),
        "key_id": None,
        "data_digest": digest,
        "kept_path": item.kept_path,
        "supersedes": control.supersedes,
    }


def mappings() -> Iterator[Path]:
    """The mappings that come with paylake."""
    yield from sorted((Path(__file__).parent / "mappings").glob("*.yml"))
