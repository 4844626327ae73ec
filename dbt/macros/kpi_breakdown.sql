{#
    The CTEs `days`, `today` and `final` of a KPI mart that cuts the institution's day by `keys`:
    amounts and counts, the success rate, the share of the day and the payments of a week earlier.
    The model imports `merchant_days` and, for one key with names, `names`.

    :param keys: columns of `merchant_days`.
    :param if_null: column -> what a null counts as.
    :param labels: column of `names` -> what it says where the key has no name.
#}
{% macro kpi_breakdown(keys, if_null={}, labels={}) -%}
{%- set grain = ['business_date'] + keys + ['currency_code'] -%}
{%- set measures = ['payment_amount', 'payment_count', 'attempt_count', 'refund_amount'] -%}
days as (
    select
        business_date,
        {%- for key in keys %}
        {{ key if key not in if_null else "coalesce(%s, '%s') as %s" % (key, if_null[key], key) }},
        {%- endfor %}
        currency_code,
        {%- for measure in measures %}
        sum({{ measure }}) as {{ measure }},
        {%- endfor %}
        {{ count_of_named('merchant_id', 'payment_count > 0') }}
            as active_merchant_count
    from merchant_days
    where {{ built_dates_and_before(7) }}
    group by
        business_date,
        {%- for key in keys %}
        {{ key if key not in if_null else "coalesce(%s, '%s')" % (key, if_null[key]) }},
        {%- endfor %}
        currency_code
),

today as (
    select
        {%- for column in grain + measures %}
        {{ column }},
        {%- endfor %}
        active_merchant_count,
        sum(payment_amount) over (partition by business_date, currency_code) as total_amount
    from days
    where {{ built_dates() }}
),

final as (
    select
        {%- for column in grain %}
        today.{{ column }},
        {%- endfor %}
        {%- for label, unknown in labels.items() %}
        coalesce(names.{{ label }}, '{{ unknown }}') as {{ label }},
        {%- endfor %}
        {%- for measure in measures %}
        today.{{ measure }},
        {%- endfor %}
        today.active_merchant_count,
        {{ ratio('today.payment_count', 'today.attempt_count') }} as success_rate,
        {{ ratio('today.payment_amount', 'today.total_amount') }} as share_rate,
        week_before.payment_amount as same_weekday_payment_amount
    from today
    left join days as week_before
        on
            date_sub(today.business_date, 7) = week_before.business_date
            {%- for key in keys %}
            and today.{{ key }} = week_before.{{ key }}
            {%- endfor %}
            and today.currency_code = week_before.currency_code
    {%- if labels %}
    left join names
        on today.{{ keys[0] }} = names.{{ keys[0] }}
    {%- endif %}
)
{%- endmacro %}
