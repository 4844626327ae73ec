"""The morning summary goes out whether a date was released or held, and does not judge it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Runs the DAG in one process, once for each of the commands given in place of `bin/paylake`.
PROBE = """
import json, sys
from pathlib import Path
from types import SimpleNamespace
import dags.support.operator as operator
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
from airflow.utils.db import initdb
initdb()
bag = DagBag(sys.argv[1])
dag = bag.dags["paylake_publish"]
for task in dag.tasks:
    task.retries, task.on_failure_callback = 0, []
DagBundlesManager().sync_bundles_to_db()
sync_bag_to_db(bag, "dags-folder", None)
given = {"dag_run": SimpleNamespace(partition_key="2026-10-09")}
execute = operator.PaylakeStep.execute
operator.PaylakeStep.execute = lambda self, context: execute(self, given)
for command in sys.argv[2:]:
    operator.PAYLAKE = Path(command)
    run = dag.test()
    print("RESULT" + json.dumps({
        "run": str(run.state),
        "tasks": {t.task_id: str(t.state) for t in run.get_task_instances()},
    }))
"""


CODES = {0: "success", 12: "failed"}


def _command(folder: Path, code: int) -> Path:
    """A command that notes what it is asked, and ends a publication with the code."""
    command = folder / f"paylake-{code}"
    command.write_text(
        f'#!/bin/sh\necho "$@" >> {folder}/calls-{code}\n'
        f'[ "$1" = publish ] && exit {code}\nexit 0\n'
    )
    command.chmod(0o755)
    return command


@pytest.mark.long  # the demo home, too, has a summary after a held date
def test_it_runs_after_a_held_date_too_and_the_run_keeps_its_state(tmp_path):
    commands = [str(_command(tmp_path, code)) for code in CODES]
    python = subprocess.run(
        [ROOT / "bin" / "python-of", "airflow"], capture_output=True, text=True, check=True
    ).stdout.strip()
    done = subprocess.run(
        [python, "-c", PROBE, str(ROOT / "dags"), *commands],
        capture_output=True, text=True, timeout=300, check=False,
        env={
            **os.environ, "AIRFLOW_HOME": str(tmp_path / "airflow"), "PYTHONPATH": str(ROOT),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        },
    )  # fmt: skip
    lines = [x for x in done.stdout.splitlines() if x.startswith("RESULT")]
    assert len(lines) == len(CODES), done.stdout[-3000:] + done.stderr[-3000:]
    for (code, state), line in zip(CODES.items(), lines, strict=True):
        result = json.loads(line.removeprefix("RESULT"))
        assert (tmp_path / f"calls-{code}").read_text().splitlines() == [
            "publish --date 2026-10-09 --pending",
            "summary --send --if-set --date 2026-10-09",
        ]
        assert result["run"].endswith(state) and result["tasks"]["summary"].endswith("success")
