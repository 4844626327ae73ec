"""The peer's tables in DuckDB SQL, in order; `day()` is the date being made."""

from __future__ import annotations

from datetime import date

MEASURES = ("payment_count", "payment_amount", "refund_count", "refund_amount", "failed_count")

#: Columns of tables that the first date finds empty.
_STATE = """
    select null::date as business_date, null::varchar as {key}, null::varchar as currency_code,
        0::bigint as payment_count, 0::decimal(18,4) as payment_amount, 0::bigint as refund_count,
        0::decimal(18,4) as refund_amount, 0::bigint as failed_count, 0::bigint as night_count
"""
_CARD = """
    select null::date as business_date, null::varchar as {key}, null::varchar as card_token
"""
EMPTY: dict[str, str] = {
    "merchant_known": "select * from merchant_today",
    "silver.transaction": "select null::varchar as transaction_id",
    "silver.ledger_balance": "select * from ledger_balance",
    "state.merchant_day": _STATE.format(key="merchant_id"),
    "state.terminal_day": _STATE.format(key="terminal_id"),
    "state.merchant_card_day": _CARD.format(key="merchant_id"),
    "state.terminal_card_day": _CARD.format(key="terminal_id"),
    "open_reference": """
        select null::varchar as custodian_reference, null::varchar as currency_code,
            null::decimal(18,4) as ledger_amount, null::decimal(18,4) as custodian_amount,
            null::date as first_date""",
    "institution_day": """
        select null::date as business_date, null::varchar as currency_code,
            null::decimal(18,4) as payment_amount, null::bigint as payment_count,
            null::double as success_rate, null::decimal(18,4) as fee_income_amount,
            null::bigint as active_merchant_count""",
    "way_day": """
        select null::date as business_date, null::varchar as merchant_id,
            null::varchar as region_code, null::varchar as mcc, null::varchar as payment_way,
            null::varchar as funding, null::varchar as currency_code,
            null::decimal(18,4) as payment_amount""",
}


def silver(day: date) -> dict[str, str]:
    """Typed rows, and each merchant as last known."""
    return {
        "merchant_known": """
            select * from merchant_today
            union all
            select * from merchant_before anti join merchant_today using (merchant_id)""",
        "silver.transaction": f"""
            with numbered as (
                select
                    *,
                    rowid + 2 + coalesce(sum(breaks) over (
                        order by rowid rows between unbounded preceding and 1 preceding
                    ), 0) as line_number,
                    event_at::timestamp as local_at
                from (
                    select rowid, *, length(goods_description)
                        - length(replace(goods_description, chr(10), '')) as breaks
                    from raw_transaction
                )
            )
            select
                day() as business_date, transaction_id, transaction_type, original_transaction_id,
                t.merchant_id, terminal_id, card_token, card_masked, payer_account_id, payment_way,
                funding, channel, amount, currency_code, t.status, response_code,
                local_at at time zone 'Asia/Shanghai' as event_at,
                (local_at + interval 1 hour)::date as event_date,
                case when (local_at + interval 1 hour)::date < day() - 2
                    then (local_at + interval 1 hour)::date end as adjusts_date,
                hour(local_at) >= 22 or hour(local_at) < 6 as is_night,
                m.region_code, m.mcc, 'transaction/{day}/1' as _delivery_id,
                line_number as _line_number
            from numbered as t
            left join cards using (card_number)
            left join merchant_known as m on t.merchant_id = m.merchant_id""",
        "silver.ledger_entry": f"""
            select
                day() as business_date, journal_id, leg_number, journal_type, business_key,
                account_id, account_code, party_id, direction,
                amount_minor::decimal(18,0) * 0.01 as amount, currency_code, component, booked_at,
                case when booking_date < day() then booking_date end as adjusts_date,
                custodian_reference, 'ledger_journal/{day}/1' as _delivery_id,
                rowid + 1 as _line_number
            from raw_ledger_journal""",
        "silver.ledger_balance": f"""
            select
                day() as business_date, account_id, account_code, account_kind, party_id,
                currency_code,
                opening_minor::decimal(18,0) * 0.01 as opening_amount,
                debit_minor::decimal(18,0) * 0.01 as debit_amount,
                credit_minor::decimal(18,0) * 0.01 as credit_amount,
                closing_minor::decimal(18,0) * 0.01 as closing_amount,
                'ledger_balance/{day}/1' as _delivery_id, rowid + 2 as _line_number
            from raw_ledger_balance""",
    }


