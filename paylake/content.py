"""What a business date holds, as digests: the basis of releases, waivers and "nothing to do".

A content digest is that of `Lake.digests`: equal for equal rows. Digests of a date over several
tables are joined through canonical JSON, so that they can be written down, compared and explained.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date
from typing import Any

from paylake.crypto import sm3_hex
from paylake.lake import Lake
from paylake.settings import ROOT

#: dbt's intermediate tables stay in `work`; everything else there is published.
PRIVATE_PREFIXES = ("stg_", "int_")
_CODE = ("paylake", "contracts", "ingestion", "spark_jobs", "dbt")
_RULES = ("expectations", "dbt/seeds")
_SUFFIXES = (".py", ".sql", ".yml", ".csv")

Partitions = dict[date, dict[str, str]]


def canonical(value: Any) -> bytes:
    """The one byte string of a JSON value: sorted keys, no spaces, UTF-8."""
    return json.dumps(
        value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str
    ).encode()


def digest_of(value: Any) -> str:
    """SM3 of the canonical JSON of a value."""
    return sm3_hex(canonical(value))


def dated_tables(lake: Lake, layer: str) -> list[str]:
    """Tables of a layer that have a business date, sorted."""
    return [
        table
        for table in lake.tables(layer)
        if any(name == "business_date" for name, _ in lake.columns(layer, table))
    ]


def publishable_tables(lake: Lake) -> list[str]:
    """Tables of `work` that go to `gold`."""
    return [t for t in dated_tables(lake, "work") if not t.startswith(PRIVATE_PREFIXES)]


def partitions(
    lake: Lake, names: Iterable[tuple[str, str]], first: date, last: date
) -> Partitions:
    """Digests by date and `layer.table`; dates and tables without rows are absent."""
    found: Partitions = {}
    for layer, table in names:
        for day, digest in lake.digests(layer, table, first, last).items():
            found.setdefault(day, {})[f"{layer}.{table}"] = digest
    return found


def gated(lake: Lake, first: date, last: date) -> dict[date, str]:
    """The digest that a gate result and a waiver hold for, by date.

    It covers what is about to be published and the silver rows that the checks compare it with.
    A date without any row has the digest of nothing.
    """
    from paylake.dates import date_range

    names = [("work", t) for t in publishable_tables(lake)]
    names += [("silver", t) for t in dated_tables(lake, "silver")]
    found = partitions(lake, names, first, last)
    return {day: digest_of(found.get(day, {})) for day in date_range(first, last)}


def _tree_digest(folders: Iterable[str]) -> str:
    listed = {
        str(path.relative_to(ROOT)): sm3_hex(path.read_bytes())
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in _SUFFIXES and path.is_file() and "target" not in path.parts
    }
    return digest_of(listed)


def code_version() -> str:
    """Digest of the code that makes tables; another one may give other figures."""
    return _tree_digest(_CODE)


def rule_version() -> str:
    """Digest of the checks and reference tables."""
    return _tree_digest(_RULES)
