"""What operators do with a ledger besides posting: serve, verify, export. Called by the command
line and by `bin/paylake ledger …`."""

from __future__ import annotations

import gc
import json
import logging
import signal
import socket
import sys
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import uvicorn

from ledger import compiled
from ledger.adapters import backup as backups
from ledger.adapters.calendars import payout_calendar
from ledger.adapters.data_files import load_chart, load_hold_kinds, load_operations
from ledger.adapters.export import export_day
from ledger.adapters.heads import (
    HeadFiles,
    heads_in,
    read_heads,
    refuse_older,
    signing_key_id,
    trusted_by,
)
from ledger.adapters.sqlite_reader import SqliteReader
from ledger.adapters.storage import known, ledger_path, open_reader, open_store, place
from ledger.adapters.tokens import Tokens, ensure_demo_token
from ledger.adapters.vault import SealedVault
from ledger.entrypoints import logs
from ledger.service.clock import Clock
from ledger.service.ledger import Ledger
from ledger.service.turns import take_turns
from ledger.service.verify import Verified
from ledger.service.verify import verify as verify_rows
from ledger.service.verify import verify_export as verify_exported_rows
from ledger.service.verify.since import Since
from paylake import home
from paylake.crypto import verify_hex
from paylake.dates import business_date, next_working_day
from paylake.errors import EnvironmentFault, NotVerified, PermanentFailure, UsageFault
from paylake.keys import Keyring
from paylake.settings import Settings

__all__ = ["LedgerState", "export_day", "open_ledger", "serve", "state", "verify"]
log = logging.getLogger("ledger")


@dataclass(frozen=True, slots=True)
class LedgerState:
    """A ledger as it stands on disk, read without the service."""

    kind: str
    journals: int
    accounts: int
    closed_dates: int
    last_closed: str | None
    clock: str | None


def state(settings: Settings) -> LedgerState:
    """:raises PermanentFailure: when there is no ledger."""
    reader = open_reader(settings)
    try:
        with reader.snapshot():
            closed = reader.closed_dates()
            return LedgerState(
                kind=reader.meta("kind") or "",
                journals=reader.counts()[1],
                accounts=sum(1 for _ in reader.documents(["account"])),
                closed_dates=len(closed),
                last_closed=closed[-1] if closed else None,
                clock=reader.meta("clock"),
            )
    finally:
        reader.close()


def is_there(settings: Settings) -> bool:
    """Whether this home has a ledger, or had one: signed heads without a database are one that was
    lost."""
    return bool(settings.ledger_database or read_heads(settings)) or (
        ledger_path(settings).is_file()
    )


def verify(settings: Settings) -> Verified:
    """Check the whole ledger; works beside a running service.

    :raises NotVerified: exit code 16, naming the first broken row
    """
    reader = open_reader(settings)
    try:
        found = verify_rows(
            reader, load_chart(), load_operations(), load_hold_kinds(),
            trusted_by(settings),
            lambda: read_heads(settings), verify_hex,
        )
    except EnvironmentFault as error:
        raise NotVerified(
            f"The ledger's database cannot be read to its end: {error.what}",
            "Restore the last backup and verify it; nothing was changed.", where=error.where,
        ) from error
    finally:
        reader.close()
    if found.broken is not None:
        raise NotVerified(
            f"The ledger does not verify; first broken row: {found.broken.sentence()}",
            "Stop the service and compare with the last backup and the day heads; nothing "
            "was changed.",
            where=place(settings),
        )
    return found


def verify_export(settings: Settings, folder: Path) -> Verified:
    """Check an export of the log with the trust file's keys alone.

    :raises NotVerified: exit code 16, naming the first broken row
    """
    from ledger.adapters.log_export import ExportReader

    try:
        found = verify_exported_rows(
            ExportReader(folder), load_chart(), load_operations(), load_hold_kinds(),
            trusted_by(settings),
            verify_hex,
        )
    except PermanentFailure as error:
        raise NotVerified(error.what, error.next_step, where=error.where) from error
    if found.broken is not None:
        raise NotVerified(
            f"The export does not verify; first broken row: {found.broken.sentence()}",
            "Ask for another copy, and compare with the heads that you hold.",
            where=str(folder),
        )
    return found


