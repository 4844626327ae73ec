"""The hash chain: canonical bytes and digests (format `paylake-ledger/1`).

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

import hashlib
from collections.abc import Sequence

CHAIN_FORMAT = "paylake-ledger/1"

#: (account id, direction D or C, amount in minor units, component, custodian reference or None)
Leg = tuple[str, str, int, str, str | None]


def sm3(data: bytes) -> bytes:
    """SM3 digest, 32 bytes."""
    return hashlib.new("sm3", data).digest()


def canonical(pieces: Sequence[str]) -> bytes:
    """Length-prefixed bytes of text pieces."""
    text = "".join([f"{len(piece)}:{piece}" for piece in pieces])
    if text.isascii():  # characters are bytes: the usual case, and the fast one
        return text.encode("ascii")
    encoded = [piece.encode("utf-8", "surrogatepass") for piece in pieces]
    return b"".join([b"%d:%b" % (len(piece), piece) for piece in encoded])


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


def journal_id(sequence: int) -> str:
    """The journal's public number, from its place in the chain: `J000000000017`."""
    return f"J{sequence:012d}"


def sequence_of(journal_id_: str) -> int | None:
    """The place in the chain of a journal number; None when it is not one."""
    digits = journal_id_[1:]
    if journal_id_[:1] != "J" or not digits.isascii() or not digits.isdigit() or len(digits) > 18:
        return None
    sequence = int(digits)
    return sequence if journal_id(sequence) == journal_id_ else None
