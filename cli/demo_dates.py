"""The demo's last dates, one by one: through Airflow as an institution would, or by command.

Either way a date that a check holds is waived where the plan of the demo says so, in the name of
the demo's operations login, and left to the next run where it does not.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, Protocol

from cli import pipeline
from paylake import release
from paylake.settings import Settings

if TYPE_CHECKING:
    from simulator.params import Params

# Who the demo's operations login signs waivers and reasons as.
OPERATIONS = "operations (demo login)"


class Way(Protocol):
    """One way to take a date through ingest, build, gate and publish."""

    name: str

    def run(self, day: date) -> tuple[list[str], bool]:
        """What happened, step by step, and whether all of it went well."""

    def publish(self, day: date) -> list[str]:
        """Publish a built date again, after a waiver; the steps that failed."""


class ThroughAirflow:
    """Each date is a run of the four DAGs."""

    name = "through Airflow"

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._client: Any = None

    @property
    def airflow(self) -> Any:
        if self._client is None:
            from cli.airflow_api import Airflow

            self._client = Airflow(self.settings)
            self._client.wait_for_dags()
        return self._client

    def run(self, day: date) -> tuple[list[str], bool]:
        seen = len(self.airflow.runs("paylake_ingest", day))
        self.airflow.trigger("paylake_ingest", day, seen + 1)
        told = [f"{dag.removeprefix('paylake_')} {state}"
                for dag, state in self.airflow.follow(day, seen=seen)]
        return told, not told[-1].endswith("failed")

    def publish(self, day: date) -> list[str]:
        seen = len(self.airflow.runs("paylake_publish", day))
        self.airflow.trigger("paylake_publish", day, seen + 1)
        followed = self.airflow.follow(day, first="paylake_publish", seen=seen)
        return [dag for dag, state in followed if state == "failed"]


class ByCommand:
    """Each date is what `bin/paylake run --date D` does; the reports follow at the end."""

    name = "by command"

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def run(self, day: date) -> tuple[list[str], bool]:
        from paylake import runs

        steps = pipeline.steps(self.settings, reports=False)
        result = runs.run(self.settings, day, day, steps)
        told = [f"{each} {state}" for each, state in sorted(result.dates.items())]
        return told, result.error is None

    def publish(self, day: date) -> list[str]:
        pipeline.publish(self.settings, day, day)
        return []


def is_released(settings: Settings, day: date) -> bool:
    through = release.in_force(settings).through
    return through is not None and day <= through


def one_date(settings: Settings, params: Params, way: Way, day: date) -> str:
    """Take one date as far as it goes; what happened, in words."""
    told, went_well = way.run(day)
    if not went_well:
        told.append(_after_failure(settings, params, way, day))
    return ", ".join(told)


def _after_failure(settings: Settings, params: Params, way: Way, day: date) -> str:
    """A held date: waived where the plan of this demo says so, else left for the next run."""
    import expectations
    from simulator.plan import make_plan

    if is_released(settings, day):
        return "published; its reports are taken up below"
    verdict = release.verdicts(settings, day, day)[day]
    reason = verdict.reason or "it waits"
    if day != make_plan(params).on("waived") or not verdict.blocking:
        return f"held ({reason}); the next run takes it up"
    for check in verdict.blocking:
        expectations.waive(
            settings, day, check, OPERATIONS,
            "Known outage of one issuing bank, confirmed by its notice (demo).",
        )
    failed = way.publish(day)
    if failed:
        return f"waived ({reason}), and {failed[0]} failed again"
    return f"waived ({reason}), then published"
