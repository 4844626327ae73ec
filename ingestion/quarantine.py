"""Quarantine: what is in it, one row of it, and its way back as a replay.

A row is shown by its contract: C1 in clear, C2 masked, unclassed columns by name only. A line whose
fields cannot be told apart is shown by its shape (9 for digits, a for letters, 字 for others),
which is enough to see what is wrong and tells nothing else.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from ingestion import log, writers
from ingestion.deliver import feeds_of
from ingestion.evaluate import amounts, row_context
from ingestion.feeds import Feed
from ingestion.readers import Parsed, read
from ingestion.readers.delimited_exact import header_of
from ingestion.readers.parsed import Problem
from paylake import home, ops
from paylake.crypto import unseal
from paylake.currencies import MINOR_DIGITS
from paylake.dates import parse_date, run_time
from paylake.deliveries import DeliveryFile, write_delivery
from paylake.errors import PermanentFailure, UsageFault
from paylake.keys import Keyring
from paylake.lake import Lake
from paylake.lease import lease
from paylake.masking import mask
from paylake.settings import Settings

REPLAY_KEY = "paylake-1"
_REPLAY_NAME = re.compile(r"replay-(\d{4}-\d{2}-\d{2})-(\d+)-L(\d+)-(.+)")


@dataclass(frozen=True)
class QuarantineItem:
    """A row in quarantine. `status` is `open`, or `replayed` once its fix was accepted."""

    feed: str
    business_date: date
    rule_code: str
    rule_detail: str
    record_key: str | None
    merchant_id: str | None
    amount: Decimal | None
    delivery_id: str
    file_name: str
    line: int
    status: str
    replayed_as: str | None


@dataclass(frozen=True)
class QuarantineRow:
    """One row opened for who may see it; `shape` instead of `columns` when it cannot be split."""

    item: QuarantineItem
    columns: dict[str, str | None] = field(default_factory=dict)
    unclassed: tuple[str, ...] = ()
    shape: str | None = None

    def rows(self) -> list[dict[str, Any]]:
        if self.shape is not None:
            return [{"column": "(line)", "value": self.shape}]
        return [{"column": name, "value": value} for name, value in self.columns.items()]


@dataclass(frozen=True)
class ReplayResult:
    """The delivery that a replay wrote; ingest its business date to take it in."""

    delivery_id: str
    path: str
    origin: str
    business_date: date


def replay_name(day: date, sequence: int, line: int, file_name: str) -> str:
    """The file name of a replay: it names the original line, and the signature covers it."""
    return f"replay-{day.isoformat()}-{sequence}-L{line}-{file_name}"


def replay_origin(feed: str, file_name: str) -> tuple[str, str, int] | None:
    """(delivery id, file, line) that a replay's file name tells, or None for any other file."""
    found = _REPLAY_NAME.fullmatch(file_name)
    if found is None:
        return None
    day, sequence, line, original = found.groups()
    return f"{feed}/{day}/{sequence}", original, int(line)


def _replays(settings: Settings, feed: Feed) -> dict[tuple[str, str, int], str]:
    """Origin → delivery of the accepted replays of a feed."""
    lake = Lake(settings)
    if not lake.exists("bronze", feed.table):
        return {}
    rows = lake.query(
        f"select distinct _file_name, _delivery_id from bronze.{feed.table} "
        "where _file_name like 'replay-%' order by all"
    ).to_pylist()
    found = {}
    for row in rows:
        origin = replay_origin(feed.name, row["_file_name"])
        if origin is not None:
            found[origin] = row["_delivery_id"]
    return found


def quarantine_list(
    settings: Settings,
    first: date | None = None,
    last: date | None = None,
    feed: str | None = None,
    *,
    only_open: bool = False,
) -> list[QuarantineItem]:
    """Rows in quarantine by feed, date and line."""
    found: list[QuarantineItem] = []
    for name, each in sorted(feeds_of(settings).items()):
        if feed is not None and name != feed:
            continue
        found += _items(settings, each, first, last)
    return [item for item in found if item.status == "open" or not only_open]


