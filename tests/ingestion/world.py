"""Deliveries of every feed, written as senders write them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

from ingestion.feeds import Feed
from ingestion.writers import suffix, write
from paylake.currencies import MINOR_DIGITS
from paylake.deliveries import DeliveryFile, write_delivery
from paylake.settings import Settings
from tests.ingestion import heads

DAY = date(2026, 9, 12)
SENDER = {
    "transaction": "switch-1",
    "ledger_journal": "ledger-1",
    "ledger_balance": "ledger-1",
    "ledger_head": "ledger-1",
    "ledger_event": "ledger-1",
    "merchant": "registry-1",
    "terminal": "registry-1",
    "custodian_statement": "custodian-1",
}


def transaction(number: int, day: date = DAY, **changes: str | None) -> dict[str, str | None]:
    row: dict[str, str | None] = {
        "transaction_id": f"T{day:%Y%m%d}{number:06d}",
        "transaction_type": "payment",
        "original_transaction_id": None,
        "merchant_id": f"M{number % 7:06d}",
        "terminal_id": f"K{number % 11:06d}",
        "card_number": f"62220212345{number % 5:05d}",
        "cvn2": "123",
        "payer_account_id": None,
        "payment_way": "bank_card",
        "funding": "debit",
        "channel": "unionpay",
        "amount": f"{number}.10",
        "currency_code": "CNY",
        "status": "success",
        "response_code": "00",
        "event_at": f"{day} 10:11:{number % 60:02d}",
        "entry_mode": "chip",
        "goods_description": "早餐\n豆浆, \"热\"" if number % 3 == 0 else "纸巾",
    }
    return row | changes


def leg(number: int, day: date = DAY, **changes: str | None) -> dict[str, str | None]:
    row: dict[str, str | None] = {
        "journal_id": f"J{day:%Y%m%d}{number:06d}",
        "leg_number": "1",
        "journal_type": "payment",
        "business_key": f"T{day:%Y%m%d}{number:06d}",
        "account_id": "1001",
        "account_code": "1001",
        "party_id": None,
        "direction": "D",
        "amount_minor": str(number * 100),
        "currency_code": "CNY",
        "component": "clearing",
        "booking_date": str(day),
        "booked_at": f"{day}T02:11:05+00:00",
        "custodian_reference": f"CLR-unionpay-{day:%Y%m%d}",
        "chain_sequence": str(number),
        "chain_digest": "ab" * 32,
    }
    return row | changes


def balance(number: int, day: date = DAY, **changes: str | None) -> dict[str, str | None]:
    row: dict[str, str | None] = {
        "account_id": f"2201:M{number:06d}",
        "account_code": "2201",
        "account_kind": "liability",
        "party_id": f"M{number:06d}",
        "currency_code": "CNY",
        "opening_minor": "0",
        "debit_minor": "0",
        "credit_minor": "150",
        "closing_minor": "150",
    }
    return row | changes


def event(number: int, day: date = DAY, **changes: str | None) -> dict[str, str | None]:
    sequence = (day - DAY).days * 1000 + number
    row: dict[str, str | None] = dict.fromkeys(Feed.load("ledger_event").names) | {
        "event_key": f"{sequence}/1",
        "entry_sequence": str(sequence),
        "event_number": "1",
        "booked_at": f"{day}T02:11:05Z",
        "booking_date": str(day),
        "operation": "payment",
        "event_type": "result",
        "outcome": "posted",
        "business_key": f"T{day:%Y%m%d}{number:06d}",
        "told_role": "merchant",
        "party_id": f"M{number:06d}",
    }
    return row | changes


def merchant(number: int, day: date = DAY, **changes: str | None) -> dict[str, str | None]:
    row: dict[str, str | None] = {
        "merchant_id": f"M{number:06d}",
        "merchant_name": f"早点铺{number}",
        "merchant_type": "micro",
        "mcc": "5812",
        "region_code": "330000",
        "address": f"浙江省杭州市西湖区文三路{number}号",
        "legal_representative": "张三丰",
        "document_number": f"33010119800101{number:04d}",
        "phone": f"1380000{number:04d}",
        "settlement_account": f"62170000123456{number:04d}",
        "settlement_bank": "工商银行",
        "settlement_mode": "institution_managed",
        "settlement_cycle": "T+1",
        "minimum_payout": "10.00",
        "parent_platform_id": None,
        "fee_class": "STD",
        "status": "active",
        "opened_date": "2024-02-29",
    }
    return row | changes


def terminal(number: int, day: date = DAY, **changes: str | None) -> dict[str, str | None]:
    row: dict[str, str | None] = {
        "terminal_id": f"K{number:06d}",
        "serial_number": f"SN{number:08d}",
        "merchant_id": f"M{number % 7:06d}",
        "terminal_type": "pos",
        "place": f"浙江省杭州市西湖区文三路{number}号",
        "region_code": "330000",
        "key_version": "1",
        "status": "active",
        "installed_date": "2025-01-31",
    }
    return row | changes


def entry(number: int, day: date = DAY, **changes: str | None) -> dict[str, str | None]:
    row: dict[str, str | None] = {
        "entry_id": f"B{day:%Y%m%d}{number:08d}",
        "entry_type": "MOVEMENT",
        "reference": f"CLR-unionpay-{day:%Y%m%d}",
        "direction": "C",
        "amount": f"{number}.25",
        "currency_code": "CNY",
        "booked_at": f"{day} 09:00:00",
        "counterparty_account": "62170000123456789",
        "summary": "银联清算款入账",
    }
    return row | changes


#: Feeds whose rows anybody can make; those of `ledger_head` are signed one by one (heads.py).
MAKERS = {
    "transaction": transaction,
    "ledger_journal": leg,
    "ledger_balance": balance,
    "ledger_event": event,
    "merchant": merchant,
    "terminal": terminal,
    "custodian_statement": entry,
}


def totals(feed: Feed, rows: list[dict[str, str | None]]) -> dict[str, Decimal]:
    """Control totals of rows whose amounts are readable."""
    found: dict[str, Decimal] = {}
    if feed.amount_column is None:
        return found
    for row in rows:
        text, currency = row[feed.amount_column], row["currency_code"]
        try:
            value = Decimal(text or "")
            if feed.is_in_minor_units:
                value = value.scaleb(-MINOR_DIGITS.get(currency or "", 2))
        except ArithmeticError:
            continue
        found[currency or ""] = found.get(currency or "", Decimal(0)) + value
    return {
        c: t.quantize(Decimal(1).scaleb(-MINOR_DIGITS.get(c, 2))) for c, t in found.items() if c
    }


def send(
    settings: Settings,
    name: str,
    rows: list[dict[str, str | None]] | None = None,
    *,
    day: date = DAY,
    sequence: int = 1,
    content: bytes | None = None,
    count: int | None = None,
    amount_totals: dict[str, Decimal] | None = None,
    key_id: str | None = None,
    signing_key: str | None = None,
    supersedes: int | None = None,
    sent_at: datetime | None = None,
) -> Path:
    """Send one delivery of a feed into the inbox."""
    feed = Feed.load(name)
    if rows is None:
        rows = [MAKERS[name](n, day) for n in range(1, 9)]
    return write_delivery(
        settings,
        name,
        day,
        sequence,
        [
            DeliveryFile(
                f"{name}_{day:%Y%m%d}.{suffix(feed)}",
                write(feed, rows) if content is None else content,
                len(rows) if count is None else count,
            )
        ],
        sent_at or datetime(day.year, day.month, day.day, 17, tzinfo=UTC),
        key_id or SENDER[name],
        totals(feed, rows) if amount_totals is None else amount_totals,
        supersedes,
        signing_key=signing_key,
    )


def send_all(settings: Settings, day: date = DAY) -> None:
    """A whole business date: every feed."""
    for name in MAKERS:
        send(settings, name, day=day)
    send(settings, "ledger_head", [heads.head(settings, 1, day)], day=day)
