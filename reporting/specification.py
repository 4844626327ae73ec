"""Report specifications: what a report holds, read from ``specs/<report>.yml``.

A specification names the released tables and columns that a report takes, their Chinese headings,
the files it is made of, and its control totals. Renderers know no report; a new report is a new
specification with its rules. Shape of the file: ``docs/reference/reports.md``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from paylake.errors import PermanentFailure, UsageFault
from paylake.masking import MASKS
from paylake.settings import Settings

SPECS = Path(__file__).parent / "specs"
COLUMN_TYPES = ("text", "date", "amount", "count", "code")
FILE_KINDS = ("table", "totals", "workbook", "sections")


@dataclass(frozen=True)
class Column:
    """A column of a dataset.

    :param heading: Chinese heading that the reader sees.
    :param kind: one of `COLUMN_TYPES`; an amount is shown with its currency's decimals.
    :param codes: for ``code``: value in the mart -> text shown; any other value is an error.
    :param sql: derived here from columns of the same row (a label, never an amount).
    :param working_days_since: derived: working days from that date column to the business date.
    :param setting: declared by the institution in this setting, the same on every row; empty where
        it says nothing, so that it can be written by hand.
    :param mask: how a declared value is masked before anything sees it.
    :param is_optional: left out where the release does not have it; otherwise that is an error.
    :param is_nullable: an empty cell is a legitimate value.
    """

    name: str
    heading: str
    kind: str = "text"
    codes: Mapping[str, str] = field(default_factory=dict)
    sql: str | None = None
    working_days_since: str | None = None
    setting: str | None = None
    mask: str | None = None
    is_optional: bool = False
    is_nullable: bool = False


@dataclass(frozen=True)
class Dataset:
    """Rows of one released table for the dates of a report.

    :param lookback_days: earlier dates that the rules, not the files, see.
    :param is_required: a date without a row has no report.
    """

    name: str
    table: str
    order_by: tuple[str, ...]
    columns: Mapping[str, Column]
    lookback_days: int = 0
    is_required: bool = False


@dataclass(frozen=True)
class ControlTotal:
    """A sum or count by currency over a dataset, carried in the manifest."""

    name: str
    heading: str
    dataset: str
    function: str
    column: str | None


@dataclass(frozen=True)
class Specification:
    """One report. `files` keeps the YAML of each file; its kind's renderer reads it."""

    report: str
    title: str
    title_en: str
    audience: str
    basis: tuple[str, ...]
    datasets: Mapping[str, Dataset]
    files: tuple[Mapping[str, Any], ...]
    control_totals: tuple[ControlTotal, ...]
    has_totals_per_file: bool
    clear_columns: tuple[str, ...]
    notes: tuple[str, ...]

    def dataset(self, name: str) -> Dataset:
        return self.datasets[name]

    def declared_columns(self) -> Iterator[tuple[str, Column]]:
        """(dataset, column) of what the institution's settings say, not its marts."""
        for name, dataset in self.datasets.items():
            yield from ((name, c) for c in dataset.columns.values() if c.setting)


def reports() -> list[str]:
    """Names of all reports that have a specification."""
    return sorted(path.stem for path in SPECS.glob("*.yml"))


@cache
def load(report: str) -> Specification:
    """Read the specification of one report.

    :raises UsageFault: for an unknown report.
    :raises PermanentFailure: for a specification that contradicts itself.
    """
    path = SPECS / f"{report}.yml"
    if report not in reports():
        raise UsageFault(f"Unknown report {report!r}", f"Known reports: {', '.join(reports())}.")
    return parse(yaml.safe_load(path.read_text("utf-8")), path.name)


def parse(document: Mapping[str, Any], where: str) -> Specification:
    """A specification from its YAML document."""
    try:
        datasets = {name: _dataset(name, body) for name, body in document["datasets"].items()}
        spec = Specification(
            report=document["report"],
            title=document["title"],
            title_en=document["title_en"],
            audience=document["audience"],
            basis=tuple(document["basis"]),
            datasets=datasets,
            files=tuple(document["files"]),
            control_totals=tuple(_total(body) for body in document["control_totals"]),
            has_totals_per_file=document["totals_per_file"],
            clear_columns=tuple(document["clear_columns"]),
            notes=tuple(document.get("notes", ())),
        )
    except KeyError as error:
        raise _broken(f"it lacks {error}", where) from None
    _check(spec, where)
    return spec


