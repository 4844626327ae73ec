"""CSV: the vectorised reader.

Records are found with NumPy over the bytes: a newline ends a record when an even number of quotes
stands before it; a delimiter counts under the same condition. This is right for GB18030 too, whose
trailing bytes are never a quote, a comma, or a line end. pyarrow then splits the sound records.
Lines with another number of fields and lines with foreign bytes are carved out one by one; a file
whose quoting is not clean, or with a bare carriage return, goes to the exact reader as a whole.
"""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from ingestion.feeds import Feed
from ingestion.readers import delimited_exact
from ingestion.readers.parsed import (
    BLANK,
    Malformed,
    Parsed,
    Problem,
    blank_span,
    empty,
    secret_pattern,
)

QUOTE, NEWLINE, RETURN = 34, 10, 13
BOM = b"\xef\xbb\xbf"


def read(feed: Feed, data: bytes) -> Parsed:
    """Read one CSV file. Never raises for what the file holds."""
    return read_fast(feed, data) or delimited_exact.read(feed, data)


def read_fast(feed: Feed, data: bytes) -> Parsed | None:
    """The vectorised reading, or None where only the exact reader may judge."""
    base = delimited_exact.start_of(feed, data)
    buffer = np.frombuffer(data, np.uint8)
    quotes = np.flatnonzero(buffer == QUOTE)
    if not _clean_quotes(buffer, quotes, feed.delimiter[0], base):
        return None
    returns = np.flatnonzero(buffer == RETURN)
    if returns.size and (
        returns[-1] + 1 == buffer.size or not (buffer[returns + 1] == NEWLINE).all()
    ):
        return None
    newlines = np.flatnonzero(buffer == NEWLINE)
    breaks = newlines[np.searchsorted(quotes, newlines) % 2 == 0] if quotes.size else newlines
    starts = np.concatenate([[base], breaks + 1])
    stops = np.concatenate([breaks, [buffer.size]])
    if starts[-1] == buffer.size:
        starts, stops = starts[:-1], stops[:-1]
    if not starts.size:
        return None
    if newlines.size and newlines[0] < stops[0]:
        return None  # a quote in the header took lines in that may be rows
    header = delimited_exact.header_of(feed, data[base : int(stops[0])].removesuffix(b"\r"))
    if isinstance(header, Problem):
        return None
    commas = np.flatnonzero(buffer == feed.delimiter[0])
    if quotes.size:
        commas = commas[np.searchsorted(quotes, commas) % 2 == 0]
    records = _Records(
        starts=starts[1:],
        stops=stops[1:],
        ends=stops[1:] - _returns_before(buffer, starts[1:], stops[1:]),
        lines=np.searchsorted(newlines, starts[1:]) + 1,
    )
    return _split(feed, data, header, records, commas, bool(quotes.size))


class _Records:
    """Record bounds: `stops` at the line end, `ends` before a carriage return."""

    def __init__(
        self, starts: np.ndarray, stops: np.ndarray, ends: np.ndarray, lines: np.ndarray
    ) -> None:
        self.starts, self.stops, self.ends, self.lines = starts, stops, ends, lines

    def malformed(self, row: int, rule: str, detail: str) -> Malformed:
        return Malformed(
            rule, detail, int(self.lines[row]), int(self.starts[row]), int(self.ends[row])
        )


def _clean_quotes(buffer: np.ndarray, quotes: np.ndarray, delimiter: int, base: int) -> bool:
    """True when every quote opens a field, closes one, or is half of a doubled one."""
    if not quotes.size:
        return True
    if quotes.size % 2:
        return False
    opening, closing = quotes[0::2], quotes[1::2]
    before = np.where(opening > base, buffer[np.maximum(opening - 1, 0)], NEWLINE)
    doubled = np.zeros(opening.size, bool)
    doubled[1:] = opening[1:] == closing[:-1] + 1
    if not (doubled | (before == delimiter) | (before == NEWLINE)).all():
        return False
    last = buffer.size - 1
    after = np.where(closing < last, buffer[np.minimum(closing + 1, last)], NEWLINE)
    reopened = np.zeros(closing.size, bool)
    reopened[:-1] = doubled[1:]
    return (reopened | (after == delimiter) | (after == NEWLINE) | (after == RETURN)).all()


