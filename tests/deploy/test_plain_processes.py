"""The server deployment without containers: the compose file's services as plain processes.

PostgreSQL, Redis, a Spark cluster of two workers with the Connect and JDBC server, the ledger, the
four parts of Airflow, Superset: each with the command, the variables and the health check of
`docker-compose.yml`. A business date then goes from its deliveries to a release through Airflow,
computed by the cluster, and Superset answers a chart's query with the released figure.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

import paylake
from cli.airflow_api import CHAIN, Airflow
from paylake import engine, home, services, settings, spark_runtime
from paylake.crypto import sm3_hex
from paylake.keys import Keyring
from paylake.settings import Settings
from simulator.params import Params
from tests.dashboards.superset_api import Reader
from tests.deploy import compose
from tests.deploy.processes import Deployment, running

pytestmark = pytest.mark.long

DAY = date(2026, 9, 12)
LAKES = {"object store": "s3://paylake/lake", "volume": ""}
# For one date of two hundred rows compiling costs more than it saves; the results are the same.
JAVA_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Dspark.sql.codegen.wholeStage=false"
TOKEN = "token-of-a-test"


@dataclass
class Place:
    settings: Settings
    names: list[str]
    deployment: Deployment


def _simulate(own: Settings) -> None:
    """One date of a small institution: its deliveries, made with a simulated ledger."""
    home.claim(own, home.Home("simulated", Params.from_settings(own).document()))
    Keyring(own).ensure_demo()
    server = services.Service(
        name="ledger",
        argv=[sys.executable, "-m", "ledger", "serve", "--simulated"],
        port=own.ledger_port,
        health_path="/healthz",
        environment={**own.as_environment(), "PYTHONPATH": str(settings.ROOT)},
    )
    services.start(own, server)
    try:
        subprocess.run(
            [sys.executable, "-m", "simulator", "--date", str(DAY), "--to", str(DAY)],
            env={**server.environment}, check=True, cwd=settings.ROOT, timeout=300,
        )  # fmt: skip
    finally:
        services.stop(own, "ledger")
    Keyring(own).ensure_secrets()


def _real_keys(folder: Path) -> None:
    """A home for a ledger that is not simulated: the same keys, not marked as a demo's."""
    own = settings.load({}, home=folder)
    Keyring(own).ensure_demo()
    trust = own.path("keys", "trust.json")
    text = trust.read_text("utf-8").replace('"demo": true', '"demo": false')
    trust.write_text(text, "utf-8")
    entry = {"sm3": sm3_hex(TOKEN.encode("ascii")), "rights": ["read", "post", "operate"]}
    tokens = own.path("keys", "ledger_tokens.json")
    tokens.write_text(json.dumps({"tester": entry}), "utf-8")


@pytest.fixture(scope="module", params=list(LAKES))
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    lake = LAKES[request.param]
    # PostgreSQL's own user must reach its folder, which pytest's are closed to.
    folder = Path(tempfile.mkdtemp(prefix="paylake-deploy-"))
    folder.chmod(0o755)
    ports = {port: str(engine.free_port()) for port in compose.ports()}
    secrets = folder / "secrets"
    subprocess.run(
        [sys.executable, str(settings.ROOT / "deploy" / "make_secrets.py"),
         "--folder", str(secrets)], check=True, capture_output=True,
    )  # fmt: skip
    own = settings.load(
        {}, home=folder / "home", days=1, merchants=20, terminals=40, txns=200, seed=7,
        ledger_port=engine.free_port(), airflow_port=int(ports["8780"]),
        superset_port=int(ports["8788"]), lake=lake, engine=f"sc://127.0.0.1:{ports['15002']}",
    )  # fmt: skip
    # The simulator asks its lake what is released; nothing is yet, and the store does not run yet.
    _simulate(replace(own, lake=""))
    _real_keys(folder / "ledger-home")
    here = compose.Here(
        ports,
        {"/opt/paylake": str(settings.ROOT), "/srv/paylake": str(own.home),
         "/tmp/spark-work": str(folder / "spark-work")},
        secrets,
        given={"PAYLAKE_LAKE": lake},
    )  # fmt: skip
    # The object store's own program is in no package registry.
    store = [str(Path(sys.executable).parent / "moto_server"), "-H", "127.0.0.1"]
    store += ["-p", ports["8333"]]
    store_health = [sys.executable, str(settings.ROOT / "deploy" / "healthy.py")]
    store_health.append(f"tcp://127.0.0.1:{ports['8333']}")
    deployment = Deployment(
        here,
        folder,
        own_paths={"ledger": {"/srv/paylake": str(folder / "ledger-home")}},
        extra={
            "JAVA_HOME": spark_runtime.spark_environment(own)["JAVA_HOME"],
            "SPARK_LOCAL_IP": "127.0.0.1",
            "JAVA_TOOL_OPTIONS": JAVA_OPTIONS,
            # A simulated home lives in its own past, where nothing is scheduled by itself.
            "PAYLAKE_HOME_KIND": home.read(own).kind,
        },
        stand_ins={"object-store": (store, store_health)},
    )
    profile = "object-store" if lake else None
    names = [n for n, s in compose.services().items() if s.get("profiles", [profile]) == [profile]]
    reached = deployment.environment("airflow-scheduler")
    with pytest.MonkeyPatch.context() as patch, running(deployment, names):
        for name in reached:
            if name.startswith("AWS_") or name == "PAYLAKE_LAKE":
                patch.setenv(name, reached[name])
        yield Place(own, names, deployment)
    shutil.rmtree(folder, ignore_errors=True)


