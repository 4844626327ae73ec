"""What can go wrong, as values: each error says what, where and what to do next.

Only a `TransientFault` is ever retried. Exit codes are part of the interface
(`docs/reference/exit-codes.md`).
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any


class PaylakeError(Exception):
    """Base of every error that a user sees.

    :param what: one sentence that says what is wrong.
    :param next_step: one sentence that says what to do about it.
    :param where: a file, line, date, table or address, when there is one.
    """

    exit_code = 10

    def __init__(self, what: str, next_step: str, *, where: str | None = None) -> None:
        self.what = what
        self.next_step = next_step
        self.where = where
        super().__init__(self.sentence())

    def __reduce__(self) -> tuple[Any, ...]:
        """How it comes from another process: as it is, since its sentence alone makes none."""
        return _as_it_was, (type(self), *self.args), self.__dict__

    def sentence(self) -> str:
        place = f" ({self.where})" if self.where else ""
        return f"{self.what.rstrip('.')}{place}. {self.next_step}"


def _as_it_was(kind: type[PaylakeError], *arguments: Any) -> PaylakeError:
    return kind.__new__(kind, *arguments)


class PermanentFailure(PaylakeError):
    """A bad file, a broken rule, a wrong key: trying again gives the same."""


class UsageFault(PaylakeError):
    """The call itself is wrong."""

    exit_code = 2


class Waiting(PaylakeError):
    """A required delivery has not come; the date waits."""

    exit_code = 11


class Held(PaylakeError):
    """The gate, or a held earlier date, keeps this date back."""

    exit_code = 12


class LeaseHeld(PaylakeError):
    """Another writer is at work."""

    exit_code = 13


class EnvironmentFault(PaylakeError):
    """Something this machine lacks: an engine, a port, the right Python."""

    exit_code = 14


class DiskFull(PaylakeError):
    """No room to write."""

    exit_code = 15


class NotVerified(PaylakeError):
    """A signature, digest or chain does not verify."""

    exit_code = 16


class TransientFault(PaylakeError):
    """Worth another try: a commit conflict, a refused connection."""

    exit_code = 17


#: No room, or none left for this user.
_FULL = (errno.ENOSPC, errno.EDQUOT)


def disk_fault(error: OSError, path: Path | str) -> DiskFull | EnvironmentFault:
    """An OSError of writing, as the error that a user should see; what was asked can be asked
    again. That of a library may have its number in its words alone."""
    if error.errno in _FULL or "No space left" in str(error):
        return DiskFull(
            "The disk is full", "Free some space and run the command again.", where=str(path)
        )
    if str(path).startswith("s3://"):
        return EnvironmentFault(
            f"The object store did not take it: {' '.join(str(error).split())[:300]}",
            "Check that it runs, AWS_ENDPOINT, and what these keys may do.",
            where=str(path),
        )
    return EnvironmentFault(
        f"Cannot write: {error.strerror or error}",
        "See what keeps the folder from it, its rights first, and run the command again.",
        where=str(path),
    )
