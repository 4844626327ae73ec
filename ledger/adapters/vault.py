"""Sensitive (C2) values: a salted commitment goes into the log, the value itself is kept apart,
sealed with SM4, so that the key can be changed and the log verified without it (rules D1.23,
D2.18)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

from ledger.canonical import canonical
from ledger.domain.chain import sm3
from paylake.crypto import seal, unseal

_SALT_BYTES = 16


class SealedVault:
    """:param key: the SM4 key, fetched when first needed, 16 bytes"""

    def __init__(self, key: Callable[[], bytes]) -> None:
        self._key = key

    def commit(self, idempotency_key: str, field: str, value: str) -> tuple[str, bytes]:
        """SM3 over salt and value, hexadecimal, and salt and value sealed.

        The salt is drawn from the key, the command's key and the field, so that a command sent
        again gives the same commitment.
        """
        key = self._key()
        drawn = canonical([idempotency_key, field])
        salt = hmac.new(key, drawn, lambda: hashlib.new("sm3")).digest()[:_SALT_BYTES]
        plain = value.encode("utf-8", "surrogatepass")
        commitment = sm3(salt + plain).hex()
        return commitment, seal(key, salt + plain, commitment.encode())

    def reveal(self, commitment: str, sealed: bytes) -> str:
        """The value behind a commitment, for those who may see it.

        :raises PermanentFailure: when it was changed or the key is another
        """
        plain = unseal(self._key(), sealed, commitment.encode())
        return plain[_SALT_BYTES:].decode("utf-8", "surrogatepass")
