"""Runs of a date are found among more runs than one answer of Airflow holds."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from cli.airflow_api import Airflow

FIRST = date(2026, 1, 1)
MOST = 100  # Airflow's [api] maximum_page_limit: a larger limit is cut to it


class Server(Airflow):
    """Answers as Airflow 3 does: filtered, ordered (by id unless asked otherwise), cut."""

    def __init__(self) -> None:
        self.kept = [
            {"partition_key": str(FIRST + timedelta(days=n)), "run_after": f"{n:04d}",
             "state": "success"}
            for n in range(300)
        ]  # fmt: skip
        self.kept.append({**self.kept[-1], "run_after": "0300", "state": "failed"})

    def _call(self, method, path, *, params):
        found = [
            run for run in self.kept
            if run["partition_key"].startswith(params.get("partition_key_prefix_pattern", ""))
        ]  # fmt: skip
        if params.get("order_by") == "-run_after":
            found.reverse()
        return {"dag_runs": found[: min(params.get("limit", 50), MOST)]}


@pytest.mark.parametrize(("number", "states"), [(0, ["success"]), (299, ["success", "failed"])])
def test_every_run_of_a_date_is_found_newest_last(number, states):
    day = FIRST + timedelta(days=number)
    assert [run["state"] for run in Server().runs("paylake_ingest", day)] == states
    assert Server().state("paylake_ingest", day) == states[-1]
