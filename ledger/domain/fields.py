"""Fields of commands: their kinds, checking their form, normalising their values."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

from ledger.domain.money import AMOUNT_LIMIT
from ledger.domain.refusals import Refusal
from ledger.domain.sensitive import found_in
from ledger.domain.sensitive_texts import in_metadata, in_text

PATTERNS: dict[str, str] = {
    "key": r"[A-Za-z0-9][A-Za-z0-9._:\-]{0,63}",
    "id": r"[A-Za-z0-9][A-Za-z0-9._\-]{0,63}",
    "party": r"[A-Za-z0-9][A-Za-z0-9_\-]{0,31}",
    "account": r"[A-Za-z0-9][A-Za-z0-9_:#\-]{0,63}",
    "currency": r"[A-Z]{3}",
    "rate": r"(?:0|[1-9][0-9]{0,8})(?:\.[0-9]{1,10})?",
    "hex": r"[0-9a-f]{2,8192}",
}
#: Kinds that are not a pattern.
OTHER_KINDS = ("amount", "fee", "count", "moment", "date", "text", "choice", "flag", "metadata",
               "object", "list", "details", "texts", "sentence")
METADATA_ENTRIES = 16
TEXT_LIMIT = 200
DOCUMENT_DEPTH = 6
MOMENT_LENGTH = 40
TEXTS = 32
#: Of a time: in each zone, and a day later, there is still a date.
_LAST_YEAR = 9998
#: Whether a text is of such a kind.
MATCHES = {kind: re.compile(f"(?:{pattern})\\Z").match for kind, pattern in PATTERNS.items()}
_MATCH_ID = MATCHES["id"]


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `kind` is a pattern's name or one of :data:`OTHER_KINDS`; `amount` counts minor
    units from 1, `fee` and `count` from 0; a `rate` is a decimal as text, which is exact. `of`
    lists the values of a `choice`. A `sensitive` field (C2) is stored as a commitment, never in
    clear; of `texts` each text by itself. `details` is an `object` without anything sensitive in
    it."""

    name: str
    kind: str
    about: str
    optional: bool = False
    of: tuple[str, ...] = ()
    sensitive: bool = False


#: What every command may carry; in `metadata`, the number of a drill (rule D4c.5).
COMMON: tuple[Field, ...] = (
    Field("idempotency_key", "key", "the caller's key of this command; time-ordered keys keep "
          "the ledger fast"),
    Field("occurred_at", "moment", "ISO 8601 with zone, whole seconds; taken, and then needed, "
          "only by a simulated service"),
    Field("value_date", "date", "date from which the amount counts; default: the booking date",
          True),
    Field("linked", "flag", "true: this command and the next of the batch post together or not "
          "at all", True),
    Field("metadata", "metadata", f"up to {METADATA_ENTRIES} names with short texts or whole "
          "numbers; part of the chain, in clear: no number of a person", True),
)

Check = Callable[[str, Any], Any]  # returns the normalised value or a Refusal


def utc_text(moment: datetime) -> str:
    """An aware time as the ledger writes it: UTC, whole seconds, `Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_moment(text: Any) -> str | None:
    """Normalise an ISO 8601 time with zone and whole seconds; None when it is not one."""
    if not isinstance(text, str) or len(text) > MOMENT_LENGTH:
        return None
    return moment_of(text)


@lru_cache(4096)  # commands come in the order of their time: thousands share a second
def moment_of(text: str) -> str | None:
    """As :func:`parse_moment`, of a text of up to :data:`MOMENT_LENGTH` characters."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None or moment.microsecond or not 2000 <= moment.year <= _LAST_YEAR:
            return None
        return moment.astimezone(UTC).isoformat()[:19] + "Z"
    except (ValueError, OverflowError):
        return None


def parse_day(text: Any) -> str | None:
    """Normalise `2026-09-12`; None when it is not such a date."""
    if not isinstance(text, str) or len(text) != 10:
        return None
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return text if found.isoformat() == text and found.year >= 2000 else None


def _printable(text: Any, limit: int = TEXT_LIMIT) -> bool:
    return isinstance(text, str) and 0 < len(text) <= limit and text.isprintable()


def _pattern(kind: str) -> Check:
    match = MATCHES[kind]

    def check(name: str, value: Any) -> Any:
        if type(value) is str and match(value):
            return value
        return Refusal("invalid_field", f"{name} must match {PATTERNS[kind]}", name)

    return check


def _whole(least: int) -> Check:
    def check(name: str, value: Any) -> Any:
        if type(value) is int and least <= value <= AMOUNT_LIMIT:
            return value
        return Refusal(
            "amount_out_of_range", f"{name} must be a whole number from {least} to {AMOUNT_LIMIT}",
            name,
        )

    return check


