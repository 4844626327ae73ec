"""The fold of the log: writing it down at a checkpoint, reading it back, replaying the rest, so
that after a crash everything is as it was (rule D4c.4)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import orjson

from ledger.domain.account import Account
from ledger.domain.chain import entry_digest
from ledger.domain.state import State
from ledger.service.history import History, Tail
from ledger.service.ports import Checkpoint, Reader, Segment, Store
from paylake.errors import NotVerified

if TYPE_CHECKING:
    from ledger.service.ledger import Head, Ledger

#: What reading a damaged row may raise.
_UNREADABLE = (TypeError, ValueError, KeyError, AttributeError, IndexError)
_ATTRIBUTES = ("balance", "held", "frozen", "status", "parent", "tenant", "buckets", "taken")


def load(reader: Reader, state: State, history: History, head: Head) -> None:
    """Fill an empty state from the last checkpoint and the entries since.

    :raises NotVerified: when the checkpoint, or an entry since, cannot be what was written
    """
    at = reader.checkpoint()
    if at is None and reader.has_documents():
        raise _damaged("the checkpoint that its documents are of is missing")
    if at is not None:
        if not _stands(reader, at):
            raise _damaged(
                f"the log is not as the checkpoint at entry {at.sequence} says that it was"
            )
        head.sequence, head.digest = at.sequence, at.digest
        head.journal, head.booked_at = at.journal, at.booked_at
        for kind, key, document in reader.documents():
            try:
                _read(state, kind, key, document)
            except _UNREADABLE as error:
                raise _damaged(f"document {kind} {key} of the checkpoint is not what a program "
                               f"writes ({type(error).__name__})") from error
    closed = reader.closed_dates()
    head.closed = closed[-1] if closed else None
    for row in reader.entries(head.sequence + 1):
        if row[0] != head.sequence + 1:
            raise _damaged(f"entry {head.sequence + 1} is missing in the log")
        if entry_digest(head.digest, row) != row[16]:
            raise _damaged(f"the digest of entry {row[0]} is not that of its content")
        try:
            posting = replay(state, row)
        except _UNREADABLE as error:
            raise _damaged(f"entry {row[0]} is not what a program writes "
                           f"({type(error).__name__})") from error
        if posting is not None:
            history.add([posting])
        head.sequence, head.digest = row[0], row[16]
        head.journal = row[1] or head.journal
        head.booked_at = max(head.booked_at, row[9])
    state.keep()


def _stands(reader: Reader, at: Checkpoint) -> bool:
    """Whether the log has the entry that a checkpoint reaches to, and its journals are as many."""
    reached = next(iter(reader.entries(at.sequence, at.sequence)), None)
    last, beyond = reader.find_by_journal(at.journal), reader.find_by_journal(at.journal + 1)
    return (
        (reached is not None and reached[16] == at.digest if at.sequence else True)
        and (last is not None and last[0] <= at.sequence if at.journal else True)
        and (beyond is None or beyond[0] > at.sequence)
    )


def _damaged(what: str) -> NotVerified:
    return NotVerified(
        f"The ledger is damaged: {what}",
        "Run `python -m ledger verify`, and restore the last backup that verifies; nothing was "
        "changed.",
    )


def replay(state: State, row: tuple) -> tuple | None:
    """Apply one entry to the state; what the history keeps of it, or None for a refusal."""
    if row[4] == "refused":
        return None
    legs, effects = orjson.loads(row[13]), orjson.loads(row[14])
    if legs:
        state.post(legs, row[10])
    if effects:
        state.change(effects, row[10])
    return row[0], row[9], row[10], row[11], legs, effects


class Fold:
    """A checkpoint: taken from memory at once, written while memory goes on. Taken when nothing is
    planned beyond what is committed."""

    def __init__(self, ledger: Ledger) -> None:
        head = ledger.head
        self.at = Checkpoint(head.sequence, head.digest, head.journal, head.booked_at)
        self.items = dict(ledger.state.items)
        self.documents = [
            (kind, key, None if document is None else orjson.dumps(document).decode())
            for kind, key, document in _changed(ledger.state, ledger.history.tail)
        ]
        self.tail = ledger.history.take()
        self._segments: list[Segment] | None = None

    def prepare(self) -> None:
        """Make of what was taken what is written, beside both the writer and the storage."""
        self._segments = self.tail.segments()

    def write(self, store: Store) -> None:
        """Write it down, in a transaction of its own."""
        if self._segments is None:
            self.prepare()
        with store.transaction():
            store.write_checkpoint(self.at, self.documents, self._segments)

    def written(self, ledger: Ledger) -> None:
        """The store has it: memory may forget it."""
        ledger.history.forget()
        ledger.state.forget_items(self.items)

    def failed(self, ledger: Ledger) -> None:
        """The store does not have it: the next one writes it too."""
        ledger.history.take_back()


def _changed(state: State, tail: Tail) -> Iterator[tuple[str, str, Any]]:
    """Documents to write at a checkpoint: all that the entries since the last one touched."""
    for account_id, currency in sorted(tail.accounts):
        account = state.account(account_id, currency)
        assert account is not None
        yield "account", f"{account_id}/{currency}", _account(account)
    for kind, key in sorted(tail.documents):
        yield kind, key, _named(state, kind, key)
    # Dates of one month have its period in common: a row that is written twice by one statement is
    # an error of PostgreSQL.
    uses = {(*key, period) for *key, day in tail.uses for period in (day, day[:7])}
    for scene, account_id, currency, period in sorted(uses):
        used = state.usage[scene, account_id, currency][period]
        yield "use", f"{period}|{scene}|{account_id}|{currency}", [used.amount, used.times]


def every(state: State) -> Iterator[tuple[str, str, Any]]:
    """Every document of a state, as a checkpoint would have it; for `verify`."""
    for account in state.all_accounts():
        yield "account", f"{account.account_id}/{account.currency_code}", _account(account)
    for table, documents in state.tables.items():
        for key, document in documents.items():
            yield f"table.{table}", key, document
    for key, document in state.holds.items():
        yield "hold", key, document
    for key, document in state.items.items():
        yield "item", key, document
    for (scene, account_id, currency), periods in state.usage.items():
        for period, used in periods.items():
            yield "use", f"{period}|{scene}|{account_id}|{currency}", [used.amount, used.times]


def _account(account: Account) -> dict[str, Any]:
    document: dict[str, Any] = {name: getattr(account, name) for name in _ATTRIBUTES}
    document.update(
        code=account.code, party_id=account.party_id, opened_date=account.opened_date,
        purpose=sorted(account.purpose) if account.purpose else None,
        buckets=dict(sorted(account.buckets.items())),
        taken=dict(sorted(account.taken.items())),
    )
    if account.floor != account.line.floor:
        document["floor"] = account.floor
    return document


def _named(state: State, kind: str, key: str) -> Any:
    if kind == "item":
        return state.items.get(key)
    if kind == "hold":
        return state.holds.get(key)
    return state.get(kind.removeprefix("table."), key)


def _read(state: State, kind: str, key: str, document: Any) -> None:
    if kind == "account":
        account_id, _, currency = key.rpartition("/")
        account = Account(
            account_id, state.chart.classes[document["code"]], document["party_id"], currency,
            document["opened_date"],
        )
        for name in _ATTRIBUTES:
            setattr(account, name, document[name])
        account.floor = document.get("floor", account.floor)
        purpose = document["purpose"]
        account.purpose = frozenset(purpose) if purpose else None
        state.dedicates = state.dedicates or account.purpose is not None
        state.accounts.setdefault(currency, {})[account_id] = account
    elif kind == "hold":
        state.read_hold(key, document)
    elif kind == "use":
        period, scene, account_id, currency = key.split("|")
        state.read_usage(scene, account_id, currency, period, document)
    else:
        state.table(kind.removeprefix("table."))[key] = document


