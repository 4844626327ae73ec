"""Feeds of switch, registry and custodian as their senders would write them: data files only.

Everything is made from the world, never from the ledger's answers. Layouts: design.md, section 3.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from simulator import reference as ref
from simulator.books import refund_origin
from simulator.population import Population
from simulator.records import Day, Movement, State
from simulator.shape import CUTOFF_HOUR
from simulator.trade import Attempts, transaction_ids

CURRENCY = "CNY"
TRANSACTION_COLUMNS = (
    "transaction_id", "transaction_type", "original_transaction_id", "merchant_id", "terminal_id",
    "card_number", "cvn2", "payer_account_id", "payment_way", "funding", "channel", "amount",
    "currency_code", "status", "response_code", "event_at", "entry_mode", "goods_description",
)
MERCHANT_COLUMNS = (
    "merchant_id", "merchant_name", "merchant_type", "mcc", "region_code", "address",
    "legal_representative", "document_number", "phone", "settlement_account", "settlement_bank",
    "settlement_mode", "settlement_cycle", "minimum_payout", "parent_platform_id", "fee_class",
    "status", "opened_date",
)
STATEMENT_WIDTHS = (24, 10, 32, 1, 18, 3, 19, 24, 40)
_ONLINE = ref.ENTRY_MODES.index("online")
_SUMMARIES = {
    "clearing": "收单清算款", "settlement": "商户结算款", "top_up": "支付账户充值",
    "withdrawal": "支付账户提现", "unknown": "来账待确认",
}


def yuan(minor: int) -> str:
    """Minor units as yuan with two decimals."""
    sign, whole = ("-" if minor < 0 else ""), abs(minor)
    return f"{sign}{whole // 100}.{whole % 100:02d}"


def total(minor: int) -> dict[str, Decimal]:
    """Control total of a feed in yuan."""
    return {CURRENCY: Decimal(minor).scaleb(-2)}


def moment(day: date, second: int) -> datetime:
    """Local wall clock of a second of a business date."""
    begin = datetime.combine(day - timedelta(days=1), datetime.min.time())
    return begin + timedelta(hours=CUTOFF_HOUR, seconds=int(second))


def _yuan_column(minor: np.ndarray) -> pa.Array:
    values = pa.array(minor, pa.int64())
    whole = pc.cast(pc.divide(values, 100), pa.string())
    cents = pc.cast(pa.array(minor % 100, pa.int64()), pa.string())
    return pc.binary_join_element_wise(whole, pc.utf8_lpad(cents, 2, "0"), ".")


def _named(names: Sequence[str], index: np.ndarray) -> pa.Array:
    """Texts by index, "" where the index is -1."""
    table = pa.array([*names, ""])
    position = np.where(index < 0, len(names), index)
    return table.take(pa.array(position))


def _texts(values: np.ndarray, index: np.ndarray) -> pa.Array:
    """As :func:`_named`, for a long array of texts."""
    found = pa.array(values[np.maximum(index, 0)])
    return pc.if_else(pa.array(index >= 0), found, "")


def _moments(day: date, second: np.ndarray) -> pa.Array:
    begin = np.datetime64(day - timedelta(days=1), "s") + np.timedelta64(CUTOFF_HOUR, "h")
    stamps = pa.array((begin + second.astype("timedelta64[s]")).astype("datetime64[s]"))
    return pc.strftime(stamps, "%Y-%m-%d %H:%M:%S")


def _cvn2(card: np.ndarray, entry_mode: np.ndarray) -> pa.Array:
    """Verification numbers: only card-not-present payments carry one."""
    digits = pc.utf8_lpad(pc.cast(pa.array((card * 7919 + 131) % 1000), pa.string()), 3, "0")
    return pc.if_else(pa.array((entry_mode == _ONLINE) & (card >= 0)), digits, "")


def _payment_table(people: Population, made: Attempts) -> pa.Table:
    n = len(made)
    merchant_ids = [m.merchant_id for m in people.merchants]
    terminal_ids = [t.terminal_id for t in people.terminals]
    ok = made.ok
    return pa.table({
        "transaction_id": pa.array(made.ids()),
        "transaction_type": pa.array(["payment"]).take(pa.array(np.zeros(n, np.int64))),
        "original_transaction_id": pa.array([""]).take(pa.array(np.zeros(n, np.int64))),
        "merchant_id": _named(merchant_ids, made.merchant),
        "terminal_id": _named(terminal_ids, made.terminal),
        "card_number": _texts(people.card_numbers, made.card),
        "cvn2": _cvn2(made.card, made.entry_mode),
        "payer_account_id": _texts(people.user_ids(np.arange(people.users)), made.user),
        "payment_way": _named(ref.WAYS, made.way),
        "funding": _named(ref.FUNDINGS, made.funding),
        "channel": _named(ref.CHANNELS, made.channel),
        "amount": _yuan_column(made.amount),
        "currency_code": pa.array([CURRENCY]).take(pa.array(np.zeros(n, np.int64))),
        "status": _named(("failed", "success"), ok.astype(np.int64)),
        "response_code": _named(ref.RESPONSE_CODES, made.response),
        "event_at": _moments(made.day, made.second - made.late_days * 86_400),
        "entry_mode": _named(ref.ENTRY_MODES, made.entry_mode),
        "goods_description": _named(ref.GOODS, made.goods),
    })


def _refund_table(people: Population, day: Day, made: dict[date, Attempts]) -> pa.Table:
    refunds = day.refunds
    origin = refund_origin(refunds.plan, made)
    n = len(refunds.plan.index)
    accepted = refunds.accepted.astype(np.int64)
    none = np.full(n, -1, np.int64)
    return pa.table({
        "transaction_id": pa.array(refunds.ids, pa.string()),
        "transaction_type": pa.array(["refund"] * n, pa.string()),
        "original_transaction_id": pa.array(refunds.origin_ids, pa.string()),
        "merchant_id": _named([m.merchant_id for m in people.merchants], origin["merchant"]),
        "terminal_id": _named([t.terminal_id for t in people.terminals], origin["terminal"]),
        "card_number": _texts(people.card_numbers, origin["card"]),
        "cvn2": _named((), none),
        "payer_account_id": _texts(people.user_ids(np.arange(people.users)), origin["user"]),
        "payment_way": _named(ref.WAYS, origin["way"]),
        "funding": _named(ref.FUNDINGS, origin["funding"]),
        "channel": _named(ref.CHANNELS, origin["channel"]),
        "amount": _yuan_column(refunds.plan.amount),
        "currency_code": pa.array([CURRENCY] * n, pa.string()),
        "status": _named(("failed", "success"), accepted),
        "response_code": _named(("51", "00"), accepted),
        "event_at": _moments(day.day, refunds.plan.second),
        "entry_mode": _named(ref.ENTRY_MODES, origin["entry_mode"]),
        "goods_description": pa.array(["退款"] * n, pa.string()),
    })


def _dispute_table(people: Population, day: Day, made: dict[date, Attempts]) -> pa.Table:
    dispute = day.dispute
    assert dispute is not None
    origin, row = made[dispute.origin_day], np.array([dispute.origin_index])
    table = _payment_table(people, Attempts(
        day=day.day, **{k: v[row] for k, v in vars(origin).items() if k != "day"}
    ))
    changed = {
        "transaction_id": dispute.transaction_id,
        "transaction_type": "dispute",
        "original_transaction_id": str(transaction_ids("P", dispute.origin_day, row)[0]),
        "cvn2": "",
        "event_at": moment(day.day, dispute.second).strftime("%Y-%m-%d %H:%M:%S"),
        "goods_description": "持卡人争议",
    }
    for name, value in changed.items():
        table = table.set_column(table.column_names.index(name), name, pa.array([value]))
    return table


def transaction_table(people: Population, day: Day, made: dict[date, Attempts]) -> pa.Table:
    """All rows of the switch on a date, as text: payments in order of time, refunds, disputes."""
    tables = [_payment_table(people, day.attempts)]
    if len(day.refunds.plan.index):
        tables.append(_refund_table(people, day, made))
    if day.dispute is not None:
        tables.append(_dispute_table(people, day, made))
    table = pa.concat_tables(tables).combine_chunks()
    assert tuple(table.column_names) == TRANSACTION_COLUMNS
    return table


def csv_lines(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[str, list[str]]:
    """Header and rows as CSV texts, each with its line end (a row may hold line breaks)."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    found: list[str] = []
    for row in (columns, *rows):
        writer.writerow(row)
        found.append(buffer.getvalue())
        buffer.seek(0)
        buffer.truncate()
    return found[0], found[1:]


