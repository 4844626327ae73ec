-- Regions, categories and payment ways each add up to the institution's day, a lost one included.
{{ config(meta={
    'check_code': 'kpi_breakdown_difference_amount',
    'owner': 'operations@paylake.example',
    'reason': 'A join with names or last week must neither lose nor double a payment.',
}) }}
with

institution as (
    select * from {{ ref('mart_kpi__institution_day') }}
),

regions as (
    select * from {{ ref('mart_kpi__region_day') }}
),

categories as (
    select * from {{ ref('mart_kpi__mcc_day') }}
),

ways as (
    select * from {{ ref('mart_kpi__payment_way_day') }}
),

breakdowns as (
    select 'region' as breakdown
    union all
    select 'mcc' as breakdown
    union all
    select 'payment_way' as breakdown
),

compared as (
    select
        'region' as breakdown,
        business_date,
        currency_code,
        payment_amount,
        payment_count,
        attempt_count,
        refund_amount
    from regions
    union all
    select
        'mcc' as breakdown,
        business_date,
        currency_code,
        payment_amount,
        payment_count,
        attempt_count,
        refund_amount
    from categories
    union all
    select
        'payment_way' as breakdown,
        business_date,
        currency_code,
        payment_amount,
        payment_count,
        attempt_count,
        refund_amount
    from ways
    union all
    select
        breakdowns.breakdown,
        institution.business_date,
        institution.currency_code,
        -institution.payment_amount as payment_amount,
        -institution.payment_count as payment_count,
        -institution.attempt_count as attempt_count,
        -institution.refund_amount as refund_amount
    from institution
    cross join breakdowns
),

summed as (
    select
        breakdown,
        business_date,
        currency_code,
        sum(payment_amount) as payment_amount,
        sum(payment_count) as payment_count,
        sum(attempt_count) as attempt_count,
        sum(refund_amount) as refund_amount
    from compared
    where {{ built_dates() }}
    group by breakdown, business_date, currency_code
),

final as (
    select
        breakdown,
        business_date,
        currency_code,
        payment_amount,
        payment_count,
        attempt_count,
        refund_amount
    from summed
    where
        payment_amount <> 0
        or payment_count <> 0
        or attempt_count <> 0
        or refund_amount <> 0
)

select * from final
