"""Online backup and restore of both storages: verified, with the same trial balance."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta

import pytest

from ledger.adapters.reconciliation_files import ReconciliationFiles
from ledger.entrypoints.operations import backup, open_ledger, restore, verify
from paylake import durable
from paylake import settings as settings_module
from paylake.errors import DiskFull, LeaseHeld, NotVerified, PermanentFailure, UsageFault
from paylake.settings import ROOT
from tests.ledger.banks import Bank, line
from tests.ledger.conftest import DAY, World, at
from tests.ledger.postgres import Server
from tests.ledger.test_storages import trade

STORAGES = ("sqlite", "postgres")


@pytest.fixture(scope="module")
def server():
    made = Server()
    yield made
    made.stop()


@pytest.fixture(params=STORAGES)
def world(request, settings):
    """A day of everything, closed, and a next one begun."""
    if request.param == "postgres":
        server = request.getfixturevalue("server")
        settings = replace(settings, ledger_database=server.database())
    made = World(settings)
    made.start()
    trade(made)
    made.close()
    made.ledger.set_clock(at(DAY + timedelta(1), "12:00:00"))
    made.do("payment", occurred_at=at(DAY + timedelta(1), "11:00:00"))
    yield made
    made.ledger.close()


def elsewhere(world, tmp_path, storage: str, server) -> settings_module.Settings:
    """Another home with the same keys, and no ledger."""
    home = tmp_path / "other"
    shutil.copytree(world.settings.path("keys"), home / "keys")
    return replace(
        world.settings, home=home,
        ledger_database=server.database() if storage == "postgres" else "",
    )


def test_d1_23_the_files_of_reconciliations_come_back_with_the_log_that_names_them(
    world, tmp_path, server
):
    """Nothing else has what a bank's statement said line by line."""
    bank = Bank(world)
    done = bank.send([line("1", 700, "x")])
    rows = bank.rows(done)
    backup(world.settings, tmp_path / "copy")
    there = elsewhere(world, tmp_path, "sqlite", server)
    restore(there, tmp_path / "copy")
    bank.files = ReconciliationFiles(there)
    assert bank.rows(done) == rows
    folder = there.path("ledger", "reconciliations", done["last_date"])
    assert len(list(folder.iterdir())) == 3  # with its control file and signature
    (changed,) = (tmp_path / "copy" / "reconciliations").rglob("*.csv")
    changed.write_bytes(changed.read_bytes() + b"x")
    shutil.rmtree(there.home / "ledger")
    with pytest.raises(NotVerified, match="damaged"):
        restore(there, tmp_path / "copy")


@pytest.mark.parametrize("into", STORAGES)
def test_d1_23_a_backup_comes_back_whole_into_either_storage(world, tmp_path, into, server):
    """Taken while the service has it open and goes on posting; what came later is not in it."""
    balances, head = world.balances(), world.ledger.head
    done = backup(world.settings, tmp_path / "copy")
    assert (done["entries"], done["chain_digest"]) == (head.sequence, head.digest.hex())
    world.do("payment", occurred_at=at(DAY + timedelta(1), "11:30:00"))
    there = elsewhere(world, tmp_path, into, server)
    assert restore(there, tmp_path / "copy")["entries"] == done["entries"]
    found = verify(there)
    assert (found.chain_digest, found.closed_dates, found.heads) == (head.digest.hex(), 1, 1)
    copy = World.__new__(World)
    copy.settings, copy.number, copy.keys = there, world.number + 1000, world.keys
    copy.ledger = open_ledger(there, simulated=True)
    try:
        assert copy.balances() == balances
        first = json.loads(world.ledger.store.find_close(DAY.isoformat())["document"])
        again = json.loads(copy.ledger.store.find_close(DAY.isoformat())["document"])
        assert again["trial_balance"] == first["trial_balance"] and again["trial_balance"]
        # it goes on: another payment, the next close
        when = {"occurred_at": at(DAY + timedelta(1), "11:40:00")}
        assert copy.do("payment", **when)["status"] == "posted"
        assert copy.close(DAY + timedelta(1))["booking_date"] == "2026-09-13"
        assert copy.ledger.vault.reveal(*_sealed(copy)) == "card of U1"
    finally:
        copy.ledger.close()
    assert verify(there).closed_dates == 2


def _sealed(world: World) -> tuple[str, bytes, int]:
    bound = world.ledger.state.get("destination", "D1")["bound_account"]
    return bound, *world.ledger.store.secret(bound)


def test_nothing_is_overwritten(world, tmp_path):
    backup(world.settings, tmp_path / "copy")
    with pytest.raises(UsageFault, match="something of that name"):
        backup(world.settings, tmp_path / "copy")
    with pytest.raises(LeaseHeld):  # it is served
        restore(world.settings, tmp_path / "copy")
    world.ledger.close()
    before = verify(world.settings).chain_digest
    with pytest.raises(UsageFault, match="There is a ledger"):
        restore(world.settings, tmp_path / "copy")
    assert verify(world.settings).chain_digest == before
    world.ledger = open_ledger(world.settings, simulated=True)


