-- grain: payment_way, funding, currency_code, business_date
with

merchant_days as (
    select * from {{ ref('int_kpi__merchant_way_day') }}
),

days as (
    select
        business_date,
        payment_way,
        currency_code,
        coalesce(funding, 'unknown') as funding,
        sum(payment_amount) as payment_amount,
        sum(payment_count) as payment_count,
        sum(attempt_count) as attempt_count,
        sum(refund_amount) as refund_amount,
        count(distinct case when payment_count > 0 then merchant_id end)
            as active_merchant_count
    from merchant_days
    where {{ built_dates_and_before(7) }}
    group by business_date, payment_way, coalesce(funding, 'unknown'), currency_code
),

today as (
    select
        business_date,
        payment_way,
        funding,
        currency_code,
        payment_amount,
        payment_count,
        attempt_count,
        refund_amount,
        active_merchant_count,
        sum(payment_amount) over (partition by business_date, currency_code) as total_amount
    from days
    where {{ built_dates() }}
),

final as (
    select
        today.business_date,
        today.payment_way,
        today.funding,
        today.currency_code,
        today.payment_amount,
        today.payment_count,
        today.attempt_count,
        {{ ratio('today.payment_count', 'today.attempt_count') }} as success_rate,
        today.refund_amount,
        today.active_merchant_count,
        {{ ratio('today.payment_amount', 'today.total_amount') }} as share_rate,
        week_before.payment_amount as same_weekday_payment_amount
    from today
    left join days as week_before
        on
            date_sub(today.business_date, 7) = week_before.business_date
            and today.payment_way = week_before.payment_way
            and today.funding = week_before.funding
            and today.currency_code = week_before.currency_code
)

select * from final
