"""JSON Lines: one flat object a line, integers as JSON integers, everything else as strings.

pyarrow reads clean files; a file that it refuses, or in which lines and objects do not match one
to one, goes to the exact reader, which takes one line after the other.
"""

from __future__ import annotations

import codecs
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pa_json

from ingestion.feeds import Feed
from ingestion.readers.parsed import Malformed, Parsed, text_table

NEWLINE, RETURN, OPEN, CLOSE = 10, 13, 123, 125
_PIECE = 1 << 24
INTEGERS = ("int", "integer", "bigint")


def read(feed: Feed, data: bytes) -> Parsed:
    """Read one JSON Lines file. Never raises for what the file holds."""
    return read_fast(feed, data) or read_exact(feed, data)


def _bounds(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Start and end (before the line end) of every physical line."""
    buffer = np.frombuffer(data, np.uint8)
    # Piece by piece: a mask over the whole of a journal is as large as the journal.
    pieces = [
        np.flatnonzero(buffer[at : at + _PIECE] == NEWLINE) + at
        for at in range(0, buffer.size, _PIECE)
    ]
    breaks = np.concatenate(pieces) if pieces else np.zeros(0, np.int64)
    starts = np.concatenate([[0], breaks + 1]).astype(np.int64)
    stops = np.concatenate([breaks, [buffer.size]]).astype(np.int64)
    if starts[-1] == buffer.size:
        starts, stops = starts[:-1], stops[:-1]
    ended = (stops < buffer.size) & (stops > starts)
    returns = ended & (buffer[np.maximum(stops - 1, 0)] == RETURN) if starts.size else ended
    return starts, stops - returns


def read_fast(feed: Feed, data: bytes) -> Parsed | None:
    """The reading by pyarrow, or None where only the exact reader may judge."""
    if not data or feed.encoding != "utf-8":
        return None
    starts, ends = _bounds(data)
    buffer = np.frombuffer(data, np.uint8)
    if not (ends > starts).all():
        return None
    if not ((buffer[starts] == OPEN) & (buffer[ends - 1] == CLOSE)).all():
        return None
    # Escapes (lone surrogates among them) and repeated names are judged by the exact reader.
    if b"\\u" in data or b"\0" in data:
        return None
    if not _is_utf8(data):  # pyarrow does not look
        return None
    schema = pa.schema(
        [(c.name, pa.int64() if c.type in INTEGERS else pa.string()) for c in feed.columns]
    )
    longest = int((ends - starts).max())
    try:
        table = pa_json.read_json(
            pa.BufferReader(data),
            read_options=pa_json.ReadOptions(block_size=max(1 << 22, 4 * longest)),
            parse_options=pa_json.ParseOptions(
                explicit_schema=schema, unexpected_field_behavior="error"
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    if table.num_rows != starts.size or not _names_once(table, data):
        return None
    arrays = {}
    for name in feed.names:
        column = table.column(name)
        if pa.types.is_int64(column.type):
            arrays[name] = column.cast(pa.string())
        else:
            arrays[name] = pc.if_else(pc.equal(column, ""), None, column)
    lines = np.arange(1, starts.size + 1, dtype=np.int64)
    return Parsed(pa.table(arrays), lines, starts, ends, data)


def _is_utf8(data: bytes) -> bool:
    decode = codecs.getincrementaldecoder("utf-8")().decode
    try:
        for at in range(0, len(data), _PIECE):
            decode(data[at : at + _PIECE], at + _PIECE >= len(data))
    except UnicodeDecodeError:
        return False
    return True


def _names_once(table: pa.Table, data: bytes) -> bool:
    """pyarrow keeps one of two equal names; count the quotes that one of each name leaves."""
    return all(
        data.count(f'"{name}"'.encode()) <= table.num_rows for name in table.schema.names
    )


class _BadLine(ValueError):
    """The line breaks the rule that its text names."""


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _BadLine("a name stands twice")
    return found


def _no_float(text: str) -> Any:
    return _Float(text)


class _Float(str):
    """A JSON number with a fraction or exponent, kept as its text."""


def _value(feed: Feed, name: str, value: Any) -> str | None:
    integer = feed.contract.column(name).type in INTEGERS
    if value is None:
        return None
    if integer:
        if isinstance(value, _Float | str):
            return str(value) or None  # judged as a bad number, or an integer in quotes
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
    elif isinstance(value, str) and not isinstance(value, _Float):
        return value or None
    raise _BadLine(f"{name} is of another JSON type")


def read_exact(feed: Feed, data: bytes) -> Parsed:
    """Line by line with the standard library's parser."""
    columns: dict[str, list[str | None]] = {name: [] for name in feed.names}
    malformed: list[Malformed] = []
    places: list[tuple[int, int, int]] = []
    unclassed: dict[str, None] = {}
    starts, ends = _bounds(data)
    for line, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True), 1):
        try:
            text = data[start:end].decode(feed.encoding)
            row = json.loads(
                text,
                object_pairs_hook=_no_duplicates,
                parse_float=_no_float,
                parse_constant=_no_float,
            )
            if not isinstance(row, dict):
                raise _BadLine("not a JSON object")
            values = {name: _value(feed, name, row.get(name)) for name in feed.names}
            for text_value in values.values():
                if text_value is not None:
                    text_value.encode()
        except UnicodeError:
            malformed.append(
                Malformed("bad_encoding", f"bytes that are not {feed.encoding}", line, start, end)
            )
            continue
        except _BadLine as error:
            malformed.append(Malformed("bad_json", str(error), line, start, end))
            continue
        except (ValueError, RecursionError):
            malformed.append(Malformed("bad_json", "not a JSON object", line, start, end))
            continue
        unclassed.update((name, None) for name in row if name not in feed.names)
        for name, text_value in values.items():
            columns[name].append(text_value)
        places.append((line, start, end))
    marks = np.array(places, np.int64).reshape(-1, 3)
    return Parsed(
        table=text_table(feed, columns, len(places)),
        lines=marks[:, 0],
        offsets=marks[:, 1],
        ends=marks[:, 2],
        clean=data,
        malformed=malformed,
        unclassed=tuple(unclassed),
    )
