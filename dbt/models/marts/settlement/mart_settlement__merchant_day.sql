-- grain: merchant_id, currency_code, business_date
{% set measures = [
    'payment_count', 'gross_amount', 'refund_count', 'refund_amount', 'issuer_fee_amount',
    'network_fee_amount', 'acquirer_fee_amount', 'service_fee_amount', 'disputed_amount',
    'adjustment_amount', 'payout_amount', 'standing_payout_amount',
    'void_amount', 'chargeback_amount', 'split_amount', 'points_amount', 'exchange_amount',
    'offset_amount', 'shortfall_amount', 'capture_amount', 'returned_amount', 'correction_amount',
] %}
with

movements as (
    select * from {{ ref('int_settlement__merchant_movement') }}
),

balances as (
    select * from {{ ref('stg_ledger__balance') }}
),

merchants as (
    select * from {{ ref('stg_registry__merchant') }}
),

calendar as (
    select * from {{ ref('int_calendar__next_working_day') }}
),

positions as (
    select
        business_date,
        party_id as merchant_id,
        currency_code,
        sum(case account_code when '2201' then opening_amount end) as opening_pending_amount,
        sum(case account_code when '2201' then closing_amount end) as closing_balance_amount,
        sum(case account_code when '2202' then closing_amount else 0 end) as held_amount
    from balances
    where
        account_code in ('2201', '2202')
        and {{ built_dates() }}
    group by business_date, party_id, currency_code
),

keys as (
    select
        business_date,
        merchant_id,
        currency_code
    from movements
    union distinct
    select
        business_date,
        merchant_id,
        currency_code
    from positions
    where
        opening_pending_amount <> 0
        or closing_balance_amount <> 0
        or held_amount <> 0
),

days as (
    select
        keys.business_date,
        keys.merchant_id,
        keys.currency_code,
        {% for measure in measures %}
            coalesce(movements.{{ measure }}, 0) as {{ measure }},
        {% endfor %}
        -- An account that moves is in the day close: a missing one stays null and is found.
        positions.opening_pending_amount,
        positions.held_amount
    from keys
    left join movements
        on
            keys.business_date = movements.business_date
            and keys.merchant_id = movements.merchant_id
            and keys.currency_code = movements.currency_code
    left join positions
        on
            keys.business_date = positions.business_date
            and keys.merchant_id = positions.merchant_id
            and keys.currency_code = positions.currency_code
),

-- What comes of neither payments, refunds, fees nor disputes, in the merchant's favour.
furthered as (
    select
        business_date,
        merchant_id,
        currency_code,
        {% for measure in measures %}
            {{ measure }},
        {% endfor %}
        opening_pending_amount,
        held_amount,
        split_amount + points_amount + exchange_amount + shortfall_amount + returned_amount
        + correction_amount - void_amount - chargeback_amount - offset_amount
        - capture_amount as other_amount
    from days
),

netted as (
    select
        business_date,
        merchant_id,
        currency_code,
        {% for measure in measures %}
            {{ measure }},
        {% endfor %}
        opening_pending_amount,
        held_amount,
        gross_amount - refund_amount - issuer_fee_amount - network_fee_amount
        - acquirer_fee_amount - service_fee_amount - disputed_amount
        + other_amount as net_amount,
        other_amount
    from furthered
),

closed as (
    select
        business_date,
        merchant_id,
        currency_code,
        {% for measure in measures %}
            {{ measure }},
        {% endfor %}
        opening_pending_amount,
        held_amount,
        net_amount,
        other_amount,
        opening_pending_amount + net_amount - payout_amount as closing_pending_amount
    from netted
),

final as (
    select
        closed.business_date,
        closed.merchant_id,
        merchants.merchant_name,
        merchants.merchant_type,
        merchants.mcc,
        merchants.region_code,
        merchants.settlement_bank,
        merchants.settlement_account_masked,
        merchants.settlement_mode,
        merchants.settlement_cycle,
        merchants.fee_class,
        closed.currency_code,
        closed.payment_count,
        closed.gross_amount,
        closed.refund_count,
        closed.refund_amount,
        closed.issuer_fee_amount,
        closed.network_fee_amount,
        closed.acquirer_fee_amount,
        closed.service_fee_amount,
        closed.disputed_amount,
        closed.adjustment_amount,
        closed.net_amount,
        closed.opening_pending_amount,
        closed.payout_amount,
        closed.closing_pending_amount,
        closed.held_amount as closing_disputed_amount,
        closed.other_amount,
        closed.void_amount,
        closed.chargeback_amount,
        closed.split_amount,
        closed.points_amount,
        closed.exchange_amount,
        closed.offset_amount,
        closed.shortfall_amount,
        closed.capture_amount,
        closed.returned_amount,
        closed.correction_amount,
        -- A minimum holds in the currency in which it was agreed.
        case
            when closed.currency_code = merchants.currency_code
                then merchants.minimum_payout_amount
        end as minimum_payout_amount,
        -- A public holiday pushes every payout on to the next working day.
        case
            when merchants.settlement_cycle = 'T+0' and not calendar.is_public_holiday
                then closed.business_date
            when merchants.settlement_cycle = 'D+1' and not calendar.is_eve_of_public_holiday
                then date_add(closed.business_date, 1)
            when merchants.settlement_cycle in ('T+0', 'D+1', 'T+1')
                then calendar.next_working_date
        end as due_date,
        case
            when closed.closing_pending_amount < 0 then 'negative'
            when closed.held_amount > 0 then 'disputed'
            when closed.standing_payout_amount > 0 then 'paid'
            when closed.closing_pending_amount = 0 then 'none'
            when
                closed.closing_pending_amount < merchants.minimum_payout_amount
                and closed.currency_code = merchants.currency_code
                then 'rolled'
            else 'due'
        end as settlement_status
    from closed
    left join merchants
        on
            closed.merchant_id = merchants.merchant_id
            and closed.business_date >= merchants.valid_from
            and (closed.business_date < merchants.valid_to or merchants.valid_to is null)
    left join calendar
        on closed.business_date = calendar.calendar_date
    where {{ are_present(['ledger_journal', 'ledger_balance']) }}
)

select * from final
