"""Parquet: typed columns back to the text that bronze keeps.

A Parquet row has no line: `_line_number` is its position from 1, `_byte_offset` where its row
group begins.
"""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingestion.feeds import Feed
from ingestion.readers.parsed import Malformed, Parsed, Problem, empty


def read(feed: Feed, data: bytes) -> Parsed:
    """Read one Parquet file. Never raises for what the file holds."""
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        names = file.schema_arrow.names
    except (pa.ArrowException, OSError, ValueError) as error:
        problem = Problem("unreadable_file", f"not a Parquet file ({_short(error)})")
        return empty(feed, data, problem)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        return empty(
            feed, data, Problem("bad_header", f"the schema names twice: {', '.join(twice)}")
        )
    unclassed = tuple(name for name in names if name not in feed.names)
    absent = [name for name in feed.names if name not in names and name not in feed.relaxed]
    if absent:
        return empty(
            feed, data, Problem("missing_column", f"no column {', '.join(absent)}"),
            unclassed=unclassed,
        )
    try:
        table = file.read(columns=[name for name in feed.names if name in names])
        offsets = group_offsets(file)
    except (pa.ArrowException, OSError, ValueError) as error:
        return empty(feed, data, Problem("unreadable_file", f"damaged pages ({_short(error)})"))
    if offsets.size != table.num_rows:
        return empty(feed, data, Problem("unreadable_file", "row groups and rows do not match"))
    arrays: dict[str, pa.Array] = {}
    foreign = np.zeros(table.num_rows, bool)
    for name in feed.names:
        if name not in names:
            arrays[name] = pa.nulls(table.num_rows, pa.string())
            continue
        column = _text(table.column(name).combine_chunks(), foreign)
        if column is None:
            kind = table.schema.field(name).type
            return empty(
                feed, data, Problem("unreadable_file", f"column {name} has the type {kind}"),
                unclassed=unclassed,
            )
        arrays[name] = column
    lines = np.arange(1, table.num_rows + 1, dtype=np.int64)
    kept = np.flatnonzero(~foreign)
    text = pa.table(arrays).take(pa.array(kept))
    malformed = [
        Malformed("bad_encoding", "text that is not utf-8", row + 1, int(offsets[row]),
                  int(offsets[row]))
        for row in np.flatnonzero(foreign).tolist()
    ]

    def row_bytes(row: int) -> bytes:
        return json.dumps(text.slice(row, 1).to_pylist()[0], ensure_ascii=False).encode()

    return Parsed(
        text, lines[kept], offsets[kept], offsets[kept], data, malformed, unclassed,
        row_bytes=row_bytes,
    )


def _short(error: Exception) -> str:
    return str(error).split("\n", 1)[0][:120]


def group_offsets(file: pq.ParquetFile) -> np.ndarray:
    """For each row, where the first column chunk of its row group begins."""
    pieces = []
    for number in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(number)
        offset = 0
        if group.num_columns:
            chunk = group.column(0)
            offset = chunk.dictionary_page_offset or chunk.data_page_offset
        pieces.append(np.full(group.num_rows, offset, np.int64))
    return np.concatenate(pieces) if pieces else np.zeros(0, np.int64)


def _text(column: pa.Array, foreign: np.ndarray) -> pa.Array | None:
    """Text of a typed column; None for a type that has no exact text (floats among them)."""
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.nulls(0, pa.string())
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _valid_text(column.cast(pa.string()), foreign)
    if pa.types.is_integer(kind) or pa.types.is_decimal(kind) or pa.types.is_date(kind):
        return column.cast(pa.string())
    if pa.types.is_timestamp(kind) and kind.tz is None:
        return pc.replace_substring_regex(column.cast(pa.string()), r"\.0+$", "")
    if pa.types.is_null(kind):
        return pa.nulls(len(column), pa.string())
    return None


def _valid_text(column: pa.Array, foreign: np.ndarray) -> pa.Array:
    """Text with empty as null; rows that are not UTF-8 are marked and emptied."""
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        values: list[str | None] = []
        for row, raw in enumerate(column.view(pa.binary()).to_pylist()):
            try:
                values.append(None if raw is None else raw.decode())
            except UnicodeDecodeError:
                values.append(None)
                foreign[row] = True
        column = pa.array(values, pa.string())
    return pc.if_else(pc.equal(column, ""), None, column)
