{# A closed list of values. #}
{% test one_of(model, column_name, values) %}
select {{ column_name }}
from {{ model }}
where
    {{ built_dates() }}
    and {{ column_name }} not in ('{{ values | join("', '") }}')
{% endtest %}
