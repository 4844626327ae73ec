"""What several rooms' tests share: one small demo home for the whole run, with real servers."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import hypothesis
import pytest

from paylake import settings as settings_module
from paylake.engine import free_port
from paylake.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
PAYLAKE = ROOT / "bin" / "paylake"
# How long an example takes is no matter of right or wrong, and a busy machine has its moments.
hypothesis.settings.register_profile("house", deadline=None)
hypothesis.settings.load_profile("house")
SIZE = {"DAYS": "8", "MERCHANTS": "40", "TERMINALS": "80", "TXNS": "600", "SEED": "7"}


@dataclass
class DemoHome:
    """A home with the environment that its commands need, and what the first run printed."""

    settings: Settings
    environment: dict[str, str]
    first: subprocess.CompletedProcess[str]

    def call(self, *arguments: str, timeout: int = 600) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(PAYLAKE), *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def json(self, *arguments: str) -> list[dict]:
        done = self.call(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


#: What uses the demo home goes to one process, so that it is made once; `test_demo.py` stops its
#: servers last.
OF_DEMO = ("e2e/test_charts.py", "e2e/test_demo.py", "docs/test_readme.py")
#: What takes a minute or more, the longest first: whoever is free takes the next file, so what
#: takes long may not come last.
LONGEST = (
    *OF_DEMO, "dashboards/test_superset.py", "release/test_restating.py", "e2e/test_mapped.py",
    "release/test_runs.py", "parity/test_every_table.py", "release/test_publish.py",
    "expectations/test_gate.py", "release/test_files.py", "dbt/test_run.py",
)


def pytest_collection_modifyitems(items):
    """The longest files first."""
    here = Path(__file__).parent
    rank = {here / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))  # stable: the rest as it was


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Whole files to one process, the users of the demo home together."""
    from xdist.scheduler import LoadFileScheduling

    class Files(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "demo" if file.removeprefix("tests/") in OF_DEMO else file

    return Files(config, log)


def _free_home(name: str) -> tuple[Path, IO[str]]:
    """A home that no other test run on this machine uses now, and the lock that says so."""
    for number in itertools.count():
        home = ROOT / "var" / (f"{name}-{number}" if number else name)
        home.parent.mkdir(exist_ok=True)
        guard = home.with_suffix(".lock").open("w")
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            guard.close()
            continue
        return home, guard
    raise AssertionError("the count ends nowhere")


@contextmanager
def made_demo(name: str, *arguments: str, **size: str) -> Iterator[DemoHome]:
    """`bin/paylake demo` in a home of its own, with all servers; they are stopped at the end.

    :param arguments: of the command
    :param size: settings that differ from `SIZE`
    """
    home, guard = _free_home(name)
    environment = {
        **os.environ,
        "PAYLAKE_HOME": str(home),
        **{f"PAYLAKE_{name}": value for name, value in (SIZE | size).items()},
        **{
            f"PAYLAKE_{name}_PORT": str(free_port())
            for name in ("ENGINE", "LEDGER", "AIRFLOW", "SUPERSET")
        },
    }
    if home.exists():
        subprocess.run([str(PAYLAKE), "down"], env=environment, check=False, capture_output=True)
        shutil.rmtree(home)
    try:
        first = subprocess.run(
            [str(PAYLAKE), "--debug", "demo", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=1400,
            check=False,
        )
        yield DemoHome(settings_module.load(environment), environment, first)
    finally:
        subprocess.run([str(PAYLAKE), "down"], env=environment, check=False, capture_output=True)
        guard.close()


@pytest.fixture(scope="session")
def demo():
    """`make run`, small, but for the held and the waived date, which go by command here; through
    Airflow they go in tests/e2e/test_airflow_dates.py."""
    with made_demo("test-demo", "--airflow-dates", "1") as home:
        yield home
