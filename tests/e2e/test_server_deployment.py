"""One home computed by a Spark cluster into an object store, one by the embedded default.

Master, two workers and the server for Connect and JDBC run as the compose file starts them, the
object store is moto's server: plain processes on loopback. The same deliveries go through the same
commands in both homes, and what is released must have the same content.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

import deltalake
import pyspark
import pytest

from paylake import engine, home, release, services, serving, settings, spark_runtime
from paylake.errors import EnvironmentFault
from paylake.keys import Keyring
from paylake.lake import Lake
from paylake.settings import ROOT, Settings
from simulator.params import Params
from tests.deploy import compose
from tests.deploy.processes import Deployment, running
from tests.object_store import BUCKET, SECRET, object_store

pytestmark = [pytest.mark.long, pytest.mark.timeout(5400)]

FIRST, LAST = date(2026, 9, 12), date(2026, 9, 13)
STEPS = ("ingest", "build", "gate", "publish", "report")
CLUSTER = ["spark-master", "spark-worker-1", "spark-worker-2", "spark-connect"]
MART = "mart_kpi__institution_day"
# Two dates of two hundred rows: compiling costs more than it saves; the results are the same.
JAVA_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Dspark.sql.codegen.wholeStage=false"


@dataclass
class Both:
    """The two homes, and what the server deployment runs on."""

    embedded: Settings
    server: Settings
    deployment: Deployment
    environment: dict[str, str]
    seconds: dict[tuple[str, str], float]


def _simulate(own: Settings) -> None:
    """Deliveries of a small institution, made with a ledger service of its own."""
    home.claim(own, home.Home("simulated", Params.from_settings(own).document()))
    Keyring(own).ensure_demo()
    ledger = services.Service(
        name="ledger",
        argv=[sys.executable, "-m", "ledger", "serve", "--simulated"],
        port=own.ledger_port,
        health_path="/healthz",
        environment={**own.as_environment(), "PYTHONPATH": str(ROOT)},
    )
    services.start(own, ledger)
    try:
        subprocess.run(
            [sys.executable, "-m", "simulator", "--date", str(FIRST), "--to", str(LAST)],
            env={**ledger.environment}, check=True, cwd=ROOT, timeout=600,
        )  # fmt: skip
    finally:
        services.stop(own, "ledger")
    Keyring(own).ensure_secrets()


def _steps(own: Settings, environment: dict[str, str]) -> dict[str, float]:
    """Run the commands of a day over both dates; gives the seconds of each."""
    took = {}
    for step in STEPS:
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "cli", "--debug", step, "--date", str(FIRST), "--to", str(LAST)],
            env={**environment, **own.as_environment(), "PYTHONPATH": str(ROOT)},
            cwd=ROOT, capture_output=True, text=True, timeout=2400, check=False,
        )  # fmt: skip
        said = done.stdout + done.stderr
        assert done.returncode == 0, f"{step} ended with {done.returncode}: {said[-3000:]}"
        assert SECRET not in said
        took[step] = time.monotonic() - began
        print(f"{own.engine} {step}: {took[step]:.0f} s", flush=True)
    return took


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder = tmp_path_factory.mktemp("deployment")
    ports = {port: str(engine.free_port()) for port in compose.ports()}
    embedded = settings.load(
        {}, home=folder / "embedded", days=2, merchants=20, terminals=40, txns=200, seed=7,
        ledger_port=engine.free_port(), engine_port=engine.free_port(),
    )  # fmt: skip
    _simulate(embedded)
    shutil.copytree(embedded.home, folder / "server")
    server = settings.load(
        embedded.as_environment(), home=folder / "server", lake=f"s3://{BUCKET}/lakes/one",
        engine=f"sc://127.0.0.1:{ports['15002']}",
    )  # fmt: skip
    here = compose.Here(
        ports,
        {"/opt/paylake": str(ROOT), "/srv/paylake": str(server.home),
         "/tmp/spark-work": str(folder / "spark-work")},
        folder,
    )  # fmt: skip
    subprocess.run(
        [sys.executable, str(ROOT / "deploy" / "make_secrets.py"), "--folder", str(folder)],
        check=True, capture_output=True,
    )  # fmt: skip
    with object_store(folder / "object-store.log") as reach, pytest.MonkeyPatch.context() as patch:
        for name, value in reach.items():
            patch.setenv(name, value)
        deployment = _OwnStore(
            here, folder,
            extra={
                "JAVA_HOME": spark_runtime.spark_environment(server)["JAVA_HOME"],
                "SPARK_LOCAL_IP": "127.0.0.1",
                "JAVA_TOOL_OPTIONS": JAVA_OPTIONS,
            },
            reach={**reach, "PAYLAKE_LAKE": server.lake},
        )  # fmt: skip
        plain = {n: v for n, v in os.environ.items() if not n.startswith("AWS_")}
        seconds = {("embedded", s): t for s, t in _steps(embedded, plain).items()}
        with running(deployment, CLUSTER):
            seconds |= {("server", s): t for s, t in _steps(server, {**plain, **reach}).items()}
            yield Both(embedded, server, deployment, reach, seconds)


@dataclass
class _OwnStore(Deployment):
    """The compose file's services beside an object store that the test has started itself."""

    reach: dict[str, str] | None = None

    def environment(self, name: str) -> dict[str, str]:
        return {**super().environment(name), **(self.reach or {})}


