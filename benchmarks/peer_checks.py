"""The peer's checks: value rules of a feed, and what must hold among the day's tables."""

from __future__ import annotations

import duckdb

from paylake.contracts import Contract
from paylake.errors import PermanentFailure


def values(db: duckdb.DuckDBPyConnection, contract: Contract, table: str, typed: bool) -> None:
    """Count rows that break a rule of the contract; none may.

    :param typed: the reader converted numbers and dates already and refuses what it cannot.
    """
    rules: list[tuple[str, str]] = []
    for column in contract.columns:
        name, kind = column.name, column.type
        if column.classification == "C3":
            continue
        if column.required:
            rules.append((f"{name} missing", f"{name} is null"))
        if column.max_length is not None:
            rules.append((f"{name} too long", f"length({name}) > {column.max_length}"))
        if column.valid_values:
            known = ", ".join(f"'{value}'" for value in column.valid_values)
            rules.append((f"{name} unknown", f"{name} not in ({known})"))
        if typed:
            if column.options.get("minimum") is not None:
                rules.append((f"{name} small", f"{name} < {column.options['minimum']}"))
        elif kind.startswith("decimal"):
            scale = column.properties["scale"]
            sign = "-?" if column.options.get("minimum") is None else ""
            pattern = rf"{sign}[0-9]{{1,14}}(\.[0-9]{{1,{scale}}})?"
            rules.append((f"{name} no amount", f"not regexp_full_match({name}, '{pattern}')"))
        elif kind in ("int", "bigint"):
            rules.append((f"{name} no number", f"try_cast({name} as bigint) is null"))
        elif kind == "date":
            rules.append((f"{name} no date", f"try_cast({name} as date) is null"))
        elif kind == "timestamp":
            rules.append((f"{name} no time", f"try_cast({name} as timestamp) is null"))
    counted = ", ".join(f"count(*) filter (where {rule})" for _, rule in rules)
    found = db.sql(f"select {counted} from {table}").fetchone() or ()
    broken = [f"{name}: {n}" for (name, _), n in zip(rules, found, strict=True) if n]
    if broken:
        raise PermanentFailure(f"{table} breaks its contract: {broken}", "Ask the sender.")
    key = ", ".join(contract.key)
    if db.sql(f"select 1 from {table} group by {key} having count(*) > 1 limit 1").fetchone():
        raise PermanentFailure(f"{table} repeats a key", "Ask the sender.")


def tables(db: duckdb.DuckDBPyConnection, checks: dict[str, str]) -> None:
    """Run checks: each is a query that must return nothing."""
    for name, sql in checks.items():
        row = db.sql(f"{sql} limit 1").fetchone()
        if row is not None:
            raise PermanentFailure(f"Check {name} fails: {row}", "Read the query.")


def _unique(table: str, columns: str) -> str:
    return f"select {columns} from {table} group by {columns} having count(*) > 1"


def _same_sums(table: str, columns: tuple[str, ...]) -> str:
    """A table adds up to the institution's day."""
    mine = ", ".join(f"sum({c}) as {c}" for c in columns)
    whole = ", ".join(f"sum({c}) as {c}" for c in columns)
    return (
        f"(select currency_code, {mine} from {table} group by currency_code except all "
        f"select currency_code, {whole} from institution_day group by currency_code)"
    )


_TRADED = ("payment_amount", "payment_count", "attempt_count", "refund_amount")

