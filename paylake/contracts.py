"""Contracts: the one place where a table's or feed's schema is written down.

Files are Open Data Contract Standard v3.1 YAML below `contracts/`; `contracts/README.md` lists the
custom properties. A feed's contract also gives its bronze table: the feed's columns as text, each
C2 column replaced by a token and a masked value, C3 columns absent, provenance added.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import yaml

from paylake.errors import PermanentFailure
from paylake.settings import ROOT

FOLDER = ROOT / "contracts"
# libyaml where it is there: every command reads all contracts.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# Columns that ingestion adds to every bronze row.
PROVENANCE = (
    ("_delivery_id", "string"),
    ("_file_name", "string"),
    ("_line_number", "bigint"),
    ("_byte_offset", "bigint"),
)


@dataclass(frozen=True)
class Column:
    """One column: its physical type is Spark SQL's (`string`, `decimal(18,4)`, `date`, …)."""

    name: str
    type: str
    description: str = ""
    required: bool = False
    is_key: bool = False
    classification: str = "C1"
    valid_values: tuple[str, ...] = ()
    max_length: int | None = None
    properties: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)  # logicalTypeOptions


@dataclass(frozen=True)
class Contract:
    """A feed or a table."""

    name: str
    kind: str  # feed | table
    layer: str
    table: str
    description: str
    columns: tuple[Column, ...]
    properties: dict[str, Any]
    path: Path | None = None

    def get(self, name: str, default: Any = None) -> Any:
        """A custom property."""
        return self.properties.get(name, default)

    @property
    def key(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.columns if c.is_key)

    @property
    def partition_by(self) -> tuple[str, ...]:
        default = ["business_date"] if self.has("business_date") or self.kind == "feed" else []
        return tuple(self.get("partitionBy", default) or ())

    def has(self, column: str) -> bool:
        return any(c.name == column for c in self.columns)

    def column(self, name: str) -> Column:
        return next(c for c in self.columns if c.name == name)

    @cached_property
    def stored_columns(self) -> tuple[tuple[str, str], ...]:
        """(name, Spark SQL type) of the Delta table, in order."""
        if self.kind != "feed":
            return tuple((c.name, c.type) for c in self.columns)
        stored: list[tuple[str, str]] = [("business_date", "date")]
        for column in self.columns:
            if column.classification == "C2":
                stored += [(f"{column.name}_token", "string"), (f"{column.name}_masked", "string")]
            elif column.classification != "C3":
                stored.append((column.name, "string"))
        return (*stored, *PROVENANCE)

    @property
    def arrow_schema(self) -> Any:
        """The Delta table's columns as a pyarrow schema."""
        return arrow_schema(self.stored_columns)


def arrow_schema(columns: tuple[tuple[str, str], ...] | list[tuple[str, str]]) -> Any:
    """A pyarrow schema of (name, Spark SQL type) pairs."""
    import pyarrow as pa

    return pa.schema([(name, arrow_type(kind)) for name, kind in columns])


def arrow_type(kind: str) -> Any:
    """The Arrow type of a Spark SQL type name.

    :raises PermanentFailure: for a type that contracts may not use.
    """
    import pyarrow as pa

    kind = kind.strip().lower()
    simple = {
        "string": pa.string(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us", tz="UTC"),
        "boolean": pa.bool_(),
        "int": pa.int32(),
        "integer": pa.int32(),
        "bigint": pa.int64(),
        "double": pa.float64(),
        "binary": pa.binary(),
    }
    if kind in simple:
        return simple[kind]
    if kind.startswith("varchar"):
        return pa.string()
    if kind.startswith("decimal(") and kind.endswith(")"):
        precision, scale = kind[8:-1].split(",")
        return pa.decimal128(int(precision), int(scale))
    # No arrays: the embedded engine's replace cannot union them with what other writers stored.
    raise PermanentFailure(
        f"Contracts do not know the type {kind!r}", "Use one of Spark SQL's plain types."
    )


def _properties(node: dict[str, Any]) -> dict[str, Any]:
    return {p["property"]: p["value"] for p in node.get("customProperties", [])}


def _column(node: dict[str, Any]) -> Column:
    values: tuple[str, ...] = ()
    for rule in node.get("quality", []):
        if rule.get("metric") == "invalidValues":
            values = tuple(rule["arguments"]["validValues"])
    return Column(
        name=node["name"],
        type=node["physicalType"],
        description=node.get("description", ""),
        required=bool(node.get("required", False)),
        is_key=bool(node.get("primaryKey", False)),
        classification=node.get("classification", "C1"),
        valid_values=values,
        max_length=(node.get("logicalTypeOptions") or {}).get("maxLength"),
        properties=_properties(node),
        options=dict(node.get("logicalTypeOptions") or {}),
    )


def _read(path: Path) -> Contract:
    try:
        node = yaml.load(path.read_text("utf-8"), Loader=_LOADER)
        schema = node["schema"][0]
        properties = _properties(node)
        return Contract(
            name=node["name"],
            kind=properties["contractKind"],
            layer=properties["layer"],
            table=schema["physicalName"],
            description=(schema.get("description") or "").strip(),
            columns=tuple(_column(c) for c in schema["properties"]),
            properties=properties,
            path=path,
        )
    except (KeyError, IndexError, TypeError, yaml.YAMLError) as error:
        raise PermanentFailure(
            f"Not a usable contract: {error!r}",
            "Follow contracts/README.md.",
            where=str(path.relative_to(ROOT)),
        ) from error


@lru_cache(maxsize=1)
def _all() -> dict[str, Contract]:
    found: dict[str, Contract] = {}
    for path in sorted(FOLDER.rglob("*.yml")):
        if path.name == "retired.yml":
            continue
        contract = _read(path)
        name = contract.name if contract.kind == "feed" else f"{contract.layer}.{contract.table}"
        if name in found:
            raise PermanentFailure(
                f"Two contracts for {name}", "Keep one.", where=str(path.relative_to(ROOT))
            )
        found[name] = contract
    return found


def all_contracts(kind: str | None = None) -> list[Contract]:
    """Every contract, or those of one kind (`feed`, `table`), by name."""
    return [c for c in _all().values() if kind is None or c.kind == kind]


def load(name: str) -> Contract:
    """A feed by its name, a table by `layer.table` (or its table name where that is unique).

    :raises PermanentFailure: when there is none.
    """
    contracts = _all()
    if name in contracts:
        return contracts[name]
    matches = [c for c in contracts.values() if c.table == name]
    if len(matches) == 1:
        return matches[0]
    raise PermanentFailure(
        f"No contract named {name!r}",
        "`bin/paylake settings --contracts` lists them; contracts/README.md says how to add one.",
    )
