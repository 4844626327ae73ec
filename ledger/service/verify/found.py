"""What `verify` gives: counts, and the first row that does not hold."""

from __future__ import annotations

from dataclasses import dataclass

#: What reading a hand-edited row may raise; it is a broken row, not a fault of the program.
UNREADABLE = (TypeError, ValueError, KeyError, AttributeError, IndexError, AssertionError)


def not_of_its_form(error: Exception) -> str:
    """The reason of a row that could not be read."""
    return f"one of its values is not of its form ({type(error).__name__})"


@dataclass(frozen=True, slots=True)
class Broken:
    """The first row that does not hold: which, and why."""

    row: str
    reason: str

    def sentence(self) -> str:
        return f"{self.row}: {self.reason}"


@dataclass(slots=True)
class Verified:
    """What was checked, and the first broken row if there is one."""

    entries: int = 0
    journals: int = 0
    legs: int = 0
    refusals: int = 0
    approvals: int = 0
    requests: int = 0
    uncovered_requests: int = 0
    unsigned_entries: int = 0  # of people and callers, without a request of theirs
    accounts: int = 0
    closed_dates: int = 0
    heads: int = 0
    chain_digest: str = ""
    broken: Broken | None = None
