"""Schemas of what is read."""

from __future__ import annotations

from typing import Any

from ledger.service.movement_lines import STATUSES


def ref(name: str) -> dict[str, str]:
    """A reference to a component schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def read_schemas() -> dict[str, Any]:
    """Schemas of the answers to reads, by name."""
    text, whole = {"type": "string"}, {"type": "integer", "format": "int64"}
    nullable = {"type": ["string", "null"]}
    scale = {
        "type": "integer", "minimum": 0,
        "description": "decimals of the currency: amounts are in its units times ten to this",
    }
    return {
        "Balances": {
            "type": "object", "required": ["balances", "next"],
            "properties": {
                "balances": {"type": "array", "items": {
                    "type": "object",
                    "properties": {
                        "account_id": text, "account_code": text, "account_kind": text,
                        "party_id": nullable, "currency_code": text, "scale": scale,
                        "balance_minor": whole,
                        "books": text, "held_minor": whole, "available_minor": whole,
                        "status": text, "parent_account_id": nullable,
                    },
                }},
                "next": nullable,
            },
        },
        "BalanceAt": {
            "type": "object",
            "properties": {
                "account_id": text, "currency_code": text, "scale": scale,
                "value_date": text, "known_at": text,
                "balance_minor": whole,
            },
        },
        "Tree": {
            "type": "object", "required": ["account_id", "currency_code", "scale", "accounts"],
            "description": "An account and all below it, flat: the account first, at level 0, "
            "each other one behind its parent. `total_minor` is the account's own balance and "
            "the totals of its children",
            "properties": {
                "account_id": text, "currency_code": text, "scale": whole,
                "accounts": {"type": "array", "items": {
                    "type": "object",
                    "required": ["account_id", "parent_account_id", "level", "total_minor"],
                    "properties": {
                        "account_id": text, "account_code": text, "account_kind": text,
                        "books": text, "party_id": nullable, "currency_code": text,
                        "balance_minor": whole, "held_minor": whole, "available_minor": whole,
                        "status": text, "parent_account_id": nullable,
                        "level": {"type": "integer", "minimum": 0},
                        "total_debit_minor": whole, "total_minor": whole,
                    },
                }},
            },
        },
        "Holds": {
            "type": "object", "required": ["holds", "next"],
            "properties": {"next": nullable, "holds": {"type": "array", "items": {
                "type": "object",
                "properties": {
                    "hold_id": text, "kind": text, "scope": text, "account_id": text,
                    "currency_code": text, "scale": scale,
                    "placed_minor": whole, "captured_minor": whole,
                    "released_minor": whole, "left_minor": whole, "case_number": text,
                    "placed_on": text, "expires_on": nullable,
                },
            }}},
        },
        "Positions": {
            "type": "object", "required": ["positions", "next"],
            "properties": {"next": nullable, "positions": {"type": "array", "items": {
                "type": "object",
                "required": [
                    "currency_code", "scale", "sold_minor", "bought_currency_code",
                    "bought_scale", "bought_minor",
                ],
                "properties": {
                    "currency_code": text, "scale": scale, "sold_minor": whole,
                    "bought_currency_code": text, "bought_scale": scale, "bought_minor": whole,
                },
            }}},
            "example": {"next": None, "positions": [{
                "currency_code": "USD", "scale": 2, "sold_minor": 10000,
                "bought_currency_code": "CNY", "bought_scale": 2, "bought_minor": 71000,
            }]},
        },
        "Pending": {
            "type": "object", "required": ["pending", "next"],
            "properties": {
                "pending": {"type": "array", "items": {
                    "type": "object",
                    "properties": {
                        "sequence": whole, "type": text, "maker": text, "entered_at": text,
                        "content": {"type": "object"}, "digest": text,
                    },
                }},
                "next": {"type": ["integer", "null"]},
            },
        },
        "Destination": {
            "type": "object", "required": ["destination_id", "party_id", "bank_code"],
            "properties": {
                "destination_id": text, "party_id": text, "bank_code": text,
                "bound_account": text, "bound_name": text,
            },
            "example": {
                "destination_id": "D000001", "party_id": "M000001", "bank_code": "ICBC",
                "bound_account": "6222020000000000000", "bound_name": "as on the account",
            },
        },
        "PendingValues": {
            "type": "object", "required": ["sequence", "type", "values"],
            "properties": {
                "sequence": whole, "type": text,
                "values": {"type": "object", "additionalProperties": {
                    "oneOf": [text, {"type": "object", "additionalProperties": text}],
                }},
            },
            "example": {
                "sequence": 17, "type": "destination",
                "values": {"bound_account": "6222020000000000000"},
            },
        },
        "Movements": {
            "type": "object", "required": ["movements", "next"],
            "description": "Movements of an account, and orders (withdrawals, purchases) that are "
            "under way or failed; one that succeeded is the movement that its result booked. Found "
            "by its own number or the result's, and by `type` as the business (`withdrawal`), the "
            "order or the result (rule D1.14)",
            "properties": {
                "account_id": text, "currency_code": text, "scale": scale,
                "first": text, "last": text,
                "movements": {"type": "array", "items": {
                    "type": "object",
                    "properties": {
                        "sequence": whole, "type": text, "time": text,
                        "journal_id": {
                            **nullable, "description": "null: nothing moved, or not yet. The "
                            "lines with a journal add up to the balance",
                        },
                        "booking_date": text, "value_date": text,
                        "number": {
                            **nullable, "description": "the customer's own: of a withdrawal or "
                            "another order that of the order, whatever became of it",
                        },
                        "result_number": {
                            **nullable, "description": "of the answer to an order",
                        },
                        "amount_minor": {
                            "type": ["integer", "null"], "format": "int64",
                            "description": "of an order under way or failed what it holds, or "
                            "held; null: nobody knows it yet (a redemption)",
                        },
                        "status": {"type": "string", "enum": list(STATUSES)},
                        "original": nullable,
                        "counterparties": {"type": "array", "items": text},
                    },
                }},
                "next": {"type": ["integer", "null"]},
            },
        },
        "Journal": {
            "type": "object",
            "properties": {
                "journal_id": text, "sequence": whole, "journal_type": text,
                "business_key": nullable, "idempotency_key": nullable, "actor": text,
                "booking_date": text, "value_date": text, "booked_at": text,
                "content": {"type": "object"}, "chain_digest": text,
                "legs": {"type": "array", "items": {
                    "type": "object",
                    "properties": {
                        "leg_number": whole, "account_id": text, "currency_code": text,
                        "direction": text,
                        "amount_minor": whole, "component": text,
                        "custodian_reference": nullable,
                    },
                }},
            },
        },
        "Journals": {
            "type": "object", "required": ["journals", "next"],
            "properties": {
                "journals": {"type": "array", "items": ref("Journal")}, "next": nullable,
            },
        },
        "DayStatement": {
            "type": "object", "required": ["party_id", "booking_date", "accounts", "fees"],
            "properties": {
                "party_id": text, "booking_date": {"type": "string", "format": "date"},
                "accounts": {"type": "array", "items": {
                    "type": "object",
                    "properties": {
                        "account_id": text, "currency_code": text, "scale": scale,
                        "opening_minor": whole,
                        "debit_minor": whole, "credit_minor": whole, "closing_minor": whole,
                    },
                }},
                "fees": {"type": "array", "items": {
                    "type": "object",
                    "properties": {
                        "merchant_id": text, "currency_code": text, "scale": scale,
                        "account_code": text,
                        "item": text, "charges": whole, "charged_minor": whole,
                        "paid_minor": whole,
                    },
                }},
            },
            "example": {
                "party_id": "M000001", "booking_date": "2026-09-12",
                "accounts": [{
                    "account_id": "1205:M000001", "currency_code": "CNY", "scale": 2,
                    "opening_minor": 0,
                    "debit_minor": 150, "credit_minor": 0, "closing_minor": 150,
                }],
                "fees": [{
                    "merchant_id": "M000001", "currency_code": "CNY", "scale": 2,
                    "account_code": "1205",
                    "item": "data_fee", "charges": 3, "charged_minor": 150, "paid_minor": 0,
                }],
            },
        },
        "StatementFiles": {
            "type": "object", "required": ["files"],
            "properties": {"files": {"type": "array", "items": {
                "type": "object", "required": ["path", "rows"],
                "properties": {"path": text, "rows": whole},
            }}},
            "example": {"files": [{
                "path": "ledger/statements/2026-09-12/accounts_20260912.csv", "rows": 1200,
            }]},
        },
        "LogLine": {"description": "One entry of the log a line, as a JSON array"},
        "Standing": {
            "type": "object", "required": ["account_id", "shows"],
            "description": "What an account's owner is shown (rule D1.7)",
            "properties": {
                "account_id": text, "account_code": text, "account_kind": text, "books": text,
                "party_id": nullable, "currency_code": text, "scale": scale, "balance_minor": whole,
                "held_minor": whole, "available_minor": whole, "frozen_minor": whole,
                "status": text, "parent_account_id": nullable,
                "shows": {"type": "string", "enum": ["normal", "frozen", "abnormal"]},
                "party_state": nullable, "grade": nullable,
                "destinations": {"type": "array", "items": text},
            },
            "example": {
                "account_id": "2101:U000001", "account_code": "2101",
                "account_kind": "liability", "books": "reserve",
                "party_id": "U000001", "currency_code": "CNY", "scale": 2, "balance_minor": 10000,
                "held_minor": 500, "available_minor": 9500, "frozen_minor": 500,
                "status": "normal", "parent_account_id": None, "shows": "frozen",
                "party_state": "active", "grade": "standard", "destinations": ["D000001"],
            },
        },
        "Steps": {
            "type": "object", "required": ["idempotency_key", "status", "steps"],
            "description": "The five steps of a command, as far as it came (rules D2.3 to D2.7), "
            "with the decision on what waited and what was done to it later; `next` is null where "
            "it ends. Whoever asks is the last step",
            "properties": {
                "idempotency_key": text, "type": text,
                "status": {
                    "type": "string", "enum": ["posted", "pending", "refused", "rejected"],
                },
                "amount_minor": {"type": ["integer", "null"], "format": "int64"},
                "currency_code": nullable,
                "steps": {"type": "array", "items": {
                    "type": "object", "required": ["step", "time", "actor", "result", "next"],
                    "properties": {
                        "step": {
                            "type": "string",
                            "enum": ["initiate", "verify", "process", "notify", "query"],
                        },
                        "time": text, "actor": text, "result": text, "next": nullable,
                    },
                }},
            },
            "example": {
                "idempotency_key": "20260912-pay-T0001", "type": "payment",
                "status": "posted", "amount_minor": 10000, "currency_code": "CNY",
                "steps": [{
                    "step": "initiate", "time": "2026-09-12T02:11:12Z",
                    "actor": "caller:C1", "result": "accepted", "next": "verify",
                }],
            },
        },
        "Deadlines": {
            "type": "object", "required": ["date", "deadlines", "next"],
            "description": "What is open, by the day it is due; overdue from the day after "
            "(rules D0.26, D1.12, D1.17)",
            "properties": {
                "date": {"type": "string", "format": "date"}, "next": nullable,
                "deadlines": {"type": "array", "items": {
                    "type": "object", "required": ["kind", "number", "due_on", "overdue"],
                    "properties": {
                        "kind": {
                            "type": "string",
                            "enum": ["withdrawal", "order", "denied_payment", "refund_review",
                                     "contract_fee", "bill"],
                        },
                        "number": nullable, "due_on": text, "latest_on": text,
                        "overdue": {"type": "boolean"},
                    },
                }},
            },
            "example": {
                "date": "2026-09-14", "next": None,
                "deadlines": [{
                    "kind": "withdrawal", "number": "W0001", "due_on": "2026-09-14",
                    "latest_on": "2026-09-16", "overdue": False,
                }],
            },
        },
    }
