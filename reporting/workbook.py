"""A workbook (XLSX) that is the same bytes for the same content, today and next year.

XlsxWriter stamps the wall clock into the document's properties and compresses with whatever zlib is
there; both would make a rebuild differ. So the creation date is a constant, and the archive is
written again uncompressed, with constant times. Amounts are number cells, checked to show exactly
the decimal that the mart holds; texts are written as strings, never as formulas.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import xlsxwriter

from paylake.errors import PermanentFailure
from reporting.amounts import as_cell, exact, scale
from reporting.specification import Column, Specification

if TYPE_CHECKING:
    from reporting.render import Total

EPOCH = datetime(2000, 1, 1)
ZIP_TIME = (1980, 1, 1, 0, 0, 0)
_FONT = {"font_name": "Microsoft YaHei", "font_size": 10, "valign": "vcenter"}
_WIDTHS = {"amount": 20, "date": 13, "count": 12, "code": 20, "text": 24}


@dataclass(frozen=True)
class Sheet:
    """A sheet: `vertical` has a line a column of the dataset (a form), `table` a line a row."""

    title: str
    layout: str
    columns: tuple[Column, ...]
    rows: tuple[Mapping[str, Any], ...]
    summed: tuple[str, ...] = ()


def totals_sheet(title: str, day: date, totals: Sequence[Total]) -> Sheet:
    """Control totals as a sheet; values stay text, as in the manifest."""
    headings = {
        "business_date": "业务日期",
        "heading": "项目",
        "currency_code": "币种",
        "value": "数值",
    }
    columns = tuple(
        Column(name, heading, "date" if name == "business_date" else "text")
        for name, heading in headings.items()
    )
    rows = tuple({"business_date": day, **t.as_dict()} for t in totals)
    return Sheet(title, "table", columns, rows)


class _Formats:
    """Cell formats, made once a workbook."""

    def __init__(self, book: xlsxwriter.Workbook) -> None:
        self._book = book
        self._made: dict[str, Any] = {}

    def get(self, name: str, **extra: Any) -> Any:
        key = f"{name}{sorted(extra.items())}"
        if key not in self._made:
            self._made[key] = self._book.add_format(_FONT | _BASE[name] | extra)
        return self._made[key]

    def amount(self, currency: str, **extra: Any) -> Any:
        decimals = scale(currency)
        places = "." + "0" * decimals if decimals else ""
        return self.get("number", num_format=f"#,##0{places};[Red]-#,##0{places}", **extra)


_BASE: dict[str, dict[str, Any]] = {
    "title": {"bold": True, "font_size": 16},
    "note": {"font_color": "#595959", "text_wrap": True, "valign": "top"},
    "head": {"bold": True, "bg_color": "#DCE6F1", "border": 1, "text_wrap": True},
    "text": {"border": 1},
    "date": {"border": 1, "num_format": "yyyy-mm-dd", "align": "center"},
    "number": {"border": 1, "num_format": "#,##0"},
}


def build(spec: Specification, day: date, sheets: Sequence[Sheet]) -> bytes:
    """The workbook's bytes."""
    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(
        buffer,
        {
            "in_memory": True,
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "strings_to_numbers": False,
        },
    )
    book.set_properties({"title": f"{spec.title} {day.isoformat()}", "created": EPOCH})
    formats = _Formats(book)
    for sheet in sheets:
        page = book.add_worksheet(sheet.title)
        page.set_paper(9)  # A4
        page.fit_to_pages(1, 0)
        page.hide_gridlines(2)
        page.write_string(0, 0, f"{spec.title}　{sheet.title}", formats.get("title"))
        page.set_row(0, 28)
        page.write_string(1, 0, f"业务日期 {day.isoformat()}", formats.get("note", text_wrap=False))
        if sheet.layout == "vertical":
            end = _vertical(page, formats, sheet)
        else:
            page.set_landscape()
            end = _table(page, formats, sheet)
        if sheet is sheets[0]:
            for offset, note in enumerate((*spec.basis, *spec.notes)):
                page.write_string(end + 1 + offset, 0, note, formats.get("note", text_wrap=False))
    book.close()
    return _plain_archive(buffer.getvalue())


