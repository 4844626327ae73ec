-- grain: mcc, currency_code, business_date
with

merchant_days as (
    select * from {{ ref('int_kpi__merchant_way_day') }}
),

names as (
    select * from {{ ref('mcc') }}
),

{{ kpi_breakdown(['mcc'], labels={'mcc_name_zh': '未知', 'mcc_name_en': 'Unknown'}) }}

select * from final
