"""A home in one file, and back: what cannot be made again, with a digest of every member.

Left out: `airflow`, `superset`, `serving`, `log` and `run`, made again from the rest. The lake is
copied under its lease; the ledger through SQLite's online backup, so it may go on posting.
"""

from __future__ import annotations

import errno
import io
import json
import shutil
import sqlite3
import tarfile
import tempfile
import zlib
from pathlib import Path, PurePosixPath

import click

from cli.app import Context
from cli.output import console
from paylake.crypto import sm3_file
from paylake.errors import NotVerified, UsageFault, disk_fault
from paylake.lease import lease
from paylake.settings import Settings
from paylake.store import needs_folder

FORMAT = "paylake-backup/1"
FOLDERS = ("keys", "landing", "lake", "ledger", "reports", "simulator")
FILES = ("home.json", "paylake.toml")
MANIFEST = "backup.json"
#: What a running ledger changes all the time: nonces of the last minutes, files not whole yet.
_UNDER_WAY = ("nonces", ".")


def members(settings: Settings) -> list[Path]:
    """Every file that a backup holds, sorted; the ledger's database files, and what it is writing,
    are not among them."""
    found = [settings.path(name) for name in FILES if settings.path(name).is_file()]
    for folder in FOLDERS:
        found += [
            path
            for path in settings.path(folder).rglob("*")
            if path.is_file() and not (folder == "ledger" and path.name.startswith(_UNDER_WAY))
            and not path.name.startswith("ledger.db")
        ]
    return sorted(found)


def write(settings: Settings, out: Path) -> int:
    """Write the backup; returns how many files it holds.

    :raises UsageFault: when `out` exists: a backup never overwrites another one; when the lake is
        in an object store.
    """
    needs_folder(
        settings,
        "Backup",
        "Keep its objects by the store's own versioning, and copy the rest of the home.",
    )
    if out.exists():
        raise UsageFault("There is a file of that name", "Give another name.", where=str(out))
    partial = out.with_name(f".{out.name}.partial")
    digests: dict[str, str] = {}
    try:
        with (
            lease(settings, "backup", during_restatement=True),
            tarfile.open(partial, "w:gz", compresslevel=1, dereference=True) as archive,
        ):
            for path in members(settings):
                name = str(path.relative_to(settings.home))
                digests[name] = sm3_file(path)
                archive.add(path, name, recursive=False)
            ledger = settings.path("ledger", "ledger.db")
            if ledger.is_file():
                with tempfile.TemporaryDirectory(dir=out.parent) as folder:
                    copy = Path(folder) / "ledger.db"
                    _copy_ledger(ledger, copy)
                    digests["ledger/ledger.db"] = sm3_file(copy)
                    archive.add(copy, "ledger/ledger.db")
            document = json.dumps({"format": FORMAT, "files": digests}, indent=1).encode()
            info = tarfile.TarInfo(MANIFEST)
            info.size = len(document)
            archive.addfile(info, io.BytesIO(document))
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise disk_fault(error, out) from error
    partial.chmod(0o600)  # it holds the keys
    partial.replace(out)
    return len(digests)


def _copy_ledger(source: Path, target: Path) -> None:
    with sqlite3.connect(source) as reading, sqlite3.connect(target) as writing:
        reading.backup(writing)
    writing.close()
    reading.close()


def read(settings: Settings, source: Path) -> int:
    """Restore into an empty home; returns how many files came back, each with its digest checked.

    :raises UsageFault: when the home is not empty, or the lake is in an object store.
    :raises NotVerified: when the file is not a backup, or a member differs from its digest.
    """
    needs_folder(
        settings,
        "Restoring",
        "Restore without PAYLAKE_LAKE, into a folder; an object store has its own versions.",
    )
    home = settings.home
    if home.exists() and any(home.iterdir()):
        raise UsageFault(
            "The home is not empty", "Restore into a new one (PAYLAKE_HOME).", where=str(home)
        )
    home.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(source, "r:gz") as archive:
            _unpack(archive, home)
        document = json.loads((home / MANIFEST).read_text("utf-8"))
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise disk_fault(error, home) from error
        raise NotVerified(
            f"Not a backup that can be read: {error}", "Use another copy.", where=str(source)
        ) from error
    files = document.get("files") if isinstance(document, dict) else None
    if not isinstance(files, dict) or document.get("format") != FORMAT:
        raise NotVerified(
            f"Not a backup of the format {FORMAT}", "Use one of `bin/paylake backup`.",
            where=str(source),
        )
    there = {str(p.relative_to(home)) for p in home.rglob("*") if p.is_file()} - {MANIFEST}
    wrong = sorted(there ^ set(files))
    wrong += [name for name in sorted(there & set(files)) if sm3_file(home / name) != files[name]]
    if wrong:
        raise NotVerified(
            f"The backup is damaged: {', '.join(wrong[:5])}",
            "Use another copy; what was unpacked is not usable.",
            where=str(home),
        )
    (home / MANIFEST).unlink()
    for path in (home / "keys").glob("*"):
        path.chmod(0o600)
    (home / "keys").chmod(0o700)
    return len(files)


def _unpack(archive: tarfile.TarFile, home: Path) -> None:
    """Files and folders below the home, and nothing else that an archive may name: the standard
    library has a filter for that since Python 3.11.4 alone.

    :raises tarfile.TarError: for any other member
    """
    for member in archive:
        name = PurePosixPath(member.name)
        if name.is_absolute() or ".." in name.parts:
            raise tarfile.TarError(f"{member.name} is not below the home")
        path = home / name
        if member.isdir():
            path.mkdir(parents=True, exist_ok=True)
            continue
        content = archive.extractfile(member) if member.isfile() or member.islnk() else None
        if content is None:
            raise tarfile.TarError(f"{member.name} is no file")
        path.parent.mkdir(parents=True, exist_ok=True)
        with content, path.open("wb") as file:
            shutil.copyfileobj(content, file)
        path.chmod(member.mode & 0o755 | 0o600)


@click.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="paylake.tar.gz")
@click.pass_obj
def backup(ctx: Context, out: Path) -> None:
    """Write the home to one file (it holds the keys: guard it)."""
    count = write(ctx.settings, out)
    console.print(f"{out}: {count:,} files, {out.stat().st_size / 1e6:,.1f} MB, "
                  f"SM3 {sm3_file(out)}")


@click.command()
@click.option("--from", "source", type=click.Path(path_type=Path, exists=True), required=True)
@click.pass_obj
def restore(ctx: Context, source: Path) -> None:
    """Restore a backup into an empty home, and verify what came back."""
    count = read(ctx.settings, source)
    console.print(f"{ctx.settings.home}: {count:,} files, each equal to its digest")
    if ctx.settings.path("lake", "ops").is_dir():
        from cli import pipeline

        written = pipeline.renew_reader_files(ctx.settings)
        console.print(f"reader files: {len(written)} written for this place")
    if ctx.settings.path("ledger", "ledger.db").is_file():
        from ledger.entrypoints import operations

        verified = operations.verify(ctx.settings)
        console.print(f"ledger verified: {verified.journals:,} journals")
