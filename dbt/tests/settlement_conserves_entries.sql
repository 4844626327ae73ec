-- What the mart nets and pays out is all that moved on the pending accounts, whatever merchants it
-- was joined with.
{{ config(meta={
    'check_code': 'settlement_total_difference_amount',
    'owner': 'settlement@paylake.example',
    'reason': 'A join that loses or doubles a merchant shows here.',
}) }}
with

entries as (
    select * from {{ ref('stg_ledger__entry') }}
),

marts as (
    select * from {{ ref('mart_settlement__merchant_day') }}
),

moved as (
    select
        business_date,
        currency_code,
        credit_amount as amount
    from entries
    where
        account_code = '2201'
        and {{ built_dates() }}
    union all
    select
        business_date,
        currency_code,
        payout_amount - net_amount as amount
    from marts
    where {{ built_dates() }}
),

{{ what_does_not_net('moved') }}

select * from final
