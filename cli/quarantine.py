"""Quarantine: what was refused row by row, and its way back through the door."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date
from typing import IO

import click

from cli.app import Context
from cli.options import DateType, as_json
from cli.output import console, document, show
from paylake.errors import UsageFault

_VALUES = 'Write {"amount": "12.50"}, every value in quotes or null.'


@click.group()
def quarantine() -> None:
    """Rows that were refused, by rule; each is an open item until it is replayed."""


@quarantine.command("list")
@click.option("--date", "day", type=DateType(), help="First business date.")
@click.option("--to", type=DateType(), help="Last business date.")
@click.option("--feed", help="Only this feed.")
@click.option("--open", "only_open", is_flag=True, help="Only rows without a replay.")
@as_json
@click.pass_obj
def list_(
    ctx: Context,
    day: date | None,
    to: date | None,
    feed: str | None,
    only_open: bool,
    as_json: bool,
) -> None:
    """List refused rows with their rule, key and state."""
    import ingestion

    found = ingestion.quarantine_list(ctx.settings, day, to or day, feed, only_open=only_open)
    show(found, as_json=as_json, title="quarantine")


@quarantine.command("show")
@click.argument("delivery_id")
@click.argument("line", type=int)
@click.option("--file", "file_name", help="File name, where a delivery has several.")
@as_json
@click.pass_obj
def show_(
    ctx: Context, delivery_id: str, line: int, file_name: str | None, as_json: bool
) -> None:
    """Show one refused row; identifiers masked, C3 absent."""
    import ingestion

    row = ingestion.quarantine_show(ctx.settings, delivery_id, line, file_name)
    document(asdict(row), as_json=as_json)


@quarantine.command()
@click.argument("delivery_id")
@click.argument("line", type=int)
@click.option("--set", "changes", multiple=True, metavar="COLUMN=VALUE", help="Corrected value.")
@click.option("--values", type=click.File(encoding="utf-8"), help="Corrected values as JSON.")
@click.option("--date", "day", type=DateType(), help="Business date; an open one by default.")
@click.option("--file", "file_name", help="File name, where a delivery has several.")
@click.pass_obj
def replay(
    ctx: Context,
    delivery_id: str,
    line: int,
    changes: tuple[str, ...],
    values: IO[str] | None,
    day: date | None,
    file_name: str | None,
) -> None:
    """Send a corrected row again, as a delivery of paylake's own that names the original line."""
    import ingestion

    corrected = _read_values(values) if values else {}
    for change in changes:
        name, sign, value = change.partition("=")
        if not sign:
            raise UsageFault(f"{change!r} is not COLUMN=VALUE", "Write --set amount=12.50.")
        corrected[name] = value
    result = ingestion.replay(
        ctx.settings, delivery_id, line, corrected, day, file_name=file_name
    )
    console.print(
        f"{result.delivery_id} replays {result.origin}; "
        f"now run `bin/paylake run --date {result.business_date}`"
    )


def _read_values(file: IO[str]) -> dict[str, str | None]:
    """Corrected values: one JSON object of texts and nulls.

    :raises UsageFault: for anything else; a number would lose the digits that it was written with.
    """
    try:
        given = json.load(file)
    except ValueError as error:
        raise UsageFault(f"The file of --values is not JSON: {error}", _VALUES) from None
    if not isinstance(given, dict) or not all(
        value is None or isinstance(value, str) for value in given.values()
    ):
        raise UsageFault("The file of --values is not an object of texts", _VALUES)
    return given
