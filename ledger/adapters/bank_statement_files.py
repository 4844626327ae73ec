"""A bank's statement in a CSV or Parquet file, as bulk import reads such files.

Columns: `line_id`, `value_date`, `amount_minor` (whole minor units, money in positive; or beside a
`direction` of C, in, or D, out), `reference`, and `entry_type`: OPENING, MOVEMENT or CLOSING, where
the file has the balances too. A file has no other column: names and account numbers of others stay
with the bank.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from ledger.adapters.row_files import rows_of
from paylake.errors import UsageFault

COLUMNS = ("line_id", "value_date", "amount_minor", "direction", "reference")
_AGAIN = "Get it from the bank again."
_WHOLE = re.compile(r"-?[0-9]{1,18}\Z")
_BALANCES = {"OPENING": "opening", "CLOSING": "closing"}


@dataclass(slots=True)
class StatementFile:
    """What a file says; balances are None where it has none."""

    lines: list[dict[str, Any]] = field(default_factory=list)
    opening: int | None = None
    closing: int | None = None


def read_statement(path: Path) -> StatementFile:
    """The lines and balances of a file.

    :raises UsageFault: for a file that is no statement, naming line and column
    """
    found = StatementFile()
    for number, row, beyond in rows_of(path, "line_id", "the statement's lines", _AGAIN):
        if beyond:
            raise _wrong(path, number, "it has not as many cells as the header")
        for name in row:
            if name not in (*COLUMNS, "entry_type"):
                raise _wrong(path, number, f"column {name[:40]!r} is not of a statement")
        cells = {name: _cell(row.get(name)) for name in COLUMNS}
        for name, cell in cells.items():
            if name != "amount_minor" and cell is not None and not isinstance(cell, str):
                raise _wrong(path, number, f"{name} is not a text")
        amount = cells["amount_minor"]
        if (isinstance(amount, str) and _WHOLE.match(amount)) or (
            isinstance(amount, Decimal) and amount.as_tuple().exponent == 0
        ):
            cells["amount_minor"] = int(amount)
        elif amount is not None and type(amount) is not int:
            raise _wrong(path, number, "amount_minor is not a whole number of minor units")
        kind = _cell(row.get("entry_type")) or "MOVEMENT"
        side = _BALANCES.get(str(kind))
        if side is not None:
            if getattr(found, side) is not None:
                raise _wrong(path, number, f"a second {kind} line")
            setattr(found, side, cells["amount_minor"])
        elif kind == "MOVEMENT":
            found.lines.append({name: cell for name, cell in cells.items() if cell is not None})
        else:
            raise _wrong(path, number, "entry_type is not OPENING, MOVEMENT or CLOSING")
    return found


def _cell(value: Any) -> Any:
    """A cell of a Parquet file may be a date, as it stands in CSV a text."""
    if value == "":
        return None
    return value.isoformat() if hasattr(value, "isoformat") else value


def _wrong(path: Path, number: int, what: str) -> UsageFault:
    return UsageFault(
        f"{path.name}, line {number}: {what}",
        f"The columns are {', '.join(COLUMNS)} and entry_type.", where=str(path),
    )
