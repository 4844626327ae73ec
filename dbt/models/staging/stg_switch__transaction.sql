-- grain: transaction_id
with

source as (
    select * from {{ source('silver', 'transaction') }}
),

final as (
    select
        business_date,
        transaction_id,
        transaction_type,
        merchant_id,
        terminal_id,
        payment_way,
        funding,
        amount,
        currency_code,
        adjusts_date,
        coalesce(region_code, 'unknown') as region_code,
        coalesce(mcc, 'unknown') as mcc,
        transaction_type = 'payment' as is_payment,
        transaction_type = 'refund' as is_refund,
        status = 'success' as is_success
    from source
)

select * from final
