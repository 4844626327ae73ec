"""Holds that come to their last date: they end on it by the ledger's own hand, without interest
(rule D0.15).

Their entries are booked on that date, whoever comes first after it: the close of the date or of a
later one, the run of a later date, the first command of a later date, the hourly head. They move
no balance, so a date whose cut-off is past takes them as long as it is not closed.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from ledger.domain.holds import left, reduced
from ledger.domain.state import State

TYPE = "hold_expiry"


def before(day: str) -> str:
    """The calendar date before a date."""
    return (date.fromisoformat(day) - timedelta(1)).isoformat()


def ended(state: State, through: str) -> list[str]:
    """The open holds whose last date is a date or earlier, oldest first."""
    found = [
        (hold["expires_on"], name) for name, hold in state.holds.items()
        if hold["expires_on"] is not None and hold["expires_on"] <= through
    ]
    return [name for _, name in sorted(found)]


def entries(
    state: State, through: str, closed: str | None
) -> Iterator[tuple[str, str, dict[str, Any], list[list]]]:
    """Key, booking date, content and effects of each entry. A hold that was given a last date
    which was closed already ends on `through`.

    The key has a sign that no sender's key may have, so nobody can take it.
    """
    for name in ended(state, through):
        hold = state.holds[name]
        day = hold["expires_on"]
        if closed is not None and day <= closed:
            day = through
        yield (
            f"{TYPE}/{hold['expires_on']}/{name}", day, {"hold_id": name},
            [["hold", name, reduced(hold, "released", left(hold))]],
        )

