"""A date's rows to the bytes of its files, as the specification says. Pure; knows no report.

CSV is UTF-8 **with** a byte-order mark and CRLF line ends (RFC 4180): the spreadsheet programs that
regulators and merchants open it with read a file without the mark as GBK. A text that a spreadsheet
would take for a formula gets an apostrophe in front; amounts are plain digits and never do.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import groupby
from typing import Any

from paylake.errors import PermanentFailure
from reporting import workbook
from reporting.amounts import as_text, exact
from reporting.data import Row, Rows
from reporting.specification import Column, ControlTotal, Specification

SECTION_HEADINGS = ("栏目", "币种", "项目", "内容", "笔数", "金额")
TOTAL_HEADINGS = ("业务日期", "项目", "币种", "数值")
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Total:
    """A control total: `value` is exact text, an amount with its currency's decimals or a count."""

    name: str
    heading: str
    currency_code: str
    value: str

    def as_dict(self) -> dict[str, str]:
        return {
            "name": self.name,
            "heading": self.heading,
            "currency_code": self.currency_code,
            "value": self.value,
        }


@dataclass(frozen=True)
class RenderedFile:
    """A file of a package. `rows` counts lines of data, headings excluded."""

    name: str
    data: bytes
    rows: int
    totals: tuple[Total, ...] = field(default=())


def render(spec: Specification, rows: Rows, day: date) -> tuple[list[RenderedFile], list[Total]]:
    """All files of one date, in the specification's order, and the package's control totals.

    :raises PermanentFailure: for a value that cannot be shown as the specification says (the edit
        checks of severity S find these first).
    """
    totals = control_totals(spec, rows, day)
    files: list[RenderedFile] = []
    for file in spec.files:
        match file["kind"]:
            case "table":
                files.append(_table(spec, rows, day, file, totals))
            case "totals":
                files.append(_totals(day, file, totals))
            case "workbook":
                files.append(_workbook(spec, rows, day, file, totals))
            case "sections":
                files.extend(_sections(spec, rows, day, file))
    names = [f.name for f in files]
    if len(set(names)) != len(names):
        raise PermanentFailure(
            f"{spec.report} gives two files the same name", "Correct the specification."
        )
    return files, totals


def control_totals(spec: Specification, rows: Rows, day: date) -> list[Total]:
    """Control totals of one date, by every currency that the report has on it."""
    currencies = sorted({r["currency_code"] for name in spec.datasets for r in rows.of(name, day)})
    return [
        t
        for total in spec.control_totals
        for t in _sum(total, rows.of(total.dataset, day), currencies)
    ]


def _sum(total: ControlTotal, rows: Sequence[Row], currencies: Sequence[str]) -> Iterator[Total]:
    for currency in currencies:
        own = [row for row in rows if row["currency_code"] == currency]
        if total.function == "count":
            value = str(len(own))
        else:
            cells = [row.get(total.column or "") for row in own]
            if any(cell is None for cell in cells):
                continue  # no sum of what is not known; rules say what that means for the date
            value = as_text(sum(cells, Decimal(0)), currency)
        yield Total(total.name, total.heading, currency, value)


def cell_text(column: Column, row: Row) -> str:
    """What a reader sees in one cell."""
    value = row.get(column.name)
    if value is None:
        return ""
    match column.kind:
        case "amount":
            return as_text(value, row["currency_code"])
        case "date":
            return value.isoformat()
        case "count":
            return str(value)
        case "code":
            if value not in column.codes:
                raise PermanentFailure(
                    f"{column.name} has the value {value!r}, which the specification does not list",
                    "Add its label to the specification, or correct the mart.",
                )
            return column.codes[value]
    return safe_text(str(value))