def test_what_is_left_of_a_lost_database_is_not_played_into_the_restored_one(settings, tmp_path):
    made = World(settings)
    made.start()
    backup(settings, tmp_path / "copy")
    made.ledger.close()
    path = settings.path("ledger", "ledger.db")
    path.unlink()
    path.with_name("ledger.db-wal").write_bytes(b"left over")
    with pytest.raises(UsageFault, match="what is left of one"):
        restore(settings, tmp_path / "copy")


def test_there_is_nothing_to_back_up_without_a_ledger(settings, tmp_path, server):
    for database in ("", server.database()):
        with pytest.raises(PermanentFailure, match="there is no ledger here"):
            backup(replace(settings, ledger_database=database), tmp_path / "copy")
    assert not [path for path in tmp_path.iterdir() if "copy" in path.name]


@pytest.mark.parametrize("change", ["byte", "head gone", "manifest", "chain", "no signature"])
def test_a_damaged_backup_restores_nothing(settings, tmp_path, server, change):
    made = World(settings)
    made.start()
    made.do("payment")
    made.close()
    folder = tmp_path / "copy"
    backup(settings, folder)
    path = folder / "ledger.db"
    if change == "byte":
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif change == "head gone":
        (folder / "heads" / "2026-09-12.json").unlink()
    elif change == "manifest":
        (folder / "backup.json").write_text("{}")
    else:  # made to fit by who has the folder in hand, but not by the ledger's key
        import sqlite3

        from paylake.crypto import sm3_file

        db = sqlite3.connect(path)
        db.execute("drop trigger entry_no_update" if change == "chain" else
                   "drop trigger head_no_update")
        db.execute("update entry set booked_at = '2026-09-12T01:00:00Z' where journal = 1"
                   if change == "chain" else "update head set signature = x'00'")
        db.commit()
        db.close()
        said = json.loads((folder / "backup.json").read_text())
        said["files"]["ledger.db"] = sm3_file(path)
        (folder / "backup.json").write_text(json.dumps(said))
    there = elsewhere(made, tmp_path, "sqlite", server)
    with pytest.raises(NotVerified):
        restore(there, folder)
    assert not there.path("ledger", "ledger.db").exists()
    made.ledger.close()


def test_a_home_that_knows_newer_heads_says_that_the_backup_is_older(settings, tmp_path):
    """Head files are evidence outside the database: an old backup in their home shows."""
    made = World(settings)
    made.start()
    backup(settings, tmp_path / "copy")
    made.do("payment")
    made.close()
    made.ledger.close()
    settings.path("ledger", "ledger.db").rename(tmp_path / "lost.db")
    with pytest.raises(NotVerified, match="older than its heads"):
        restore(settings, tmp_path / "copy")


def test_the_commands(settings, tmp_path):
    made = World(settings)
    made.start()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def run(*arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", "ledger", *arguments], capture_output=True, text=True,
            cwd=ROOT, env=environment, check=False,
        )

    done = run("backup", "--home", str(settings.home), "--out", str(tmp_path / "copy"))
    assert json.loads(done.stdout)["entries"] == made.ledger.head.sequence, done.stderr
    made.ledger.close()
    shutil.rmtree(settings.path("ledger"))
    done = run("restore", "--home", str(settings.home), "--from", str(tmp_path / "copy"))
    assert done.returncode == 0 and json.loads(done.stdout)["heads"] == 0, done.stderr
    again = run("restore", "--home", str(settings.home), "--from", str(tmp_path / "copy"))
    assert again.returncode == 2 and "There is a ledger" in again.stderr


@pytest.mark.parametrize("kind", STORAGES)
def test_a_restore_that_found_no_room_leaves_no_ledger_and_can_be_called_again(
    settings, tmp_path, server, monkeypatch, kind
):
    """Nor does one that was killed between the database and the files beside it."""
    made = World(settings)
    made.start()
    made.do("payment")
    made.close()
    backup(settings, tmp_path / "copy")
    made.ledger.close()
    there = elsewhere(made, tmp_path, kind, server)
    write = durable.write

    def full(path, data):
        if path.name.endswith(".sig"):
            raise DiskFull("the disk is full", "make room", where=str(path))
        write(path, data)

    monkeypatch.setattr(durable, "write", full)
    with pytest.raises(DiskFull):
        restore(there, tmp_path / "copy")
    assert not there.path("ledger", "ledger.db").exists()
    assert not list(there.path("ledger").glob(".*"))
    monkeypatch.setattr(durable, "write", write)
    assert restore(there, tmp_path / "copy")["heads"] == 1
    assert verify(there).heads == 1
