"""Who signs the requests of a client."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime

from ledger.requests import signed_bytes
from ledger.sessions import RequestMac
from paylake.crypto import PrivateKey, sm3_hex


class Signer:
    """Signs requests with SM2 for a person (`operator:<id>`) or a caller (`caller:<id>`).

    :param now: wall clock, seconds since 1970
    """

    def __init__(
        self, name: str, key: PrivateKey, now: Callable[[], float] = time.time
    ) -> None:
        self.name = name
        self.key = key
        self.now = now

    def headers(self, method: str, path: str, body: bytes) -> dict[str, str]:
        """The headers of one request; `path` with its query."""
        stamp = datetime.fromtimestamp(int(self.now()), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        said = {
            "signer": self.name, "method": method, "path": path, "timestamp": stamp,
            "nonce": secrets.token_hex(16), "digest": sm3_hex(body),
        }
        return {
            "x-paylake-signer": self.name, "x-paylake-timestamp": stamp,
            "x-paylake-nonce": said["nonce"], "x-paylake-digest": said["digest"],
            "x-paylake-signature": self.key.sign(signed_bytes(said)).hex(),
        }


class SessionSigner:
    """The requests of one open session: an HMAC-SM3 each; it remembers what is to be covered."""

    def __init__(self, session_id: str, key: bytes, cover_count: int) -> None:
        self.session_id = session_id
        self.mac = RequestMac(key, session_id)
        self.cover_count = cover_count
        self.number = 0
        self.covered = 0
        self.digests: list[str] = []

    def headers(self, method: str, path: str, body: bytes) -> dict[str, str]:
        """The headers of the next request; `path` with its query."""
        digest = sm3_hex(body)
        self.number += 1
        self.digests.append(digest)
        return {
            "x-paylake-session": self.session_id, "x-paylake-number": str(self.number),
            "x-paylake-mac": self.mac.of(self.number, method, path, digest),
        }
