"""The ledger, for operators."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path

import click

from cli.app import Context
from cli.options import DateType, as_json
from cli.output import console, document
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
@as_json
@click.pass_obj
def migrate(ctx: Context, as_json: bool) -> None:
    """Bring an older ledger to this program's tables; a copy as it was stays beside it."""
    from ledger.entrypoints import operations

    document(operations.migrate(ctx.settings), as_json=as_json)


@ledger.command()
@click.option("--new-key", is_flag=True, help="Make the next sealing key first.")
@as_json
@click.pass_obj
def reseal(ctx: Context, new_key: bool, as_json: bool) -> None:
    """Seal sensitive values that older keys sealed with the newest; while no service runs."""
    from ledger.entrypoints import operations

    document(operations.reseal(ctx.settings, new_key=new_key), as_json=as_json)


@ledger.command(name="import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--rejects", type=click.Path(path_type=Path), help="Default: FILE.rejects.csv.")
@as_json
@click.pass_obj
def import_(ctx: Context, file: Path, rejects: Path | None, as_json: bool) -> None:
    """Send commands of a CSV or Parquet file to the running service; may be repeated."""
    from ledger.entrypoints import operations

    done = operations.import_file(
        ctx.settings, file, rejects or file.with_suffix(".rejects.csv"),
        lambda rows, refused: console.print(f"{rows:,} rows, {refused:,} refused"),
    )
    document(done, as_json=as_json)


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
