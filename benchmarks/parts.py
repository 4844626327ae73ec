"""Marks on standard output by which the measuring process learns what a child is doing."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

PREFIX = "benchmark-part "


@contextmanager
def part(name: str) -> Iterator[None]:
    """Say that the block is the part `name`; parts do not overlap."""
    started = time.time()
    yield
    say(name, started, time.time())


def say(name: str, started: float, ended: float) -> None:
    """Say when a part began and ended (seconds since the epoch)."""
    print(PREFIX + json.dumps({"name": name, "from": started, "to": ended}), flush=True)
