"""Another ledger's rows and tables in place of one's own: `verify` names what does not hold."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from ledger.adapters.storage import ledger_path
from ledger.entrypoints.operations import open_ledger, verify
from paylake import settings as settings_module
from paylake.errors import NotVerified
from tests.ledger.conftest import World

#: Tables of what happened, and of what is derived from it.
TABLES = ("entry", "checkpoint", "document", "item", "segment", "head", "day_close", "day_balance")


@pytest.fixture
def two(world, tmp_path) -> tuple[World, Path]:
    """A closed ledger, and the database of another one with the same keys, parties and accounts,
    which began as this one did and took other payments on the same date."""
    world.ledger.close()
    shutil.copytree(world.settings.home, tmp_path / "other")
    other = World.__new__(World)
    other.settings = settings_module.load({}, home=tmp_path / "other")
    other.keys, other.number = world.keys, world.number
    for number, each in enumerate((world, other)):
        each.ledger = open_ledger(each.settings, simulated=True)
        for n in range(5):
            each.do("payment", transaction_id=f"P{n}", amount_minor=10_000 + 100 * number + n)
        each.do("dispute", original_transaction_id="P1", amount_minor=700 + number)
        each.close()
        each.ledger.close()
    world.ledger = open_ledger(world.settings, simulated=True)
    assert verify(world.settings).broken is None and verify(other.settings).broken is None
    world.ledger.store.db.execute("pragma wal_checkpoint(truncate)")
    return world, ledger_path(other.settings)


def edit(world: World, other: Path, statements: list[str]) -> None:
    db = sqlite3.connect(ledger_path(world.settings), isolation_level=None)
    db.execute("attach ? as other", (str(other),))
    for (name,) in db.execute("select name from main.sqlite_master where type = 'trigger'"):
        db.execute(f"drop trigger main.{name}")
    db.execute("begin")
    for statement in statements:
        db.execute(statement)
    db.execute("commit")
    db.close()


def broken(world: World) -> str:
    with pytest.raises(NotVerified) as caught:
        verify(world.settings)
    assert caught.value.exit_code == 16
    return caught.value.what.partition("first broken row: ")[2]


def replaced(table: str, where: str = "true") -> list[str]:
    return [f"delete from main.{table} where {where}",
            f"insert into main.{table} select * from other.{table} where {where}"]


@pytest.mark.parametrize("table", TABLES)
def test_a_table_of_another_ledger(two, table):
    world, other = two
    named = {"entry": "checkpoint", "checkpoint": "checkpoint", "document": "document",
             "item": "item P1", "segment": "segment", "head": "head",
             "day_close": "2026-09-12", "day_balance": "2026-09-12"}
    edit(world, other, replaced(table))
    assert named[table] in broken(world)


def test_the_last_rows_of_another_ledger_with_their_digests(two):
    """The chains began alike, so the rows fit to one another; they do not fit what was derived
    from the log, nor, put there as well, what was signed."""
    world, other = two
    first = world.ledger.head.sequence - 5
    rows = replaced("entry", f"sequence >= {first}")
    edit(world, other, rows)
    assert "checkpoint" in broken(world)
    derived = [line for table in TABLES[1:5] for line in replaced(table)]
    edit(world, other, derived)
    assert "2026-09-12" in broken(world)


def test_every_table_of_another_ledger_but_the_head_files(two):
    world, other = two
    edit(world, other, [line for table in TABLES for line in replaced(table)])
    assert "2026-09-12" in broken(world)


def test_rows_that_changed_places(two):
    world, other = two
    last = world.ledger.head.sequence
    edit(world, other, [
        f"update main.entry set sequence = -1 where sequence = {last - 2}",
        f"update main.entry set sequence = {last - 2} where sequence = {last - 1}",
        f"update main.entry set sequence = {last - 1} where sequence = -1",
    ])
    assert f"entry {last - 2}" in broken(world)
