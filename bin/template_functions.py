"""The functions of the templates of what callers send, as one module for `bin/compile_ledger.py`:
the sources that templates are made into (:mod:`ledger.domain.templates`), with the types that a
compiler asks for. What they do is the same."""

from __future__ import annotations

import re

from ledger.adapters.data_files import load_operations
from ledger.domain.expressions import FUNCTIONS
from ledger.domain.operations import Operation

_HEAD = '''"""Made by bin/compile-ledger of the templates in ledger/data/operations."""

from __future__ import annotations

from typing import Any, cast

from ledger.domain.operations import Context, Plan
from ledger.domain.refusals import Refusal
'''
_DEFINED = re.compile(r"^def (\w+)\(v, c\):$", re.M)
#: What a function says, and what it says to a compiler.
_TYPED = (
    (re.compile(r"^( +)(\w+) = v\.get\(('\w+')\)$", re.M), r"\1\2: Any = v.get(\3)"),
    (re.compile(r"^( +)(legs|uses|holds) = \[\]$", re.M), r"\1\2: list[Any] = []"),
    (re.compile(r"^( +)(original|parent|hold|tariff) = c\.", re.M), r"\1\2: Any = c."),
    (re.compile(r"^( +)(contract|codes) = (c\.\w+)$", re.M),
     r"\1\2 = cast(dict[str, Any], \3)"),
)


def source() -> str:
    """The module. Its `FUNCTIONS` are by the source of a template, then by their name in it."""
    imported = "".join(
        f"from {function.__module__} import {name}\n" for name, function in FUNCTIONS.items()
        if function.__module__ != "builtins"
    )
    parts, listed = [_HEAD + imported], []
    for operation in load_operations().by_type.values():
        if operation.callers is None:  # what people and the institution itself send, one by one
            continue
        parts.append(_functions(operation))
        names = ", ".join(
            f"{name!r}: {operation.type}__{name}" for name in _DEFINED.findall(operation.text)
        )
        listed.append(f"    {operation.text!r}: {{{names}}},\n")
    parts.append("FUNCTIONS: dict[str, dict[str, Any]] = {\n" + "".join(listed) + "}\n")
    return "\n\n".join(parts)


def _functions(operation: Operation) -> str:
    text = _DEFINED.sub(
        rf"def {operation.type}__\1(v: dict[str, Any], c: Context) -> Any:", operation.text
    )
    for said, typed in _TYPED:
        text = said.sub(typed, text)
    return text + "\n"
