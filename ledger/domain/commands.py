"""Commands: their fields, checking their form, their canonical bytes.

`TYPES` is the one place that says which fields a command has: the checks, the canonical bytes and
the OpenAPI document are all made from it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ledger.domain.chain import canonical, sm3
from ledger.domain.money import AMOUNT_LIMIT
from ledger.domain.refusals import Refusal

COMMAND_FORMAT = "paylake-command/1"

PATTERNS: dict[str, str] = {
    "key": r"[A-Za-z0-9][A-Za-z0-9._:\-]{0,63}",
    "id": r"[A-Za-z0-9][A-Za-z0-9._\-]{0,63}",
    "party": r"[A-Za-z0-9][A-Za-z0-9_\-]{0,31}",
    "currency": r"[A-Z]{3}",
    "channel": r"unionpay|netsunion|internal",
}
_MATCH = {kind: re.compile(f"(?:{pattern})\\Z").match for kind, pattern in PATTERNS.items()}


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its kind is a pattern's name, `amount` (from 1), `fee` (from 0) or `moment`."""

    name: str
    kind: str
    about: str
    optional: bool = False


_CURRENCY = Field("currency_code", "currency", "ISO 4217 code, kept by the chart of accounts")
_AMOUNT = Field("amount_minor", "amount", "whole minor units (fen), 1 to 10^15")
_TRANSACTION = Field("transaction_id", "id", "this transaction's own number; the business key")
_MERCHANT = Field("merchant_id", "party", "merchant whose account 2201 moves")
_USER = Field("user_id", "party", "user whose account 2101 moves")
_ISSUER = Field("issuer_fee_minor", "fee", "issuer fee, minor units")
_NETWORK = Field("network_fee_minor", "fee", "network fee, minor units")
_ACQUIRER = Field("acquirer_fee_minor", "fee", "acquirer fee, minor units")

#: The fields of each command type beside the common ones; the first is the business key.
TYPES: dict[str, tuple[Field, ...]] = {
    "payment": (
        _TRANSACTION, _MERCHANT, _AMOUNT, _CURRENCY,
        Field("channel", "channel", "unionpay or netsunion for a card or quick payment, internal "
              "for a payment from a payment account"),
        Field("user_id", "party", "payer; given exactly when the channel is internal", True),
        _ISSUER, _NETWORK, _ACQUIRER,
    ),
    "refund": (
        _TRANSACTION, Field("original_transaction_id", "id", "the payment"), _AMOUNT, _CURRENCY,
        Field("issuer_fee_minor", "fee", "issuer fee returned: the pro-rata part"),
        Field("network_fee_minor", "fee", "network fee returned: the pro-rata part"),
        Field("acquirer_fee_minor", "fee", "acquirer fee returned: the pro-rata part"),
    ),
    "fee": (Field("fee_id", "id", "number of the service fee"), _MERCHANT, _AMOUNT, _CURRENCY),
    "settlement": (
        Field("payout_id", "id", "number of the payout"), _MERCHANT, _AMOUNT, _CURRENCY,
    ),
    "top_up": (Field("top_up_id", "id", "number of the top-up"), _USER, _AMOUNT, _CURRENCY),
    "withdrawal": (
        Field("withdrawal_id", "id", "number of the withdrawal"), _USER,
        Field("amount_minor", "amount", "what the user receives, minor units"), _CURRENCY,
        Field("fee_minor", "fee", "taken on top of the amount, minor units"),
    ),
    "dispute": (
        _TRANSACTION, Field("original_transaction_id", "id", "the payment"), _AMOUNT, _CURRENCY,
    ),
    "dispute_release": (
        _TRANSACTION,
        Field("original_transaction_id", "id", "transaction_id of the dispute command"),
        _AMOUNT, _CURRENCY,
    ),
}
COMMON: tuple[Field, ...] = (
    Field("idempotency_key", "key", "the caller's key of this command"),
    Field("occurred_at", "moment", "ISO 8601 with zone, whole seconds; taken, and then needed, "
          "only by a simulated service"),
)
_BUSINESS_KEY = {name: fields[0].name for name, fields in TYPES.items()}
_FIELDS = {name: COMMON + fields for name, fields in TYPES.items()}
_NAMES = {name: frozenset(f.name for f in fields) | {"type"} for name, fields in _FIELDS.items()}
_CHECKS = {
    name: tuple((f.name, f.kind, f.optional, _MATCH.get(f.kind)) for f in fields)
    for name, fields in _FIELDS.items()
}


