"""One example of each answer and body that the routes name, but for commands, whose examples are
made from their templates. A test holds each against its schema."""

from __future__ import annotations

from typing import Any

#: The public key of the example of GM/T 0003.5.
_POINT = (
    "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"
    "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
)
_ACCOUNT = {
    "account_id": "2201:M000001", "account_code": "2201", "account_kind": "liability",
    "books": "reserve", "party_id": "M000001", "currency_code": "CNY", "scale": 2,
    "balance_minor": 9940,
    "held_minor": 0, "available_minor": 9940, "status": "normal", "parent_account_id": None,
}
_RESULT = {
    "idempotency_key": "20260912-pay-T0001", "status": "posted", "replayed": False,
    "journal_id": "J000000000001", "sequence": 42, "booking_date": "2026-09-12",
    "booked_at": "2026-09-12T02:11:12Z",
}
_REFUSED = {
    "idempotency_key": "20260912-pay-T0002", "status": "refused", "replayed": False,
    "reason": "below_floor", "detail": "account 2101:U000001 has 500 minor units available, its "
    "floor is 0",
}
_COMMAND = {
    "type": "top_up", "idempotency_key": "20260912-top-up-1",
    "occurred_at": "2026-09-12T10:11:12+08:00", "top_up_id": "I0001", "user_id": "U000001",
    "amount_minor": 10000, "currency_code": "CNY",
}
_JOURNAL = {
    "journal_id": "J000000000001", "sequence": 42, "journal_type": "top_up",
    "business_key": "I0001", "idempotency_key": "20260912-top-up-1", "actor": "system:switch",
    "booking_date": "2026-09-12", "value_date": "2026-09-12", "booked_at": "2026-09-12T02:11:12Z",
    "content": {"top_up_id": "I0001", "user_id": "U000001", "amount_minor": 10000},
    "chain_digest": "5f" * 32,
    "legs": [
        {"leg_number": 1, "account_id": "1001", "currency_code": "CNY", "direction": "D",
         "amount_minor": 10000, "component": "deposit", "custodian_reference": "I0001"},
        {"leg_number": 2, "account_id": "2101:U000001", "currency_code": "CNY",
         "direction": "C", "amount_minor": 10000, "component": "deposit",
         "custodian_reference": None},
    ],
}
EXAMPLES: dict[str, Any] = {
    "Result": _RESULT,
    "Commands": {"commands": [_COMMAND]},
    "Results": {"results": [_RESULT, _REFUSED]},
    "Accounts": {"accounts": [
        {"account_code": "2201", "party_id": "M000001", "currency_code": "CNY"},
    ]},
    "AccountResults": {"results": [
        {"status": "opened", "account_id": "2201:M000001", "currency_code": "CNY"},
    ]},
    "Balances": {"balances": [_ACCOUNT], "next": None},
    "BalanceAt": {
        "account_id": "2201:M000001", "currency_code": "CNY", "scale": 2,
        "value_date": "2026-09-12", "known_at": "2026-09-12T04:00:00Z", "balance_minor": 9940,
    },
    "Tree": {
        "account_id": "2201:M000001", "currency_code": "CNY", "scale": 2, "accounts": [
            {**_ACCOUNT, "level": 0, "total_debit_minor": -9940, "total_minor": 9940},
        ],
    },
    "Holds": {"next": None, "holds": [{
        "hold_id": "H0001", "kind": "suspicious", "scope": "amount",
        "account_id": "2101:U000001", "currency_code": "CNY", "scale": 2,
        "placed_minor": 500,
        "captured_minor": 0, "released_minor": 0, "left_minor": 500, "case_number": "C-17",
        "placed_on": "2026-09-12", "expires_on": None,
    }]},
    "Pending": {"next": None, "pending": [{
        "sequence": 17, "type": "contract", "maker": "operator:ann",
        "entered_at": "2026-09-12T02:00:00Z", "content": {"contract_id": "C0001"},
        "digest": "5f" * 32,
    }]},
    "SessionOrder": {"key_half": _POINT},
    "SessionOpened": {"session_id": "S-0123456789abcdef01234567", "sealed_key": "3081890221"},
    "Cover": {"last_number": 500, "signature": "30450221"},
    "DayRun": {
        "date": "2026-09-12", "booked": {"settlement": 2}, "amounts": {"settlement": 19880},
        "not_paid": [{
            "account_id": "2201:M000003", "due_minor": 90, "reason": "below_minimum",
        }], "old": [],
    },
    "Instructions": {"files": [{
        "path": "ledger/instructions/2026-09-12/bank_instructions_20260912.sealed", "rows": 3,
        "totals_minor": {"CNY": 30000},
    }]},
    "Anchor": {
        "format": "paylake-ledger-head/2", "name": "hour-2026-09-12T02-42",
        "signed_at": "2026-09-12T02:59:59Z", "key_id": "ledger-1", "chain_sequence": 42,
        "chain_digest": "5f" * 32, "previous_anchor": None,
    },
    "Movements": {
        "account_id": "2101:U000001", "currency_code": "CNY", "scale": 2, "first": "2026-06-12",
        "last": "2026-09-12", "next": None, "movements": [{
            "sequence": 42, "journal_id": "J000000000001", "type": "top_up",
            "time": "2026-09-12T02:11:12Z", "booking_date": "2026-09-12",
            "value_date": "2026-09-12", "number": "I0001", "result_number": None,
            "amount_minor": 10000, "status": "posted", "original": None, "counterparties": [],
        }, {
            "sequence": 43, "journal_id": None, "type": "withdrawal",
            "time": "2026-09-12T03:11:12Z", "booking_date": "2026-09-12",
            "value_date": "2026-09-12", "number": "W0001", "result_number": None,
            "amount_minor": -5025, "status": "under_way", "original": None, "counterparties": [],
        }],
    },
    "LogLine": [
        42, 1, "top_up", 1, "posted", "20260912-top-up-1", "I0001", "system:switch", "",
        "2026-09-12T02:11:12Z", "2026-09-12", "2026-09-12", "{}", "[]", "[]", "", "5f" * 32,
    ],
    "Events": {
        "events": [{
            "key": "42/1", "sequence": 42, "number": 1, "event": "balance_change",
            "at": "2026-09-12T02:11:12Z", "booking_date": "2026-09-12", "operation": "top_up",
        }], "next": "42/1",
    },
    "Journal": _JOURNAL,
    "Journals": {"journals": [_JOURNAL], "next": None},
    "Head": {
        "format": "paylake-ledger-head/2", "booking_date": "2026-09-12",
        "closed_at": "2026-09-12T15:30:00Z", "key_id": "ledger-1", "previous_date": None,
        "previous_head": None, "previous_anchor": None, "chain_sequence": 42,
        "chain_digest": "5f" * 32, "journals": 1, "legs": 2, "accounts": 2, "chart_version": 1,
        "open_holds": 0, "waiting_approvals": 0,
        "sub_ledgers": [{
            "account_code": "2101", "currency_code": "CNY", "accounts": 1,
            "sub_ledger_minor": 10000, "general_ledger_minor": 10000,
        }],
        "statements": {
            "accounts": {"rows": 2, "sm3": "5f" * 32},
            "fees": {"rows": 0, "sm3": "5f" * 32, "charged_minor": {}, "owed_minor": {}},
        },
        "trial_balance": [{
            "account_code": "1001", "currency_code": "CNY", "books": "reserve",
            "opening_minor": 0, "debit_minor": 10000, "credit_minor": 0, "closing_minor": 10000,
        }], "replayed": False,
    },
    "ClockSetting": {"now": "2026-09-12T15:30:00Z"},
    "ExportOrder": {"sent_at": "2026-09-13T01:00:00+08:00", "sequence": 1},
    "Exported": {
        "business_date": "2026-09-12", "sequence": 1,
        "journal_path": "landing/inbox/ledger_journal/2026-09-12/1", "journal_rows": 2,
        "balance_path": "landing/inbox/ledger_balance/2026-09-12/1", "balance_rows": 2,
        "head_path": "landing/inbox/ledger_head/2026-09-12/1", "head_rows": 1,
        "event_path": "landing/inbox/ledger_event/2026-09-12/1", "event_rows": 3,
    },
    "Health": {
        "status": "ok", "simulated": True, "clock": "2026-09-12T15:30:00Z", "last_sequence": 42,
        "last_closed": None,
    },
    "Error": {"error": {
        "reason": "account_not_open", "what": "account 2101:U000009 is not open",
        "next_step": "see docs/explanation/ledger.md for what the reason means",
    }},
    "Forbidden": {"error": {
        "reason": "forbidden", "what": "a caller has not the right to read",
        "next_step": "see docs/explanation/ledger.md for what the reason means",
    }},
    "Command": _COMMAND,
}
