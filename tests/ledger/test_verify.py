"""`verify` names the first broken row, whatever was edited by hand."""

from __future__ import annotations

import os
import shutil
import sqlite3

import pytest

from ledger.adapters.export import ledger_path
from ledger.entrypoints.operations import open_ledger, verify
from paylake.errors import NotVerified
from tests.ledger.conftest import DAY, at


@pytest.fixture
def closed(world):
    """Three journals, a refusal, a dispute; one closed date; the service stopped."""
    world.do("payment", transaction_id="P")
    world.do("settlement", amount_minor=10**9)
    world.do("refund", original_transaction_id="P", amount_minor=5000, issuer_fee_minor=18,
             network_fee_minor=2, acquirer_fee_minor=11)
    world.do("dispute", original_transaction_id="P", amount_minor=100)
    world.close()
    world.ledger.store.db.execute("pragma wal_checkpoint(truncate)")
    return world


def _edit(world, *statements: str) -> None:
    db = sqlite3.connect(ledger_path(world.settings))
    for (name,) in db.execute("select name from sqlite_master where type = 'trigger'").fetchall():
        db.execute(f"drop trigger {name}")
    for statement in statements:
        assert db.execute(statement).rowcount > 0, statement
    db.commit()
    db.close()


def test_whole(closed):
    found = verify(closed.settings)
    assert (found.journals, found.commands, found.closed_dates) == (3, 4, 1)
    assert found.chain_digest == closed.ledger.head.digest.hex()


@pytest.mark.parametrize(("statement", "row"), [
    ("update leg set amount_minor = 9963 where sequence = 1 and leg_number = 1", "journal 1 "),
    ("update leg set custodian_reference = 'CLR-x' where sequence = 1 and leg_number = 1",
     "journal 1 "),
    ("update leg set direction = 'C' where sequence = 3 and leg_number = 1", "journal 3 "),
    ("update leg set account = (select ref from account where account_id = '2201:M2') "
     "where sequence = 3 and leg_number = 1", "journal 3 "),
    ("delete from leg where sequence = 2 and leg_number = 2", "journal 2 "),
    ("delete from journal where sequence = 2", "journal 3 "),
    ("update journal set booked_at = '2026-09-12T02:00:01Z' where sequence = 2", "journal 2 "),
    ("update journal set booking_date = '2026-09-13' where sequence = 3", "journal 3 "),
    ("update journal set business_key = 'X' where sequence = 1", "journal 1 "),
    ("update journal set chain_digest = zeroblob(32) where sequence = 1", "journal 1 "),
    ("update command set content = replace(content, '10000', '10001') where sequence = 1",
     "journal 1 "),
    ("update command set content = 'rubbish' where sequence = 2", "journal 2 "),
    ("update command set idempotency_key = 'other' where sequence = 2", "journal 2 "),
    ("update command set content = replace(content, '1000000000', '1') where sequence is null",
     "command 2"),
    ("delete from command where sequence is null", "command 3"),
    ("update account set balance_minor = 1 where account_id = '2201:M1'", "account 2201:M1"),
    ("update account set account_id = '2201:M7' where account_id = '2201:M1'", "journal 1 "),
    ("update payment set refunded_minor = 0", "payment of journal 1"),
    ("update payment set disputed_minor = 0", "payment of journal 1"),
    ("update day_close set journals = 9", "day close 2026-09-12"),
    ("update day_close set document = replace(document, '2202', '2203')", "day close"),
    ("update day_close set signature = zeroblob(70)", "day close 2026-09-12"),
    ("update day_balance set closing_minor = closing_minor + 1 "
     "where account = (select ref from account where account_id = '1001')", "day balances of"),
    ("delete from day_close", "day close 2026-09-12"),
])
def test_names_the_first_broken_row(closed, statement, row):
    _edit(closed, statement)
    with pytest.raises(NotVerified) as caught:
        verify(closed.settings)
    assert caught.value.exit_code == 16
    assert f"first broken row: {row}" in caught.value.what


def test_journals_swapped(closed):
    _edit(
        closed, "update journal set sequence = -2 where sequence = 2",
        "update journal set sequence = 2 where sequence = 3",
        "update journal set sequence = 3 where sequence = -2",
    )
    with pytest.raises(NotVerified, match="journal 2 "):
        verify(closed.settings)


def test_a_head_file_changed_or_gone(closed):
    path = closed.settings.path("ledger", "heads", "2026-09-12.json")
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"1001", b"1002"))
    with pytest.raises(NotVerified, match="head file 2026-09-12"):
        verify(closed.settings)
    path.unlink()
    with pytest.raises(NotVerified, match="it is missing"):
        verify(closed.settings)


def test_a_database_put_back_to_an_earlier_state(world):
    world.do("payment")
    path = ledger_path(world.settings)
    world.ledger.store.db.execute("pragma wal_checkpoint(truncate)")
    earlier = path.with_name("earlier.db")
    shutil.copy(path, earlier)
    world.close()
    world.ledger.store.close()
    shutil.copy(earlier, path)
    with pytest.raises(NotVerified, match="older than its heads"):
        verify(world.settings)
    world.ledger = open_ledger(world.settings, simulated=True)  # for the fixture to close


def test_a_damaged_file(closed):
    path = ledger_path(closed.settings)
    closed.ledger.store.close()
    raw = bytearray(path.read_bytes())
    raw[4096 * 3 : 4096 * 12] = bytes(4096 * 9)
    path.write_bytes(raw)
    with pytest.raises(NotVerified):
        verify(closed.settings)
    closed.ledger.store.db = sqlite3.connect(":memory:")  # for the fixture to close
    closed.ledger.store._lock = os.open(os.devnull, os.O_RDONLY)


def test_rows_are_append_only(closed):
    db = closed.ledger.store.db
    for table in ("journal", "leg", "command", "day_close", "day_balance"):
        for statement in (f"delete from {table}", f"update {table} set rowid = rowid"):
            if "rowid" in statement and table in ("leg", "day_balance"):
                statement = f"update {table} set account = account"
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                db.execute(statement)


def test_postings_after_the_close_are_verified_too(closed):
    closed.ledger.set_clock(at(DAY.replace(day=13), "12:00:00"))
    closed.do("top_up", occurred_at=at(DAY.replace(day=13), "11:00:00"))
    assert verify(closed.settings).journals == 4
