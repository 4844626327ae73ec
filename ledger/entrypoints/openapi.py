"""The OpenAPI pieces that are made from the domain's own tables, so that they cannot drift (rule
D2.26)."""

from __future__ import annotations

from typing import Any

from ledger.adapters.data_files import load_events, load_operations
from ledger.domain.actors import LEDGERS_OWN
from ledger.domain.fields import COMMON, METADATA_ENTRIES, PATTERNS, TEXT_LIMIT, TEXTS, Field
from ledger.domain.money import AMOUNT_LIMIT
from ledger.domain.refusals import REASONS
from ledger.entrypoints.openapi_examples import EXAMPLES
from ledger.entrypoints.openapi_reads import read_schemas, ref
from ledger.entrypoints.openapi_reconciliations import reconciliation_schemas
from ledger.service.ledger import BATCH_LIMIT

SECURITY: dict[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "signed": {
        "type": "apiKey", "in": "header", "name": "x-paylake-signer",
        "description": "An SM2-signed request: this header and x-paylake-timestamp, "
        "x-paylake-nonce, x-paylake-signature; see docs/explanation/ledger.md",
    },
}

_EXAMPLES: dict[str, Any] = {
    "idempotency_key": "20260912-pay-T0001", "occurred_at": "2026-09-12T10:11:12+08:00",
    "transaction_id": "T0001", "original_transaction_id": "T0000", "merchant_id": "M000001",
    "user_id": "U000001", "party_id": "M000001", "amount_minor": 10000, "currency_code": "CNY",
    "channel": "unionpay", "issuer_fee_minor": 35, "network_fee_minor": 3,
    "acquirer_fee_minor": 22, "fee_minor": 50, "account_id": "2101:U000001",
    "to_account_id": "1001", "account_code": "2101", "signature": "30450221", "pending": 17,
    "public_key": "00" * 64, "prices": {"verify_person": 150},
}
_BY_KIND: dict[str, Any] = {
    "amount": 10000, "fee": 0, "count": 1, "date": "2026-09-12", "text": "as agreed",
    "sentence": "as agreed",
    "flag": True, "metadata": {"order": "A-1"}, "object": {"note": "on file"}, "list": [],
    "details": {"note": "on file"}, "texts": {"account_name": "as on the account"},
    "moment": "2026-09-12T10:11:12+08:00", "hex": "00" * 8, "currency": "CNY",
    "rate": "7.1025",
}


def _field_schema(field: Field) -> dict[str, Any]:
    if field.kind in ("amount", "fee", "count"):
        schema: dict[str, Any] = {
            "type": "integer", "format": "int64",
            "minimum": int(field.kind == "amount"), "maximum": AMOUNT_LIMIT,
        }
    elif field.kind == "moment":
        schema = {"type": "string", "format": "date-time"}
    elif field.kind == "date":
        schema = {"type": "string", "format": "date"}
    elif field.kind in ("text", "sentence"):
        schema = {"type": "string", "minLength": 1, "maxLength": TEXT_LIMIT}
    elif field.kind == "choice":
        schema = {"type": "string", "enum": list(field.of)}
    elif field.kind == "flag":
        schema = {"type": "boolean"}
    elif field.kind == "metadata":
        schema = {
            "type": "object", "minProperties": 1, "maxProperties": METADATA_ENTRIES,
            "additionalProperties": {"type": ["string", "integer"]},
        }
    elif field.kind == "texts":
        schema = {
            "type": "object", "minProperties": 1, "maxProperties": TEXTS,
            "additionalProperties": {"type": "string", "minLength": 1, "maxLength": TEXT_LIMIT},
        }
    elif field.kind in ("object", "details"):
        schema = {"type": "object"}
    elif field.kind == "list":
        schema = {"type": "array", "items": {}}
    else:
        schema = {"type": "string", "pattern": f"^({PATTERNS[field.kind]})$"}
    return {**schema, "description": field.about}


def example_of(type_: str, field: Field) -> Any:
    """A value that the form of a field takes."""
    if field.name in _EXAMPLES:
        return _EXAMPLES[field.name]
    if field.kind == "choice":
        return field.of[0]
    return _BY_KIND.get(field.kind, f"{type_}-1"[:32].replace("_", "-"))