def rows_of(table: pa.Table) -> list[list[str]]:
    """A table of texts as rows that may be changed."""
    return [list(row) for row in zip(*(c.to_pylist() for c in table.columns), strict=True)]


def merchant_file(people: Population, day: date) -> tuple[bytes, int]:
    """The merchant register of a date (CSV, UTF-8) and its row count."""
    rows = [
        [
            m.merchant_id, m.name, m.merchant_type, m.mcc, m.region_code, m.address,
            m.legal_representative, m.document_number, m.phone, m.settlement_account,
            m.settlement_bank, m.settlement_mode, m.settlement_cycle, yuan(m.minimum_payout),
            m.parent_platform_id, m.fee_class, m.status, m.opened.isoformat(),
        ]
        for m in people.merchants_as_of(day) if m is not None
    ]
    header, lines = csv_lines(MERCHANT_COLUMNS, rows)
    return (header + "".join(lines)).encode(), len(rows)


def terminal_file(people: Population, day: date) -> tuple[bytes, int]:
    """The terminal register of a date (Parquet) and its row count."""
    listed = [t for t in people.terminals_as_of(day) if t is not None]
    table = pa.table({
        "terminal_id": [t.terminal_id for t in listed],
        "serial_number": [t.serial_number for t in listed],
        "merchant_id": [t.merchant_id for t in listed],
        "terminal_type": [t.terminal_type for t in listed],
        "place": [t.place for t in listed],
        "region_code": [t.region_code for t in listed],
        "key_version": pa.array([t.key_version for t in listed], pa.int32()),
        "status": [t.status for t in listed],
        "installed_date": pa.array([t.installed for t in listed], pa.date32()),
    })
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue(), len(listed)


