"""The files of what was released, by digest: a changed byte is found wherever in a file it is.

Content digests say which rows a partition holds. A byte of a Parquet file's statistics or padding
is in no row, and can lead a reader astray all the same. So publishing records the SM3 of each data
file of the released dates, of each entry of the Delta logs that name them, and of the kept
deliveries; writing a reader file records its own. They stand in `ops.file_digest`, outside the
release document: file names differ from engine to engine, and mending writes other files, whose
digests are recorded anew. Of log entries the text is recorded too: nothing else could replace one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from paylake import durable, ops
from paylake.crypto import sm3_file, sm3_hex
from paylake.errors import NotVerified
from paylake.lake import Lake
from paylake.settings import Settings
from paylake.store import in_object_store

#: Layers whose partitions are guarded; `work` is compared by content, and can be built again.
LAYERS = ("bronze", "quarantine", "silver", "state", "gold")
TABLE = "file_digest"
_THREADS = 4


@dataclass(frozen=True)
class File:
    """A file that digests are kept of. `name` is its path within the table."""

    path: str
    kind: str
    layer: str | None = None
    table: str | None = None
    name: str = ""
    business_date: date | None = None
    size: int | None = None


@dataclass(frozen=True)
class Altered:
    """A recorded file that is not as it was recorded. `how` is `missing` or `altered`."""

    file: File
    how: str

    def __str__(self) -> str:
        return f"{self.file.path} is {self.how}"


Partition = tuple[str, str, date]


@dataclass(frozen=True)
class Comparison:
    """The data files of some dates beside their records.

    :param altered: files that differ from their record, or are lost.
    :param unknown: files that nothing was recorded of.
    :param present: partitions that have a file, whole or not.
    :param gone: partitions that were recorded once and have no file any more.
    """

    altered: list[Altered]
    unknown: list[File]
    present: set[Partition]
    gone: set[Partition]


def partition(file: File) -> Partition:
    """(layer, table, business date) of a data file."""
    assert file.layer is not None and file.table is not None and file.business_date is not None
    return file.layer, file.table, file.business_date


def data_files(lake: Lake, layer: str, table: str, first: date, last: date) -> list[File]:
    """The data files of a table's partitions at its latest version, from its log."""
    actions = lake.actions(layer, table)
    if "partition.business_date" not in actions.column_names:
        return []
    return [
        File(f"lake/{layer}/{table}/{name}", "data", layer, table, name, day, size)
        for day, name, size in zip(
            actions.column("partition.business_date").to_pylist(),
            actions.column("path").to_pylist(),
            actions.column("size_bytes").to_pylist(),
            strict=True,
        )
        if first <= day <= last
    ]


def guarded_tables(lake: Lake) -> list[tuple[str, str]]:
    """(layer, table) of every table whose files are guarded."""
    return [(layer, table) for layer in LAYERS for table in lake.tables(layer)]


def record(settings: Settings, first: date, last: date) -> int:
    """Record the files of these dates, and log entries, that are not recorded yet.

    :returns: how many were recorded.
    """
    lake = Lake(settings)
    known = {row["path"] for row in _of_dates(settings, first, last, "'data', 'log', 'kept'")}
    new: list[File] = []
    for layer, table in guarded_tables(lake):
        new += data_files(lake, layer, table, first, last)
        new += _log_files(lake, layer, table)
    new += _kept_files(settings, first, last)
    return _write(settings, [each for each in new if each.path not in known])


def record_readers(settings: Settings, paths: Sequence[Path]) -> None:
    """Record files of the readers' folder that were just written."""
    if not paths:
        return
    known = {row["path"]: row["sm3"] for row in _recorded(settings, "kind = 'reader'")}
    new = [
        File(f"serving/{path.name}", "reader", size=path.stat().st_size)
        for path in paths
        if known.get(f"serving/{path.name}") != sm3_file(path)
    ]
    _write(settings, new)


def altered_logs(settings: Settings) -> list[Altered]:
    """Log entries that are not as recorded. Mend them before anything else is read."""
    return _compare(settings, _recorded(settings, "kind = 'log'"))


def mend_logs(settings: Settings, damaged: Sequence[Altered]) -> list[Altered]:
    """Write damaged log entries again from their recorded text, byte for byte.

    :returns: those that could not be: of a lake in an object store no text is recorded.
    """
    rows = ops.latest(settings, TABLE, "kind = 'log' and content is not null")
    text = {r["path"]: r["content"] for r in rows if sm3_hex(r["content"].encode()) == r["sm3"]}
    left = []
    for each in damaged:
        if each.file.path not in text:
            left.append(each)
            continue
        durable.write(_local(settings, each.file), text[each.file.path].encode())
    return left


