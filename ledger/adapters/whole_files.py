"""Files that are there whole or not at all, also after a loss of power."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paylake.errors import DiskFull, EnvironmentFault

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def named_writes(where: Path) -> Iterator[None]:
    """Turn an error of writing below a place into the kernel's.

    :raises DiskFull, EnvironmentFault: what was to be written is not there, and can be asked again
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise DiskFull(
                "the disk is full, a file could not be written", "make room, then try it again",
                where=str(where),
            ) from error
        raise EnvironmentFault(
            f"a file cannot be written ({error.strerror or type(error).__name__})",
            "see what keeps the folder from it, then try it again", where=str(where),
        ) from error


def write_whole(path: Path, data: bytes) -> None:
    """Write a file, and the folder that it is in.

    :raises DiskFull, EnvironmentFault: the file is as it was before
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with named_writes(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
        flush_folder(path.parent)


def flush_folder(folder: Path) -> None:
    """Have the names in a folder outlive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
