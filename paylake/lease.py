"""One writer a lake: a lease file with owner, date and step, taken by every writing command.

The lease is an advisory lock held by the process (`flock`), so a killed owner's lease is free at
once; the text in the file only says who has it. A second writer waits with a message, then gives up
with an exit code of its own.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from paylake import restatement
from paylake.errors import LeaseHeld
from paylake.settings import Settings

_held: set[str] = set()


@contextmanager
def lease(
    settings: Settings, step: str, dates: str = "", *, during_restatement: bool = False
) -> Iterator[None]:
    """Hold the lake's lease while the block runs; nested use in one process is free.

    :param step: what the owner does, shown to those who wait.
    :param dates: for which business dates.
    :param during_restatement: the step may run while a restatement is open: it is part of it, or
        touches nothing that it does.
    :raises LeaseHeld: when `lease_wait_seconds` have passed and another owner still works.
    :raises Held: when a restatement is open.
    """
    path = settings.path("run", "lake.lease")
    if str(path) in _held:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        _acquire(file, step, settings.lease_wait_seconds)
        file.seek(0)
        file.truncate()
        owner = {
            "owner": f"{socket.gethostname()}:{os.getpid()}",
            "step": step,
            "dates": dates,
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        file.write(json.dumps(owner))
        file.flush()
        _held.add(str(path))
        try:
            if not during_restatement:
                restatement.refuse_others(settings, step)
            yield
        finally:
            _held.discard(str(path))
            file.seek(0)
            file.truncate()
            file.flush()
            fcntl.flock(file, fcntl.LOCK_UN)


def _acquire(file, step: str, wait_seconds: int) -> None:
    until = time.monotonic() + wait_seconds
    told = False
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            file.seek(0)
            owner = file.read() or "unknown"
            if time.monotonic() >= until:
                raise LeaseHeld(
                    f"The lake is being written by {owner}",
                    f"Run {step} again when it has finished.",
                ) from None
            if not told:
                print(f"waiting for the lake: {owner}", file=sys.stderr, flush=True)
                told = True
            time.sleep(0.2)
