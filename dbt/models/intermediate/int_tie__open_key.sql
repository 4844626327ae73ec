-- grain: business_key, currency_code, business_date
-- Business keys on which ledger and transactions do not agree at the end of a date, and those that
-- came to agree on it. Carried and followed like int_settlement__open_reference.
with

entries as (
    select * from {{ ref('stg_ledger__entry') }}
),

transactions as (
    select * from {{ ref('stg_switch__transaction') }}
),

before as (
    select * from {{ this }}
),

carried as (
    select
        business_date,
        business_key,
        currency_code,
        merchant_id,
        ledger_amount,
        transaction_amount,
        side,
        first_date
    from before
    where
        business_date = {{ date_before() }}
        and closed_by_date is null
),

-- One amount a journal: the gross, disputed or charged back sum, whatever its direction.
journals as (
    select
        business_date,
        business_key,
        currency_code,
        journal_id,
        max(party_id) as merchant_id,
        abs(sum(credit_amount)) as ledger_amount
    from entries
    where
        is_traded
        and {{ built_dates() }}
    group by business_date, business_key, currency_code, journal_id
),

moved as (
    select
        business_date,
        business_key,
        currency_code,
        merchant_id,
        ledger_amount,
        cast(null as decimal(18, 4)) as transaction_amount
    from journals
    union all
    select
        business_date,
        transaction_id as business_key,
        currency_code,
        merchant_id,
        cast(null as decimal(18, 4)) as ledger_amount,
        amount as transaction_amount
    from transactions
    where
        is_success
        and {{ built_dates() }}
),

events as (
    select
        business_date,
        business_key,
        currency_code,
        max(merchant_id) as merchant_id,
        cast(sum(ledger_amount) as decimal(18, 4)) as ledger_amount,
        cast(sum(transaction_amount) as decimal(18, 4)) as transaction_amount,
        business_date as first_date
    from moved
    group by business_date, business_key, currency_code
    union all
    select
        business_date,
        business_key,
        currency_code,
        merchant_id,
        ledger_amount,
        transaction_amount,
        first_date
    from carried
),

{{ running_difference(
    'business_key', 'ledger_amount', 'transaction_amount', kept=['merchant_id']
) }},

sided as (
    select
        business_date,
        business_key,
        currency_code,
        net_amount,
        next_date,
        spell_number,
        merchant_id,
        ledger_amount,
        transaction_amount,
        first_date,
        case
            when transaction_amount is null then 'ledger_only'
            when ledger_amount is null then 'transaction_only'
            else 'amount_differs'
        end as side
    from summed
),

-- A closing row keeps the side that was open; keys that agree at once have none.
states as (
    select
        business_key,
        currency_code,
        net_amount,
        merchant_id,
        ledger_amount,
        transaction_amount,
        first_date,
        {{ stands_from() }} as from_date,
        case
            when net_amount = 0 then business_date
            else {{ stands_to() }}
        end as to_date,
        case when net_amount = 0 then business_date end as closed_by_date,
        case
            when net_amount <> 0 then side
            else lag(side) over (
                partition by business_key, currency_code, spell_number
                order by business_date
            )
        end as side
    from sided
),

final as (
    select
        business_key,
        currency_code,
        merchant_id,
        ledger_amount,
        transaction_amount,
        side,
        first_date,
        closed_by_date,
        explode(sequence(from_date, to_date, interval 1 day)) as business_date
    from states
    where
        side is not null
        and from_date <= to_date
        and {{ are_present(['ledger_journal', 'transaction']) }}
)

select * from final
