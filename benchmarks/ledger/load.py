"""Load on one service: connections that are kept alive, in a closed loop or at a fixed rate.

One thread drives all of them, as load generators do: it writes a signed request on each connection
whose turn it is and reads whichever answers are there. What a client costs is taken from the
service's own two cores: a thread for each connection, over the standard library's client, took
0.35 ms of processor time for a single command where this takes 0.09 (of a slow hour, its HMAC and
the reading of its answer included), most of it for reading heads as those of letters and for
passing the interpreter's lock around.
"""

from __future__ import annotations

import re
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import orjson

from benchmarks.ledger.world import Service
from ledger.client import LedgerSession, SessionSigner, Signer
from ledger.sessions import cover_bytes

#: Seconds without any answer after which the run is given up.
PATIENCE = 300.0
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)
_PIECE = 1 << 18


class Connection:
    """One connection, who signs on it, and what has come of the answer to its last request."""

    def __init__(self, service: Service, signer: Signer | SessionSigner) -> None:
        self.socket = socket.create_connection(("127.0.0.1", service.port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.signer = signer
        self.due = 0.0  # when the request was to be sent
        self._host = f"127.0.0.1:{service.port}"
        self._came = b""

    def send(self, path: str, body: bytes) -> None:
        """Send one signed request."""
        lines = [
            f"POST {path} HTTP/1.1", f"host: {self._host}", "content-type: application/json",
            f"content-length: {len(body)}",
            *(f"{name}: {value}" for name, value in
              self.signer.headers("POST", path, body).items()),
        ]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode("ascii") + body)

    def answered(self) -> bool:
        """Take what has come; whether the answer is whole.

        :raises RuntimeError: unless everything in it was posted
        """
        piece = self.socket.recv(_PIECE)
        if not piece:
            raise RuntimeError(f"the service hung up after {self._came[:300]!r}")
        self._came += piece
        head, end, raw = self._came.partition(b"\r\n\r\n")
        if not end:
            return False
        length = _LENGTH.search(head + b"\r\n")
        if length is None:
            raise RuntimeError(f"an answer without its length: {head!r}")
        if len(raw) < int(length[1]):
            return False
        self._came = b""
        status = int(head[9:12])
        document: dict[str, Any] = orjson.loads(raw)
        results = document.get("results", (document,))
        if status >= 400 or any(r.get("status") != "posted" for r in results):
            raise RuntimeError(f"not posted: {status} {raw[:300]!r}")
        return True

    def close(self) -> None:
        self.socket.close()


Opened = Callable[[], Connection]


@contextmanager
def signing(service: Service) -> Iterator[Opened]:
    """Connections on which each request is signed by SM2."""
    made: list[Connection] = []

    def opened() -> Connection:
        made.append(Connection(service, service.signer()))
        return made[-1]

    yield opened
    for connection in made:
        connection.close()


class _InSession(Connection):
    """Covers what it sent when that is due, on its own connection: the others go on meanwhile."""

    def __init__(self, service: Service, session: LedgerSession, first: int) -> None:
        super().__init__(service, session.session)
        self.session = session
        self._count = first  # of requests until the next cover
        self._caller = service.signer()
        self._after: tuple[str, bytes] | None = None  # what waits for the cover under way

    def send(self, path: str, body: bytes) -> None:
        opened = self.session.session
        if len(opened.digests) < self._count:
            super().send(path, body)
            return
        self._count = opened.cover_count
        self._after = path, body
        signature = self._caller.key.sign(
            cover_bytes(opened.session_id, opened.covered + 1, opened.digests)
        )
        order = {"last_number": opened.number, "signature": signature.hex()}
        self.signer = self._caller
        super().send(f"/v1/sessions/{opened.session_id}/cover", orjson.dumps(order))
        self.signer = opened

    def answered(self) -> bool:
        if not super().answered():
            return False
        if self._after is None:
            return True
        opened = self.session.session
        opened.covered = opened.number
        opened.digests.clear()
        after, self._after = self._after, None
        super().send(*after)
        return False


@contextmanager
def in_sessions(service: Service, every: int = 250) -> Iterator[Opened]:
    """Connections with a session each: HMAC-SM3 on every request, the caller's SM2 signature
    over their running digest every so many, which each of 32 reaches within 10,000 commands, and
    at the end. Their first covers fall due one after the other: callers do not open their sessions
    in the same moment."""
    client = service.client(service.signer())
    made: list[_InSession] = []

    def opened() -> Connection:
        first = every - len(made) * 8 % every
        made.append(_InSession(service, LedgerSession(client, service.signer(), every), first))
        return made[-1]

    yield opened
    for connection in made:
        connection.session.cover()
        connection.close()
    client.close()


def closed(opened: Opened, path: str, bodies: Sequence[bytes], connections: int) -> float:
    """Each connection sends the next body when its last one was answered; seconds in all."""
    made = [opened() for _ in range(connections)]
    started = time.perf_counter()
    _drive(made, path, bodies, lambda number: 0.0)
    return time.perf_counter() - started


def fixed(
    opened: Opened, path: str, bodies: Sequence[bytes], rate: float, connections: int
) -> list[float]:
    """Bodies at a fixed rate; the seconds of each from the moment when it was due, so that a late
    answer makes those after it late as well (coordinated omission corrected)."""
    made = [opened() for _ in range(connections)]  # a session takes its time to open
    begin = time.perf_counter() + 0.1
    return _drive(made, path, bodies, lambda number: begin + number / rate)


def _drive(
    connections: list[Connection], path: str, bodies: Sequence[bytes],
    due: Callable[[int], float],
) -> list[float]:
    """Send each body when it is due and a connection is free; the seconds from then to its answer.

    :raises RuntimeError: the first fault of any connection; when no answer comes any more
    """
    took: list[float] = []
    free = deque(connections)
    sent = 0
    with selectors.DefaultSelector() as ready:
        for connection in connections:
            ready.register(connection.socket, selectors.EVENT_READ, connection)
        while len(took) < len(bodies):
            now = time.perf_counter()
            while free and sent < len(bodies) and due(sent) <= now:
                connection = free.popleft()
                connection.due = due(sent)
                connection.send(path, bodies[sent])
                sent += 1
            waits = PATIENCE
            if free and sent < len(bodies):  # nothing is done until the next is due
                waits = max(0.0, due(sent) - time.perf_counter())
            found = ready.select(waits)
            if not found and waits == PATIENCE:
                raise RuntimeError(f"no answer in {PATIENCE:.0f} seconds")
            for key, _ in found:
                connection = key.data
                if connection.answered():
                    took.append(time.perf_counter() - connection.due)
                    free.append(connection)
    return took
