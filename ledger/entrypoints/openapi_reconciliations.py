"""Schemas of what is sent and answered about reconciliations, each with its example."""

from __future__ import annotations

from typing import Any

from ledger.domain.bank_statement import ID_LIMIT, MOST_LINES, REFERENCE_LIMIT
from ledger.domain.money import AMOUNT_LIMIT
from ledger.domain.reconciling import CLASSES, OPEN

_SUMS = {
    "items": 2, "ledger_count": 2, "ledger_minor": 19900, "statement_count": 1,
    "statement_minor": 19900,
}
_NONE = dict.fromkeys(_SUMS, 0)
_RECONCILIATION = {
    "reconciliation_id": "RC-1001-CNY-20260912-1", "account_id": "1001", "currency_code": "CNY",
    "scale": 2, "first_date": "2026-09-12", "last_date": "2026-09-12",
    "statement_sm3": "5f" * 32, "items_sm3": "5f" * 32, "asked_by": "system:treasury",
    "previous": None, "supersedes": None, "superseded_by": None, "booked_on": "2026-09-13",
    "opening_minor": 0, "closing_minor": 19900, "ledger_opening_minor": 0,
    "ledger_closing_minor": 20400, "difference_minor": 500, "lines": 1, "postings": 3,
    "carried_items": 0, "open_items": 1, "through_sequence": 42,
    "classes": {
        **dict.fromkeys(CLASSES, _NONE), "matched": _SUMS,
        "missing_in_statement": {**_NONE, "items": 1, "ledger_count": 1, "ledger_minor": 500},
    },
    "replayed": False, "dry_run": False,
}
_ITEM = {
    "item_id": "RC-1001-CNY-20260912-1.3", "account_id": "1001", "currency_code": "CNY",
    "class": "missing_in_statement", "side": "short", "reference": "W0001", "journal_id": None,
    "ledger_minor": 500, "ledger_count": 1, "statement_minor": 0, "statement_count": 0,
    "difference_minor": 500, "first_date": "2026-09-12", "ledger_entry": "J000000000017/1",
    "statement_entry": None, "opened_by": "RC-1001-CNY-20260912-1",
}


