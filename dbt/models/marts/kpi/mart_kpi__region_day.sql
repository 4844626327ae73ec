-- grain: region_code, currency_code, business_date
with

merchant_days as (
    select * from {{ ref('int_kpi__merchant_way_day') }}
),

names as (
    select * from {{ ref('region') }}
),

{{ kpi_breakdown(['region_code'], labels={'region_name_zh': '未知', 'region_name_en': 'Unknown'}) }}

select * from final