MERCHANT_TODAY = """
    create table merchant_today as
    select merchant_id, merchant_name, merchant_type, mcc, region_code, settlement_bank,
        repeat('*', greatest(4, length(settlement_account) - 4))
            || if(length(settlement_account) >= 8, right(settlement_account, 4), '')
            as settlement_account_masked,
        settlement_mode, settlement_cycle, fee_class,
        minimum_payout::decimal(18,4) as minimum_payout_amount
    from raw_merchant
"""


def states() -> dict[str, str]:
    """What each merchant and terminal did today, and with which cards."""
    made = {}
    for key in ("merchant", "terminal"):
        made[f"state.{key}_day"] = f"""
            select
                business_date, {key}_id, currency_code,
                count(*) filter (is_payment) as payment_count,
                coalesce(sum(amount) filter (is_payment), 0) as payment_amount,
                count(*) filter (is_refund) as refund_count,
                coalesce(sum(amount) filter (is_refund), 0) as refund_amount,
                count(*) filter (is_failed) as failed_count,
                count(*) filter (is_payment and is_night) as night_count,
                coalesce(sum(amount) filter (is_payment and is_night), 0) as night_amount,
                min(amount) filter (is_payment) as smallest_amount,
                max(amount) filter (is_payment) as largest_amount
            from (
                select *,
                    transaction_type = 'payment' and status = 'success' as is_payment,
                    transaction_type = 'refund' and status = 'success' as is_refund,
                    transaction_type = 'payment' and status = 'failed' as is_failed
                from "transaction"
                where transaction_type in ('payment', 'refund') and {key}_id is not null
            )
            group by all"""
        made[f"state.{key}_card_day"] = f"""
            select business_date, {key}_id, card_token, count(*) as payment_count
            from "transaction"
            where transaction_type = 'payment' and status = 'success'
                and {key}_id is not null and card_token is not null
            group by all"""
    return made


def profiles() -> dict[str, str]:
    """1, 7 and 30 days, from states."""
    made = {}
    for key in ("merchant", "terminal"):
        sums, shown, cards = [], [], []
        for days in (1, 7, 30):
            inside = f"filter (business_date > day() - {days})"
            for measure in (*MEASURES, "night_count"):
                sums.append(f"coalesce(sum({measure}) {inside}, 0) as {measure}_{days}d")
            cards.append(
                f"count(*) filter (last_date > day() - {days}) as distinct_card_count_{days}d"
            )
            shown += [f"{measure}_{days}d" for measure in MEASURES]
            shown.append(f"coalesce(distinct_card_count_{days}d, 0) as distinct_card_count_{days}d")
            shown.append(
                f"round(night_count_{days}d::double / nullif(payment_count_{days}d, 0), 9) "
                f"as night_share_rate_{days}d"
            )
        made[f"work.{key}_profile"] = f"""
            with days as (
                select * from {key}_day union all by name select * from {key}_day_before
            ),
            sums as (
                select {key}_id, currency_code, {", ".join(sums)},
                    max(business_date) as last_active_date
                from days group by {key}_id, currency_code
            ),
            seen as (
                select {key}_id, card_token, max(business_date) as last_date
                from (
                    select business_date, {key}_id, card_token from {key}_card_day
                    union all
                    select business_date, {key}_id, card_token from {key}_card_day_before
                )
                group by {key}_id, card_token
            ),
            cards as (
                select {key}_id, {", ".join(cards)} from seen group by {key}_id
            )
            select day() as business_date, {key}_id, currency_code, {", ".join(shown)},
                last_active_date
            from sums left join cards using ({key}_id)"""
    return made


