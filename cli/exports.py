"""An Arrow table to a file for a spreadsheet or another program."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from paylake.errors import UsageFault, disk_fault

XLSX_ROWS = 1_048_575


def write(rows: pa.Table, path: Path) -> None:
    """Write by the file's suffix, whole or not at all; money stays exact (XLSX keeps amounts as
    numbers of 15 digits). In CSV a text that a spreadsheet would run as a formula gets a `'` in
    front; Parquet has every text as it is.

    :raises UsageFault: for another suffix, or more rows than a sheet holds.
    """
    suffix = path.suffix.lower()
    if suffix not in _WRITERS:
        raise UsageFault(f"Cannot write {suffix or 'a file without suffix'}",
                         "Use .csv, .xlsx or .parquet.", where=str(path))
    partial = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        _WRITERS[suffix](rows, partial)
        partial.replace(path)
    except OSError as error:
        raise disk_fault(error, path) from error
    finally:
        partial.unlink(missing_ok=True)


def _csv(rows: pa.Table, path: Path) -> None:
    with path.open("wb") as file:
        file.write(b"\xef\xbb\xbf")  # so that spreadsheets read Chinese text as UTF-8
        pa.csv.write_csv(_no_formulas(rows), file)


def _no_formulas(rows: pa.Table) -> pa.Table:
    for position, field in enumerate(rows.schema):
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            texts = rows.column(position)
            runs = pc.match_substring_regex(texts, r"^[=+\-@\t\r]")
            if pc.any(runs).as_py():
                marked = pc.binary_join_element_wise(pa.scalar("'", field.type), texts,
                                                     pa.scalar("", field.type))
                rows = rows.set_column(position, field, pc.if_else(runs, marked, texts))
    return rows


def _parquet(rows: pa.Table, path: Path) -> None:
    pa.parquet.write_table(rows, path)


def _xlsx(rows: pa.Table, path: Path) -> None:
    import xlsxwriter

    if rows.num_rows > XLSX_ROWS:
        raise UsageFault(
            f"{rows.num_rows:,} rows do not fit a sheet ({XLSX_ROWS:,})",
            "Narrow the dates, or write .csv or .parquet.",
        )
    with xlsxwriter.Workbook(path, {"constant_memory": True, "strings_to_formulas": False}) as book:
        sheet = book.add_worksheet("data")
        day = book.add_format({"num_format": "yyyy-mm-dd"})
        amount = book.add_format({"num_format": "#,##0.00##"})
        sheet.write_row(0, 0, rows.column_names)
        for number, record in enumerate(rows.to_pylist(), start=1):
            for column, value in enumerate(record.values()):
                if isinstance(value, Decimal):
                    sheet.write_number(number, column, value, amount)
                elif hasattr(value, "isoformat") and not hasattr(value, "hour"):
                    sheet.write_datetime(number, column, value, day)
                elif hasattr(value, "isoformat"):
                    sheet.write_string(number, column, value.isoformat())
                elif value is not None:
                    sheet.write(number, column, value)


_WRITERS = {".csv": _csv, ".xlsx": _xlsx, ".parquet": _parquet}
