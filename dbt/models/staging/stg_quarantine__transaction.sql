-- grain: record_key, business_date
with

source as (
    select * from {{ source('quarantine', 'raw_switch__transaction') }}
),

final as (
    select
        record_key,
        business_date
    from source
    where record_key is not null
    group by record_key, business_date
)

select * from final
