"""What later commands need to know of earlier ones: the original's content, what was done to it
since, and whether its merchant was paid out of its date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from ledger.domain.chain import journal_of
from ledger.domain.operations import Operations, Plan
from ledger.domain.state import State
from ledger.service.unwritten import Unwritten

_ABSENT: tuple = ()


class Originals:
    """Look-ups of one batch. Rows posted in the batch itself are seen at once."""

    def __init__(self, reads: Unwritten, operations: Operations, state: State) -> None:
        self.reads = reads
        self.operations = operations
        self.state = state
        self._rows: dict[str, tuple] = {}
        self._items: dict[str, dict[str, Any]] = {}
        self._fresh: dict[str, tuple] = {}

    def prefetch(self, keys: Sequence[str]) -> None:
        """Read rows and counters of many originals at once."""
        self._rows.update(dict.fromkeys(keys, _ABSENT))
        self._rows.update(self.reads.find_by_business_key(keys))
        self._items.update(self.reads.items(keys))

    def posted(self, business_key: str, row: tuple) -> None:
        """Remember a row of this batch."""
        self._fresh[business_key] = row

    def mark(self) -> set[str]:
        """The keys posted in this batch so far."""
        return set(self._fresh)

    def back(self, mark: set[str]) -> None:
        """A group was taken back: what it posted is not there, what came before it is."""
        self._fresh = {key: row for key, row in self._fresh.items() if key in mark}

    def get(self, business_key: str) -> dict[str, Any] | None:
        """The original's record, or None when no entry carries the key."""
        row = self._fresh.get(business_key)
        if row is None:
            row = self._rows.get(business_key)
            if row is None:
                self.prefetch([business_key])
                row = self._rows[business_key]
        if not row or row[4] != "posted":
            return None
        return self._record(business_key, row)

    def _record(self, key: str, row: tuple) -> dict[str, Any]:
        operation = self.operations.by_type.get(row[2])
        record: dict[str, Any] = dict(operation.counters) if operation else {}
        record.update(orjson.loads(row[12]))
        record.update(self._items.get(key, ()))
        record.update(self.state.items.get(key, ()))
        record.update(
            type=row[2], sequence=row[0], journal=row[1], booking_date=row[10], key=key,
            settled=self._settled(record, row),
        )
        return record

    def _settled(self, record: Mapping[str, Any], row: tuple) -> bool:
        merchant = record.get("merchant_id")
        if merchant is None:
            return False
        for leg in orjson.loads(row[13]):
            account = self.state.account(leg[0], leg[1])
            if account is not None and account.line.settles and account.taken.get(row[10]):
                return True
        return False

    def journal(self, name: str) -> dict[str, Any] | None:
        """A journal by its public number, as the original of a reversal."""
        number = journal_of(name)
        row = None if number is None else self.reads.find_by_journal(number)
        if row is None:
            return None
        key = f"journal:{number}"
        record = {"reversed": 0, **self.reads.items([key]).get(key, {})}
        record.update(self.state.items.get(key, ()))
        record.update(type="journal", key=key, legs=orjson.loads(row[13]), sequence=row[0])
        return record

    def changed(
        self, original: Mapping[str, Any], plan: Plan
    ) -> list[list]:
        """Effects that set the counters of the original and of the original's own original."""
        effects: list[list] = []
        key = original["key"]
        if original["type"] == "journal":
            return [["item", key, plan.counters]]
        if plan.counters is not None:
            effects.append(["item", key, self._merged(key, plan.counters)])
        if plan.parent_counters is not None:
            parent = original["original_transaction_id"]
            effects.append(["item", parent, self._merged(parent, plan.parent_counters)])
        return effects

    def _merged(self, key: str, counters: Mapping[str, Any]) -> dict[str, Any]:
        return {**self._items.get(key, {}), **self.state.items.get(key, {}), **counters}