def _moment(name: str, value: Any) -> Any:
    found = parse_moment(value)
    return found or Refusal(
        "invalid_field", f"{name} must be an ISO 8601 time with zone and whole seconds", name
    )


def _date(name: str, value: Any) -> Any:
    found = parse_day(value)
    return found or Refusal("invalid_field", f"{name} must be a date like 2026-09-12", name)


def _text(name: str, value: Any) -> Any:
    return value if _printable(value) else Refusal(
        "invalid_field", f"{name} must be a printable text of 1 to {TEXT_LIMIT} characters", name
    )


def _sensitive(where: str, kind: str, name: str) -> Refusal:
    return Refusal(
        "invalid_field", f"{where} holds a sensitive {kind}, and stands in the log in clear: leave "
        "it out, or give the number of an order or the like under a name that says so", name,
    )


def _sentence(name: str, value: Any) -> Any:
    """A text that stands in the log in clear: no number of a person is in it."""
    checked = _text(name, value)
    if type(checked) is Refusal:
        return checked
    kind = in_text(checked)
    return checked if kind is None else _sensitive(name, kind, name)


def _flag(name: str, value: Any) -> Any:
    return value if type(value) is bool else Refusal(
        "invalid_field", f"{name} must be true or false", name
    )


def _choice(of: tuple[str, ...]) -> Check:
    def check(name: str, value: Any) -> Any:
        if type(value) is str and value in of:
            return value
        return Refusal("invalid_field", f"{name} must be one of: {', '.join(of)}", name)

    return check


def _metadata(name: str, value: Any) -> Any:
    if isinstance(value, dict) and 0 < len(value) <= METADATA_ENTRIES and all(
        _MATCH_ID(key) and (_printable(entry) or (type(entry) is int and abs(entry) < 2**53))
        for key, entry in value.items()
    ):
        found = in_metadata(value)
        return dict(sorted(value.items())) if found is None else _sensitive(
            f"{name}.{found[0]}", found[1], name
        )
    return Refusal(
        "invalid_field",
        f"{name} takes 1 to {METADATA_ENTRIES} names with texts of up to {TEXT_LIMIT} "
        "characters or whole numbers", name,
    )


def _document(value: Any, depth: int = 0) -> bool:
    """Whether a value is made of objects, lists, texts, whole numbers, flags and null."""
    if depth > DOCUMENT_DEPTH:
        return False
    if isinstance(value, dict):
        return len(value) <= 100 and all(
            isinstance(k, str) and len(k) <= 64 and k.isprintable() and _document(v, depth + 1)
            for k, v in value.items()
        )
    if isinstance(value, list):
        return len(value) <= 1000 and all(_document(v, depth + 1) for v in value)
    if isinstance(value, str):
        return len(value) <= 1000 and (not value or value.isprintable())
    return value is None or type(value) is bool or (
        type(value) is int and abs(value) <= AMOUNT_LIMIT
    )


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _sorted(value[k]) for k in sorted(value)}
    return [_sorted(v) for v in value] if isinstance(value, list) else value


def _object(type_: type) -> Check:
    def check(name: str, value: Any) -> Any:
        if isinstance(value, type_) and _document(value):
            return _sorted(value)
        return Refusal(
            "invalid_field", f"{name} must be a JSON {'object' if type_ is dict else 'list'} of "
            "texts, whole numbers, flags and the like", name,
        )

    return check


def _details(name: str, value: Any) -> Any:
    """A document that stands in the log in clear: nothing sensitive is in it."""
    checked = _object(dict)(name, value)
    if type(checked) is Refusal:
        return checked
    found = found_in(checked, name)
    return checked if found is None else Refusal(
        "invalid_field", f"{found[0]} holds a sensitive {found[1]}: it is given in "
        "sensitive_details, which are kept sealed", name,
    )


def _texts(name: str, value: Any) -> Any:
    if isinstance(value, dict) and 0 < len(value) <= TEXTS and all(
        _MATCH_ID(key) and _printable(entry) for key, entry in value.items()
    ):
        return dict(sorted(value.items()))
    return Refusal(
        "invalid_field",
        f"{name} takes 1 to {TEXTS} names with texts of up to {TEXT_LIMIT} characters", name,
    )


def checker(field: Field) -> Check:
    """The function that checks and normalises a field's value."""
    if field.kind in PATTERNS:
        return _pattern(field.kind)
    return {
        "amount": _whole(1), "fee": _whole(0), "count": _whole(0), "moment": _moment,
        "date": _date, "text": _text, "flag": _flag, "choice": _choice(field.of),
        "metadata": _metadata, "object": _object(dict), "list": _object(list),
        "details": _details, "texts": _texts, "sentence": _sentence,
    }[field.kind]
