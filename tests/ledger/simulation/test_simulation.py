"""Seeds of a deterministic simulation: operations of many kinds, a clock that goes on, stands
still and goes back, days that are run and closed, on a storage that fails, in units that overlap
and in such that do not. What was answered is there, once; what was not is sent again; the log that
comes of it is that of the same history without faults.

`PAYLAKE_TEST_SEED=17` runs that seed alone; `PAYLAKE_TEST_SEEDS` says how many the long run takes.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from ledger.adapters.tokens import ensure_demo_token
from paylake import settings as settings_module
from paylake.keys import Keyring
from tests.ledger.conftest import World
from tests.ledger.simulation.run import Simulation
from tests.ledger.simulation.storage import committed

MEMORY = Path("/dev/shm")


@pytest.fixture(scope="module")
def prepared():
    """A home with a ledger of two merchants and two users, to be copied for each seed."""
    with tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as name:
        found = settings_module.load({}, home=Path(name) / "home")
        Keyring(found).ensure_demo()
        ensure_demo_token(found)
        world = World(found)
        world.start()
        world.ledger.close()
        yield Path(name), world


@pytest.fixture(autouse=True)
def checkpoints_often(monkeypatch):
    """So that some are written while units go on."""
    monkeypatch.setattr("ledger.service.ledger.CHECKPOINT_ENTRIES", 30)


def simulate(prepared, first: int, count: int) -> Counter[str]:
    folder, world = prepared
    found: Counter[str] = Counter()
    only = os.environ.get("PAYLAKE_TEST_SEED")
    for seed in (int(only),) if only else range(first, first + count):
        place = folder / f"seed-{seed}"
        try:
            simulation = Simulation(folder / "home", place, world.keys["ben"], seed)
            simulation.run()
        except BaseException:
            print(f"to repeat it: PAYLAKE_TEST_SEED={seed}")
            raise
        finally:
            shutil.rmtree(place, ignore_errors=True)
        found += simulation.faults
        found["entries"] += simulation.entries
    print(", ".join(f"{name}: {number}" for name, number in sorted(found.items())))
    return found


def test_the_end_of_what_is_committed_is_found(tmp_path):
    """What the simulation believes of a write-ahead log is what SQLite believes."""
    path = tmp_path / "x.db"
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("pragma journal_mode = wal")
    db.execute("create table t (v)")
    for number in range(5):
        db.execute("insert into t values (?)", (f"{number}" * 3000,))
    log = path.with_name("x.db-wal").read_bytes()
    assert committed(log) == len(log) > 5 * 4096
    assert committed(log[:-1]) < len(log) - 4096
    broken = bytearray(log)
    broken[len(log) // 2] ^= 1
    assert 32 < committed(bytes(broken)) < len(log) // 2
    db.close()


def test_some_seeds(prepared):
    found = simulate(prepared, 0, 40)
    if "PAYLAKE_TEST_SEED" not in os.environ:
        assert found["seeds"] == 40
        assert {"crash", "crash after commit", "unknown outcome", "disk I/O error",
                "database or disk is full", "database is locked"} <= set(found), found


@pytest.mark.long
@pytest.mark.timeout(3000)
def test_thousands_of_seeds(prepared):
    count = int(os.environ.get("PAYLAKE_TEST_SEEDS", "2000"))
    found = simulate(prepared, 1000, count)
    assert found["seeds"] == (1 if "PAYLAKE_TEST_SEED" in os.environ else count)
