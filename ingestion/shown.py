"""Deliveries shown again: what came, in which state, and any line of it, from the kept copy.

A line is shown as quarantine shows one: by its contract, C1 in clear, C2 masked, C3 absent,
unclassed columns by name only, and a line whose fields cannot be told apart by its shape. C2 in
clear needs a person and a reason, and each value is recorded in `ops.vault_opening` before it is
handed out, so that an opening without a record cannot happen.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import numpy as np

from ingestion import kept
from ingestion.deliver import feeds_of, reopen
from ingestion.evaluate import parse
from ingestion.feeds import Feed
from ingestion.quarantine import shape_of
from ingestion.readers import Parsed
from paylake import ops
from paylake.crypto import sm3_hex
from paylake.deliveries import CONTROL_NAME, Control, ControlError, parse_control
from paylake.errors import NotVerified, UsageFault
from paylake.keys import Keyring
from paylake.masking import mask
from paylake.settings import Settings

_PURPOSE_LENGTH = 100
_LISTED = (
    "delivery_id", "state", "reason_code", "sent_at", "key_id", "rows", "rows_accepted",
    "rows_quarantined",
)


@dataclass(frozen=True)
class Clear:
    """Who asks for identifiers in clear, and why."""

    person: str
    reason: str


@dataclass(frozen=True)
class DeliveryLine:
    """One line, opened; `shape` instead of `columns` when its fields cannot be told apart."""

    file_name: str
    line: int
    columns: dict[str, str | None] = field(default_factory=dict)
    unclassed: tuple[str, ...] = ()
    shape: str | None = None
    is_clear: bool = False


@dataclass(frozen=True)
class ShownDelivery:
    """A delivery as kept. `files` has for each its bytes and both recorded digests."""

    delivery_id: str
    state: str
    reason: str | None
    key_id: str | None
    sent_at: datetime | None
    data_digest: str
    kept_path: str
    verified: str
    files: tuple[dict[str, Any], ...]
    line: DeliveryLine | None = None


def delivery_list(
    settings: Settings,
    first: date | None = None,
    last: date | None = None,
    feed: str | None = None,
    state: str | None = None,
) -> list[dict[str, Any]]:
    """Deliveries and their states by date, feed and sequence; the digest tells apart two that came
    under one name."""
    rows = ops.latest(
        settings,
        "delivery",
        "business_date >= coalesce($first, business_date) "
        "and business_date <= coalesce($last, business_date) "
        "and feed = coalesce($feed, feed) and state = coalesce($state, state)",
        {"first": first, "last": last, "feed": feed, "state": state},
    )
    rows.sort(key=lambda r: (r["business_date"], r["feed"], r["sequence"], str(r["sent_at"])))
    return [
        {**{name: row[name] for name in _LISTED}, "digest": (row["data_digest"] or "")[:12]}
        for row in rows
    ]


def delivery_show(
    settings: Settings,
    delivery_id: str,
    line: int | None = None,
    file_name: str | None = None,
    *,
    digest: str | None = None,
    clear: Clear | None = None,
) -> ShownDelivery:
    """A kept delivery, opened and held against both recorded digests; with `line`, that line.

    :param digest: the beginning of the data digest, where several came under one name; otherwise
        the accepted one is shown, or the last that came.
    :param clear: show C2 in clear; recorded first.
    :raises UsageFault: for a delivery, file or line that is not there.
    :raises NotVerified: when the kept copy is not what was recorded.
    """
    event = _find(settings, delivery_id, digest)
    key = Keyring(settings).seal_key()
    if event["key_id"] is None and not (settings.path(event["kept_path"]) / CONTROL_NAME).exists():
        feed = _feed(settings, event)
        parsed = reopen(settings, key, feed, event).files
        files: list[dict[str, Any]] = [{"name": name} for name in parsed]
        verified = "the outside file has its recorded digest; it came without a control file"
    else:
        opened = kept.open_files(settings, key, delivery_id, event["kept_path"])
        files = _held_against_records(settings, event)
        verified = "as kept and as received"
        if any(f["sm3_received"] != f["sm3_kept"] for f in files):
            verified += " (C3 blanked before it was kept)"
        parsed = {} if line is None else parse(_feed(settings, event), opened)
    shown = None
    if line is not None:
        shown = _line(settings, event, parsed, line, file_name, clear)
    return ShownDelivery(
        delivery_id=delivery_id,
        state=event["state"],
        reason=event["reason"] or event["reason_code"],
        key_id=event["key_id"],
        sent_at=event["sent_at"],
        data_digest=event["data_digest"],
        kept_path=event["kept_path"],
        verified=verified,
        files=tuple(files),
        line=shown,
    )


def _find(settings: Settings, delivery_id: str, digest: str | None) -> dict[str, Any]:
    """The event of a kept delivery."""
    found = [
        row
        for row in ops.latest(settings, "delivery", "delivery_id = $id", {"id": delivery_id})
        if row["kept_path"] and (row["data_digest"] or "").startswith(digest or "")
    ]
    if not found:
        raise UsageFault(
            f"No kept delivery {delivery_id}" + (f" with digest {digest}" if digest else ""),
            "`bin/paylake delivery list` shows what came; what is waiting is still in the inbox.",
        )
    return max(found, key=lambda row: (row["state"] == "accepted", row["recorded_at"]))


def _feed(settings: Settings, event: dict[str, Any]) -> Feed:
    feed = feeds_of(settings).get(event["feed"])
    if feed is None:
        raise UsageFault(
            f"No contract says how a line of {event['delivery_id']} is read",
            f"Add contracts/feeds/{event['feed']}.yml; the delivery itself is kept.",
        )
    return feed


def _held_against_records(settings: Settings, event: dict[str, Any]) -> list[dict[str, Any]]:
    """The manifest's files, held against the log's digest and the sender's control file.

    That the opened bytes have the digest `sm3_kept` was checked when they were opened.
    `sm3_received` is of bytes that may not be kept (C3): it must be the one of which the log has
    the digest, and, for what was accepted, the one that the sender signed.
    """
    folder = settings.path(event["kept_path"])
    files = json.loads((folder / kept.MANIFEST).read_text("utf-8"))["files"]
    listed = [f"{f['name']}:{f['sm3_received']}" for f in sorted(files, key=lambda f: f["name"])]
    if sm3_hex("\n".join(listed).encode()) != event["data_digest"]:
        raise NotVerified(
            f"The manifest of {event['delivery_id']} has other digests than were recorded",
            "Restore landing/kept from the backup.",
            where=str(folder),
        )
    signed = _control(folder / CONTROL_NAME)
    if event["state"] in ("accepted", "superseded") and signed is not None:
        wanted = {f.name: f.sm3 for f in signed.files}
        if wanted != {f["name"]: f["sm3_received"] for f in files}:
            raise NotVerified(
                f"The control file of {event['delivery_id']} names other digests than were kept",
                "Restore landing/kept from the backup.",
                where=str(folder),
            )
    return files


def _control(path: Any) -> Control | None:
    try:
        return parse_control(path.read_bytes(), where=str(path))
    except ControlError:
        return None  # a refused delivery may have none that can be read: its files are shown


def _line(
    settings: Settings,
    event: dict[str, Any],
    parsed: dict[str, Parsed],
    line: int,
    file_name: str | None,
    clear: Clear | None,
) -> DeliveryLine:
    delivery_id = event["delivery_id"]
    if file_name is not None and file_name not in parsed:
        raise UsageFault(
            f"{delivery_id} has no file {file_name}", f"It has: {', '.join(parsed)}."
        )
    if file_name is None and len(parsed) > 1:
        raise UsageFault(
            f"{delivery_id} has {len(parsed)} files", f"Name one with --file: {', '.join(parsed)}."
        )
    name = file_name or next(iter(parsed))
    feed = _feed(settings, event)
    file = parsed[name]
    rows = np.flatnonzero(file.lines == line)
    if rows.size:
        row = file.table.slice(int(rows[0]), 1).to_pylist()[0]
        columns = _by_class(settings, feed, event, line, row, clear)
        return DeliveryLine(name, line, columns, file.unclassed, is_clear=clear is not None)
    for item in file.malformed:
        if item.line == line:
            text = file.raw_malformed(item).decode(feed.encoding, "replace")
            return DeliveryLine(name, line, shape=shape_of(text))
    known = [int(n) for n in file.lines] + [item.line for item in file.malformed]
    span = f"its rows begin on lines {min(known)} to {max(known)}" if known else "it has no rows"
    raise UsageFault(
        f"No row begins on line {line} of {name} in {delivery_id}",
        f"Give another line: {span}" + (f" ({file.problem.detail})." if file.problem else "."),
    )


def _by_class(
    settings: Settings,
    feed: Feed,
    event: dict[str, Any],
    line: int,
    row: dict[str, str | None],
    clear: Clear | None,
) -> dict[str, str | None]:
    identifiers = [c for c in feed.columns if c.classification == "C2"]
    if clear is not None:
        values = {
            str(row[c.name]): str(c.properties["mask"])
            for c in identifiers
            if row.get(c.name) is not None
        }
        _record_opening(settings, event, line, values, clear)
    shown: dict[str, str | None] = {}
    for column in feed.columns:
        if column.classification == "C3":
            continue
        value = row.get(column.name)
        if column.classification == "C2" and clear is None:
            value = mask(str(column.properties["mask"]), value)
        shown[column.name] = value
    return shown


def _record_opening(
    settings: Settings, event: dict[str, Any], line: int, values: dict[str, str], clear: Clear
) -> None:
    purpose = f"{event['delivery_id']} line {line}: {clear.reason.strip()}"
    if not clear.person.strip() or not clear.reason.strip():
        raise UsageFault(
            "Identifiers in clear need a person and a reason", "Give --person and --reason."
        )
    if len(purpose) > _PURPOSE_LENGTH:
        most = _PURPOSE_LENGTH - len(purpose) + len(clear.reason.strip())
        raise UsageFault(
            "The reason is too long to be recorded", f"Say it in {most} characters."
        )
    tokeniser = Keyring(settings).tokeniser()
    now = datetime.now(UTC)
    ops.record(
        settings,
        "vault_opening",
        [
            {
                "business_date": event["business_date"],
                "purpose": purpose,
                "token": tokeniser.token(value),
                "kind": kind,
                "opened_by": clear.person.strip(),
                "opened_at": now,
            }
            for value, kind in sorted(values.items())
        ],
    )
