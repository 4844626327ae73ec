"""The hash chain: canonical bytes and digests of entries (format `paylake-ledger/2`).

The digest of an entry is SM3 over its canonical bytes, which contain the digest of the entry
before it. Canonical bytes are text pieces, each written as its length in bytes (decimal), a colon,
and its UTF-8 bytes, so that no two different sequences of pieces give the same bytes. The pieces
of an entry are :data:`PIECES`, in that order; what is absent is the empty piece.

The digest is SM3, what is signed of it SM2 (rule D2.18). The first entry's "digest before" is
`GENESIS`. How the ledgers of the first schema hashed stays
readable in :mod:`ledger.domain.format1`.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Final

from ledger.canonical import canonical

CHAIN_FORMAT = "paylake-ledger/2"

#: What an entry's digest covers, in this order.
PIECES = (
    "format", "previous_digest", "sequence", "journal", "type", "version", "outcome",
    "idempotency_key", "business_key", "actor", "evidence", "booked_at", "booking_date",
    "value_date", "content", "legs", "effects", "approval",
)


_EMPTY: Final = hashlib.new("sm3")


def sm3(data: bytes) -> bytes:
    """SM3 digest, 32 bytes."""
    digest = _EMPTY.copy()  # looking the algorithm up by name costs as much as hashing a line
    digest.update(data)
    return digest.digest()


_FORMAT: Final = f"{len(CHAIN_FORMAT)}:{CHAIN_FORMAT}"
_BEFORE: Final = f"{_FORMAT}64:".encode("ascii") + b"%b"
GENESIS = sm3(canonical([CHAIN_FORMAT, "genesis"]))


#: An entry's columns: what its digest covers after the first two pieces, then its digest.
#: `journal` numbers the entries that have legs, without gaps; `outcome` is `posted`, `pending`
#: (waits for a checker) or `refused`. `content`, `legs`, `effects`, `evidence` and `approval` are
#: JSON texts, kept exactly as hashed.
Row = tuple


def linked_digest(previous: bytes, rest: bytes) -> bytes:
    """Digest of an entry of which all canonical bytes after the digest before are given."""
    digest = _EMPTY.copy()
    digest.update(_BEFORE % previous.hex().encode("ascii"))
    digest.update(rest)
    return digest.digest()


def rest_of(row: Row) -> bytes:
    """An entry's canonical bytes after the digest before, as :func:`linked_digest` takes them."""
    return canonical(["" if piece is None else str(piece) for piece in row[:16]])


@lru_cache(1024)
def _shared(*pieces: str) -> str:
    """Pieces that entries after one another have in common, prefixed with their lengths in
    characters, which are those in bytes if all of it is ASCII."""
    return "".join([f"{len(piece)}:{piece}" for piece in pieces])


def entry_digest(previous: bytes, row: Row) -> bytes:
    """Digest of an entry.

    :param previous: digest of the entry before it
    :param row: its columns; the digest, if there, is not read
    """
    (
        sequence, journal, type_, version, outcome, key, business_key, actor, evidence,
        booked_at, booking_date, value_date, content, legs, effects, approval,
    ) = row[:16]
    n, j, v = str(sequence), "" if journal is None else str(journal), str(version)
    key, business_key = key or "", business_key or ""
    # What `canonical` gives, written out: this runs once for every posting.
    text = (
        f"{_FORMAT}64:{previous.hex()}{len(n)}:{n}{len(j)}:{j}{_shared(type_, v, outcome)}"
        f"{len(key)}:{key}{len(business_key)}:{business_key}"
        f"{_shared(actor, evidence, booked_at, booking_date, value_date)}"
        f"{len(content)}:{content}{len(legs)}:{legs}{len(effects)}:{effects}"
        f"{len(approval)}:{approval}"
    )
    if text.isascii():
        return sm3(text.encode("ascii"))
    return sm3(canonical((
        CHAIN_FORMAT, previous.hex(), n, j, type_, v, outcome, key, business_key, actor,
        evidence, booked_at, booking_date, value_date, content, legs, effects, approval,
    )))


def journal_id(journal: int) -> str:
    """The journal's public number: `J000000000017`."""
    return "J" + str(journal).zfill(12)


def journal_of(journal_id_: str) -> int | None:
    """The number in a journal's public number; None when it is not one."""
    digits = journal_id_[1:]
    if journal_id_[:1] != "J" or not digits.isascii() or not digits.isdigit() or len(digits) > 18:
        return None
    journal = int(digits)
    return journal if journal_id(journal) == journal_id_ else None
