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

{{ running_difference('custodian_reference', 'ledger_amount', 'custodian_amount') }},

states as (
    select
        custodian_reference,
        currency_code,
        net_amount,
        {{ stands_from() }} as from_date,
        {{ stands_to() }} as to_date,
        ledger_amount,
        custodian_amount,
        first_date
    from summed
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