def _returns_before(buffer: np.ndarray, starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
    inside = stops > starts
    ended = stops < buffer.size
    return (inside & ended & (buffer[np.maximum(stops - 1, 0)] == RETURN)).astype(np.int64)


def _split(
    feed: Feed,
    data: bytes,
    header: list[str],
    records: _Records,
    commas: np.ndarray,
    has_quotes: bool,
) -> Parsed | None:
    width = len(header)
    first = np.searchsorted(commas, records.starts)
    counts = np.searchsorted(commas, records.ends) - first + 1
    counts[records.starts == records.ends] = 0
    sound = counts == width
    malformed = [
        records.malformed(
            row,
            "wrong_column_count",
            delimited_exact.count_detail(int(counts[row]), width),
        )
        for row in np.flatnonzero(~sound)
    ]
    unclassed = tuple(name for name in header if name not in feed.names)
    missing = delimited_exact.missing_columns(feed, header)
    if missing:
        # A header that is not the contract's cannot tell where C3 values stand.
        clean = delimited_exact.blank_all(feed, data, delimited_exact.start_of(feed, data))
        return empty(feed, clean, missing, unclassed=unclassed)
    clean = _blank(feed, data, header, records, commas, first, sound, malformed)
    body, kept, foreign = _decoded(feed, clean, records, np.flatnonzero(sound))
    malformed += [
        records.malformed(row, "bad_encoding", delimited_exact.encoding_detail(feed))
        for row in foreign
    ]
    malformed.sort(key=lambda item: item.offset)
    longest = int((records.stops - records.starts).max(initial=0))
    table = _arrow(feed, header, body, longest, has_quotes)
    if table is None or table.num_rows != kept.size:
        return None
    return Parsed(
        table=table,
        lines=records.lines[kept],
        offsets=records.starts[kept],
        ends=records.ends[kept],
        clean=clean,
        malformed=malformed,
        unclassed=unclassed,
    )


def _blank(
    feed: Feed,
    data: bytes,
    header: list[str],
    records: _Records,
    commas: np.ndarray,
    first: np.ndarray,
    sound: np.ndarray,
    malformed: list[Malformed],
) -> bytes:
    """The file with C3 values starred, byte for byte in place."""
    if not feed.secret_columns:
        return data
    buffer = bytearray(data)
    view = np.frombuffer(buffer, np.uint8)
    rows = np.flatnonzero(sound)
    for column in feed.secret_columns:
        for index in (n for n, name in enumerate(header) if name == column.name):
            start = records.starts[rows] if index == 0 else commas[first[rows] + index - 1] + 1
            last = index == len(header) - 1
            end = records.ends[rows] if last else commas[first[rows] + index]
            _star(view, start, end)
    del view
    pattern = secret_pattern(feed)
    for item in malformed:
        blank_span(buffer, pattern, item.offset, item.end)
    return bytes(buffer)


def _star(view: np.ndarray, start: np.ndarray, end: np.ndarray) -> None:
    for step in range(int((end - start).max(initial=0))):
        at = start + step
        at = at[at < end]
        at = at[view[at] != QUOTE]
        view[at] = BLANK


def _decoded(
    feed: Feed, clean: bytes, records: _Records, rows: np.ndarray
) -> tuple[bytes, np.ndarray, list[int]]:
    """Sound records as UTF-8, the rows that they are, and rows with foreign bytes."""
    foreign: list[int] = []
    pieces: list[bytes] = []
    kept = np.ones(rows.size, bool)
    for low, high in _runs(rows):
        start = int(records.starts[rows[low]])
        stop = int(records.stops[rows[high - 1]])
        position = start
        while position < stop:
            piece = clean[position:stop]
            try:
                text = piece.decode(feed.encoding)
            except UnicodeDecodeError as error:
                row = low + int(
                    np.searchsorted(
                        records.starts[rows[low:high]], position + error.start, side="right"
                    )
                ) - 1
                begin = int(records.starts[rows[row]])
                if begin > position:
                    pieces.append(clean[position:begin].decode(feed.encoding).encode())
                foreign.append(int(rows[row]))
                kept[row] = False
                position = int(records.stops[rows[row]]) + 1
            else:
                pieces.append(piece if feed.encoding == "utf-8" else text.encode())
                pieces.append(b"\n")
                position = stop
    return b"".join(pieces), rows[kept], foreign


def _runs(rows: np.ndarray) -> list[tuple[int, int]]:
    """Runs of consecutive rows, as positions in `rows`."""
    if not rows.size:
        return []
    cuts = np.flatnonzero(np.diff(rows) != 1) + 1
    bounds = [0, *cuts.tolist(), rows.size]
    return list(itertools.pairwise(bounds))


def _arrow(
    feed: Feed, header: list[str], body: bytes, longest: int, has_quotes: bool
) -> pa.Table | None:
    present = [name for name in feed.names if name in header]
    if not body:
        table = pa.table({name: pa.array([], pa.string()) for name in present})
    else:
        try:
            table = pa_csv.read_csv(
                pa.BufferReader(body),
                read_options=pa_csv.ReadOptions(
                    column_names=header, block_size=max(1 << 22, 4 * longest)
                ),
                parse_options=pa_csv.ParseOptions(
                    delimiter=feed.delimiter.decode(),
                    newlines_in_values=has_quotes,
                    ignore_empty_lines=False,
                ),
                convert_options=pa_csv.ConvertOptions(
                    column_types={name: pa.string() for name in header},
                    include_columns=present,
                    null_values=[""],
                    strings_can_be_null=True,
                ),
            )
        except pa.ArrowInvalid:
            return None  # the exact reader says what is wrong with which line
    for position, name in enumerate(feed.names):
        if name not in present:
            table = table.add_column(position, name, pa.nulls(table.num_rows, pa.string()))
    return table
