"""What a task does with its command: ends it with itself, tells of its failure, keeps its hour."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Stands in for `bin/paylake`: a step that takes for ever, and an alarm that writes down its words.
COMMAND = """#!/bin/sh
if [ "$1" = alarm ]; then printf '%s\\n' "$@" > {folder}/alarm; exit 0; fi
if [ "$2" = verify ]; then echo "first broken row: entry 7"; exit 16; fi
echo $$ > {folder}/pid
exec sleep 300
"""

PROBE = """
import json, os, sys, threading, time
from pathlib import Path
from types import SimpleNamespace
import dags.support.operator as operator
folder = Path(sys.argv[1])
operator.PAYLAKE = folder / "paylake"
import dags.support.defaults as defaults
task = operator.PaylakeStep(task_id="build", step=["build"])
ended = []
def work():
    try:
        task.execute({"dag_run": SimpleNamespace(partition_key="2026-10-09")})
    except Exception as error:
        ended.append([type(error).__name__, str(error)])
thread = threading.Thread(target=work)
thread.start()
while not (folder / "pid").exists() or not (folder / "pid").read_text().strip():
    time.sleep(0.05)
task.on_kill()
thread.join(20)
proof = operator.PaylakeStep(
    task_id="verify_ledger", step=["ledger", "verify", "--if-present"], dated=False)
try:
    proof.execute({})
except Exception as error:
    proved = [type(error).__name__, str(error)]
alarms = []
for key, error in ((None, None), ("2026-10-09", ValueError("exit 12: held"))):
    run = SimpleNamespace(dag_id="paylake_maintain", partition_key=key)
    context = {"dag_run": run, "ti": SimpleNamespace(task_id="maintain")}
    defaults.raise_alarm(context | ({"exception": error} if error else {}))
    alarms.append((folder / "alarm").read_text().splitlines())
pid = int((folder / "pid").read_text())
print("RESULT" + json.dumps({
    "ended": ended, "proved": proved, "alive": Path(f"/proc/{pid}").exists(), "alarms": alarms,
    "zone": defaults.ZONE, "daily": defaults.daily(),
}))
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    folder = tmp_path_factory.mktemp("operator")
    command = folder / "paylake"
    command.write_text(COMMAND.format(folder=folder))
    command.chmod(0o755)
    python = subprocess.run(
        [ROOT / "bin" / "python-of", "airflow"], capture_output=True, text=True, check=True
    ).stdout.strip()
    result = subprocess.run(
        [python, "-c", PROBE, str(folder)],
        capture_output=True,
        text=True,
        timeout=300,
        env={
            **os.environ,
            "AIRFLOW_HOME": str(folder / "airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "PAYLAKE_RUN_TIME": "07:30",
            "PAYLAKE_ZONE": "Asia/Urumqi",
            "PYTHONPATH": str(ROOT),
        },
        check=True,
    )
    line = next(x for x in result.stdout.splitlines() if x.startswith("RESULT"))
    return json.loads(line.removeprefix("RESULT"))


def test_a_task_that_is_killed_takes_its_command_along(seen):
    assert seen["alive"] is False
    ((kind, message),) = seen["ended"]
    assert kind == "AirflowException" and "exit -15" in message  # another try may go on from here


def test_a_ledger_that_does_not_verify_fails_its_task_for_good_with_the_row(seen):
    assert seen["proved"] == ["AirflowFailException", "exit 16: first broken row: entry 7"]


def test_an_alarm_names_the_date_where_there_is_one(seen):
    undated, dated = seen["alarms"]
    assert "--date" not in undated and undated[-1] == "It was ended from outside; see its log."
    assert dated[dated.index("--date") + 1] == "2026-10-09" and dated[-1] == "exit 12: held"
    assert undated[undated.index("--subject") + 1] == "paylake_maintain.maintain"


def test_the_hour_and_zone_are_those_of_the_settings(seen):
    assert (seen["daily"], seen["zone"]) == ("30 7 * * *", "Asia/Urumqi")
