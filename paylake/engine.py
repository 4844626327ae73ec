"""The engine seam: lake jobs are written against Spark Connect; differences are met here.

`PAYLAKE_ENGINE` is `sail` (embedded), `spark` (Apache Spark with Delta, started here) or
`sc://host:port` (somebody's cluster). `session` gives a Spark session of its own to each command,
in UTC, with the tables that exist registered as `layer.table`; its address goes to dbt, which then
shares it. A server started by `services.up` is used when it runs; otherwise the command starts one
on a free port and ends it. An engine port has no authentication and runs Python for whoever reaches
it: loopback only.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paylake.errors import EnvironmentFault, PermanentFailure, TransientFault
from paylake.lake import Lake, between
from paylake.settings import Settings
from paylake.spark_runtime import jars, s3a_configuration, spark_environment
from paylake.store import S3, in_object_store

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_START_SECONDS = 180
_OWNER = "paylake.lake"


@dataclass(frozen=True)
class Command:
    """How to start an engine server in the foreground."""

    argv: list[str]
    environment: dict[str, str]


def address(settings: Settings) -> tuple[str, int]:
    """Host and port of the engine that `services.up` runs, or of the cluster named."""
    if settings.engine.startswith("sc://"):
        host, _, port = settings.engine[5:].split("/")[0].partition(";")[0].partition(":")
        return host, int(port or 15002)
    return "127.0.0.1", settings.engine_port


def listens(host: str, port: int) -> bool:
    """True when something accepts connections there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def free_port() -> int:
    """A port on loopback that nothing uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def server_command(settings: Settings, port: int) -> Command:
    """The server of the engine that the settings name, on one port of loopback.

    :raises EnvironmentFault: when it is not installed here, or is somebody else's cluster.
    """
    if settings.engine == "sail":
        sail = Path(sys.executable).parent / "sail"
        if not sail.exists():
            raise EnvironmentFault(
                "The embedded engine is not installed",
                "Run `make env`, which installs it from the lock.",
                where=str(sail),
            )
        return Command(
            [str(sail), "spark", "server", "--ip", "127.0.0.1", "--port", str(port)], {}
        )
    if settings.engine == "spark":
        return _spark_command(settings, port)
    raise EnvironmentFault(
        f"The engine {settings.engine} runs elsewhere and is not answering",
        "Start that cluster's Spark Connect server, or set PAYLAKE_ENGINE=sail.",
    )


def _spark_command(settings: Settings, port: int) -> Command:
    import pyspark

    spark_home = Path(pyspark.__file__).parent
    warehouse = settings.path("run", "spark", "warehouse")
    warehouse.mkdir(parents=True, exist_ok=True)
    configuration = {
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
        "spark.sql.shuffle.partitions": "4",
        "spark.databricks.delta.snapshotPartitions": "2",
        "spark.ui.enabled": "false",
        "spark.sql.warehouse.dir": str(warehouse),
        "spark.sql.session.timeZone": "UTC",
        "spark.driver.memory": "3g",
    }
    argv = [
        str(spark_home / "bin" / "spark-submit"),
        "--class", "org.apache.spark.sql.connect.service.SparkConnectServer",
        "--master", "local[2]",
        "--jars", ",".join(str(jar) for jar in jars(settings)),
    ]
    if in_object_store(settings):
        configuration |= s3a_configuration()
    for name, value in configuration.items():
        argv += ["--conf", f"{name}={value}"]
    return Command([*argv, "spark-internal"], spark_environment(settings))


# Ends a group of processes when its own input closes without a word: its starter was killed.
_WATCH = 'read -r word || kill -s KILL -- "-$1"'


@contextmanager
def _ends_with_us(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """A server that a command started for itself may not outlive a kill -9 of the command."""
    watch = subprocess.Popen(
        ["sh", "-c", _WATCH, "paylake-watch", str(process.pid)],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        with suppress(BrokenPipeError):  # the watch is gone; the server is ended all the same
            watch.communicate(b"done\n")


@contextmanager
def server(settings: Settings, port: int, log: Path | None = None) -> Iterator[None]:
    """Run an engine server for as long as the block runs; it ends with this process in any case.

    :raises EnvironmentFault: when it does not listen in time; the log's end is in the sentence.
    """
    command = server_command(settings, port)
    log = log or settings.path("log", f"engine-{port}.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            command.argv,
            env={**os.environ, **command.environment},
            stdout=output, stderr=output, stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            with _ends_with_us(process):
                _wait(process, port, log)
                yield
        finally:
            stop_group(process)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + _START_SECONDS
    while not listens("127.0.0.1", port):
        if process.poll() is not None or time.monotonic() > until:
            tail = log.read_text("utf-8", "replace").strip()[-300:]
            raise EnvironmentFault(
                f"The engine did not start: {tail or 'no output'}",
                "`bin/paylake doctor` checks what it needs.",
                where=str(log),
            )
        time.sleep(0.05)


def stop_group(process: subprocess.Popen[bytes], seconds: float = 10) -> None:
    """End a process that was started in a session of its own, with all its children."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(seconds)
            break
        except subprocess.TimeoutExpired:
            continue


@contextmanager
def session(settings: Settings, layers: Sequence[str] = ()) -> Iterator[SparkSession]:
    """A Spark session of its own, in UTC, with the tables of `layers` registered.

    The session's address, for dbt, is the attribute `paylake_remote`.
    """
    host, port = address(settings)
    if settings.engine.startswith("sc://") or listens(host, port):
        with _connect(settings, host, port, layers) as spark:
            yield spark
        return
    port = free_port()
    with server(settings, port), _connect(settings, "127.0.0.1", port, layers) as spark:
        yield spark