def carried() -> dict[str, str]:
    """Sums of the day that later dates read."""
    return {
        "way_day": """
            select
                business_date, merchant_id, coalesce(region_code, 'unknown') as region_code,
                coalesce(mcc, 'unknown') as mcc, payment_way, funding, currency_code,
                coalesce(sum(amount) filter (is_payment and is_success), 0)::decimal(18,4)
                    as payment_amount,
                count(*) filter (is_payment and is_success) as payment_count,
                count(*) filter (is_payment) as attempt_count,
                coalesce(sum(amount) filter (is_refund and is_success), 0)::decimal(18,4)
                    as refund_amount,
                count(*) filter (is_refund and is_success) as refund_count
            from (
                select *, transaction_type = 'payment' as is_payment,
                    transaction_type = 'refund' as is_refund, status = 'success' as is_success
                from "transaction"
            )
            group by all""",
        "institution_day": """
            with traded as (
                select currency_code, sum(payment_amount) as payment_amount,
                    sum(payment_count) as payment_count, sum(attempt_count) as attempt_count,
                    sum(refund_amount) as refund_amount, sum(refund_count) as refund_count,
                    count(distinct merchant_id) filter (payment_count > 0)
                        as active_merchant_count
                from way_day group by currency_code
            ),
            terminals as (
                select currency_code, count(*) filter (payment_count > 0) as active_terminal_count
                from terminal_day group by currency_code
            ),
            fees as (
                select currency_code,
                    sum(case direction when 'C' then amount else -amount end) as fee_income_amount
                from ledger_entry
                where account_code = '2301' and component in ('acquirer_fee', 'service_fee')
                group by currency_code
            )
            select
                day() as business_date, currency_code,
                coalesce(payment_amount, 0)::decimal(18,4) as payment_amount,
                coalesce(payment_count, 0)::bigint as payment_count,
                coalesce(attempt_count, 0)::bigint as attempt_count,
                round(payment_count::double / nullif(attempt_count, 0), 9) as success_rate,
                coalesce(refund_amount, 0)::decimal(18,4) as refund_amount,
                coalesce(refund_count, 0)::bigint as refund_count,
                coalesce(fee_income_amount, 0)::decimal(18,4) as fee_income_amount,
                coalesce(active_merchant_count, 0)::bigint as active_merchant_count,
                coalesce(active_terminal_count, 0)::bigint as active_terminal_count
            from traded full join fees using (currency_code)
            left join terminals using (currency_code)""",
        "open_reference": """
            with moved as (
                select coalesce(custodian_reference, business_key) as custodian_reference,
                    currency_code,
                    case direction when 'D' then amount else -amount end as ledger_amount,
                    null::decimal(18,4) as custodian_amount, day() as first_date
                from ledger_entry where account_code = '1001'
                union all
                select coalesce(reference, entry_id), currency_code, null,
                    case direction when 'C' then 1 else -1 end * amount::decimal(18,4), day()
                from raw_custodian_statement where entry_type = 'MOVEMENT'
                union all
                select custodian_reference, currency_code, ledger_amount, custodian_amount,
                    first_date
                from open_reference_before
            )
            select custodian_reference, currency_code,
                sum(ledger_amount)::decimal(18,4) as ledger_amount,
                sum(custodian_amount)::decimal(18,4) as custodian_amount,
                min(first_date) as first_date
            from moved group by custodian_reference, currency_code
            having coalesce(sum(ledger_amount), 0) <> coalesce(sum(custodian_amount), 0)""",
    }


def marts() -> dict[str, str]:
    """Settlement, reserve fund and KPI tables of the day."""
    made = {
        "work.mart_settlement__merchant_day": _SETTLEMENT,
        "work.mart_settlement__reserve_fund_day": _RESERVE,
        "work.mart_kpi__institution_day": _institution(),
        "work.mart_kpi__region_day": _cut("region_code", "region", "region_name"),
        "work.mart_kpi__mcc_day": _cut("mcc", "mcc", "mcc_name"),
        "work.mart_kpi__payment_way_day": _cut("payment_way, funding", None, None),
    }
    return made


