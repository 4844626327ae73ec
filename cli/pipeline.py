"""The steps of a run, each room's entry point, as the run loop wants them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

from paylake.settings import Settings


def views(settings: Settings) -> list[tuple[str, str]]:
    """The presentation views that go into each release's reader file."""
    from dashboards.views import view_definitions
    from paylake import content
    from paylake.lake import Lake

    lake = Lake(settings)
    tables = {
        table: [name for name, _ in lake.columns("work", table)]
        for table in content.publishable_tables(lake)
    }
    return view_definitions({**tables, "release": ("release_id", "sequence", "through")})


def publish(settings: Settings, first: date, last: date) -> Any:
    """Publish, and keep the reader file of the operations screens up to date."""
    from dashboards import ops_file
    from paylake import release

    try:
        return release.publish(settings, first, last, views(settings))
    finally:
        ops_file.write(settings)


def steps(settings: Settings, *, reports: bool = True) -> dict[str, Callable[..., Any]]:
    """`ingest`, `build`, `gate`, `publish` and `report` of this home."""
    import expectations
    import ingestion
    import reporting
    from spark_jobs.build import build

    def report(first: date, last: date) -> Any:
        return reporting.report(settings, first, last)

    found: dict[str, Callable[..., Any]] = {
        "ingest": lambda first, last, as_of: ingestion.ingest(settings, first, last, as_of),
        "build": lambda first, last: build(settings, first, last),
        "gate": lambda first, last: expectations.gate(settings, first, last),
        "publish": lambda first, last: publish(settings, first, last),
        "report": report,
    }
    if not reports:
        del found["report"]
    return found
