{# Columns that always have a value: keys, and money that must not get lost in a join. #}
{% test never_null(model, columns) %}
select {{ columns | join(', ') }}
from {{ model }}
where
    {{ built_dates() }}
    and (
        {%- for column in columns %}
        {{ "or " if not loop.first }}{{ column }} is null
        {%- endfor %}
    )
{% endtest %}
