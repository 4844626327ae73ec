"""A close reads the day beside the writer: what is asked and posted meanwhile does not wait."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import pytest

from ledger.adapters.sqlite_reader import SqliteReader
from ledger.client import LedgerRefusal
from ledger.entrypoints.operations import verify
from ledger.service import day_close, day_reading
from paylake.errors import TransientFault
from tests.ledger.conftest import DAY
from tests.ledger.rules.words import days, on
from tests.ledger.test_http import client, http, token

__all__ = ["client", "http", "token"]


@dataclass
class Closing:
    """A close over HTTP that stops while it reads the chain."""

    client: object
    reads: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)
    result: object = None

    def start(self) -> None:
        self.thread = threading.Thread(target=self._close)
        self.thread.start()
        assert self.reads.wait(20)

    def _close(self) -> None:
        try:
            self.result = self.client.close_day(DAY)
        except LedgerRefusal as refusal:
            self.result = refusal.reason
        except TransientFault as fault:  # 503, after the client's tries
            self.result = fault

    def end(self):
        self.go.set()
        self.thread.join(20)
        return self.result


@pytest.fixture
def closing(client, world, monkeypatch):
    made = Closing(client)
    whole = SqliteReader.hashed

    def stopping(self, *of):
        made.reads.set()
        assert made.go.wait(20)
        for row in whole(self, *of):  # noqa: UP028 - a cursor's own close would come too late
            yield row

    monkeypatch.setattr(SqliteReader, "hashed", stopping)
    for _ in range(5):
        world.do("payment")
    world.when = on(world, 1, "10:00:00")
    yield made
    made.go.set()


def test_the_next_date_is_posted_and_read_while_the_close_runs(closing, client, world, settings):
    closing.start()
    paid = client.command(world.command("payment", **world.when))
    assert paid["status"] == "posted" and paid["booking_date"] == days(1).isoformat()
    assert client.standing("2201:M1")["balance_minor"] == 6 * 9940
    assert client.health()["last_closed"] is None and client.ready()["status"] == "ready"
    assert closing.thread.is_alive()
    head = closing.end()
    assert (head["replayed"], head["journals"], head["chain_sequence"]) == (
        False, 5, paid["sequence"])
    assert verify(settings).closed_dates == 1
    assert client.close_day(DAY)["replayed"] is True


def test_what_is_posted_to_the_date_itself_meanwhile_is_in_its_close(
    closing, client, world, settings,
):
    """A simulated ledger takes commands of an open date after its cut-off."""
    closing.start()
    late = client.command(world.command("payment", amount_minor=20_000))
    assert late["booking_date"] == DAY.isoformat()
    head = closing.end()
    assert head["journals"] == 6 and verify(settings).closed_dates == 1


@pytest.mark.parametrize("little", [0, 10**6])
def test_a_row_edited_before_or_while_it_reads_is_found(
    closing, client, world, monkeypatch, little,
):
    monkeypatch.setattr(day_close, "_LITTLE", little)
    closing.start()
    late = client.command(world.command("payment", **world.when))
    world.ledger.store.db.execute("drop trigger entry_no_update")
    world.ledger.store.db.execute(
        "update entry set content = '{}' where sequence = ?", (late["sequence"],)
    )
    assert closing.end() == "chain_broken"
    assert client.health()["last_closed"] is None


def test_an_earlier_date_posted_to_meanwhile_is_closed_first(closing, client, world):
    closing.start()
    early = client.command(world.command("payment", occurred_at="2026-09-11T10:00:00+08:00"))
    assert early["booking_date"] == "2026-09-11"
    assert closing.end() == "earlier_date_open"


def test_a_close_asked_for_twice_at_once_happens_once(closing, client, world):
    closing.start()
    second = Closing(client)
    second.reads.set()
    second.start()
    first = closing.end()
    second.thread.join(20)
    assert (first["replayed"], second.result["replayed"]) == (False, True)
    assert first["chain_digest"] == second.result["chain_digest"]


def test_a_service_that_ends_does_not_wait_for_the_reading(closing, client, world, monkeypatch):
    monkeypatch.setattr(day_reading, "_ROWS", 1)
    closing.start()
    world.ledger.ending = True
    with pytest.raises(TransientFault):
        raise closing.end()
    world.ledger.ending = False
    assert client.close_day(DAY)["replayed"] is False


def test_a_fault_of_the_reading_leaves_the_date_open(closing, client, world, monkeypatch):
    closing.start()

    def failing(*_):
        raise OSError("gone")

    monkeypatch.setattr(SqliteReader, "closing_before", failing)
    assert closing.end() == "fault"
    monkeypatch.undo()
    assert client.close_day(DAY)["replayed"] is False
