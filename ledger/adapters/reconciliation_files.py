"""The files of reconciliations: `<home>/ledger/reconciliations/<last date>/<id>.csv`, every posting
and line with its class, each with a signed control file. The entry in the log names the digest, so
a file that is not the one that was recorded is told.

A file may have 200,000 rows and is read in pages. It is read whole and held against its digest
once; after that a page is read from near its first row, as long as the file is the same one by its
inode, size and times. A time that somebody put back does not help: the inode's own is compared.
"""

from __future__ import annotations

import csv
import io
import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import dropwhile
from threading import Lock
from typing import Any, BinaryIO

from ledger.adapters.signed_files import write_signed
from ledger.service.faults import RequestRefused
from paylake.crypto import sm3_hex
from paylake.settings import Settings

FORMAT = "paylake-reconciliation/1"
#: Rows between two places that are remembered of a file, and files of which they are.
_STEP, _MOST_FILES = 1000, 64
Stamp = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Known:
    """A file that was read whole: which one, its digest, its columns, and at which byte every
    thousandth row begins, the first one first."""

    stamp: Stamp
    sm3: str
    columns: tuple[str, ...]
    places: tuple[int, ...]


class ReconciliationFiles:
    """Those of one home."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._lock = Lock()  # pages are read by threads

    def keep(self, day: str, name: str, data: bytes, about: Mapping[str, Any]) -> None:
        """Write one, with its control file.

        :param day: last date of the statement
        """
        path = self.settings.path("ledger", "reconciliations", day) / f"{name}.csv"
        write_signed(self.settings, path, data, {"format": FORMAT, **about})

    @contextmanager
    def rows(
        self, day: str, name: str, sm3: str, after: int = 0
    ) -> Iterator[Iterator[tuple[int, dict[str, str]]]]:
        """The rows of one with their numbers from 1, those after a number.

        :param sm3: its digest, as the log has it
        :raises RequestRefused: `file_missing`, `file_differs`, the second also at the end, when the
            file was changed while it was read
        """
        path = self.settings.path("ledger", "reconciliations", day) / f"{name}.csv"
        differs = RequestRefused(
            "file_differs", f"the file of {name} is not the one that was recorded", 409
        )
        try:
            file = path.open("rb")
        except FileNotFoundError:
            raise RequestRefused(
                "file_missing", f"the file of {name} is not in the home: restore it", 409
            ) from None
        with file:
            known = self._of(name, file)
            if known.sm3 != sm3:
                raise differs
            place = min(after // _STEP, len(known.places) - 1)
            file.seek(known.places[place])
            found = csv.DictReader(_texts(file), known.columns)
            yield dropwhile(
                lambda row: row[0] <= after, enumerate(found, place * _STEP + 1)
            )
            if _stamp(file) != known.stamp:
                raise differs

    def _of(self, name: str, file: BinaryIO) -> _Known:
        """What is known of a file, which is read whole for it if it is another one."""
        stamp = _stamp(file)
        with self._lock:
            known = self._known.get(name)
        if known is None or known.stamp != stamp:
            data = file.read()
            known = _Known(stamp, sm3_hex(data), *_places(data))
        with self._lock:
            self._known[name] = known
            self._known.move_to_end(name)
            while len(self._known) > _MOST_FILES:
                self._known.popitem(last=False)
        return known


def _stamp(file: BinaryIO) -> Stamp:
    found = os.fstat(file.fileno())
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _texts(lines: Iterable[bytes]) -> Iterator[str]:
    return (line.decode() for line in lines)


def _places(data: bytes) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The columns of a file, and the bytes at which row 1 and every thousandth after it begin."""
    taken = 0

    def lines() -> Iterator[bytes]:
        nonlocal taken
        for line in io.BytesIO(data):
            taken += len(line)
            yield line

    rows = csv.reader(_texts(lines()))
    columns = tuple(next(rows, ()))
    places = [taken]
    for number, _ in enumerate(rows, 1):
        if number % _STEP == 0:
            places.append(taken)
    return columns, tuple(places)
