"""The small language of the operation templates.

An expression is written like Python and may use whole numbers, texts, `None`, names of the
template, attributes of its records (`original.amount_minor`), `+ - * //`, comparisons, `and`,
`or`, `not`, `x if y else z`, `in` with a list, and the functions of :data:`FUNCTIONS`. Nothing
else passes: no other call, no index, no loop, no assignment. What passes is turned into Python
source once, when the templates are loaded, so that a posting costs no interpretation.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection
from functools import lru_cache
from typing import Any

from ledger.domain.buckets import end_added, end_taken, last_end
from ledger.domain.money import (
    contract_fee,
    exchanged,
    half_up,
    parts_left,
    pro_rata,
    returned_fee,
    share_of,
    taken_back,
)


@lru_cache(1024)  # the payments of a date over a channel share one
def clearing_reference(channel: str, day: str) -> str:
    """The custodian's reference of what a channel clears on a date."""
    return f"CLR-{channel}-{day.replace('-', '')}"


def is_person(actor: str) -> bool:
    """Whether a person sends it, by the name that stands in the entry."""
    return actor.startswith("operator:")


def is_system(actor: str) -> bool:
    """Whether one of the institution's own systems does."""
    return actor.startswith("system:")


FUNCTIONS: dict[str, Any] = {
    "min": min, "max": max, "half_up": half_up, "pro_rata": pro_rata,
    "returned_fee": returned_fee, "taken_back": taken_back, "parts_left": parts_left,
    "share_of": share_of, "clearing_reference": clearing_reference, "exchanged": exchanged,
    "is_person": is_person, "is_system": is_system, "contract_fee": contract_fee,
    "end_added": end_added, "end_taken": end_taken, "last_end": last_end,
}
_NODES = (
    ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.BinOp,
    ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.Mod, ast.Compare, ast.Eq, ast.NotEq, ast.Lt,
    ast.LtE, ast.Gt, ast.GtE, ast.Is, ast.IsNot, ast.In, ast.NotIn, ast.IfExp, ast.Name,
    ast.Load, ast.Attribute, ast.Constant, ast.Call, ast.Tuple, ast.List,
)
_PLACE = re.compile(r"\{([^{}]*)\}")


class ExpressionError(ValueError):
    """An expression that the language does not take; the message says where and why."""


class _Records(ast.NodeTransformer):
    """Attributes of records become look-ups: `original.x` is `original.get('x')`."""

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        return ast.Call(
            ast.Attribute(node.value, "get", ast.Load()), [ast.Constant(node.attr)], []
        )


def names_of(text: str) -> set[str]:
    """The names that an expression uses, functions left out."""
    return {
        node.id for node in ast.walk(_parsed(text)) if isinstance(node, ast.Name)
    } - set(FUNCTIONS)


def _parsed(text: str) -> ast.Expression:
    try:
        return ast.parse(text.strip(), mode="eval")
    except SyntaxError as error:
        raise ExpressionError(f"{text!r} is not an expression ({error.msg})") from None


def source(text: str | int, names: Collection[str], records: Collection[str] = ()) -> str:
    """Checked Python source of an expression.

    :param names: plain names that it may use
    :param records: names whose attributes it may use
    :raises ExpressionError: naming what is not allowed
    """
    if isinstance(text, int):
        return repr(text)
    tree = _parsed(str(text))
    called = set()
    for node in ast.walk(tree):
        if not isinstance(node, _NODES):
            raise ExpressionError(f"{text!r} uses {type(node).__name__}, which is not allowed")
        if isinstance(node, ast.Call):
            if not isinstance(node.func, ast.Name) or node.func.id not in FUNCTIONS:
                raise ExpressionError(f"{text!r} calls something that is not a function here")
            if node.keywords:
                raise ExpressionError(f"{text!r} names an argument, which is not allowed")
            called.add(node.func.id)
        elif isinstance(node, ast.Attribute):
            if not isinstance(node.value, ast.Name) or node.value.id not in records:
                raise ExpressionError(f"{text!r} asks an attribute of something else")
        elif isinstance(node, ast.Constant):
            if not (node.value is None or type(node.value) in (int, str, bool)):
                raise ExpressionError(f"{text!r} has a number that is not whole")
        elif isinstance(node, ast.Name) and node.id not in (*names, *records, *FUNCTIONS):
            raise ExpressionError(f"{text!r} uses {node.id}, which is not known here")
    return ast.unparse(ast.fix_missing_locations(_Records().visit(tree)))


def text_source(text: str, names: Collection[str], records: Collection[str] = ()) -> str:
    """Source of a text with expressions in braces: `2201:{merchant_id}`."""
    parts: list[str] = []
    last = 0
    for found in _PLACE.finditer(text):
        parts.append(text[last:found.start()].replace("{", "").replace("}", ""))
        parts.append("{" + source(found.group(1), names, records) + "}")
        last = found.end()
    parts.append(text[last:])
    if len(parts) == 1:
        return repr(text)
    literal = "".join(
        part if part.startswith("{") else part.replace("\\", "\\\\").replace('"', '\\"')
        for part in parts
    )
    return f'f"{literal}"'


def text_names(text: str) -> set[str]:
    """The names that the braces of a text use."""
    return set().union(*(names_of(found) for found in _PLACE.findall(text)), set())
