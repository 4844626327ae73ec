"""Trigger business dates and read how they went, over Airflow's REST interface.

One POST at a time, because parallel ones stall on SQLite; transient answers are retried.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import date
from typing import Any

import httpx
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from cli.servers import AIRFLOW_USER, airflow_password
from paylake.errors import PermanentFailure, TransientFault
from paylake.settings import Settings

CHAIN = ("paylake_ingest", "paylake_build", "paylake_publish", "paylake_report")
_ENDED = ("success", "failed")


class Airflow:
    """A logged-in client of a home's Airflow."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{settings.airflow_port}", timeout=60, trust_env=False
        )
        token = self._call(
            "POST",
            "/auth/token",
            json={"username": AIRFLOW_USER, "password": airflow_password(settings)},
        )["access_token"]
        self.client.headers["Authorization"] = f"Bearer {token}"

    @retry(
        retry=retry_if_exception_type(TransientFault),
        stop=stop_after_delay(60),
        wait=wait_fixed(1),
        reraise=True,
    )
    def _call(self, method: str, path: str, **arguments: Any) -> Any:
        try:
            response = self.client.request(method, path, **arguments)
        except httpx.TransportError as error:
            raise TransientFault(f"Airflow does not answer: {error}", "Is it up?") from error
        if response.status_code >= 500:
            raise TransientFault(f"Airflow answered {response.status_code}", "Try again.")
        if response.status_code >= 400 and response.status_code != 409:
            raise PermanentFailure(
                f"Airflow refused {method} {path}: {response.status_code} {response.text[:200]}",
                "Look at its log.",
            )
        return response.json()

    def wait_for_dags(self, seconds: float = 60) -> None:
        """Wait until the scheduler knows all DAGs of the chain.

        :raises PermanentFailure: when it does not in time.
        """
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            known = {d["dag_id"] for d in self._call("GET", "/api/v2/dags")["dags"]}
            if known >= set(CHAIN):
                return
            time.sleep(0.5)
        raise PermanentFailure(
            "Airflow does not know the DAGs", "Look at its log.", where=str(self.settings.home)
        )

    def trigger(self, dag: str, day: date, attempt: int = 1) -> None:
        """Start a run of one business date; a repeat of the same attempt changes nothing."""
        run_id = f"paylake_{day}" if attempt == 1 else f"paylake_{day}_{attempt}"
        body = {"logical_date": None, "partition_key": str(day), "dag_run_id": run_id}
        self._call("POST", f"/api/v2/dags/{dag}/dagRuns", json=body)

    def runs(self, dag: str, day: date) -> list[dict[str, Any]]:
        """Runs of a DAG for one business date, newest last."""
        # Airflow answers with a hundred at the most, so it is asked for these, newest first.
        asked = {"partition_key_prefix_pattern": str(day), "order_by": "-run_after", "limit": 100}
        runs = self._call("GET", f"/api/v2/dags/{dag}/dagRuns", params=asked)["dag_runs"]
        mine = [r for r in runs if r.get("partition_key") == str(day)]
        return sorted(mine, key=lambda r: r["run_after"])

    def state(self, dag: str, day: date) -> str | None:
        """State of the newest run of a date, None when there is none."""
        runs = self.runs(dag, day)
        return runs[-1]["state"] if runs else None

    def follow(
        self, day: date, first: str = CHAIN[0], seen: int = 0, seconds: float = 900
    ) -> Iterator[tuple[str, str]]:
        """Yield (DAG, state) as each DAG of the chain ends for a date; stops at a failure.

        :param seen: runs of the first DAG for this date that ended before.
        :raises PermanentFailure: when nothing ends in time.
        """
        until = time.monotonic() + seconds
        for dag in CHAIN[CHAIN.index(first) :]:
            before = seen if dag == first else max(0, len(self.runs(dag, day)) - 1)
            while True:
                runs = self.runs(dag, day)
                if len(runs) > before and runs[-1]["state"] in _ENDED:
                    yield dag, runs[-1]["state"]
                    break
                if time.monotonic() > until:
                    raise PermanentFailure(
                        f"{dag} for {day} did not end in {seconds:.0f} s",
                        "Look at it in Airflow, then run the command again.",
                    )
                time.sleep(0.4)
            if runs[-1]["state"] == "failed":
                return
