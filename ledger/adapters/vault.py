"""Sensitive (C2) values: a salted commitment goes into the log, the value itself is kept apart,
sealed with SM4, so that the key can be changed and the log verified without it (rules D1.23,
D2.18).

The salt of a commitment is drawn from a secret of its own that stays as long as the ledger does;
the keys that seal have numbers, the last one seals and the older ones open what they sealed.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from ledger.canonical import canonical
from ledger.domain.chain import sm3
from ledger.service.ports import Secret
from paylake.crypto import seal, unseal
from paylake.durable import write_private
from paylake.errors import NotVerified, PermanentFailure
from paylake.keys import Keyring

_SALT_BYTES = 16
_FILE = re.compile(r"ledger-seal-([1-9][0-9]{0,5})\.key\Z")
#: The home's own sealing key is the ledger's first one.
_FIRST = 1


class SealingKeys:
    """The ledger's sealing keys below a home's `keys`: the first is `seal.key`, the later ones are
    `ledger-seal-2.key` and so on."""

    def __init__(self, keyring: Keyring) -> None:
        self.keyring = keyring

    def found(self) -> dict[int, bytes]:
        """SM4 keys of 16 bytes by number.

        :raises PermanentFailure: when there is none
        """
        keys = {}
        for path in self.keyring.folder.glob("ledger-seal-*.key"):
            match = _FILE.match(path.name)
            if match is not None:
                keys[int(match[1])] = bytes.fromhex(path.read_text("ascii").strip())
        if not keys or (self.keyring.folder / "seal.key").exists():
            keys[_FIRST] = self.keyring.seal_key()
        return keys

    def newest(self) -> bytes:
        """The key that seals now.

        :raises PermanentFailure: when there is none
        """
        keys = self.found()
        return keys[max(keys)]

    def unsealed(self, sealed: bytes, context: bytes) -> bytes:
        """What one of the keys sealed, the newest tried first: of what does not say its key.

        :raises NotVerified: when none opens it
        :raises PermanentFailure: when there is no key
        """
        fault: NotVerified | None = None
        for _, key in sorted(self.found().items(), reverse=True):
            try:
                return unseal(key, sealed, context)
            except NotVerified as error:
                fault = fault or error
        assert fault is not None
        raise fault

    def add(self) -> int:
        """Make the next key; the salts stay as they are.

        :raises PermanentFailure: when there is none before it
        """
        self.keyring.keep_salt_secret()
        number = max(self.found()) + 1
        write_private(self._path(number), secrets.token_bytes(16).hex().encode())
        return number

    def _path(self, number: int) -> Path:
        return self.keyring.folder / f"ledger-seal-{number}.key"


class SealedVault:
    """Commits and seals.

    :param keys: gives the SM4 keys by number, 16 bytes each; asked when first needed
    :param salt_secret: gives what the salts are drawn from; asked when first needed
    """

    def __init__(
        self, keys: Callable[[], Mapping[int, bytes]], salt_secret: Callable[[], bytes]
    ) -> None:
        self._fetch_keys = keys
        self._fetch_secret = salt_secret
        self._keys: Mapping[int, bytes] = {}
        self._secret = b""

    @classmethod
    def of_home(cls, keyring: Keyring) -> SealedVault:
        """The vault of a home's keys."""
        return cls(SealingKeys(keyring).found, keyring.salt_secret)

    def _known(self) -> Mapping[int, bytes]:
        if not self._keys:
            self._keys = self._fetch_keys()
        return self._keys

    @property
    def key_number(self) -> int:
        """The number of the key that seals now."""
        return max(self._known())

    def commit(self, idempotency_key: str, field: str, value: str) -> Secret:
        """SM3 over salt and value, hexadecimal; salt and value sealed; the number of the key.

        The salt is drawn from its secret, the command's key and the field, so that a command sent
        again gives the same commitment, whichever key seals by then.
        """
        if not self._secret:
            self._secret = self._fetch_secret()
        drawn = canonical([idempotency_key, field])
        salt = hmac.new(self._secret, drawn, lambda: hashlib.new("sm3")).digest()[:_SALT_BYTES]
        plain = salt + value.encode("utf-8", "surrogatepass")
        return self._sealed(sm3(plain).hex(), plain)

    def _sealed(self, commitment: str, plain: bytes) -> Secret:
        number = self.key_number
        return commitment, seal(self._known()[number], plain, commitment.encode()), number

    def _opened(self, commitment: str, sealed: bytes, number: int) -> bytes:
        key = self._known().get(number)
        if key is None:
            raise PermanentFailure(
                f"the value behind {commitment} was sealed with key {number}, which this home "
                "does not have", "restore the keys folder from its backup",
            )
        plain = unseal(key, sealed, commitment.encode())
        if sm3(plain).hex() != commitment:
            raise NotVerified(
                f"what is sealed is not what {commitment} commits to", "restore it from a backup"
            )
        return plain

    def reveal(self, commitment: str, sealed: bytes, number: int) -> str:
        """The value behind a commitment, for those who may see it.

        :raises PaylakeError: when it was changed, or this home has not the key
        """
        return self._opened(commitment, sealed, number)[_SALT_BYTES:].decode(
            "utf-8", "surrogatepass"
        )

    def again(self, commitment: str, sealed: bytes, number: int) -> Secret:
        """The same value and salt, sealed with the newest key.

        :raises PaylakeError: when it was changed, or this home has not the key
        """
        return self._sealed(commitment, self._opened(commitment, sealed, number))
