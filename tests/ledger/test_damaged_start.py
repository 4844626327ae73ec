"""A service does not go on with a damaged log or checkpoint: it names at its start what it is."""

from __future__ import annotations

import sqlite3

import pytest

from ledger.adapters.storage import ledger_path
from ledger.entrypoints.operations import open_ledger, verify
from paylake.errors import NotVerified

ACCOUNT = "update document set {} where kind = 'account' and key = '2201:M1/CNY'"
BEYOND = "(select sequence + 2 from checkpoint)"


@pytest.mark.parametrize(("statement", "named"), [
    (ACCOUNT.format("document = 'rubbish'"), "document account 2201:M1/CNY"),
    (ACCOUNT.format("document = json_remove(document, '$.balance')"),
     "document account 2201:M1/CNY"),
    (ACCOUNT.format("document = json_replace(document, '$.code', '9999')"),
     "document account 2201:M1/CNY"),
    ("update document set key = 'x' where key = "
     "(select min(key) from document where kind = 'use')", "document use x"),
    ("update checkpoint set sequence = sequence + 100", "the log is not as the checkpoint"),
    ("update checkpoint set digest = zeroblob(32)", "the log is not as the checkpoint"),
    ("update checkpoint set journal = journal + 1", "the log is not as the checkpoint"),
    ("update checkpoint set journal = journal - 1", "the log is not as the checkpoint"),
    ("delete from checkpoint", "the checkpoint that its documents are of is missing"),
    ("delete from entry where sequence >= (select sequence from checkpoint)",
     "the log is not as the checkpoint"),
    (f"delete from entry where sequence = {BEYOND}", "is missing in the log"),
    (f"update entry set content = 'x' where sequence = {BEYOND}", "is not that of its content"),
    ("update entry set digest = zeroblob(32) where sequence = "
     "(select max(sequence) from entry)", "is not that of its content"),
])
def test_a_damaged_ledger_is_named_at_the_start(world, statement, named):
    for number in range(6):
        world.do("payment")
        if number == 2:
            world.ledger.checkpoint()
    world.ledger.store.close()  # as a kill would, without the fold
    db = sqlite3.connect(ledger_path(world.settings))
    triggers = db.execute("select name, sql from sqlite_master where type = 'trigger'").fetchall()
    for name, _ in triggers:
        db.execute(f"drop trigger {name}")
    assert db.execute(statement).rowcount > 0
    for _, sql in triggers:
        db.execute(sql)
    db.commit()
    before = list(db.iterdump())
    for _ in range(2):
        with pytest.raises(NotVerified, match="The ledger is damaged: ") as caught:
            open_ledger(world.settings, simulated=True)
        assert named in caught.value.what
        assert caught.value.where == str(ledger_path(world.settings))
    assert list(db.iterdump()) == before  # nothing was changed
    db.close()
    with pytest.raises(NotVerified):
        verify(world.settings)
    world.ledger.close = lambda: None
