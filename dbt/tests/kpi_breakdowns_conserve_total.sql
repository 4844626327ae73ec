-- Regions, categories and payment ways each add up to the institution's day.
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
    select
        'region' as breakdown,
        business_date,
        currency_code,
        payment_amount,
        refund_amount,
        attempt_count
    from regions
    union all
    select
        'mcc' as breakdown,
        business_date,
        currency_code,
        payment_amount,
        refund_amount,
        attempt_count
    from categories
    union all
    select
        'payment_way' as breakdown,
        business_date,
        currency_code,
        payment_amount,
        refund_amount,
        attempt_count
    from ways
),

summed as (
    select
        breakdown,
        business_date,
        currency_code,
        sum(payment_amount) as payment_amount,
        sum(refund_amount) as refund_amount,
        sum(attempt_count) as attempt_count
    from breakdowns
    where {{ built_dates() }}
    group by breakdown, business_date, currency_code
),

final as (
    select
        summed.breakdown,
        institution.business_date,
        institution.currency_code,
        institution.payment_amount,
        summed.payment_amount as breakdown_amount
    from institution
    inner join summed
        on
            institution.business_date = summed.business_date
            and institution.currency_code = summed.currency_code
    where
        institution.payment_amount <> summed.payment_amount
        or institution.refund_amount <> summed.refund_amount
        or institution.attempt_count <> summed.attempt_count
)

select * from final
