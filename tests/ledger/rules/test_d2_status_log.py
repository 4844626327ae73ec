"""D2, rules 3 to 7: the status log of a command, to its last result."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime

import pytest

from ledger.adapters.data_files import load_operations
from ledger.adapters.schema import OF_ORIGINALS, ORDERS, ORIGINAL_FIELDS, PARTY_FIELDS
from ledger.adapters.storage import ledger_path
from ledger.entrypoints.operations import open_ledger
from ledger.service.steps import status, status_log
from tests.ledger.conftest import ANN, BEN, DAY, at
from tests.ledger.rules.words import CNY, INTERNAL, PLAIN, days, posted
from tests.ledger.test_http import client, http, token

__all__ = ["client", "http", "token"]


def rows(world, result) -> list[tuple]:
    return [(s["step"], s["time"][11:16], s["actor"], s["result"], s["next"])
            for s in status_log(world.ledger, result["idempotency_key"])]


def refund(world, **values):
    command = world.command("refund", original_transaction_id="P", request="user",
                            ground="not_arrived", amount_minor=100, **PLAIN, **values)
    return world.ledger.apply([command], ANN)[0]


def test_d2_03_each_step_has_its_own_time_and_actor(world):
    """Verified when the authorisation was given, processed when it was booked."""
    world.do("top_up", amount_minor=1_000)
    world.register("authorise", authorisation_id="A", payer_id="U1", payee="M1", amount_minor=1_000,
                   method="password", occurred_at=at(DAY, "09:58:00"), **CNY)
    done = world.do("payment", transaction_id="P", amount_minor=1_000, authorisation="A",
                    **INTERNAL)
    assert rows(world, done) == [
        ("initiate", "02:00", "system:switch", "accepted", "verify"),
        ("verify", "01:58", "system:switch", "A", "process"),
        ("process", "02:00", "system:ledger", done["journal_id"], "notify"),
        ("notify", "02:00", "system:ledger", "merchant M1", "query"),
        ("notify", "02:00", "system:ledger", "user U1", "query"),
    ]


def test_d2_03_what_waited_shows_the_decision_of_its_checker(world):
    world.do("payment", transaction_id="P", **PLAIN)
    waits = refund(world)
    assert rows(world, waits)[2:] == [
        ("process", "02:00", "system:ledger", "pending", "process")]
    assert status(world.ledger, waits["idempotency_key"])["status"] == "pending"
    done = posted(world.approve(waits["sequence"], occurred_at=at(DAY, "11:00:00")))
    found = rows(world, waits)
    assert found[2:] == [
        ("process", "02:00", "system:ledger", "pending", "process"),
        ("process", "03:00", "operator:ben", done["journal_id"], "notify"),
        ("notify", "03:00", "system:ledger", "merchant M1", "query"),
    ]
    assert status(world.ledger, waits["idempotency_key"])["status"] == "posted"
    assert rows(world, done) == found  # by the checker's key, too


def test_d2_03_what_was_rejected_ends_with_the_reason(world):
    world.do("payment", transaction_id="P", **PLAIN)
    waits = refund(world)
    posted(world.send("reject", BEN, pending=waits["sequence"], operator_id="ben",
                      reason="not proved", occurred_at=at(DAY, "11:00:00")))
    assert rows(world, waits)[3:] == [
        ("process", "03:00", "operator:ben", "rejected: not proved", None)]
    assert status(world.ledger, waits["idempotency_key"])["status"] == "rejected"


def test_d2_06_later_results_follow_the_operation(world):
    """A withdrawal shows what the bank said; a payment what was given back."""
    world.do("top_up", amount_minor=20_000)
    asked = world.do("withdrawal", withdrawal_id="W")
    assert rows(world, asked)[-1][0] == "notify"
    for number, (result, clock) in enumerate((("unknown", "12:00:00"), ("succeeded", "13:00:00"))):
        posted(world.do("withdrawal_result", result_id=f"R{number}", withdrawal_id="W",
                        result=result, occurred_at=at(DAY, clock)))
    later = [row for row in rows(world, asked) if row[1] in ("04:00", "05:00")]
    assert [(row[0], row[3].split()[:3]) for row in later if row[0] == "process"] == [
        ("process", ["withdrawal_result", "R0", "unknown"]),
        ("process", ["withdrawal_result", "R1", "succeeded"]),
    ]
    assert ("notify", "05:00", "system:ledger", "user U1", "query") in later
    paid = world.do("payment", transaction_id="P", **PLAIN)
    back = posted(world.do("refund", transaction_id="B", original_transaction_id="P",
                           amount_minor=100, occurred_at=at(DAY, "14:00:00")))
    assert ("process", "06:00", "system:switch", f"refund B {back['journal_id']}", "notify") in (
        rows(world, paid))


def test_every_operation_with_an_original_is_found_by_it():
    operations = load_operations().by_type.values()
    found = {o.type: o.original_field for o in operations if o.original_field is not None}
    assert tuple(sorted(found)) == OF_ORIGINALS
    assert set(found.values()) == set(ORIGINAL_FIELDS)


def test_every_order_is_found_by_whose_it_is():
    operations = load_operations()
    assert tuple(sorted(operations.orders)) == ORDERS
    assert operations.orders["withdrawal"] == "withdrawal"
    for type_ in ORDERS:
        names = [field.name for field in operations.by_type[type_].form.fields]
        assert len(set(names) & set(PARTY_FIELDS)) == 1, type_


def test_d2_07_a_query_is_a_row_with_who_asked_and_what_was_told(client, http, world, settings):
    """And no entry of the log; one a minute of each who asks, kept over a restart."""
    done = world.do("payment", **PLAIN)
    before, key = world.ledger.head.sequence, done["idempotency_key"]
    path = f"/v1/commands/{key}/steps"
    for _ in range(3):
        told = http.get(path).json()
        assert (told["status"], told["amount_minor"], told["currency_code"]) == (
            "posted", 10_000, "CNY")
        assert [s for s in told["steps"] if s["step"] == "query"] == [{
            "step": "query", "time": "2026-09-12T14:59:59Z", "actor": "system:demo",
            "result": "posted", "next": None,
        }]
    client.set_clock(datetime(2026, 9, 12, 15, 10, tzinfo=UTC))
    assert [s["time"][11:16] for s in client.steps(key) if s["step"] == "query"] == [
        "14:59", "15:10"]
    assert world.ledger.head.sequence == before
    world.ledger.queried.flush()
    db = world.ledger.store.db
    assert db.execute("select count(*) from status_query").fetchone() == (2,)
    for statement in ("update status_query set actor = 'x'", "delete from status_query"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            db.execute(statement)


def test_d2_07_queries_are_written_when_the_ledger_closes(world):
    done = world.do("payment", **PLAIN)
    status(world.ledger, done["idempotency_key"], "caller:C1")
    world.reopen()
    assert [s["actor"] for s in status_log(world.ledger, done["idempotency_key"])][-1] == (
        "caller:C1")


def test_a_database_of_an_older_program_gets_table_and_indices_when_it_is_opened(world):
    done = world.do("payment", transaction_id="P", **PLAIN)
    waits = refund(world)
    world.ledger.close()
    db = sqlite3.connect(ledger_path(world.settings))
    db.executescript("drop table status_query; drop index entry_by_original_2; "
                     "drop index entry_by_pending; drop index entry_by_order; "
                     "create index entry_by_original on entry (business_key)")
    db.close()
    world.ledger = open_ledger(world.settings, simulated=True)
    status(world.ledger, done["idempotency_key"], "caller:C1")
    posted(world.approve(waits["sequence"]))
    assert "refund" in str(rows(world, done)) and rows(world, done)[-1][0] == "query"
    plan = str(world.ledger.store.db.execute(
        "explain query plan " + _captured(world, lambda: world.ledger.store.later_of("P"))
    ).fetchall())
    assert "entry_by_original_2" in plan
    left = world.ledger.store.db.execute(
        "select name from sqlite_master where name = 'entry_by_original'").fetchall()
    assert left == []  # the one that a program of before had in its place
    plan = str(world.ledger.store.db.execute(
        "explain query plan " + _captured(world, lambda: world.ledger.store.decision(1))
    ).fetchall())
    assert "entry_by_pending" in plan
    plan = str(world.ledger.store.db.execute("explain query plan " + _captured(
        world, lambda: world.ledger.store.orders_of("U1", days(-90).isoformat(), DAY.isoformat())
    )).fetchall())
    assert "entry_by_order " in plan


def _captured(world, ask) -> str:
    """The statement that a read runs, with its values."""
    seen: list[str] = []
    world.ledger.store.db.set_trace_callback(seen.append)
    ask()
    world.ledger.store.db.set_trace_callback(None)
    return seen[-1]