@contextmanager
def _connect(
    settings: Settings, host: str, port: int, layers: Sequence[str]
) -> Iterator[SparkSession]:
    from pyspark.sql.connect.session import SparkSession as ConnectSession

    remote = f"sc://{host}:{port}/;session_id={uuid.uuid4()}"
    # pyspark.sql.functions asks this variable whether to build plans for Connect.
    os.environ["SPARK_CONNECT_MODE_ENABLED"] = "1"
    spark = ConnectSession.builder.remote(remote).create()
    spark.paylake_remote = remote
    try:
        spark.conf.set("spark.sql.session.timeZone", "UTC")
        register(spark, settings, layers)
        yield spark
    finally:
        spark.stop()
        retire(spark)


def retire(spark: SparkSession) -> None:
    """Close the client of a session for good.

    pyspark closes it once more when the session is collected as garbage, and closing ends the
    thread pool that all sessions of the process share. When Python collects it while a later
    session starts a thread of that pool, both wait for each other for ever.
    """
    client = spark.client
    client.close()
    client.close = lambda: None


def located(settings: Settings, address: str) -> str:
    """The address of a table as the engine knows it: Apache Spark reads `s3://` as `s3a://`."""
    if settings.engine != "sail" and address.startswith(S3):
        return f"s3a://{address.removeprefix(S3)}"
    return address


def register(spark: SparkSession, settings: Settings, layers: Sequence[str]) -> None:
    """Name the tables that exist in these layers `layer.table` in the session's catalog."""
    lake = Lake(settings)
    for layer in layers:
        make_database(spark, settings, layer)
        for table in lake.tables(layer):
            register_table(spark, settings, layer, table)


def make_database(spark: SparkSession, settings: Settings, layer: str) -> None:
    """Make a layer's database in the session's catalog.

    Apache Spark keeps its catalog from command to command. So its databases note whose they are,
    because a second home would read the first one's tables under these names; and views, which
    stand in for tables that are not there yet, are made anew by each command.

    :raises EnvironmentFault: when the engine's database is of another lake.
    """
    if settings.engine == "sail":
        spark.sql(f"create database if not exists {layer}")
        return
    own = Lake(settings).store.url()
    spark.sql(f"create database if not exists {layer} with dbproperties ('{_OWNER}' = '{own}')")
    rows = spark.sql(f"describe database extended {layer}").collect()
    noted = " ".join(str(row[1]) for row in rows if row[0] == "Properties")
    found = re.search(rf"\({re.escape(_OWNER)},([^()]*)\)", noted)
    if found is None or found[1] != own:
        raise EnvironmentFault(
            f"The database {layer} of this cluster is of {found[1] if found else 'someone else'}, "
            f"not of {own}",
            "Give each home a Connect server (or a metastore) of its own.",
            where=settings.engine,
        )
    for view in spark.sql(f"show views in {layer}").collect():
        if not view.isTemporary:
            spark.sql(f"drop view if exists {layer}.{view.viewName}")


def register_table(spark: SparkSession, settings: Settings, layer: str, table: str) -> None:
    """Name one Delta table `layer.table` in the session's catalog."""
    place = located(settings, Lake(settings).address(layer, table))
    spark.sql(f"create table if not exists {layer}.{table} using delta location '{place}'")


def write(
    spark: SparkSession,
    settings: Settings,
    frame: DataFrame,
    contract: Any,
    first: date,
    last: date,
    layer: str | None = None,
) -> None:
    """Replace business dates `first` to `last` of a table with `frame`, atomically.

    The embedded engine drops an extra column and casts without a word, so the frame is compared
    with the contract first: same names, each castable type cast to the contract's.

    :raises PermanentFailure: for missing or extra columns.
    """
    from pyspark.sql import functions as F

    lake = Lake(settings)
    layer = layer or contract.layer
    address = lake.ensure_contract(contract, layer)
    wanted = dict(contract.stored_columns)
    given = frame.columns
    if set(given) != set(wanted) or len(given) != len(wanted):
        raise PermanentFailure(
            f"The job for {layer}.{contract.table} gives other columns than its contract: "
            f"missing {sorted(set(wanted) - set(given))}, extra {sorted(set(given) - set(wanted))}",
            "Correct the job's exit select or the contract.",
        )
    # Rows of another date would silently land beside the replaced ones: make them an error.
    outside = f"{layer}.{contract.table}: a row outside business dates {first} to {last}"
    dated = F.when(
        F.expr(between(first, last)), F.col("business_date").cast("date")
    ).otherwise(F.raise_error(F.lit(outside)).cast("date"))
    columns = {
        name: dated if name == "business_date" else F.col(name).cast(kind)
        for name, kind in wanted.items()
    }
    frame = frame.select(*[column.alias(name) for name, column in columns.items()])
    commit(frame, located(settings, address), between(first, last))


def commit(frame: DataFrame, address: str, predicate: str) -> None:
    """One atomic replace of the rows that the predicate names.

    :raises TransientFault: when another commit came first.
    """
    try:
        (
            frame.write.format("delta")
            .mode("overwrite")
            .option("replaceWhere", predicate)
            .save(address)
        )
    except Exception as error:
        if "Failed to commit transaction" in str(error) or "Concurrent" in str(error):
            raise TransientFault(
                f"Another commit to {'.'.join(address.split('/')[-2:])} came first", "Try again."
            ) from error
        raise
