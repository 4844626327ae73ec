-- grain: side, business_key, currency_code, business_date
with

open_keys as (
    select * from {{ ref('int_tie__open_key') }}
),

quarantined as (
    select * from {{ ref('stg_quarantine__transaction') }}
),

deliveries as (
    select * from {{ ref('stg_ops__delivery') }}
),

items as (
    select
        business_date,
        side,
        business_key,
        merchant_id,
        ledger_amount,
        transaction_amount,
        currency_code,
        first_date,
        closed_by_date,
        case side when 'ledger_only' then 'transaction' else 'ledger_journal' end as missing_feed,
        cast(business_date as timestamp) + interval {{ var('run_time_offset_minutes') }} minutes
            as run_at
    from open_keys
    where {{ built_dates() }}
),

bad_rows as (
    select
        record_key,
        min(business_date) as quarantined_date
    from quarantined
    group by record_key
),

-- What the run of a date could see: held deliveries that no accepted one has replaced by then.
held as (
    select
        items.business_date,
        items.business_key,
        items.currency_code
    from items
    inner join deliveries
        on
            items.missing_feed = deliveries.feed
            and items.first_date = deliveries.business_date
    where
        deliveries.held_sent_at <= items.run_at
        and (
            deliveries.accepted_sent_at is null
            or deliveries.accepted_sent_at > items.run_at
        )
    group by items.business_date, items.business_key, items.currency_code
),

final as (
    select
        items.business_date,
        items.side,
        items.business_key,
        items.merchant_id,
        items.ledger_amount,
        items.transaction_amount,
        items.currency_code,
        items.closed_by_date,
        case
            when items.side = 'amount_differs' then 'unexplained'
            when bad_rows.record_key is not null then 'quarantined'
            when held.business_key is not null then 'delivery_refused_or_waiting'
            else 'not_received'
        end as open_item_class
    from items
    left join bad_rows
        on
            items.side = 'ledger_only'
            and items.business_key = bad_rows.record_key
            and items.business_date >= bad_rows.quarantined_date
    left join held
        on
            items.business_date = held.business_date
            and items.business_key = held.business_key
            and items.currency_code = held.currency_code
)

select * from final