def _items(
    settings: Settings,
    feed: Feed,
    first: date | None,
    last: date | None,
    delivery_id: str | None = None,
) -> list[QuarantineItem]:
    lake = Lake(settings)
    if not lake.exists("quarantine", feed.table):
        return []
    rows = lake.query(
        f"""
        select * exclude (sealed_row) from quarantine.{feed.table}
        where business_date >= coalesce($first, business_date)
            and business_date <= coalesce($last, business_date)
            and _delivery_id = coalesce($delivery, _delivery_id)
        order by business_date, _delivery_id, _file_name, _line_number
        """,
        {"first": first, "last": last, "delivery": delivery_id},
    ).to_pylist()
    replays = _replays(settings, feed) if rows else {}
    items = []
    for row in rows:
        place = (row["_delivery_id"], row["_file_name"], row["_line_number"])
        items.append(
            QuarantineItem(
                feed=feed.name,
                business_date=row["business_date"],
                rule_code=row["rule_code"],
                rule_detail=row["rule_detail"],
                record_key=row["record_key"],
                merchant_id=row["merchant_id"],
                amount=row["amount"],
                delivery_id=row["_delivery_id"],
                file_name=row["_file_name"],
                line=row["_line_number"],
                status="replayed" if place in replays else "open",
                replayed_as=replays.get(place),
            )
        )
    return items


def _find(
    settings: Settings, delivery_id: str, line: int, file_name: str | None
) -> tuple[Feed, QuarantineItem]:
    name = delivery_id.split("/")[0]
    feed = feeds_of(settings).get(name)
    items = [] if feed is None else [
        item
        for item in _items(settings, feed, None, None, delivery_id)
        if item.line == line and file_name in (None, item.file_name)
    ]
    if feed is None or not items:
        raise UsageFault(
            f"No row in quarantine at line {line} of {delivery_id}",
            "`bin/paylake quarantine list` shows what is there.",
        )
    if len(items) > 1:
        raise UsageFault(
            f"Line {line} of {delivery_id} is in quarantine for {len(items)} files",
            f"Name one of {', '.join(i.file_name for i in items)}.",
        )
    return feed, items[0]


def _opened(settings: Settings, feed: Feed, item: QuarantineItem) -> bytes:
    rows = Lake(settings).query(
        f"""
        select sealed_row from quarantine.{feed.table}
        where _delivery_id = $delivery and _file_name = $file and _line_number = $line
        """,
        {"delivery": item.delivery_id, "file": item.file_name, "line": item.line},
    ).to_pylist()
    context = row_context(item.delivery_id, item.file_name, item.line)
    return unseal(Keyring(settings).seal_key(), rows[0]["sealed_row"], context)


def _values(
    settings: Settings, feed: Feed, item: QuarantineItem, raw: bytes
) -> tuple[dict[str, str | None], tuple[str, ...]] | None:
    """The row's columns and its unclassed names; None when its fields cannot be told apart."""
    if feed.format == "parquet" or _is_mapped(settings, item):
        row = json.loads(raw)
        return {name: row.get(name) for name in feed.names}, ()
    header = b""
    if feed.format == "csv":
        header = _header(settings, feed, item) + b"\n"
    parsed: Parsed = read(feed, header + raw + b"\n")
    if parsed.problem is not None or parsed.table.num_rows != 1 or parsed.malformed:
        return None
    return parsed.table.to_pylist()[0], parsed.unclassed


def _is_mapped(settings: Settings, item: QuarantineItem) -> bool:
    return any(
        event["delivery_id"] == item.delivery_id and event["key_id"] is None
        for event in log.DeliveryLog(settings, item.business_date, item.business_date).events
    )


def _header(settings: Settings, feed: Feed, item: QuarantineItem) -> bytes:
    """The header line of the file that the row came in, from the kept copy."""
    from ingestion import kept

    events = log.DeliveryLog(settings, item.business_date, item.business_date).events
    event = next(
        e for e in events if e["delivery_id"] == item.delivery_id and e["state"] == "accepted"
    )
    key = Keyring(settings).seal_key()
    files = kept.open_files(settings, key, item.delivery_id, event["kept_path"])
    line = files[item.file_name].split(b"\n", 1)[0].removesuffix(b"\r")
    if isinstance(header_of(feed, line), Problem):
        raise PermanentFailure(
            f"The header of {item.file_name} cannot be read any more",
            "Restore landing/kept from the backup.",
            where=item.delivery_id,
        )
    return line


def shape_of(text: str) -> str:
    """What a line looks like: 9 for digits, a for letters, 字 for others."""
    shape = re.sub(r"[0-9]", "9", text)
    shape = re.sub(r"[A-Za-z]", "a", shape)
    return re.sub(r"[^\x00-\x7f]", "字", shape)


def quarantine_show(
    settings: Settings, delivery_id: str, line: int, file_name: str | None = None
) -> QuarantineRow:
    """One row of quarantine with what may be shown of it.

    :raises UsageFault: when there is no such row.
    """
    feed, item = _find(settings, delivery_id, line, file_name)
    raw = _opened(settings, feed, item)
    split = _values(settings, feed, item, raw)
    if split is None:
        return QuarantineRow(item, shape=shape_of(raw.decode(feed.encoding, "replace")))
    values, unclassed = split
    shown: dict[str, str | None] = {}
    for column in feed.columns:
        if column.classification == "C3":
            continue
        value = values.get(column.name)
        if column.classification == "C2":
            value = mask(str(column.properties["mask"]), value)
        shown[column.name] = value
    return QuarantineRow(item, shown, unclassed)


