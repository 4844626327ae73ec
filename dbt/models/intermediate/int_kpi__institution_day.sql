-- grain: currency_code, business_date
-- The institution's day without comparisons; kept, because they read 30 of them. A date on which
-- nobody paid is a row of zeros in every currency that the ledger closed, and not a missing row.
with

transactions as (
    select * from {{ ref('stg_switch__transaction') }}
),

entries as (
    select * from {{ ref('stg_ledger__entry') }}
),

balances as (
    select * from {{ ref('stg_ledger__balance') }}
),

traded as (
    select
        business_date,
        currency_code,
        sum(case when is_payment and is_success then amount else 0 end) as payment_amount,
        count(case when is_payment and is_success then 1 end) as payment_count,
        count(case when is_payment then 1 end) as attempt_count,
        sum(case when is_refund and is_success then amount else 0 end) as refund_amount,
        count(case when is_refund and is_success then 1 end) as refund_count,
        {{ count_of_named('merchant_id', 'is_payment and is_success') }}
            as active_merchant_count,
        {{ count_of_named('terminal_id', 'is_payment and is_success') }}
            as active_terminal_count
    from transactions
    where {{ built_dates() }}
    group by business_date, currency_code
),

fees as (
    select
        business_date,
        currency_code,
        sum(credit_amount) as fee_income_amount
    from entries
    where
        account_code = '2301'
        and component in ('acquirer_fee', 'service_fee')
        and {{ built_dates() }}
    group by business_date, currency_code
),

keys as (
    select
        business_date,
        currency_code
    from traded
    union distinct
    select
        business_date,
        currency_code
    from fees
    union distinct
    select
        business_date,
        currency_code
    from balances
    where {{ built_dates() }}
),

final as (
    select
        keys.business_date,
        keys.currency_code,
        {{ amount_if_present(['transaction'], 'coalesce(traded.payment_amount, 0)') }}
            as payment_amount,
        {{ count_if_present(['transaction'], 'coalesce(traded.payment_count, 0)') }}
            as payment_count,
        {{ count_if_present(['transaction'], 'coalesce(traded.attempt_count, 0)') }}
            as attempt_count,
        {{ ratio('traded.payment_count', 'traded.attempt_count') }} as success_rate,
        {{ amount_if_present(['transaction'], 'coalesce(traded.refund_amount, 0)') }}
            as refund_amount,
        {{ count_if_present(['transaction'], 'coalesce(traded.refund_count, 0)') }}
            as refund_count,
        {{ amount_if_present(['ledger_journal'], 'coalesce(fees.fee_income_amount, 0)') }}
            as fee_income_amount,
        {{ count_if_present(['transaction'], count_of_row('traded', 'active_merchant_count')) }}
            as active_merchant_count,
        {{ count_if_present(['transaction'], count_of_row('traded', 'active_terminal_count')) }}
            as active_terminal_count
    from keys
    left join traded
        on
            keys.business_date = traded.business_date
            and keys.currency_code = traded.currency_code
    left join fees
        on
            keys.business_date = fees.business_date
            and keys.currency_code = fees.currency_code
)

select * from final