_SETTLEMENT = """
    with legs as (
        select party_id as merchant_id, currency_code, component, adjusts_date,
            case direction when 'C' then amount else -amount end as credit,
            component = 'gross' and journal_type = 'payment' as is_gross,
            component = 'gross' and journal_type = 'refund' as is_refund
        from ledger_entry where account_code = '2201'
    ),
    moved as (
        select merchant_id, currency_code,
            count(*) filter (is_gross) as payment_count,
            sum(credit) filter (is_gross) as gross_amount,
            count(*) filter (is_refund) as refund_count,
            -sum(credit) filter (is_refund) as refund_amount,
            -sum(credit) filter (component = 'issuer_fee') as issuer_fee_amount,
            -sum(credit) filter (component = 'network_fee') as network_fee_amount,
            -sum(credit) filter (component = 'acquirer_fee') as acquirer_fee_amount,
            -sum(credit) filter (component = 'service_fee') as service_fee_amount,
            -sum(credit) filter (component = 'dispute') as disputed_amount,
            -sum(credit) filter (component = 'payout') as payout_amount,
            sum(credit) filter (adjusts_date is not null and component <> 'payout')
                as adjustment_amount
        from legs group by all
    ),
    positions as (
        select party_id as merchant_id, currency_code,
            sum(opening_amount) filter (account_code = '2201') as opening_pending_amount,
            sum(closing_amount) filter (account_code = '2201') as closing_amount,
            coalesce(sum(closing_amount) filter (account_code = '2202'), 0) as held_amount
        from ledger_balance where account_code in ('2201', '2202') group by all
    ),
    days as (
        select merchant_id, currency_code, opening_pending_amount, held_amount,
            m.merchant_id is not null as has_moved, closing_amount,
            coalesce(payment_count, 0) as payment_count,
            coalesce(gross_amount, 0) as gross_amount,
            coalesce(refund_count, 0) as refund_count,
            coalesce(refund_amount, 0) as refund_amount,
            coalesce(issuer_fee_amount, 0) as issuer_fee_amount,
            coalesce(network_fee_amount, 0) as network_fee_amount,
            coalesce(acquirer_fee_amount, 0) as acquirer_fee_amount,
            coalesce(service_fee_amount, 0) as service_fee_amount,
            coalesce(disputed_amount, 0) as disputed_amount,
            coalesce(payout_amount, 0) as payout_amount,
            coalesce(adjustment_amount, 0) as adjustment_amount
        from moved as m full join positions using (merchant_id, currency_code)
    ),
    closed as (
        select *, held_amount as closing_disputed_amount,
            opening_pending_amount + net_amount - payout_amount as closing_pending_amount
        from (
            select *, gross_amount - refund_amount - issuer_fee_amount - network_fee_amount
                - acquirer_fee_amount - service_fee_amount - disputed_amount as net_amount
            from days
            where has_moved or opening_pending_amount <> 0 or closing_amount <> 0
                or held_amount <> 0
                or held_amount <> 0
        )
    )
    select
        day() as business_date, c.*, held_amount as closing_disputed_amount,
        m.* exclude (merchant_id),
        case settlement_cycle
            when 'T+0' then day()
            when 'D+1' then day() + 1
            when 'T+1' then (
                select min(calendar_date::date) from calendar_working_day
                where calendar_date::date > day() and is_working_day = 'true'
            )
        end as due_date,
        case
            when closing_pending_amount < 0 then 'negative'
            when held_amount > 0 then 'disputed'
            when payout_amount > 0 then 'paid'
            when closing_pending_amount = 0 then 'none'
            when closing_pending_amount < minimum_payout_amount then 'rolled'
            else 'due'
        end as settlement_status
    from closed as c left join merchant_known as m on c.merchant_id = m.merchant_id
"""

