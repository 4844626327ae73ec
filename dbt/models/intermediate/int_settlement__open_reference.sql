-- grain: custodian_reference, currency_code, business_date
-- References that the reserve book and the custodian do not agree on at the end of a date. What was
-- open the date before is carried in, so that a day reads a day; what opens and closes in between
-- is followed by running sums, so that a range gives the same rows as its days.
with

entries as (
    select * from {{ ref('stg_ledger__entry') }}
),

custodian as (
    select * from {{ ref('stg_custodian__entry') }}
),

before as (
    select * from {{ this }}
),

carried as (
    select
        business_date,
        custodian_reference,
        currency_code,
        ledger_amount,
        custodian_amount,
        first_date
    from before
    where business_date = {{ date_before() }}
),

moved as (
    select
        business_date,
        custodian_reference,
        currency_code,
        debit_amount as ledger_amount,
        cast(null as decimal(18, 4)) as custodian_amount
    from entries
    where
        account_code = '1001'
        and {{ built_dates() }}
    union all
    select
        business_date,
        custodian_reference,
        currency_code,
        cast(null as decimal(18, 4)) as ledger_amount,
        received_amount as custodian_amount
    from custodian
    where
        entry_type = 'MOVEMENT'
        and {{ built_dates() }}
),

events as (
    select
        business_date,
        custodian_reference,
        currency_code,
        cast(sum(ledger_amount) as decimal(18, 4)) as ledger_amount,
        cast(sum(custodian_amount) as decimal(18, 4)) as custodian_amount,
        business_date as first_date
    from moved
    group by business_date, custodian_reference, currency_code
    union all
    select
        business_date,
        custodian_reference,
        currency_code,
        ledger_amount,
        custodian_amount,
        first_date
    from carried
),

-- Most references agree on the day they move and never reach the windows below.
disagreeing as (
    select
        custodian_reference,
        currency_code
    from events
    where coalesce(ledger_amount, 0) <> coalesce(custodian_amount, 0)
    group by custodian_reference, currency_code
),

running as (
    select
        events.business_date,
        events.custodian_reference,
        events.currency_code,
        events.ledger_amount,
        events.custodian_amount,
        events.first_date,
        sum(coalesce(events.ledger_amount, 0) - coalesce(events.custodian_amount, 0)) over (
            partition by events.custodian_reference, events.currency_code
            order by events.business_date
            rows between unbounded preceding and current row
        ) as net_amount,
        lead(events.business_date) over (
            partition by events.custodian_reference, events.currency_code
            order by events.business_date
        ) as next_date
    from events
    inner join disagreeing
        on
            events.custodian_reference = disagreeing.custodian_reference
            and events.currency_code = disagreeing.currency_code
),

-- A spell ends where the two sides agree; a reference that opens again starts anew.
spells as (
    select
        business_date,
        custodian_reference,
        currency_code,
        ledger_amount,
        custodian_amount,
        first_date,
        net_amount,
        next_date,
        coalesce(
            sum(case when net_amount = 0 then 1 else 0 end) over (
                partition by custodian_reference, currency_code
                order by business_date
                rows between unbounded preceding and 1 preceding
            ),
            0
        ) as spell_number
    from running
),

states as (
    select
        custodian_reference,
        currency_code,
        net_amount,
        greatest(business_date, date '{{ var("first_date") }}') as from_date,
        least(
            coalesce(date_sub(next_date, 1), date '{{ var("last_date") }}'),
            date '{{ var("last_date") }}'
        ) as to_date,
        sum(ledger_amount) over (
            partition by custodian_reference, currency_code, spell_number
            order by business_date
            rows between unbounded preceding and current row
        ) as ledger_amount,
        sum(custodian_amount) over (
            partition by custodian_reference, currency_code, spell_number
            order by business_date
            rows between unbounded preceding and current row
        ) as custodian_amount,
        min(first_date) over (
            partition by custodian_reference, currency_code, spell_number
            order by business_date
            rows between unbounded preceding and current row
        ) as first_date
    from spells
),

final as (
    select
        custodian_reference,
        currency_code,
        ledger_amount,
        custodian_amount,
        first_date,
        explode(sequence(from_date, to_date, interval 1 day)) as business_date
    from states
    where
        net_amount <> 0
        and from_date <= to_date
        and {{ are_present(['ledger_journal', 'custodian_statement']) }}
)

select * from final
