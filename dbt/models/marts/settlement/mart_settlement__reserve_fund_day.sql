-- grain: currency_code, business_date
with

balances as (
    select * from {{ ref('stg_ledger__balance') }}
),

custodian as (
    select * from {{ ref('stg_custodian__entry') }}
),

items as (
    select * from {{ ref('mart_settlement__reserve_fund_item') }}
),

books as (
    select
        business_date,
        currency_code,
        sum(case account_code when '2101' then closing_amount else 0 end) as user_balance_amount,
        sum(case account_code when '2201' then closing_amount else 0 end)
            as merchant_pending_amount,
        sum(case account_code when '2202' then closing_amount else 0 end)
            as merchant_disputed_amount,
        sum(case account_code when '2301' then closing_amount else 0 end) as fee_pending_amount,
        sum(case account_code when '2401' then closing_amount else 0 end) as unidentified_amount
    from balances
    where {{ built_dates() }}
    group by business_date, currency_code
),

summed as (
    select
        business_date,
        currency_code,
        user_balance_amount,
        merchant_pending_amount,
        merchant_disputed_amount,
        fee_pending_amount,
        unidentified_amount,
        user_balance_amount + merchant_pending_amount + merchant_disputed_amount
        + fee_pending_amount + unidentified_amount as book_amount
    from books
),

statements as (
    select
        business_date,
        currency_code,
        sum(received_amount) as custodian_amount
    from custodian
    where
        entry_type = 'CLOSING'
        and {{ built_dates() }}
    group by business_date, currency_code
),

open_items as (
    select
        business_date,
        currency_code,
        sum(amount) as unarrived_amount,
        count(*) as item_count,
        max(age_days) as largest_age_days
    from items
    where {{ built_dates() }}
    group by business_date, currency_code
),

final as (
    select
        summed.business_date,
        summed.currency_code,
        summed.user_balance_amount,
        summed.merchant_pending_amount,
        summed.merchant_disputed_amount,
        summed.fee_pending_amount,
        summed.unidentified_amount,
        summed.book_amount,
        -- Without a closing line there is nothing to compare with: null, never zero.
        statements.custodian_amount,
        open_items.largest_age_days,
        summed.book_amount - statements.custodian_amount as difference_amount,
        coalesce(open_items.unarrived_amount, 0) as unarrived_amount,
        summed.book_amount - statements.custodian_amount
        - coalesce(open_items.unarrived_amount, 0) as unexplained_amount,
        coalesce(open_items.item_count, 0) as item_count
    from summed
    left join statements
        on
            summed.business_date = statements.business_date
            and summed.currency_code = statements.currency_code
    left join open_items
        on
            summed.business_date = open_items.business_date
            and summed.currency_code = open_items.currency_code
    where {{ are_present(['ledger_journal', 'ledger_balance']) }}
)

select * from final
