"""Owners, retries and the alarm of every task."""

from __future__ import annotations

import os
import subprocess
from datetime import datetime, timedelta
from typing import Any

from dags.support.operator import PAYLAKE

# Settings of the home, as the processes of Airflow are given them (`docs/reference/settings.md`).
ZONE = os.environ.get("PAYLAKE_ZONE", "Asia/Shanghai")
RUN_TIME = os.environ.get("PAYLAKE_RUN_TIME", "08:00")
# A simulated home lives in its own past: nothing is scheduled there, dates are triggered. A start
# far ahead keeps the scheduler still and leaves triggers and backfills as they are.
_IS_SIMULATED = os.environ.get("PAYLAKE_HOME_KIND") == "simulated"
START = datetime(2099, 1, 1) if _IS_SIMULATED else datetime(2018, 1, 1)


def daily(time: str = RUN_TIME) -> str:
    """A cron line for each day at a wall-clock time, ``08:00``."""
    hour, minute = time.split(":")
    return f"{int(minute)} {int(hour)} * * *"


def raise_alarm(context: Any) -> None:
    """Tell the institution's alarm channels that a task failed for good."""
    run, task = context["dag_run"], context["ti"]
    dated = ["--date", str(run.partition_key)] if run.partition_key else []
    subprocess.run(
        [
            str(PAYLAKE), "alarm",
            "--code", "task_failed",
            "--subject", f"{run.dag_id}.{task.task_id}",
            *dated,
            "--detail", str(context.get("exception") or "It was ended from outside; see its log."),
        ],
        check=True,
        timeout=120,
    )


def common(owner: str) -> dict[str, Any]:
    """What every DAG has, with the team that answers for it."""
    return {
        "catchup": False,
        "max_active_runs": 1,
        "default_args": {
            "owner": owner,
            "retries": 2,
            "retry_delay": timedelta(seconds=5),
            "on_failure_callback": raise_alarm,
        },
    }
