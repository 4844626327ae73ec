-- Both sides of the reserve get from their opening balance to their closing one by what moved.
{{ config(meta={
    'check_code': 'reserve_roll_forward_difference_amount',
    'owner': 'settlement@paylake.example',
    'reason': 'A movement that one side counts twice or not at all shows on that side alone.',
}) }}
with

reserves as (
    select * from {{ ref('mart_settlement__reserve_fund_day') }}
),

rolled as (
    select
        business_date,
        currency_code,
        book_opening_amount + book_inflow_amount - book_outflow_amount - book_amount
            as book_difference_amount,
        custodian_opening_amount + custodian_inflow_amount - custodian_outflow_amount
        - custodian_amount as custodian_difference_amount
    from reserves
    where {{ built_dates() }}
),

final as (
    select
        business_date,
        currency_code,
        book_difference_amount,
        custodian_difference_amount
    from rolled
    where
        book_difference_amount <> 0
        or custodian_difference_amount <> 0
)

select * from final
