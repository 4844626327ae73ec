"""Dashboards: Superset on the released gold tables, as a part of the product.

Everything here but `set_up`, `command` and `secret_key` runs inside the Superset environment,
started as a process of its own.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from pathlib import Path

from paylake.durable import write_private
from paylake.errors import EnvironmentFault, PermanentFailure
from paylake.settings import ROOT, Settings

__all__ = ["command", "environment", "secret_key", "set_up"]

WORKERS, THREADS = 1, 8


def secret_key(settings: Settings) -> str:
    """The key that signs Superset's sessions: generated once, in the home's keys."""
    file = settings.path("keys", "superset.key")
    if not file.exists():
        write_private(file, secrets.token_hex(32).encode("ascii"))
    return file.read_text("ascii").strip()


def environment(settings: Settings) -> dict[str, str]:
    """Environment variables of every process of this home's Superset."""
    home = settings.path("superset")
    return {
        **os.environ,
        **settings.as_environment(),
        **_addresses(settings),
        "SUPERSET_CONFIG_PATH": str(ROOT / "dashboards" / "superset_config.py"),
        "SUPERSET_HOME": str(home),
        "FLASK_APP": "superset",
        "PYTHONPATH": str(ROOT),
        "SCARF_ANALYTICS": "false",
        "TZ": "UTC",
    }


def _addresses(settings: Settings) -> dict[str, str]:
    """Where Superset keeps its own things in a server deployment; the addresses hold passwords."""
    return {
        name: value
        for name, value in (
            ("PAYLAKE_SUPERSET_DATABASE", settings.superset_database),
            ("PAYLAKE_SUPERSET_CACHE", settings.superset_cache),
        )
        if value
    }


def _python(python: Path | None) -> Path:
    found = python or Path(os.environ.get("PAYLAKE_SUPERSET_PYTHON", sys.executable))
    if not (found.parent / "gunicorn").exists():
        raise EnvironmentFault(
            f"There is no Superset environment at {found.parent.parent}",
            "Run `make run`, or set PAYLAKE_SUPERSET_PYTHON to its bin/python.",
        )
    return found


def command(settings: Settings, python: Path | None = None) -> tuple[list[str], dict[str, str]]:
    """How to start this home's Superset on `settings.listen`: command line and environment.

    :param python: `bin/python` of the superset environment; by default the one in
        PAYLAKE_SUPERSET_PYTHON, or the running one.
    :raises EnvironmentFault: when there is no Superset there.
    """
    arguments = [
        str(_python(python).parent / "gunicorn"),
        "--bind", f"{settings.listen}:{settings.superset_port}",
        "--workers", str(WORKERS),
        "--worker-class", "gthread",
        "--threads", str(THREADS),
        "--timeout", "120",
        "--limit-request-line", "0",
        "superset.app:create_app()",
    ]  # fmt: skip
    return arguments, environment(settings)


def set_up(settings: Settings, python: Path | None = None) -> str:
    """Prepare this home's Superset: metadata, roles, users, assets. Again: nothing to do.

    Runs in the superset environment as a subprocess; the full output is in
    ``<home>/log/superset-set-up.log``.

    :returns: one line that says what was done.
    :raises PermanentFailure: with the last lines of what went wrong.
    """
    done = subprocess.run(
        [str(_python(python)), "-m", "dashboards", "set-up", "--home", str(settings.home)],
        env=environment(settings),
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    log = settings.path("log", "superset-set-up.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(done.stdout + done.stderr, "utf-8")
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or lines or ["no output"])[-1]
        raise PermanentFailure(
            f"Superset could not be set up: {last}", "See the log.", where=str(log)
        )
    return lines[-1] if lines else "nothing to do"
