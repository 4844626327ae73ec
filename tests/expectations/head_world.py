"""The signed head of a day close of the gate's small world, and the balances as they were sent."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

from paylake.crypto import sm3_hex

Row = dict[str, Any]
PLACES = ("opening", "debit", "credit", "closing")


def _minor(amount: Any) -> int:
    return int(amount * 100)


def sent_balances(balances: list[Row]) -> list[Row]:
    """Rows of bronze.raw_ledger__balance that became these of silver.ledger_balance."""
    kept = ("business_date", "account_id", "account_code", "account_kind", "party_id",
            "currency_code")
    return [
        {**{name: row[name] for name in kept},
         **{f"{place}_minor": str(_minor(row[f"{place}_amount"])) for place in PLACES}}
        for row in balances
    ]


def head(day: date, number: int, before: str | None, legs: list[Row], balances: list[Row]) -> Row:
    """The row of silver.ledger_head of a date on which these legs and balances came whole."""
    trial: dict[str, dict[str, Any]] = {}
    for row in balances:
        line = trial.setdefault(row["account_code"], {
            "account_code": row["account_code"], "currency_code": row["currency_code"],
            **{f"{place}_minor": 0 for place in PLACES},
        })
        for place in PLACES:
            line[f"{place}_minor"] += _minor(row[f"{place}_amount"])
    counts = (len({leg["journal_id"] for leg in legs}), len(legs), len(balances))
    document = json.dumps({"booking_date": str(day), "trial_balance": list(trial.values())})
    return {
        "business_date": day, "head_name": str(day), "head_kind": "day_close", "head_number": 1,
        "head_date": day, "signed_at": datetime(day.year, day.month, day.day, 15, 5, tzinfo=UTC),
        "key_id": "ledger-1", "head_format": "paylake-ledger-head/2",
        "chain_sequence": 100 * (number + 1), "chain_digest": f"{number:064x}",
        "previous_anchor": before, "journal_count": counts[0], "leg_count": counts[1],
        "account_count": counts[2], "received_journal_count": counts[0],
        "received_leg_count": counts[1], "received_later_count": 0,
        "received_digest": f"{number:064x}", "document": document,
        "document_sm3": sm3_hex(document.encode()), "signature": "30",
        "_delivery_id": f"ledger_head/{day}/1", "_line_number": 1,
    }


def events(day: date, number: int) -> list[Row]:
    """Rows of bronze.raw_ledger__event of a date: a hundred entries end with each close, the last
    two of them booked on the next date already, and every third has two events."""
    early = [100 * number - 1, 100 * number] if number else []
    return [
        {"business_date": day, "event_key": f"{sequence}/{place}", "entry_sequence": str(sequence),
         "event_number": str(place), "booking_date": str(day), "operation": "payment",
         "event_type": "result", "booked_at": f"{day}T04:00:00Z"}
        for sequence in [*early, *range(100 * number + 1, 100 * (number + 1) - 1)]
        for place in range(1, 2 + (sequence % 3 == 0))
    ]
