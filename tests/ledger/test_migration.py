"""A ledger of the first schema, made by the program of that time and kept in `schema1/` as SQL,
is brought to today's: its journals, balances, counters and signed heads hold."""

from __future__ import annotations

import json
import shutil
import sqlite3
from datetime import date
from pathlib import Path

import pytest

from ledger.adapters.export import ledger_path
from ledger.entrypoints import operations
from paylake.errors import NotVerified, PermanentFailure
from tests.ledger.conftest import World, at

HERE = Path(__file__).parent / "schema1"
BALANCES = {
    "1001": 108944, "2101:U1": 84975, "2101:U2": 0, "2201:M1": 14349, "2201:M2": 8940,
    "2202:M1": 500, "2202:M2": 0, "2301": 180, "2401": 0,
}
OPEN = date(2026, 9, 14)


@pytest.fixture
def old(settings):
    """The old database in a home whose trust file knows the key that signed its heads."""
    path = ledger_path(settings)
    path.parent.mkdir(parents=True)
    db = sqlite3.connect(path)
    db.executescript((HERE / "ledger.sql").read_text("utf-8") + "pragma user_version = 1;")
    db.close()
    shutil.copytree(HERE / "heads", settings.path("ledger", "heads"))
    trust = settings.path("keys", "trust.json")
    entries = json.loads(trust.read_text("utf-8"))
    entries["ledger-2"] = dict(entries["ledger-1"])  # the key was changed since
    entries["ledger-1"]["public_key"] = (HERE / "ledger-1.pub.pem").read_text("ascii")
    trust.write_text(json.dumps(entries))
    for suffix in ("key", "pub"):
        path = settings.path("keys", f"ledger-1.{suffix}.pem")
        path.rename(path.with_name(f"ledger-2.{suffix}.pem"))
    return settings


def test_an_old_ledger_is_not_served_but_named(old):
    with pytest.raises(PermanentFailure, match=r"schema 1, this program writes 3"):
        operations.open_ledger(old, simulated=True)


def test_everything_comes_along(old):
    done = operations.migrate(old)
    assert (done["schema_before"], done["schema_after"]) == (1, 3)
    assert Path(str(done["kept"])).is_file()
    found = operations.verify(old)
    assert (found.journals, found.refusals, found.closed_dates) == (11, 1, 2)
    assert operations.migrate(old)["schema_before"] == 3  # nothing to do

    world = World(old)
    world.number = 1000  # keys of the old ledger are taken
    assert world.balances() == BALANCES
    try:
        ledger = world.ledger
        assert ledger.head.closed == "2026-09-13"
        ledger.set_clock(at(OPEN, "21:00:00"))
        when = {"occurred_at": at(OPEN, "12:00:00")}
        # the refund knows what was refunded and is still disputed, and what fees went back
        refused = world.do("refund", original_transaction_id="P", amount_minor=4501, **when)
        assert refused["detail"] == "4500 of 10000 minor units are left"
        rest = world.do("refund", original_transaction_id="P", amount_minor=4500,
                        issuer_fee_minor=15, network_fee_minor=1, acquirer_fee_minor=10, **when)
        assert rest["status"] == "posted", rest
        assert rest["journal_id"] == "J000000000012"
        # an old key still gives its first answer, an old business key is taken
        again = world.do("payment", transaction_id="P", idempotency_key="k1",
                         occurred_at="2026-09-12T10:00:00+08:00")
        assert (again["journal_id"], again["replayed"]) == ("J000000000001", True)
        assert world.do("payment", transaction_id="Q", **when)["reason"] == "business_key_taken"
        released = world.do("dispute_release", original_transaction_id="D", amount_minor=1000,
                            **when)
        assert released["reason"] == "already_released"
        head = world.close(OPEN)
        assert head["previous_date"] == "2026-09-13"
    finally:
        world.ledger.close()
    assert operations.verify(old).closed_dates == 3


@pytest.mark.parametrize(("statement", "row"), [
    ("update old.leg set component = 'gift' where sequence = 3 and leg_number = 1", "entry 5 "),
    ("update old.journal set booked_at = '2026-09-12T02:00:01Z' where sequence = 2", "entry 3 "),
    ("update old.day_close set document = replace(document, '2202', '2203')", "day close"),
])
def test_what_was_altered_before_is_found_after(old, statement, row):
    db = sqlite3.connect(ledger_path(old))
    for (name,) in db.execute("select name from sqlite_master where type = 'trigger'").fetchall():
        db.execute(f"drop trigger {name}")
    db.execute(statement.replace("old.", ""))
    db.commit()
    db.close()
    operations.migrate(old)
    with pytest.raises(NotVerified) as caught:
        operations.verify(old)
    assert f"first broken row: {row}" in caught.value.what


def test_what_does_not_balance_is_not_taken_over(old):
    db = sqlite3.connect(ledger_path(old))
    for (name,) in db.execute("select name from sqlite_master where type = 'trigger'").fetchall():
        db.execute(f"drop trigger {name}")
    db.execute("update leg set amount_minor = amount_minor + 1 where sequence = 3")
    db.commit()
    db.close()
    with pytest.raises(PermanentFailure, match="do not balance"):
        operations.migrate(old)


def test_a_failing_migration_changes_nothing(old):
    path = ledger_path(old)
    db = sqlite3.connect(path)
    before = list(db.iterdump())
    db.execute("create table entry (x)")  # in the way of the new one
    db.commit()
    with pytest.raises(Exception, match="entry"):
        operations.migrate(old)
    db.execute("drop table entry")
    db.commit()
    assert [line for line in db.iterdump() if "alembic" not in line] == before
    db.close()
