"""The demo's last three dates through Airflow: one that a check holds, one that is waived."""

from __future__ import annotations

from datetime import date

import pytest

from cli.airflow_api import CHAIN, Airflow
from paylake import release
from simulator import audit
from tests.conftest import made_demo

HELD, WAIVED, LAST = (date(2026, 9, day) for day in (17, 18, 19))


@pytest.mark.long
def test_a_held_and_a_waived_date_fail_their_dag_and_go_out_with_the_next_run():
    """The held date has no report run of its own: the next date's takes it along."""
    with made_demo("test-airflow-dates") as demo:
        assert demo.first.returncode == 0, demo.first.stdout[-3000:] + demo.first.stderr[-3000:]
        airflow = Airflow(demo.settings)
        states = {
            day: {dag: [run["state"] for run in airflow.runs(dag, day)] for dag in CHAIN}
            for day in (HELD, WAIVED, LAST)
        }
        assert states == {
            HELD: {"paylake_ingest": ["success"], "paylake_build": ["success"],
                   "paylake_publish": ["failed"], "paylake_report": []},
            WAIVED: {"paylake_ingest": ["success"], "paylake_build": ["success"],
                     "paylake_publish": ["failed", "success"], "paylake_report": ["success"]},
            LAST: {dag: ["success"] for dag in CHAIN},
        }
        assert release.in_force(demo.settings).through == LAST
        assert [c for c in audit.problems(demo.settings) if not c.ok] == []
        assert [t for t in audit.totals(demo.settings) if not t.ok] == []