def _vertical(page: Any, formats: _Formats, sheet: Sheet) -> int:
    page.set_column(0, 0, 26)
    page.set_column(1, max(1, len(sheet.rows)), 22)
    page.write_string(3, 0, "项目", formats.get("head"))
    for position, row in enumerate(sheet.rows, start=1):
        heading = f"内容（{row['currency_code']}）" if len(sheet.rows) > 1 else "内容"
        page.write_string(3, position, heading, formats.get("head", align="right"))
    for line, column in enumerate(sheet.columns, start=4):
        page.write_string(line, 0, column.heading, formats.get("text"))
        for position, row in enumerate(sheet.rows, start=1):
            _cell(page, formats, line, position, column, row, align="right")
    return 4 + len(sheet.columns)


def _table(page: Any, formats: _Formats, sheet: Sheet) -> int:
    for position, column in enumerate(sheet.columns):
        page.set_column(position, position, _WIDTHS[column.kind])
        page.write_string(3, position, column.heading, formats.get("head"))
    page.freeze_panes(4, 0)
    page.repeat_rows(3)
    for line, row in enumerate(sheet.rows, start=4):
        for position, column in enumerate(sheet.columns):
            _cell(page, formats, line, position, column, row)
    end = 4 + len(sheet.rows)
    if not sheet.rows:
        page.write_string(end, 0, "无", formats.get("text"))
        return end + 1
    if sheet.summed:
        end = _sum_lines(page, formats, sheet, end)
    return end


def _sum_lines(page: Any, formats: _Formats, sheet: Sheet, line: int) -> int:
    for currency in sorted({row["currency_code"] for row in sheet.rows}):
        own = [row for row in sheet.rows if row["currency_code"] == currency]
        for position, column in enumerate(sheet.columns):
            if position == 0:
                page.write_string(line, 0, f"合计（{currency}）", formats.get("head"))
            elif column.name in sheet.summed:
                total = exact(sum(row[column.name] for row in own), currency)
                style = formats.amount(currency, bold=True)
                page.write_number(line, position, as_cell(total, currency), style)
            else:
                page.write_blank(line, position, None, formats.get("text"))
        line += 1
    return line


def _cell(
    page: Any,
    formats: _Formats,
    line: int,
    position: int,
    column: Column,
    row: Mapping[str, Any],
    **extra: Any,
) -> None:
    value = row.get(column.name)
    if value is None:
        page.write_blank(line, position, None, formats.get("text", **extra))
    elif column.kind == "amount":
        currency = row["currency_code"]
        style = formats.amount(currency, **extra)
        page.write_number(line, position, as_cell(exact(value, currency), currency), style)
    elif column.kind == "count":
        page.write_number(line, position, int(value), formats.get("number", **extra))
    elif column.kind == "date":
        page.write_datetime(line, position, value, formats.get("date", **extra))
    elif column.kind == "code":
        if value not in column.codes:
            raise PermanentFailure(
                f"{column.name} has the value {value!r}, which the specification does not list",
                "Add its label to the specification, or correct the mart.",
            )
        page.write_string(line, position, column.codes[value], formats.get("text", **extra))
    else:
        page.write_string(line, position, str(value), formats.get("text", **extra))


def _plain_archive(data: bytes) -> bytes:
    """The same archive, stored instead of compressed, in the same order, with constant times."""
    result = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as packed,
        zipfile.ZipFile(result, "w", zipfile.ZIP_STORED) as plain,
    ):
        for name in packed.namelist():
            entry = zipfile.ZipInfo(name, ZIP_TIME)
            entry.create_system = 3
            entry.external_attr = 0o600 << 16
            plain.writestr(entry, packed.read(name))
    return result.getvalue()
