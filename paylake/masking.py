"""Display values of C2 identifiers: enough to recognise, too little to use.

Rules after JR/T 0171 practice (docs/reference): card first six and last four, document
first and last, phone first three and last four, account last four, name family name alone, address
up to the district or the first six characters.
"""

from __future__ import annotations

import re
from collections.abc import Callable


def _keep(value: str, head: int, tail: int) -> str:
    """Stars in the middle; everything starred when too little would be hidden."""
    if len(value) - head - tail < 3:
        return "*" * len(value)
    return f"{value[:head]}{'*' * (len(value) - head - tail)}{value[len(value) - tail :]}"


def _name(value: str) -> str:
    return value[:1] + "*" * max(1, len(value) - 1)


def _address(value: str) -> str:
    place = re.match(r"^.{2,12}?(?:区|县|市(?=.))", value)
    return (place.group(0) if place else value[:6]) + "****"


def _account(value: str) -> str:
    return "*" * max(4, len(value) - 4) + (value[-4:] if len(value) >= 8 else "")


MASKS: dict[str, Callable[[str], str]] = {
    "card": lambda value: _keep(value, 6, 4),
    "document": lambda value: _keep(value, 1, 1),
    "phone": lambda value: _keep(value, 3, 4),
    "account": _account,
    "name": _name,
    "address": _address,
}


def mask(kind: str, value: str | None) -> str | None:
    """The masked display value of `value`; None for None.

    :raises KeyError: for a mask that no contract may name.
    """
    return None if value is None else MASKS[kind](value)