class Command:
    """A command of valid form.

    `values` holds every field given (`occurred_at` as UTC, `2026-09-12T02:11:12Z`), `digest` the
    SM3 of its canonical bytes.
    """

    __slots__ = ("business_key", "digest", "key", "occurred_at", "type", "values")

    def __init__(self, type_: str, values: dict[str, Any]) -> None:
        self.type = type_
        self.values = values
        self.key: str = values["idempotency_key"]
        self.occurred_at: str | None = values.get("occurred_at")
        self.business_key: str = values[_BUSINESS_KEY[type_]]
        self.digest = content_digest(type_, values)


def content_digest(type_: str, values: Mapping[str, Any]) -> bytes:
    """SM3 of the canonical bytes: format version, type, then name and value of each field given,
    in the order of `TYPES`, every piece length-prefixed."""
    pieces = [COMMAND_FORMAT, type_]
    for field in _FIELDS[type_]:
        value = values.get(field.name)
        if value is not None:
            pieces += (field.name, str(value))
    return sm3(canonical(pieces))


def first_difference(
    type_: str, values: Mapping[str, Any], first_type: str, first_values: Mapping[str, Any]
) -> str:
    """Name of the first field in which two commands with one key differ."""
    if type_ != first_type:
        return "type"
    for field in _FIELDS[type_]:
        if values.get(field.name) != first_values.get(field.name):
            return field.name
    raise ValueError("the commands do not differ")


def utc_text(moment: datetime) -> str:
    """An aware time as the ledger writes it: UTC, whole seconds, `Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_moment(text: Any) -> str | None:
    """Normalise an ISO 8601 time with zone and whole seconds; None when it is not one."""
    if not isinstance(text, str) or len(text) > 40:
        return None
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None or moment.microsecond or moment.year < 2000:
            return None
        return moment.astimezone(UTC).isoformat()[:19] + "Z"
    except (ValueError, OverflowError):
        return None


def parse(raw: Any, simulated: bool) -> Command | Refusal:
    """Check the form of one command, in the order of the refusal list."""
    if not isinstance(raw, dict):
        return Refusal("not_an_object", "a command is a JSON object")
    type_ = raw.get("type")
    names = _NAMES.get(type_) if isinstance(type_, str) else None
    if names is None:
        return Refusal("unknown_type", f"type must be one of: {', '.join(TYPES)}", "type")
    for name in raw:
        if name not in names:
            return Refusal("unknown_field", f"a {type_} takes no such field", name[:64])
    if not simulated and "occurred_at" in raw:
        return Refusal("unknown_field", "only a simulated ledger takes a time", "occurred_at")
    checks = _CHECKS[type_]
    for name, kind, optional, _ in checks:
        if raw.get(name) is None and not optional and (kind != "moment" or simulated):
            return Refusal("missing_field", f"a {type_} needs {name}", name)
    values: dict[str, Any] = {}
    bad_amount: Refusal | None = None
    for name, kind, _, match in checks:
        value = raw.get(name)
        if value is None:
            continue
        if match is not None:
            if type(value) is not str or not match(value):
                return Refusal("invalid_field", f"{name} must match {PATTERNS[kind]}", name)
        elif kind == "moment":
            value = parse_moment(value)
            if value is None:
                return Refusal(
                    "invalid_field",
                    f"{name} must be an ISO 8601 time with zone and whole seconds", name,
                )
        elif type(value) is not int or not (kind == "amount") <= value <= AMOUNT_LIMIT:
            bad_amount = bad_amount or Refusal(
                "amount_out_of_range",
                f"{name} must be a whole number from {int(kind == 'amount')} to {AMOUNT_LIMIT}",
                name,
            )
        values[name] = value
    if type_ == "payment" and (values["channel"] == "internal") != ("user_id" in values):
        return Refusal(
            "invalid_field", "user_id is given exactly when the channel is internal", "user_id"
        )
    return bad_amount or Command(type_, values)
