"""How results are shown: a table for people, JSON for programs; errors as one sentence."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


def plain(value: Any) -> Any:
    """A value that JSON has: decimals and dates as text, never floats of money."""
    if isinstance(value, Decimal | date | datetime | Path):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, str | bytes):
        return [plain(v) for v in value]
    if isinstance(value, bytes):
        return value.hex()
    return value


def _cell(value: Any) -> str:
    if value is None:
        return "—"
    if isinstance(value, Decimal):
        return f"{value:,f}"
    if isinstance(value, float):
        return f"{value:,.2f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, dict | list | tuple):
        return json.dumps(plain(value), ensure_ascii=False)
    return str(value)


def show(rows: Iterable[Any], *, as_json: bool, title: str | None = None, empty: str = "") -> None:
    """Print rows (mappings or dataclasses with the same fields) as a table or a JSON list."""
    records = [asdict(r) if is_dataclass(r) and not isinstance(r, type) else dict(r) for r in rows]
    if as_json:
        print(json.dumps([plain(r) for r in records], ensure_ascii=False, indent=2))
        return
    if not records:
        console.print(empty or f"{title or 'nothing'}: none")
        return
    table = Table(title=title, title_justify="left", header_style="bold", show_edge=False)
    for name in records[0]:
        number = all(isinstance(r[name], int | float | Decimal) or r[name] is None for r in records)
        table.add_column(name, justify="right" if number else "left", overflow="fold")
    for record in records:
        table.add_row(*[_cell(record[name]) for name in records[0]])
    # Wide enough that no column of a pipe or a log file is cut.
    Console(highlight=False, width=None if sys.stdout.isatty() else 200).print(table)


def document(value: Any, *, as_json: bool) -> None:
    """Print one nested value: JSON as it is, YAML for people."""
    import yaml

    if as_json:
        print(json.dumps(plain(value), ensure_ascii=False, indent=2))
    else:
        console.print(yaml.safe_dump(plain(value), allow_unicode=True, sort_keys=False).rstrip())
