-- grain: merchant_id, currency_code, business_date
with

entries as (
    select * from {{ ref('stg_ledger__entry') }}
),

pending as (
    select
        business_date,
        party_id as merchant_id,
        currency_code,
        component,
        credit_amount,
        debit_amount,
        adjusts_date,
        component = 'gross' and journal_type = 'payment' as is_payment_gross,
        component = 'gross' and journal_type = 'refund' as is_refund_gross
    from entries
    where
        account_code = '2201'
        and {{ built_dates() }}
),

-- Fees are debits less what refunds returned.
final as (
    select
        business_date,
        merchant_id,
        currency_code,
        count(case when is_payment_gross then 1 end) as payment_count,
        sum(case when is_payment_gross then credit_amount else 0 end) as gross_amount,
        count(case when is_refund_gross then 1 end) as refund_count,
        sum(case when is_refund_gross then debit_amount else 0 end) as refund_amount,
        sum(case component when 'issuer_fee' then debit_amount else 0 end) as issuer_fee_amount,
        sum(case component when 'network_fee' then debit_amount else 0 end) as network_fee_amount,
        sum(case component when 'acquirer_fee' then debit_amount else 0 end)
            as acquirer_fee_amount,
        sum(case component when 'service_fee' then debit_amount else 0 end) as service_fee_amount,
        sum(case component when 'dispute' then debit_amount else 0 end) as disputed_amount,
        sum(case component when 'payout' then debit_amount else 0 end) as payout_amount,
        sum(
            case
                when adjusts_date is not null and component <> 'payout' then credit_amount else 0
            end
        ) as adjustment_amount
    from pending
    group by business_date, merchant_id, currency_code
)

select * from final
