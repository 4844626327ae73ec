"""Limits as they are asked at each posting: which are for an account, and whether one is crossed.
The register's documents are read once, until a register changes. Rules D0.45, D2.9."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ledger.domain.account import Used

#: Periods that a limit may bound, with the length of their text within a date.
_PERIODS = {"day": 10, "month": 7}
_UNBOUND = (None, None)


class Limit:
    """One limit. `periods` are those that it bounds: name, length of the period's text within a
    date, most minor units or None, most times or None; `batch` are the last two of a batch, or
    None when it bounds none."""

    __slots__ = ("batch", "id", "periods", "single")

    def __init__(self, row: Mapping[str, Any]) -> None:
        self.id: str = row["id"]
        self.single: int | None = row.get("single_minor")
        self.batch = (
            (row.get("batch_minor"), row.get("batch_count")) if bounds_batch(row) else None
        )
        bounds = (
            (name, length, row.get(f"{name}_minor"), row.get(f"{name}_count"))
            for name, length in _PERIODS.items()
        )
        self.periods = tuple(
            bound for bound in bounds if bound[2] is not None or bound[3] is not None
        )

    def crossed(self, usage: Mapping[str, Used], amount: int, day: str) -> str | None:
        """What of it one more amount would cross, in words, or None; exactly the limit passes.

        :param usage: of the account in the limit's scene, by period
        """
        if self.single is not None and amount > self.single:
            return f"{self.single} minor units a time"
        for name, length, most, often in self.periods:
            used = usage.get(day[:length])
            if most is not None and amount + (used.amount if used else 0) > most:
                return f"{most} minor units a {name}"
            if often is not None and (used.times if used else 0) >= often:
                return f"{often} times a {name}"
        return None

    def crossed_in_batch(self, used: int, count: int, amount: int) -> str | None:
        """As `crossed`, of what the account's batch has used so far."""
        most, often = self.batch or _UNBOUND
        if most is not None and used + amount > most:
            return f"{most} minor units a batch"
        return f"{often} times a batch" if often is not None and count >= often else None


def bounds_batch(row: Mapping[str, Any]) -> bool:
    """Whether a limit bounds batches: what counts against it then records its batch."""
    return row.get("batch_minor") is not None or row.get("batch_count") is not None


def in_force(
    rows: Iterable[Mapping[str, Any]], scene: str, code: str, grade: str, currency: str, day: str
) -> tuple[Limit, ...]:
    """The limits of a scene for accounts of a code and owners of a grade on a date; those of the
    grade first, then those for all grades, each by their numbers: what is named as crossed does
    not depend on when they were set."""
    found = sorted((
        row for row in rows
        if row["scene"] == scene and row["account_code"] == code
        and row["currency_code"] == currency and row["valid_from"] <= day
        and (row.get("valid_to") is None or day <= row["valid_to"])
    ), key=lambda row: row["id"])
    return tuple(
        Limit(row) for wanted in (grade, "") for row in found if row.get("grade", "") == wanted
    )