def command_schemas() -> dict[str, Any]:
    """One schema a command type, and `Command`, which is one of those that somebody sends."""
    schemas: dict[str, Any] = {}
    operations = load_operations().by_type
    for type_, operation_ in operations.items():
        listed = (*COMMON, *operation_.form.fields)
        schemas[f"{type_}_command"] = {
            "type": "object",
            "description": f"{operation_.zh} / {operation_.en}. {operation_.about}".strip(),
            "x-interface-class": operation_.interface_class,  # rule D2.24
            "additionalProperties": False,
            "required": ["type"] + [
                f.name for f in listed if not f.optional and f.name != "occurred_at"
            ],
            "properties": {
                "type": {"type": "string", "const": type_},
                **{f.name: _field_schema(f) for f in listed},
            },
            "example": {
                "type": type_,
                **{f.name: example_of(type_, f) for f in listed if not f.optional},
            },
        }
    sent = [name for name, found in operations.items() if found.module not in LEDGERS_OWN]
    schemas["Command"] = {
        "oneOf": [{"$ref": f"#/components/schemas/{type_}_command"} for type_ in sent],
        "discriminator": {
            "propertyName": "type",
            "mapping": {type_: f"#/components/schemas/{type_}_command" for type_ in sent},
        },
    }
    return schemas


def schemas() -> dict[str, Any]:
    """All component schemas, each with its example."""
    found = _schemas()
    for name, example in EXAMPLES.items():
        found[name]["example"] = example
    return found


