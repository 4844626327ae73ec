"""The steps of a run, each room's entry point, as the run loop wants them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import partial
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


def renew_reader_files(settings: Settings) -> list[str]:
    """Write missing or wrong reader files anew, the operations screens' too; their ids."""
    from dashboards import ops_file
    from paylake import release

    written = release.mend(settings, views(settings))
    ops_file.write(settings)
    return written


def publish(settings: Settings, first: date, last: date) -> Any:
    """Publish, and keep the reader file of the operations screens up to date."""
    from dashboards import ops_file
    from paylake import release

    try:
        return release.publish(settings, first, last, views(settings))
    finally:
        ops_file.write(settings)


def ingest(settings: Settings, first: date, last: date, as_of: Any) -> Any:
    import ingestion

    return ingestion.ingest(settings, first, last, as_of)


def build(settings: Settings, first: date, last: date) -> Any:
    from spark_jobs.build import build as build_tables

    return build_tables(settings, first, last)


def gate(settings: Settings, first: date, last: date) -> Any:
    import expectations

    return expectations.gate(settings, first, last)


def report(settings: Settings, first: date, last: date) -> Any:
    import reporting

    return reporting.report(settings, first, last)


def steps(settings: Settings, *, reports: bool = True) -> dict[str, Callable[..., Any]]:
    """`ingest`, `build`, `gate`, `publish` and `report` of this home; each room is imported when
    its step is called, because a step that has nothing to do should cost nothing."""
    chosen = [ingest, build, gate, publish, *([report] if reports else [])]
    return {step.__name__: partial(step, settings) for step in chosen}