def compare(settings: Settings, first: date, last: date) -> Comparison:
    """Compare the data files of these dates with their records."""
    lake = Lake(settings)
    recorded = {row["path"]: row for row in _of_dates(settings, first, last, "'data'")}
    rows, unknown, present = [], [], set()
    for layer, table in guarded_tables(lake):
        for file in data_files(lake, layer, table, first, last):
            present.add(partition(file))
            if file.path in recorded:
                rows.append(recorded[file.path])
            else:
                unknown.append(file)
    known = {partition(_file(row)) for row in recorded.values()}
    return Comparison(_compare(settings, rows), unknown, present, known - present)


def altered_kept(settings: Settings, first: date, last: date) -> list[Altered]:
    """Files of kept deliveries that differ from their records, or are lost."""
    return _compare(settings, _of_dates(settings, first, last, "'kept'"))


def altered_readers(settings: Settings) -> list[Altered]:
    """Reader files that differ from their records, or are lost."""
    return _compare(settings, _recorded(settings, "kind = 'reader'"))


def _recorded(
    settings: Settings, where: str, parameters: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """The newest record of each file that matches, without its text. A file never changes its date
    or kind, so that only matching records are read."""
    lake = Lake(settings)
    if not lake.exists("ops", TABLE):
        return []
    try:
        return lake.query(
            f"""
            select * exclude (content) from ops.{TABLE}
            where {where}
            qualify row_number() over (partition by path order by recorded_at desc) = 1
            order by path
            """,
            parameters,
        ).to_pylist()
    except duckdb.Error as error:
        raise NotVerified(
            f"The digests of released files cannot be read: {error}",
            "Restore lake/ops from the backup; or remove this folder: the next run compares rows "
            "with their releases and records the files anew.",
            where=lake.address("ops", TABLE),
        ) from error


def _of_dates(settings: Settings, first: date, last: date, kinds: str) -> list[dict[str, Any]]:
    """Records of these dates, and of files that are of no date."""
    return _recorded(
        settings,
        f"kind in ({kinds}) and (business_date between $first and $last or business_date is null)",
        {"first": first, "last": last},
    )


def _log_files(lake: Lake, layer: str, table: str) -> Iterator[File]:
    for version in range(lake.version(layer, table) + 1):
        name = f"_delta_log/{version:020d}.json"
        yield File(f"lake/{layer}/{table}/{name}", "log", layer, table, name)


def _kept_files(settings: Settings, first: date, last: date) -> Iterator[File]:
    """Kept deliveries of these dates, and kept outside files, which may hold many dates."""
    root = settings.path("landing", "kept")
    for folder in sorted(root.glob("*/*")):
        day = _date(folder.name)
        if folder.name != "mapped" and (day is None or not first <= day <= last):
            continue
        for path in sorted(folder.glob("*/*")):
            if path.parent.name.startswith("."):
                continue  # half written by a killed run: not kept yet
            yield File(
                str(path.relative_to(settings.home)), "kept", business_date=day,
                size=path.stat().st_size,
            )


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _compare(settings: Settings, rows: Iterable[dict[str, Any]]) -> list[Altered]:
    lake = Lake(settings)

    def look(row: dict[str, Any]) -> Altered | None:
        file = _file(row)
        digest = _digest(settings, lake, file)
        if digest == row["sm3"]:
            return None
        return Altered(file, "missing" if digest is None else "altered")

    with ThreadPoolExecutor(_THREADS) as pool:
        return [each for each in pool.map(look, rows) if each is not None]


def _file(row: dict[str, Any]) -> File:
    layer, table = row["layer"], row["table_name"]
    name = row["path"].removeprefix(f"lake/{layer}/{table}/") if layer else ""
    return File(
        row["path"], row["kind"], layer, table, name, row["business_date"], row["size_bytes"]
    )


def _local(settings: Settings, file: File) -> Path:
    if file.layer is None or file.table is None:
        return settings.path(*file.path.split("/"))
    return Lake(settings).path(file.layer, file.table) / file.name


def _digest(settings: Settings, lake: Lake, file: File) -> str | None:
    """SM3 of a file; None when it is lost."""
    if file.layer is not None and file.table is not None:
        return lake.file_digest(file.layer, file.table, file.name)
    path = _local(settings, file)
    return sm3_file(path) if path.is_file() else None


def _write(settings: Settings, new: Sequence[File]) -> int:
    lake = Lake(settings)
    keeps_text = not in_object_store(settings)

    def row(file: File) -> dict[str, Any] | None:
        content = None
        size = file.size
        if file.kind == "log" and keeps_text:
            raw = _local(settings, file).read_bytes()
            content, size, digest = raw.decode(), len(raw), sm3_hex(raw)
        else:
            digest = _digest(settings, lake, file)
        if digest is None:
            return None  # lost already: what compares partitions with their release finds it
        return {
            "path": file.path, "kind": file.kind, "layer": file.layer, "table_name": file.table,
            "business_date": file.business_date, "size_bytes": size, "sm3": digest,
            "content": content,
        }

    with ThreadPoolExecutor(_THREADS) as pool:
        rows = [each for each in pool.map(row, new) if each is not None]
    return ops.record(settings, TABLE, rows)
