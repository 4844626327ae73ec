-- grain: entry_id, business_date
with

source as (
    select * from {{ source('silver', 'custodian_entry') }}
),

final as (
    select
        business_date,
        entry_id,
        entry_type,
        currency_code,
        coalesce(reference, entry_id) as custodian_reference,
        case direction when 'C' then amount else -amount end as received_amount
    from source
)

select * from final
