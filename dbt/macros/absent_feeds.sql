{# SQL's `true` unless the home declares one of these feeds absent. #}
{% macro are_present(feeds) -%}
    {{ 'false' if feeds | select('in', var('absent_feeds')) | list else 'true' }}
{%- endmacro %}


{# A value that is null, not zero, where the home declares one of these feeds absent. #}
{% macro if_present(feeds, value, kind) -%}
    {{ 'cast(null as %s)' % kind if are_present(feeds) == 'false' else value }}
{%- endmacro %}


{% macro amount_if_present(feeds, amount) -%}
    {{ if_present(feeds, amount, 'decimal(18, 4)') }}
{%- endmacro %}


{% macro count_if_present(feeds, count) -%}
    {{ if_present(feeds, count, 'bigint') }}
{%- endmacro %}