def _page(port: int, path: str, **headers: str) -> str:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.read().decode("utf-8")


def test_every_service_came_up_healthy(place: Place) -> None:
    took = place.deployment.healthy_after
    print({name: f"{seconds:.0f} s" for name, seconds in took.items()})
    assert set(took) == set(place.names) and len(took) > 10


def test_two_workers_are_in_the_cluster_and_one_driver_serves_both_doors(place: Place) -> None:
    state = json.loads(_page(place.deployment.port("8080"), "/json/"))
    assert state["aliveworkers"] == 2
    assert [app["state"] for app in state["activeapps"]] == ["RUNNING"]


def test_the_ledger_answers_and_refuses_a_stranger(place: Place) -> None:
    port = place.deployment.port("8701")
    assert json.loads(_page(port, "/healthz"))
    with pytest.raises(urllib.error.HTTPError) as refused:
        _page(port, "/v1/clock")
    assert refused.value.code == 401
    assert json.loads(_page(port, "/v1/clock", Authorization=f"Bearer {TOKEN}"))["now"]


def test_a_date_goes_through_airflow_on_the_cluster(place: Place) -> None:
    airflow = Airflow(place.settings)
    airflow.wait_for_dags()
    health = airflow._call("GET", "/api/v2/monitor/health")
    parts = ("metadatabase", "scheduler", "triggerer", "dag_processor")
    assert {part: health[part]["status"] for part in parts} == dict.fromkeys(parts, "healthy")
    airflow.trigger(CHAIN[0], DAY)
    ended = list(airflow.follow(DAY, seconds=1200))
    assert ended == [(dag, "success") for dag in CHAIN], place.deployment.tail("airflow-scheduler")
    frame = paylake.read("mart_kpi__institution_day", home=str(place.settings.home))
    assert place.settings.path("lake").exists() is not bool(place.settings.lake)
    assert list(frame["business_date"]) == [DAY] and frame["payment_amount"].iloc[0] > 0


def test_superset_on_postgresql_answers_with_the_released_figures(place: Place) -> None:
    frame = paylake.read("mart_settlement__merchant_day", home=str(place.settings.home))
    reader = Reader(place.settings, "management")
    status, rows = reader.data(
        reader.dataset("settlement_merchant_zh"), str(DAY), metrics=["payout", "pending"]
    )
    assert status == 200, rows
    for name, column in (("payout", "payout_amount"), ("pending", "closing_pending_amount")):
        shown, released = Decimal(str(rows[0][name])), Decimal(str(frame[column].sum()))
        assert round(shown, 2) == round(released, 2), name
    assert frame["closing_pending_amount"].sum() > 0


def test_its_answers_are_kept_in_redis_and_its_tables_in_postgresql(place: Place) -> None:
    deployment = place.deployment
    password = deployment.environment("redis")["REDIS_PASSWORD"]
    client = "valkey-cli" if shutil.which("valkey-cli") else "redis-cli"
    asked = [client, "-p", deployment.here.ports["6379"], "--scan", "--pattern", "paylake_data_*"]
    kept = subprocess.run(
        asked, env={**deployment.environment("redis"), "REDISCLI_AUTH": password},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert kept.stdout.split()
    stranger = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert "paylake_data_" not in stranger.stdout and "NOAUTH" in stranger.stdout + stranger.stderr
    shipped = list((settings.ROOT / "dashboards" / "assets" / "charts").glob("*.yaml"))
    variables = {
        **deployment.environment("postgres"),
        "PGPASSWORD": deployment.environment("postgres")["SUPERSET_DATABASE_PASSWORD"],
    }
    command = ["psql", "-h", "127.0.0.1", "-p", deployment.here.ports["5432"], "-U", "superset"]
    command += ["-d", "superset", "-Atc", "select count(*) from slices"]
    counted = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    assert int(counted.stdout) == len(shipped) > 0
    elsewhere = [*command[:-3], "airflow", "-Atc", "select 1"]
    refused = subprocess.run(elsewhere, env=variables, capture_output=True, text=True, check=False)
    assert refused.returncode != 0, "Superset's user reads Airflow's database"
    assert not place.settings.path("superset", "superset.db").exists()


def test_every_service_is_still_healthy_and_stops_when_told(place: Place) -> None:
    deployment = place.deployment
    assert [n for n in deployment.running if not deployment.is_healthy(n)] == []
    assert deployment.stop() == []
    assert all(process.poll() is not None for process in deployment.running.values())
