"""Run the dbt project for business dates, in process, in the engine session of the command.

dbt never creates a table: the kernel creates it from the columns described beside each model, and
keeps the seeds as Delta tables of the layer `reference`. dbt then replaces the business dates of
the run in one commit a model (`dbt/macros/replace_dates.sql`).
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from paylake import dates, dbt_project, durable
from paylake.contracts import arrow_schema
from paylake.crypto import sm3_file, sm3_hex
from paylake.engine import make_database, register_table, retire
from paylake.errors import PermanentFailure, TransientFault
from paylake.lake import Lake
from paylake.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

REFERENCE = "reference"
WORK = "work"
_TRANSIENT = ("Failed to commit transaction", "ConcurrentAppend", "ConcurrentModification")


@dataclass(frozen=True)
class NodeResult:
    """One model or test: `seconds` is what it took, `rows` is not known for views."""

    name: str
    kind: str
    status: str
    seconds: float


@dataclass(frozen=True)
class DbtResult:
    """What one call of dbt did."""

    first: date
    last: date
    nodes: list[NodeResult] = field(default_factory=list)

    @property
    def models(self) -> list[str]:
        """Names of the stored models that were built."""
        stored = dbt_project.models()
        return [n.name for n in self.nodes if n.kind == "model" and stored[n.name].stored]


def run(
    settings: Settings,
    spark_remote: str,
    first: date,
    last: date,
    select: str | None = None,
    variables: dict[str, Any] | None = None,
) -> DbtResult:
    """Build the models for the business dates `first` to `last` into `work`.

    :param spark_remote: address of the command's session (`spark.paylake_remote`).
    :param select: dbt's selection; the views that it reads are built with it.
    :param variables: dbt variables; `absent_feeds` lists feeds that a mapped home does not have.
    :raises PermanentFailure: names the model and what dbt said.
    :raises TransientFault: when another commit to a model's table came first.
    """
    variables = dict(variables or {})
    absent = variables.get("absent_feeds", [])
    if "merchant" not in absent:
        # Due dates need the working day after the last date: fail here, by name, not with a null.
        dates.next_working_day(last, 1)
    chosen = _selected(select, "config.materialized:view")
    return _invoke(settings, spark_remote, ["run", *chosen], first, last, variables)


def test(
    settings: Settings,
    spark_remote: str,
    first: date,
    last: date,
    select: str | None = None,
    variables: dict[str, Any] | None = None,
) -> DbtResult:
    """Run the project's unit and data tests; data tests look at the built dates alone.

    :raises PermanentFailure: names the test that failed and what dbt said.
    """
    arguments = ["test", *_selected(select)]
    return _invoke(settings, spark_remote, arguments, first, last, dict(variables or {}))


def _selected(select: str | None, *always: str) -> list[str]:
    return [] if select is None else ["--select", *select.split(), *always]


def _invoke(
    settings: Settings,
    spark_remote: str,
    arguments: list[str],
    first: date,
    last: date,
    variables: dict[str, Any],
) -> DbtResult:
    from dbt.cli.main import dbtRunner

    variables |= {
        "first_date": first.isoformat(),
        "last_date": last.isoformat(),
        "run_time_offset_minutes": run_time_offset(settings),
    }
    with _session(spark_remote) as spark, _ansi_mode():
        prepare(settings, spark, variables.get("absent_feeds", []))
        _write_profile(settings)
        result = dbtRunner(manifest=_manifest(settings)).invoke(
            [*_common(settings, arguments), "--vars", json.dumps(variables)]
        )
    return _read_result(result, arguments[0], first, last, settings)


def _common(settings: Settings, arguments: list[str]) -> list[str]:
    folder = settings.path("dbt")
    return [
        "--quiet", "--no-use-colors", "--no-send-anonymous-usage-stats", "--no-version-check",
        "--log-level", "none", "--log-level-file", "info", "--no-write-json",
        "--log-path", str(settings.path("log", "dbt")),
        *arguments,
        "--project-dir", str(dbt_project.PROJECT),
        "--profiles-dir", str(folder),
        "--target-path", str(folder / "target"),
    ]  # fmt: skip


def _manifest(settings: Settings) -> Any:
    """The parsed project, kept under a digest of its files.

    dbt parses the whole project again whenever a variable changes, and here the dates change with
    every run; the variables are read when a model is compiled, so one parse serves them all. It
    knows nothing of a home either: it is kept beside the environment where that may be written to.
    """
    from dbt.contracts.graph.manifest import Manifest
    from dbt.parser.manifest import extended_mashumuro_decoder
    from dbt.version import __version__

    folder = settings.path("dbt")
    if os.access(sys.prefix, os.W_OK):
        mine = sm3_hex(str(dbt_project.PROJECT).encode())[:8]  # another checkout has its own
        folder = Path(sys.prefix) / "paylake-dbt" / mine
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"manifest-{_project_digest(__version__)}.msgpack"
    with (folder / ".lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)  # two first homes at once parse it once
        if not path.exists():
            others = list(folder.glob("manifest-*.msgpack"))
            durable.write(path, _parsed(settings))
            for old in others:
                old.unlink()
        kept = path.read_bytes()
    return Manifest.from_msgpack(kept, decoder=extended_mashumuro_decoder)


def _parsed(settings: Settings) -> bytes:
    from dbt.cli.main import dbtRunner
    from dbt.parser.manifest import extended_mashumaro_encoder

    result = dbtRunner().invoke(_common(settings, ["--no-partial-parse", "parse"]))
    if not result.success:
        raise PermanentFailure(
            f"The dbt project does not parse: {_one_line(result.exception)}",
            "Correct the file that it names.",
            where=str(dbt_project.PROJECT),
        )
    return result.result.to_msgpack(extended_mashumaro_encoder)


def _project_digest(version: str) -> str:
    """Digest of every file that dbt parses, and of dbt's version."""
    parts = [version]
    for path in sorted(dbt_project.PROJECT.rglob("*")):
        if path.is_file() and path.suffix in (".sql", ".yml", ".md", ".csv"):
            parts += [str(path.relative_to(dbt_project.PROJECT)), sm3_file(path)]
    return sm3_hex("\n".join(parts).encode())[:16]


