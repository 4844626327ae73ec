"""Files of rows that others send: CSV in UTF-8 with a header, or Parquet."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from paylake.errors import UsageFault

#: Rows of a Parquet file that are in memory at once.
_BATCH = 1000


class Row(NamedTuple):
    """One row: its line (the header is line 1), its cells by name, and by how many cells it has
    more than the header; in one with more or fewer nobody can say which cells are whose."""

    line: int
    cells: dict[str, Any]
    beyond: int = 0


def rows_of(path: Path, column: str, what: str, again: str) -> Iterator[Row]:
    """The rows of a file.

    :param column: that the file must have
    :param what: its rows are, for the message
    :param again: what to do with a file that cannot be read to its end, for the message
    :raises UsageFault: for a file that is neither CSV nor Parquet, cannot be read as what it is
        (from that line on), or whose columns are not named so that a row can be told
    """
    read = {".csv": _csv_rows, ".parquet": _parquet_rows}.get(path.suffix.lower())
    if read is None:
        raise UsageFault(
            f"{path.name} is neither CSV nor Parquet", "Give a file that ends in .csv or .parquet.",
            where=str(path),
        )
    return read(path, column, what, again)


def _parquet_rows(path: Path, column: str, what: str, again: str) -> Iterator[Row]:
    import pyarrow as pa  # slow to load, and few commands need it
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            _check(path, file.schema_arrow.names, column, what)
            number = 1
            for batch in file.iter_batches(_BATCH):
                for row in batch.to_pylist():
                    number += 1
                    yield Row(number, row)
    # a date that Python has not, for one: Arrow names it by Python's own errors
    except (pa.ArrowException, OSError, OverflowError, ValueError) as error:
        raise UsageFault(
            f"{path.name} cannot be read as Parquet ({error})", again, where=str(path)
        ) from error


def _csv_rows(path: Path, column: str, what: str, again: str) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            header = next(reader, [])
            _check(path, header, column, what)
            for cells in reader:
                if cells:
                    yield Row(
                        reader.line_num, dict(zip(header, cells, strict=False)),
                        len(cells) - len(header),
                    )
        except (csv.Error, UnicodeDecodeError) as error:
            raise UsageFault(
                f"{path.name} from line {reader.line_num} cannot be read as CSV in UTF-8 ({error})",
                again, where=str(path),
            ) from error


def _check(path: Path, names: Sequence[str], column: str, what: str) -> None:
    """:raises UsageFault: when the columns are not named so that a row can be told"""
    twice = next((name for name in names if names.count(name) > 1), None)
    if column not in names:
        fault = f"has no column `{column}`"
    elif "" in names:
        fault = "has a column without a name"
    elif twice is not None:
        fault = f"names `{twice}` twice"
    else:
        return
    raise UsageFault(
        f"{path.name} {fault}", f"Its first line names the fields of {what}, each once.",
        where=str(path),
    )
