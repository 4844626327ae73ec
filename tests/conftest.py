"""What several rooms' tests share: one small demo home for the whole run, with real servers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from paylake import settings as settings_module
from paylake.engine import free_port
from paylake.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
PAYLAKE = ROOT / "bin" / "paylake"
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


def pytest_collection_modifyitems(config, items):
    """Keep users of the demo home in one process, in file order, under `--dist loadgroup`.

    It is made once, and the last of its tests stops its servers.
    """
    if config.pluginmanager.hasplugin("xdist"):
        for item in items:
            if "demo" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.xdist_group("demo"))


@pytest.fixture(scope="session")
def demo():
    """`make run` in a home of its own; its servers are stopped at the end of the test run."""
    # A name of its own in each process, so that no mode of running in parallel shares it.
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    home = ROOT / "var" / f"test-demo{worker and '-' + worker}"
    environment = {
        **os.environ,
        "PAYLAKE_HOME": str(home),
        **{f"PAYLAKE_{name}": value for name, value in SIZE.items()},
        **{
            f"PAYLAKE_{name}_PORT": str(free_port())
            for name in ("ENGINE", "LEDGER", "AIRFLOW", "SUPERSET")
        },
    }
    if home.exists():
        subprocess.run([str(PAYLAKE), "down"], env=environment, check=False, capture_output=True)
        shutil.rmtree(home)
    first = subprocess.run(
        [str(PAYLAKE), "--debug", "demo"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    yield DemoHome(settings_module.load(environment), environment, first)
    subprocess.run([str(PAYLAKE), "down"], env=environment, check=False, capture_output=True)
