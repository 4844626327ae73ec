"""Changing the key that seals the ledger's sensitive values: what older keys sealed is opened,
held against its commitment, sealed with the newest and only then dropped. The log does not change.
"""

from __future__ import annotations

from dataclasses import dataclass

from ledger.adapters.storage import open_reader, open_store
from ledger.adapters.vault import SealedVault, SealingKeys
from paylake.keys import Keyring
from paylake.settings import Settings

_CHUNK = 1000


@dataclass(frozen=True, slots=True)
class Resealed:
    """The number of the key that seals now, and how many values it sealed anew."""

    key_number: int
    values: int


def reseal(settings: Settings, *, new_key: bool = False) -> Resealed:
    """Seal with the newest key what older ones sealed; broken off, it goes on when called again.

    :param new_key: make the next key first
    :raises PermanentFailure: when there is no ledger, or a key is not there
    :raises NotVerified: when a sealed value does not open, or is not what it commits to
    :raises LeaseHeld: when the service has the ledger open
    """
    reader = open_reader(settings)
    try:
        simulated = reader.meta("kind") == "simulated"
    finally:
        reader.close()
    keyring = Keyring(settings)
    store = open_store(settings, simulated=simulated)
    try:
        if new_key:
            SealingKeys(keyring).add()
        vault = SealedVault.of_home(keyring)
        number, values, after = vault.key_number, 0, ""
        while old := store.secrets_sealed_before(number, after, _CHUNK):
            with store.transaction():
                store.replace_secrets([vault.again(*row) for row in old], old)
            values += len({row[0] for row in old})
            after = old[-1][0]
    finally:
        store.close()
    return Resealed(number, values)
