"""Superset's connection to a lake in an object store: it reads released tables and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from cli.environments import python_of
from paylake import settings
from paylake.store import extension, store
from tests.object_store import BUCKET, SECRET, object_store

pytestmark = pytest.mark.long

LAKE = f"s3://{BUCKET}/lake"
VIEW = "select sum(amount) from released"
# DuckDB's own lock; that nothing but one SELECT comes so far is the guard's business.
REFUSED = [
    f"select * from delta_scan('{LAKE}/vault/identifier')",
    f"select * from read_parquet('{LAKE}/vault/identifier/*.parquet')",
    f"select * from glob('{LAKE}/**')",
    "select * from read_text('/etc/passwd')",
    "set enable_external_access = true",
]
# Runs in the superset environment of the images.
PROGRAM = """
import json, sys
from pathlib import Path
from dashboards import serve
file, view, *refused = sys.argv[1:]
connection = serve._connect(Path(file))
serve._lock_down(connection, serve.GOLD, {})  # the view reads its table by itself
said = []
for statement in refused:
    try:
        said.append(str(connection.execute(statement).fetchall()))
    except Exception as error:
        said.append(type(error).__name__)
secrets = str(connection.execute("select * from duckdb_secrets()").fetchall())
total = connection.execute(view).fetchone()[0]
print(json.dumps({"total": total, "said": said, "secrets": secrets}))
"""


def test_the_lock_holds_over_an_object_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with object_store(tmp_path / "store.log") as reached:
        for name, value in reached.items():
            monkeypatch.setenv(name, value)
        own = settings.load({}, home=tmp_path / "home", lake=LAKE)
        for layer, table in (("gold", "released"), ("vault", "identifier")):
            rows = pa.table({"amount": [1, 2, 39]})
            write_deltalake(f"{LAKE}/{layer}/{table}", rows, storage_options=dict(reached))
        file = tmp_path / "release.duckdb"
        with duckdb.connect(str(file)) as connection:
            connection.execute(f"load '{extension('delta')}'")
            store(own).admit(connection)
            scan = f"delta_scan('{store(own).url('gold', 'released')}', version => 0)"
            connection.execute(f"create view released as select * from {scan}")
        done = subprocess.run(
            [str(python_of("superset-server")), "-c", PROGRAM, str(file), VIEW, *REFUSED],
            env={**os.environ, **own.as_environment(), "PYTHONPATH": str(settings.ROOT)},
            capture_output=True, text=True, check=False, cwd=settings.ROOT,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
    assert answer["total"] == 42
    kinds = {"PermissionException", "InvalidInputException", "IOException", "HTTPException"}
    wrong = [pair for pair in zip(REFUSED, answer["said"], strict=True) if pair[1] not in kinds]
    assert not wrong
    assert SECRET not in answer["secrets"] and "redacted" in answer["secrets"]
