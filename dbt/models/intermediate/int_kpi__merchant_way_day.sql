-- grain: merchant_id, region_code, mcc, payment_way, funding, currency_code, business_date
-- The day's trade in the finest cut that the KPI marts add up; kept, so that they compare with
-- earlier days without reading transactions again.
with

transactions as (
    select * from {{ ref('stg_switch__transaction') }}
),

final as (
    select
        business_date,
        merchant_id,
        region_code,
        mcc,
        payment_way,
        funding,
        currency_code,
        sum(case when is_payment and is_success then amount else 0 end) as payment_amount,
        count(case when is_payment and is_success then 1 end) as payment_count,
        count(case when is_payment then 1 end) as attempt_count,
        sum(case when is_refund and is_success then amount else 0 end) as refund_amount,
        count(case when is_refund and is_success then 1 end) as refund_count
    from transactions
    where {{ built_dates() }}
    group by
        business_date, merchant_id, region_code, mcc, payment_way, funding, currency_code
)

select * from final