def reconciliation_schemas() -> dict[str, Any]:
    """The schemas by name."""
    text, whole = {"type": "string"}, {"type": "integer", "format": "int64"}
    nullable, day = {"type": ["string", "null"]}, {"type": "string", "format": "date"}
    amount = {**whole, "minimum": -AMOUNT_LIMIT, "maximum": AMOUNT_LIMIT}
    item = {
        "type": "object", "required": ["item_id", "class", "side", "difference_minor"],
        "properties": {
            "item_id": text, "account_id": text, "currency_code": text,
            "class": {"type": "string", "enum": list(OPEN)},
            "side": {
                "type": "string", "enum": ["long", "short"],
                "description": "long (长款): the bank has more than the ledger; short (短款): less",
            },
            "reference": nullable, "journal_id": nullable, "ledger_minor": whole,
            "ledger_count": whole, "statement_minor": whole, "statement_count": whole,
            "difference_minor": {**whole, "description": "ledger less statement"},
            "first_date": day, "ledger_entry": nullable, "statement_entry": nullable,
            "opened_by": text,
        },
    }
    sums = {"type": "object", "properties": dict.fromkeys(_SUMS, whole)}
    reconciliation = {
        "type": "object",
        "required": [
            "reconciliation_id", "account_id", "difference_minor", "open_items", "classes",
            "replayed",
        ],
        "properties": {
            "reconciliation_id": text, "account_id": text, "currency_code": text, "scale": whole,
            "first_date": day, "last_date": day, "statement_sm3": text, "items_sm3": text,
            "asked_by": text, "previous": nullable, "supersedes": nullable,
            "superseded_by": nullable, "booked_on": nullable, "opening_minor": whole,
            "closing_minor": whole, "ledger_opening_minor": whole, "ledger_closing_minor": whole,
            "difference_minor": {**whole, "description": "closing balance of the ledger less that "
                                 "of the statement: the sum of the open items' differences"},
            "lines": whole, "postings": whole, "carried_items": whole, "open_items": whole,
            "through_sequence": whole,
            "classes": {"type": "object", "properties": dict.fromkeys(CLASSES, sums)},
            "replayed": {"type": "boolean"}, "dry_run": {"type": "boolean"},
            "items": {
                "type": "array", "items": item,
                "description": "of a dry run: the first 1,000 items that would stay open",
            },
        },
    }
    row = {
        "type": "object", "required": ["row", "item_id", "class", "side", "amount_minor"],
        "properties": {
            "row": whole, "item_id": text, "class": {"type": "string", "enum": list(CLASSES)},
            "rule": nullable,
            "side": {"type": "string", "enum": [
                f"{kind}{side}" for kind in ("", "carried_", "opening_")
                for side in ("ledger", "statement")
            ]},
            "entry": text, "value_date": day, "amount_minor": whole, "reference": nullable,
        },
    }
    return {
        "StatementOrder": {
            "type": "object", "additionalProperties": False,
            "description": "A bank's statement of one account; amounts are minor units, money in "
            "positive",
            "required": [
                "account_id", "currency_code", "first_date", "last_date", "opening_minor",
                "closing_minor", "lines",
            ],
            "properties": {
                "account_id": {"type": "string", "maxLength": 64},
                "currency_code": {"type": "string", "pattern": "^[A-Z]{3}$"},
                "first_date": day, "last_date": day, "opening_minor": amount,
                "closing_minor": amount,
                "lines": {"type": "array", "maxItems": MOST_LINES, "items": {
                    "type": "object", "additionalProperties": False,
                    "required": ["line_id", "value_date", "amount_minor"],
                    "properties": {
                        "line_id": {
                            "type": "string", "minLength": 1, "maxLength": ID_LIMIT,
                            "description": "the bank's number of the line, once in a statement",
                        },
                        "value_date": day, "amount_minor": amount,
                        "direction": {
                            "type": ["string", "null"], "enum": ["C", "D", None],
                            "description": "C money in, D money out; then the amount has no sign",
                        },
                        "reference": {"type": ["string", "null"], "maxLength": REFERENCE_LIMIT},
                    },
                }},
                "dry_run": {
                    "type": "boolean", "default": False,
                    "description": "true: say what would come of it, and record nothing",
                },
            },
            "example": {
                "account_id": "1001", "currency_code": "CNY", "first_date": "2026-09-12",
                "last_date": "2026-09-12", "opening_minor": 0, "closing_minor": 19900,
                "lines": [{
                    "line_id": "20260912-000001", "value_date": "2026-09-12",
                    "amount_minor": 19900, "reference": "CLR-unionpay-20260912",
                }],
            },
        },
        "Reconciliation": {**reconciliation, "example": _RECONCILIATION},
        "Reconciliations": {
            "type": "object", "required": ["reconciliations", "next"],
            "properties": {
                "reconciliations": {"type": "array", "items": reconciliation}, "next": nullable,
            },
            "example": {"reconciliations": [_RECONCILIATION], "next": None},
        },
        "ReconciliationRows": {
            "type": "object", "required": ["reconciliation", "rows", "next"],
            "description": "A reconciliation, and a page of its postings and lines with the class "
            "that each ended in",
            "properties": {
                "reconciliation": reconciliation, "rows": {"type": "array", "items": row},
                "next": nullable,
            },
            "example": {
                "reconciliation": _RECONCILIATION, "next": None,
                "rows": [{
                    "row": 1, "item_id": "RC-1001-CNY-20260912-1.1", "class": "matched",
                    "rule": "same_reference", "side": "ledger", "entry": "J000000000001/1",
                    "value_date": "2026-09-12", "amount_minor": 9950,
                    "reference": "CLR-unionpay-20260912",
                }],
            },
        },
        "OpenItems": {
            "type": "object", "required": ["items", "next"],
            "properties": {"items": {"type": "array", "items": item}, "next": nullable},
            "example": {"items": [_ITEM], "next": None},
        },
    }
