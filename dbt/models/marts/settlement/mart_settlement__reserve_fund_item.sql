-- grain: reference, side, currency_code, business_date
with

open_references as (
    select * from {{ ref('int_settlement__open_reference') }}
),

compared as (
    select
        business_date,
        custodian_reference as reference,
        currency_code,
        first_date,
        ledger_amount,
        custodian_amount,
        coalesce(ledger_amount, 0) as book_amount,
        coalesce(custodian_amount, 0) as bank_amount
    from open_references
    where {{ built_dates() }}
),

final as (
    select
        business_date,
        reference,
        currency_code,
        first_date,
        case
            when custodian_amount is null then 'book_only'
            when ledger_amount is null then 'custodian_only'
            else 'amount_differs'
        end as side,
        -- Where both moved, the larger side is the one that the other has not followed.
        case
            when abs(book_amount) > abs(bank_amount) and book_amount > 0 then 'book_in_bank_not'
            when abs(book_amount) > abs(bank_amount) then 'book_out_bank_not'
            when bank_amount > 0 then 'bank_in_book_not'
            else 'bank_out_book_not'
        end as cause,
        book_amount - bank_amount as amount,
        datediff(business_date, first_date) as age_days
    from compared
    where {{ are_present(['ledger_journal', 'ledger_balance', 'custodian_statement']) }}
)

select * from final