def _dataset(name: str, body: Mapping[str, Any]) -> Dataset:
    columns = {
        column: Column(
            name=column,
            heading=entry["heading"],
            kind=entry.get("type", "text"),
            codes=entry.get("codes", {}),
            sql=entry.get("sql"),
            working_days_since=entry.get("working_days_since"),
            setting=entry.get("setting"),
            mask=entry.get("mask"),
            is_optional=entry.get("optional", False),
            is_nullable=entry.get("nullable", False),
        )
        for column, entry in body["columns"].items()
    }
    return Dataset(
        name=name,
        table=body["table"],
        order_by=tuple(body["order_by"]),
        columns=columns,
        lookback_days=body.get("lookback_days", 0),
        is_required=body.get("required", False),
    )


def _total(body: Mapping[str, Any]) -> ControlTotal:
    return ControlTotal(
        body["name"], body["heading"], body["dataset"], body["function"], body.get("column")
    )


def _broken(problem: str, where: str) -> PermanentFailure:
    return PermanentFailure(
        f"The report specification is not usable: {problem}", "Correct the file.", where=where
    )


def _check(spec: Specification, where: str) -> None:
    if spec.report != Path(where).stem:
        raise _broken(f"it is for {spec.report!r}, not for its file's name", where)
    for dataset in spec.datasets.values():
        for needed in ("business_date", "currency_code", *dataset.order_by):
            if needed not in dataset.columns:
                raise _broken(f"dataset {dataset.name} has no column {needed!r}", where)
        for column in dataset.columns.values():
            if column.kind not in COLUMN_TYPES:
                raise _broken(f"column {column.name} has type {column.kind!r}", where)
            if (column.kind == "code") != bool(column.codes):
                raise _broken(f"column {column.name}: codes belong to type code", where)
            if column.kind == "amount" and column.sql:
                raise _broken(f"column {column.name}: an amount comes from the mart", where)
    known_settings = {f.name for f in fields(Settings)}
    for _, column in spec.declared_columns():
        if column.setting not in known_settings:
            raise _broken(f"column {column.name}: there is no setting {column.setting!r}", where)
        if column.kind != "text" or not column.is_nullable:
            raise _broken(f"column {column.name}: a declared value is text or empty", where)
        if column.mask is not None and column.mask not in MASKS:
            raise _broken(f"column {column.name}: there is no mask {column.mask!r}", where)
    everything = {c for dataset in spec.datasets.values() for c in dataset.columns}
    for name in spec.clear_columns:
        if name not in everything or not name.endswith("_token"):
            raise _broken(f"clear column {name!r} is not a token of its datasets", where)
    for total in spec.control_totals:
        if total.function not in ("sum", "count"):
            raise _broken(f"control total {total.name} has function {total.function!r}", where)
        if total.dataset not in spec.datasets:
            raise _broken(f"control total {total.name} is over {total.dataset!r}", where)
        known = spec.datasets[total.dataset].columns
        if total.function == "sum" and known.get(total.column or "", None) is None:
            raise _broken(f"control total {total.name} sums {total.column!r}", where)
    for file in spec.files:
        if file.get("kind") not in FILE_KINDS:
            raise _broken(f"file {file.get('name')!r} has kind {file.get('kind')!r}", where)
        for dataset_name, used in _columns_used(file):
            if dataset_name not in spec.datasets:
                raise _broken(f"file {file['name']!r} uses dataset {dataset_name!r}", where)
            for column_name in used:
                if column_name not in spec.datasets[dataset_name].columns:
                    raise _broken(f"file {file['name']!r} uses column {column_name!r}", where)


def _columns_used(file: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """(dataset, columns) that a file refers to."""
    if file["kind"] == "table":
        return [(file["dataset"], file["columns"])]
    if file["kind"] == "workbook":
        return [(s["dataset"], s["columns"]) for s in file["sheets"] if not s.get("totals")]
    if file["kind"] == "sections":
        lines = [line for section in file["sections"] for line in section["lines"]]
        cells = [line[k] for line in lines for k in ("text", "count", "amount") if k in line]
        return [(file["dataset"], [file["split_by"], *cells])]
    return []
