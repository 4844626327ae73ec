"""Report files: make, list, verify offline, rebuild."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import click

from cli.app import Context
from cli.options import DateType, as_json, as_range
from cli.output import console, errors, show
from paylake.errors import UsageFault


@click.group(invoke_without_command=True)
@click.option("--date", "day", type=DateType(), help="Business date, 2026-09-12.")
@click.option("--to", type=DateType(), help="Last business date of a range.")
@click.option("--report", "names", multiple=True, help="Only this report; may be repeated.")
@click.option("--pending", is_flag=True, help="Also earlier released dates that are not filed.")
@as_json
@click.pass_context
def report(
    ctx: click.Context,
    day: date | None,
    to: date | None,
    names: tuple[str, ...],
    pending: bool,
    as_json: bool,
) -> None:
    """Render, check, sign and package the reports of released dates; or see `report COMMAND`."""
    if ctx.invoked_subcommand is not None:
        return
    if day is None:
        raise UsageFault("Which business date?", "Give --date 2026-09-12, or see --help.")
    import reporting
    from paylake import release

    context: Context = ctx.obj
    first, last = as_range(day, to)
    if pending:
        chain = release.listing(context.settings)
        through = chain[-1].through
        if through is None:
            raise UsageFault("Nothing is released yet", f"Run `bin/paylake run --date {day}`.")
        first, last = min(first, chain[1].through or first), max(first, min(last, through))
    result = reporting.report(context.settings, first, last, names or None)
    rows = result.rows()
    if not as_json and all(item.state == "unchanged" for item in result.items):
        console.print(f"nothing to do: {len(rows)} packages are filed and intact")
    else:
        show(rows, as_json=as_json)
    if not as_json:
        console.print(f"key {result.key_fingerprint}  {result.public_key}")
    if result.exit_code:
        errors.print("paylake: not every report went out; the table says why", markup=False)
        raise click.exceptions.Exit(result.exit_code)


@report.command("list")
@as_json
@click.pass_obj
def list_(ctx: Context, as_json: bool) -> None:
    """List filed packages, each verified now against the exported public key."""
    import reporting

    show(reporting.list_packages(ctx.settings), as_json=as_json, title="packages")


@report.command()
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--trust", type=click.Path(path_type=Path, exists=True), required=True,
    help="Public key (PEM) or trust file, had from outside the package.",
)
@as_json
def verify(path: Path, trust: Path, as_json: bool) -> None:
    """Verify a package folder or ZIP offline: the manifest's signature, then each file."""
    import reporting

    result = reporting.verify(path, trust)
    show(result.rows(), as_json=as_json)
    result.require()


@report.command()
@click.argument("name")
@click.option("--date", "day", type=DateType(), required=True, help="Business date.")
@as_json
@click.pass_obj
def rebuild(ctx: Context, name: str, day: date, as_json: bool) -> None:
    """Make a filed package again from the release it pins, byte for byte."""
    import reporting

    show(reporting.rebuild(ctx.settings, name, day).rows(), as_json=as_json)


@report.command()
@click.argument("name")
@click.option("--date", "day", type=DateType(), required=True, help="Business date.")
@click.option("--rule", required=True, help="Code of the Q or M rule that asks for a reason.")
@click.option("--person", required=True)
@click.option("--reason", required=True)
@click.pass_obj
def explain(ctx: Context, name: str, day: date, rule: str, person: str, reason: str) -> None:
    """Give a named person's reason for what an edit check found; the report then goes out."""
    import reporting

    given = reporting.explain(ctx.settings, name, day, rule, person, reason)
    console.print(f"kept: {given.code} by {given.person}; run `bin/paylake report --date {day}`")
