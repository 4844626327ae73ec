{# The business dates that this run builds. #}
{% macro built_dates(column='business_date') -%}
    {{ column }} between date '{{ var("first_date") }}' and date '{{ var("last_date") }}'
{%- endmacro %}


{# The built dates and `days` before them: daily states only, never rows of history (law 7). #}
{% macro built_dates_and_before(days, column='business_date') -%}
    {{ column }} between date_sub(date '{{ var("first_date") }}', {{ days }})
    and date '{{ var("last_date") }}'
{%- endmacro %}


{# The date before the built ones: what is carried into the run is read from its partition. #}
{% macro date_before() -%}
    date_sub(date '{{ var("first_date") }}', 1)
{%- endmacro %}