def _fixed(values: Sequence[str]) -> bytes:
    """One line of the statement; widths are bytes of GB18030, the amount right-aligned."""
    fields = []
    for position, (value, width) in enumerate(zip(values, STATEMENT_WIDTHS, strict=True)):
        raw = value.encode("gb18030")
        assert len(raw) <= width, f"{value!r} is wider than {width} bytes"
        fields.append(raw.rjust(width) if position == 4 else raw.ljust(width))
    return b"".join(fields) + b"\n"


def custodian_file(
    people: Population, day: date, movements: Sequence[Movement], opening: State, closing: State
) -> tuple[bytes, int, int]:
    """The custodian's statement of a date.

    :returns: the file (fixed width, GB18030), its row count, the sum of its amounts (minor units,
        opening and closing lines included).
    """
    listed = people.merchants_as_of(day)
    lines, summed = [], 0

    def line(entry_type: str, reference: str, amount: int, second: int, account: str,
             summary: str) -> None:
        nonlocal summed
        summed += abs(amount)
        lines.append(_fixed((
            f"CB{day:%Y%m%d}{len(lines) + 1:08d}", entry_type, reference,
            "C" if amount >= 0 else "D", yuan(abs(amount)), CURRENCY,
            moment(day, second).strftime("%Y-%m-%d %H:%M:%S"), account, summary,
        )))

    line("OPENING", "", opening.custodian, 0, "", "期初余额")
    for entry in movements:
        merchant = listed[entry.merchant] if entry.merchant >= 0 else None
        line("MOVEMENT", entry.reference, entry.amount, entry.second,
             merchant.settlement_account if merchant else "", _SUMMARIES[entry.kind])
    line("CLOSING", "", closing.custodian, 86_399, "", "期末余额")
    return b"".join(lines), len(lines), summed
