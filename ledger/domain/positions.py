"""Open positions of currency exchange: by the currency sold and the one bought, what customers gave
and got in exchanges that are not squared with a bank yet.

The register `position` keeps them under `USD/CNY`, two sums of minor units. An effect
`["position", sold currency, bought currency, sold, bought]` adds to them: an exchange what it
exchanged, a deal with the bank, as a negative, what it squared. So the postings of an entry to the
position account mirror its effects, which `verify` holds against each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ledger.domain.chart import parts_of

TABLE = "position"
#: The position account (外汇头寸) of the chart, one in each currency.
ACCOUNT = "1901"
_NOTHING: Mapping[str, int] = {"sold": 0, "bought": 0}
Position = Mapping[str, int]


def pair(sold: str, bought: str) -> str:
    """The key of a position."""
    return f"{sold}/{bought}"


def open_of(table: Mapping[str, Position], sold: str, bought: str) -> Position:
    """What is open of two currencies, minor units of each."""
    return table.get(pair(sold, bought), _NOTHING)


def after(table: Mapping[str, Position], effect: Sequence) -> dict[str, int] | None:
    """What an effect leaves open; None when that is nothing."""
    _, sold, bought, *more = effect
    before = open_of(table, sold, bought)
    found = {"sold": before["sold"] + more[0], "bought": before["bought"] + more[1]}
    return found if any(found.values()) else None


def short(table: Mapping[str, Position], effect: Sequence) -> bool:
    """Whether an effect would take more than is open."""
    return min((after(table, effect) or _NOTHING).values()) < 0


def torn(table: Mapping[str, Position], effect: Sequence) -> bool:
    """Whether taking an exchange back would leave one currency without the other, or less than
    nothing: a part of it was squared at the average, and no deal could square such a rest."""
    left = after(table, effect)
    return left is not None and min(effect[3:]) < 0 and min(left.values()) <= 0


def part_of(whole: int, part: int, of: int) -> int:
    """The share of `whole` that `part` has of `of`, half up: what a part of a position cost, at the
    average of what is open. The last part takes what is left.

    >>> part_of(71_250, 3_333, 10_000)
    23748
    """
    return (2 * whole * part + of) // (2 * of)


def fault(
    table: Mapping[str, Position], effects: Sequence[Sequence], legs: Iterable[Sequence]
) -> str | None:
    """Why an entry that changes positions cannot stand: it squares more than was open, or posts
    something else to the position account than it says.

    :param table: as it was before the entry
    """
    if any(short(table, effect) for effect in effects):
        return "it squares more of a position than was open"
    said: dict[str, int] = {}
    for _, sold, bought, given, got in effects:
        said[sold] = said.get(sold, 0) - given
        said[bought] = said.get(bought, 0) + got
    moved = dict.fromkeys(said, 0)
    for account_id, currency, direction, amount, *_ in legs:
        if parts_of(account_id)[0] == ACCOUNT:
            moved[currency] = moved.get(currency, 0) + (amount if direction == "D" else -amount)
    return None if moved == said else "its legs move another position than it says"
