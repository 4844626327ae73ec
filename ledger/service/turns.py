"""Turns: who has the interpreter's lock.

Compiled code never asks whether another thread waits for the lock; Python's does so at each call of
a function. A batch that is planned in compiled code alone would keep it for all of its thousand
commands, while the storage waits to begin the next statement and the event loop to read the next
request: so this module is not compiled, and each command calls :func:`give_way`.
"""

from __future__ import annotations

import sys

#: Seconds after which a thread that waits for the lock is given it. The storage needs it for a
#: moment between two statements, several times a unit; at Python's own 5 ms that adds up to a
#: third of what writing takes.
_WAIT_SECONDS = 0.0005


def take_turns() -> None:
    """Have the threads of this process wait less for each other."""
    sys.setswitchinterval(_WAIT_SECONDS)


def give_way() -> None:
    """Let another thread go on, if one waits."""
