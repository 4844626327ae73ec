"""Reading commands by their form: the first thing that is done with each, so it costs little."""

from __future__ import annotations

from typing import Any, Final

from ledger.domain.fields import (
    COMMON,
    MATCHES,
    MOMENT_LENGTH,
    PATTERNS,
    Field,
    checker,
    moment_of,
)
from ledger.domain.money import AMOUNT_LIMIT
from ledger.domain.refusals import Refusal

#: Sets of fields, each in one order, whose fields a form keeps listed: senders have few. Others
#: are looked for one by one, so that nobody can fill the memory.
MOST_GIVEN = 64
_TEXT: Final = 0
_WHOLE: Final = 1
_CHOICE: Final = 2
_MOMENT: Final = 3
_OTHER: Final = 4
_LIMIT: Final[int] = AMOUNT_LIMIT
_KINDS = {"amount": _WHOLE, "fee": _WHOLE, "count": _WHOLE, "choice": _CHOICE, "moment": _MOMENT}


class _Asked:
    """A field of a form. Most values pass without a call of its checker, which names the fault of
    those that do not, and normalises what needs it."""

    __slots__ = ("check", "kind", "least", "matches", "name", "of")

    def __init__(self, field: Field) -> None:
        self.name: str = field.name
        self.check: Any = checker(field)
        self.kind: int = _TEXT if field.kind in PATTERNS else _KINDS.get(field.kind, _OTHER)
        self.matches: Any = MATCHES.get(field.kind)
        self.least: int = 1 if field.kind == "amount" else 0
        self.of: frozenset[str] = frozenset(field.of)

    def value(self, given: Any) -> Any:
        """A value that is not null, normalised; or the refusal of it."""
        kind = self.kind
        if kind == _TEXT:
            if isinstance(given, str) and self.matches(given) is not None:
                return given
        elif kind == _WHOLE:
            if (
                isinstance(given, int) and not isinstance(given, bool)
                and self.least <= given <= _LIMIT
            ):
                return given
        elif kind == _CHOICE:
            if isinstance(given, str) and given in self.of:
                return given
        elif kind == _MOMENT and isinstance(given, str) and len(given) <= MOMENT_LENGTH:
            found = moment_of(given)
            if found is not None:
                return found
        return self.check(self.name, given)


class Form:
    """The form of one command type, ready to check commands fast."""

    def __init__(self, type_: str, fields: tuple[Field, ...]) -> None:
        self.type = type_
        self.fields = fields
        listed = COMMON + fields
        self.names = frozenset(f.name for f in listed) | {"type"}
        self._required = [f.name for f in listed if not f.optional and f.name != "occurred_at"]
        self.order = tuple(f.name for f in listed if f.name != "idempotency_key")
        self.sensitive = tuple(f.name for f in listed if f.sensitive)
        self._asked: list[_Asked] = [_Asked(field) for field in listed]
        #: by whether the ledger is simulated: the fields of commands that give just these
        self._given: dict[bool, dict[tuple, list[_Asked]]] = {True: {}, False: {}}

    def parse(self, raw: dict[str, Any], simulated: bool) -> dict[str, Any] | Refusal:
        """Values given, normalised, in the order of the form; or the first fault of form."""
        known, given = self._given[simulated], tuple(raw)
        asked = known.get(given)
        if asked is not None:
            found = _exact(asked, raw)
            if found is not None:
                return found
        values = self._parse(raw, simulated)
        if isinstance(values, dict) and asked is None and len(known) < MOST_GIVEN:
            listed = [one for one in self._asked if one.name in values]
            if len(listed) + 1 == len(raw):  # and the type: no null among them
                known[given] = listed
        return values

    def _parse(self, raw: dict[str, Any], simulated: bool) -> dict[str, Any] | Refusal:
        if not raw.keys() <= self.names:
            name = next(name for name in raw if name not in self.names)
            return Refusal("unknown_field", f"a {self.type} takes no such field", name[:64])
        if simulated:
            if raw.get("occurred_at") is None:
                return Refusal("missing_field", f"a {self.type} needs occurred_at", "occurred_at")
        elif "occurred_at" in raw:
            return Refusal("unknown_field", "only a simulated ledger takes a time", "occurred_at")
        for name in self._required:
            if raw.get(name) is None:  # null is absent
                return Refusal("missing_field", f"a {self.type} needs {name}", name)
        values: dict[str, Any] = {}
        bad: Refusal | None = None
        for asked in self._asked:
            value = raw.get(asked.name)
            if value is None:
                continue
            value = asked.value(value)
            if isinstance(value, Refusal):
                if value.code != "amount_out_of_range":
                    return value
                bad = bad or value  # what is out of range comes after what is no such value
            values[asked.name] = value
        return bad or values


def _exact(listed: list[_Asked], raw: dict[str, Any]) -> dict[str, Any] | None:
    """The values of a command that gives exactly these fields. Any fault gives None: the form
    names it."""
    values: dict[str, Any] = {}
    for asked in listed:
        value = asked.value(raw[asked.name])
        if isinstance(value, Refusal):
            return None
        values[asked.name] = value
    return values
