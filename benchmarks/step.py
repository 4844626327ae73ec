"""One step of the pipeline in a process of its own: the product's own entry points, timed.

`python -m benchmarks.step HOME ENGINE STEP FIRST [LAST]`. STEP is ingest, build, gate or publish
(FIRST alone), `history` (ingest, and what later dates read of a date: silver, states, daily sums)
or `base` (the release that stands before the measured one).
"""

from __future__ import annotations

import importlib
import sys
import time
from datetime import date
from typing import Any

from benchmarks.parts import part, say
from paylake import dates, engine
from paylake import settings as settings_module
from paylake.errors import PaylakeError, PermanentFailure
from paylake.settings import Settings

#: Models that carry something from one date to the next. The tie of history is left out: its
#: journals are summarised, so every transaction of history would be an open item.
CARRIED = "int_kpi__merchant_way_day int_kpi__institution_day int_settlement__open_reference"
ENGINE_PORT = 18771
_GROUPS = {"silver": "conform", "state": "states", "work": "profiles"}


def ingest(settings: Settings, first: date, last: date) -> None:
    import ingestion

    result = ingestion.ingest(settings, first, last, dates.run_time(last, settings))
    refused = [o for o in result.outcomes if o["state"] != "accepted" or o["rows_quarantined"]]
    if result.waiting or refused:
        raise PermanentFailure(
            f"Not every delivery was accepted whole: waiting {result.waiting}, {refused[:3]}",
            "The written feeds are meant to be sound: mend simulator/bulk.py.",
        )


def build(settings: Settings, first: date, last: date, marts: bool = True) -> None:
    """`spark_jobs.build`, with a mark around each table's group."""
    module: Any = importlib.import_module("spark_jobs.build")
    started, ready = time.time(), []

    def timed(function: Any, name: Any) -> Any:
        def call(*arguments: Any) -> Any:
            if not ready:
                ready.append(True)
                say("engine start", started, time.time())
            with part(name(arguments)):
                return function(*arguments)

        return call

    def group(arguments: Any) -> str:
        return _GROUPS[arguments[1].table.partition(".")[0]]

    module._build_table = timed(module._build_table, group)
    module._build_marts = timed(module._build_marts, lambda _: "marts")
    module.build(settings, first, last, marts)


def history(settings: Settings, first: date, last: date) -> None:
    from paylake import dbt_runner

    ingest(settings, first, last)
    build(settings, first, last, marts=False)
    with engine.session(settings, ("silver", "work", "quarantine", "ops")) as spark:
        dbt_runner.run(settings, spark.paylake_remote, first, last, CARRIED, {"absent_feeds": []})


def base(settings: Settings, first: date, last: date) -> None:
    """Release the last date of history without a gate, so that the next one can follow it."""
    from paylake import release
    from paylake.lease import lease
    from paylake.release import publishing

    with lease(settings, "publish", str(last)):
        publishing._release(settings, release.listing(settings), [release.Verdict(last, "passed")])


def gate(settings: Settings, first: date, last: date) -> None:
    import expectations

    result = expectations.gate(settings, first, last)
    failing = [f.check.code for f in result.failures if f.check.severity == "fail"]
    if failing:
        raise PermanentFailure(f"The gate holds {first}: {failing}", "Read ops.gate_result.")


def publish(settings: Settings, first: date, last: date) -> None:
    from cli import pipeline

    pipeline.publish(settings, first, last)


def main(arguments: list[str]) -> int:
    """Run the step; 0 when it did what it should."""
    home, engine_name, name, first, *rest = arguments
    settings = settings_module.load(
        {}, home=home, engine=engine_name, engine_port=ENGINE_PORT, lease_wait_seconds=5
    )
    days = dates.parse_date(first), dates.parse_date(rest[0] if rest else first)
    steps = {f.__name__: f for f in (ingest, build, history, base, gate, publish)}
    try:
        if name == "build":
            build(settings, *days)
        else:
            with part(name):
                steps[name](settings, *days)
    except PaylakeError as error:
        print(error.sentence(), file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