def test_what_is_released_is_equal(both: Both) -> None:
    chains = [release.listing(own)[1:] for own in (both.embedded, both.server)]
    left, right = ({r.through: r.document["published"] for r in chain} for chain in chains)
    assert list(left) == [FIRST, LAST]
    assert left == right
    # A table without rows for a date is in no release: a small date may have no open item.
    assert all(len(tables) >= 5 for tables in left.values())
    count = sum(len(tables) for tables in left.values())
    print(f"{count} released partitions of {len(left)} dates equal; seconds: {both.seconds}")


def test_every_layer_is_in_the_store_and_none_on_this_machine(both: Both) -> None:
    here, there = Lake(both.embedded), Lake(both.server)
    assert not (both.server.home / "lake").exists()
    layers = ("bronze", "silver", "state", "work", "gold", "reference", "ops", "vault")
    tables = {layer: there.tables(layer) for layer in layers}
    assert tables == {layer: here.tables(layer) for layer in layers}
    assert sum(map(len, tables.values())) > 30 and there.size() > 1_000_000
    print(f"{sum(map(len, tables.values()))} tables, {there.size() / 1e6:.1f} MB in the store")


def test_deltalake_and_duckdb_read_the_cluster_s_tables_at_every_version(both: Both) -> None:
    lake = Lake(both.server)
    read = 0
    for layer, table in (("gold", MART), ("work", MART), ("silver", "ledger_entry")):
        stored = deltalake.DeltaTable(lake.address(layer, table))
        assert stored.file_uris()
        for version in range(stored.version() + 1):
            lake.query(f"select count(*) from {layer}.{table}",
                       versions={f"{layer}.{table}": version})  # fmt: skip
            read += 1
    assert read > 3
    with serving.Reader(both.server, release.in_force(both.server).release_id) as reader:
        through = reader.query("select through from release").column(0)[0].as_py()
    assert through == LAST
    print(f"{read} versions read by DuckDB")


def test_a_jdbc_client_reads_a_pinned_version(both: Both) -> None:
    lake, version = Lake(both.server), release.in_force(both.server).versions[MART]
    with engine.session(both.server, layers=("gold",)):
        pass  # names the released tables in the cluster's catalog
    expected = lake.query(
        f"select sum(payment_amount) as paid from gold.{MART}",
        versions={f"gold.{MART}": version},
    ).column("paid")[0].as_py()
    beeline = Path(pyspark.__file__).parent / "bin" / "beeline"
    done = subprocess.run(
        [str(beeline), "-u", f"jdbc:hive2://127.0.0.1:{both.deployment.port('10000')}",
         "-n", "reader", "--silent=true", "--showHeader=false", "--outputformat=csv2",
         "-e", f"select sum(payment_amount) from gold.{MART} version as of {version}"],
        env={**os.environ, **both.deployment.extra}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert Decimal(done.stdout.split()[-1]) == expected > 0


def test_another_home_does_not_read_this_one_s_tables_by_name(both: Both) -> None:
    other = settings.load(
        both.server.as_environment(), home=both.server.home.parent / "other",
        lake=f"s3://{BUCKET}/lakes/two",
    )  # fmt: skip
    refused = pytest.raises(EnvironmentFault, match="of this cluster is of")
    with refused, engine.session(other, layers=("silver",)):
        pass


def test_the_secret_is_in_no_log_and_no_file(both: Both) -> None:
    folder = Path(both.deployment.folder)
    looked = 0
    for path in (*folder.glob("*.log"), *both.server.home.rglob("*")):
        if path.is_file() and path.stat().st_size < 50_000_000:
            assert SECRET.encode() not in path.read_bytes(), path
            looked += 1
    assert looked > 50


def test_everything_stops(both: Both) -> None:
    both.deployment.stop()
    numbers = [both.deployment.port(p) for p in ("7077", "7091", "7092", "15002", "10000")]
    assert not [n for n in numbers if engine.listens("127.0.0.1", n)]
