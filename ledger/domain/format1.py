"""The hash chain of the first schema (format `paylake-ledger/1`), frozen: ledgers that were made
with it are migrated, and their journals and heads stay verifiable.

The digest of a journal is SM3 over its canonical bytes, which contain the digest of the journal
before it. Canonical bytes are text pieces, each written as its length in bytes (decimal), a colon,
and its UTF-8 bytes, so that no two different sequences of pieces give the same bytes. The pieces
of a journal, in order:

`paylake-ledger/1`, digest before (hex), sequence, journal type, business key, sequence of the
original journal (empty when there is none), idempotency key, digest of the command (hex),
currency code, booking date, booked at, number of legs; then for each leg: leg number, account id,
direction, amount in minor units, component, custodian reference (empty when there is none).

The first journal's "digest before" is `GENESIS`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ledger.canonical import canonical
from ledger.domain.chain import sm3

CHAIN_FORMAT = "paylake-ledger/1"
HEAD_FORMAT = "paylake-ledger-head/1"

#: (account id, direction D or C, amount in minor units, component, custodian reference or None)
Leg = tuple[str, str, int, str, str | None]


def journal_digest(
    previous: bytes,
    sequence: int,
    journal_type: str,
    business_key: str,
    original_sequence: int | None,
    idempotency_key: str,
    command_digest: bytes,
    currency_code: str,
    booking_date: str,
    booked_at: str,
    legs: Sequence[Leg],
) -> bytes:
    """Digest of one journal, 32 bytes; legs are numbered from 1 in the order given."""
    pieces = [
        CHAIN_FORMAT, previous.hex(), str(sequence), journal_type, business_key,
        "" if original_sequence is None else str(original_sequence), idempotency_key,
        command_digest.hex(), currency_code, booking_date, booked_at, str(len(legs)),
    ]
    for number, (account_id, direction, amount, component, reference) in enumerate(legs, 1):
        pieces += (str(number), account_id, direction, str(amount), component, reference or "")
    return sm3(canonical(pieces))


GENESIS = sm3(canonical([CHAIN_FORMAT, "genesis"]))

COMMAND_FORMAT = "paylake-command/1"
_PAYMENT = (
    "transaction_id", "merchant_id", "amount_minor", "currency_code", "channel", "user_id",
    "issuer_fee_minor", "network_fee_minor", "acquirer_fee_minor",
)
_DISPUTE = ("transaction_id", "original_transaction_id", "amount_minor", "currency_code")
#: Fields of each command type of that format, in the order in which they were hashed; the first
#: is the business key.
FIELDS: dict[str, tuple[str, ...]] = {
    "payment": _PAYMENT,
    "refund": (*_DISPUTE, "issuer_fee_minor", "network_fee_minor", "acquirer_fee_minor"),
    "fee": ("fee_id", "merchant_id", "amount_minor", "currency_code"),
    "settlement": ("payout_id", "merchant_id", "amount_minor", "currency_code"),
    "top_up": ("top_up_id", "user_id", "amount_minor", "currency_code"),
    "withdrawal": ("withdrawal_id", "user_id", "amount_minor", "currency_code", "fee_minor"),
    "dispute": _DISPUTE,
    "dispute_release": _DISPUTE,
}


def content_digest(type_: str, values: Mapping[str, Any]) -> bytes:
    """SM3 of a command's canonical bytes in that format."""
    pieces = [COMMAND_FORMAT, type_]
    for name in ("idempotency_key", "occurred_at", *FIELDS[type_]):
        value = values.get(name)
        if value is not None:
            pieces += (name, str(value))
    return sm3(canonical(pieces))


class Replay:
    """Recomputes the chain of that format from the entries that were made of its journals."""

    def __init__(self) -> None:
        self.digest = GENESIS
        self.sequence = 0
        self.digests: dict[int, bytes] = {}

    def entry(self, row: Sequence[Any], said: Mapping[str, Any]) -> str | None:
        """Check one entry that carries a journal of that format.

        :param row: the entry, its columns
        :param said: what its evidence says of the journal: its type, the sequence of its
            original, and its digest
        """
        self.sequence += 1
        values = {"idempotency_key": row[5], **json.loads(row[12])}
        legs = [(leg[0], *leg[2:]) for leg in json.loads(row[13])]
        digest = journal_digest(
            self.digest, self.sequence, said["journal_type"], row[6], said["original"], row[5],
            content_digest(row[2], values), values["currency_code"], row[10], row[9], legs,
        )
        if digest.hex() != said["digest"]:
            return "the digest of its first format does not match its content"
        self.digest = self.digests[self.sequence] = digest
        return None
