-- grain: currency_code, business_date
with

balances as (
    select * from {{ ref('stg_ledger__balance') }}
),

entries as (
    select * from {{ ref('stg_ledger__entry') }}
),

custodian as (
    select * from {{ ref('stg_custodian__entry') }}
),

items as (
    select * from {{ ref('mart_settlement__reserve_fund_item') }}
),

books as (
    select
        business_date,
        currency_code,
        sum(case account_code when '2101' then closing_amount else 0 end) as user_balance_amount,
        sum(case account_code when '2201' then closing_amount else 0 end)
            as merchant_pending_amount,
        sum(case account_code when '2202' then closing_amount else 0 end)
            as merchant_disputed_amount,
        sum(case account_code when '2301' then closing_amount else 0 end) as fee_pending_amount,
        sum(case account_code when '2401' then closing_amount else 0 end) as unidentified_amount,
        sum(case account_code when '2211' then closing_amount else 0 end)
            as merchant_balance_amount,
        sum(case account_code when '2501' then closing_amount else 0 end) as prepaid_card_amount,
        sum(case account_code when '2302' then closing_amount else 0 end)
            as exchange_difference_amount,
        sum(case account_code when '1901' then closing_amount else 0 end)
            as currency_position_amount,
        -- The position is an asset: what is held for other currencies' customers is not ours.
        sum(
            case
                when account_code = '1901' then -opening_amount
                when
                    account_code in
                    ('2101', '2201', '2202', '2211', '2301', '2302', '2401', '2501')
                    then opening_amount
                else 0
            end
        ) as book_opening_amount,
        sum(
            case
                when
                    account_code in
                    (
                        '1001', '1901', '2101', '2201', '2202', '2211', '2301', '2302', '2401',
                        '2501'
                    )
                    then abs(opening_amount) + abs(closing_amount)
                else 0
            end
        ) as reserve_activity_amount
    from balances
    where {{ built_dates() }}
    group by business_date, currency_code
),

summed as (
    select
        business_date,
        currency_code,
        user_balance_amount,
        merchant_pending_amount,
        merchant_disputed_amount,
        fee_pending_amount,
        unidentified_amount,
        merchant_balance_amount,
        prepaid_card_amount,
        exchange_difference_amount,
        currency_position_amount,
        book_opening_amount,
        reserve_activity_amount,
        user_balance_amount + merchant_pending_amount + merchant_disputed_amount
        + fee_pending_amount + unidentified_amount + merchant_balance_amount
        + prepaid_card_amount + exchange_difference_amount
        - currency_position_amount as book_amount
    from books
),

deposits as (
    select
        business_date,
        currency_code,
        {{ inflow_and_outflow('book', 'debit_amount') }}
    from entries
    where
        account_code = '1001'
        and {{ built_dates() }}
    group by business_date, currency_code
),

-- Fees that left the reserve for own funds, less what was reversed; a part of the outflow.
moved_fees as (
    select
        business_date,
        currency_code,
        sum(debit_amount) as fee_moved_amount
    from entries
    where
        account_code = '2301'
        and component = 'fee_income'
        and {{ built_dates() }}
    group by business_date, currency_code
),

statements as (
    select
        business_date,
        currency_code,
        sum(case entry_type when 'OPENING' then received_amount end)
            as custodian_opening_amount,
        {{ inflow_and_outflow(
            'custodian', "case entry_type when 'MOVEMENT' then received_amount end"
        ) }},
        sum(case entry_type when 'CLOSING' then received_amount end) as custodian_amount
    from custodian
    where {{ built_dates() }}
    group by business_date, currency_code
),

open_items as (
    select
        business_date,
        currency_code,
        sum(amount) as unarrived_amount,
        count(*) as item_count,
        max(age_days) as largest_age_days
    from items
    where {{ built_dates() }}
    group by business_date, currency_code
),

final as (
    select
        summed.business_date,
        summed.currency_code,
        summed.user_balance_amount,
        summed.merchant_pending_amount,
        summed.merchant_disputed_amount,
        summed.fee_pending_amount,
        summed.unidentified_amount,
        summed.merchant_balance_amount,
        summed.prepaid_card_amount,
        summed.exchange_difference_amount,
        summed.currency_position_amount,
        summed.book_opening_amount,
        summed.book_amount,
        statements.custodian_opening_amount,
        statements.custodian_inflow_count,
        statements.custodian_inflow_amount,
        statements.custodian_outflow_count,
        statements.custodian_outflow_amount,
        -- Without a closing line there is nothing to compare with: null, never zero.
        statements.custodian_amount,
        open_items.largest_age_days,
        coalesce(deposits.book_inflow_count, 0) as book_inflow_count,
        coalesce(deposits.book_inflow_amount, 0) as book_inflow_amount,
        coalesce(deposits.book_outflow_count, 0) as book_outflow_count,
        coalesce(deposits.book_outflow_amount, 0) as book_outflow_amount,
        coalesce(moved_fees.fee_moved_amount, 0) as fee_moved_amount,
        summed.book_amount - statements.custodian_amount as difference_amount,
        {{ amount_if_present(
            ['custodian_statement'], 'coalesce(open_items.unarrived_amount, 0)'
        ) }} as unarrived_amount,
        summed.book_amount - statements.custodian_amount
        - coalesce(open_items.unarrived_amount, 0) as unexplained_amount,
        {{ count_if_present(['custodian_statement'], 'coalesce(open_items.item_count, 0)') }}
            as item_count
    from summed
    left join deposits
        on
            summed.business_date = deposits.business_date
            and summed.currency_code = deposits.currency_code
    left join moved_fees
        on
            summed.business_date = moved_fees.business_date
            and summed.currency_code = moved_fees.currency_code
    left join statements
        on
            summed.business_date = statements.business_date
            and summed.currency_code = statements.currency_code
    left join open_items
        on
            summed.business_date = open_items.business_date
            and summed.currency_code = open_items.currency_code
    -- A currency of own funds or memo books alone has no reserve, and no statement to wait for.
    where
        {{ are_present(['ledger_journal', 'ledger_balance']) }}
        and (
            summed.reserve_activity_amount <> 0
            or deposits.business_date is not null
            or statements.business_date is not null
        )
)

select * from final
