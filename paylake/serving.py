"""Files that readers open: one DuckDB file of views a release, and a pointer to the one in force.

They are derived from the chain of releases: mending or restoring writes them anew. A view pins the
Delta version (`version => n`) and the last business date, so a file shows the same rows for good.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from paylake import durable
from paylake.crypto import sm3_hex
from paylake.delta_reader import FileReader, own_file
from paylake.errors import PermanentFailure, disk_fault
from paylake.lake import Lake
from paylake.settings import Settings
from paylake.store import store

POINTER = "CURRENT"
EXTRA = "views.json"
EMPTY = "R000000"

View = tuple[str, str]


@dataclass(frozen=True)
class Pinned:
    """What a release file shows."""

    release_id: str
    sequence: int
    through: date | None
    digest: str
    versions: Mapping[str, int]


def folder(settings: Settings) -> Path:
    return settings.path("serving")


def file_of(settings: Settings, release_id: str) -> Path:
    return folder(settings) / f"{release_id}.duckdb"


def pointer(settings: Settings) -> str | None:
    """The release id that the pointer names, None when there is no pointer."""
    try:
        return (folder(settings) / POINTER).read_text("utf-8").strip() or None
    except FileNotFoundError:
        return None


def point(settings: Settings, release_id: str) -> None:
    """Put a release in force for readers."""
    durable.write(folder(settings) / POINTER, f"{release_id}\n".encode())


def extra_views(settings: Settings, given: Sequence[View] | None) -> list[View]:
    """Views beyond the gold tables: those given are kept for later mending, else the kept ones."""
    path = folder(settings) / EXTRA
    if given is not None:
        content = json.dumps([list(v) for v in given], ensure_ascii=False, indent=1).encode()
        if not path.is_file() or path.read_bytes() != content:
            durable.write(path, content)
        return [(name, sql) for name, sql in given]
    if not path.is_file():
        return []
    return [(name, sql) for name, sql in json.loads(path.read_text("utf-8"))]


def _statements(lake: Lake, pinned: Pinned, extra: Sequence[View]) -> list[str]:
    through = "null::date" if pinned.through is None else f"date '{pinned.through}'"
    made = [
        f"create view release as select '{pinned.release_id}' as release_id, "
        f"{pinned.sequence}::integer as sequence, {through} as through, "
        f"'{pinned.digest}' as digest"
    ]
    for table, version in sorted(pinned.versions.items()):
        made.append(
            f'create view "{table}" as select * from '
            f"delta_scan('{lake.address('gold', table)}', version => {version}) "
            f"where business_date <= {through}"
        )
    return [*made, *(f'create view "{name}" as {sql}' for name, sql in _extra_of(pinned, extra))]


def _notes(pinned: Pinned) -> list[str]:
    """Each table's version once more, for readers that attach the tables themselves."""
    return [
        f"comment on view \"{table}\" is '{version}'"
        for table, version in sorted(pinned.versions.items())
    ]


def _extra_of(pinned: Pinned, extra: Sequence[View]) -> Sequence[View]:
    """Release 0 has no gold table for a further view to stand on."""
    return extra if pinned.sequence else ()


def write(settings: Settings, pinned: Pinned, extra: Sequence[View]) -> Path:
    """Write the file of one release anew, atomically.

    :raises PermanentFailure: when a view cannot be made (a wrong definition, a lost table).
    """
    path = file_of(settings, pinned.release_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    statement = ""
    statements, notes = _statements(Lake(settings), pinned, extra), _notes(pinned)
    try:
        with own_file(store(settings), partial) as connection:
            for statement in [*statements, *notes]:
                connection.execute(statement)
            connection.execute(f"comment on view release is '{_mark([*statements, *notes])}'")
        partial.replace(path)
    except duckdb.Error as error:
        raise PermanentFailure(
            f"A view of release {pinned.release_id} cannot be made: {error}",
            "Correct the definition, or mend the gold table, and publish again.",
            where=statement.split(" as ")[0],
        ) from error
    except OSError as error:
        raise disk_fault(error, path) from error
    finally:
        partial.unlink(missing_ok=True)
        partial.with_name(f"{partial.name}.wal").unlink(missing_ok=True)
    return path


def shows(settings: Settings, pinned: Pinned, extra: Sequence[View]) -> bool:
    """Whether the release's file is there, whole, and was made of exactly these views."""
    path = file_of(settings, pinned.release_id)
    if not path.is_file():
        return False
    statements = _statements(Lake(settings), pinned, extra)
    try:
        with closing(FileReader(store(settings), path)) as file:
            found = file.views()
    except duckdb.Error:
        return False  # not whole: the caller writes it anew
    mark = _mark([*statements, *_notes(pinned)])
    return len(found) == len(statements) and found.get("release") == mark


def _mark(statements: Sequence[str]) -> str:
    return sm3_hex("\n".join(statements).encode())


class Reader:
    """Reads one release through its views. Use as a context manager, or call `close`."""

    def __init__(self, settings: Settings, release_id: str) -> None:
        path = file_of(settings, release_id)
        if not path.is_file():
            raise PermanentFailure(
                f"There is no file of views for release {release_id}",
                "`bin/paylake release list` shows the releases; publishing again writes "
                "missing files anew.",
                where=str(path),
            )
        self.release_id = release_id
        self._file = FileReader(store(settings), path)

    def query(self, sql: str, parameters: Any = None) -> pa.Table:
        """Run SQL over the views of the release (`release`, gold tables by name, extra views)."""
        return self._file.connection.execute(sql, parameters).to_arrow_table()

    def tables(self) -> list[str]:
        """Names of the views, sorted."""
        return list(self._file.views())

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
