"""Reads: health, balances, journals, heads. Called in the writer's thread, so they see commits."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Any

from ledger.domain.chain import journal_id, sequence_of
from ledger.service.faults import RequestRefused

if TYPE_CHECKING:
    from ledger.service.checks import JournalRow
    from ledger.service.ledger import Ledger


def health(ledger: Ledger) -> dict[str, Any]:
    """Asks the storage too: an answer means that it can be read."""
    ledger.store.meta("kind")
    return {
        "status": "ok",
        "simulated": ledger.clock.simulated,
        "clock": ledger.clock.now(),
        "last_sequence": ledger.head.sequence,
        "last_closed": ledger.head.closed,
    }


def balances(
    ledger: Ledger, account_code: str | None, party_id: str | None, currency_code: str | None,
    after: str | None, limit: int,
) -> dict[str, Any]:
    """A page of balances by account id and currency; `next` continues it."""
    start = None
    if after is not None:
        name, _, currency = after.rpartition("/")
        start = (name, currency)
    found = [
        account for account in ledger.books.all()
        if (account_code is None or account.code == account_code)
        and (party_id is None or account.party_id == party_id)
        and (currency_code is None or account.currency_code == currency_code)
        and (start is None or (account.account_id, account.currency_code) > start)
    ]
    page = found[:limit]
    return {
        "balances": [
            {
                "account_id": a.account_id, "account_code": a.code, "account_kind": a.kind,
                "party_id": a.party_id, "currency_code": a.currency_code,
                "balance_minor": a.balance,
            }
            for a in page
        ],
        "next": (
            f"{page[-1].account_id}/{page[-1].currency_code}" if len(found) > limit else None
        ),
    }


def _show(row: JournalRow) -> dict[str, Any]:
    return {
        "journal_id": journal_id(row.sequence),
        "sequence": row.sequence,
        "journal_type": row.journal_type,
        "business_key": row.business_key,
        "idempotency_key": row.idempotency_key,
        "currency_code": row.currency_code,
        "original_journal_id": (
            None if row.original_sequence is None else journal_id(row.original_sequence)
        ),
        "booking_date": row.booking_date,
        "booked_at": row.booked_at,
        "chain_digest": row.chain_digest.hex(),
        "legs": [
            {
                "leg_number": number, "account_id": leg[0], "direction": leg[1],
                "amount_minor": leg[2], "component": leg[3], "custodian_reference": leg[4],
            }
            for number, leg in zip(row.leg_numbers, row.legs, strict=True)
        ],
    }


def journal(ledger: Ledger, name: str) -> dict[str, Any]:
    """One journal by its number."""
    sequence = sequence_of(name)
    for row in ledger.store.journals(sequence, sequence) if sequence else ():
        return _show(row)
    raise RequestRefused("journal_unknown", "there is no such journal", 404)


def journals(
    ledger: Ledger, booking_date: str | None, business_key: str | None, after: str | None,
    limit: int,
) -> dict[str, Any]:
    """A page of journals in chain order; `next` continues it."""
    start = 0
    if after is not None:
        found = sequence_of(after)
        if found is None:
            raise RequestRefused("invalid_field", "after is a journal number")
        start = found
    sequences = ledger.store.find_sequences(booking_date, business_key, start, limit + 1)
    page = [_show(row) for s in sequences[:limit] for row in ledger.store.journals(s, s)]
    return {
        "journals": page,
        "next": page[-1]["journal_id"] if len(sequences) > limit else None,
    }


def head(ledger: Ledger, day: date) -> dict[str, Any]:
    """The head of a closed date."""
    close = ledger.store.find_close(day.isoformat())
    if close is None:
        raise RequestRefused("date_open", f"{day} is not closed", 404)
    return {**json.loads(close["document"]), "replayed": True}
