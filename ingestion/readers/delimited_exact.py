"""CSV: the exact reader, byte by byte, for files in which anything is odd.

The dialect is RFC 4180: a quote may stand only around a whole field, doubled inside it. A line
that breaks this is malformed up to its physical end, and reading goes on with the next line, so
that one stray quote cannot swallow the file.
"""

from __future__ import annotations

import numpy as np

from ingestion.feeds import Feed
from ingestion.readers.parsed import (
    Malformed,
    Parsed,
    Problem,
    blank_span,
    empty,
    secret_pattern,
    text_table,
)

BOM = b"\xef\xbb\xbf"


def start_of(feed: Feed, data: bytes) -> int:
    """Where the first record begins: behind a UTF-8 byte order mark."""
    return 3 if feed.encoding == "utf-8" and data.startswith(BOM) else 0


def count_detail(found: int, expected: int) -> str:
    return f"{found} fields instead of {expected}"


def encoding_detail(feed: Feed) -> str:
    return f"bytes that are not {feed.encoding}"


def header_of(feed: Feed, record: bytes) -> list[str] | Problem:
    """Column names of the header record, without its line end."""
    spans = split(record, 0, feed.delimiter)
    if spans is None:
        return Problem("bad_header", "the header's quoting is not clean")
    try:
        names = [value(record, *span).decode(feed.encoding) for span in spans[0]]
    except UnicodeDecodeError:
        return Problem("bad_header", f"the header has {encoding_detail(feed)}")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        return Problem("bad_header", f"the header names twice: {', '.join(map(repr, twice))}")
    return names


def missing_columns(feed: Feed, header: list[str]) -> Problem | None:
    """A C3 column may stay away: not sending it is better than blanking it."""
    absent = [
        c.name
        for c in feed.columns
        if c.name not in header and c.classification != "C3" and c.name not in feed.relaxed
    ]
    if absent:
        return Problem("missing_column", f"no column {', '.join(absent)}")
    return None


def split(
    data: bytes, position: int, delimiter: bytes
) -> tuple[list[tuple[int, int]], int] | None:
    """Field spans of the record at `position` and where its line end stands; None if malformed."""
    spans: list[tuple[int, int]] = []
    size = len(data)
    while True:
        start = position
        if data[position : position + 1] == b'"':
            position = _closing(data, position)
            if position < 0:
                return None
            position += 1
            if data[position : position + 2] == b"\r\n":
                spans.append((start, position))
                return spans, position + 1
        else:
            newline = data.find(b"\n", position)
            newline = size if newline < 0 else newline
            comma = data.find(delimiter, position, newline)
            position = newline if comma < 0 else comma
            if data.find(b'"', start, position) >= 0:
                return None
            if position == newline and newline < size and data[newline - 1 : newline] == b"\r":
                spans.append((start, max(start, newline - 1)))
                return spans, newline
        spans.append((start, position))
        if position >= size or data[position : position + 1] == b"\n":
            return spans, min(position, size)
        if data[position : position + 1] != delimiter:
            return None
        position += 1


def _closing(data: bytes, position: int) -> int:
    """Offset of the quote that closes the one at `position`, or -1."""
    while True:
        position = data.find(b'"', position + 1)
        if position < 0 or data[position + 1 : position + 2] != b'"':
            return position
        position += 1


def value(data: bytes, start: int, end: int) -> bytes:
    """A field's bytes without its quotes."""
    if data[start : start + 1] == b'"':
        return data[start + 1 : end - 1].replace(b'""', b'"')
    return data[start:end]


def read(feed: Feed, data: bytes) -> Parsed:
    """Read one CSV file exactly. Never raises for what the file holds."""
    base = start_of(feed, data)
    records = list(_records(feed, data, base))
    header: list[str] | Problem
    if not records:
        header = Problem("bad_header", "the file is empty")
    elif records[0][0] is None:
        header = Problem("bad_header", "the header's quoting is not clean")
    else:
        header = header_of(feed, data[records[0][1] : records[0][2]])
    if isinstance(header, Problem):
        return empty(feed, blank_all(feed, data, base), header)
    return _collect(feed, data, header, records)


Record = tuple[list[tuple[int, int]] | None, int, int, int]


def _records(feed: Feed, data: bytes, position: int):
    """(spans or None, start, end without line end, physical line) of every record."""
    line, size = 1, len(data)
    while position < size:
        found = split(data, position, feed.delimiter)
        if found is None:
            stop = data.find(b"\n", position)
            stop = size if stop < 0 else stop
            spans = None
        else:
            spans, stop = found
        end = stop
        if stop < size and stop > position and data[stop - 1 : stop] == b"\r":
            end -= 1
        yield spans, position, end, line
        line += data.count(b"\n", position, stop) + 1
        position = stop + 1


def _collect(feed: Feed, data: bytes, header: list[str], records: list[Record]) -> Parsed:
    (_, begin, header_end, _), *records = records
    unclassed = tuple(name for name in header if name not in feed.names)
    missing = missing_columns(feed, header)
    if missing:
        return empty(feed, blank_all(feed, data, begin), missing, unclassed=unclassed)
    buffer = bytearray(data)
    pattern = secret_pattern(feed)
    if b"\n" in data[begin:header_end]:  # a quote took lines in that may be rows
        blank_span(buffer, pattern, begin, header_end)
    secret = {header.index(c.name) for c in feed.secret_columns if c.name in header}
    columns: dict[str, list[str | None]] = {name: [] for name in header if name in feed.names}
    malformed: list[Malformed] = []
    places: list[tuple[int, int, int]] = []
    for spans, start, end, line in records:
        rule = detail = None
        values: list[str] = []
        if spans is None:
            rule, detail = "bad_quoting", "the quotes of the line do not match"
        elif start == end or len(spans) != len(header):
            rule = "wrong_column_count"
            detail = count_detail(0 if start == end else len(spans), len(header))
        if rule is None:
            for index in secret:
                low, high = spans[index]
                for at in range(low, high):
                    if buffer[at] != 34:
                        buffer[at] = 42
            try:
                values = [value(buffer, *span).decode(feed.encoding) for span in spans]
            except UnicodeDecodeError:
                rule, detail = "bad_encoding", encoding_detail(feed)
        else:
            blank_span(buffer, pattern, start, end)
        if rule is not None:
            malformed.append(Malformed(rule, detail or "", line, start, end))
            continue
        for name, text in zip(header, values, strict=True):
            if name in columns:
                columns[name].append(text)
        places.append((line, start, end))
    clean = bytes(buffer)
    marks = np.array(places, np.int64).reshape(-1, 3)
    return Parsed(
        table=text_table(feed, columns, len(places)),
        lines=marks[:, 0],
        offsets=marks[:, 1],
        ends=marks[:, 2],
        clean=clean,
        malformed=malformed,
        unclassed=unclassed,
    )


def blank_all(feed: Feed, data: bytes, base: int) -> bytes:
    """Without the contract's header no field has a name: blank whatever may be C3 anywhere, in the
    first line too, which is a row where a file has no header."""
    buffer = bytearray(data)
    blank_span(buffer, secret_pattern(feed), base, len(data))
    return bytes(buffer)