def verify_since(settings: Settings, name: str) -> dict[str, object]:
    """Check the log after a signed head: its file's signature, then every digest, then the
    signatures of callers, people and checkers, and of sessions.

    :param name: of the head: a date, or that of an hourly one
    :raises UsageFault: when there is no such head
    :raises NotVerified: exit code 16, naming the first broken row
    """
    from ledger.adapters.chain_check import check_chain

    file = read_heads(settings).get(name)
    if file is None:
        raise UsageFault(
            f"There is no head {name}", "The folder ledger/heads has one file a head.",
            where=str(settings.path("ledger", "heads")),
        )
    said = json.loads(file[0])
    if not trusted_by(settings)(said["key_id"], name, *file):
        raise NotVerified(
            f"The signature of head {name} does not verify", "Use an earlier head.",
            where=str(settings.path("ledger", "heads")),
        )
    found = check_chain(
        settings, said["chain_sequence"] + 1, bytes.fromhex(said["chain_digest"])
    )
    broken = found.broken
    if broken is None:
        reader = open_reader(settings)
        try:
            with reader.snapshot():
                signed = Since(
                    reader, load_chart(), load_operations(), load_hold_kinds(), verify_hex,
                    said["chain_sequence"]
                ).check()
        finally:
            reader.close()
        broken = signed.broken
    if broken is not None:
        raise NotVerified(
            f"The log since {name} does not verify; first broken row: {broken.sentence()}",
            "Stop the service and compare with the last backup; nothing was changed.",
            where=place(settings),
        )
    return {
        "since": name, "entries": found.entries, "journals": found.journals,
        "requests": signed.requests, "approvals": signed.approvals,
        "uncovered_requests": signed.uncovered_requests, "chain_digest": found.chain_digest,
    }


def export_log(settings: Settings, folder: Path) -> dict[str, object]:
    """Write the whole log and its heads into a folder."""
    from ledger.adapters.log_export import export_log as run

    done = run(settings, folder)
    return {"entries": done.entries, "heads": done.heads, "folder": str(done.folder)}


def verify_chain(settings: Settings) -> dict[str, object]:
    """Recompute the chain's digests alone, on every core; works beside a running service.

    :raises NotVerified: exit code 16, naming the first broken row
    """
    from ledger.adapters.chain_check import check_chain

    found = check_chain(settings)
    if found.broken is not None:
        raise NotVerified(
            f"The chain does not verify; first broken row: {found.broken.sentence()}",
            "Stop the service and compare with the last backup and the heads; nothing was "
            "changed.", where=place(settings),
        )
    return {
        "entries": found.entries, "journals": found.journals,
        "chain_digest": found.chain_digest,
    }


def migrate(settings: Settings) -> dict[str, object]:
    """Bring the database to this program's schema.

    :raises PermanentFailure: when there is none, or it is newer than this program
    """
    from ledger.adapters.migrate import migrate as upgrade
    from ledger.adapters.migrate import migrate_postgres

    if settings.ledger_database:
        done = migrate_postgres(settings.ledger_database)
    else:
        done = upgrade(ledger_path(settings))
    return {
        "schema_before": done.before, "schema_after": done.after,
        "kept": None if done.kept is None else str(done.kept),
    }


def instructions(settings: Settings, day: date, folder: Path) -> dict[str, object]:
    """Write a date's sealed instruction files as CSV into a new folder.

    :raises UsageFault: when the folder is there
    :raises PaylakeError: when there are none, or one does not open
    """
    from ledger.adapters.instructions import unsealed

    return {"files": [str(path) for path in unsealed(settings, day, folder)]}


def reseal(settings: Settings, *, new_key: bool) -> dict[str, object]:
    """Seal the sensitive values that older keys sealed with the newest key.

    :raises LeaseHeld: when the service has the ledger open
    :raises PaylakeError: when a value does not open
    """
    from ledger.adapters.resealing import reseal as run

    return asdict(run(settings, new_key=new_key))


def backup(settings: Settings, folder: Path) -> dict[str, object]:
    """Copy the ledger's database into a folder; the service may go on posting.

    :raises UsageFault: when the folder is there
    :raises PermanentFailure: when there is no ledger
    """
    return _copied(backups.back_up(settings, folder))


def restore(settings: Settings, folder: Path) -> dict[str, object]:
    """Verify a backup, put it in the place of a ledger that is not there, and verify that.

    :raises UsageFault: when there is a ledger
    :raises NotVerified: exit code 16, when the backup is damaged, or what it holds does not
        verify; then nothing was restored
    """
    backups.read_manifest(folder)
    reader = known(SqliteReader(folder / "ledger.db"), str(folder))
    try:
        found = verify_rows(
            reader, load_chart(), load_operations(), load_hold_kinds(),
            trusted_by(settings),
            lambda: heads_in(folder / "heads"), verify_hex,
        )
    finally:
        reader.close()
    if found.broken is not None:
        raise NotVerified(
            f"The backup does not verify; first broken row: {found.broken.sentence()}",
            "Use another copy; nothing was restored.", where=str(folder),
        )
    done = backups.restore(settings, folder)
    verify(settings)
    return _copied(done)


