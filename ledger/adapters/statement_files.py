"""The statements of a closed date as files in the home: balances of every account, fees by
merchant and item. They are held against the digests of the signed head before they are written.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from ledger.adapters.signed_files import write_signed
from ledger.adapters.storage import open_reader, place
from ledger.service.day_statements import LISTS, as_csv, of_day
from paylake.crypto import sm3_hex
from paylake.errors import PermanentFailure
from paylake.settings import Settings

FORMAT = "paylake-statements/1"


@dataclass(frozen=True, slots=True)
class Written:
    """A file and its rows."""

    path: Path
    rows: int


def write_statements(settings: Settings, day: date) -> list[Written]:
    """Write both lists of a closed date into `<home>/ledger/statements/<date>/`.

    :raises PermanentFailure: when the date is not closed, was closed before heads named
        statements, or the rows are no longer those that were signed
    """
    reader = open_reader(settings)
    try:
        with reader.snapshot():
            close = reader.find_close(day.isoformat())
            if close is None:
                raise PermanentFailure(
                    f"the ledger has not closed {day}", "close the date first",
                    where=place(settings),
                )
            said = json.loads(close["document"]).get("statements")
            if said is None:
                raise PermanentFailure(
                    f"the head of {day} names no statements",
                    "it was closed by an older program; ask for movements instead",
                    where=place(settings),
                )
            listed = of_day(reader, day.isoformat())
    finally:
        reader.close()
    data = {name: as_csv(columns, listed[name]) for name, columns in LISTS.items()}
    for name, raw in data.items():
        if sm3_hex(raw) != said[name]["sm3"]:
            raise PermanentFailure(
                f"the {name} of {day} are not those of its signed head",
                "run `python -m ledger verify`; no file was written", where=place(settings),
            )
    folder = settings.path("ledger", "statements", day.isoformat())
    written = []
    for name, raw in data.items():
        path = folder / f"{name}_{day:%Y%m%d}.csv"
        write_signed(settings, path, raw, {
            "format": FORMAT, "booking_date": day.isoformat(), "rows": len(listed[name]),
            "columns": list(LISTS[name]),
        })
        written.append(Written(path, len(listed[name])))
    return written
