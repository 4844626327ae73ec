"""Row by row comparison of two lakes, types included, row order ignored."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from paylake import dbt_project
from paylake.lake import Lake
from paylake.settings import Settings
from spark_jobs.build import JOBS

LAYERS = ("silver", "state", "work")
#: The tables of the jobs, and those of dbt's models: every table that a build writes.
OF_JOBS = tuple(job.table for job in JOBS)
OF_MODELS = tuple(f"work.{model.name}" for model in dbt_project.models().values() if model.stored)


def tables(settings: Settings) -> list[str]:
    """Every table of the compared layers."""
    lake = Lake(settings)
    return [f"{layer}.{table}" for layer in LAYERS for table in lake.tables(layer)]


def read(settings: Settings, name: str, version: int | None = None) -> pa.Table:
    """A table's rows by DuckDB's `delta_scan`, at a pinned version or the latest."""
    pins = None if version is None else {name: version}
    return Lake(settings).query(f"select * from {name}", versions=pins)


def differences(name: str, left: pa.Table, right: pa.Table) -> list[str]:
    """What differs, a line each; none when both hold the same rows with the same types."""
    if left.schema != right.schema:
        return [f"{name}: columns {left.schema} against {right.schema}"]
    only_left, only_right = _rows(left), _rows(right)
    for row in list(only_left):
        if row in only_right:
            shared = min(only_left[row], only_right[row])
            for side in (only_left, only_right):
                side[row] -= shared
                if not side[row]:
                    del side[row]
    return [
        f"{name}: only {side}: {row}"
        for side, found in (("left", only_left), ("right", only_right))
        for row in sorted(found)
    ]


def _rows(table: pa.Table) -> dict[str, int]:
    """How often each row occurs; its text keeps type, scale and null apart."""
    counted: dict[str, int] = {}
    columns: list[list[Any]] = [column.to_pylist() for column in table.columns]
    for values in zip(*columns, strict=True):
        text = repr(values)
        counted[text] = counted.get(text, 0) + 1
    return counted
