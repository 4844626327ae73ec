-- The institution's payments are the successful payments of the switch.
{{ config(meta={
    'check_code': 'kpi_total_difference_amount',
    'owner': 'operations@paylake.example',
    'reason': 'Traded amounts read transactions and nothing else.',
}) }}
with

transactions as (
    select * from {{ ref('stg_switch__transaction') }}
),

institution as (
    select * from {{ ref('mart_kpi__institution_day') }}
),

compared as (
    select
        business_date,
        currency_code,
        amount
    from transactions
    where
        is_payment
        and is_success
        and {{ built_dates() }}
    union all
    select
        business_date,
        currency_code,
        -payment_amount as amount
    from institution
    where {{ built_dates() }}
),

{{ what_does_not_net('compared') }}

select * from final
