"""What the institution says of itself on a report: its account, who checks and who approves.

It comes from the settings, never from a mart and never from a guess: what is not set stays empty, a
line to be filled in and signed. The manifest carries what was said when the package was made, so a
rebuild gives the same bytes whatever the settings say by then.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from paylake.masking import mask
from paylake.settings import Settings
from reporting.data import Rows
from reporting.specification import Specification

# setting -> what the report shows of it, masked where the specification says so; "" when not set
Declared = Mapping[str, str]


def shown(settings: Settings, spec: Specification) -> dict[str, str]:
    """What the settings say for the declared columns of a report, as it is shown."""
    said: dict[str, str] = {}
    for _, column in spec.declared_columns():
        value = str(getattr(settings, column.setting)).strip()
        said[column.setting] = mask(column.mask, value) if column.mask and value else value
    return said


def fill(rows: Rows, spec: Specification, day: date, declared: Declared) -> Rows:
    """The rows of a date with the declared columns filled in; what is not declared stays empty."""
    cells: dict[str, dict[str, str | None]] = {}
    for dataset, column in spec.declared_columns():
        value = declared.get(column.setting) or None
        cells.setdefault(dataset, {})[column.name] = value
    by_date = {
        name: {**days, day: [row | cells[name] for row in days.get(day, ())]}
        if name in cells else days
        for name, days in rows.by_date.items()
    }
    return Rows(rows.columns, by_date)
