{# A share or rate, the same on both engines; null when there is no base. #}
{% macro ratio(part, base) -%}
    round(cast({{ part }} as double) / nullif({{ base }}, 0), 9)
{%- endmacro %}


{#
    How many different ones of a column the payments of a group name, by the condition that makes a
    row count. Null where there are such rows and none names one: the source lacks the column.
#}
{% macro count_of_named(column, is_counted) -%}
    case
        when
            count(case when {{ is_counted }} then 1 end) = 0
            or count(case when {{ is_counted }} then {{ column }} end) > 0
            then count(distinct case when {{ is_counted }} then {{ column }} end)
    end
{%- endmacro %}


{# A count that `count_of_named` made in a joined relation: zero where that has no row at all. #}
{% macro count_of_row(relation, column) -%}
    case when {{ relation }}.business_date is null then 0 else {{ relation }}.{{ column }} end
{%- endmacro %}


{#
    The median of a group, exact: the middle value, or half the sum of the two middle ones. Amounts
    stay decimals; rates keep 9 digits.
#}
{% macro exact_median(value) -%}
    case
        when count({{ value }}) > 0
            then round((
                element_at(
                    sort_array(collect_list({{ value }})),
                    cast(floor((count({{ value }}) + 1) / 2) as int)
                )
                + element_at(
                    sort_array(collect_list({{ value }})),
                    cast(floor(count({{ value }}) / 2) as int) + 1
                )
            ) * 0.5, 9)
    end
{%- endmacro %}


{#
    What came in and what went out, counted and summed over a group, from a signed amount (in +,
    out -; rows without one count nowhere). Outflows are positive.
#}
{% macro inflow_and_outflow(side, amount) -%}
    count(case when {{ amount }} > 0 then 1 end) as {{ side }}_inflow_count,
        sum(case when {{ amount }} > 0 then {{ amount }} else 0 end) as {{ side }}_inflow_amount,
        count(case when {{ amount }} < 0 then 1 end) as {{ side }}_outflow_count,
        sum(case when {{ amount }} < 0 then -{{ amount }} else 0 end) as {{ side }}_outflow_amount
{%- endmacro %}


{# The CTE `final` of a test: dates and currencies on which the signed amounts of a CTE do not net. #}
{% macro what_does_not_net(cte) -%}
final as (
    select
        business_date,
        currency_code,
        sum(amount) as difference_amount
    from {{ cte }}
    group by business_date, currency_code
    having sum(amount) <> 0
)
{%- endmacro %}
