"""What a reader's SQL may do, judged by DuckDB's own parser before anything runs.

Turning off external access leaves holes inside the released tables: ``copy … to`` writes,
``attach``, ``delta_scan``, ``from 'x.parquet'`` and ``query('…')`` go past the views and the
rights on them. So a statement must be exactly one SELECT (or EXPLAIN of one), and its syntax tree
may name only relations that the reader may read.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import Any

import duckdb

TABLE_FUNCTIONS = frozenset({"unnest", "range", "generate_series"})
SCALARS_REFUSED = frozenset(
    {"current_setting", "getenv", "write_log", "getvariable", "query", "query_table", "nextval"}
)
# What the driver asks for while it reads a dataset's columns; refused in SQL Lab.
CATALOG_SCHEMAS = frozenset({"information_schema", "pg_catalog"})
CATALOG_TABLES = frozenset(
    {
        "pg_attrdef", "pg_attribute", "pg_class", "pg_constraint", "pg_description", "pg_enum",
        "pg_index", "pg_namespace", "pg_type",
    }
)  # fmt: skip
CATALOG_FUNCTIONS = frozenset(
    {
        "duckdb_columns", "duckdb_constraints", "duckdb_databases", "duckdb_indexes",
        "duckdb_schemas", "duckdb_tables", "duckdb_views",
    }
)  # fmt: skip

_WORD = re.compile(r"\w+")
_EXPLAIN = re.compile(r"(?is)^\s*explain(\s+analyze)?\s+")
_parser: duckdb.DuckDBPyConnection | None = None
_parser_lock = threading.Lock()


class Refused(duckdb.PermissionException):
    """A statement that a reader may not run. The message names what is not allowed."""


def _parser_cursor() -> duckdb.DuckDBPyConnection:
    global _parser
    with _parser_lock:
        if _parser is None:
            _parser = duckdb.connect(":memory:", config={"enable_external_access": "false"})
        return _parser.cursor()


@lru_cache(maxsize=1)
def _built_in() -> frozenset[str]:
    """DuckDB's own views that a plain name reaches: settings, logs, the SQL of every view."""
    cursor = _parser_cursor()
    try:
        rows = cursor.execute("select view_name from duckdb_views() where internal").fetchall()
    finally:
        cursor.close()
    return frozenset(str(row[0]).lower() for row in rows)


def _tree(sql: str) -> Any:
    cursor = _parser_cursor()
    try:
        try:
            statements = cursor.extract_statements(sql)
        except duckdb.Error as error:
            raise Refused(f"This is not SQL that DuckDB understands: {error}") from None
        kinds = [statement.type.name for statement in statements]
        if len(kinds) != 1 or kinds[0] not in ("SELECT", "EXPLAIN"):
            raise Refused(f"Only one SELECT at a time may be run here, got {', '.join(kinds)}")
        query = statements[0].query
        if kinds[0] == "EXPLAIN":
            query = _EXPLAIN.sub("", query)
        row = cursor.execute(
            "select json_serialize_sql(?, skip_null := false, skip_empty := false,"
            " skip_default := false)",
            [query],
        ).fetchone()
    finally:
        cursor.close()
    tree = json.loads(row[0]) if row else {"error": True}
    if tree.get("error"):
        raise Refused(f"Only a plain SELECT may be run here: {tree.get('error_message', '')}")
    return tree["statements"]


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    pending = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            yield node
            pending.extend(node.values())
        elif isinstance(node, list):
            pending.extend(node)


def check(
    sql: str,
    readable: Collection[str],
    existing: Collection[str] = (),
    *,
    catalog: bool = False,
) -> None:
    """Refuse what may not run.

    :param readable: relations (lower case) that this reader may name.
    :param existing: every relation of the release: no CTE may take such a name, nor that of one of
        DuckDB's own views, because a name that some CTE has is let pass everywhere in the query.
    :param catalog: whether the driver's own look-ups of columns are allowed.
    :raises Refused: with what is not allowed.
    """
    tree = _tree(sql)
    relations: list[tuple[str, str, str]] = []
    table_functions: set[str] = set()
    scalars: set[str] = set()
    ctes: set[str] = set()
    for node in _nodes(tree):
        kind = node.get("type")
        if kind == "BASE_TABLE" or (kind == "SHOW_REF" and node.get("table_name")):
            relations.append(
                (
                    (node.get("catalog_name") or "").lower(),
                    (node.get("schema_name") or "").lower(),
                    node["table_name"].strip('"').lower(),
                )
            )
        elif kind == "TABLE_FUNCTION":
            table_functions.add(str(node["function"].get("function_name", "?")).lower())
        if node.get("class") == "FUNCTION":
            scalars.add(str(node["function_name"]).lower())
        if "cte_map" in node:
            ctes |= {entry["key"].lower() for entry in (node["cte_map"] or {}).get("map", [])}
        if kind == "RECURSIVE_CTE_NODE":
            ctes.add(str(node.get("cte_name", "")).lower())

    taken = _built_in().union(existing)
    refused = [name for name in ctes if not _WORD.fullmatch(name) or name in taken]
    for database, schema, name in relations:
        plain = not database and not schema
        if catalog and (schema in CATALOG_SCHEMAS or (plain and name in CATALOG_TABLES)):
            continue
        if plain and name in ctes:
            continue
        if database or schema not in ("", "main") or name not in readable:
            refused.append(".".join(part for part in (database, schema, name) if part))
    refused += [
        name
        for name in table_functions - TABLE_FUNCTIONS
        if not (catalog and name in CATALOG_FUNCTIONS)
    ]
    refused += scalars & SCALARS_REFUSED
    if refused:
        raise Refused(
            f"Not allowed here: {', '.join(sorted(refused))}. "
            "A query may read the datasets that your role opens, and nothing else"
        )
