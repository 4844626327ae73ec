"""`python -m ledger serve | verify | export | backup | restore | …`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import click

from ledger.entrypoints import operations
from paylake import settings as settings_module
from paylake.dates import parse_date
from paylake.errors import PaylakeError, UsageFault

_home = click.option("--home", type=click.Path(path_type=Path), help="Home; PAYLAKE_HOME.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """The double-entry ledger service."""


@main.command()
@_home
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on.")
@click.option("--simulated", is_flag=True, help="Clock set by the simulator; demo keys alone.")
def serve(home: Path | None, port: int | None, simulated: bool) -> None:
    """Run the HTTP service until it is told to stop."""
    settings = settings_module.load(home=home, ledger_port=port)
    operations.serve(settings, simulated=simulated)


@main.command()
@_home
@click.option("--chain", is_flag=True, help="Recompute the digests alone, on every core.")
@click.option("--since", metavar="HEAD", help="What follows a signed head (a date).")
@click.option("--export", "export_", type=click.Path(path_type=Path, exists=True),
              help="An export of the log, without the database.")
@click.option("--if-present", is_flag=True, help="Nothing to check in a home without a ledger.")
def verify(
    home: Path | None, chain: bool, since: str | None, export_: Path | None, if_present: bool
) -> None:
    """Check every row; exit code 16 names the first that is broken."""
    settings = settings_module.load(home=home)
    if if_present and not operations.is_there(settings):
        print(json.dumps({"ledger": None}))
        return
    if chain or since:
        print(json.dumps(
            operations.verify_since(settings, since) if since
            else operations.verify_chain(settings), indent=1,
        ))
        return
    found = (
        operations.verify(settings) if export_ is None
        else operations.verify_export(settings, export_)
    )
    print(json.dumps(operations.verified_as_dict(found), indent=1))


@main.command(name="export-log")
@_home
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder.")
def export_log(home: Path | None, out: Path) -> None:
    """Write the whole log with its signed heads, for verifying it elsewhere."""
    print(json.dumps(operations.export_log(settings_module.load(home=home), out), indent=1))


@main.command(name="import")
@_home
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--rejects", type=click.Path(path_type=Path), help="Default: FILE.rejects.csv.")
@click.option("--signer", help="operator:ID or caller:ID that signs; else a token is sent.")
@click.option("--key", type=click.Path(path_type=Path), help="The signer's private key, PEM.")
def import_(
    home: Path | None, file: Path, rejects: Path | None, signer: str | None, key: Path | None
) -> None:
    """Send commands of a CSV or Parquet file to the running service; may be repeated."""
    from ledger.entrypoints import imports  # an HTTP client, which the other commands do without

    done = imports.import_file(
        settings_module.load(home=home), file, rejects or file.with_suffix(".rejects.csv"),
        lambda rows, refused: print(f"{rows:,} rows, {refused:,} refused", file=sys.stderr),
        signer, key,
    )
    print(json.dumps(done, indent=1))


@main.command()
@_home
@click.option("--account", required=True, help="The account that the bank's statement is of.")
@click.option("--currency", help="ISO 4217 code; may be left out where the account has one alone.")
@click.option("--date", "day", required=True, help="Value date of the statement, or its last.")
@click.option("--from", "first", help="Its first value date, if it covers several.")
@click.option("--opening", type=int, help="Opening balance, minor units; else the file's.")
@click.option("--closing", type=int, help="Closing balance, minor units; else the file's.")
@click.option("--dry-run", is_flag=True, help="Say what would come of it, record nothing.")
@click.option("--signer", help="operator:ID that signs; else a token is sent.")
@click.option("--key", type=click.Path(path_type=Path), help="The signer's private key, PEM.")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def reconcile(
    home: Path | None, account: str, currency: str | None, day: str, first: str | None,
    opening: int | None, closing: int | None, dry_run: bool, signer: str | None,
    key: Path | None, file: Path,
) -> None:
    """Hold an account against a bank's statement (CSV or Parquet); may be repeated."""
    from ledger.entrypoints import imports

    done = imports.reconcile(
        settings_module.load(home=home), file, account, currency, parse_date(first or day),
        parse_date(day), opening, closing, dry_run=dry_run, signer=signer, key=key,
    )
    print(json.dumps(done, indent=1, ensure_ascii=False))


@main.command()
@_home
def migrate(home: Path | None) -> None:
    """Bring the database to this program's schema; a copy as it was stays beside it."""
    print(json.dumps(operations.migrate(settings_module.load(home=home)), indent=1))


@main.command()
@_home
@click.option("--date", "day", required=True, help="A date whose files are written.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A new folder.")
def instructions(home: Path | None, day: str, out: Path) -> None:
    """Open a date's sealed instruction files, as CSV for the bank's channel; leaves no entry."""
    print(json.dumps(
        operations.instructions(settings_module.load(home=home), parse_date(day), out), indent=1
    ))


@main.command()
@_home
@click.option("--new-key", is_flag=True, help="Make the next sealing key first.")
def reseal(home: Path | None, new_key: bool) -> None:
    """Seal with the newest key what older ones sealed; while no service runs."""
    print(json.dumps(
        operations.reseal(settings_module.load(home=home), new_key=new_key), indent=1
    ))


@main.command()
@_home
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A new folder.")
def backup(home: Path | None, out: Path) -> None:
    """Copy the database into a folder while the service goes on; keys are not in it."""
    print(json.dumps(operations.backup(settings_module.load(home=home), out), indent=1))


@main.command()
@_home
@click.option("--from", "source", type=click.Path(path_type=Path, exists=True, file_okay=False),
              required=True, help="A backup's folder.")
def restore(home: Path | None, source: Path) -> None:
    """Verify a backup and put it where no ledger is: SQLite in the home, or PostgreSQL."""
    print(json.dumps(operations.restore(settings_module.load(home=home), source), indent=1))


@main.command()
@_home
def state(home: Path | None) -> None:
    """Show what the ledger holds."""
    print(json.dumps(asdict(operations.state(settings_module.load(home=home))), indent=1))


@main.command()
@_home
@click.option("--date", "day", required=True, help="A closed business date.")
@click.option("--sent-at", required=True, help="Time for the control files, with zone.")
@click.option("--sequence", type=click.IntRange(1, 999), default=1, show_default=True)
def export(home: Path | None, day: str, sent_at: str, sequence: int) -> None:
    """Write a closed date's deliveries into the inbox."""
    try:
        moment = datetime.fromisoformat(sent_at)
    except ValueError:
        raise UsageFault(f"{sent_at!r} is not a time", "Write 2026-09-13T01:00:00+08:00.") from None
    if moment.tzinfo is None:
        raise UsageFault(f"{sent_at!r} has no zone", "Write 2026-09-13T01:00:00+08:00.")
    done = operations.export_day(
        settings_module.load(home=home), parse_date(day), sequence, sent_at=moment
    )
    print(json.dumps({name: str(value) for name, value in asdict(done).items()}, indent=1))


def run() -> None:
    """Entry point: an error is one sentence and an exit code."""
    try:
        main.main(standalone_mode=False, prog_name="python -m ledger")
    except PaylakeError as error:
        print(f"ledger: {error.sentence()}", file=sys.stderr)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(130)
