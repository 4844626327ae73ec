"""The home's keys: generated once, kept below ``<home>/keys`` for the owner alone.

A simulated home holds demo keys for every sender; the trust file says which key may sign which
feed, from when to when. Verifying always takes its keys from the trust file, never from what is
being verified.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from paylake.crypto import PrivateKey, PublicKey, Tokeniser
from paylake.durable import write_private
from paylake.errors import PermanentFailure
from paylake.settings import Settings

# Sender key -> the feeds that it may sign. A real institution edits keys/trust.json instead.
DEMO_SENDERS: dict[str, tuple[str, ...]] = {
    "switch-1": ("transaction",),
    "ledger-1": ("ledger_journal", "ledger_balance", "ledger_head", "ledger_event"),
    "registry-1": ("merchant", "terminal"),
    "custodian-1": ("custodian_statement",),
    "paylake-1": ("*",),
}
#: Of these, what came while trust files did not say yet which feeds a key was offered; both came
#: together, to one key.
_BEFORE_OFFERS = frozenset({"ledger_head", "ledger_event"})
INSTITUTION = "institution"
#: Two invented people of a simulated home's ledger: who enters and who reviews.
DEMO_OPERATORS = ("operator-maker-demo", "operator-checker-demo")


@dataclass(frozen=True)
class TrustedKey:
    """A verifying key with what it may sign and when."""

    key_id: str
    sender: str
    feeds: tuple[str, ...]
    public: PublicKey
    valid_from: date
    valid_to: date
    is_demo: bool

    def may_sign(self, feed: str) -> bool:
        return "*" in self.feeds or feed in self.feeds

    def is_valid_on(self, day: date) -> bool:
        return self.valid_from <= day <= self.valid_to


class Keyring:
    """Keys of one home."""

    def __init__(self, settings: Settings) -> None:
        self.folder = settings.path("keys")

    def ensure_demo(self) -> None:
        """Generate what a simulated home needs and does not have yet."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder.chmod(0o700)
        for name in (*DEMO_SENDERS, *DEMO_OPERATORS, INSTITUTION):
            self._ensure_pair(name)
        self.ensure_secrets()
        trust = self.folder / "trust.json"
        if trust.exists():
            self._extend_demo_rights(trust)
        else:
            entries = {
                name: {
                    "sender": name.rsplit("-", 1)[0],
                    "feeds": list(feeds),
                    "offered": list(feeds),
                    "public_key": self.public(name).pem(),
                    "valid_from": "2018-01-01",
                    "valid_to": "2035-12-31",
                    "demo": True,
                }
                for name, feeds in DEMO_SENDERS.items()
            }
            write_private(trust, json.dumps(entries, indent=2).encode())

    def _extend_demo_rights(self, path: Path) -> None:
        """Let the demo keys of a home that an older program made sign the feeds that came since. A
        feed is offered once (`offered` in the entry): what somebody took from a key since stays
        taken, and an entry that somebody made is left alone."""
        try:
            entries = json.loads(path.read_text("utf-8"))
        except ValueError:
            return  # whoever reads it as a trust file names the damage
        changed = False
        for name, feeds in DEMO_SENDERS.items():
            entry = entries.get(name, {})
            if not entry.get("demo") or entry["public_key"] != self.public(name).pem():
                continue
            offered = entry.get("offered", _offered(feeds, entry["feeds"]))
            entry["feeds"] += [feed for feed in feeds if feed not in (*offered, *entry["feeds"])]
            if entry.get("offered") != list(feeds):
                entry["offered"], changed = list(feeds), True
        if changed:
            write_private(path, json.dumps(entries, indent=2).encode())

    def ensure_secrets(self) -> None:
        """The token and sealing keys, the secret of the ledger's salts, and the pair that paylake
        and the institution sign with."""
        if (self.folder / "seal.key").exists():
            self.keep_salt_secret()
        for name in ("token.key", "seal.key", "salt.key"):
            path = self.folder / name
            if not path.exists():
                write_private(path, secrets.token_bytes(16).hex().encode())
        for name in ("paylake-1", INSTITUTION):
            self._ensure_pair(name)

    def _ensure_pair(self, name: str) -> None:
        private = self.folder / f"{name}.key.pem"
        if not private.exists():
            write_private(private, PrivateKey.generate().pem().encode())
        public = self.folder / f"{name}.pub.pem"
        if not public.exists():
            write_private(public, PrivateKey.load(private).public.pem().encode())

    def private(self, name: str) -> PrivateKey:
        """:raises PermanentFailure: when there is no such key."""
        return PrivateKey.load(self.folder / f"{name}.key.pem")

    def public(self, name: str) -> PublicKey:
        """:raises PermanentFailure: when there is no such key."""
        return PublicKey.load(self.folder / f"{name}.pub.pem")

    def _secret(self, name: str) -> bytes:
        path = self.folder / name
        if not path.exists():
            raise PermanentFailure(
                f"The home has no {name}",
                "Restore the keys folder from the backup; nothing sealed can be opened without it.",
                where=str(path),
            )
        return bytes.fromhex(path.read_text("ascii").strip())

    def seal_key(self) -> bytes:
        """The 16-byte SM4 key that kept files and vault values are sealed with."""
        return self._secret("seal.key")

    def salt_secret(self) -> bytes:
        """What the salts of the ledger's commitments are drawn from: it stays when keys change. A
        home from before it was kept apart drew them from its sealing key."""
        name = "salt.key" if (self.folder / "salt.key").exists() else "seal.key"
        return self._secret(name)

    def keep_salt_secret(self) -> None:
        """Keep the secret of the salts apart from the sealing key, once, unchanged."""
        path = self.folder / "salt.key"
        if not path.exists():
            write_private(path, self.seal_key().hex().encode())

    def tokeniser(self) -> Tokeniser:
        return Tokeniser(self._secret("token.key"), "t1")

    def trust(self) -> dict[str, TrustedKey]:
        """Senders' verifying keys by key id.

        :raises PermanentFailure: when the trust file is absent or damaged.
        """
        path = self.folder / "trust.json"
        try:
            entries = json.loads(path.read_text("utf-8"))
            return {
                key_id: TrustedKey(
                    key_id=key_id,
                    sender=entry["sender"],
                    feeds=tuple(entry["feeds"]),
                    public=PublicKey.from_pem(entry["public_key"]),
                    valid_from=date.fromisoformat(entry["valid_from"]),
                    valid_to=date.fromisoformat(entry["valid_to"]),
                    is_demo=bool(entry.get("demo", False)),
                )
                for key_id, entry in entries.items()
            }
        except (OSError, KeyError, ValueError) as error:
            raise PermanentFailure(
                f"The trust file cannot be read: {error}",
                "Restore it, or write it as docs/reference/keys.md says.",
                where=str(path),
            ) from None


def _offered(feeds: tuple[str, ...], has: list[str]) -> list[str]:
    """What a demo key was offered by a program that did not write it down: by one that knew the
    newest feeds all of them, else all the others."""
    if _BEFORE_OFFERS & set(has):
        return list(feeds)
    return [feed for feed in feeds if feed not in _BEFORE_OFFERS]
