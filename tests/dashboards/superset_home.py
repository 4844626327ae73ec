"""A Superset of a made-up home, started for a test and stopped by its process group."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import dashboards
from cli.environments import python_of
from paylake.settings import Settings


def python() -> Path:
    """`bin/python` of the superset environment."""
    given = os.environ.get("PAYLAKE_SUPERSET_PYTHON")
    return Path(given) if given else python_of("superset")


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


@contextmanager
def running(settings: Settings) -> Iterator[Settings]:
    """Set a home's Superset up and run it on a free port."""
    settings = replace(settings, superset_port=free_port())
    dashboards.set_up(settings, python())
    arguments, environment = dashboards.command(settings, python())
    log = settings.path("log", "superset.log")
    with log.open("wb") as out:
        process = subprocess.Popen(
            arguments,
            env=environment,
            cwd=settings.home,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
        try:
            _wait(settings, process)
            yield settings
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def _wait(settings: Settings, process: subprocess.Popen[bytes]) -> None:
    address = f"http://127.0.0.1:{settings.superset_port}/health"
    for _ in range(600):
        assert process.poll() is None, settings.path("log", "superset.log").read_text()[-2000:]
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.3)
    raise AssertionError(f"Superset did not answer at {address}")
