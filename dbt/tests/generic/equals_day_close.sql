{# Every account of the ledger's day close has its row in the mart, with the same balance. #}
{% test equals_day_close(model, column_name, account_code) %}
with

ledger as (
    select
        business_date,
        party_id,
        currency_code,
        sum(closing_amount) as closing_amount
    from {{ ref('stg_ledger__balance') }}
    where
        account_code = '{{ account_code }}'
        and {{ built_dates() }}
    group by business_date, party_id, currency_code
),

mart as (
    select
        business_date,
        merchant_id,
        currency_code,
        {{ column_name }}
    from {{ model }}
    where {{ built_dates() }}
)

select
    ledger.closing_amount,
    mart.{{ column_name }},
    coalesce(ledger.business_date, mart.business_date) as business_date,
    coalesce(ledger.party_id, mart.merchant_id) as merchant_id
from ledger
full outer join mart
    on
        ledger.business_date = mart.business_date
        and ledger.party_id = mart.merchant_id
        and ledger.currency_code = mart.currency_code
where
    coalesce(ledger.closing_amount, 0) <> coalesce(mart.{{ column_name }}, 0)
    or (mart.merchant_id is not null and mart.{{ column_name }} is null)
{% endtest %}