def _one_line(message: object) -> str:
    return " ".join(str(message or "no reason given").split())[:600]


def prepare(settings: Settings, spark: SparkSession, absent_feeds: Sequence[str] = ()) -> None:
    """Create what dbt expects to find, and name it in the session's catalog.

    :raises PermanentFailure: when a source has no table and its feed is not declared absent.
    """
    lake = Lake(settings)
    for layer in (REFERENCE, WORK, "staging"):
        make_database(spark, settings, layer)
    for seed in dbt_project.seeds():
        _load_seed(lake, seed)
        register_table(spark, settings, REFERENCE, seed.name)
    for model in dbt_project.models().values():
        if model.stored:
            lake.ensure(WORK, model.name, model.schema)
            register_table(spark, settings, WORK, model.name)
    for source in dbt_project.sources():
        _offer_source(lake, spark, source, absent_feeds)


def run_time_offset(settings: Settings) -> int:
    """Minutes from midnight UTC of a business date to its run time."""
    day = date(2026, 1, 1)
    midnight = datetime.combine(day, time(), UTC)
    return int((dates.run_time(day, settings) - midnight).total_seconds() // 60)


def _offer_source(
    lake: Lake, spark: SparkSession, source: dbt_project.Source, absent_feeds: Sequence[str]
) -> None:
    name = f"{source.layer}.{source.table}"
    make_database(spark, lake.settings, source.layer)
    if lake.exists(source.layer, source.table):
        register_table(spark, lake.settings, source.layer, source.table)
        return
    if not source.optional and source.feed not in absent_feeds:
        raise PermanentFailure(
            f"The models need {name}, and it is not there",
            f"Ingest and conform the feed {source.feed}, or declare it absent in the mapping.",
            where=lake.address(source.layer, source.table),
        )
    columns = ", ".join(f"cast(null as {kind}) as {column}" for column, kind in source.columns)
    spark.sql(f"create or replace view {name} as select {columns} where false")


def _load_seed(lake: Lake, seed: dbt_project.Seed) -> None:
    """Bring the seed's table up to its file; equal content is left alone."""
    rows = read_seed(seed)
    lake.ensure(REFERENCE, seed.name, rows.schema, partition_by=())
    # Delta keeps no order: compare as sorted rows.
    stored = lake.query(f"select * from {REFERENCE}.{seed.name}")
    if _sorted(stored) != _sorted(rows):
        lake.overwrite(REFERENCE, seed.name, rows)


def _sorted(table: pa.Table) -> list[tuple[str, ...]]:
    return sorted(tuple(str(value) for value in row.values()) for row in table.to_pylist())


def read_seed(seed: dbt_project.Seed) -> pa.Table:
    """A seed's rows with the types of `dbt_project.yml`; empty fields are null.

    :raises PermanentFailure: when the file's columns or a value do not fit them.
    """
    import pyarrow as pa
    from pyarrow import csv

    schema = arrow_schema(seed.columns)
    options = csv.ConvertOptions(column_types=schema, strings_can_be_null=True, null_values=[""])
    try:
        return csv.read_csv(seed.path, convert_options=options).cast(schema)
    except (pa.ArrowInvalid, ValueError) as error:
        raise PermanentFailure(
            f"The seed does not fit its column types: {error}",
            "Correct the file, or `seeds` in dbt/dbt_project.yml.",
            where=str(seed.path),
        ) from error


@contextmanager
def _session(spark_remote: str) -> Iterator[SparkSession]:
    """The command's session, made the one that dbt finds.

    dbt-spark asks pyspark for "the" session from threads of its own, and pyspark answers with the
    process's default one, whatever SPARK_REMOTE says by then. So the default is set here, and put
    back: another session of the process would read and write another home.
    """
    from pyspark.sql.connect.session import SparkSession as ConnectSession

    names = ("SPARK_REMOTE", "SPARK_CONNECT_MODE_ENABLED")
    environment = {name: os.environ.get(name) for name in names}
    default = ConnectSession._default_session
    active = getattr(ConnectSession._active_session, "session", None)
    session_id = spark_remote.rpartition("session_id=")[2].partition(";")[0]
    known = [s for s in (active, default) if s is not None and s.session_id == session_id]
    spark = known[0] if known else ConnectSession(connection=spark_remote)
    os.environ.update({"SPARK_REMOTE": spark_remote, "SPARK_CONNECT_MODE_ENABLED": "1"})
    ConnectSession._default_session = ConnectSession._active_session.session = spark
    try:
        with warnings.catch_warnings():
            # dbt-spark asks for Hive support, which a running Spark server cannot switch on.
            warnings.filterwarnings("ignore", "Failed to set spark.sql.catalogImplementation")
            yield spark
    finally:
        ConnectSession._default_session = default
        ConnectSession._active_session.session = active
        if not known:
            # The client alone: the session belongs to the command and goes on.
            retire(spark)
        for name, value in environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _ansi_mode() -> Iterator[None]:
    """Keep ANSI mode on while dbt runs.

    dbt-spark turns it off before every statement, whatever the profile says. Without it an overflow
    becomes a null, which money may not do, and the embedded engine refuses signed decimals.
    """
    from dbt.adapters.spark.connections import SparkCredentials

    original = SparkCredentials.__post_init__

    def keep_ansi(credentials: SparkCredentials) -> None:
        original(credentials)
        credentials.server_side_parameters["spark.sql.ansi.enabled"] = "true"

    SparkCredentials.__post_init__ = keep_ansi
    try:
        yield
    finally:
        SparkCredentials.__post_init__ = original


def _write_profile(settings: Settings) -> None:
    """profiles.yml of this home: a session connection, whose address is in SPARK_REMOTE."""
    output = {
        "type": "spark",
        "method": "session",
        "host": "NA",
        "schema": WORK,
        "threads": 2,
    }
    text = yaml.safe_dump({"paylake": {"target": "home", "outputs": {"home": output}}})
    path = settings.path("dbt", "profiles.yml")
    if not path.exists() or path.read_text("utf-8") != text:
        durable.write(path, text.encode())


def _read_result(
    result: Any, command: str, first: date, last: date, settings: Settings
) -> DbtResult:
    nodes = []
    failed: list[tuple[str, str, str]] = []
    for entry in getattr(result.result, "results", None) or []:
        kind = str(entry.node.resource_type)
        nodes.append(NodeResult(entry.node.name, kind, str(entry.status), entry.execution_time))
        if str(entry.status) in ("error", "fail", "runtime error"):
            failed.append((entry.node.name, kind, _one_line(entry.message)))
    where = str(settings.path("log", "dbt", "dbt.log"))
    if failed:
        name, kind, message = failed[0]
        if any(text in message for text in _TRANSIENT):
            raise TransientFault(f"Another commit to {name} came first", "Run the step again.")
        others = f" ({len(failed) - 1} more failed)" if len(failed) > 1 else ""
        raise PermanentFailure(
            f"The dbt {kind} {name} failed for {first} to {last}: {message}{others}",
            "Correct the model or its input; the log has the SQL.",
            where=where,
        )
    if not result.success:
        raise PermanentFailure(
            f"dbt could not {command}: {_one_line(result.exception)}",
            "Correct the project; the log has more.",
            where=where,
        )
    return DbtResult(first, last, nodes)
