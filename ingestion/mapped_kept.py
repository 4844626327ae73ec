"""Outside files, kept: each sealed once, however many dates it holds, with the mapping beside it.

`landing/kept/<feed>/mapped/<digest of the file>-<digest of the mapping>/`: `<file>.sealed`,
`mapping.yml`, `kept.json`.
"""

from __future__ import annotations

import json
import os
import shutil
from datetime import date
from pathlib import Path

import pyarrow as pa

from paylake.crypto import seal, sm3_hex, unseal
from paylake.durable import flush_folder, put
from paylake.errors import NotVerified, PermanentFailure, disk_fault
from paylake.settings import Settings

FORMAT = "paylake-kept-mapped/1"


def folder(settings: Settings, feed: str, digest: str, mapping: bytes) -> Path:
    """Where the outside file of this digest is kept for a mapping."""
    return settings.path(
        "landing", "kept", feed, "mapped", f"{digest[:12]}-{sm3_hex(mapping)[:12]}"
    )


def known_days(settings: Settings, feed: str, digest: str, mapping: bytes) -> list[date]:
    """Business dates of a kept file; none when it is not kept yet."""
    manifest = folder(settings, feed, digest, mapping) / "kept.json"
    if not manifest.is_file():
        return []
    return [date.fromisoformat(day) for day in json.loads(manifest.read_text("utf-8"))["days"]]


def keep(
    settings: Settings,
    key: bytes,
    feed: str,
    name: str,
    data: bytes,
    mapping: bytes,
    days: list[date],
) -> str:
    """Seal an outside file durably; returns the folder's path below the home."""
    digest = sm3_hex(data)
    target = folder(settings, feed, digest, mapping)
    relative = str(target.relative_to(settings.home))
    if target.is_dir():
        return relative
    partial = target.with_name(f".{target.name}.partial-{os.getpid()}")
    manifest = {
        "format": FORMAT,
        "codec": "zstd",
        "name": name,
        "bytes": len(data),
        "sm3": digest,
        "days": [day.isoformat() for day in days],
    }
    packed = pa.Codec("zstd", 1).compress(data, asbytes=True)
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for file, content in (
            (f"{name}.sealed", seal(key, packed, f"mapped:{feed}/{digest}".encode())),
            ("mapping.yml", mapping),
            ("kept.json", json.dumps(manifest, indent=1).encode()),
        ):
            put(partial / file, content)
        flush_folder(partial)
        partial.rename(target)
        flush_folder(target.parent)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise disk_fault(error, partial) from error
    return relative


def open_kept(settings: Settings, key: bytes, kept_path: str) -> tuple[str, bytes, bytes]:
    """(file name, bytes, mapping) of a kept outside file.

    :raises NotVerified: when a byte was changed.
    :raises PermanentFailure: when the copy is not whole.
    """
    target: Path = settings.path(kept_path)
    feed = target.parent.parent.name
    try:
        manifest = json.loads((target / "kept.json").read_text("utf-8"))
        sealed = (target / f"{manifest['name']}.sealed").read_bytes()
        mapping = (target / "mapping.yml").read_bytes()
    except (OSError, ValueError, KeyError) as error:
        raise PermanentFailure(
            f"The kept copy is not whole: {error}", "Restore landing/kept from the backup.",
            where=str(target),
        ) from error
    packed = unseal(key, sealed, f"mapped:{feed}/{manifest['sm3']}".encode())
    data = pa.Codec("zstd").decompress(packed, manifest["bytes"], asbytes=True)
    if sm3_hex(data) != manifest["sm3"]:
        raise NotVerified(
            "The kept file has another digest than recorded",
            "Restore landing/kept from the backup.", where=str(target),
        )
    return manifest["name"], data, mapping
