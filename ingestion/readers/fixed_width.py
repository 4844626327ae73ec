"""Fixed width: one record a line, columns by bytes of the file's encoding, blanks trimmed."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.feeds import Feed
from ingestion.readers.parsed import BLANK, Malformed, Parsed, blank_span, empty, secret_pattern

NEWLINE, RETURN = 10, 13


def read(feed: Feed, data: bytes) -> Parsed:
    """Read one fixed-width file. Never raises for what the file holds."""
    widths = feed.widths
    total = sum(widths)
    buffer = np.frombuffer(data, np.uint8)
    if not buffer.size:
        return empty(feed, data)
    breaks = np.flatnonzero(buffer == NEWLINE)
    starts = np.concatenate([[0], breaks + 1]).astype(np.int64)
    stops = np.concatenate([breaks, [buffer.size]]).astype(np.int64)
    if starts[-1] == buffer.size:
        starts, stops = starts[:-1], stops[:-1]
    ended = (stops < buffer.size) & (stops > starts)
    ends = stops - (ended & (buffer[np.maximum(stops - 1, 0)] == RETURN))
    lines = np.arange(1, starts.size + 1, dtype=np.int64)
    sound = np.flatnonzero(ends - starts == total)
    malformed = [
        Malformed(
            "wrong_column_count",
            f"{int(ends[row] - starts[row])} bytes instead of {total}",
            int(lines[row]),
            int(starts[row]),
            int(ends[row]),
        )
        for row in np.flatnonzero(ends - starts != total)
    ]
    clean = _blank(feed, data, starts[sound], malformed)
    matrix = np.frombuffer(clean, np.uint8)[starts[sound][:, None] + np.arange(total)]
    arrays: dict[str, pa.Array] = {}
    foreign = np.zeros(sound.size, bool)
    position = 0
    for name, width in zip(feed.names, widths, strict=True):
        piece = np.ascontiguousarray(matrix[:, position : position + width])
        arrays[name] = _column(piece, width, feed.encoding, foreign)
        position += width
    malformed += [
        Malformed(
            "bad_encoding",
            f"bytes that are not {feed.encoding}",
            int(lines[row]),
            int(starts[row]),
            int(ends[row]),
        )
        for row in sound[foreign]
    ]
    malformed.sort(key=lambda item: item.offset)
    kept = sound[~foreign]
    table = pa.table(arrays).filter(pa.array(~foreign))
    return Parsed(table, lines[kept], starts[kept], ends[kept], clean, malformed)


def _column(piece: np.ndarray, width: int, encoding: str, foreign: np.ndarray) -> pa.Array:
    """Text of one column; marks rows whose bytes the encoding does not know."""
    rows = piece.shape[0]
    fixed = pa.Array.from_buffers(
        pa.binary(width), rows, [None, pa.py_buffer(piece.tobytes())]
    )
    if not (piece >= 0x80).any():
        text = fixed.cast(pa.binary()).cast(pa.string())
    else:
        # Columns hold few distinct texts against their rows: decode each once.
        coded = fixed.dictionary_encode()
        decoded: list[str | None] = []
        for raw in coded.dictionary.to_pylist():
            try:
                decoded.append(raw.decode(encoding))
            except UnicodeDecodeError:
                decoded.append(None)
        text = pa.array(decoded, pa.string()).take(coded.indices)
        foreign |= text.is_null().to_numpy(zero_copy_only=False)
    trimmed = pc.utf8_trim(text, characters=" ")
    return pc.if_else(pc.equal(trimmed, ""), None, trimmed)


def _blank(feed: Feed, data: bytes, starts: np.ndarray, malformed: list[Malformed]) -> bytes:
    if not feed.secret_columns:
        return data
    buffer = bytearray(data)
    view = np.frombuffer(buffer, np.uint8)
    position = 0
    for column, width in zip(feed.columns, feed.widths, strict=True):
        if column.classification == "C3":
            view[starts[:, None] + np.arange(position, position + width)] = BLANK
        position += width
    del view
    for item in malformed:
        blank_span(buffer, secret_pattern(feed), item.offset, item.end)
    return bytes(buffer)
