"""Bulk import: commands from a CSV or Parquet file, in batches; resumes, and writes the rejects.

Every row is one command, its columns are the fields; empty cells are left out. Amounts, counts and
flags are read as such by the operation's form. The idempotency key is the row's own, or made from
the file's digest and the row number, so that an import begun twice posts once. One that is
made for a caller begins with its id, as all its keys do (rule D0.53).
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import orjson

from ledger.adapters.data_files import load_operations
from ledger.adapters.row_files import Row, rows_of
from ledger.domain.fields import COMMON
from ledger.domain.forms import Form
from ledger.domain.sensitive import looks
from paylake.crypto import sm3_file
from paylake.durable import named_writes

BATCH = 1000
#: Sends a batch, gives a result each.
Send = Callable[[list[dict[str, Any]]], list[Mapping[str, Any]]]
Progress = Callable[[int, int], None]
_MASK = "***"
#: Longer ones are no amount, and stay text.
_WHOLE = re.compile(r"-?[0-9]{1,18}\Z")
_READ = "Mend the file and import it again: what was posted is not posted twice."


@dataclass(slots=True)
class Imported:
    """Rows by what became of them, and where the rejects are."""

    rows: int = 0
    posted: int = 0
    pending: int = 0
    replayed: int = 0
    refused: int = 0
    rejects: str | None = None


def import_file(
    path: Path, send: Send, rejects: Path, progress: Progress | None = None, begin: str = ""
) -> Imported:
    """Send every row of a file; rows refused go to `rejects` (CSV), for the owner alone, with line,
    reason, detail and the row without what is sensitive (rule D1.23).

    :param begin: how the keys that are made begin: a caller's id and a full stop
    :raises UsageFault: for a file that is neither CSV nor Parquet, cannot be read as what it is
        (what was read before is posted), or has no `type` column
    :raises DiskFull, EnvironmentFault: when the rejects cannot be written; what was sent is posted
    """
    done = Imported()
    made = f"{begin}import-{sm3_file(path)[:16]}-"
    rows = rows_of(path, "type", "the commands", _READ)
    forms = {name: operation.form for name, operation in load_operations().by_type.items()}
    kinds = {
        name: {field.name: field.kind for field in form.fields} for name, form in forms.items()
    }
    clear = _clear(forms.values())
    partial = rejects.with_name(f".{rejects.name}.partial")
    with named_writes(rejects):
        rejected = _private(partial)
    with rejected as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("line", "idempotency_key", "reason", "field", "detail", "row"))
        while part := list(islice(rows, BATCH)):
            commands = [
                _command(row.cells, f"{made}{row.line}", kinds) for row in part if not row.beyond
            ]
            results, refused = iter(send(commands) if commands else ()), []
            for row in part:
                result = _unclear(row) or next(results)
                _count(done, result)
                if result["status"] == "refused":
                    refused.append((
                        row.line, result["idempotency_key"], result["reason"],
                        result.get("field", ""), result["detail"],
                        orjson.dumps(_shown(row.cells, clear), default=str).decode(),
                    ))
            with named_writes(rejects):  # what the sending raises is another matter
                writer.writerows(refused)
                file.flush()
            if progress is not None:
                progress(done.rows, done.refused)
    with named_writes(rejects):
        if done.refused:
            partial.replace(rejects)
            done.rejects = str(rejects)
        else:
            partial.unlink()
    return done


def _private(path: Path) -> TextIO:
    """The file emptied and open for writing; for the owner alone, whatever was left there."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.fchmod(file, 0o600)
    return os.fdopen(file, "w", encoding="utf-8", newline="")


def _clear(forms: Iterable[Form]) -> set[str]:
    """Fields in which nothing sensitive belongs, in any operation: the row's type may be wrong."""
    fields = [*COMMON, *(field for form in forms for field in form.fields)]
    hidden = {f.name for f in fields if f.sensitive or f.kind in ("details", "texts")}
    return {"type", *(f.name for f in fields)} - hidden


def _shown(row: Mapping[str, Any], clear: Collection[str]) -> dict[str, Any]:
    """A row as the rejects show it: what is or may be sensitive is masked."""
    return {
        name: value if value in (None, "") or (
            name in clear and looks(str(value)) is None
        ) else _MASK
        for name, value in row.items()
    }


def _count(done: Imported, result: Mapping[str, Any]) -> None:
    done.rows += 1
    if result.get("replayed"):
        done.replayed += 1
    if result["status"] == "refused":
        done.refused += 1
    elif result["status"] == "pending":
        done.pending += 1
    else:
        done.posted += 1


def _unclear(row: Row) -> Mapping[str, Any] | None:
    """The result of a row that is not sent, since nobody can say which cells are whose."""
    if not row.beyond:
        return None
    cells = len(row.cells) + max(row.beyond, 0)
    return {
        "status": "refused", "idempotency_key": "",
        "reason": "unknown_field" if row.beyond > 0 else "missing_field",
        "detail": f"the row has {cells} cells, the header {cells - row.beyond}",
    }


def _command(
    row: Mapping[str, Any], key: str, kinds: Mapping[str, Mapping[str, str]]
) -> dict[str, Any]:
    """A row as a command, with `key` unless it has its own. What cannot be read as its kind stays
    as it is: the form names it."""
    known = kinds.get(str(row.get("type")), {})
    command: dict[str, Any] = {}
    for name, value in row.items():
        if value is None or value == "":
            continue
        kind = known.get(name)
        if isinstance(value, str):
            if kind in ("amount", "fee", "count") and _WHOLE.match(value):
                value = int(value)
            elif kind == "flag" and value in ("true", "false"):
                value = value == "true"
            elif kind in ("object", "details", "texts", "list", "metadata") or name == "metadata":
                value = _document(value)
        command[name] = _sent(value)
    command.setdefault("idempotency_key", key)
    return command


def _sent(value: Any) -> Any:
    """A cell's value as JSON has it: whole numbers of a decimal column are numbers, whatever JSON
    does not know is text, which the form then names. A decimal with places is none: it may be of
    whole units, not of minor ones."""
    if isinstance(value, Decimal) and value.as_tuple().exponent == 0:
        value = int(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    try:
        orjson.dumps(value)
    except TypeError:
        return str(value)
    return value


def _document(text: str) -> Any:
    """JSON of a cell; a text that is none stays one, and the form refuses it by name."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