_RESERVE = """
    with books as (
        select currency_code,
            coalesce(sum(closing_amount) filter (account_code = '2101'), 0) as user_balance_amount,
            coalesce(sum(closing_amount) filter (account_code = '2201'), 0)
                as merchant_pending_amount,
            coalesce(sum(closing_amount) filter (account_code = '2202'), 0)
                as merchant_disputed_amount,
            coalesce(sum(closing_amount) filter (account_code = '2301'), 0) as fee_pending_amount,
            coalesce(sum(closing_amount) filter (account_code = '2401'), 0)
                as unidentified_amount,
            coalesce(sum(opening_amount) filter (
                account_code in ('2101', '2201', '2202', '2301', '2401')), 0)
                as book_opening_amount
        from ledger_balance group by currency_code
    ),
    summed as (
        select *, user_balance_amount + merchant_pending_amount + merchant_disputed_amount
            + fee_pending_amount + unidentified_amount as book_amount
        from books
    ),
    deposits as (
        select currency_code,
            count(*) filter (direction = 'D') as book_inflow_count,
            coalesce(sum(amount) filter (direction = 'D'), 0) as book_inflow_amount,
            count(*) filter (direction = 'C') as book_outflow_count,
            coalesce(sum(amount) filter (direction = 'C'), 0) as book_outflow_amount
        from ledger_entry where account_code = '1001' group by currency_code
    ),
    bank as (
        select currency_code,
            sum(signed) filter (entry_type = 'OPENING') as custodian_opening_amount,
            count(*) filter (entry_type = 'MOVEMENT' and signed > 0) as custodian_inflow_count,
            coalesce(sum(signed) filter (entry_type = 'MOVEMENT' and signed > 0), 0)
                as custodian_inflow_amount,
            count(*) filter (entry_type = 'MOVEMENT' and signed < 0) as custodian_outflow_count,
            coalesce(-sum(signed) filter (entry_type = 'MOVEMENT' and signed < 0), 0)
                as custodian_outflow_amount,
            sum(signed) filter (entry_type = 'CLOSING') as custodian_amount
        from (
            select *, case direction when 'C' then 1 else -1 end * amount::decimal(18,4) as signed
            from raw_custodian_statement
        ) group by currency_code
    ),
    items as (
        select currency_code, count(*) as item_count, max(day() - first_date) as largest_age_days,
            sum(coalesce(ledger_amount, 0) - coalesce(custodian_amount, 0)) as unarrived_amount
        from open_reference group by currency_code
    )
    select day() as business_date, *, book_amount - custodian_amount as difference_amount,
        book_amount - custodian_amount - unarrived_amount as unexplained_amount
    from (
        select * replace (coalesce(unarrived_amount, 0) as unarrived_amount,
            coalesce(item_count, 0) as item_count,
            coalesce(book_inflow_count, 0) as book_inflow_count,
            coalesce(book_inflow_amount, 0) as book_inflow_amount,
            coalesce(book_outflow_count, 0) as book_outflow_count,
            coalesce(book_outflow_amount, 0) as book_outflow_amount)
        from summed left join deposits using (currency_code)
            left join bank using (currency_code) left join items using (currency_code)
    )
"""


def _institution() -> str:
    compared = (
        "payment_amount", "payment_count", "success_rate", "fee_income_amount",
        "active_merchant_count",
    )
    medians = ", ".join(
        f"round((list_sort(list({c}))[(count({c}) + 1) // 2] "
        f"+ list_sort(list({c}))[count({c}) // 2 + 1]) * 0.5, 9) as median_30d_{c}"
        for c in compared
    )
    week = ", ".join(f"w.{c} as same_weekday_{c}" for c in compared)
    return f"""
        with medians as (
            select currency_code, {medians} from institution_day_before group by currency_code
        )
        select i.*, {week}, m.* exclude (currency_code),
            r.unexplained_amount as reserve_unexplained_amount
        from institution_day as i
        left join institution_day_before as w
            on w.currency_code = i.currency_code and w.business_date = day() - 7
        left join medians as m on m.currency_code = i.currency_code
        left join mart_settlement__reserve_fund_day as r on r.currency_code = i.currency_code"""


def _cut(key: str, names: str | None, name: str | None) -> str:
    """Trade of the day by a key, with its share and the same weekday before."""
    first = key.partition(",")[0]
    joined, shown = "", ""
    if names is not None:
        joined = f"left join {names} as n on t.{first} = n.{first}"
        shown = (
            f"coalesce(n.{name}_zh, '未知') as {name}_zh, "
            f"coalesce(n.{name}_en, 'Unknown') as {name}_en,"
        )
    return f"""
        with today as (
            select {key}, currency_code, sum(payment_amount) as payment_amount,
                sum(payment_count) as payment_count, sum(attempt_count) as attempt_count,
                sum(refund_amount) as refund_amount,
                count(distinct merchant_id) filter (payment_count > 0) as active_merchant_count
            from way_day group by all
        ),
        week as (
            select {key}, currency_code, sum(payment_amount) as same_weekday_payment_amount
            from way_day_before where business_date = day() - 7 group by all
        )
        select day() as business_date, t.*, {shown} same_weekday_payment_amount,
            round(payment_count::double / nullif(attempt_count, 0), 9) as success_rate,
            round(payment_amount::double
                / nullif(sum(payment_amount) over (partition by currency_code), 0), 9)
                as share_rate
        from today as t
        left join week using ({key}, currency_code)
        {joined}"""