def _copied(done: backups.Copied) -> dict[str, object]:
    return {
        "entries": done.entries, "chain_digest": done.chain_digest, "heads": done.heads,
        "folder": str(done.folder),
    }


def check_kind(settings: Settings, simulated: bool) -> None:
    """A simulated ledger takes demo keys alone, any other takes none.

    :raises UsageFault: when home, key and mode do not fit together
    """
    if simulated and home.exists(settings) and home.read(settings).kind != "simulated":
        raise UsageFault(
            f"This home is {home.read(settings).kind}, its ledger cannot be simulated",
            "Leave out --simulated, or use a simulated home.", where=str(settings.home),
        )
    key_id = signing_key_id(settings)
    key = Keyring(settings).trust()[key_id]
    if key.is_demo != simulated:
        raise UsageFault(
            "A simulated ledger takes demo keys alone" if simulated
            else f"Key {key_id} is a demo key, and this ledger is not simulated",
            "Use a home of its own for the simulation." if simulated
            else "Put a real key in its place, or start with --simulated.",
            where=str(settings.path("keys", "trust.json")),
        )


def open_ledger(settings: Settings, *, simulated: bool) -> Ledger:
    """Open (or make) the ledger of a home for writing. Close it by `ledger.close()`.

    :raises NotVerified: when its heads outside the database name what it lacks, or its checkpoint
        or an entry since is damaged
    """
    refuse_older(settings)
    store = open_store(settings, simulated=simulated)
    try:
        clock = Clock(
            simulated, lambda moment: business_date(moment, settings), next_working_day,
            payout_calendar(),
        )
        keyring = Keyring(settings)
        return Ledger(
            store, load_chart(), load_operations(), load_hold_kinds(), clock,
            HeadFiles(settings), SealedVault.of_home(keyring), verify_hex,
        )
    except NotVerified as error:
        store.close()
        raise NotVerified(error.what, error.next_step, where=place(settings)) from error
    except BaseException:
        store.close()
        raise


def serve(settings: Settings, *, simulated: bool, port: int | None = None) -> None:
    """Run the HTTP service on `settings.listen` until SIGTERM or SIGINT; requests under way finish.

    :raises EnvironmentFault: when the port is taken; when the connection to the database was lost,
        for whoever starts services to start this one again
    """
    from ledger.entrypoints.connections import guarded
    from ledger.entrypoints.http import create_app

    logs.configure(settings)
    port = settings.ledger_port if port is None else port
    listener = _listen(settings.listen, port)
    try:
        if simulated:
            Keyring(settings).ensure_demo()
            ensure_demo_token(settings)
        check_kind(settings, simulated)
        tokens = Tokens.load(settings)
        ledger = open_ledger(settings, simulated=simulated)
    except BaseException:
        listener.close()
        raise
    log.info(
        "ledger open at sequence %d, %s, %s, http://%s:%d", ledger.head.sequence,
        "simulated" if simulated else "real",
        "compiled" if compiled.in_use else "interpreted", settings.listen, port,
        extra={"event": "ledger_opened", "sequence": ledger.head.sequence},
    )
    lost = False

    async def watch() -> None:
        nonlocal lost
        lost = ledger.lost
        if lost:
            server.should_exit = True

    app = create_app(settings, ledger, tokens)
    config = uvicorn.Config(
        app, log_config=None, access_log=False,
        timeout_graceful_shutdown=10, timeout_keep_alive=30, server_header=False,
        http=guarded(told=app.state.refused_connection, direct=app.state.direct),
        callback_notify=watch, timeout_notify=1,  # seconds
        proxy_headers=False,  # nothing here asks where a request is from
    )
    server = uvicorn.Server(config)
    _calm_collector()
    take_turns()
    # Uvicorn raises the signal again after its clean stop; that, too, is exit code 0.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    server.run(sockets=[listener])
    if lost:
        raise EnvironmentFault(
            "The ledger lost the connection to its database, and with it the writer's lock",
            "See that the database runs, then start the service again.", where=place(settings),
        )


def _calm_collector() -> None:
    """What the ledger keeps in memory has no cycles; looking for some again and again would cost
    more than the posting itself. The collector still runs, seldom, for what frameworks leave."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


def _listen(host: str, port: int) -> socket.socket:
    # The protocol is named so that accepted sockets get TCP_NODELAY: asyncio asks for it.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise EnvironmentFault(
            f"Port {port} is taken ({error.strerror})",
            "Stop what holds it, or set PAYLAKE_LEDGER_PORT.",
            where=f"{host}:{port}",
        ) from error
    return listener


def verified_as_dict(found: Verified) -> dict[str, object]:
    """For printing."""
    return {name: value for name, value in asdict(found).items() if name != "broken"}
