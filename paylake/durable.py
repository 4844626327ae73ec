"""Small files on disk, whole or not at all. Imports the standard library and the errors alone:
every environment writes some."""

from __future__ import annotations

import os
from pathlib import Path

from paylake.errors import disk_fault


def write(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old one or the new one, and a crash leaves either.

    :raises DiskFull: when there is no room; the old file is then still there.
    """
    _write(path, data, 0o644, 0o755)


def write_private(path: Path, data: bytes) -> None:
    """Write a secret so that no other user ever could read it, whole or not at all."""
    _write(path, data, 0o600, 0o700)


def _write(path: Path, data: bytes, mode: int, folder_mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=folder_mode)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise disk_fault(error, path) from error
