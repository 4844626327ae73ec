"""Deliveries: the signed folders in which feeds travel (design.md, section 3).

A delivery is a folder `<home>/landing/inbox/<feed>/<business date>/<sequence>/` with data files,
`control.json` and its detached SM2 signature `control.json.sig`. Senders write one with
:func:`write_delivery`; receivers read the control file with :func:`read_control`.

A sender never shows a half-written delivery: everything is written and flushed to disk in a
folder whose name begins with a dot (`.<sequence>.partial-<pid>`), which receivers pass over, and
that folder is then renamed, the one atomic step that makes the delivery visible.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from paylake.crypto import sm3_file, sm3_hex
from paylake.durable import flush_folder, put
from paylake.errors import PermanentFailure
from paylake.keys import Keyring

CONTROL_FORMAT = "paylake-control/1"
CONTROL_NAME = "control.json"
SIGNATURE_NAME = "control.json.sig"
#: A control file lists digests, not data; a larger one is a mistake or an attack.
CONTROL_LIMIT_BYTES = 1_000_000
SENDER_ZONE = ZoneInfo("Asia/Shanghai")

_FIELDS = (
    "format", "feed", "business_date", "sequence", "sent_at", "key_id", "supersedes",
    "files", "amount_totals",
)
_FILE_FIELDS = ("name", "rows", "bytes", "sm3")
_FEED_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}\Z")
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,199}\Z")
_KEY_ID = re.compile(r"[a-z][a-z0-9\-]{0,62}\Z")
_SM3 = re.compile(r"[0-9a-f]{64}\Z")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}\Z")
_CURRENCY = re.compile(r"[A-Z]{3}\Z")
_AMOUNT = re.compile(r"-?(0|[1-9]\d{0,30})(\.\d{1,6})?\Z")


class ControlError(PermanentFailure):
    """A control file that cannot be used; `reason_code` is the closed reason for the refusal.

    Reason codes: `control_missing`, `control_unreadable` (not UTF-8 JSON, or too large),
    `control_invalid` (a field is absent, unknown or not of its type).
    """

    def __init__(self, reason_code: str, what: str, *, where: str | None = None) -> None:
        self.reason_code = reason_code
        super().__init__(
            what,
            "ask the sender for a delivery with a control file in the format of design.md, "
            "section 3",
            where=where,
        )


@dataclass(frozen=True, slots=True)
class DeliveryFile:
    """One data file to send: its name, its bytes (or a path to copy them from), its row count.

    `rows` excludes header and trailer lines.
    """

    name: str
    content: bytes | Path
    rows: int


@dataclass(frozen=True, slots=True)
class ControlFile:
    """What a control file says about one data file."""

    name: str
    rows: int
    bytes: int
    sm3: str


@dataclass(frozen=True, slots=True)
class Control:
    """A parsed control file. `sent_at` carries its zone; totals are exact decimals by currency."""

    feed: str
    business_date: date
    sequence: int
    sent_at: datetime
    key_id: str
    supersedes: int | None
    files: tuple[ControlFile, ...]
    amount_totals: Mapping[str, Decimal]
    format: str = CONTROL_FORMAT

    @property
    def delivery_id(self) -> str:
        """`<feed>/<business date>/<sequence>`, the value of `_delivery_id` in the lake."""
        return f"{self.feed}/{self.business_date.isoformat()}/{self.sequence}"

    @property
    def rows(self) -> int:
        """Rows of all files together."""
        return sum(item.rows for item in self.files)

    def to_bytes(self) -> bytes:
        """The exact bytes of the control file: the signature is over these."""
        document = {
            "format": self.format,
            "feed": self.feed,
            "business_date": self.business_date.isoformat(),
            "sequence": self.sequence,
            "sent_at": self.sent_at.astimezone(SENDER_ZONE).isoformat(timespec="seconds"),
            "key_id": self.key_id,
            "supersedes": self.supersedes,
            "files": [
                {"name": f.name, "rows": f.rows, "bytes": f.bytes, "sm3": f.sm3}
                for f in self.files
            ],
            "amount_totals": {
                currency: format(total, "f")
                for currency, total in sorted(self.amount_totals.items())
            },
        }
        return (json.dumps(document, ensure_ascii=False, indent=1) + "\n").encode()


def inbox_path(settings: Any, feed: str, business_date: date, sequence: int) -> Path:
    """Where the delivery `<feed>/<business date>/<sequence>` stands in the inbox."""
    return (
        Path(settings.home) / "landing" / "inbox" / feed / business_date.isoformat()
        / str(sequence)
    )


def write_delivery(
    settings: Any,
    feed: str,
    business_date: date,
    sequence: int,
    files: Iterable[DeliveryFile],
    sent_at: datetime,
    key_id: str,
    amount_totals: Mapping[str, Decimal],
    supersedes: int | None = None,
    *,
    signing_key: str | None = None,
) -> Path:
    """Write one signed delivery into the inbox and return its folder.

    The same arguments give the same data files and the same `control.json`, byte for byte (the
    SM2 signature has a random nonce, so it differs and must only verify). A delivery that is
    already there with the same control file and files is left alone; one with other content is
    a :class:`PermanentFailure`, because what was sent is never overwritten.

    `signing_key` names the private key to sign with when it is not the one that `key_id` claims
    (the simulator plants such a forgery).
    """
    listed = list(files)
    if sent_at.tzinfo is None:
        raise ValueError("sent_at needs a time zone")
    for currency, total in amount_totals.items():
        if not isinstance(total, Decimal):
            raise TypeError(f"amount total of {currency} must be a Decimal, not a {type(total)}")
    control = Control(
        feed=feed,
        business_date=business_date,
        sequence=sequence,
        sent_at=sent_at,
        key_id=key_id,
        supersedes=supersedes,
        files=tuple(_describe(item) for item in listed),
        amount_totals=dict(amount_totals),
    )
    raw = control.to_bytes()
    parse_control(raw, where=f"delivery {control.delivery_id}")  # a sender obeys its own format

    target = inbox_path(settings, feed, business_date, sequence)
    if target.exists():
        return _same_or_refuse(target, control, raw)

    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.parent / f".{sequence}.partial-{os.getpid()}"
    if partial.exists():
        shutil.rmtree(partial)
    partial.mkdir()
    try:
        for item in listed:
            put(partial / item.name, item.content)
        put(partial / CONTROL_NAME, raw)
        signature = Keyring(settings).private(signing_key or key_id).sign(raw)
        put(partial / SIGNATURE_NAME, signature)
        flush_folder(partial)
        # rename(2) onto a folder with content fails, so two senders cannot both win.
        partial.rename(target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    flush_folder(target.parent)
    return target


def read_control(path: str | Path) -> Control:
    """Read and check a control file (or the one in a delivery folder).

    Checks form only: fields, types, names, formats. That the signature, digests, rows and totals
    hold is the receiver's work.

    :raises ControlError: with a `reason_code`; the message says which field is wrong.
    """
    path = Path(path)
    if path.is_dir():
        path = path / CONTROL_NAME
    try:
        size = path.stat().st_size
        if size > CONTROL_LIMIT_BYTES:
            raise ControlError(
                "control_unreadable",
                f"the control file has {size} bytes, more than {CONTROL_LIMIT_BYTES}",
                where=str(path),
            )
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise ControlError(
            "control_missing", "the delivery has no control file", where=str(path)
        ) from error
    return parse_control(raw, where=str(path))


def parse_control(raw: bytes, *, where: str | None = None) -> Control:
    """Parse the bytes of a control file; see :func:`read_control`."""
    try:
        document = json.loads(
            raw.decode("utf-8"), parse_float=_no_float, parse_constant=_no_float,
            object_pairs_hook=_no_duplicates,
        )
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise ControlError(
            "control_unreadable", f"the control file is not UTF-8 JSON ({error})", where=where
        ) from error

    def bad(what: str) -> ControlError:
        return ControlError("control_invalid", f"control file: {what}", where=where)

    if not isinstance(document, dict):
        raise bad("it is not a JSON object")
    _exact_fields(document, _FIELDS, "", bad)
    if document["format"] != CONTROL_FORMAT:
        raise bad(f"format is {_show(document['format'])}, not {CONTROL_FORMAT}")
    feed = _text(document, "feed", _FEED_NAME, bad)
    key_id = _text(document, "key_id", _KEY_ID, bad)
    sequence = _whole(document, "sequence", 1, bad)
    supersedes = document["supersedes"]
    if supersedes is not None:
        supersedes = _whole(document, "supersedes", 1, bad)
        if supersedes >= sequence:
            raise bad(f"supersedes {supersedes} is not an earlier sequence than {sequence}")
    return Control(
        feed=feed,
        business_date=_business_date(document, bad),
        sequence=sequence,
        sent_at=_sent_at(document, bad),
        key_id=key_id,
        supersedes=supersedes,
        files=_files(document, bad),
        amount_totals=_totals(document, bad),
    )


def _exact_fields(document: dict, expected: tuple[str, ...], within: str, bad) -> None:
    for name in expected:
        if name not in document:
            raise bad(f"field {within}{name} is missing")
    for name in document:
        if name not in expected:
            raise bad(f"field {within}{_show(name)} is not known")


def _text(document: dict, name: str, pattern: re.Pattern[str], bad) -> str:
    value = document[name]
    if not isinstance(value, str) or not pattern.match(value):
        raise bad(f"{name} {_show(value)} is not a valid {name}")
    return value


def _whole(document: dict, name: str, least: int, bad) -> int:
    value = document[name]
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**63:
        raise bad(f"{name} {_show(value)} is not a whole number of at least {least}")
    return value


def _business_date(document: dict, bad) -> date:
    value = document["business_date"]
    try:
        if not _DATE.match(value):
            raise ValueError
        return date.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise bad(f"business_date {_show(value)} is not a date like 2026-09-12") from error


def _sent_at(document: dict, bad) -> datetime:
    value = document["sent_at"]
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise bad(f"sent_at {_show(value)} is not an ISO 8601 time") from error
    if moment.tzinfo is None:
        raise bad(f"sent_at {_show(value)} has no time zone")
    return moment


def _files(document: dict, bad) -> tuple[ControlFile, ...]:
    listed = document["files"]
    if not isinstance(listed, list) or not listed:
        raise bad("files is not a list with at least one file")
    found: dict[str, ControlFile] = {}
    for position, entry in enumerate(listed):
        within = f"files[{position}]."
        if not isinstance(entry, dict):
            raise bad(f"{within[:-1]} is not a JSON object")
        _exact_fields(entry, _FILE_FIELDS, within, bad)
        name = _text(entry, "name", _FILE_NAME, bad)
        if name in found or name in (CONTROL_NAME, SIGNATURE_NAME):
            raise bad(f"file name {_show(name)} is used twice")
        found[name] = ControlFile(
            name=name,
            rows=_whole(entry, "rows", 0, bad),
            bytes=_whole(entry, "bytes", 0, bad),
            sm3=_text(entry, "sm3", _SM3, bad),
        )
    return tuple(found.values())


def _totals(document: dict, bad) -> dict[str, Decimal]:
    listed = document["amount_totals"]
    if not isinstance(listed, dict):
        raise bad("amount_totals is not a JSON object")
    totals: dict[str, Decimal] = {}
    for currency, value in listed.items():
        if not _CURRENCY.match(currency):
            raise bad(f"amount_totals names {_show(currency)}, which is not a currency code")
        if not isinstance(value, str) or not _AMOUNT.match(value):
            raise bad(f"amount_totals of {currency} is {_show(value)}, not a decimal in quotes")
        try:
            totals[currency] = Decimal(value)
        except InvalidOperation as error:  # the pattern forbids it; kept so that it is named
            raise bad(f"amount_totals of {currency} is not a decimal") from error
    return totals


def _no_float(text: str) -> None:
    raise ValueError(f"the number {text[:40]} is not a whole number")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the field {_show(name)} stands twice")
        found[name] = value
    return found


def _show(value: Any) -> str:
    """A value for a message: short, on one line."""
    text = json.dumps(value, ensure_ascii=True, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def _describe(item: DeliveryFile) -> ControlFile:
    if isinstance(item.content, Path):
        return ControlFile(
            item.name, item.rows, item.content.stat().st_size, sm3_file(item.content)
        )
    return ControlFile(item.name, item.rows, len(item.content), sm3_hex(item.content))


def _same_or_refuse(target: Path, control: Control, raw: bytes) -> Path:
    same = (target / CONTROL_NAME).is_file() and (target / CONTROL_NAME).read_bytes() == raw
    if same and (target / SIGNATURE_NAME).is_file():
        for item in control.files:
            path = target / item.name
            if not path.is_file() or path.stat().st_size != item.bytes:
                same = False
                break
            if sm3_file(path) != item.sm3:
                same = False
                break
        if same:
            return target
    raise PermanentFailure(
        f"the inbox already holds delivery {control.delivery_id} with other content",
        "send it under the next sequence number, or remove the folder if it was never sent",
        where=str(target),
    )


