"""Restating a published date: a wrong rule or wrong code is corrected on the record."""

from __future__ import annotations

from datetime import date

import click

from cli.app import Context
from cli.options import DateType, as_json
from cli.output import console, show
from paylake.errors import UsageFault
from paylake.release.changes import Change


@click.command()
@click.option("--date", "day", type=DateType(), help="First business date to restate.")
@click.option("--person", help="Who answers for it.")
@click.option("--reason", help="Which rule or code was wrong.")
@click.option(
    "--preview", is_flag=True,
    help="Build, show what differs, and put everything back; nothing is published.",
)
@click.option("--withdraw", is_flag=True, help="Put back what stood before the open restatement.")
@as_json
@click.pass_obj
def restate(
    ctx: Context,
    day: date | None,
    person: str | None,
    reason: str | None,
    preview: bool,
    withdraw: bool,
    as_json: bool,
) -> None:
    """Build a published date and all after it again with the present code; release what differs.

    What was received stays as it is, filed packages stay as filed, old releases stay readable. The
    same command goes on after a kill, or after what the gate held was waived.
    """
    from cli import pipeline
    from dashboards import ops_file
    from paylake import runs

    steps = pipeline.steps(ctx.settings, reports=False)
    if withdraw:
        if day or person or reason or preview:
            raise UsageFault("--withdraw takes no other option", "At most one is open.")
        try:
            intent = runs.withdraw(ctx.settings, steps)
        finally:
            ops_file.write(ctx.settings)
        console.print(
            f"the restatement of {intent.first} by {intent.person} is withdrawn; {intent.first} to "
            f"{intent.through} are as they were"
        )
        return
    if day is None or person is None or reason is None:
        raise UsageFault(
            "A restatement needs a date, a person and a reason",
            "Give --date, --person and --reason; or --withdraw.",
        )
    shown: list[list[Change]] = []

    def tell(changes: list[Change]) -> None:
        shown.append(changes)
        show(
            [change.row() for change in changes], as_json=as_json,
            title=f"{day} restated: what changes",
            empty="no published row changes, only what lies beneath",
        )

    try:
        result = runs.restate(
            ctx.settings, day, person, reason, steps, lambda: pipeline.views(ctx.settings), tell,
            preview=preview,
        )
    finally:
        ops_file.write(ctx.settings)
    if not shown and not result.nothing:
        tell(result.changes)
    if as_json:
        if result.nothing:
            show([], as_json=True)
        return
    if result.nothing:
        console.print(
            f"nothing to do: {day} to {result.intent.through}, built again, are as published"
        )
    elif result.release_id is None:
        console.print("preview: nothing is published, and everything is put back")
    else:
        listed = ", ".join(map(str, result.dates))
        console.print(f"released: {result.release_id} restates {listed}")
