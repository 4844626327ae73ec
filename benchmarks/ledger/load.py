"""Load on one service: connections that are kept alive, each in a thread of its own, in a closed
loop or at a fixed rate. The standard library's client: what it costs is taken from the service's
own two cores."""

from __future__ import annotations

import http.client
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import orjson

from benchmarks.ledger.world import Service
from ledger.client import LedgerSession, SessionSigner, Signer

JSON = {"content-type": "application/json"}


class Connection:
    """One connection, and who signs on it."""

    def __init__(self, service: Service, signer: Signer | SessionSigner) -> None:
        self.http = http.client.HTTPConnection("127.0.0.1", service.port, timeout=300)
        self.signer = signer

    def post(self, path: str, body: bytes) -> None:
        """Send one signed request.

        :raises RuntimeError: unless everything in it was posted
        """
        self.http.request("POST", path, body, JSON | self.signer.headers("POST", path, body))
        answer = self.http.getresponse()
        raw = answer.read()
        document: dict[str, Any] = orjson.loads(raw)
        results = document.get("results", (document,))
        if answer.status >= 400 or any(r.get("status") != "posted" for r in results):
            raise RuntimeError(f"not posted: {answer.status} {raw[:300]!r}")

    def close(self) -> None:
        self.http.close()


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
    def __init__(self, service: Service, session: LedgerSession) -> None:
        super().__init__(service, session.session)
        self.session = session

    def post(self, path: str, body: bytes) -> None:
        if len(self.session.session.digests) >= self.session.session.cover_count:
            self.session.cover()
        super().post(path, body)


@contextmanager
def in_sessions(service: Service, every: int = 1000) -> Iterator[Opened]:
    """Connections with a session each: HMAC-SM3 on every request, the caller's SM2 signature
    over their running digest every so many and at the end."""
    client = service.client(service.signer())
    made: list[_InSession] = []

    def opened() -> Connection:
        made.append(_InSession(service, LedgerSession(client, service.signer(), every)))
        return made[-1]

    yield opened
    for connection in made:
        connection.session.cover()
        connection.close()
    client.close()


def closed(opened: Opened, path: str, bodies: Sequence[bytes], connections: int) -> float:
    """Each connection sends the next body when its last one was answered; seconds in all."""
    waiting = iter(bodies)
    started = _threads(connections, opened, lambda c: [c.post(path, b) for b in _taken(waiting)])
    return time.perf_counter() - started


def fixed(
    opened: Opened, path: str, bodies: Sequence[bytes], rate: float, connections: int
) -> list[float]:
    """Bodies at a fixed rate; the seconds of each from the moment when it was due, so that a late
    answer makes those after it late as well (coordinated omission corrected)."""
    numbers = iter(range(len(bodies)))
    took = [0.0] * len(bodies)
    ready = iter([opened() for _ in range(connections)])  # a session takes its time to open
    begin = time.perf_counter() + 0.1

    def send(connection: Connection) -> None:
        for number in _taken(numbers):
            due = begin + number / rate
            time.sleep(max(0.0, due - time.perf_counter()))
            connection.post(path, bodies[number])
            took[number] = time.perf_counter() - due

    _threads(connections, lambda: next(ready), send)
    return took


_lock = threading.Lock()


def _taken(items: Iterator[Any]) -> Iterator[Any]:
    """Items that several threads share."""
    while True:
        with _lock:
            found = list(itertools.islice(items, 1))
        if not found:
            return
        yield found[0]


def _threads(count: int, opened: Opened, work: Callable[[Connection], object]) -> float:
    """Run the work on so many connections at once; when they began.

    :raises RuntimeError: the first fault of any of them
    """
    connections = [opened() for _ in range(count)]
    faults: list[BaseException] = []

    def run(connection: Connection) -> None:
        try:
            work(connection)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=run, args=(c,)) for c in connections]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
    return started
