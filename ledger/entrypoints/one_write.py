"""A transport that sends the head of an answer together with its body: one call of the system and
one packet for an answer, where the server would write twice and the client be woken twice."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any


class OneWrite:
    """Around a connection's transport. A head waits for what is written next, at most until the
    event loop comes round; whatever else is asked of the transport is asked of the one within."""

    __slots__ = ("_head", "_loop", "_within")

    def __init__(self, within: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._within, self._loop = within, loop
        self._head = b""

    def write(self, data: bytes) -> None:
        """Write what comes after a head with it; keep a head back."""
        if self._head:
            data, self._head = self._head + data, b""
        elif data.endswith(b"\r\n\r\n") and data.startswith(b"HTTP/1.1 "):
            self._head = data
            self._loop.call_soon(self.flush)
            return
        self._within.write(data)

    def writelines(self, pieces: Iterable[bytes]) -> None:
        """Write several pieces as one."""
        self.write(b"".join(pieces))

    def flush(self) -> None:
        """Write a head that nothing followed."""
        if self._head:
            head, self._head = self._head, b""
            self._within.write(head)

    def close(self) -> None:
        """Close it, once what was written is sent."""
        self.flush()
        self._within.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._within, name)
