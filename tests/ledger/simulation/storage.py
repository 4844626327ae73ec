"""A storage that fails: what a disk, a full disk, a killed process and a loss of power do to
SQLite, within what SQLite is promised: what was flushed stays, what was not may be there in part.
"""

from __future__ import annotations

import random
import sqlite3
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

FAULTS = ("disk I/O error", "database or disk is full", "database is locked")
_HEADER, _FRAME, _SECTOR = 32, 24, 512


class Crash(BaseException):
    """The process ends here."""


class Files:
    """Database and write-ahead log as bytes.

    :param durable: up to here the log was flushed; None: whatever of it is committed
    """

    def __init__(self, path: Path) -> None:
        self.path, self.log = path, path.with_name(path.name + "-wal")
        self.durable: int | None = None
        self.taken = False

    def read(self) -> None:
        self.taken = True
        self.database = self.path.read_bytes()
        self.frames = self.log.read_bytes() if self.log.exists() else b""

    def read_log(self) -> None:
        """The log alone: a commit that has not answered has touched nothing else that counts."""
        before = self.frames
        self.frames = self.log.read_bytes()
        same = before[:_HEADER] == self.frames[:_HEADER]
        self.durable = committed(before) if same else 0

    def write(self) -> None:
        self.path.write_bytes(self.database)
        self.log.write_bytes(self.frames)
        self.path.with_name(self.path.name + "-shm").unlink(missing_ok=True)


def committed(log: bytes) -> int:
    """Where the last commit of a write-ahead log ends."""
    return max((end for end, *_, size in _frames(log) if size), default=min(len(log), _HEADER))


def _frames(log: bytes) -> list[tuple[int, int, bytes, int]]:
    """End, page number, page, and size after the commit (0: not a commit) of each frame up to the
    first that does not follow from those before it by its checksum, as SQLite reads them."""
    found: list[tuple[int, int, bytes, int]] = []
    if len(log) < _HEADER:
        return found
    order = ">" if log[3] & 1 else "<"
    (size,), at = struct.unpack(">I", log[8:12]), _HEADER
    sums = _checksum((0, 0), log[:24], order)
    while at + _FRAME + size <= len(log) and log[at + 8:at + 16] == log[16:24]:
        start, end = at + _FRAME, at + _FRAME + size
        sums = _checksum(_checksum(sums, log[at:at + 8], order), log[start:end], order)
        if struct.pack(">II", *sums) != log[at + 16:at + 24]:
            break
        page, pages = struct.unpack(">II", log[at:at + 8])
        found.append((end, page, log[start:end], pages))
        at = end
    return found


def _checksum(sums: tuple[int, int], data: bytes, order: str) -> tuple[int, int]:
    one, two = sums
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for first, second in zip(words[::2], words[1::2], strict=True):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    return one, two


def lose_power(files: Files, drawn: random.Random) -> None:
    """What the disk shows afterwards: of what was not flushed something, torn or not; pages that
    were being copied into the database, torn or not, while the log has them all."""
    log, durable = bytearray(files.frames), files.durable
    if durable is None:
        durable = committed(files.frames)
    if drawn.random() < 0.5:
        database, size = bytearray(files.database), struct.unpack(">I", log[8:12] or b"\0" * 4)[0]
        latest = {page: data for end, page, data, _ in _frames(bytes(log)) if end <= durable}
        for page, data in sorted(latest.items()):
            if 1 < page <= len(database) // size + 1 and drawn.random() < 0.5:
                part = drawn.choice((size, size // 2, _SECTOR))
                database[(page - 1) * size:(page - 1) * size + part] = data[:part]
        files.database = bytes(database)
    torn = drawn.choice(("kept", "cut", "holes", "garbage"))
    if torn == "cut":
        del log[drawn.randint(durable, max(durable, len(log))):]
    elif torn == "holes":
        for at in range(durable, len(log), _SECTOR):
            if drawn.random() < 0.5:
                end = min(at + _SECTOR, len(log))
                log[at:end] = bytes(end - at)
    elif torn == "garbage":
        log += drawn.randbytes(drawn.randint(1, 9000))
    files.frames = bytes(log)


class Faulty:
    """A connection of which now and then a statement fails, before or after it was done.

    A commit that fails afterwards is the outcome that nobody was told. After a crash nothing is
    done any more.

    :param files: where the writer's crash finds the files; None for one that only reads
    :param most: how often it fails in all
    """

    def __init__(self, db: sqlite3.Connection, files: Files | None, drawn: random.Random,
                 count: Callable[[str], None], most: int) -> None:
        self.db, self.files, self.drawn, self.count, self.left = db, files, drawn, count, most
        self.dead = False
        self._next()

    def _next(self) -> None:
        self.until = self.drawn.randint(1, 40) if self.left else 0
        self.at_commit = self.drawn.random() < 0.4

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.db, name)
        if name not in ("execute", "executemany"):
            return found
        return lambda sql, *arguments: self._call(found, sql, arguments)

    def _call(self, real: Any, sql: str, arguments: tuple) -> Any:
        if self.dead:
            raise Crash
        self.until -= 1
        if self.until == 0 and self.at_commit and sql != "commit":
            self.until = 1
        if self.until != 0:
            return real(sql, *arguments)
        self.left -= 1
        self._next()
        after, crash = self.drawn.random() < 0.5, self.drawn.random() < 0.5
        if sql == "rollback":
            crash = True  # SQLite's rollback has no answer but done
        if crash:
            self._crash(real, sql, arguments, after)
        if after:
            real(sql, *arguments)
        what = self.drawn.choice(FAULTS)
        self.count("unknown outcome" if after and sql == "commit" else what)
        raise sqlite3.OperationalError(what)

    def _crash(self, real: Any, sql: str, arguments: tuple, after: bool) -> None:
        self.dead = True
        committing = after and sql == "commit"
        self.count("crash after commit" if committing else "crash")
        if self.files is not None:
            if after and not committing:
                real(sql, *arguments)
            self.files.read()
            if committing:
                real(sql, *arguments)
                self.files.read_log()
        raise Crash
