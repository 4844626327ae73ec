"""Sessions: opened by one SM2-signed request, each later request carries an HMAC-SM3, and the
caller signs the running digest of its requests every so often and at the end.

The caller makes an SM2 key pair for the one session and sends its public half in the signed
request; the service answers with 32 random bytes, encrypted by SM2 for that half (GB/T 32918.4).
The session's key is HMAC-SM3 of these bytes over the session's id, the half and the ciphertext; the
caller forgets its pair, so nobody opens the ciphertext later.

An HMAC proves to the service alone who sent a request; the signature over the running digest is
what the caller cannot deny afterwards. Rules D0.36, D2.12, D2.25.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence

from ledger.canonical import canonical
from paylake.crypto import HmacSm3, PrivateKey, PublicKey
from paylake.sm2_cipher import decrypt, encrypt

SESSION_FORMAT = "paylake-session/2"
COVER_FORMAT = "paylake-session-cover/1"
#: Requests, and seconds since the oldest of them, that may wait for the caller's signature, unless
#: the caller's register says otherwise.
COVER_COUNT, COVER_SECONDS = 1000, 60


def _key(secret: bytes, session_id: str, half: str, sealed: str) -> bytes:
    return HmacSm3(secret).digest(canonical([SESSION_FORMAT, session_id, half, sealed]))


class CallerHalf:
    """The caller's key pair of one session."""

    def __init__(self) -> None:
        self._private = PrivateKey.generate()
        self.public = self._private.public.point

    def key(self, session_id: str, sealed: str) -> bytes:
        """The session's key, 32 bytes, of the service's answer.

        :raises NotVerified: when the answer is for another half
        """
        return _key(
            decrypt(self._private, bytes.fromhex(sealed)), session_id, self.public, sealed
        )


def answered(session_id: str, half: str) -> tuple[str, bytes]:
    """The service's side: the ciphertext for the caller, hexadecimal, and the session's key.

    :param half: X and Y of the caller's public half, 128 hexadecimal digits
    :raises ValueError: when it is no point on the SM2 curve
    """
    secret = secrets.token_bytes(32)
    sealed = encrypt(PublicKey(half), secret).hex()
    return sealed, _key(secret, session_id, half, sealed)


class RequestMac:
    """HMAC-SM3 of the requests of one session, by both sides."""

    def __init__(self, key: bytes, session_id: str) -> None:
        # canonical bytes follow one another: what begins each request is taken in once
        self._keyed = HmacSm3(key, canonical([SESSION_FORMAT, session_id]))

    def of(self, number: int, method: str, path: str, digest: str) -> str:
        """That of one request, hexadecimal.

        :param digest: SM3 of the body, hexadecimal
        """
        return self._keyed.digest(canonical([str(number), method, path, digest])).hex()


def cover_bytes(session_id: str, first: int, digests: Sequence[str]) -> bytes:
    """What the caller signs: the running digest of requests `first` … of a session.

    :param digests: SM3 of each request's body, hexadecimal, in the order of their numbers
    """
    running = hashlib.new("sm3", canonical([COVER_FORMAT, session_id, str(first)])).digest()
    for digest in digests:
        running = hashlib.new("sm3", running + bytes.fromhex(digest)).digest()
    return running
