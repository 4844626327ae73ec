-- grain: merchant_id, currency_code, business_date
{% set deducted = [
    'refund', 'issuer_fee', 'network_fee', 'acquirer_fee', 'service_fee', 'dispute', 'payout',
    'void', 'chargeback', 'offset', 'capture',
] %}
{% set added = [
    'gross', 'split', 'points', 'exchange', 'shortfall', 'returned', 'correction',
] %}
with

entries as (
    select * from {{ ref('stg_ledger__entry') }}
),

-- Every leg on a pending account has one measure. A correction is the institution's own, whatever
-- the journal that it corrects; a sum of the customer's is a payment, or what undoes one.
pending as (
    select
        business_date,
        party_id as merchant_id,
        currency_code,
        journal_id,
        credit_amount,
        debit_amount,
        adjusts_date,
        -- A payout, or the reversal of what undid one (1); what undid one (-1).
        case
            when journal_type = 'reversal' and component = 'payout' then -1
            when journal_type = 'reversal' and component = 'returned' then 1
            when journal_type = 'adjustment' then 0
            when component = 'payout' then 1
            when component = 'returned' then -1
            else 0
        end as standing,
        case
            when journal_type in ('adjustment', 'reversal') then 'correction'
            when component = 'gross' and journal_type in ('refund', 'void') then journal_type
            else component
        end as measure
    from entries
    where
        account_code = '2201'
        and {{ built_dates() }}
),

-- What came back or was reversed later on its date was not paid. A journal does not say which
-- payout it undoes: it is one of the same sum before it.
followed as (
    select
        business_date,
        merchant_id,
        currency_code,
        credit_amount,
        debit_amount,
        adjusts_date,
        measure,
        coalesce(
            sum(standing) over (
                partition by business_date, merchant_id, currency_code, abs(credit_amount)
                order by journal_id
                rows between current row and unbounded following
            ) > 0, false
        ) as is_standing
    from pending
),

-- Fees are debits less what refunds and voids returned.
summed as (
    select
        business_date,
        merchant_id,
        currency_code,
        count(case measure when 'gross' then 1 end) as payment_count,
        count(case measure when 'refund' then 1 end) as refund_count,
        {% for measure in deducted %}
            sum(case measure when '{{ measure }}' then debit_amount else 0 end)
                as {{ measure }}_amount,
        {% endfor %}
        {% for measure in added %}
            sum(case measure when '{{ measure }}' then credit_amount else 0 end)
                as {{ measure }}_amount,
        {% endfor %}
        sum(
            case
                when adjusts_date is not null and measure <> 'payout' then credit_amount else 0
            end
        ) as adjustment_amount,
        sum(
            case when measure = 'payout' and is_standing then debit_amount else 0 end
        ) as standing_payout_amount
    from followed
    group by business_date, merchant_id, currency_code
),

final as (
    select
        business_date,
        merchant_id,
        currency_code,
        payment_count,
        gross_amount,
        refund_count,
        refund_amount,
        issuer_fee_amount,
        network_fee_amount,
        acquirer_fee_amount,
        service_fee_amount,
        dispute_amount as disputed_amount,
        payout_amount,
        standing_payout_amount,
        adjustment_amount,
        void_amount,
        chargeback_amount,
        split_amount,
        points_amount,
        exchange_amount,
        offset_amount,
        shortfall_amount,
        capture_amount,
        returned_amount,
        correction_amount
    from summed
)

select * from final
