"""The daily run: its five steps, each alone or all together, for a date or a range."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import click

from cli.app import Context
from cli.options import as_json, as_range, dates
from cli.output import console, errors, show
from paylake.errors import UsageFault

_pending = click.option(
    "--pending", is_flag=True, help="Take unreleased earlier dates with it, as a run does."
)
_as_of = click.option("--as-of", help="Moment of the run, 2026-09-13T08:00:00+08:00.")


def moment(text: str | None) -> datetime | None:
    """An aware time from a command line.

    :raises UsageFault: for anything else.
    """
    if text is None:
        return None
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise UsageFault(f"{text!r} is not a time", "Write 2026-09-13T08:00:00+08:00.") from None
    if parsed.tzinfo is None:
        raise UsageFault(f"{text!r} has no zone", "Write 2026-09-13T08:00:00+08:00.")
    return parsed


def _pending_step(ctx: Context, name: str, day: date, to: date | None, as_json: bool) -> None:
    from cli import pipeline
    from paylake import runs

    if to is not None:
        raise UsageFault("--pending takes one date", "Leave --to out, or use `run`.")
    result = runs.run_step(ctx.settings, name, day, pipeline.steps(ctx.settings))
    rows = [
        {k: r[k] for k in ("step", "first_date", "last_date", "seconds", "result")}
        for r in result.steps
    ]
    show(rows, as_json=as_json, empty=f"nothing to do: {name} of {day} is done")


def _finish(result: Any, as_json: bool) -> None:
    if getattr(result, "nothing", False) and not as_json:
        console.print("nothing to do")
        return
    show(result.rows(), as_json=as_json)


@click.command()
@dates()
@_pending
@_as_of
@as_json
@click.pass_obj
def ingest(
    ctx: Context, day: date, to: date | None, pending: bool, as_of: str | None, as_json: bool
) -> None:
    """Deliveries from the inbox to bronze: checked, sealed, parsed, tokenised."""
    if pending:
        _pending_step(ctx, "ingest", day, to, as_json)
        return
    import ingestion

    first, last = as_range(day, to)
    result = ingestion.ingest(ctx.settings, first, last, moment(as_of))
    _finish(result, as_json)
    if result.exit_code:
        errors.print("paylake: a date waits for a required delivery; see the table", markup=False)
        raise click.exceptions.Exit(result.exit_code)


@click.command()
@dates()
@_pending
@as_json
@click.pass_obj
def build(ctx: Context, day: date, to: date | None, pending: bool, as_json: bool) -> None:
    """Bronze to silver, states, profiles and marts, into `work`."""
    if pending:
        _pending_step(ctx, "build", day, to, as_json)
        return
    from spark_jobs.build import build as build_tables

    _finish(build_tables(ctx.settings, *as_range(day, to)), as_json)


@click.command()
@dates()
@_pending
@as_json
@click.pass_obj
def gate(ctx: Context, day: date, to: date | None, pending: bool, as_json: bool) -> None:
    """Audit what was built; the verdict is recorded, and `publish` obeys it."""
    if pending:
        _pending_step(ctx, "gate", day, to, as_json)
        return
    import expectations

    _finish(expectations.gate(ctx.settings, *as_range(day, to)), as_json)


@click.command()
@dates()
@_pending
@as_json
@click.pass_obj
def publish(ctx: Context, day: date, to: date | None, pending: bool, as_json: bool) -> None:
    """Release what passed the gate, one release a date, in date order."""
    if pending:
        _pending_step(ctx, "publish", day, to, as_json)
        return
    from cli import pipeline

    _finish(pipeline.publish(ctx.settings, *as_range(day, to)), as_json)


@click.command()
@dates()
@_as_of
@as_json
@click.pass_obj
def run(ctx: Context, day: date, to: date | None, as_of: str | None, as_json: bool) -> None:
    """All steps for a date or a range, pending earlier dates first."""
    from cli import pipeline
    from paylake import runs

    first, last = as_range(day, to)
    result = runs.run(ctx.settings, first, last, pipeline.steps(ctx.settings), moment(as_of))
    if result.nothing and not as_json:
        console.print("nothing to do: every date is released, and its inputs have not changed")
    else:
        show(result.rows(), as_json=as_json)
    if result.error is not None:
        raise result.error


@click.command()
@as_json
@click.option("--as-of", help="Judge lateness and age at this time.")
@click.pass_obj
def status(ctx: Context, as_json: bool, as_of: str | None) -> None:
    """Dates and their stages, deliveries due, open items, disk."""
    from paylake import runs

    found = runs.status(ctx.settings, moment(as_of))
    if as_json:
        show(found.rows(), as_json=True)
        return
    show(found.rows(), as_json=False, title="dates", empty="no dates yet")
    show(found.late, as_json=False, title="late", empty="late: none")
    show(found.summary(), as_json=False, title="state")


@click.command()
@click.pass_obj
def maintain(ctx: Context) -> None:
    """Daily upkeep: write derived reader files anew where one is missing or altered."""
    from cli import pipeline
    from paylake.lease import lease

    with lease(ctx.settings, "maintain", during_restatement=True):
        mended = pipeline.renew_reader_files(ctx.settings)
    console.print(f"reader files: {', '.join(mended) + ' written anew' if mended else 'all fine'}")
