{#
    The CTEs `disagreeing`, `running`, `spells` and `summed` over a CTE `events` (one row a key,
    currency and date on which one of two sides moved, what was open before the run among them):
    what each side moved since the two last agreed. A spell ends where they agree; a key that opens
    again starts a new one. Running sums, so that a range gives the same rows as its days.

    :param key: the column that both sides name.
    :param ours, theirs: amounts of the two sides, null where a side did not move.
    :param kept: columns of which the largest value seen in the spell is carried along.
#}
{% macro running_difference(key, ours, theirs, kept=[]) -%}
{%- set spell -%}
over (
            partition by {{ key }}, currency_code, spell_number
            order by business_date
            rows between unbounded preceding and current row
        )
{%- endset -%}
-- Most keys agree on the day they move and never reach the windows below.
disagreeing as (
    select
        {{ key }},
        currency_code
    from events
    where coalesce({{ ours }}, 0) <> coalesce({{ theirs }}, 0)
    group by {{ key }}, currency_code
),

running as (
    select
        events.business_date,
        events.{{ key }},
        events.currency_code,
        {%- for column in kept + [ours, theirs] %}
        events.{{ column }},
        {%- endfor %}
        events.first_date,
        sum(coalesce(events.{{ ours }}, 0) - coalesce(events.{{ theirs }}, 0)) over (
            partition by events.{{ key }}, events.currency_code
            order by events.business_date
            rows between unbounded preceding and current row
        ) as net_amount,
        lead(events.business_date) over (
            partition by events.{{ key }}, events.currency_code
            order by events.business_date
        ) as next_date
    from events
    inner join disagreeing
        on
            events.{{ key }} = disagreeing.{{ key }}
            and events.currency_code = disagreeing.currency_code
),

spells as (
    select
        business_date,
        {{ key }},
        currency_code,
        {%- for column in kept + [ours, theirs] %}
        {{ column }},
        {%- endfor %}
        first_date,
        net_amount,
        next_date,
        coalesce(
            sum(case when net_amount = 0 then 1 else 0 end) over (
                partition by {{ key }}, currency_code
                order by business_date
                rows between unbounded preceding and 1 preceding
            ),
            0
        ) as spell_number
    from running
),

summed as (
    select
        business_date,
        {{ key }},
        currency_code,
        net_amount,
        next_date,
        spell_number,
        {%- for column in kept %}
        max({{ column }}) {{ spell }} as {{ column }},
        {%- endfor %}
        sum({{ ours }}) {{ spell }} as {{ ours }},
        sum({{ theirs }}) {{ spell }} as {{ theirs }},
        min(first_date) {{ spell }} as first_date
    from spells
)
{%- endmacro %}


{# First built date on which the state after an event stands. #}
{% macro stands_from() -%}
    greatest(business_date, date '{{ var("first_date") }}')
{%- endmacro %}


{# Last built date on which it stands: the day before the next event, or the end of the run. #}
{% macro stands_to() -%}
    least(
                coalesce(date_sub(next_date, 1), date '{{ var("last_date") }}'),
                date '{{ var("last_date") }}'
            )
{%- endmacro %}
