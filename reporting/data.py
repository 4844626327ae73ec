"""Read the datasets of a report for many dates in one pass, and split them by date.

Rows of a date must be those of the release that its package pins. Where the release in force still
shows the same partitions (equal digests), one query serves all dates; a date that was restated
later is read from its own release.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

import pyarrow as pa

from paylake.crypto import sm3_hex
from paylake.dates import is_working_day
from paylake.errors import PermanentFailure
from reporting.source import Chain, Reader, Release, Source
from reporting.specification import Dataset, Specification

Row = dict[str, Any]


@dataclass(frozen=True)
class Rows:
    """Rows of every dataset of a report, by business date, each in the specification's order."""

    columns: Mapping[tuple[str, date], tuple[str, ...]]
    by_date: Mapping[str, Mapping[date, list[Row]]]

    def of(self, dataset: str, day: date) -> list[Row]:
        return self.by_date[dataset].get(day, [])

    def is_complete(self, spec: Specification, day: date) -> bool:
        """False when the release has no such table, or a required one has no row of the date: the
        home has no feed for this report."""
        return all(
            (name, day) in self.columns and (not dataset.is_required or self.of(name, day))
            for name, dataset in spec.datasets.items()
        )

    def has(self, dataset: str, column: str, day: date) -> bool:
        """False for an optional column that the release of that date does not have."""
        return column in self.columns[dataset, day]

    def digest(self, dataset: str, day: date) -> str:
        """SM3 over the rows as read: tells, when a rebuild differs, whether its input does."""
        names = self.columns[dataset, day]
        lines = [
            "\x1f".join("\0" if row[n] is None else str(row[n]) for n in names)
            for row in self.of(dataset, day)
        ]
        return sm3_hex("\x1e".join(["\x1f".join(names), *lines]).encode())

    def tokens(self, names: Sequence[str], day: date) -> set[str]:
        """Distinct tokens in the named columns of one date."""
        return {
            row[name]
            for rows in self.by_date.values()
            for row in rows.get(day, ())
            for name in names
            if row.get(name) is not None
        }

    def in_clear(self, names: Sequence[str], day: date, values: Mapping[str, str]) -> Rows:
        """These rows with the named columns' tokens replaced by their values, for one date."""
        shown = {
            dataset: {
                day: [
                    row | {n: values[row[n]] for n in names if row.get(n) is not None}
                    for row in rows.get(day, ())
                ]
            }
            for dataset, rows in self.by_date.items()
        }
        return Rows(self.columns, shown)

    def table(self, spec: Specification, dataset: str) -> pa.Table:
        """All loaded rows of a dataset, the earlier dates for the rules included."""
        rows = [r for day in sorted(self.by_date[dataset]) for r in self.of(dataset, day)]
        columns = spec.dataset(dataset).columns.values()
        schema = pa.schema([(c.name, _ARROW[c.kind]) for c in columns])
        return pa.Table.from_pylist(rows, schema=schema)


_ARROW = {
    "text": pa.string(),
    "code": pa.string(),
    "date": pa.date32(),
    "amount": pa.decimal128(18, 4),
    "count": pa.int64(),
}


def load(source: Source, spec: Specification, chain: Chain, pins: Mapping[date, Release]) -> Rows:
    """Rows of the given dates.

    :param pins: business date -> the release that its package names.
    :raises PermanentFailure: when a released table lacks a column that the report needs.
    """
    groups: dict[str, list[date]] = defaultdict(list)
    for day, release in sorted(pins.items()):
        same = all(
            chain.still_shows(dataset.table, day - timedelta(days=back), release)
            for dataset in spec.datasets.values()
            for back in range(dataset.lookback_days + 1)
        )
        groups[chain.in_force.release_id if same else release.release_id].append(day)
    columns: dict[tuple[str, date], tuple[str, ...]] = {}
    by_date: dict[str, dict[date, list[Row]]] = {name: {} for name in spec.datasets}
    for release_id, days in groups.items():
        reader = source.reader(release_id)
        try:
            known = reader.tables()
            for name, dataset in spec.datasets.items():
                if dataset.table not in known:
                    continue
                present = _columns(reader, dataset)
                for day, rows in _read(reader, dataset, present, days).items():
                    # an earlier date is there for the rules; the date's own release goes before
                    if day in days or day not in by_date[name]:
                        by_date[name][day] = rows
                        columns[name, day] = present
        finally:
            reader.close()
    return Rows(columns, by_date)


def _columns(reader: Reader, dataset: Dataset) -> tuple[str, ...]:
    """Columns of the specification that this release has, derived ones included."""
    present = set(reader.query(f'select * from "{dataset.table}" limit 0').column_names)
    missing = [
        c.name
        for c in dataset.columns.values()
        if c.name not in present
        and not (c.sql or c.working_days_since or c.setting or c.is_optional)
    ]
    if missing:
        raise PermanentFailure(
            f"The release's {dataset.table} lacks {', '.join(missing)}",
            "Build and publish with a project that makes them, or correct the specification.",
        )
    return tuple(c.name for c in dataset.columns.values() if not c.is_optional or c.name in present)


def _read(
    reader: Reader, dataset: Dataset, present: Sequence[str], days: Sequence[date]
) -> dict[date, list[Row]]:
    wanted = sorted(
        {d - timedelta(days=back) for d in days for back in range(dataset.lookback_days + 1)}
    )
    parts = []
    for name in present:
        column = dataset.columns[name]
        if column.working_days_since or column.setting:
            continue
        parts.append(f'{column.sql} as "{name}"' if column.sql else f'"{name}"')
    dates = ", ".join(f"date '{d.isoformat()}'" for d in wanted)
    order = ", ".join(f'"{c}"' for c in ("business_date", *dataset.order_by))
    table = reader.query(
        f'select {", ".join(parts)} from "{dataset.table}" where business_date in ({dates}) '
        f"order by {order}"
    )
    result: dict[date, list[Row]] = {d: [] for d in wanted}
    for row in table.to_pylist():
        for name in present:
            since = dataset.columns[name].working_days_since
            if since:
                row[name] = working_days(row[since], row["business_date"])
            elif dataset.columns[name].setting:
                row[name] = None  # `reporting.declared` fills it in
        result[row["business_date"]].append({name: row[name] for name in present})
    return result


@lru_cache(maxsize=4096)
def working_days(first: date | None, last: date) -> int | None:
    """Working days after `first`, up to and including `last`.

    :raises PermanentFailure: beyond the calendar's end.
    """
    if first is None:
        return None
    between: Iterable[int] = range(1, (last - first).days + 1)
    return sum(is_working_day(first + timedelta(days=n)) for n in between)
