-- grain: calendar_date
with

calendar as (
    select * from {{ ref('calendar_working_day') }}
),

final as (
    select
        calendar_date,
        min(case when is_working_day then calendar_date end) over (
            order by calendar_date
            rows between 1 following and unbounded following
        ) as next_working_date,
        kind = 'holiday' as is_public_holiday,
        lead(kind = 'holiday') over (order by calendar_date) as is_eve_of_public_holiday
    from calendar
)

select * from final
