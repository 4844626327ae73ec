"""The query behind a chart: what Superset's front end asks the server for, made without a browser.

For tests, for the closing table of `make run`, and for whoever wants a chart's numbers by program.
A test holds these queries against those that a browser sends.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from dashboards.generate import metric_names
from dashboards.source.charts import Chart
from dashboards.source.screens import Screen

ALL_ROWS = 50_000
Values = Mapping[str, Sequence[str]]


def filters_of(screen: Screen, chart: str, values: Values) -> dict[str, list[str]]:
    """What a screen's filters ask of one of its charts.

    :param values: filter name → chosen values, as on the filter bar.
    :returns: column → values; a filter that does not reach the chart is left out.
    """
    return {
        given.column: list(values[given.name])
        for given in screen.filters
        if given.name in values and chart not in given.unfiltered
    }


def _axis(column: str, grain: str | None) -> dict[str, Any]:
    axis = {
        "columnType": "BASE_AXIS",
        "sqlExpression": column,
        "label": column,
        "expressionType": "SQL",
        "isColumnReference": True,
    }
    return {**axis, "timeGrain": grain} if grain else axis


def query(chart: Chart, filters: Values) -> dict[str, Any]:
    """A chart's query in the terms of Superset's chart-data API, filters by column applied."""
    params = chart.params
    asked = [
        {"col": given["subject"], "op": given["operator"], "val": given["comparator"]}
        for given in params.get("adhoc_filters", [])
    ]
    asked += [{"col": name, "op": "IN", "val": list(values)} for name, values in filters.items()]
    made: dict[str, Any] = {"filters": asked, "row_limit": params.get("row_limit", ALL_ROWS)}
    if params.get("query_mode") == "raw":
        order = [tuple(json.loads(one)) for one in params["order_by_cols"]]
        return {**made, "columns": params["all_columns"], "orderby": order}
    columns = list(params.get("groupby", []))
    if params.get("x_axis"):
        columns.insert(0, _axis(params["x_axis"], params.get("time_grain_sqla")))
    order_by = params.get("timeseries_limit_metric")
    return {
        **made,
        "columns": columns,
        "metrics": metric_names(params),
        "orderby": [(order_by, False)] if order_by else [],
    }


def body(chart: Chart, dataset: int, filters: Values) -> dict[str, Any]:
    """The whole request: POST it to ``/api/v1/chart/data``.

    :param dataset: the id of the chart's dataset in this home's Superset.
    """
    return {
        "datasource": {"id": dataset, "type": "table"},
        "queries": [query(chart, filters)],
        "result_format": "json",
        "result_type": "full",
    }
