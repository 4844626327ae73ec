-- grain: payment_way, funding, currency_code, business_date
with

merchant_days as (
    select * from {{ ref('int_kpi__merchant_way_day') }}
),

{{ kpi_breakdown(['payment_way', 'funding'], if_null={'funding': 'unknown'}) }}

select * from final
