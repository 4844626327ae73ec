"""Who is logged in, and who tried too often. All of it in memory: a restart ends every login."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import OrderedDict, deque
from dataclasses import dataclass

IDLE_SECONDS = 30 * 60
LONGEST_SECONDS = 8 * 3600
MOST_SESSIONS = 1000

WRONG_TRIES = 5
WRONG_SECONDS = 60
_MOST_ADDRESSES = 10_000


def now() -> float:
    """Seconds that only go forward, whatever is done to the clock."""
    return time.monotonic()


@dataclass(slots=True)
class Session:
    """One login. `caller` is the name of the token."""

    caller: str
    started: float
    used: float


class Sessions:
    """Logins by the digest of their random id: the id itself is in the browser's cookie alone."""

    def __init__(self) -> None:
        self._found: OrderedDict[bytes, Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._found)

    def start(self, caller: str) -> str:
        """A new login; returns its id. Beyond `MOST_SESSIONS` the longest unused one ends."""
        self._drop_old()
        while len(self._found) >= MOST_SESSIONS:
            self._found.popitem(last=False)
        name = secrets.token_urlsafe(32)
        moment = now()
        self._found[_digest(name)] = Session(caller, moment, moment)
        return name

    def get(self, name: str | None) -> Session | None:
        """The login of this id, which is used by this; None when there is none or it has ended."""
        if not name:
            return None
        digest = _digest(name)
        session = self._found.get(digest)
        if session is None:
            return None
        if _ended(session):
            del self._found[digest]
            return None
        session.used = now()
        self._found.move_to_end(digest)
        return session

    def end(self, name: str | None) -> None:
        """Log out."""
        if name:
            self._found.pop(_digest(name), None)

    def _drop_old(self) -> None:
        for digest in [d for d, session in self._found.items() if _ended(session)]:
            del self._found[digest]


class WrongTries:
    """Wrong tokens by address: five in a minute, then no more for as long."""

    def __init__(self) -> None:
        self._found: OrderedDict[str, deque[float]] = OrderedDict()

    def wait(self, address: str) -> int:
        """Seconds until the address may try again; 0: now."""
        times = self._found.get(address)
        if times is None:
            return 0
        while times and times[0] <= now() - WRONG_SECONDS:
            times.popleft()
        if not times:
            del self._found[address]
            return 0
        return int(times[0] + WRONG_SECONDS - now()) + 1 if len(times) >= WRONG_TRIES else 0

    def add(self, address: str) -> None:
        """One wrong try."""
        while len(self._found) >= _MOST_ADDRESSES and address not in self._found:
            self._found.popitem(last=False)
        self._found.setdefault(address, deque(maxlen=WRONG_TRIES)).append(now())
        self._found.move_to_end(address)


def _ended(session: Session) -> bool:
    moment = now()
    return moment - session.used >= IDLE_SECONDS or moment - session.started >= LONGEST_SECONDS


def _digest(name: str) -> bytes:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
