{# SQL's `true` unless the home declares one of these feeds absent. #}
{% macro are_present(feeds) -%}
    {{ 'false' if feeds | select('in', var('absent_feeds')) | list else 'true' }}
{%- endmacro %}


{# An amount that is null, not zero, where the home declares one of these feeds absent. #}
{% macro amount_if_present(feeds, amount) -%}
    {{ 'cast(null as decimal(18, 4))' if are_present(feeds) == 'false' else amount }}
{%- endmacro %}
