"""Delta tables of one home: create, replace by business date, append, read, digest.

They are in a folder or in an object store (`paylake.store`); nothing here depends on which.
Small and Arrow-shaped writes go through `deltalake`; rows are read by DuckDB's `delta_scan` (never
`DeltaTable.to_pyarrow_*`, which aborts the process at exit); large computing belongs to the engine.
Every table, dbt's included, is created here, with the properties that pinned reading needs: no
checkpoint, because the embedded engine cannot read older versions behind one.
"""

from __future__ import annotations

import os
import re
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import deltalake
import duckdb
import pyarrow as pa
from deltalake.exceptions import CommitFailedError, TableNotFoundError
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from paylake import delta_reader
from paylake.crypto import sm3_hex
from paylake.errors import PermanentFailure, TransientFault, disk_fault
from paylake.settings import Settings
from paylake.store import needs_folder
from paylake.store import store as store_of

if TYPE_CHECKING:
    from paylake.contracts import Contract

LAYERS = ("bronze", "quarantine", "silver", "vault", "state", "reference", "work", "gold", "ops")

PROPERTIES = {
    "delta.checkpointInterval": "1000000",
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.deletedFileRetentionDuration": "interval 36500 days",
}
#: Layers of what the project's models make: their tables may get further columns.
_GROWING = ("work", "gold")
#: Metadata of a column that was added behind those with which its table was made.
_ADDED = "paylake.added"
_NAMED = re.compile(rf"\b({'|'.join(LAYERS)})\.(\w+)\b")
_shared_lock = threading.Lock()
#: Tables opened for reading, by process, address and version; each with its log's state then.
#: Opening one reads its whole log, and a run asks for columns and files hundreds of times.
_opened: OrderedDict[tuple[int, str, int | None], tuple[int, deltalake.DeltaTable]] = OrderedDict()
_MOST_OPENED = 256


def between(first: date, last: date, column: str = "business_date") -> str:
    """The predicate of a range of business dates, in SQL that every engine here reads."""
    return f"{column} >= date '{first}' and {column} <= date '{last}'"


