"""Owners, retries and the alarm of every task."""

from __future__ import annotations

import os
import subprocess
from datetime import datetime, timedelta
from typing import Any

from dags.support.operator import PAYLAKE

ZONE = "Asia/Shanghai"
# A simulated home lives in its own past: nothing is scheduled there, dates are triggered. A start
# far ahead keeps the scheduler still and leaves triggers and backfills as they are.
_IS_SIMULATED = os.environ.get("PAYLAKE_HOME_KIND") == "simulated"
START = datetime(2099, 1, 1) if _IS_SIMULATED else datetime(2018, 1, 1)
OWNER = "payments-data"


def raise_alarm(context: Any) -> None:
    """Tell the institution's alarm channels that a task failed for good."""
    run, task = context["dag_run"], context["ti"]
    subprocess.run(
        [
            str(PAYLAKE), "alarm",
            "--code", "task_failed",
            "--subject", f"{run.dag_id}.{task.task_id}",
            "--date", str(run.partition_key),
            "--detail", str(context.get("exception")),
        ],
        check=True,
        timeout=120,
    )


ARGUMENTS: dict[str, Any] = {
    "owner": OWNER,
    "retries": 2,
    "retry_delay": timedelta(seconds=5),
    "on_failure_callback": raise_alarm,
}

COMMON: dict[str, Any] = {
    "catchup": False,
    "max_active_runs": 1,
    "default_args": ARGUMENTS,
}
