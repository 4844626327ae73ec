-- grain: merchant_id, valid_from
with

source as (
    select * from {{ source('silver', 'merchant') }}
),

final as (
    select
        merchant_id,
        business_date as valid_from,
        merchant_name,
        merchant_type,
        mcc,
        region_code,
        settlement_bank,
        settlement_account_masked,
        settlement_mode,
        settlement_cycle,
        fee_class,
        minimum_payout_amount,
        currency_code,
        lead(business_date) over (partition by merchant_id order by business_date) as valid_to
    from source
)

select * from final
