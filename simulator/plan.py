"""Which problem is planted when: decided from the parameters alone, before anything happens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from paylake import dates
from simulator.params import Params

MALFORMED = (
    "missing_value", "bad_number", "bad_scale", "bad_date", "bad_enum", "wrong_column_count",
)
#: Kinds of malformed rows whose first row is corrected and replayed; the others stay open.
REPLAYED = ("missing_value", "bad_number", "bad_scale", "bad_date")

# kind: preferred place among the dates before the last three (of 27), dates needed before, after
_PLACES: dict[str, tuple[int, int, int]] = {
    "missing_value": (1, 0, 0),
    "bad_number": (2, 0, 0),
    "bad_scale": (3, 0, 0),
    "bad_date": (4, 0, 0),
    "bad_enum": (5, 0, 0),
    "wrong_column_count": (6, 0, 0),
    "truncated_file": (7, 0, 0),
    "wrong_control_total": (9, 0, 1),
    "clearing_late": (10, 0, 1),
    "wrong_key": (11, 0, 0),
    "resent_file": (13, 0, 0),
    "late_row": (15, 0, 0),
    "new_column": (17, 0, 0),
    "payout_late": (19, 1, 2),
    "receipt_booked_later": (20, 0, 2),
    "dispute": (22, 3, 0),
    "receipt_unknown": (24, 0, 0),
}
#: Both have a delivery of the same feed refused and sent again: each has a date of its own.
_APART = ("truncated_file", "wrong_key")
_EARLY = 27
#: Below this many attempts a day two bad rows would exceed a feed's bad-row limit of 2 %.
_ENOUGH_FOR_MALFORMED = 200


@dataclass(frozen=True)
class Plan:
    """Date of each planted problem; `left_out` says which found no place, and why."""

    when: dict[str, date]
    left_out: dict[str, str]

    def on(self, kind: str) -> date | None:
        return self.when.get(kind)

    def kinds_on(self, day: date) -> list[str]:
        """Problems of a date, in the order of this module's list."""
        return [kind for kind, planted in self.when.items() if planted == day]


def make_plan(params: Params) -> Plan:
    """Spread the problems over the dates.

    The last three dates are kept for the one that a failing check holds (the third from the end,
    cleared by a delivery sent later) and the one that operations waives (the second from the
    end). Fewer dates carry fewer problems.
    """
    days = params.dates()
    early = days[:-3]
    when: dict[str, date] = {}
    left_out: dict[str, str] = {}
    for kind, (place, before, after) in _PLACES.items():
        if kind in MALFORMED and params.txns < _ENOUGH_FOR_MALFORMED:
            left_out[kind] = f"needs at least {_ENOUGH_FOR_MALFORMED} attempts a day"
        elif len(early) < before + after + 1:
            left_out[kind] = f"needs {before + after + 1} dates before the last three"
        else:
            index = place if len(early) >= _EARLY else place * len(early) // _EARLY
            index = min(max(index, before), len(early) - 1 - after)
            if kind == "payout_late":  # on a date with payouts: public holidays have none
                while index > before and dates.is_public_holiday(early[index]):
                    index -= 1
            day = early[index]
            others = {when[other] for other in _APART if other in when and kind in _APART}
            free = [each for each in early if each not in others]
            if day in others and not free:
                left_out[kind] = "needs a date without another refused delivery of its feed"
            else:
                when[kind] = free[-1] if day in others else day
    if len(days) >= 3:
        when["held"] = days[-3]
        when["waived"] = days[-2]
    else:
        left_out["held"] = left_out["waived"] = "needs three dates"
    return Plan(when, left_out)
