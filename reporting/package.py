"""Packages on disk: a folder and a ZIP of it, written whole or not at all.

``<home>/reports/<report>/<date>/`` holds the files, ``VERIFY.md``, ``manifest.json`` and
``manifest.json.sig``; ``<home>/reports/<report>/<report>_<date>.zip`` holds the same.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from paylake.crypto import sm3_hex
from paylake.errors import NotVerified, disk_fault
from reporting import manifest
from reporting.workbook import ZIP_TIME

# A package of a regulator or merchant is small; a larger one is an attack on whoever unpacks it.
LARGEST_FILE = 256 << 20
LARGEST_COUNT = 100_000
LARGEST_WHOLE = 1 << 30


def folder(root: Path, report: str, day: date) -> Path:
    return root / report / day.isoformat()


def archive(root: Path, report: str, day: date) -> Path:
    return root / report / f"{report}_{day.isoformat()}.zip"


def write(root: Path, report: str, day: date, files: Mapping[str, bytes]) -> None:
    """Put folder and ZIP in place, replacing what was there.

    Each appears by one rename, complete. A killed writer leaves a hidden folder, which the next
    one removes.

    :raises DiskFull: and other failures of writing, with nothing half done.
    """
    target, zipped = folder(root, report, day), archive(root, report, day)
    partial = target.with_name(f".{day.isoformat()}.partial")
    old = target.with_name(f".{day.isoformat()}.old")
    try:
        for left in (partial, old):
            shutil.rmtree(left, ignore_errors=True)
        partial.mkdir(parents=True)
        for name, data in files.items():
            (partial / name).write_bytes(data)
        if target.exists():
            target.rename(old)
        partial.rename(target)
        shutil.rmtree(old, ignore_errors=True)
        write_zip(zipped, f"{report}_{day.isoformat()}", files)
    except OSError as error:
        raise disk_fault(error, target) from error


def write_zip(path: Path, inner: str, files: Mapping[str, bytes]) -> None:
    """A ZIP with one folder, names in order, constant times and rights."""
    partial = path.with_name(f".{path.name}.partial")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as packed:
        for name in sorted(files):
            entry = zipfile.ZipInfo(f"{inner}/{name}", ZIP_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            packed.writestr(entry, files[name])
    partial.replace(path)


def read(path: Path) -> dict[str, bytes]:
    """Files of a package, folder or ZIP, by name.

    :raises NotVerified: when there is no package, or the ZIP is damaged or not of the shape that
        `write_zip` gives (other paths, links, doubled or oversized entries).
    """
    if path.is_dir():
        return _read_folder(path)
    if path.is_file():
        return _read_zip(path)
    raise NotVerified("No such package", "Give the path of a folder or ZIP.", where=str(path))


def _refuse(problem: str, path: Path) -> NotVerified:
    return NotVerified(problem, "Ask the sender for the package again.", where=str(path))


def _read_folder(path: Path) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for entry in sorted(path.iterdir()):
        if entry.is_symlink() or not entry.is_file():
            raise _refuse(f"{entry.name} is not a plain file", path)
        if entry.stat().st_size > LARGEST_FILE:
            raise _refuse(f"{entry.name} is larger than {LARGEST_FILE} bytes", path)
        files[entry.name] = entry.read_bytes()
    return files


def _read_zip(path: Path) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(path) as packed:
            entries = packed.infolist()
            if len(entries) > LARGEST_COUNT:
                raise _refuse(f"The ZIP holds more than {LARGEST_COUNT} entries", path)
            if sum(entry.file_size for entry in entries) > LARGEST_WHOLE:
                raise _refuse(f"The ZIP unpacks to more than {LARGEST_WHOLE} bytes", path)
            for entry in entries:
                parts = entry.filename.split("/")
                name = parts[-1]
                if len(parts) != 2 or parts[0] in ("", ".", "..") or name in ("", ".", ".."):
                    raise _refuse(f"The ZIP holds {entry.filename!r}, outside its folder", path)
                if name in files:
                    raise _refuse(f"The ZIP holds {name!r} twice", path)
                if entry.file_size > LARGEST_FILE:
                    raise _refuse(f"{name} is larger than {LARGEST_FILE} bytes", path)
                files[name] = packed.read(entry)
    except (
        zipfile.BadZipFile,
        zipfile.zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise _refuse(f"The ZIP is damaged: {error}", path) from None
    return files


def differences(document: Mapping, files: Mapping[str, bytes]) -> list[str]:
    """How files differ from a manifest: missing, altered and extra ones, in words."""
    listed = {f["name"]: f for f in document["files"]}
    problems = []
    for name, entry in listed.items():
        if name not in files:
            problems.append(f"{name} is missing")
        elif len(files[name]) != entry["bytes"] or sm3_hex(files[name]) != entry["sm3"]:
            problems.append(f"{name} was altered")
    own = {manifest.NAME, manifest.SIGNATURE}
    problems += [f"{name} is extra" for name in sorted(set(files) - set(listed) - own)]
    return problems