class Lake:
    """The lake of one home."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = store_of(settings)

    def address(self, layer: str, table: str) -> str:
        """Where a table is: a folder, or an `s3://` address."""
        if layer not in LAYERS:
            raise ValueError(f"no layer named {layer}")
        return self.store.url(layer, table)

    def path(self, layer: str, table: str) -> Path:
        """The folder of a table, for what looks at files of this machine.

        :raises UsageFault: when the lake is in an object store.
        """
        needs_folder(
            self.settings, "Looking at single files", "Use the store's own tools, or the lake's."
        )
        return Path(self.address(layer, table))

    def exists(self, layer: str, table: str) -> bool:
        return self.store.exists(layer, table)

    def tables(self, layer: str) -> list[str]:
        """Tables that exist in a layer, sorted."""
        return self.store.tables(layer)

    def size(self) -> int:
        """Bytes of all files of the lake."""
        return self.store.size()

    def file_digest(self, layer: str, table: str, name: str) -> str | None:
        """SM3 of one of a table's stored files (named as in `actions`); None when it is lost."""
        return self.store.file_digest(layer, table, name)

    def ensure(
        self,
        layer: str,
        table: str,
        schema: pa.Schema,
        partition_by: Sequence[str] = ("business_date",),
    ) -> str:
        """Create the table when it is not there; when it is, its columns must be these.

        A table of marts that an older program made gets the columns that came since, behind its
        own: its dates have none of them, are not written anew and keep their digests.

        :returns: its address.
        :raises PermanentFailure: when the stored columns differ in any other way.
        """
        path = self.address(layer, table)
        if not self.exists(layer, table):
            self.store.make(layer, table)
            deltalake.DeltaTable.create(
                path,
                schema=schema,
                mode="ignore",
                partition_by=list(partition_by),
                configuration=PROPERTIES,
            )
            return path
        stored = self.columns(layer, table)
        wanted = [(f.name, str(f.type)) for f in schema]
        if layer in _GROWING and len(stored) < len(wanted) and wanted[:len(stored)] == stored:
            self._add_columns(layer, table, [schema.field(n) for n, _ in wanted[len(stored):]])
        elif stored != wanted:
            raise PermanentFailure(
                f"{layer}.{table} holds other columns than its contract: "
                f"{_difference(stored, wanted)}",
                "Further columns of a mart go behind its others and are added by themselves; "
                "any other change needs a table of another name.",
                where=path,
            )
        return path

    def _add_columns(self, layer: str, table: str, fields: Sequence[pa.Field]) -> None:
        """Name further columns in the table's log; no data file is touched."""
        self._table(layer, table).alter.add_columns([
            deltalake.Field(f.name, deltalake.Field.from_arrow(f).type, True, {_ADDED: "true"})
            for f in fields
        ])

    def ensure_contract(self, contract: Contract, layer: str | None = None) -> str:
        """`ensure` with the columns and partitions of a contract."""
        return self.ensure(
            layer or contract.layer, contract.table, contract.arrow_schema, contract.partition_by
        )

    def columns(self, layer: str, table: str) -> list[tuple[str, str]]:
        """(name, Arrow type) of the stored table, in order."""
        return _typed(pa.schema(self._read(layer, table).schema().to_arrow()))

    def replace(
        self, layer: str, table: str, data: pa.Table, first: date, last: date
    ) -> int:
        """Replace the partitions of these business dates, atomically. Returns the new version.

        :param data: rows of exactly these dates, with the stored table's columns.
        """
        return self._write(
            layer, table, data, mode="overwrite", predicate=between(first, last)
        )

    def append(self, layer: str, table: str, data: pa.Table) -> int:
        """Append rows. Returns the new version."""
        return self._write(layer, table, data, mode="append", predicate=None)

    def overwrite(self, layer: str, table: str, data: pa.Table) -> int:
        """Replace the whole of an undated table, atomically. Returns the new version."""
        return self._write(layer, table, data, mode="overwrite", predicate=None)

    @retry(
        retry=retry_if_exception_type(TransientFault),
        stop=stop_after_attempt(5),
        wait=wait_exponential_jitter(multiplier=0.1, max=2),
        reraise=True,
    )
    def _write(
        self, layer: str, table: str, data: pa.Table, *, mode: str, predicate: str | None
    ) -> int:
        path = self.address(layer, table)
        stored = self.columns(layer, table)
        given = [(f.name, str(_plain(f.type))) for f in data.schema]
        if stored != given:
            raise PermanentFailure(
                f"Rows for {layer}.{table} have other columns than the table: "
                f"{_difference(stored, given)}",
                "Correct the writer, or add the column to the model, behind its others.",
                where=path,
            )
        try:
            deltalake.write_deltalake(
                path, data, mode=mode, predicate=predicate, configuration=None
            )
        except CommitFailedError as error:
            raise TransientFault(
                f"Another commit to {layer}.{table} came first: {error}", "Try again."
            ) from error
        except OSError as error:
            raise disk_fault(error, path) from error
        return self.version(layer, table)

    def _table(self, layer: str, table: str, version: int | None = None) -> deltalake.DeltaTable:
        try:
            return deltalake.DeltaTable(self.address(layer, table), version=version)
        except TableNotFoundError:
            raise PermanentFailure(
                f"There is no table {layer}.{table}",
                "Run the step that makes it; `bin/paylake status` shows what has run.",
                where=self.address(layer, table),
            ) from None

    def _read(self, layer: str, table: str, version: int | None = None) -> deltalake.DeltaTable:
        """As `_table`, for reading alone: the one opened before, while its log is the same."""
        state = self.store.log_state(layer, table)
        if state is None:
            return self._table(layer, table, version)
        key = os.getpid(), self.address(layer, table), version
        with _shared_lock:
            found = _opened.get(key)
        if found is None or found[0] != state:
            found = state, self._table(layer, table, version)
            with _shared_lock:
                _opened[key] = found
                _opened.move_to_end(key)
                while len(_opened) > _MOST_OPENED:
                    _opened.popitem(last=False)
        return found[1]

    def actions(self, layer: str, table: str, version: int | None = None) -> pa.Table:
        """The table's data files with their partition values and statistics, from the log."""
        return pa.table(self._read(layer, table, version).get_add_actions(flatten=True))

    def restore(self, layer: str, table: str, version: int) -> int:
        """Put the very files of an earlier version back, as a new version; returns that one."""
        now = self._table(layer, table)
        if set(now.file_uris()) == set(self._table(layer, table, version).file_uris()):
            return now.version()
        try:
            now.restore(version)
        except OSError as error:
            raise disk_fault(error, self.address(layer, table)) from error
        return self.version(layer, table)

    def version(self, layer: str, table: str) -> int:
        return self._read(layer, table).version()

    def query(
        self, sql: str, parameters: Any = None, versions: dict[str, int] | None = None
    ) -> pa.Table:
        """Run DuckDB SQL in which tables are named `layer.table`; returns an Arrow table.

        :param versions: pins, by `layer.table`; the latest version where none is given.
        :raises PermanentFailure: when a named table does not exist.
        """
        with delta_reader.catalog(self.store) as catalog, ExitStack() as taken:
            for layer, table in dict.fromkeys(_NAMED.findall(sql)):
                pin = (versions or {}).get(f"{layer}.{table}")
                state = self.store.log_state(layer, table)
                if state is None:
                    catalog.show(layer, table, self._scan(layer, table, pin), is_fixed=False)
                    continue
                address = self.address(layer, table)
                snapshot = delta_reader.take(self.store, address, pin, state)
                taken.callback(delta_reader.give_back, snapshot)
                catalog.show(layer, table, snapshot.name, is_fixed=True)
            return catalog.connection.execute(sql, parameters).to_arrow_table()

    def _scan(self, layer: str, table: str, version: int | None) -> str:
        if not self.exists(layer, table):
            self._table(layer, table)
        pinned = "" if version is None else f", version => {version}"
        return f"delta_scan('{self.address(layer, table)}'{pinned})"

    def attach(
        self,
        connection: duckdb.DuckDBPyConnection,
        names: Iterable[tuple[str, str]],
        versions: dict[str, int],
    ) -> None:
        """Make views `layer.table` over Delta tables in any DuckDB connection."""
        for layer, table in dict.fromkeys(names):
            pin = versions.get(f"{layer}.{table}")
            delta_reader.view(connection, layer, table, self._scan(layer, table, pin))

    def digests(
        self,
        layer: str,
        table: str,
        first: date,
        last: date,
        version: int | None = None,
    ) -> dict[date, str]:
        """Content digest of each partition: equal for equal rows, whatever order or files.

        Each row becomes a JSON list of its values as text, in column order; the rows' SHA-256
        are sorted and hashed; the column names and types go in front, under SM3. Dates without
        rows are absent from the result. Columns that were added to the table count from the first
        date that has a value in one of them: a date from before keeps its digest.
        """
        schema = self._read(layer, table, version).schema()
        columns = _typed(pa.schema(schema.to_arrow()))
        if "business_date" not in dict(columns):
            raise ValueError(f"{layer}.{table} is not dated")
        added = {field.name for field in schema.fields if field.metadata.get(_ADDED)}
        older = [column for column in columns if column[0] not in added]
        filled, parts = "true", f"{_hashed(columns)} as h"
        digest, before = (f"sha256(string_agg({x}, '' order by {x}))" for x in "ho")
        if added:
            filled = "bool_or(filled)"
            present = " or ".join(f'"{name}" is not null' for name in sorted(added))
            parts += f", {_hashed(older)} as o, {present} as filled"
            digest = f"case when {filled} then {digest} else {before} end"
        result = self.query(
            f"""
            select business_date, count(*) as n, {filled} as filled, {digest} as digest
            from (
                select business_date, {parts} from {layer}.{table} where {between(first, last)}
            )
            group by business_date
            """,
            versions=None if version is None else {f"{layer}.{table}": version},
        )
        return {
            row["business_date"]: sm3_hex(
                f"{columns if row['filled'] else older!r}|{row['n']}|{row['digest']}".encode()
            )
            for row in result.to_pylist()
        }

    def drop(self, layer: str, table: str) -> None:
        """Remove a derived table for good (never one of bronze, quarantine, vault or ops)."""
        if layer in ("bronze", "quarantine", "vault", "ops", "gold"):
            raise ValueError(f"{layer} tables are not dropped")
        self.store.remove(layer, table)


def _typed(schema: pa.Schema) -> list[tuple[str, str]]:
    return [(f.name, str(_plain(f.type))) for f in schema]


def _hashed(columns: Sequence[tuple[str, str]]) -> str:
    """SQL of a row's SHA-256 over these columns."""
    values = ", ".join(f'"{name}"::varchar' for name, _ in columns)
    return f"sha256(to_json([{values}])::varchar)"


def _plain(kind: pa.DataType) -> pa.DataType:
    """Arrow types that Delta does not tell apart, made equal."""
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(_plain(kind.value_type))
    return kind


def _difference(stored: list[tuple[str, str]], given: list[tuple[str, str]]) -> str:
    missing = [f"{n} {t}" for n, t in stored if (n, t) not in given]
    extra = [f"{n} {t}" for n, t in given if (n, t) not in stored]
    if not missing and not extra:
        return "the same columns in another order"
    return f"expected but not given {missing or 'none'}, given but not expected {extra or 'none'}"
