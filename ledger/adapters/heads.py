"""Day heads as files outside the database, signed by the ledger's key."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path

from ledger.adapters.storage import is_made, open_reader, place
from paylake import durable
from paylake.errors import NotVerified, PermanentFailure
from paylake.keys import Keyring
from paylake.settings import Settings

_KEY_ID = re.compile(r"ledger-([1-9][0-9]{0,5})\Z")


def signing_key_id(settings: Settings) -> str:
    """The key that the ledger signs with now: of `ledger-1`, `ledger-2` … in the trust file the
    last whose private key is in the home. Older ones stay trusted for what they signed, so a key
    is changed by adding the next.

    :raises PermanentFailure: when the home has none
    """
    folder = settings.path("keys")
    numbers = [
        int(found.group(1)) for name in Keyring(settings).trust()
        if (found := _KEY_ID.match(name)) and (folder / f"{name}.key.pem").is_file()
    ]
    if not numbers:
        raise PermanentFailure(
            "the trust file has no ledger key whose private key is here",
            "add ledger-1 to the trust file and its private key to the keys folder",
            where=str(folder / "trust.json"),
        )
    return f"ledger-{max(numbers)}"


class HeadFiles:
    """Signs heads and keeps `<home>/ledger/heads/<name>.json` and `.json.sig`."""

    def __init__(self, settings: Settings) -> None:
        self.folder = settings.path("ledger", "heads")
        keyring = Keyring(settings)
        self.key_id = signing_key_id(settings)
        self._key = keyring.private(self.key_id)
        self._trusted = keyring.trust().get(self.key_id)

    def sign(self, day: str, document: bytes) -> bytes:
        """Detached SM2 signature, DER.

        :raises PermanentFailure: when the trust file does not hold this key for that day
        """
        if (
            self._trusted is None
            or self._trusted.public != self._key.public
            or not self._trusted.is_valid_on(day_of(day))
        ):
            raise PermanentFailure(
                f"the trust file does not hold key {self.key_id} as valid on {day}",
                "renew the key before closing the date",
            )
        return self._key.sign(document)

    def keep(self, day: str, document: bytes, signature: bytes) -> None:
        """Write a head's two files if they are not there; never change one that is.

        :raises DiskFull, EnvironmentFault: to be tried again
        """
        for path, data in zip(head_paths(self.folder, day), (document, signature), strict=True):
            if not path.exists():
                durable.write(path, data)

    def kept(self) -> set[str]:
        """Names of the heads of which both files are there."""
        found = {path.name for path in self.folder.glob("*.json*")}
        return {
            name.removesuffix(".json") for name in found
            if name.endswith(".json") and f"{name}.sig" in found
        }


def day_of(name: str) -> date:
    """The date of a head: that of a day's (`2026-09-12`) or an hour's (`hour-2026-09-12T05`)."""
    return date.fromisoformat(name.removeprefix("hour-")[:10])


def head_paths(folder: Path, day: str) -> tuple[Path, Path]:
    """The head's document and signature."""
    return folder / f"{day}.json", folder / f"{day}.json.sig"


def read_heads(settings: Settings) -> dict[str, tuple[bytes, bytes]]:
    """Every head file: day -> (document, signature; empty when its file is missing)."""
    return heads_in(settings.path("ledger", "heads"))


def heads_in(folder: Path) -> dict[str, tuple[bytes, bytes]]:
    """The same of a folder."""
    heads = {}
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        signature = path.with_name(path.name + ".sig")
        heads[path.stem] = (
            path.read_bytes(), signature.read_bytes() if signature.is_file() else b"",
        )
    return heads


def refuse_older(settings: Settings) -> None:
    """A head is committed before its file is written. So a file of one that the database lacks says
    that the database was put back to an earlier state, or lost: to go on with it would close and
    sign dates a second time.

    :raises NotVerified: naming the first such head
    """
    folder = settings.path("ledger", "heads")
    names = {path.stem for path in folder.glob("*.json")}
    if not names:
        return
    known: set[str] = set()
    if is_made(settings):
        reader = open_reader(settings)
        try:
            known = {*reader.head_names(), *reader.closed_dates()}
        finally:
            reader.close()
    if names - known:
        raise NotVerified(
            f"The ledger's database ({place(settings)}) is older than its heads, or another: it "
            f"lacks {min(names - known)}, of which there is a signed file",
            "Restore a copy that has it: docs/how-to/restore-the-ledger.md.", where=str(folder),
        )


def trusted_by(settings: Settings) -> Callable[[str, str, bytes, bytes], bool]:
    """(key id, day, document, signature) -> whether the trust file's key of that id is valid on
    that day and verifies the signature."""
    trust = Keyring(settings).trust()

    def check(key_id: str, day: str, document: bytes, signature: bytes) -> bool:
        key = trust.get(key_id)
        return (
            key is not None
            and key.may_sign("ledger_journal")
            and key.is_valid_on(day_of(day))
            and key.public.verify(document, signature)
        )

    return check
