-- The open items of a date are its unarrived amount, and leave nothing unexplained.
{{ config(meta={
    'check_code': 'reserve_unexplained_amount',
    'owner': 'settlement@paylake.example',
    'reason': 'Money is exact: a difference without an item is money nobody can name.',
}) }}
with

items as (
    select * from {{ ref('mart_settlement__reserve_fund_item') }}
),

reserves as (
    select * from {{ ref('mart_settlement__reserve_fund_day') }}
),

compared as (
    select
        business_date,
        currency_code,
        amount,
        cast(0 as decimal(18, 4)) as unexplained_amount
    from items
    where {{ built_dates() }}
    union all
    select
        business_date,
        currency_code,
        -unarrived_amount as amount,
        unexplained_amount
    from reserves
    where {{ built_dates() }}
),

final as (
    select
        business_date,
        currency_code,
        sum(amount) as items_difference_amount,
        sum(unexplained_amount) as unexplained_total_amount
    from compared
    group by business_date, currency_code
    having sum(amount) <> 0 or sum(unexplained_amount) <> 0
)

select * from final
