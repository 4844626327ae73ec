"""What a reader makes of one file: sound rows as text, malformed rows with their rule."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ingestion.feeds import Feed

if TYPE_CHECKING:
    from ingestion.checks import Verdict

BLANK = ord("*")


@dataclass(frozen=True)
class Malformed:
    """A record whose structure cannot be read.

    `offset` and `end` are bytes in the file; `line` is the physical line on which it begins.
    """

    rule: str
    detail: str
    line: int
    offset: int
    end: int


@dataclass(frozen=True)
class Problem:
    """Why the file as a whole cannot be used; `reason` is one of `codes.REASONS`."""

    reason: str
    detail: str


@dataclass
class Parsed:
    """Rows of one file.

    `table` holds the contract's columns as text (empty is null); `lines`, `offsets` and `ends` are
    parallel to its rows. `clean` is the file with C3 values blanked in place, so that every offset
    holds in both. Nothing is lost: `rows` = sound rows + malformed ones.
    """

    table: pa.Table
    lines: np.ndarray
    offsets: np.ndarray
    ends: np.ndarray
    clean: bytes
    malformed: list[Malformed] = field(default_factory=list)
    unclassed: tuple[str, ...] = ()
    problem: Problem | None = None
    row_bytes: Callable[[int], bytes] | None = None
    verdict: Verdict | None = None

    @property
    def rows(self) -> int:
        return self.table.num_rows + len(self.malformed)

    def raw(self, row: int) -> bytes:
        """Bytes of a sound row as they stand in the file (its text as JSON for Parquet)."""
        if self.row_bytes is not None:
            return self.row_bytes(row)
        return self.clean[int(self.offsets[row]) : int(self.ends[row])]

    def raw_malformed(self, item: Malformed) -> bytes:
        return self.clean[item.offset : item.end]


def empty(feed: Feed, clean: bytes, problem: Problem | None = None, **more: object) -> Parsed:
    """A file without usable rows."""
    none = np.zeros(0, np.int64)
    table = pa.table({name: pa.array([], pa.string()) for name in feed.names})
    return Parsed(table, none, none, none, clean, problem=problem, **more)  # type: ignore[arg-type]


def text_table(feed: Feed, columns: dict[str, list[str | None]], rows: int) -> pa.Table:
    """A table of the feed's columns from lists; absent columns and empty texts are null."""
    arrays = {}
    for name in feed.names:
        values = columns.get(name)
        if values is None:
            arrays[name] = pa.nulls(rows, pa.string())
        else:
            arrays[name] = pa.array([v if v else None for v in values], pa.string())
    return pa.table(arrays)


def secret_pattern(feed: Feed) -> re.Pattern[bytes] | None:
    """Matches what may be a C3 value in a line whose fields cannot be told apart.

    Whole fields of three digits up to the longest that a C3 column may hold: blanking a response
    code too much is better than keeping a verification number.
    """
    longest = max((c.max_length or 4 for c in feed.secret_columns), default=0)
    if longest < 3:
        return None
    edge = rb'[^%b"\r\n \t]' % re.escape(feed.delimiter)
    return re.compile(rb"(?<!%b)[0-9]{3,%d}(?!%b)" % (edge, longest, edge))


def blank_span(buffer: bytearray, pattern: re.Pattern[bytes] | None, start: int, end: int) -> None:
    """Blank what may be C3 between two offsets, keeping every other byte where it is."""
    if pattern is None:
        return
    piece = bytes(buffer[start:end])
    buffer[start:end] = pattern.sub(lambda m: b"*" * len(m.group()), piece)
