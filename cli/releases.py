"""Releases: list, show, compare, waive; and released tables as files."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from pathlib import Path

import click

from cli.app import Context
from cli.options import DateType, as_json
from cli.output import console, document, show
from paylake.errors import UsageFault


@click.group()
def release() -> None:
    """Releases: what was published, when it may be trusted, what changed."""


@release.command("list")
@as_json
@click.pass_obj
def list_(ctx: Context, as_json: bool) -> None:
    """List all releases; the last one is in force."""
    from paylake import release as releases

    chain = releases.listing(ctx.settings)
    has_restated = any(r.restatement for r in chain)
    rows = []
    for r in chain:
        named = r.named()
        rows.append(
            {
                "release": r.release_id,
                "through": r.through,
                "digest": r.digest[:16],
                "previous": r.previous_digest[:16],
                "in_force": "yes" if r is chain[-1] else "",
                "waivers": sum(len(of.waivers) for of in named.values()),
                "open_items": len(named[max(named)].open_items) if named else 0,
                **({"restates": _dates(named) if r.restatement else ""} if has_restated else {}),
            }
        )
    show(rows, as_json=as_json, title="releases")


@release.command("show")
@click.argument("release_id", required=False)
@as_json
@click.pass_obj
def show_(ctx: Context, release_id: str | None, as_json: bool) -> None:
    """Show one release whole: digests, checks, open items, waivers, versions."""
    from paylake import release as releases

    document(releases.show(ctx.settings, release_id).document, as_json=as_json)


def _dates(named: Iterable[date]) -> str:
    days = sorted(named)
    return f"{days[0]}" if len(days) == 1 else f"{len(days)} dates, {days[0]} to {days[-1]}"


@release.command()
@click.argument("older")
@click.argument("newer")
@as_json
@click.pass_obj
def diff(ctx: Context, older: str, newer: str, as_json: bool) -> None:
    """Show what a newer release shows otherwise than an older one: digests, rows, amounts."""
    from paylake import release as releases

    changes = {
        (change.business_date, change.table): change.row()
        for change in releases.changed_rows(ctx.settings, older, newer)
    }
    rows = []
    for row in releases.diff(ctx.settings, older, newer):
        digest = row["digest"] if as_json or row["digest"] is None else row["digest"][:16]
        counted = changes[row["date"], row["table"]]
        rows.append({**row, "digest": digest, **counted})
    show(rows, as_json=as_json, title=f"{older} to {newer}")


@release.command()
@click.option("--date", "day", type=DateType(), required=True, help="The held business date.")
@click.option("--check", required=True, help="Code of the check that holds it.")
@click.option("--person", required=True, help="Who answers for it.")
@click.option("--reason", required=True, help="Why the date may go out as it is.")
@click.pass_obj
def waive(ctx: Context, day: date, check: str, person: str, reason: str) -> None:
    """Let a held date go out as it is; lapses when an input changes."""
    import expectations

    row = expectations.waive(ctx.settings, day, check, person, reason)
    mark = " (demo)" if row["is_demo"] else ""
    console.print(f"{check} of {day} is waived by {person}{mark}; now publish {day}")


@click.command()
@click.argument("table")
@click.option("--out", type=click.Path(path_type=Path), required=True, help=".csv, .xlsx, .parquet")
@click.option("--date", "day", type=DateType(), help="First business date; all when left out.")
@click.option("--to", type=DateType(), help="Last business date.")
@click.option("--release", "release_id", help="Release id; the one in force when left out.")
@click.pass_obj
def export(
    ctx: Context, table: str, out: Path, day: date | None, to: date | None, release_id: str | None
) -> None:
    """Write a released table to a CSV, XLSX or Parquet file."""
    from cli import exports
    from paylake import release as releases

    with releases.reader(ctx.settings, release_id) as reader:
        if table not in reader.tables():
            raise UsageFault(
                f"Release {reader.release_id} has no table {table!r}",
                f"It has: {', '.join(reader.tables())}.",
            )
        condition, values = "true", []
        if day:
            condition, values = "business_date between ? and ?", [day, to or day]
        rows = reader.query(f'select * from "{table}" where {condition} order by all', values)
        exports.write(rows, out)
        console.print(f"{out}: {rows.num_rows:,} rows of {table} from {reader.release_id}")
