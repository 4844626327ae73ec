"""Checking the chain alone, fast: every core recomputes the digests of a range of entries.

A range begins from the stored digest of the entry before it, which the range before has to reach
by computing: together they prove what one walk from the beginning would.
"""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

from ledger.adapters.storage import open_reader
from ledger.domain.chain import GENESIS, linked_digest
from ledger.service.verify import Broken
from paylake.errors import EnvironmentFault
from paylake.settings import Settings

_LEAST = 20_000


@dataclass(frozen=True, slots=True)
class ChainChecked:
    """Entries and journals read, the digest at the end, and the first broken row if any."""

    entries: int
    journals: int
    chain_digest: str
    broken: Broken | None


def check_chain(
    settings: Settings, first: int = 1, previous: bytes = GENESIS, cores: int | None = None,
    least: int = _LEAST,
) -> ChainChecked:
    """Check entries from `first` to the end of the log.

    :param previous: the digest before `first`: of a signed head, or of the beginning
    :param cores: how many processes; default: all of this process's cores
    :param least: entries that are worth a process
    """
    reader = open_reader(settings, whoever_wrote=True)
    try:
        last, _ = reader.counts()
        cores = cores or len(os.sched_getaffinity(0))
        size = max(least, -(-(last - first + 1) // cores))
        starts = list(range(first, last + 1, size)) or [first]
        ranges = []
        for start in starts:
            before = previous
            if start > first:
                row = next(iter(reader.entries(start - 1, start - 1)), None)
                if row is None:
                    return ChainChecked(0, 0, "", Broken(f"entry {start - 1}", "it is missing"))
                before = row[16]
            ranges.append((settings, start, min(start + size - 1, last), before))
    finally:
        reader.close()
    own, *others = ranges
    if not others:
        found = [_range(*own)]
    else:  # this process checks a range, too, while the others start
        with ProcessPoolExecutor(len(others), get_context("spawn")) as pool:
            futures = [pool.submit(_range, *r) for r in others]
            found = [_range(*own), *(future.result() for future in futures)]
    entries = sum(part.entries for part in found)
    journals = sum(part.journals for part in found)
    broken = next((part.broken for part in found if part.broken), None)
    return ChainChecked(entries, journals, found[-1].chain_digest, broken)


def _range(settings: Settings, first: int, last: int, digest: bytes) -> ChainChecked:
    reader = open_reader(settings, whoever_wrote=True)
    entries = journals = 0
    broken = None
    expected = first
    try:
        for sequence, journal, rest, stored in reader.hashed(first, last):
            if sequence != expected:
                broken = Broken(f"entry {expected}", "it is missing")
                break
            digest = linked_digest(digest, rest)
            if digest != stored:
                broken = Broken(
                    f"entry {sequence}",
                    "its digest does not match its content and the digest before it",
                )
                break
            expected += 1
            entries += 1
            journals += journal is not None
        if broken is None and expected != last + 1:
            broken = Broken(f"entry {expected}", "it is missing")
    except EnvironmentFault as error:
        broken = Broken(f"entry {expected}", f"it cannot be read: {error.what}")
    finally:
        reader.close()
    return ChainChecked(entries, journals, digest.hex(), broken)
