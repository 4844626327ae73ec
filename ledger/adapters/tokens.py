"""Bearer tokens: `<home>/keys/ledger_tokens.json` holds their SM3 digests and rights.

Rights: `read` (balances, journals, days), `post` (commands, accounts), `operate` (clock, close,
export). A demo home also keeps the one generated token in clear in `keys/ledger.token`, readable
by the owner alone, for the simulator and the command line.
"""

from __future__ import annotations

import hmac
import json
import secrets
from dataclasses import dataclass

from ledger.domain.actors import LEDGER
from ledger.domain.chain import sm3
from paylake.durable import write_private
from paylake.errors import EnvironmentFault
from paylake.settings import Settings

RIGHTS = ("read", "post", "operate")


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose token it is and what it may do."""

    name: str
    rights: frozenset[str]


class Tokens:
    """The tokens that a service accepts, read once at start."""

    def __init__(self, entries: dict[str, tuple[bytes, Caller]]) -> None:
        self._entries = entries

    @classmethod
    def load(cls, settings: Settings) -> Tokens:
        """:raises EnvironmentFault: when the home has no tokens or the file is damaged."""
        path = settings.path("keys", "ledger_tokens.json")
        entries: dict[str, tuple[bytes, Caller]] = {}
        try:
            for name, entry in json.loads(path.read_text("utf-8")).items():
                rights = frozenset(entry["rights"])
                if not rights <= set(RIGHTS):
                    raise ValueError(f"rights of {name} are not among {', '.join(RIGHTS)}")
                if name == LEDGER.id:
                    raise ValueError(f"{name} is the ledger's own name")
                entries[name] = (bytes.fromhex(entry["sm3"]), Caller(name, rights))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise EnvironmentFault(
                f"the ledger's tokens cannot be read: {error}",
                "write the file as docs/explanation/ledger.md says", where=str(path),
            ) from error
        return cls(entries)

    def caller(self, token: str) -> Caller | None:
        """Whose token this is. Compares digests in constant time, all of them."""
        digest = sm3(token.encode("utf-8", "surrogatepass"))
        found = None
        for known, caller in self._entries.values():
            if hmac.compare_digest(known, digest):
                found = caller
        return found


def ensure_demo_token(settings: Settings) -> str:
    """The token of a simulated home, generated at the first start; returns it in clear."""
    clear = settings.path("keys", "ledger.token")
    listed = settings.path("keys", "ledger_tokens.json")
    if not clear.is_file():
        write_private(clear, secrets.token_urlsafe(32).encode("ascii"))
    token = clear.read_text("ascii").strip()
    if not listed.is_file():
        entry = {"sm3": sm3(token.encode()).hex(), "rights": list(RIGHTS), "demo": True}
        write_private(listed, json.dumps({"demo": entry}, indent=1).encode())
    return token
