"""Postings valued on a past date must not make the past impossible: an account that would have
been below its floor on a date since then refuses them, as it would have refused them then. An
account kept in shards is judged as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import orjson

from ledger.domain import shards
from ledger.domain.account import Account
from ledger.domain.chart import SHARD
from ledger.domain.operations import Leg, Operation
from ledger.domain.refusals import Refusal

if TYPE_CHECKING:
    from ledger.service.ledger import Ledger

Name = tuple[str, str]  # account id, currency
#: Debit less credit by value date, minor units.
Sums = Counter[str]


class Past:
    """What accounts had on past dates, as one batch sees it: what is committed, what is planned,
    and its own entries so far. Made of what is asked for, once.

    :param rows: entries of the batch so far, to be filled by it
    """

    def __init__(self, ledger: Ledger, rows: Sequence[tuple]) -> None:
        self.ledger = ledger
        self.rows = rows
        self._committed: dict[Name, Sums] = {}
        self._planned: dict[Name, Sums] | None = None
        self._own: dict[Name, Sums] = {}
        self._counted: list[tuple] = []

    def refusal(
        self, operation: Operation, legs: Iterable[Leg], value_date: str, day: str
    ) -> Refusal | None:
        """Why legs valued on a date before their booking date cannot be: the first account that
        they put below its floor at the end of a date from then to the day before."""
        for account, change in self._lowered(operation, legs):
            assert account.floor is not None
            for then, there in self._balances(account, value_date, day):
                left = there + change
                if left < account.floor:
                    return Refusal(
                        "below_floor", f"account {account.account_id} would have been at {left} "
                        f"minor units on {then}, below {account.floor}", "value_date",
                    )
        return None

    def _lowered(
        self, operation: Operation, legs: Iterable[Leg]
    ) -> Iterator[tuple[Account, int]]:
        """Accounts whose floor binds the operation, and by how much their balance falls."""
        changes: Counter[Account] = Counter()
        for account_id, currency, direction, amount, *_ in legs:
            account = self.ledger.state.accounts[currency][account_id.partition(SHARD)[0]]
            signed = amount if (direction == "D") == (account.debit_sign > 0) else -amount
            changes[account] += signed
        for account, change in changes.items():
            if change < 0 and account.floor is not None and (
                operation.journal_type not in account.line.below_floor_by
            ):
                yield account, change

    def _balances(self, account: Account, first: str, day: str) -> Iterator[tuple[str, int]]:
        """Balance on the normal side at the end of the first date and of each later one before the
        day that moved the account."""
        sums: Sums = Counter()
        for part in (account, *shards.shards_of(self.ledger.state, account)):
            name = (part.account_id, part.currency_code)
            for found in (self._of_log(name), self._of_units(name), self._of_batch(name)):
                for then, amount in found.items():
                    sums[then] += amount
        total = sum(amount for then, amount in sums.items() if then <= first)
        yield first, total * account.debit_sign
        for then in sorted(then for then in sums if first < then < day):
            total += sums[then]
            yield then, total * account.debit_sign

    def _of_log(self, name: Name) -> Sums:
        found = self._committed.get(name)
        if found is None:
            found = self._committed[name] = Counter()
            pipeline, history = self.ledger.pipeline, self.ledger.history
            for segment in history.committed(
                pipeline.reads.reader, *name, taken=not pipeline.fold_is_written()
            ):
                found[segment.value_date] += segment.debit - segment.credit
        return found

    def _of_units(self, name: Name) -> Sums:
        if self._planned is None:
            self._planned = {}
            for row in self.ledger.pipeline.reads.planned():
                _count(self._planned, row)
        return self._planned.get(name) or Counter()

    def _of_batch(self, name: Name) -> Sums:
        counted = self._counted
        if len(counted) > len(self.rows) or (
            counted and counted[-1] is not self.rows[len(counted) - 1]
        ):  # entries of a linked group went again
            counted = self._counted = []
            self._own = {}
        for row in self.rows[len(counted):]:
            _count(self._own, row)
            counted.append(row)
        return self._own.get(name) or Counter()


def _count(sums: dict[Name, Sums], row: tuple) -> None:
    for account_id, currency, direction, amount, *_ in orjson.loads(row[13]):
        of = sums.setdefault((account_id, currency), Counter())
        of[row[11]] += amount if direction == "D" else -amount
