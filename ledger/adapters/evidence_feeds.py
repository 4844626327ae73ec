"""Two of the day's feeds: the signed heads (`ledger_head`) and the outbox (`ledger_event`).

Which heads belong to a date: those signed after the head of the close before it, up to and
including the head of its own close, in the order of signing. So each head is in the delivery of
one date, the one whose close is the next to be signed, whatever a clock said; a head that was
signed at once after a cut-off and before the close is the closing date's. A closed date's heads are
rows that nothing changes, so the file depends on the date alone.

Events of a date are those of its entries, by booking date, in order of key. Both feeds are of
issue 4's evidence and outbox; rules D2.6, D2.18.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import orjson

from ledger.adapters.heads import day_of, head_paths
from ledger.adapters.sql_reader import SqlReader
from ledger.domain.chain import sm3
from ledger.service.events import of_entry
from paylake.deliveries import DeliveryFile
from paylake.errors import PermanentFailure

ANCHOR, DAY_CLOSE = "anchor", "day_close"

#: Fields of an event that have another name as columns: words of SQL, or too short alone.
EVENT_COLUMNS = {
    "key": "event_key", "sequence": "entry_sequence", "number": "event_number", "at": "booked_at",
    "event": "event_type", "to": "told_role", "kind": "hold_kind", "ended": "is_ended",
    "from": "from_date", "through": "through_date",
}
#: Fields that are whole numbers; every other value goes as text.
_NUMBERS = frozenset((
    "sequence", "number", "credit_minor", "amount_minor", "left_minor", "open_items",
    "difference_minor",
))


def head_file(reader: SqlReader, day: date, folder: Path) -> DeliveryFile:
    """JSON Lines, one head a line, in the order of signing; a closed date has one at least.

    :param folder: of the head files
    :raises PermanentFailure: when a head's file is not the head in the database
    """
    lines = []
    for number, head in enumerate(_heads(reader, day), 1):
        kept = head_paths(folder, head["name"])[0]
        if kept.is_file() and kept.read_bytes() != bytes(head["document"]):
            raise PermanentFailure(
                f"The head {head['name']} in the database is not the one in its file",
                "Find out which was altered (`bin/paylake ledger verify`) before sending either.",
                where=str(kept),
            )
        lines.append(orjson.dumps(_head(number, head), option=orjson.OPT_APPEND_NEWLINE))
    return DeliveryFile(f"ledger_head_{day:%Y%m%d}.jsonl", b"".join(lines), len(lines))


def _heads(reader: SqlReader, day: date) -> list[dict[str, Any]]:
    heads = reader.heads_of(day.isoformat())
    if heads:
        return heads
    # Closed by the first program: its head stands with the close alone.
    close = reader.find_close(day.isoformat())
    return [] if close is None else [{**close, "name": close["booking_date"]}]


def _head(number: int, head: Mapping[str, Any]) -> dict[str, Any]:
    """One row: what the document says in columns, and the document itself with its signature."""
    document = bytes(head["document"])
    said = json.loads(document)
    return {
        "head_name": head["name"],
        "head_kind": DAY_CLOSE if "booking_date" in said else ANCHOR,
        "head_number": number,
        "head_date": day_of(head["name"]).isoformat(),
        "signed_at": said["closed_at"] if "closed_at" in said else said["signed_at"],
        "key_id": head["key_id"],
        "head_format": said["format"],
        "chain_sequence": said["chain_sequence"],
        "chain_digest": said["chain_digest"],
        "previous_anchor": said.get("previous_anchor"),
        "journal_count": said.get("journals"),
        "leg_count": said.get("legs"),
        "account_count": said.get("accounts"),
        "document": document.decode("utf-8"),
        "document_sm3": sm3(document).hex(),
        "signature": bytes(head["signature"]).hex(),
    }


def event_file(reader: SqlReader, day: date) -> DeliveryFile:
    """JSON Lines, one event a line, in order of key; a line has the fields that its event has."""
    lines = [
        orjson.dumps(_event(event), option=orjson.OPT_APPEND_NEWLINE)
        for row in reader.booked_on(day.isoformat()) for event in of_entry(row)
    ]
    return DeliveryFile(f"ledger_event_{day:%Y%m%d}.jsonl", b"".join(lines), len(lines))


def _event(event: Mapping[str, Any]) -> dict[str, Any]:
    row = {}
    for name, value in event.items():
        if value is not None:
            as_it_is = type(value) is str or name in _NUMBERS
            row[EVENT_COLUMNS.get(name, name)] = value if as_it_is else _text(value)
    return row


def _text(value: Any) -> str:
    """What is no text, as JSON: a refused command may have had anything in a field."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
