-- grain: feed, business_date, sequence
with

source as (
    select * from {{ source('ops', 'delivery') }}
),

ranked as (
    select
        feed,
        business_date,
        sequence,
        state,
        sent_at,
        row_number() over (
            partition by feed, business_date, sequence, data_digest
            order by recorded_at desc, state desc
        ) as recency
    from source
),

-- A refused delivery frees its name, so the same sequence may come again and be accepted.
final as (
    select
        feed,
        business_date,
        sequence,
        min(case when state in ('refused', 'waiting') then sent_at end) as held_sent_at,
        min(case when state in ('accepted', 'superseded') then sent_at end) as accepted_sent_at
    from ranked
    where recency = 1
    group by feed, business_date, sequence
)

select * from final
