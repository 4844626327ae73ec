{# No two rows with one business key. Dated tables are looked at for the built dates alone. #}
{% test grain(model, columns, dated=true) %}
select
    {{ columns | join(', ') }},
    count(*) as row_count
from {{ model }}
{%- if dated %}
where {{ built_dates() }}
{%- endif %}
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}
