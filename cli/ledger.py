"""The ledger, for operators."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path

import click

from cli.app import Context
from cli.options import DateType, as_json
from cli.output import document, errors
from paylake.errors import UsageFault


@click.group()
def ledger() -> None:
    """The double-entry ledger service: state, verify, import, export, backup."""


@ledger.command()
@as_json
@click.pass_obj
def state(ctx: Context, as_json: bool) -> None:
    """Show what the ledger holds."""
    from ledger.entrypoints import operations

    document(asdict(operations.state(ctx.settings)), as_json=as_json)


@ledger.command()
@click.option("--chain", is_flag=True, help="Recompute the digests alone, on every core.")
@click.option("--since", metavar="HEAD", help="What follows a signed head (a date).")
@click.option("--export", "export_", type=click.Path(path_type=Path, exists=True),
              help="An export of the log, without the database.")
@click.option("--if-present", is_flag=True, help="Nothing to check in a home without a ledger.")
@as_json
@click.pass_obj
def verify(
    ctx: Context, chain: bool, since: str | None, export_: Path | None, if_present: bool,
    as_json: bool,
) -> None:
    """Check every journal, leg and signed head; names the first broken row (exit code 16)."""
    from ledger.entrypoints import operations

    if if_present and not operations.is_there(ctx.settings):
        document({"ledger": None}, as_json=as_json)
        return
    if since:
        found = operations.verify_since(ctx.settings, since)
    elif chain:
        found = operations.verify_chain(ctx.settings)
    else:
        found = operations.verified_as_dict(
            operations.verify(ctx.settings) if export_ is None
            else operations.verify_export(ctx.settings, export_)
        )
    document(found, as_json=as_json)


@ledger.command(name="export-log")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder.")
@as_json
@click.pass_obj
def export_log(ctx: Context, out: Path, as_json: bool) -> None:
    """Write the whole log with its signed heads, for verifying it elsewhere."""
    from ledger.entrypoints import operations

    document(operations.export_log(ctx.settings, out), as_json=as_json)


@ledger.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A new folder.")
@as_json
@click.pass_obj
def backup(ctx: Context, out: Path, as_json: bool) -> None:
    """Copy the ledger's database while the service goes on; keys are not in it."""
    from ledger.entrypoints import operations

    document(operations.backup(ctx.settings, out), as_json=as_json)


@ledger.command()
@click.option("--from", "source", type=click.Path(path_type=Path, exists=True, file_okay=False),
              required=True, help="A backup's folder.")
@as_json
@click.pass_obj
def restore(ctx: Context, source: Path, as_json: bool) -> None:
    """Verify a backup and put it where no ledger is: SQLite in the home, or PostgreSQL."""
    from ledger.entrypoints import operations

    document(operations.restore(ctx.settings, source), as_json=as_json)


@ledger.command()
@as_json
@click.pass_obj
def migrate(ctx: Context, as_json: bool) -> None:
    """Bring an older ledger to this program's tables; a copy as it was stays beside it."""
    from ledger.entrypoints import operations

    document(operations.migrate(ctx.settings), as_json=as_json)


@ledger.command()
@click.option("--date", "day", type=DateType(), required=True,
              help="A date whose files are written.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A new folder.")
@as_json
@click.pass_obj
def instructions(ctx: Context, day: date, out: Path, as_json: bool) -> None:
    """Open a date's sealed instruction files, as CSV for the bank's channel; leaves no entry."""
    from ledger.entrypoints import operations

    document(operations.instructions(ctx.settings, day, out), as_json=as_json)


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
@click.option("--signer", help="operator:ID or caller:ID that signs; else a token is sent.")
@click.option("--key", type=click.Path(path_type=Path), help="The signer's private key, PEM.")
@as_json
@click.pass_obj
def import_(
    ctx: Context, file: Path, rejects: Path | None, signer: str | None, key: Path | None,
    as_json: bool,
) -> None:
    """Send commands of a CSV or Parquet file to the running service; may be repeated."""
    from ledger.entrypoints import imports

    done = imports.import_file(
        ctx.settings, file, rejects or file.with_suffix(".rejects.csv"),
        lambda rows, refused: errors.print(f"{rows:,} rows, {refused:,} refused"), signer, key,
    )
    document(done, as_json=as_json)


@ledger.command()
@click.option("--account", required=True, help="The account that the bank's statement is of.")
@click.option("--currency", help="ISO 4217 code; may be left out where the account has one alone.")
@click.option("--date", "day", type=DateType(), required=True,
              help="Value date of the statement, or its last.")
@click.option("--from", "first", type=DateType(), help="Its first value date, if several.")
@click.option("--opening", type=int, help="Opening balance, minor units; else the file's.")
@click.option("--closing", type=int, help="Closing balance, minor units; else the file's.")
@click.option("--dry-run", is_flag=True, help="Say what would come of it, record nothing.")
@click.option("--signer", help="operator:ID that signs; else a token is sent.")
@click.option("--key", type=click.Path(path_type=Path), help="The signer's private key, PEM.")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@as_json
@click.pass_obj
def reconcile(
    ctx: Context, account: str, currency: str | None, day: date, first: date | None,
    opening: int | None, closing: int | None, dry_run: bool, signer: str | None,
    key: Path | None, file: Path, as_json: bool,
) -> None:
    """Hold an account against a bank's statement (CSV or Parquet); may be repeated."""
    from ledger.entrypoints import imports

    document(imports.reconcile(
        ctx.settings, file, account, currency, first or day, day, opening, closing,
        dry_run=dry_run, signer=signer, key=key,
    ), as_json=as_json)


@ledger.command()
@click.option("--date", "day", type=DateType(), required=True, help="A closed business date.")
@click.option("--sent-at", required=True, help="Time for the control files, with zone.")
@click.option("--sequence", type=click.IntRange(1, 999), default=1, show_default=True)
@as_json
@click.pass_obj
def export(ctx: Context, day: date, sent_at: str, sequence: int, as_json: bool) -> None:
    """Write a closed date's journal, balances, heads and events into the inbox, signed."""
    from ledger.entrypoints import operations

    try:
        moment = datetime.fromisoformat(sent_at)
    except ValueError:
        raise UsageFault(f"{sent_at!r} is not a time", "Write 2026-09-13T01:00:00+08:00.") from None
    if moment.tzinfo is None:
        raise UsageFault(f"{sent_at!r} has no zone", "Write 2026-09-13T01:00:00+08:00.")
    done = operations.export_day(ctx.settings, day, sequence, sent_at=moment)
    document(asdict(done), as_json=as_json)
