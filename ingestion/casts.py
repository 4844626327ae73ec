"""Outside columns to the text of a contract: exact, or left as they are for the rules to refuse."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingestion.feeds import Feed
from ingestion.readers import delimited
from ingestion.readers.columnar import group_offsets
from ingestion.readers.parsed import Malformed
from paylake.contracts import Column, Contract
from paylake.errors import PermanentFailure, UsageFault

if TYPE_CHECKING:
    from ingestion.mapping import FeedMapping

_ULPS = 4
CASTS = ("text", "decimal", "timestamp", "date", "integer")


@dataclass
class Outside:
    """An outside file as a text table of the feed's columns, with the place of every row."""

    table: pa.Table
    lines: np.ndarray
    offsets: np.ndarray
    unclassed: tuple[str, ...] = ()
    malformed: list[Malformed] = field(default_factory=list)


def read_outside(each: FeedMapping, data: bytes, where: str) -> Outside:
    """Read one outside file through its mapping.

    :raises PermanentFailure: when it cannot be read, or lacks a mapped column.
    """
    sources = [e["from"] for e in each.columns.values() if "from" in e]
    if each.format == "parquet":
        raw, lines, offsets, names = _parquet(data, sources, where)
        malformed: list[Malformed] = []
    else:
        raw, lines, offsets, names, malformed = _csv(each, data, sources, where)
    unclassed = tuple(n for n in names if n not in sources and n not in each.ignored)
    arrays: dict[str, pa.Array] = {}
    for column in each.feed.columns:
        entry = each.columns.get(column.name)
        if entry is None:
            arrays[column.name] = pa.nulls(raw.num_rows, pa.string())
        elif "constant" in entry:
            arrays[column.name] = pa.repeat(pa.scalar(str(entry["constant"])), raw.num_rows)
        else:
            arrays[column.name] = _cast(column, entry, raw.column(entry["from"]), where)
    return Outside(pa.table(arrays), lines, offsets, unclassed, malformed)


def _absent(names: list[str], sources: list[str], where: str) -> None:
    lacking = sorted(set(sources) - set(names))
    if lacking:
        raise PermanentFailure(
            f"The file has no column {', '.join(lacking)}",
            "Correct the mapping, or get the file that it was written for.",
            where=where,
        )


def _parquet(
    data: bytes, sources: list[str], where: str
) -> tuple[pa.Table, np.ndarray, np.ndarray, list[str]]:
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        names = file.schema_arrow.names
        _absent(names, sources, where)
        table = file.read(columns=list(dict.fromkeys(sources)))
    except (pa.ArrowException, OSError) as error:
        raise PermanentFailure(
            f"Not a readable Parquet file: {str(error)[:120]}", "Get the file again.", where=where
        ) from None
    return table, np.arange(1, table.num_rows + 1), group_offsets(file), names


def _csv(
    each: FeedMapping, data: bytes, sources: list[str], where: str
) -> tuple[pa.Table, np.ndarray, np.ndarray, list[str], list[Malformed]]:
    columns = tuple(Column(name, "string") for name in dict.fromkeys([*sources, *each.ignored]))
    contract = Contract(
        each.feed.name, "feed", "bronze", each.feed.table, "", columns,
        {"format": "csv", "encoding": each.encoding, "delimiter": each.delimiter},
    )
    parsed = delimited.read(Feed(contract, frozenset(each.ignored)), data)
    if parsed.problem is not None:
        raise PermanentFailure(
            f"The file cannot be read: {parsed.problem.detail}",
            "Correct the mapping, or get the file again.",
            where=where,
        )
    names = [*(c.name for c in columns), *parsed.unclassed]
    return parsed.table, parsed.lines, parsed.offsets, names, parsed.malformed


def _cast(
    column: Column, entry: dict[str, Any], values: pa.ChunkedArray, where: str
) -> pa.Array:
    kind = entry.get("cast", "text")
    if kind not in CASTS:
        raise UsageFault(
            f"Unknown cast {kind!r} of {column.name}",
            f"Use one of {', '.join(CASTS)}.",
            where=where,
        )
    array = values.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks)
    given = array.type
    if pa.types.is_floating(given):
        if kind == "decimal":
            return _exact_decimal(array, int(column.properties.get("scale", 4)))
        if kind == "integer":
            return _whole(array)
    elif pa.types.is_timestamp(given) and kind in ("timestamp", "date"):
        # Contracts know seconds; a fraction is cut, as a clock that shows none would.
        text = array.cast(pa.timestamp("s"), safe=False).cast(pa.string())
        return text if kind == "timestamp" else pc.utf8_slice_codeunits(text, 0, 10)
    elif pa.types.is_string(given) or pa.types.is_large_string(given):
        text = array.cast(pa.string())
        if entry.get("format") and kind in ("timestamp", "date"):
            text = _parsed_time(text, str(entry["format"]), kind)
        return pc.if_else(pc.equal(text, ""), None, text)
    elif pa.types.is_integer(given) or pa.types.is_decimal(given) or pa.types.is_date(given):
        return array.cast(pa.string())
    raise PermanentFailure(
        f"{entry['from']} has the type {given}, which is not cast to {kind} exactly",
        "Choose another cast in the mapping.",
        where=where,
    )


def _exact_decimal(array: pa.Array, scale: int) -> pa.Array:
    """Doubles that hold decimals of this scale, as their text.

    A double is taken for the nearest decimal when it is at most `_ULPS` representable numbers away
    from it: sums and products of decimals kept as doubles end there (85.64999999999999), a third
    decimal never does. Any other keeps its full text, which the contract's scale then refuses.
    """
    values = array.to_numpy(zero_copy_only=False).astype(np.float64)
    factor = 10**scale
    with np.errstate(invalid="ignore", over="ignore"):
        units = np.rint(values * factor)
        exact = np.isfinite(units) & (np.abs(units) < 2**53) & (
            np.abs(units / factor - values) <= _ULPS * np.spacing(np.abs(values))
        )
    whole = np.where(exact, units, 0).astype(np.int64)
    sign = np.where(whole < 0, "-", "")
    head = pa.array(np.abs(whole) // factor).cast(pa.string())
    text = pc.binary_join_element_wise(pa.array(sign, pa.string()), head, "")
    if scale:
        tail = pc.utf8_lpad(pa.array(np.abs(whole) % factor).cast(pa.string()), scale, "0")
        text = pc.binary_join_element_wise(text, tail, ".")
    odd = np.flatnonzero(~exact)
    if odd.size:
        filled = text.to_pylist()
        for row in odd.tolist():
            filled[row] = None if array[row].as_py() is None else repr(float(values[row]))
        text = pa.array(filled, pa.string())
    return text


def _whole(array: pa.Array) -> pa.Array:
    """Doubles that are whole numbers, as their text; any other keeps its full text."""
    return pa.array(
        [
            None if v is None else str(int(v)) if float(v).is_integer() else repr(v)
            for v in array.to_pylist()
        ],
        pa.string(),
    )


def _parsed_time(text: pa.Array, pattern: str, kind: str) -> pa.Array:
    """Times of another pattern in the contract's; unreadable ones stay for the rules to refuse."""
    moments = pc.strptime(text, pattern, "s", error_is_null=True)
    shown = moments.cast(pa.string())
    if kind == "date":
        shown = pc.utf8_slice_codeunits(shown, 0, 10)
    return pc.coalesce(shown, text)
