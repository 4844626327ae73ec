-- grain: currency_code, business_date
{%- set compared = [
    'payment_amount', 'payment_count', 'success_rate', 'fee_income_amount',
    'active_merchant_count',
] %}
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
        {%- for measure in compared %}
        {{ exact_median('recent.' ~ measure) }} as median_30d_{{ measure }}{{ "," if not loop.last }}
        {%- endfor %}
    from today
    inner join recent
        on
            today.currency_code = recent.currency_code
            and recent.business_date between
                date_sub(today.business_date, 30) and date_sub(today.business_date, 1)
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
        {%- for measure in compared %}
        week_before.{{ measure }} as same_weekday_{{ measure }},
        {%- endfor %}
        {%- for measure in compared %}
        medians.median_30d_{{ measure }},
        {%- endfor %}
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
