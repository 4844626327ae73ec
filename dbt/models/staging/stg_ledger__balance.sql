-- grain: account_id, currency_code, business_date
with

source as (
    select * from {{ source('silver', 'ledger_balance') }}
),

final as (
    select
        business_date,
        account_id,
        account_code,
        party_id,
        currency_code,
        opening_amount,
        closing_amount
    from source
)

select * from final
