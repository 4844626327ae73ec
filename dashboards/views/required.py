"""What the dashboards read: gold tables and ``ops`` tables, column by column.

The asset linter holds this list against the dbt models and contracts, so that a column that is
renamed or dropped there fails a test here and not a screen.
"""

from __future__ import annotations

from functools import lru_cache

from paylake import contracts

MONEY, TEXT, COUNT, RATE, DAY = "decimal(18,4)", "varchar", "bigint", "double", "date"

_COMPARED = {
    "payment_amount": MONEY,
    "payment_count": COUNT,
    "success_rate": RATE,
    "fee_income_amount": MONEY,
    "active_merchant_count": COUNT,
}
_SLICE = {
    "currency_code": TEXT,
    "payment_amount": MONEY,
    "payment_count": COUNT,
    "success_rate": RATE,
    "share_rate": RATE,
    "same_weekday_payment_amount": MONEY,
}

GOLD: dict[str, dict[str, str]] = {
    "mart_kpi__institution_day": {
        "business_date": DAY,
        "currency_code": TEXT,
        **_COMPARED,
        "attempt_count": COUNT,
        "refund_amount": MONEY,
        "refund_count": COUNT,
        "active_terminal_count": COUNT,
        **{f"same_weekday_{name}": kind for name, kind in _COMPARED.items()},
        **{f"median_30d_{name}": RATE for name in _COMPARED},
        "reserve_unexplained_amount": MONEY,
    },
    "mart_kpi__region_day": {
        "business_date": DAY,
        "region_code": TEXT,
        "region_name_zh": TEXT,
        "region_name_en": TEXT,
        **_SLICE,
    },
    "mart_kpi__mcc_day": {
        "business_date": DAY,
        "mcc": TEXT,
        "mcc_name_zh": TEXT,
        "mcc_name_en": TEXT,
        **_SLICE,
    },
    "mart_kpi__payment_way_day": {
        "business_date": DAY,
        "payment_way": TEXT,
        "funding": TEXT,
        **_SLICE,
    },
    "mart_settlement__merchant_day": {
        "business_date": DAY,
        "merchant_id": TEXT,
        "merchant_name": TEXT,
        "merchant_type": TEXT,
        "mcc": TEXT,
        "region_code": TEXT,
        "settlement_cycle": TEXT,
        "fee_class": TEXT,
        "minimum_payout_amount": MONEY,
        "currency_code": TEXT,
        "payment_count": COUNT,
        "gross_amount": MONEY,
        "refund_count": COUNT,
        "refund_amount": MONEY,
        "issuer_fee_amount": MONEY,
        "network_fee_amount": MONEY,
        "acquirer_fee_amount": MONEY,
        "service_fee_amount": MONEY,
        "disputed_amount": MONEY,
        "adjustment_amount": MONEY,
        "net_amount": MONEY,
        "opening_pending_amount": MONEY,
        "payout_amount": MONEY,
        "closing_pending_amount": MONEY,
        "closing_disputed_amount": MONEY,
        "due_date": DAY,
        "settlement_status": TEXT,
    },
    "mart_settlement__reserve_fund_day": {
        "business_date": DAY,
        "currency_code": TEXT,
        "book_amount": MONEY,
        "custodian_amount": MONEY,
        "difference_amount": MONEY,
        "unarrived_amount": MONEY,
        "unexplained_amount": MONEY,
        "item_count": COUNT,
        "largest_age_days": COUNT,
    },
    "mart_settlement__reserve_fund_item": {
        "business_date": DAY,
        "reference": TEXT,
        "side": TEXT,
        "cause": TEXT,
        "amount": MONEY,
        "currency_code": TEXT,
        "first_date": DAY,
        "age_days": COUNT,
    },
}

# Written into every serving file beside the gold tables: which release the file is.
RELEASE: dict[str, dict[str, str]] = {
    "release": {"release_id": TEXT, "sequence": COUNT, "through": DAY},
}

OPS_TABLES = ("delivery", "run_step", "gate_result", "open_item", "release", "waiver", "alarm")

# Refused rows of every quarantine table, without the sealed line.
QUARANTINE: dict[str, dict[str, str]] = {
    "quarantine_row": {
        "table_name": TEXT,
        "business_date": DAY,
        "rule_code": TEXT,
        "rule_detail": TEXT,
        "record_key": TEXT,
        "merchant_id": TEXT,
        "amount": MONEY,
        "_delivery_id": TEXT,
        "_file_name": TEXT,
        "_line_number": "integer",
    },
}


@lru_cache(maxsize=1)
def ops() -> dict[str, dict[str, str]]:
    """The ``ops`` tables that screens read, with the types of their contracts."""
    tables = {name: dict(contracts.load(f"ops.{name}").stored_columns) for name in OPS_TABLES}
    return {**tables, **QUARANTINE}


def empty(columns: dict[str, str]) -> str:
    """A relation with these columns and no row: stands for a table that does not exist yet."""
    typed = ", ".join(f'cast(null as {kind}) as "{name}"' for name, kind in columns.items())
    return f"select {typed} where false"
