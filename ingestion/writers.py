"""Rows back into a feed's own format: for replays, which come through the same door."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.feeds import Feed
from paylake.errors import UsageFault

Row = Mapping[str, str | None]
_INTEGERS = ("int", "integer", "bigint")


def write(feed: Feed, rows: Sequence[Row]) -> bytes:
    """One data file with these rows, as its sender would have written it.

    :raises UsageFault: for a value that the format or encoding cannot hold.
    """
    try:
        return _WRITERS[feed.format](feed, rows)
    except UnicodeEncodeError as error:
        raise UsageFault(
            f"A value has characters that {feed.encoding} does not know: {error.reason}",
            "Correct the value.",
        ) from None


def suffix(feed: Feed) -> str:
    """The file name's ending."""
    return {"csv": "csv", "jsonl": "jsonl", "parquet": "parquet", "fixed_width": "txt"}[feed.format]


def _csv(feed: Feed, rows: Sequence[Row]) -> bytes:
    delimiter = feed.delimiter.decode()

    def cell(value: str | None) -> str:
        text = value or ""
        if any(mark in text for mark in (delimiter, '"', "\n", "\r")):
            return '"' + text.replace('"', '""') + '"'
        return text

    out = io.StringIO(newline="")
    out.write(delimiter.join(cell(name) for name in feed.names) + "\n")
    for row in rows:
        out.write(delimiter.join(cell(row.get(name)) for name in feed.names) + "\n")
    return out.getvalue().encode(feed.encoding)


def _jsonl(feed: Feed, rows: Sequence[Row]) -> bytes:
    def value(name: str, text: str | None) -> object:
        if text is None or feed.contract.column(name).type not in _INTEGERS:
            return text
        try:
            return int(text)
        except ValueError:
            return text

    lines = [
        json.dumps({name: value(name, row.get(name)) for name in feed.names}, ensure_ascii=False)
        for row in rows
    ]
    return "".join(line + "\n" for line in lines).encode(feed.encoding)


def _parquet(feed: Feed, rows: Sequence[Row]) -> bytes:
    table = pa.table(
        {name: pa.array([row.get(name) for row in rows], pa.string()) for name in feed.names}
    )
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def _fixed_width(feed: Feed, rows: Sequence[Row]) -> bytes:
    out = []
    for row in rows:
        line = b""
        for column, width in zip(feed.columns, feed.widths, strict=True):
            raw = (row.get(column.name) or "").encode(feed.encoding)
            if len(raw) > width or b"\n" in raw:
                raise UsageFault(
                    f"{column.name} has {len(raw)} bytes, its column {width}", "Shorten the value."
                )
            right = column.properties.get("align") == "right"
            line += raw.rjust(width) if right else raw.ljust(width)
        out.append(line + b"\n")
    return b"".join(out)


_WRITERS = {
    "csv": _csv,
    "jsonl": _jsonl,
    "parquet": _parquet,
    "fixed_width": _fixed_width,
}
