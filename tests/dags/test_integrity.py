"""The DAGs as Airflow itself loads them: the exact list, owners, retries, docs, order."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PROBE = """
import json
from airflow.dag_processing.dagbag import DagBag
bag = DagBag({folder!r})
print("RESULT" + json.dumps({{
    "errors": bag.import_errors,
    "dags": {{
        name: {{
            "tasks": {{t.task_id: [sorted(t.upstream_task_ids), t.owner, t.retries,
                       [o.name for o in t.outlets],
                       t.on_failure_callback is not None and bool(t.on_failure_callback)]
                      for t in dag.tasks}},
            "doc": dag.doc_md or "", "description": bool(dag.description),
            "tags": sorted(dag.tags), "max_active_runs": dag.max_active_runs,
            "catchup": dag.catchup, "timetable": type(dag.timetable).__name__,
        }}
        for name, dag in bag.dags.items()
    }},
}}))
"""


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    """Loaded in the Airflow environment, from the folder that production reads."""
    python = subprocess.run(
        [ROOT / "bin" / "python-of", "airflow"], capture_output=True, text=True, check=True
    ).stdout.strip()
    home = tmp_path_factory.mktemp("airflow")
    result = subprocess.run(
        [python, "-c", PROBE.format(folder=str(ROOT / "dags"))],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "PYTHONPATH": str(ROOT),
        },
        check=True,
    )
    line = next(x for x in result.stdout.splitlines() if x.startswith("RESULT"))
    return json.loads(line.removeprefix("RESULT"))


def test_exact_dags_without_import_errors(bag):
    assert bag["errors"] == {}
    assert sorted(bag["dags"]) == [
        "paylake_build",
        "paylake_ingest",
        "paylake_maintain",
        "paylake_publish",
        "paylake_report",
    ]


def test_tasks_and_their_order(bag):
    tasks = {n: {t: v[0] for t, v in d["tasks"].items()} for n, d in bag["dags"].items()}
    assert tasks == {
        "paylake_ingest": {"ingest": []},
        "paylake_build": {"build": [], "gate": ["build"]},
        "paylake_publish": {"publish": [], "summary": ["publish"]},
        "paylake_report": {"report": []},
        "paylake_maintain": {"maintain": [], "verify_ledger": []},
    }


def test_each_step_hands_its_date_to_the_next(bag):
    outlets = {
        (n, t): v[3] for n, d in bag["dags"].items() for t, v in d["tasks"].items() if v[3]
    }
    assert outlets == {
        ("paylake_ingest", "ingest"): ["paylake_delivered"],
        ("paylake_build", "gate"): ["paylake_built"],
        ("paylake_publish", "publish"): ["paylake_released"],
        ("paylake_report", "report"): ["paylake_filed"],
    }


def test_every_dag_has_owner_doc_tier_and_alarm(bag):
    assert len(bag["dags"]) == 5
    owners = {"paylake_maintain": "data-platform", "paylake_report": "regulatory-reporting"}
    for name, dag in bag["dags"].items():
        assert f"**Owner**: {owners.get(name, 'payments-data')}." in " ".join(dag["doc"].split())
        assert dag["doc"] and dag["description"], name
        assert [t for t in dag["tags"] if t.startswith("tier:")], name
        assert dag["max_active_runs"] == 1 and dag["catchup"] is False, name
        for _, owner, retries, _, alarmed in dag["tasks"].values():
            assert owner == owners.get(name, "payments-data") and retries == 2 and alarmed, name
