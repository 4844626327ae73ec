"""Which servers a home has, and how each is started."""

from __future__ import annotations

import json
import secrets
import sys
from pathlib import Path

import httpx

from cli.environments import python_of
from paylake import engine, home, services
from paylake.durable import write_private
from paylake.settings import ROOT, Settings

NAMES = ("ledger", "engine", "airflow", "superset")
AIRFLOW_USER = "operations"


def ledger(settings: Settings, *, simulated: bool) -> services.Service:
    argv = [sys.executable, "-m", "ledger", "serve", "--home", str(settings.home)]
    argv += ["--port", str(settings.ledger_port)]
    return services.Service(
        name="ledger",
        argv=[*argv, "--simulated"] if simulated else argv,
        port=settings.ledger_port,
        health_path="/healthz",
        environment={**settings.as_environment(), "PYTHONPATH": str(ROOT)},
    )


def engine_server(settings: Settings) -> services.Service:
    command = engine.server_command(settings, settings.engine_port)
    return services.Service(
        name="engine",
        argv=command.argv,
        port=settings.engine_port,
        environment=command.environment,
    )


def airflow_environment(settings: Settings) -> dict[str, str]:
    """Airflow's whole configuration: no file to edit, no port but loopback."""
    folder = settings.path("airflow")
    port = settings.airflow_port
    return {
        **settings.as_environment(),
        "PATH": f"{python_of('airflow').parent}:/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "PAYLAKE_PYTHON": sys.executable,
        "PAYLAKE_HOME_KIND": home.read(settings).kind,
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__DEFAULT_TIMEZONE": settings.zone,
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{AIRFLOW_USER}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(folder / "passwords.json"),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "20",
        "PYTHONUTF8": "1",
    }


def airflow_password(settings: Settings) -> str:
    """The generated demo login of Airflow; kept where Airflow reads it."""
    path = settings.path("airflow", "passwords.json")
    if not path.exists():
        password = secrets.token_urlsafe(12)
        write_private(path, json.dumps({AIRFLOW_USER: password}).encode())
    return json.loads(path.read_text("utf-8"))[AIRFLOW_USER]


def _airflow_is_well(response: httpx.Response) -> bool:
    if response.status_code != 200:
        return False
    health = response.json()
    parts = ("metadatabase", "scheduler", "dag_processor")
    return all(health.get(part, {}).get("status") == "healthy" for part in parts)


def airflow(settings: Settings) -> services.Service:
    airflow_password(settings)
    return services.Service(
        name="airflow",
        argv=[str(python_of("airflow").parent / "airflow"), "standalone"],
        port=settings.airflow_port,
        health_path="/api/v2/monitor/health",
        environment=airflow_environment(settings),
        is_healthy=_airflow_is_well,
        start_seconds=120,
    )


def superset(settings: Settings) -> services.Service:
    import dashboards

    argv, environment = dashboards.command(settings, python_of("superset"))
    return services.Service(
        name="superset",
        argv=argv,
        port=settings.superset_port,
        health_path="/health",
        environment={**settings.as_environment(), **environment},
        start_seconds=120,
    )


def log_of(settings: Settings, name: str) -> Path:
    return settings.path("log", f"{name}.log")
