"""What the dbt project says about its tables, read without dbt.

A model's columns (name, `data_type`, description) are written once, in the YAML beside its SQL.
This module turns them into the schema with which the kernel creates the table, and gives other
rooms the same words. Stored models are those of `marts/` (published to gold) and the intermediate
ones that say `materialized: incremental`; everything else is a view of the session.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from paylake.contracts import arrow_schema
from paylake.errors import PermanentFailure
from paylake.settings import ROOT

PROJECT = ROOT / "dbt"
_DOC_BLOCK = re.compile(r"{%\s*docs\s+(\w+)\s*%}\s*(.*?)\s*{%\s*enddocs\s*%}", re.DOTALL)
_DOC_CALL = re.compile(r"""^{{\s*doc\(['"](\w+)['"]\)\s*}}$""")


@dataclass(frozen=True)
class ModelColumn:
    """One column: `type` is Spark SQL's, `description` is the text of the dbt docs."""

    name: str
    type: str
    description: str


@dataclass(frozen=True)
class Model:
    """One model. `stored` models have a table in `work`; `published` ones also in `gold`.
    `grain` are the columns that tell its rows apart, as its `grain` test asserts."""

    name: str
    description: str
    columns: tuple[ModelColumn, ...]
    stored: bool
    published: bool
    path: Path
    grain: tuple[str, ...] = ()

    @property
    def schema(self) -> Any:
        """The table's pyarrow schema, in the order of the YAML."""
        return arrow_schema([(c.name, c.type) for c in self.columns])


@dataclass(frozen=True)
class Source:
    """A table that models read: `feed` is the one that fills it, if one does."""

    layer: str
    table: str
    columns: tuple[tuple[str, str], ...]
    feed: str | None
    optional: bool


@dataclass(frozen=True)
class Seed:
    """A reference table kept as CSV; `columns` are (name, Spark SQL type), in the file's order."""

    name: str
    path: Path
    columns: tuple[tuple[str, str], ...]


def _load(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text("utf-8"))


@lru_cache(maxsize=1)
def _docs() -> dict[str, str]:
    blocks: dict[str, str] = {}
    for path in sorted((PROJECT / "models").rglob("*.md")):
        blocks.update(_DOC_BLOCK.findall(path.read_text("utf-8")))
    return blocks


def _described(text: str, where: str) -> str:
    call = _DOC_CALL.match(text.strip())
    if call is None:
        return " ".join(text.split())
    if call[1] not in _docs():
        raise PermanentFailure(
            f"No docs block named {call[1]!r}", "Write it in dbt/models/columns.md.", where=where
        )
    return _docs()[call[1]]


@lru_cache(maxsize=1)
def models() -> dict[str, Model]:
    """Every model of the project, by name.

    :raises PermanentFailure: when a model has no YAML or a column no type.
    """
    found: dict[str, Model] = {}
    for path in sorted((PROJECT / "models").rglob("*.sql")):
        where = str(path.relative_to(ROOT))
        try:
            node = _load(path.with_suffix(".yml"))["models"][0]
            columns = tuple(
                ModelColumn(c["name"], c["data_type"], _described(c["description"], where))
                for c in node["columns"]
            )
        except (FileNotFoundError, KeyError, IndexError, TypeError) as error:
            raise PermanentFailure(
                f"The model {path.stem} is not described: {error!r}",
                "Give each column a data_type and a description in the YAML beside it.",
                where=where,
            ) from error
        published = "marts" in path.relative_to(PROJECT).parts
        kept = (node.get("config") or {}).get("materialized") == "incremental"
        found[path.stem] = Model(
            name=path.stem,
            description=_described(node.get("description", ""), where),
            columns=columns,
            stored=published or kept,
            published=published,
            path=path,
            grain=_grain(node),
        )
    return found


def _grain(node: dict[str, Any]) -> tuple[str, ...]:
    tests = [t["grain"] for t in node.get("data_tests", ()) if isinstance(t, dict) and "grain" in t]
    return tuple(tests[0]["arguments"]["columns"]) if tests else ()


@lru_cache(maxsize=1)
def sources() -> tuple[Source, ...]:
    """Every source table of the project."""
    return tuple(
        Source(
            layer=source["schema"],
            table=table["name"],
            columns=tuple((c["name"], c["data_type"]) for c in table["columns"]),
            feed=table["meta"].get("feed"),
            optional=bool(table["meta"].get("optional", False)),
        )
        for source in _load(PROJECT / "models" / "sources.yml")["sources"]
        for table in source["tables"]
    )


@lru_cache(maxsize=1)
def seeds() -> tuple[Seed, ...]:
    """Every seed, with the column types of `dbt_project.yml`."""
    configured = _load(PROJECT / "dbt_project.yml")["seeds"]["paylake"]
    return tuple(
        Seed(path.stem, path, tuple(configured[path.stem]["+column_types"].items()))
        for path in sorted((PROJECT / "seeds").glob("*.csv"))
    )
