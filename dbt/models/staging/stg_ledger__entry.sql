-- grain: journal_id, leg_number
with

source as (
    select * from {{ source('silver', 'ledger_entry') }}
),

final as (
    select
        business_date,
        journal_id,
        leg_number,
        journal_type,
        business_key,
        account_id,
        account_code,
        party_id,
        component,
        currency_code,
        adjusts_date,
        case direction when 'D' then amount else -amount end as debit_amount,
        case direction when 'C' then amount else -amount end as credit_amount,
        coalesce(custodian_reference, business_key) as custodian_reference,
        -- What the switch saw, too: its sum is on the merchant's pending account, whoever manages
        -- the money (2201, and the memo accounts of the two other settlement modes).
        account_code in ('2201', '9201', '9211')
        and component in ('gross', 'dispute', 'chargeback')
        and journal_type not in ('adjustment', 'reversal') as is_traded
    from source
)

select * from final
