-- What is owed to users, merchants and ourselves is what the deposit account says we hold.
{{ config(meta={
    'check_code': 'reserve_book_difference_amount',
    'owner': 'settlement@paylake.example',
    'reason': 'Double entry: liabilities and fees equal the deposit.',
}) }}
with

balances as (
    select * from {{ ref('stg_ledger__balance') }}
),

reserves as (
    select * from {{ ref('mart_settlement__reserve_fund_day') }}
),

compared as (
    select
        business_date,
        currency_code,
        closing_amount as amount
    from balances
    where
        account_code = '1001'
        and {{ built_dates() }}
    union all
    select
        business_date,
        currency_code,
        -book_amount as amount
    from reserves
    where {{ built_dates() }}
),

{{ what_does_not_net('compared') }}

select * from final
