"""Canonical bytes: length-prefixed text pieces, for what is hashed and what is signed."""

from __future__ import annotations

from collections.abc import Sequence


def canonical(pieces: Sequence[str]) -> bytes:
    """Each piece as its length in bytes (decimal), a colon, and its UTF-8 bytes, so that no two
    different sequences of pieces give the same bytes."""
    text = "".join([f"{len(piece)}:{piece}" for piece in pieces])
    if text.isascii():  # characters are bytes: the usual case, and the fast one
        return text.encode("ascii")
    encoded = [piece.encode("utf-8", "surrogatepass") for piece in pieces]
    return b"".join([b"%d:%b" % (len(piece), piece) for piece in encoded])
