"""The paths of the HTTP service, by purpose: `commands.py` what is posted, `days.py` clock, close
and files of a date, `accounts.py` what an account's owner may ask, `house.py` what the house alone
reads, `sensitive.py` sensitive values, `reconciliations.py` statements of banks."""

from __future__ import annotations

from ledger.entrypoints.routes import accounts, commands, days, house, reconciliations, sensitive
from ledger.entrypoints.routes.room import Room


def add_routes(room: Room) -> None:
    """Add every path to the application."""
    commands.add(room)
    days.add(room)
    accounts.add(room)
    house.add(room)
    sensitive.add(room)
    reconciliations.add(room)


__all__ = ["Room", "add_routes"]
