"""Files on disk that are there whole or not at all, also after a loss of power. Imports the
standard library and the errors alone: every environment writes some."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paylake.errors import disk_fault


@contextmanager
def named_writes(where: Path) -> Iterator[None]:
    """Turn an error of writing at or below a place into one of the kernel's.

    :raises DiskFull, EnvironmentFault: what was to be written is not there, and can be asked for
        again
    """
    try:
        yield
    except OSError as error:
        raise disk_fault(error, where) from error


def write(path: Path, data: bytes) -> None:
    """Write a file, and the folder that it is in, so that a reader sees the old one or the new
    one, and a crash leaves either.

    :raises DiskFull, EnvironmentFault: the old file is still there
    """
    _write(path, data, 0o644, 0o755)


def write_private(path: Path, data: bytes) -> None:
    """Write a secret so that no other user ever could read it, whole or not at all.

    :raises DiskFull, EnvironmentFault: the old file is still there
    """
    _write(path, data, 0o600, 0o700)


def _write(path: Path, data: bytes, mode: int, folder_mode: int) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with named_writes(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=folder_mode)
        try:
            put(partial, data, mode)
            partial.replace(path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
        flush_folder(path.parent)


def put(path: Path, content: bytes | Path, mode: int = 0o644) -> None:
    """Write a file, or a copy of one, to the disk: for one of many in a folder that nobody looks
    into before it has all of them.

    :raises OSError: what is written of it stays
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        if isinstance(content, Path):
            with content.open("rb") as source:
                shutil.copyfileobj(source, file, 1 << 20)
        else:
            file.write(content)
        file.flush()
        os.fsync(descriptor)


def flush_folder(folder: Path) -> None:
    """Have the names in a folder outlive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
