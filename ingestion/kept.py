"""What came, kept: every file sealed with SM4 (C3 blanked first), both digests recorded.

`landing/kept/<feed>/<date>/<sequence>-<short digest>/` holds `<file>.sealed` (SM4-GCM over the
Zstandard-compressed bytes), the control file and signature as they came, and `kept.json` with the
digest of each file as received and as kept. A folder appears whole or not at all.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from ingestion.control import Received
from paylake.crypto import seal, sm3_hex, unseal
from paylake.deliveries import CONTROL_NAME, SIGNATURE_NAME
from paylake.durable import flush_folder, put
from paylake.errors import NotVerified, PermanentFailure, disk_fault
from paylake.settings import Settings

MANIFEST = "kept.json"
FORMAT = "paylake-kept/1"


def folder(settings: Settings, delivery_id: str, data_digest: str) -> Path:
    """Where a delivery is kept."""
    feed, day, sequence = delivery_id.split("/")
    return settings.path("landing", "kept", feed, day, f"{sequence}-{data_digest[:12]}")


@dataclass(frozen=True)
class KeptPlace:
    """Where a delivery is kept: its folder below the home, and whether it has to be written."""

    path: str
    is_new: bool


def place(settings: Settings, received: Received, digest: str) -> KeptPlace:
    """The folder of a delivery, by its name and data digest.

    A forged control file may come with the data that was kept before: each has its own folder.
    """
    target = folder(settings, received.place.delivery_id, digest)
    if target.exists() and (target / CONTROL_NAME).exists():
        same = (target / CONTROL_NAME).read_bytes() == received.control_bytes
        if same and (target / MANIFEST).exists():
            return KeptPlace(str(target.relative_to(settings.home)), False)
        target = target.with_name(f"{target.name}-{sm3_hex(received.control_bytes)[:8]}")
    return KeptPlace(str(target.relative_to(settings.home)), not target.exists())


def keep(
    settings: Settings, key: bytes, received: Received, clean: dict[str, bytes], into: KeptPlace
) -> None:
    """Seal a delivery's files durably, in a folder that appears whole or not at all.

    :param clean: file name → bytes with C3 blanked.
    :raises DiskFull: when there is no room; the inbox then still has everything.
    """
    delivery_id = received.place.delivery_id
    target = settings.path(into.path)
    partial = target.with_name(f".{target.name}.partial-{os.getpid()}")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        files = []
        for name, data in sorted(clean.items()):
            packed = pa.Codec("zstd", 1).compress(data, asbytes=True)
            put(partial / f"{name}.sealed", seal(key, packed, _context(delivery_id, name)))
            files.append(
                {
                    "name": name,
                    "bytes": len(data),
                    "sm3_received": received.digests[name],
                    "sm3_kept": (
                        received.digests[name]
                        if data is received.files[name]
                        else sm3_hex(data)
                    ),
                }
            )
        put(partial / CONTROL_NAME, received.control_bytes)
        put(partial / SIGNATURE_NAME, received.signature)
        manifest = {"format": FORMAT, "delivery_id": delivery_id, "codec": "zstd", "files": files}
        put(partial / MANIFEST, json.dumps(manifest, indent=1).encode())
        flush_folder(partial)
        partial.rename(target)
        flush_folder(target.parent)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise disk_fault(error, partial) from error


def open_files(settings: Settings, key: bytes, delivery_id: str, path: str) -> dict[str, bytes]:
    """The files of a kept delivery, opened and checked against the recorded digests.

    :raises NotVerified: when a byte was changed.
    :raises PermanentFailure: when the kept copy is not there.
    """
    target = settings.path(path)
    try:
        manifest = json.loads((target / MANIFEST).read_text("utf-8"))
        opened = {}
        for item in manifest["files"]:
            sealed = (target / f"{item['name']}.sealed").read_bytes()
            packed = unseal(key, sealed, _context(delivery_id, item["name"]))
            data = pa.Codec("zstd").decompress(packed, item["bytes"], asbytes=True)
            if sm3_hex(data) != item["sm3_kept"]:
                raise NotVerified(
                    f"The kept copy of {item['name']} has another digest than recorded",
                    "Restore landing/kept from the backup.",
                    where=str(target),
                )
            opened[item["name"]] = data
    except (FileNotFoundError, KeyError, ValueError) as error:
        raise PermanentFailure(
            f"The kept copy of {delivery_id} is not whole: {error}",
            "Restore landing/kept from the backup.",
            where=str(target),
        ) from error
    return opened


def _context(delivery_id: str, name: str) -> bytes:
    return f"kept:{delivery_id}/{name}".encode()


