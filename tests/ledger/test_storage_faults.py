"""A storage that fails under a read is answered as one that fails under a posting: by name."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from ledger.adapters.sqlite_reader import SqliteReader
from paylake.errors import EnvironmentFault, TransientFault
from tests.ledger.conftest import DAY
from tests.ledger.test_http import http, token

__all__ = ["http", "token"]
#: Every path that reads, with what the world has.
READS = [
    "/v1/balances", "/v1/accounts/2201:M1/balance", "/v1/accounts/2201:M1/standing",
    f"/v1/accounts/2201:M1/balance?value_date={DAY}&known_at=2026-09-12T15:00:00Z",
    "/v1/accounts/2201:M1/movements", "/v1/accounts/2201:M1/tree", "/v1/holds", "/v1/pending",
    "/v1/commands/pay-1/steps", "/v1/journals/{journal}", f"/v1/journals?booking_date={DAY}",
    "/v1/events?after=1/0", "/v1/deadlines", f"/v1/days/{DAY}",
    f"/v1/parties/M1/days/{DAY}",
]
FROM_MEMORY = {
    "/v1/balances", "/v1/accounts/2201:M1/standing", "/v1/accounts/2201:M1/tree", "/v1/holds",
    "/v1/pending", "/v1/deadlines",
}


class Failing:
    """A connection whose n-th step of a read fails: as it is asked, or as its rows are taken."""

    def __init__(self, db: Any, left: list[int], fault: str) -> None:
        self._db, self._left, self._fault = db, left, fault

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    def execute(self, sql: str, *values: Any) -> Any:
        found = self._db.execute(sql, *values)
        if not sql.startswith("select"):
            return found
        self._step(found)
        return self._rows(found)

    def _step(self, found: sqlite3.Cursor) -> None:
        self._left[0] -= 1
        if self._left[0] == 0:
            found.close()
            raise sqlite3.OperationalError(self._fault)

    def _rows(self, found: sqlite3.Cursor) -> Any:
        failing = self

        class Rows:
            def __iter__(self) -> Any:
                failing._step(found)
                yield from found

            def fetchone(self) -> Any:
                failing._step(found)
                return found.fetchone()

        return Rows()


@pytest.fixture
def failing(world):
    """Make the n-th step of the service's reads fail with a message of SQLite."""
    readers = world.ledger.store, world.ledger.pipeline.reads.reader
    before = [reader.db for reader in readers]

    def fail(step: int, fault: str) -> list[int]:
        left = [step]
        for reader, db in zip(readers, before, strict=True):
            reader.db = Failing(db, left, fault)
        return left

    yield fail
    for reader, db in zip(readers, before, strict=True):
        reader.db = db


@pytest.mark.parametrize("fault", ["database is locked", "disk I/O error"])
@pytest.mark.parametrize("path", READS)
def test_a_read_that_the_storage_fails_is_to_be_sent_again(http, world, failing, path, fault):
    paid = world.do("payment", idempotency_key="pay-1")
    world.close()
    path = path.format(journal=paid["journal_id"])
    answers = {}
    for step in range(1, 100):
        left = failing(step, fault)
        answer = http.get(path)
        if left[0] > 0:  # it has fewer steps
            break
        answers[step] = (answer.status_code, answer.json()["error"]["reason"])
    assert answer.status_code == 200
    assert set(answers.values()) <= {(503, "storage_unavailable")}, answers
    assert bool(answers) is (path not in FROM_MEMORY)


@pytest.mark.parametrize(("fault", "named"), [
    ("database is locked", TransientFault), ("disk I/O error", EnvironmentFault),
])
def test_each_read_names_its_faults(world, failing, fault, named):
    world.do("payment")
    store = world.ledger.store
    reads = [
        store.last_entry, lambda: list(store.entries(1)), lambda: list(store.hashed(1, 9)),
        lambda: store.find_by_key(["none"]), store.closed_dates, lambda: store.has_table("entry"),
        lambda: list(store.heads()), lambda: store.movements(DAY.isoformat()),
        lambda: store.find_by_key([f"k{number}" for number in range(30)]),
    ]
    for read in reads:
        for step in (1, 2):
            failing(step, fault)
            with pytest.raises(named):
                read()


def test_the_log_that_cannot_be_read_is_answered_before_its_first_line(http, monkeypatch):
    def failing(*_: Any) -> Any:
        raise TransientFault("the ledger's database is locked", "send it again")

    monkeypatch.setattr(SqliteReader, "entries", failing)
    answer = http.get("/v1/log")
    assert (answer.status_code, answer.json()["error"]["reason"]) == (503, "storage_unavailable")
