"""JSON Lines: one flat object a line, integers as JSON integers, everything else as strings.

pyarrow reads clean files; a file that it refuses, or in which lines and objects do not match one
to one, goes to the exact reader, which takes one line after the other.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pa_json

from ingestion.feeds import Feed
from ingestion.readers.json_names import names_once
from ingestion.readers.parsed import Malformed, Parsed, text_table

NEWLINE, RETURN, ESCAPE, OPEN, CLOSE = 10, 13, 92, 123, 125
_PIECE = 1 << 24
#: Bytes that one thread reads at a time: small enough for a cache, large enough for whole columns.
_BLOCK = 1 << 25
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
    return _lines(buffer, breaks)


def _lines(buffer: np.ndarray, breaks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    starts = np.concatenate([[0], breaks + 1]).astype(np.int64)
    stops = np.concatenate([breaks, [buffer.size]]).astype(np.int64)
    if starts[-1] == buffer.size:
        starts, stops = starts[:-1], stops[:-1]
    ended = (stops < buffer.size) & (stops > starts)
    returns = ended & (buffer[np.maximum(stops - 1, 0)] == RETURN) if starts.size else ended
    return starts, stops - returns


@dataclass(frozen=True)
class _Block:
    """Whole lines of a file, read: its columns as text and the bounds of its lines (file bytes)."""

    table: pa.Table
    starts: np.ndarray
    ends: np.ndarray


def read_fast(feed: Feed, data: bytes) -> Parsed | None:
    """The reading by pyarrow, or None where only the exact reader may judge.

    Blocks of whole lines are read beside each other: everything in a block is done by libraries
    that let other threads run.
    """
    if not data or feed.encoding != "utf-8":
        return None
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        blocks = list(pool.map(lambda cut: _read_block(feed, data, *cut), _cuts(data)))
    if any(block is None for block in blocks):
        return None
    read_blocks = [block for block in blocks if block is not None]
    starts = np.concatenate([block.starts for block in read_blocks])
    return Parsed(
        pa.concat_tables([block.table for block in read_blocks]),
        np.arange(1, starts.size + 1, dtype=np.int64),
        starts,
        np.concatenate([block.ends for block in read_blocks]),
        data,
    )


def _cuts(data: bytes) -> Iterator[tuple[int, int]]:
    """Bounds of blocks that end with a line; a line longer than a block makes a longer one."""
    start = 0
    while start < len(data):
        end = data.find(b"\n", min(start + _BLOCK, len(data))) + 1 or len(data)
        yield start, end
        start = end


def _read_block(feed: Feed, data: bytes, start: int, end: int) -> _Block | None:
    """One block, or None where it has something that pyarrow would pass over or read otherwise."""
    buffer = np.frombuffer(data, np.uint8)[start:end]
    starts, ends = _lines(buffer, np.flatnonzero(buffer == NEWLINE))
    if not (ends > starts).all():
        return None
    if not ((buffer[starts] == OPEN) & (buffer[ends - 1] == CLOSE)).all():
        return None
    if (buffer == 0).any() or not _is_utf8(data, start, end):  # pyarrow does not look
        return None
    # Escapes by number (lone surrogates among them) are judged by the exact reader.
    escapes = np.flatnonzero(buffer == ESCAPE)
    if escapes.size and (buffer[np.minimum(escapes + 1, buffer.size - 1)] == ord("u")).any():
        return None
    schema = pa.schema(
        [(c.name, pa.int64() if c.type in INTEGERS else pa.string()) for c in feed.columns]
    )
    longest = int((ends - starts).max())
    try:
        table = pa_json.read_json(
            pa.BufferReader(pa.py_buffer(data).slice(start, end - start)),
            read_options=pa_json.ReadOptions(
                block_size=max(1 << 22, 4 * longest), use_threads=False
            ),
            parse_options=pa_json.ParseOptions(
                explicit_schema=schema, unexpected_field_behavior="error"
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    if table.num_rows != starts.size or not names_once(buffer, starts, feed.names):
        return None
    columns = {name: _text(table.column(name)) for name in feed.names}
    return _Block(pa.table(columns), starts + start, ends + start)


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column as text; empty is null. Most columns have no empty text: that is asked first."""
    if pa.types.is_int64(column.type):
        return column.cast(pa.string())
    if pc.any(pc.equal(pc.binary_length(column), 0)).as_py():
        return pc.if_else(pc.equal(column, ""), None, column)
    return column


def _is_utf8(data: bytes, start: int, end: int) -> bool:
    """Whether these bytes are UTF-8, by Arrow's own test (no copy, no Python object)."""
    offsets = pa.py_buffer(np.array([start, end], np.int64))
    text = pa.Array.from_buffers(pa.large_binary(), 1, [None, offsets, pa.py_buffer(data)])
    try:
        text.cast(pa.large_string())
    except pa.ArrowInvalid:
        return False
    return True


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
