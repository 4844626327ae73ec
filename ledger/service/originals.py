"""What later commands need to know of earlier ones: the original's content, what was done to it
since, whether it was reversed, in which books it stands, whether its merchant was paid out of its
date, what of it rests, and what of it is frozen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from ledger.domain.buckets import pays_out
from ledger.domain.chain import journal_of
from ledger.domain.chart import MODE_OF_BOOKS, parts_of
from ledger.domain.operations import Operations, Plan
from ledger.domain.state import State
from ledger.service.unwritten import Unwritten

_ABSENT: tuple = ()


def item_of(journal: int) -> str:
    """The key under which it stands that a journal was reversed."""
    return f"journal:{journal}"


def _held(row: tuple) -> list[str]:
    """The accounts in which an entry placed a hold, by its effects."""
    return [e[2]["account_id"] for e in orjson.loads(row[14]) if e[0] == "hold"]


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
        rows = self.reads.find_by_business_key(keys)
        self._rows.update(rows)
        journals = [item_of(row[1]) for row in rows.values() if row[1] is not None]
        self._items.update(self.reads.items([*keys, *journals]))

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
        legs = orjson.loads(row[13])
        held = () if legs else _held(row)
        rests = self._rests(key, record, row, legs)
        record.update(
            rests=sum(rests.values()), rests_until=max(rests, default=None),
            frozen=self.state.frozen.get(key, 0),
            held=[parts_of(account_id)[0] for account_id in held],
            type=row[2], sequence=row[0], journal=row[1], booking_date=row[10], key=key,
            settled=self._settled(record, row, legs),
            mode=self._mode([leg[0] for leg in legs] or held),
            reversed=row[1] is not None and self._reversed(item_of(row[1])),
        )
        return record

    def _reversed(self, item: str) -> bool:
        counters = self.state.items.get(item) or self._items.get(item) or {}
        return bool(counters.get("reversed"))

    def _mode(self, accounts: Iterable[str]) -> str | None:
        """The settlement mode in whose books it was booked, whatever the contract says since
        (rule D0.6); None: it touched the institution's own books alone, or none."""
        for account_id in accounts:
            mode = MODE_OF_BOOKS.get(self.state.chart.classes[parts_of(account_id)[0]].books)
            if mode is not None:
                return mode
        return None

    def _settled(self, record: Mapping[str, Any], row: tuple, legs: list[list]) -> bool:
        merchant = record.get("merchant_id")
        if merchant is None:
            return False
        for leg in legs:
            account = self.state.account(leg[0], leg[1])
            if account is None or not account.line.settles:
                continue
            names = {merchant, *(name for name, _ in record.get("parts") or ())}
            for name in names:
                account = self.state.account(f"{account.code}:{name}", leg[1]) or account
                instructed = self.state.instructed.get((account.account_id, leg[1]), 0)
                if pays_out(account, instructed, row[10]):
                    return True
        return False

    def _rests(
        self, key: str, record: Mapping[str, Any], row: tuple, legs: list[list]
    ) -> dict[str, int]:
        """What of the merchant's money rests for this payment, by the last date, minor units (rule
        D0.11)."""
        merchant = record.get("merchant_id")
        if merchant is None or not (key in self.state.items or key in self._items):
            return {}  # nothing was done to it
        found: dict[str, int] = {}
        for leg in legs:
            account = self.state.account(leg[0], leg[1])
            if account is not None and account.line.settles and account.party_id == merchant:
                for name, amount in account.buckets.items():
                    if name.startswith("quiet/") and name[17:] == key:
                        found[name[6:16]] = amount
        return found

    def journal(self, name: str) -> dict[str, Any] | None:
        """A journal by its public number, as the original of a reversal."""
        number = journal_of(name)
        row = None if number is None else self.reads.find_by_journal(number)
        if row is None:
            return None
        key = item_of(row[1])
        # what was done to it, and that it was reversed: of before the last checkpoint, too
        self._items.update(self.reads.items([key] if row[6] is None else [key, row[6]]))
        operation = self.operations.by_type.get(row[2])
        entry = self._record(row[6], row)
        effects = orjson.loads(row[14])
        found: str | None = None
        if operation is not None and operation.original_field is not None:
            found = entry.get(operation.original_field)
        else:
            # of a capture that counts against its payment
            counted = {e[1] for e in effects if e[0] == "item"}
            found = next((e[2]["original"] for e in effects
                          if e[0] == "hold" and e[2].get("original") in counted), None)
        original = None if found is None else self.get(found)
        parent = None if original is None else original.get("original_transaction_id")
        return {
            "type": "journal", "key": key, "legs": orjson.loads(row[13]), "sequence": row[0],
            "reversed": self._reversed(key), "operation": operation, "entry": entry,
            "effects": effects, "original": original,
            "parent": None if parent is None else self.get(parent),
        }

    def changed(
        self, original: Mapping[str, Any], plan: Plan
    ) -> list[list]:
        """Effects that set the counters of the original and of the original's own original."""
        effects: list[list] = []
        key = original["key"]
        if original["type"] == "journal":  # of a reversal: by key
            assert plan.counters is not None
            return [["item", k, self._merged(k, v)] for k, v in plan.counters.items()]
        if plan.counters is not None:
            effects.append(["item", key, self._merged(key, plan.counters)])
        if plan.parent_counters is not None:
            parent = original["original_transaction_id"]
            effects.append(["item", parent, self._merged(parent, plan.parent_counters)])
        return effects

    def _merged(self, key: str, counters: Mapping[str, Any]) -> dict[str, Any]:
        return {**self._items.get(key, {}), **self.state.items.get(key, {}), **counters}
