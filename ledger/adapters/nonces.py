"""The nonces of signed requests of the last minutes, in two files of the home, so that a service
that was started again still knows them.

Only requests that no key keeps from being answered twice are written: a command has its key. A line
is appended and not flushed to the disk, so it outlives the process at once and the machine after
some seconds; that would be too dear a guarantee for a read.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from paylake.errors import DiskFull, EnvironmentFault


class KeptNonces:
    """The files of one service.

    :param folder: where they are, `<home>/ledger`
    :param seconds: for how long a nonce is kept at the least
    :param now: seconds since 1970
    """

    def __init__(self, folder: Path, seconds: float, now: float) -> None:
        self.seconds = seconds
        self._path, self._before = folder / "nonces", folder / "nonces.before"
        self._partial = folder / ".nonces.partial"
        #: What was kept, the oldest first: nonce with its signer, and when it came.
        self.found = {
            key: at for path in (self._before, self._path) for at, key in _lines(path)
            if at > now - seconds
        }
        self._torn = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = _opened(self._partial, os.O_TRUNC)
            for key, at in self.found.items():
                self._write(key, at)
            self._partial.replace(self._path)
            self._before.unlink(missing_ok=True)
        except OSError as error:
            raise self._named(error, "then start the service again") from error
        self._since = now

    def add(self, key: str, now: float) -> None:
        """Keep one more.

        :raises DiskFull, EnvironmentFault: the request is then not to be answered
        """
        try:
            if now - self._since > self.seconds:
                self._roll(now)
            self._write(key, now)
        except OSError as error:
            raise self._named(error, "then send it again") from error

    def _write(self, key: str, at: float) -> None:
        """Append a line. A full disk may take a part of it: the next one then begins a line."""
        line = f"{at:.0f} {key}\n".encode()
        if self._torn:
            line = b"\n" + line
        written = os.write(self._file, line)
        if written < len(line):
            self._torn = self._torn or written > 0
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._torn = False

    def _named(self, error: OSError, then: str) -> DiskFull | EnvironmentFault:
        full = error.errno == errno.ENOSPC
        return (DiskFull if full else EnvironmentFault)(
            f"the nonce of a request cannot be kept ({error.strerror})",
            f"make room, {then}" if full else f"see what keeps the folder from it, {then}",
            where=str(self._path),
        )

    def _roll(self, now: float) -> None:
        """Begin the next file. Where it cannot be begun, the next request tries it again: the
        file before may then have its place already, and what is there is of the last minutes."""
        file = _opened(self._partial, os.O_TRUNC)
        try:
            if self._path.exists():
                self._path.replace(self._before)
            self._partial.replace(self._path)
        except OSError:
            os.close(file)
            raise
        os.close(self._file)
        self._file, self._since, self._torn = file, now, False

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def _opened(path: Path, more: int) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | more, 0o600)


def _lines(path: Path) -> Iterator[tuple[float, str]]:
    """Times and nonces of a file; a last line that was not written whole is left out."""
    if not path.is_file():
        return
    for line in path.read_text("utf-8", "replace").splitlines(keepends=True):
        at, _, key = line.rstrip("\n").partition(" ")
        if line.endswith("\n") and at.isdigit():
            yield float(at), key
