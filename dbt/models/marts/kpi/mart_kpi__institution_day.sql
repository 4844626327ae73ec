-- grain: currency_code, business_date
with

days as (
    select * from {{ ref('int_kpi__institution_day') }}
),

reserves as (
    select * from {{ ref('mart_settlement__reserve_fund_day') }}
),

recent as (
    select * from days
    where {{ built_dates_and_before(30) }}
),

today as (
    select * from days
    where {{ built_dates() }}
),

-- The 30 days before, without the day itself.
medians as (
    select
        today.business_date,
        today.currency_code,
        {{ exact_median('recent.payment_amount') }}
            as median_30d_payment_amount,
        {{ exact_median('recent.payment_count') }}
            as median_30d_payment_count,
        {{ exact_median('recent.success_rate') }}
            as median_30d_success_rate,
        {{ exact_median('recent.fee_income_amount') }}
            as median_30d_fee_income_amount,
        {{ exact_median('recent.active_merchant_count') }}
            as median_30d_active_merchant_count
    from today
    inner join recent
        on
            today.currency_code = recent.currency_code
            and today.business_date > recent.business_date
            and date_sub(today.business_date, 30) <= recent.business_date
    group by today.business_date, today.currency_code
),

final as (
    select
        today.business_date,
        today.currency_code,
        today.payment_amount,
        today.payment_count,
        today.attempt_count,
        today.success_rate,
        today.refund_amount,
        today.refund_count,
        today.fee_income_amount,
        today.active_merchant_count,
        today.active_terminal_count,
        week_before.payment_amount as same_weekday_payment_amount,
        week_before.payment_count as same_weekday_payment_count,
        week_before.success_rate as same_weekday_success_rate,
        week_before.fee_income_amount as same_weekday_fee_income_amount,
        week_before.active_merchant_count as same_weekday_active_merchant_count,
        medians.median_30d_payment_amount,
        medians.median_30d_payment_count,
        medians.median_30d_success_rate,
        medians.median_30d_fee_income_amount,
        medians.median_30d_active_merchant_count,
        reserves.unexplained_amount as reserve_unexplained_amount
    from today
    left join recent as week_before
        on
            date_sub(today.business_date, 7) = week_before.business_date
            and today.currency_code = week_before.currency_code
    left join medians
        on
            today.business_date = medians.business_date
            and today.currency_code = medians.currency_code
    left join reserves
        on
            today.business_date = reserves.business_date
            and today.currency_code = reserves.currency_code
)

select * from final