#: Checks that need no whole journal.
ALWAYS: dict[str, str] = {
    "transaction delivered before":
        'select transaction_id from "transaction" semi join transaction_before '
        "using (transaction_id)",
    "trial balance": """
        select currency_code from ledger_balance group by currency_code
        having sum(case when account_kind in ('asset', 'expense') then closing_amount
            else -closing_amount end) <> 0""",
    "balance adds up": """
        select account_id from ledger_balance
        where closing_amount <> opening_amount
            + case when account_kind in ('asset', 'expense') then debit_amount - credit_amount
                else credit_amount - debit_amount end""",
    "balance continues": """
        select coalesce(a.account_id, b.account_id)
        from ledger_balance as a
        full join ledger_balance_before as b using (account_id, currency_code)
        where coalesce(a.opening_amount, 0) <> coalesce(b.closing_amount, 0)
            and exists (select 1 from ledger_balance_before)""",
    "kpi conserves transactions": """
        (select currency_code, sum(amount) as a, count(*) as n from "transaction"
        where transaction_type = 'payment' and status = 'success' group by currency_code
        except all
        select currency_code, sum(payment_amount), sum(payment_count) from way_day
        group by currency_code)""",
    "profile grain": _unique("merchant_profile", "merchant_id, currency_code"),
    "terminal profile grain": _unique("terminal_profile", "terminal_id, currency_code"),
    "merchant state conserves":
        "(select sum(payment_amount) from merchant_day except select sum(payment_amount_1d) "
        "from merchant_profile)",
    "terminal state conserves":
        "(select sum(payment_amount) from terminal_day except select sum(payment_amount_1d) "
        "from terminal_profile)",
}

#: Checks of a date with all its legs and marts.
WHOLE: dict[str, str] = {
    "double entry": """
        select journal_id from ledger_entry group by journal_id, currency_code
        having sum(case direction when 'D' then amount else -amount end) <> 0""",
    "entries equal day close": """
        select account_id
        from (
            select account_id, currency_code,
                sum(case direction when 'D' then amount else 0 end) as debit,
                sum(case direction when 'C' then amount else 0 end) as credit
            from ledger_entry group by account_id, currency_code
        ) as moved
        full join ledger_balance as b using (account_id, currency_code)
        where coalesce(moved.debit, 0) <> coalesce(b.debit_amount, 0)
            or coalesce(moved.credit, 0) <> coalesce(b.credit_amount, 0)""",
    "tie of ledger and transactions": """
        select business_key
        from (
            select business_key, currency_code, sum(amount) as amount
            from (
                select business_key, currency_code,
                    abs(sum(case direction when 'C' then amount else -amount end)) as amount
                from ledger_entry
                where account_code = '2201' and component in ('gross', 'dispute')
                    and journal_type in ('payment', 'refund', 'dispute')
                group by business_key, currency_code, journal_id
            )
            group by business_key, currency_code
        ) as booked
        full join (
            select transaction_id as business_key, currency_code, amount
            from "transaction" where status = 'success'
        ) as traded using (business_key, currency_code)
        where booked.amount is distinct from traded.amount""",
    "settlement grain": _unique("mart_settlement__merchant_day", "merchant_id, currency_code"),
    "settlement keys": """
        select merchant_id from mart_settlement__merchant_day
        where merchant_id is null or settlement_status is null or closing_pending_amount is null""",
    "settlement equals ledger": """
        select coalesce(m.merchant_id, b.party_id)
        from mart_settlement__merchant_day as m
        full join (select * from ledger_balance where account_code = '2201') as b
            on m.merchant_id = b.party_id and m.currency_code = b.currency_code
        where coalesce(m.closing_pending_amount, 0) <> coalesce(b.closing_amount, 0)""",
    "settlement conserves legs": """
        (select sum(net_amount - payout_amount) from mart_settlement__merchant_day except
        select sum(case direction when 'C' then amount else -amount end)
        from ledger_entry where account_code = '2201')""",
    "reserve unexplained": """
        select currency_code from mart_settlement__reserve_fund_day
        where unexplained_amount <> 0""",
    "fee income equals ledger": """
        (select sum(fee_income_amount) from mart_kpi__institution_day except
        select sum(case direction when 'C' then amount else -amount end) from ledger_entry
        where account_code = '2301' and component in ('acquirer_fee', 'service_fee'))""",
    "region grain": _unique("mart_kpi__region_day", "region_code, currency_code"),
    "mcc grain": _unique("mart_kpi__mcc_day", "mcc, currency_code"),
    "way grain": _unique("mart_kpi__payment_way_day", "payment_way, funding, currency_code"),
    "regions add up": _same_sums("mart_kpi__region_day", _TRADED),
    "mccs add up": _same_sums("mart_kpi__mcc_day", _TRADED),
    "ways add up": _same_sums("mart_kpi__payment_way_day", _TRADED),
}
