"""Deliveries: what came and in which state, and any line of it shown again."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date

import click

from cli.app import Context
from cli.options import DateType, as_json
from cli.output import document, show
from paylake.errors import UsageFault

_STATES = ("waiting", "accepted", "refused", "superseded", "ignored_duplicate")


@click.group()
def delivery() -> None:
    """Deliveries as they came: states, digests, and each line again from the kept copy."""


@delivery.command("list")
@click.option("--date", "day", type=DateType(), help="First business date; all when left out.")
@click.option("--to", type=DateType(), help="Last business date.")
@click.option("--feed", help="Only this feed.")
@click.option("--state", type=click.Choice(_STATES), help="Only those in this state.")
@as_json
@click.pass_obj
def list_(
    ctx: Context,
    day: date | None,
    to: date | None,
    feed: str | None,
    state: str | None,
    as_json: bool,
) -> None:
    """List deliveries with their states."""
    import ingestion

    found = ingestion.delivery_list(ctx.settings, day, to or day, feed, state)
    show(found, as_json=as_json, title="deliveries")


@delivery.command("show")
@click.argument("delivery_id")
@click.option("--line", type=int, help="Show the row that begins on this line of the file.")
@click.option("--file", "file_name", help="File name, where a delivery has several.")
@click.option("--digest", help="Beginning of the data digest, where several came under one name.")
@click.option("--clear", is_flag=True, help="Identifiers in clear; the opening is recorded.")
@click.option("--person", help="Who opens them.")
@click.option("--reason", help="Why they are opened.")
@as_json
@click.pass_obj
def show_(
    ctx: Context,
    delivery_id: str,
    line: int | None,
    file_name: str | None,
    digest: str | None,
    clear: bool,
    person: str | None,
    reason: str | None,
    as_json: bool,
) -> None:
    """Open a kept delivery, verify both digests, and show a line of it; identifiers masked."""
    import ingestion

    if clear and (line is None or not person or not reason):
        raise UsageFault(
            "--clear opens the identifiers of one line, for a person with a reason",
            "Give --line, --person and --reason; the opening is recorded.",
        )
    opened = ingestion.delivery_show(
        ctx.settings,
        delivery_id,
        line,
        file_name,
        digest=digest,
        clear=ingestion.Clear(person or "", reason or "") if clear else None,
    )
    document(asdict(opened), as_json=as_json)
