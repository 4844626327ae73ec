{#
    Incremental strategy `replace_dates`: one atomic commit replaces the business dates of the run
    (law 1). dbt-spark does not know `insert into … replace where`, which both engines run; hence
    these two overrides of its macros.
#}
{% macro dbt_spark_validate_get_incremental_strategy(raw_strategy, file_format) %}
    {%- if raw_strategy != 'replace_dates' -%}
        {%- do exceptions.raise_compiler_error(
            "Incremental strategy '" ~ raw_strategy ~ "' is not used here: models replace their "
            ~ "business dates. Set incremental_strategy to replace_dates."
        ) -%}
    {%- endif -%}
    {%- do return(raw_strategy) -%}
{% endmacro %}


{% macro dbt_spark_get_incremental_sql(
    strategy, source, target, existing, unique_key, incremental_predicates
) %}
    {%- set wanted = adapter.get_columns_in_relation(target) -%}
    {%- set given = adapter.get_columns_in_relation(source) -%}
    {%- do assert_same_columns(target, wanted, given) -%}
    insert into {{ target }}
    replace where {{ built_dates() }}
    select
        {%- for column in wanted %}
        cast({{ column.name }} as {{ column.dtype }}) as {{ column.name }}
        {{- "," if not loop.last }}
        {%- endfor %}
    from {{ source }}
{% endmacro %}


{#
    The exit select casts to the table's types, because the engines give different precisions to
    sums. It may not turn a floating point number into money, and the names must be the table's.
#}
{% macro assert_same_columns(target, wanted, given) %}
    {%- set kinds = {} -%}
    {%- for column in given -%}{%- do kinds.update({column.name: column.dtype}) -%}{%- endfor -%}
    {%- set names = wanted | map(attribute='name') | list -%}
    {%- set missing = names | reject('in', kinds.keys() | list) | list -%}
    {%- set extra = kinds.keys() | reject('in', names) | list -%}
    {%- if missing or extra -%}
        {%- do exceptions.raise_compiler_error(
            target ~ " and its model have different columns: the model lacks " ~ missing
            ~ ", the table lacks " ~ extra
        ) -%}
    {%- endif -%}
    {%- for column in wanted -%}
        {%- if column.dtype.startswith('decimal') and kinds[column.name] in ('double', 'float') -%}
            {%- do exceptions.raise_compiler_error(
                target ~ "." ~ column.name ~ " is money and the model gives a " ~ kinds[column.name]
            ) -%}
        {%- endif -%}
    {%- endfor -%}
{% endmacro %}


{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ custom_schema_name if custom_schema_name else target.schema }}
{%- endmacro %}