def replay(
    settings: Settings,
    delivery_id: str,
    line: int,
    corrected: dict[str, str | None],
    business_date: date | None = None,
    *,
    file_name: str | None = None,
    sent_at: datetime | None = None,
) -> ReplayResult:
    """Send a quarantined row again, corrected, as a delivery signed by paylake itself.

    :param corrected: columns to change; a line that could not be split needs all required ones.
    :param business_date: the original's while unreleased, else the first open date, when not given.
    :param sent_at: the time of sending, by default now; in a simulated home, whose clock is not
        ours, the run time of the replay's business date, so that its run sees it.
    :raises UsageFault: for an unknown row or column, or a closed date.
    """
    with lease(settings, "replay", delivery_id):
        feed, item = _find(settings, delivery_id, line, file_name)
        if item.status == "replayed":
            raise UsageFault(
                f"Line {line} of {delivery_id} was replayed already as {item.replayed_as}",
                "Nothing is left to do for it.",
            )
        values = _corrected(settings, feed, item, corrected)
        day = _open_date(settings, item.business_date, business_date)
        content = writers.write(feed, [values])
        parsed = read(feed, content)
        totals: dict[str, Decimal] = {}
        if feed.amount_column is not None and parsed.table.num_rows == 1:
            amount = amounts(feed, parsed.table).to_pylist()[0]
            currency = values.get(feed.currency_column or "")
            if amount is not None and currency:
                digits = MINOR_DIGITS.get(currency, 4)
                totals[currency] = amount.quantize(Decimal(1).scaleb(-digits))
        _, original_day, original_sequence = item.delivery_id.split("/")
        name = replay_name(
            parse_date(original_day), int(original_sequence), item.line, item.file_name
        )
        sequence = _next_sequence(settings, feed.name, day)
        path = write_delivery(
            settings,
            feed.name,
            day,
            sequence,
            [DeliveryFile(name, content, 1)],
            sent_at or _now(settings, day),
            REPLAY_KEY,
            totals,
        )
    return ReplayResult(
        f"{feed.name}/{day}/{sequence}", str(path), f"{delivery_id} line {line}", day
    )


def _corrected(
    settings: Settings, feed: Feed, item: QuarantineItem, corrected: dict[str, str | None]
) -> dict[str, str | None]:
    unknown = sorted(set(corrected) - set(feed.names))
    secret = sorted(set(corrected) & {c.name for c in feed.secret_columns})
    if unknown or secret:
        raise UsageFault(
            f"Not columns that a replay may set: {', '.join(unknown + secret)}",
            f"Use columns of contracts/feeds/{feed.name}.yml other than C3.",
        )
    split = _values(settings, feed, item, _opened(settings, feed, item))
    values: dict[str, str | None] = dict(split[0]) if split is not None else {}
    values |= corrected
    for column in feed.secret_columns:
        values[column.name] = None
    missing = [c.name for c in feed.columns if feed.is_required(c) and not values.get(c.name)]
    if missing:
        raise UsageFault(
            f"A replay of line {item.line} of {item.delivery_id} lacks {', '.join(missing)}",
            "Give these columns too.",
        )
    return values


def _open_date(settings: Settings, original: date, wanted: date | None) -> date:
    closed = log.closed_through(settings)
    if wanted is not None:
        if closed is not None and wanted <= closed:
            raise UsageFault(
                f"{wanted} is released", f"Give a date after {closed}, or none for the first open."
            )
        return wanted
    if closed is None or original > closed:
        return original
    return closed + timedelta(days=1)


def _now(settings: Settings, day: date) -> datetime:
    simulated = home.exists(settings) and home.read(settings).kind == "simulated"
    return run_time(day, settings) if simulated else datetime.now(UTC)


def _next_sequence(settings: Settings, feed: str, day: date) -> int:
    """One after every sequence that the inbox or the log knows, whatever its state."""
    known = [
        event["sequence"]
        for event in ops.rows(
            settings, "delivery", "feed = $feed and business_date = $day",
            {"feed": feed, "day": day},
        )
    ]
    folder: Path = settings.path("landing", "inbox", feed, day.isoformat())
    if folder.is_dir():
        known += [int(p.name) for p in folder.iterdir() if p.name.isdigit()]
    return max(known, default=0) + 1
