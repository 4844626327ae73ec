{#
    Columns of a relation. A Delta table that is named by its location has no columns in the
    embedded engine's catalog, but a view over it has them on both engines.
#}
{% macro spark__get_columns_in_relation_raw(relation) %}
    {%- set view = relation.identifier ~ '__columns' -%}
    {% call statement('name_columns') -%}
        create or replace temporary view {{ view }} as select * from {{ relation }}
    {%- endcall %}
    {% call statement('get_columns_in_relation_raw', fetch_result=True) -%}
        describe extended {{ view }}
    {%- endcall %}
    {% do return(load_result('get_columns_in_relation_raw').table) %}
{% endmacro %}