def _schemas() -> dict[str, Any]:
    text, whole = {"type": "string"}, {"type": "integer", "format": "int64"}
    nullable = {"type": ["string", "null"]}
    return {
        **command_schemas(),
        **read_schemas(), **reconciliation_schemas(),
        "Result": {
            "type": "object",
            "required": ["idempotency_key", "status", "replayed"],
            "properties": {
                "idempotency_key": nullable,
                "status": {"type": "string", "enum": ["posted", "pending", "refused"]},
                "replayed": {"type": "boolean"},
                "journal_id": nullable, "sequence": whole, "dry_run": {"type": "boolean"},
                "booking_date": {"type": "string", "format": "date"},
                "booked_at": {"type": "string", "format": "date-time"},
                "reason": {
                    "type": "string", "enum": [r.code for r in REASONS],
                    "description": "\n".join(
                        f"{number}. `{r.code}`: {r.meaning} / {r.zh}"
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
                    "type": "array", "items": ref("Command"), "minItems": 1,
                    "maxItems": BATCH_LIMIT,
                }
            },
        },
        "Results": {
            "type": "object", "required": ["results"],
            "properties": {"results": {"type": "array", "items": ref("Result")}},
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
        "SessionOrder": {
            "type": "object", "required": ["key_half"], "additionalProperties": False,
            "properties": {"key_half": {"type": "string", "pattern": "^[0-9a-fA-F]{128}$"}},
        },
        "SessionOpened": {
            "type": "object", "required": ["session_id", "sealed_key"],
            "properties": {"session_id": text, "sealed_key": text},
        },
        "Cover": {
            "type": "object", "required": ["last_number", "signature"],
            "additionalProperties": False,
            "properties": {
                "last_number": {"type": "integer", "minimum": 1},
                "signature": {"type": "string", "pattern": "^([0-9a-f]{2})+$"},
                "digests": {
                    "type": "array",
                    "items": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
                    "description": "SM3 of each body from the first that is not covered; only for "
                    "a session that the service lost, where the log has not all of them",
                },
            },
        },
        "DayRun": {
            "type": "object",
            "properties": {
                "date": text, "booked": {"type": "object"}, "amounts": {"type": "object"},
                "not_paid": {"type": "array", "items": {"type": "object"}},
                "old": {"type": "array", "items": {"type": "object"}},
            },
        },
        "Instructions": {
            "type": "object", "required": ["files"],
            "properties": {"files": {"type": "array", "items": {
                "type": "object",
                "properties": {
                    "path": text, "rows": whole, "totals_minor": {"type": "object"},
                },
            }}},
        },
        "Anchor": {
            "type": "object",
            "properties": {
                "name": text, "chain_sequence": whole, "chain_digest": text,
                "previous_anchor": nullable, "signed_at": text, "format": text, "key_id": text,
            },
        },
        "Events": {
            "type": "object", "required": ["events", "next"],
            "properties": {
                "events": {"type": "array", "items": {
                    "type": "object", "required": list(load_events()["common"]),
                    "properties": {
                        "key": text, "sequence": whole, "number": whole,
                        "event": {"type": "string", "enum": list(load_events()["events"])},
                        "at": text, "booking_date": text, "operation": text,
                    },
                }},
                "next": nullable,
            },
        },
        "Forbidden": {"anyOf": [ref("Result"), ref("Error")]},
        "Head": {
            "type": "object",
            "description": "A day's head: the document that was signed, without its signature; "
            "beside it trial_balance_sm3 and replayed",
            "properties": {
                "format": text, "booking_date": text, "closed_at": text, "key_id": text,
                "previous_date": nullable, "previous_head": nullable,
                "chain_sequence": whole, "chain_digest": text, "journals": whole,
                "legs": whole, "accounts": whole, "chart_version": whole,
                "previous_anchor": nullable, "open_holds": whole, "waiting_approvals": whole,
                "sub_ledgers": {"type": "array", "items": {
                    "type": "object",
                    "properties": {
                        "account_code": text, "currency_code": text, "accounts": whole,
                        "sub_ledger_minor": whole, "general_ledger_minor": whole,
                    },
                }},
                "statements": {
                    "type": "object",
                    "description": "rows and SM3 of the lists of accounts and of fees",
                },
                "trial_balance": {"type": "array", "items": {"type": "object"}},
                "trial_balance_sm3": {
                    "type": "string",
                    "description": "of the trial balance; not signed here, named by period_close",
                },
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
                "head_path": text, "head_rows": whole, "event_path": text, "event_rows": whole,
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
    403: "the sender has not the right or is stopped, or the ledger is not simulated",
    404: "not found",
    408: "the request did not arrive in time",
    409: "refused as things stand; `reason` says why",
    413: "the body is too large",
    422: "refused; `reason` says why",
    429: "more requests than the caller may send in a minute",
    500: "a fault of the service; nothing was written",
    503: "the storage cannot take it now, all connections are at work, or the signer sent too many "
    "requests within minutes; send it again",
}


#: Interface class of an endpoint (rule D2.24) by its body; an endpoint without one reads data.
_CLASSES = {
    "Command": "of the command", "Commands": "of each command", "Accounts": "merchant",
    "SessionOrder": "transaction", "Cover": "transaction",
}


def operation(
    answer: str, *errors: int, body: str | None = None, status: int = 200,
    also: dict[int, str] | None = None, media_type: str = "application/json",
) -> dict[str, Any]:
    """`responses`, `openapi_extra` and `status_code` of a route.

    :param answer: schema of the answer
    :param errors: error statuses beside 401, 403, 408, 500 and 503
    :param body: schema of the request body
    :param also: further statuses that answer with a schema of their own
    :param media_type: of the answer
    """
    responses: dict[Any, Any] = {
        status: {
            "description": "done", "content": {media_type: {"schema": ref(answer)}},
        }
    }
    for code in sorted({401, 403, 408, 500, 503, *errors}):
        responses[code] = {
            "description": _STATUS[code],
            "content": {"application/json": {"schema": ref("Error")}},
        }
    for code, name in (also or {}).items():
        responses[code] = {
            "description": _STATUS.get(code, "done"),
            "content": {"application/json": {"schema": ref(name)}},
        }
    extra: dict[str, Any] = {"x-interface-class": _CLASSES.get(body or "", "data")}
    if body is not None:
        extra["requestBody"] = {
            "required": True, "content": {"application/json": {"schema": ref(body)}},
        }
    return {"responses": responses, "openapi_extra": extra, "status_code": status}
