"""kill -9 of the process that seals, at random moments, then the same command again."""

import os
import random
import shutil
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

import reporting
from paylake import ops, release
from paylake.settings import Settings, load
from tests.reporting.institution import FIRST

LAST = FIRST + timedelta(days=1)
MOMENTS = 20
CHILD = """
import sys
from datetime import date
import reporting
from paylake.settings import load
settings = load({}, home=sys.argv[1])
print("begin", flush=True)
reporting.report(settings, date(2026, 9, 12), date(2026, 9, 13))
print("end", flush=True)
"""


def start(home: Path) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(Path(reporting.__file__).parents[1])}
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(home)],
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    )
    assert child.stdout is not None and child.stdout.readline() == "begin\n"
    return child


def files(settings: Settings) -> dict[str, bytes]:
    root = settings.path("reports")
    return {
        str(p.relative_to(root)): p.read_bytes()
        for p in root.glob("*/2026-*/*")
        if not p.name.endswith(".sig")
    }


@pytest.mark.long
def test_killed_sealing_ends_with_the_same_files(home, tmp_path):
    release.publish(home, FIRST, LAST)
    copies = [tmp_path / f"killed{n}" for n in range(MOMENTS)]
    for copy in copies:
        shutil.copytree(home.home, copy)
        shutil.rmtree(copy / "serving")
        release.mend(load({}, home=copy))
    child = start(home.home)
    begun = time.monotonic()
    assert child.communicate()[0] == "end\n"
    whole = time.monotonic() - begun
    wanted = files(home)
    assert len(wanted) == 2 * (3 + 3) + 2 * (4 + 2)
    seed = int(os.environ.get("PAYLAKE_TEST_SEED", time.time_ns() % 1_000_000))
    print(f"seed {seed}, one run takes {whole:.2f} s")
    chance = random.Random(seed)
    hit = 0
    for copy in copies:
        child = start(copy)
        time.sleep(chance.uniform(0, whole))
        child.kill()
        hit += child.communicate()[0] == ""
        settings = load({}, home=copy)
        done = reporting.report(settings, FIRST, LAST)
        assert done.exit_code == 0, (seed, done.rows())
        assert files(settings) == wanted, seed
        assert all(row["result"] == "verified" for row in reporting.list(settings)), seed
        newest = ops.latest(settings, "report_event")
        assert {row["state"] for row in newest} == {"packaged"} and len(newest) == 4, seed
    print(f"{hit} of {MOMENTS} kills hit a running command")
    assert hit >= MOMENTS // 2, seed
