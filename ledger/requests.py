"""What a person or caller signs of a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ledger.canonical import canonical

REQUEST_FORMAT = "paylake-request/1"


def signed_bytes(request: Mapping[str, Any]) -> bytes:
    """The canonical bytes: format, signer, method, path with query, timestamp, nonce, SM3 of the
    body (hexadecimal). Rules D0.36, D2.25."""
    return canonical([
        REQUEST_FORMAT, request["signer"], request["method"], request["path"],
        request["timestamp"], request["nonce"], request["digest"],
    ])
