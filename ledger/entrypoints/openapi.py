"""The OpenAPI pieces that are made from the domain's own tables, so that they cannot drift."""

from __future__ import annotations

from typing import Any

from ledger.domain.commands import COMMON, PATTERNS, TYPES, Field
from ledger.domain.money import AMOUNT_LIMIT
from ledger.domain.refusals import REASONS
from ledger.service.ledger import BATCH_LIMIT

_EXAMPLES: dict[str, Any] = {
    "idempotency_key": "pay-T0001", "occurred_at": "2026-09-12T10:11:12+08:00",
    "transaction_id": "T0001", "original_transaction_id": "T0000", "merchant_id": "M000001",
    "user_id": "U000001", "amount_minor": 10000, "currency_code": "CNY", "channel": "unionpay",
    "issuer_fee_minor": 35, "network_fee_minor": 3, "acquirer_fee_minor": 22, "fee_minor": 50,
}


def _field_schema(field: Field) -> dict[str, Any]:
    if field.kind in ("amount", "fee"):
        schema: dict[str, Any] = {
            "type": "integer", "format": "int64",
            "minimum": int(field.kind == "amount"), "maximum": AMOUNT_LIMIT,
        }
    elif field.kind == "moment":
        schema = {"type": "string", "format": "date-time"}
    else:
        schema = {"type": "string", "pattern": f"^({PATTERNS[field.kind]})$"}
    return {**schema, "description": field.about}


def command_schemas() -> dict[str, Any]:
    """One schema a command type, and `Command`, which is one of them."""
    schemas: dict[str, Any] = {}
    for type_, fields in TYPES.items():
        listed = (*COMMON, *fields)
        schemas[f"{type_}_command"] = {
            "type": "object",
            "additionalProperties": False,
            "required": ["type"] + [
                f.name for f in listed if not f.optional and f.kind != "moment"
            ],
            "properties": {
                "type": {"type": "string", "const": type_},
                **{f.name: _field_schema(f) for f in listed},
            },
            "example": {
                "type": type_,
                **{
                    f.name: _EXAMPLES.get(f.name, f"{type_}-1")
                    for f in listed if not f.optional
                },
            },
        }
    schemas["Command"] = {
        "oneOf": [{"$ref": f"#/components/schemas/{type_}_command"} for type_ in TYPES],
        "discriminator": {
            "propertyName": "type",
            "mapping": {type_: f"#/components/schemas/{type_}_command" for type_ in TYPES},
        },
    }
    return schemas


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def schemas() -> dict[str, Any]:
    """All component schemas."""
    text, whole = {"type": "string"}, {"type": "integer", "format": "int64"}
    nullable = {"type": ["string", "null"]}
    return {
        **command_schemas(),
        "Result": {
            "type": "object",
            "required": ["idempotency_key", "status", "replayed"],
            "properties": {
                "idempotency_key": nullable,
                "status": {"type": "string", "enum": ["posted", "refused"]},
                "replayed": {"type": "boolean"},
                "journal_id": text, "sequence": whole,
                "booking_date": {"type": "string", "format": "date"},
                "booked_at": {"type": "string", "format": "date-time"},
                "reason": {
                    "type": "string", "enum": [r.code for r in REASONS],
                    "description": "\n".join(
                        f"{number}. `{r.code}`: {r.meaning}"
                        for number, r in enumerate(REASONS, 1)
                    ),
                },
                "detail": text, "field": text,
                "first_index": {
                    "type": "integer",
                    "description": "place in this batch of the first command with the same key",
                },
            },
        },
        "Commands": {
            "type": "object", "required": ["commands"], "additionalProperties": False,
            "properties": {
                "commands": {
                    "type": "array", "items": _ref("Command"), "minItems": 1,
                    "maxItems": BATCH_LIMIT,
                }
            },
        },
        "Results": {
            "type": "object", "required": ["results"],
            "properties": {"results": {"type": "array", "items": _ref("Result")}},
        },
        "Accounts": {
            "type": "object", "required": ["accounts"], "additionalProperties": False,
            "properties": {
                "accounts": {
                    "type": "array", "maxItems": BATCH_LIMIT, "items": {
                        "type": "object",
                        "required": ["account_code", "party_id", "currency_code"],
                        "additionalProperties": False,
                        "properties": {
                            "account_code": text, "party_id": nullable, "currency_code": text,
                        },
                        "example": {
                            "account_code": "2201", "party_id": "M000001",
                            "currency_code": "CNY",
                        },
                    },
                }
            },
        },
        "AccountResults": {
            "type": "object", "required": ["results"],
            "properties": {"results": {"type": "array", "items": {
                "type": "object", "required": ["status"],
                "properties": {
                    "status": {
                        "type": "string", "enum": ["opened", "already_open", "refused"],
                    },
                    "account_id": text, "currency_code": text, "reason": text,
                    "detail": text, "field": text,
                },
            }}},
        },
        "Balances": {
            "type": "object", "required": ["balances", "next"],
            "properties": {
                "balances": {"type": "array", "items": {
                    "type": "object",
                    "properties": {
                        "account_id": text, "account_code": text, "account_kind": text,
                        "party_id": nullable, "currency_code": text, "balance_minor": whole,
                    },
                }},
                "next": nullable,
            },
        },
        "Journal": {
            "type": "object",
            "properties": {
                "journal_id": text, "sequence": whole, "journal_type": text,
                "business_key": text, "idempotency_key": text, "currency_code": text,
                "original_journal_id": nullable, "booking_date": text, "booked_at": text,
                "chain_digest": text,
                "legs": {"type": "array", "items": {
                    "type": "object",
                    "properties": {
                        "leg_number": whole, "account_id": text, "direction": text,
                        "amount_minor": whole, "component": text,
                        "custodian_reference": nullable,
                    },
                }},
            },
        },
        "Journals": {
            "type": "object", "required": ["journals", "next"],
            "properties": {
                "journals": {"type": "array", "items": _ref("Journal")}, "next": nullable,
            },
        },
        "Head": {
            "type": "object",
            "description": "A day's head: the document that was signed, without its signature",
            "properties": {
                "format": text, "booking_date": text, "closed_at": text, "key_id": text,
                "previous_date": nullable, "previous_head": nullable,
                "chain_sequence": whole, "chain_digest": text, "journals": whole,
                "legs": whole, "accounts": whole, "chart_version": whole,
                "trial_balance": {"type": "array", "items": {"type": "object"}},
                "replayed": {"type": "boolean"},
            },
        },
        "ClockSetting": {
            "type": "object", "required": ["now"], "additionalProperties": False,
            "properties": {"now": {"type": "string", "format": "date-time"}},
        },
        "ExportOrder": {
            "type": "object", "required": ["sent_at"], "additionalProperties": False,
            "properties": {
                "sent_at": {"type": "string", "format": "date-time"},
                "sequence": {"type": "integer", "minimum": 1, "maximum": 999, "default": 1},
            },
        },
        "Exported": {
            "type": "object",
            "properties": {
                "business_date": text, "sequence": whole, "journal_path": text,
                "journal_rows": whole, "balance_path": text, "balance_rows": whole,
            },
        },
        "Health": {
            "type": "object",
            "properties": {
                "status": text, "simulated": {"type": "boolean"}, "clock": nullable,
                "last_sequence": whole, "last_closed": nullable,
            },
        },
        "Error": {
            "type": "object", "required": ["error"],
            "properties": {"error": {
                "type": "object", "required": ["reason", "what", "next_step"],
                "properties": {"reason": text, "what": text, "next_step": text},
            }},
        },
    }


