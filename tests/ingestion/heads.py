"""Signed heads as the ledger's export writes them."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

from paylake.crypto import sm3_hex
from paylake.keys import Keyring
from paylake.settings import Settings

Row = dict[str, str | None]


def head(settings: Settings, number: int, day: date, *, key: str = "ledger-1", **said: Any) -> Row:
    """The row of a day close (number 1) or of an anchor before it, signed.

    :param key: the private key that signs, whatever the document says
    :param said: fields of the document that say something else
    """
    is_close = number == 1
    document = {
        "format": "paylake-ledger-head/2", "key_id": "ledger-1", "chain_sequence": 40 + number,
        "chain_digest": "ab" * 32, "previous_anchor": None,
        **({
            "booking_date": str(day), "closed_at": f"{day}T15:05:00Z", "journals": 8, "legs": 8,
            "accounts": 8, "trial_balance": [],
        } if is_close else {
            "name": f"hour-{day}T05-{40 + number}", "signed_at": f"{day}T05:00:00Z",
        }),
        **said,
    }
    return row(settings, number, document, key)


def row(settings: Settings, number: int, document: dict[str, Any], key: str = "ledger-1") -> Row:
    """The columns of a signed document."""
    raw = json.dumps(document, indent=1, sort_keys=True) + "\n"
    name = document.get("booking_date") or document["name"]

    def text(field: str) -> str | None:
        return None if document.get(field) is None else str(document[field])

    return {
        "head_name": name,
        "head_kind": "day_close" if "booking_date" in document else "anchor",
        "head_number": str(number), "head_date": name.removeprefix("hour-")[:10],
        "signed_at": document.get("closed_at") or document.get("signed_at"),
        "key_id": document["key_id"], "head_format": document["format"],
        "chain_sequence": text("chain_sequence"), "chain_digest": document["chain_digest"],
        "previous_anchor": text("previous_anchor"), "journal_count": text("journals"),
        "leg_count": text("legs"), "account_count": text("accounts"), "document": raw,
        "document_sm3": sm3_hex(raw.encode()),
        "signature": Keyring(settings).private(key).sign(raw.encode()).hex(),
    }
