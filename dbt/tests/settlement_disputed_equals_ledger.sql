-- Every disputed account of the ledger's day close has its mart row, with the same balance.
{{ config(meta={
    'check_code': 'settlement_disputed_difference_amount',
    'owner': 'settlement@paylake.example',
    'reason': 'Money held in dispute is owed to the merchant or to the payer; none may be lost.',
}) }}
with

balances as (
    select * from {{ ref('stg_ledger__balance') }}
),

marts as (
    select * from {{ ref('mart_settlement__merchant_day') }}
),

ledger as (
    select
        business_date,
        party_id,
        currency_code,
        sum(closing_amount) as closing_amount
    from balances
    where
        account_code = '2202'
        and {{ built_dates() }}
    group by business_date, party_id, currency_code
),

mart as (
    select
        business_date,
        merchant_id,
        currency_code,
        closing_disputed_amount
    from marts
    where {{ built_dates() }}
),

final as (
    select
        ledger.closing_amount,
        mart.closing_disputed_amount,
        coalesce(ledger.business_date, mart.business_date) as business_date,
        coalesce(ledger.party_id, mart.merchant_id) as merchant_id
    from ledger
    full outer join mart
        on
            ledger.business_date = mart.business_date
            and ledger.party_id = mart.merchant_id
            and ledger.currency_code = mart.currency_code
    where coalesce(ledger.closing_amount, 0) <> coalesce(mart.closing_disputed_amount, 0)
)

select * from final
