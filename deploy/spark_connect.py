"""One driver on the cluster that serves Spark Connect (the jobs) and JDBC (other readers).

Both see the same catalog. Neither asks who calls and both run what they are told: see the networks
of `docker-compose.yml`. Its settings are in ``spark/spark-defaults.conf``; what depends on where
the lake is comes from the kernel. This process becomes `spark-submit`:

``python deploy/spark_connect.py spark://MASTER:PORT DRIVER_HOST CONNECT_PORT JDBC_PORT``
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from paylake import engine, settings, spark_runtime
from paylake.errors import PaylakeError
from paylake.settings import Settings
from paylake.store import in_object_store

CLASS = "org.apache.spark.sql.hive.thriftserver.HiveThriftServer2"


def command(own: Settings, master: str, host: str, connect: str, jdbc: str) -> list[str]:
    """The command line of `spark-submit`.

    :raises EnvironmentFault: when jars are missing and cannot be fetched.
    """
    jars = [str(jar) for jar in spark_runtime.jars(own)]
    configuration = {
        "spark.driver.host": host,
        "spark.driver.bindAddress": own.listen,
        "spark.connect.grpc.binding.address": own.listen,
        "spark.connect.grpc.binding.port": connect,
        "spark.sql.warehouse.dir": str(own.path("run", "spark", "warehouse")),
    }
    if in_object_store(own):
        configuration |= engine.s3a_configuration()
    found = ["spark-submit", "--class", CLASS, "--master", master, "--jars", ",".join(jars)]
    found += ["--driver-class-path", ":".join(jars)]
    for name, value in configuration.items():
        found += ["--conf", f"{name}={value}"]
    found += ["spark-internal", "--hiveconf", f"hive.server2.thrift.bind.host={own.listen}"]
    return [*found, "--hiveconf", f"hive.server2.thrift.port={jdbc}"]


def main(arguments: list[str]) -> int:
    if len(arguments) != 4:
        print("usage: spark_connect.py MASTER DRIVER_HOST CONNECT_PORT JDBC_PORT", file=sys.stderr)
        return 2
    try:
        found = command(settings.load(), *arguments)
    except PaylakeError as error:
        print(error.sentence(), file=sys.stderr)
        return error.exit_code
    here = Path(__file__).resolve().parent
    os.execvpe(found[0], found, {**os.environ, "SPARK_CONF_DIR": str(here / "spark")})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
