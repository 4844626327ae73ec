"""The head of a date as the ledger would sign it, for feeds that were written without the ledger.

It is of the ledger's form and signed with the home's ledger key, over a chain that no ledger can
verify; what it says of the journal and the balances is true of the files beside it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from paylake.crypto import sm3_hex
from paylake.keys import Keyring
from paylake.settings import Settings

KEY = "ledger-1"
FORMAT = "paylake-ledger-head/2"
_PLACES = ("opening_minor", "debit_minor", "credit_minor", "closing_minor")


@dataclass(frozen=True)
class ChainEnd:
    """Where the chain of a date ends, and the digest of the head before it (None of the first)."""

    sequence: int
    digest: bytes
    previous_anchor: str | None


def head_line(
    settings: Settings, day: date, end: ChainEnd, journal: pa.Table, balances: pa.Table,
    sent: Path,
) -> tuple[bytes, str]:
    """One line of the feed and the SM3 of its document.

    :param journal: the date's journal feed; :param balances: its balance feed, amounts as text
    :param sent: the file, if it was written before: its signature stands, since another one would
        make another file
    """
    numbers = balances.select(["account_code", "currency_code"])
    for name in _PLACES:
        numbers = numbers.append_column(name, pc.cast(balances[name], pa.int64()))
    summed = numbers.group_by(["account_code", "currency_code"], use_threads=False).aggregate(
        [(name, "sum") for name in _PLACES]
    ).to_pylist()
    said = {
        "format": FORMAT, "booking_date": day.isoformat(), "closed_at": f"{day}T15:05:00Z",
        "key_id": KEY, "previous_anchor": end.previous_anchor, "chain_sequence": end.sequence,
        "chain_digest": end.digest.hex(),
        "journals": int(pc.sum(pc.equal(journal["leg_number"], 1)).as_py() or 0),
        "legs": journal.num_rows, "accounts": balances.num_rows,
        "trial_balance": [
            {
                "account_code": line["account_code"], "currency_code": line["currency_code"],
                **{name: line[f"{name}_sum"] for name in _PLACES},
            }
            for line in summed
        ],
    }
    document = json.dumps(said, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    digest = sm3_hex(document.encode())
    return orjson.dumps({
        "head_name": day.isoformat(), "head_kind": "day_close", "head_number": 1,
        "head_date": day.isoformat(), "signed_at": said["closed_at"], "key_id": KEY,
        "head_format": FORMAT, "chain_sequence": end.sequence,
        "chain_digest": end.digest.hex(), "previous_anchor": end.previous_anchor,
        "journal_count": said["journals"], "leg_count": said["legs"],
        "account_count": said["accounts"], "document": document, "document_sm3": digest,
        "signature": _signature(settings, document, sent),
    }, option=orjson.OPT_APPEND_NEWLINE), digest


def _signature(settings: Settings, document: str, sent: Path) -> str:
    if sent.is_file():
        before = orjson.loads(sent.read_bytes())
        if before["document"] == document:
            return before["signature"]
    return Keyring(settings).private(KEY).sign(document.encode()).hex()
