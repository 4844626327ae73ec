"""The ledger, for operators."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, datetime

import click

from cli.app import Context
from cli.options import DateType, as_json
from cli.output import document
from paylake.errors import UsageFault


@click.group()
def ledger() -> None:
    """The double-entry ledger service: state, verify, export."""


@ledger.command()
@as_json
@click.pass_obj
def state(ctx: Context, as_json: bool) -> None:
    """Show what the ledger holds."""
    from ledger.entrypoints import operations

    document(asdict(operations.state(ctx.settings)), as_json=as_json)


@ledger.command()
@as_json
@click.pass_obj
def verify(ctx: Context, as_json: bool) -> None:
    """Check every journal, leg and signed head; names the first broken row (exit code 16)."""
    from ledger.entrypoints import operations

    document(
        operations.verified_as_dict(operations.verify(ctx.settings)), as_json=as_json
    )


@ledger.command()
@click.option("--date", "day", type=DateType(), required=True, help="A closed business date.")
@click.option("--sent-at", required=True, help="Time for the control files, with zone.")
@click.option("--sequence", type=click.IntRange(1, 999), default=1, show_default=True)
@as_json
@click.pass_obj
def export(ctx: Context, day: date, sent_at: str, sequence: int, as_json: bool) -> None:
    """Write a closed date's journal and balances into the inbox, signed."""
    from ledger.entrypoints import operations

    try:
        moment = datetime.fromisoformat(sent_at)
    except ValueError:
        raise UsageFault(f"{sent_at!r} is not a time", "Write 2026-09-13T01:00:00+08:00.") from None
    if moment.tzinfo is None:
        raise UsageFault(f"{sent_at!r} has no zone", "Write 2026-09-13T01:00:00+08:00.")
    done = operations.export_day(ctx.settings, day, sequence, sent_at=moment)
    document(asdict(done), as_json=as_json)
