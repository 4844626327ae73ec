"""Reversals: each undoes one journal, whole and once, to which nothing was done since (rules D0.73,
D2.8)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

import orjson

from ledger.domain.chain import journal_of
from ledger.domain.chart import SHARD
from ledger.domain.operations import Operations
from ledger.domain.state import State

if TYPE_CHECKING:
    from ledger.service.ports import Reader

TYPE = "reversal"
#: Version of the template from which no reversal overlooked what was done before a checkpoint.
_SURE_SINCE = 4


def reversal_fault(
    reader: Reader, operations: Operations, state: State, row: tuple, legs: list[list]
) -> str | None:
    """Why an entry is no reversal of the journal that it names.

    :param state: as it was before the entry
    """
    if row[2] != TYPE or row[3] < _SURE_SINCE:
        return None
    name = orjson.loads(row[12])["journal_id"]
    number = journal_of(name)
    undone = None if number is None else reader.find_by_journal(number)
    if undone is None or undone[0] >= row[0]:
        return f"it reverses {name}, which was not there"
    if state.items.get(f"journal:{number}", {}).get("reversed"):
        return f"it reverses {name} a second time"
    operation, done = operations.by_type.get(undone[2]), state.items.get(undone[6], {})
    since = [] if operation is None else [n for n in operation.counters if done.get(n)]
    if since or state.frozen.get(undone[6]):
        return f"it reverses {name}, which was {', '.join(since) or 'frozen'} since"
    moved = _moved(legs)
    moved.update(_moved(orjson.loads(undone[13])))
    if any(moved.values()):
        return f"its legs are not those of {name} with sides changed"
    return None


def _moved(legs: Iterable[list]) -> Counter[tuple[str, str]]:
    """Debit less credit by account, its shards together, and currency, minor units."""
    found: Counter[tuple[str, str]] = Counter()
    for account, currency, direction, amount, *_ in legs:
        found[account.partition(SHARD)[0], currency] += amount if direction == "D" else -amount
    return found
