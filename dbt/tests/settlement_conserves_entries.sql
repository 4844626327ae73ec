-- What the mart nets and pays out is all that moved on the pending accounts, whatever merchants it
-- was joined with.
{{ config(meta={
    'check_code': 'settlement_total_difference_amount',
    'owner': 'settlement@paylake.example',
    'reason': 'A join that loses or doubles a merchant shows here.',
}) }}
with

entries as (
    select * from {{ ref('stg_ledger__entry') }}
),

marts as (
    select * from {{ ref('mart_settlement__merchant_day') }}
),

moved as (
    select
        business_date,
        currency_code,
        credit_amount as amount
    from entries
    where
        account_code = '2201'
        and {{ built_dates() }}
    union all
    select
        business_date,
        currency_code,
        payout_amount - net_amount as amount
    from marts
    where {{ built_dates() }}
),

final as (
    select
        business_date,
        currency_code,
        sum(amount) as difference_amount
    from moved
    group by business_date, currency_code
    having sum(amount) <> 0
)

select * from final
