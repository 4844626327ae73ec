"""Files that belong to what is committed: a full disk, or a crash, between the two leaves nothing
that the next call, or the next start, does not make good."""

from __future__ import annotations

import errno
import os
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from ledger.adapters import instructions
from ledger.adapters.bulk_import import import_file
from ledger.adapters.export import export_day
from ledger.adapters.heads import head_paths
from ledger.adapters.instructions import write_instructions
from ledger.adapters.log_export import export_log
from ledger.adapters.statement_files import write_statements
from ledger.adapters.storage import ledger_path
from ledger.adapters.tokens import Tokens
from ledger.entrypoints.http import create_app
from ledger.entrypoints.operations import open_ledger, verify
from paylake import durable
from paylake.errors import DiskFull, EnvironmentFault, NotVerified
from tests.ledger.conftest import DAY, at

NEXT = DAY + timedelta(1)


@pytest.fixture
def full(monkeypatch):
    """A disk that takes so many files and is then full, until it is told otherwise."""
    flush = os.fsync
    room = [None]

    def fsync(descriptor):
        if Path(f"/proc/self/fd/{descriptor}").readlink().name.startswith("."):
            if room[0] == 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            if room[0] is not None:
                room[0] -= 1
        flush(descriptor)

    monkeypatch.setattr(durable.os, "fsync", fsync)

    def left(files):
        room[0] = files

    return left


def _there(world, name: str) -> list[bool]:
    folder = world.settings.path("ledger", "heads")
    assert not list(folder.glob(".*"))  # nothing half written is left
    return [path.is_file() for path in head_paths(folder, name)]


@pytest.mark.parametrize("written", [0, 1])
def test_a_close_whose_head_found_no_room_writes_it_when_asked_again(world, full, written):
    world.do("payment")
    full(written)
    with pytest.raises(DiskFull, match="The disk is full"):
        world.close()
    assert _there(world, DAY.isoformat()) == [written == 1, False]
    full(None)
    assert world.ledger.close_day(DAY)["replayed"] is True
    assert _there(world, DAY.isoformat()) == [True, True]
    assert verify(world.settings).heads == 1


def test_a_head_that_found_no_room_is_written_by_the_same_call_again(world, full):
    """Also when nothing was posted since; the answer says that it is kept."""
    world.do("payment")
    full(0)
    with pytest.raises(DiskFull):
        world.ledger.anchor()
    name = world.ledger.store.last_head()["name"]
    full(1)
    with pytest.raises(DiskFull):
        world.ledger.anchor()
    full(None)
    assert world.ledger.anchor()["name"] == name
    assert _there(world, name) == [True, True]
    assert verify(world.settings).heads == 1


@pytest.mark.parametrize("again", ["call", "start"])
def test_every_head_that_lacks_a_file_gets_it_not_the_last_alone(world, full, again):
    names = []
    full(0)
    for _ in range(3):
        world.do("payment")
        with pytest.raises(DiskFull):
            world.ledger.anchor()
        names.append(world.ledger.store.last_head()["name"])
        if again == "start":  # each time with the files of those before still missing
            world.ledger._unkept.clear()
    full(None)
    world.ledger.anchor() if again == "call" else world.reopen()
    assert len(set(names)) == 3 if again == "start" else len(set(names)) == 1
    assert all(_there(world, name) == [True, True] for name in names)
    assert verify(world.settings).broken is None


def test_over_http_a_full_disk_is_the_storages_fault(world, full):
    world.do("payment")
    world.close()
    with TestClient(create_app(world.settings, world.ledger, Tokens.load(world.settings))) as http:
        token = world.settings.path("keys", "ledger.token").read_text().strip()
        http.headers["authorization"] = f"Bearer {token}"
        for what in ("statements", "instructions"):
            full(1)
            answer = http.post(f"/v1/days/{DAY}/{what}")
            assert (answer.status_code, answer.json()["error"]["reason"]) == (
                503, "storage_unavailable"), answer.text
            full(None)
            assert http.post(f"/v1/days/{DAY}/{what}").status_code == 200
    world.ledger = open_ledger(world.settings, simulated=True)


