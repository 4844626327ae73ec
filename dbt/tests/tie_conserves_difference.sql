-- From one date to the next the open items change by exactly what ledger and transactions differ.
{{ config(meta={
    'check_code': 'tie_difference_amount',
    'owner': 'settlement@paylake.example',
    'reason': 'An item that is dropped or counted twice breaks the chain of dates.',
}) }}
with

entries as (
    select * from {{ ref('stg_ledger__entry') }}
),

transactions as (
    select * from {{ ref('stg_switch__transaction') }}
),

items as (
    select * from {{ ref('fct_tie_item') }}
),

journals as (
    select
        business_date,
        currency_code,
        journal_id,
        abs(sum(credit_amount)) as amount
    from entries
    where
        is_traded
        and {{ built_dates() }}
    group by business_date, currency_code, journal_id
),

-- An item that is open at a date counts on it and, reversed, on the next one.
changes as (
    select
        business_date,
        currency_code,
        amount
    from journals
    union all
    select
        business_date,
        currency_code,
        -amount as amount
    from transactions
    where is_success
    union all
    select
        business_date,
        currency_code,
        coalesce(transaction_amount, 0) - coalesce(ledger_amount, 0) as amount
    from items
    where closed_by_date is null
    union all
    select
        date_add(business_date, 1) as business_date,
        currency_code,
        coalesce(ledger_amount, 0) - coalesce(transaction_amount, 0) as amount
    from items
    where closed_by_date is null
),

final as (
    select
        business_date,
        currency_code,
        sum(amount) as difference_amount
    from changes
    where
        {{ built_dates() }}
        and {{ are_present(['ledger_journal', 'transaction']) }}
    group by business_date, currency_code
    having sum(amount) <> 0
)

select * from final
