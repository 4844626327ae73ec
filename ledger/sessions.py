"""Sessions: opened by one SM2-signed request, each later request carries an HMAC-SM3, and the
caller signs the running digest of its requests every so often and at the end.

Both sides make a key pair of X25519 for the one session; the caller's half is in the signed
request. The session's key is HMAC-SM3 of the shared secret over the session's id and both halves.
An HMAC proves to the service alone who sent a request; the signature over the running digest is
what the caller cannot deny afterwards. Rules D0.36, D2.12, D2.25.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ledger.canonical import canonical

SESSION_FORMAT = "paylake-session/1"
COVER_FORMAT = "paylake-session-cover/1"
#: Requests, and seconds since the oldest of them, that may wait for the caller's signature, unless
#: the caller's register says otherwise.
COVER_COUNT, COVER_SECONDS = 1000, 60


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, lambda: hashlib.new("sm3")).digest()


class KeyHalf:
    """One side's key pair of one session."""

    def __init__(self) -> None:
        self._private = X25519PrivateKey.generate()
        self.public = self._private.public_key().public_bytes(
            Encoding.Raw, PublicFormat.Raw
        ).hex()

    def key(self, session_id: str, other: str, *, caller_first: bool) -> bytes:
        """The session's key, 32 bytes.

        :param other: the other side's half, hexadecimal
        :param caller_first: whether this is the caller's side
        :raises ValueError: when the other half is not one
        """
        shared = self._private.exchange(X25519PublicKey.from_public_bytes(bytes.fromhex(other)))
        halves = (self.public, other) if caller_first else (other, self.public)
        return _hmac(shared, canonical([SESSION_FORMAT, session_id, *halves]))


def request_mac(
    key: bytes, session_id: str, number: int, method: str, path: str, digest: str
) -> str:
    """HMAC-SM3 of one request of a session, hexadecimal."""
    return _hmac(
        key, canonical([SESSION_FORMAT, session_id, str(number), method, path, digest])
    ).hex()


def cover_bytes(session_id: str, first: int, digests: Sequence[str]) -> bytes:
    """What the caller signs: the running digest of requests `first` … of a session.

    :param digests: SM3 of each request's body, hexadecimal, in the order of their numbers
    """
    running = hashlib.new("sm3", canonical([COVER_FORMAT, session_id, str(first)])).digest()
    for digest in digests:
        running = hashlib.new("sm3", running + bytes.fromhex(digest)).digest()
    return running