@pytest.mark.parametrize("left", ["none", "another"])
def test_a_control_file_gets_its_own_signature_after_a_crash(world, left):
    """Broken off between the control file and its signature, which were there of another one."""
    world.do("payment")
    world.close()
    write_statements(world.settings, DAY)
    folder = world.settings.path("ledger", "statements", DAY.isoformat())
    controls = sorted(folder.glob("*.control.json"))
    signatures = [path.with_name(path.name + ".sig") for path in controls]
    if left == "none":
        signatures[0].unlink()
    else:
        signatures[0].write_bytes(signatures[1].read_bytes())
    write_statements(world.settings, DAY)
    key = world.ledger.signer._key.public
    assert all(key.verify(control.read_bytes(), signature.read_bytes())
               for control, signature in zip(controls, signatures, strict=True))


@pytest.mark.parametrize("lost", [False, True])
def test_a_database_that_is_older_than_its_heads_is_not_served(world, lost):
    """Put back, or gone: closing the dates anew would sign them a second time."""
    world.do("payment")
    world.ledger.close()
    path = ledger_path(world.settings)
    kept = path.with_name("kept")
    shutil.copyfile(path, kept)
    world.ledger = open_ledger(world.settings, simulated=True)
    world.close()
    world.ledger.close()
    later = path.with_name("later")
    path.rename(later)
    if not lost:
        kept.rename(path)
    for _ in range(2):
        with pytest.raises(NotVerified, match=f"it lacks {DAY}") as caught:
            open_ledger(world.settings, simulated=True)
        assert "restore-the-ledger" in caught.value.next_step
    assert path.exists() is not lost  # no empty one in its place
    later.rename(path)
    world.ledger = open_ledger(world.settings, simulated=True)
    world.ledger.set_clock(at(NEXT, "12:00:00"))
    assert verify(world.settings).heads == 1


# places that take no file: the error says which, and what to do


def _blocked(path: Path) -> Path:
    """A file where a folder should be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


def test_a_home_that_takes_no_file_is_named_at_the_start(settings):
    _blocked(settings.path("ledger"))
    for _ in range(2):
        with pytest.raises(EnvironmentFault, match="Cannot write: ") as caught:
            open_ledger(settings, simulated=True)
        assert caught.value.where == str(ledger_path(settings))


def test_a_database_that_cannot_be_made_leaves_the_lock_free(settings, monkeypatch):
    opened = os.open

    def full(path, *more):
        if Path(path).name == "ledger.db":
            raise OSError(errno.ENOSPC, "No space left on device")
        return opened(path, *more)

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(DiskFull):
        open_ledger(settings, simulated=True)
    monkeypatch.setattr(os, "open", opened)
    open_ledger(settings, simulated=True).close()


def test_an_export_into_no_folder_is_named(world, tmp_path, sent_at):
    world.close()
    out = _blocked(tmp_path / "out")
    with pytest.raises(EnvironmentFault, match="Cannot write: ") as caught:
        export_log(world.settings, out / "log")
    assert str(out) in caught.value.where
    _blocked(world.settings.path("landing", "inbox"))
    with pytest.raises(EnvironmentFault, match="Cannot write: "):
        export_day(world.settings, DAY, sent_at=sent_at)


def test_rejects_that_cannot_be_written_are_named(world, tmp_path):
    file = tmp_path / "commands.csv"
    file.write_text("type\nfee\n")
    with pytest.raises(EnvironmentFault, match="Cannot write: "):
        import_file(file, world.ledger.apply, tmp_path / "none" / "rejects.csv")


def test_no_half_of_the_instructions_stays_in_clear(world, tmp_path, monkeypatch):
    """The second file finds no room: the first has payees in it, and is not left."""
    world.do("payment")
    world.close()
    write_instructions(world.settings, DAY)
    write, out = instructions.write_private, tmp_path / "bank"

    def full(path, data):
        if path.parent.is_dir():
            raise DiskFull("The disk is full", "Free some space.", where=str(path))
        write(path, data)

    monkeypatch.setattr(instructions, "write_private", full)
    with pytest.raises(DiskFull):
        instructions.unsealed(world.settings, DAY, out)
    assert [path.name for path in tmp_path.iterdir() if "bank" in path.name] == []
    monkeypatch.setattr(instructions, "write_private", write)
    assert {path.parent for path in instructions.unsealed(world.settings, DAY, out)} == {out}
    assert len(list(out.iterdir())) == 2
    assert out.stat().st_mode & 0o077 == 0
