"""One writer a lake: the second is told who the first is, and a dead one's lease is free."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from paylake import settings
from paylake.errors import LeaseHeld
from paylake.lease import lease

ROOT = Path(__file__).resolve().parents[2]
HOLDER = """
import time
from paylake import settings
from paylake.lease import lease
with lease(settings.load(), "build", "2026-09-12"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        env={**os.environ, "PAYLAKE_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_writer_is_told_who_holds_it(holder, tmp_path):
    mine = settings.load({"PAYLAKE_HOME": str(tmp_path), "PAYLAKE_LEASE_WAIT_SECONDS": "0"})
    with pytest.raises(LeaseHeld) as caught, lease(mine, "publish"):
        raise AssertionError("two writers at once")
    assert "build" in caught.value.sentence() and "2026-09-12" in caught.value.sentence()
    assert caught.value.exit_code == 13


def test_a_killed_owner_s_lease_is_taken_over(holder, tmp_path):
    mine = settings.load({"PAYLAKE_HOME": str(tmp_path), "PAYLAKE_LEASE_WAIT_SECONDS": "10"})
    holder.send_signal(signal.SIGKILL)
    began = time.monotonic()
    with lease(mine, "publish"):
        assert time.monotonic() - began < 5


def test_nesting_in_one_process_is_free(tmp_path):
    mine = settings.load({"PAYLAKE_HOME": str(tmp_path), "PAYLAKE_LEASE_WAIT_SECONDS": "0"})
    with lease(mine, "run"), lease(mine, "build"):
        assert (tmp_path / "run" / "lake.lease").read_text().count("run") == 1
    with lease(mine, "again"):
        pass