_STATUS = {
    400: "the body is not JSON of this form",
    401: "no bearer token, or an unknown one",
    403: "the token has not the right, or the ledger is not simulated",
    404: "not found",
    409: "refused as things stand; `reason` says why",
    413: "the body is too large",
    422: "refused; `reason` says why",
    500: "a fault of the service; nothing was written",
    503: "the storage cannot take it now; send it again",
}


def operation(
    answer: str, *errors: int, body: str | None = None, status: int = 200,
    also: dict[int, str] | None = None,
) -> dict[str, Any]:
    """`responses` and `openapi_extra` of a route.

    :param answer: schema of the answer
    :param errors: error statuses beside 401, 403, 500 and 503
    :param body: schema of the request body
    :param also: further statuses that answer with a schema of their own
    """
    responses: dict[Any, Any] = {
        status: {
            "description": "done", "content": {"application/json": {"schema": _ref(answer)}},
        }
    }
    for code in sorted({401, 403, 500, 503, *errors}):
        responses[code] = {
            "description": _STATUS[code],
            "content": {"application/json": {"schema": _ref("Error")}},
        }
    for code, name in (also or {}).items():
        responses[code] = {
            "description": _STATUS.get(code, "done"),
            "content": {"application/json": {"schema": _ref(name)}},
        }
    extra: dict[str, Any] = {}
    if body is not None:
        extra["requestBody"] = {
            "required": True, "content": {"application/json": {"schema": _ref(body)}},
        }
    return {"responses": responses, "openapi_extra": extra}