def safe_text(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def csv_bytes(lines: Iterable[Sequence[str]]) -> bytes:
    """CSV as the module's docstring fixes it."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(lines)
    return b"\xef\xbb\xbf" + text.getvalue().encode("utf-8")


def _name(file: Mapping[str, Any], day: date, key: str = "") -> str:
    return file["name"].format(date=day.strftime("%Y%m%d"), key=key)


def _present(spec: Specification, rows: Rows, day: date, dataset: str, names: Iterable[str]):
    columns = spec.dataset(dataset).columns
    return [columns[n] for n in names if rows.has(dataset, n, day)]


def _of_dataset(spec: Specification, dataset: str, totals: Sequence[Total]) -> tuple[Total, ...]:
    if not spec.has_totals_per_file:
        return ()
    own = {t.name for t in spec.control_totals if t.dataset == dataset}
    return tuple(t for t in totals if t.name in own)


def _table(
    spec: Specification, rows: Rows, day: date, file: Mapping[str, Any], totals: Sequence[Total]
) -> RenderedFile:
    columns = _present(spec, rows, day, file["dataset"], file["columns"])
    data = rows.of(file["dataset"], day)
    lines = [[c.heading for c in columns], *([cell_text(c, r) for c in columns] for r in data)]
    return RenderedFile(
        _name(file, day),
        csv_bytes(lines),
        len(data),
        _of_dataset(spec, file["dataset"], totals),
    )


def _totals(day: date, file: Mapping[str, Any], totals: Sequence[Total]) -> RenderedFile:
    lines = [[day.isoformat(), t.heading, t.currency_code, t.value] for t in totals]
    return RenderedFile(_name(file, day), csv_bytes([TOTAL_HEADINGS, *lines]), len(lines))


def _workbook(
    spec: Specification, rows: Rows, day: date, file: Mapping[str, Any], totals: Sequence[Total]
) -> RenderedFile:
    sheets = []
    for sheet in file["sheets"]:
        if sheet.get("totals"):
            sheets.append(workbook.totals_sheet(sheet["title"], day, totals))
            continue
        columns = _present(spec, rows, day, sheet["dataset"], sheet["columns"])
        sheets.append(
            workbook.Sheet(
                title=sheet["title"],
                layout=sheet["layout"],
                columns=tuple(columns),
                rows=tuple(rows.of(sheet["dataset"], day)),
                summed=tuple(sheet.get("sum", ())),
            )
        )
    data = workbook.build(spec, day, sheets)
    own = tuple(totals) if spec.has_totals_per_file else ()
    return RenderedFile(_name(file, day), data, sum(len(s.rows) for s in sheets), own)


def _sections(
    spec: Specification, rows: Rows, day: date, file: Mapping[str, Any]
) -> Iterator[RenderedFile]:
    """One file for each value of `split_by`: a table of six columns, each line with its section.

    Rows of one value (one a currency) stand in one file. The line marked `total_of_parts` must
    equal the sum of the lines marked `part`, as shown. A line marked `unless_zero` is there where
    it has an amount.
    """
    by = file["split_by"]
    data = sorted(rows.of(file["dataset"], day), key=lambda r: (r[by], r["currency_code"]))
    for key, group in groupby(data, key=lambda r: r[by]):
        if not _KEY.fullmatch(key):
            raise PermanentFailure(
                f"{by} {key!r} cannot be part of a file name", "Correct the master data."
            )
        lines = list(_section_lines(spec, rows, day, file, list(group)))
        yield RenderedFile(_name(file, day, key), csv_bytes([SECTION_HEADINGS, *lines]), len(lines))


def _section_lines(
    spec: Specification, rows: Rows, day: date, file: Mapping[str, Any], group: Sequence[Row]
) -> Iterator[list[str]]:
    columns = spec.dataset(file["dataset"]).columns
    parts: dict[str, Decimal] = {}
    shown = 0
    for section in file["sections"]:
        if section.get("control"):
            yield [section["title"], "", "以上明细行数", "", str(shown), ""]
            for row in group:
                currency = row["currency_code"]
                total = as_text(parts[currency], currency)
                yield [section["title"], currency, "结算汇总分项合计（应等于期末）", "", "", total]
            continue
        if section.get("notes"):
            yield from ([section["title"], "", "", note, "", ""] for note in spec.notes)
            continue
        for row in group[:1] if section.get("once") else group:
            currency = "" if section.get("once") else row["currency_code"]
            for line in section["lines"]:
                named = next(line[k] for k in ("text", "amount") if k in line)
                if not rows.has(file["dataset"], named, day):
                    continue
                if line.get("unless_zero") and not row[named]:
                    continue
                yield _line(section["title"], currency, line, row, columns, parts)
                shown += 1


def _line(
    section: str,
    currency: str,
    line: Mapping[str, Any],
    row: Row,
    columns: Mapping[str, Column],
    parts: dict[str, Decimal],
) -> list[str]:
    if "text" in line:
        column = columns[line["text"]]
        return [section, currency, line.get("item", column.heading), cell_text(column, row), "", ""]
    column = columns[line["amount"]]
    if row[column.name] is None:  # only where the specification says that it may be
        return [section, currency, line.get("item", column.heading), "", "", ""]
    amount = exact(row[column.name] * line.get("sign", 1), row["currency_code"])
    if line.get("part"):
        parts[currency] = parts.get(currency, Decimal(0)) + amount
    if line.get("total_of_parts") and parts.get(currency) != amount:
        raise PermanentFailure(
            f"{column.heading} is {amount}, the lines above it add up to {parts.get(currency)}",
            "Correct the mart; an edit check of severity V should have held this date.",
        )
    count = cell_text(columns[line["count"]], row) if "count" in line else ""
    text = as_text(amount, row["currency_code"])
    return [section, currency, line.get("item", column.heading), "", count, text]
