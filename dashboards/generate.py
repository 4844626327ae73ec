"""Generate Superset's assets from the one source: `dashboards/assets`, one YAML an asset, by UUID.

The tree is in git; a test holds that generating gives the very same files. Column types are what
DuckDB says of the presentation views, so a dataset cannot list a column that its view lacks.
"""

from __future__ import annotations

import uuid
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb
import yaml

from dashboards import views
from dashboards.source.charts import BY_KEY, CHARTS, Chart
from dashboards.source.labels import COLUMNS, DATASETS, METRICS
from dashboards.source.screens import CSS, ENGLISH_CSS, SCREENS, Filter, Height, Row, Screen
from dashboards.views.expressions import GO, LANGUAGES

ASSETS = Path(__file__).with_name("assets")
NAMESPACE = uuid.UUID("5d6c3b0e-8f0b-4d0e-9a63-7061796c616b")
DATABASES = {"gold": "paylake_gold", "ops": "paylake_ops"}
NO_CACHE = -1  # Superset's own value for "ask every time"
Tree = dict[str, dict[str, Any]]


def identity(*parts: str) -> str:
    """The UUID of an asset: the same for the same name, in every home."""
    return str(uuid.uuid5(NAMESPACE, "/".join(parts)))


@lru_cache(maxsize=1)
def view_columns() -> dict[str, dict[str, str]]:
    """Column → type of every presentation view, both sources."""
    found: dict[str, dict[str, str]] = {}
    for definitions in (views.view_definitions({}), views.ops_view_definitions({})):
        connection = duckdb.connect(":memory:")
        for name, sql in definitions:
            connection.execute(f'create view "{name}" as {sql}')
        for name, _ in definitions:
            rows = connection.execute(f'describe "{name}"').fetchall()
            found[name] = {row[0]: row[1] for row in rows}
        connection.close()
    return found


def _database(source: str) -> dict[str, Any]:
    name = DATABASES[source]
    return {
        "database_name": name,
        # The address is never opened: connections come from dashboards.serve.
        "sqlalchemy_uri": f"duckdb:////paylake/{source}",
        "cache_timeout": None if source == "gold" else NO_CACHE,
        "expose_in_sqllab": source == "gold",
        "allow_run_async": False,
        "allow_ctas": False,
        "allow_cvas": False,
        "allow_dml": False,
        "allow_file_upload": False,
        "extra": {
            "engine_params": {},
            "metadata_params": {},
            "metadata_cache_timeout": {},
            "schemas_allowed_for_file_upload": [],
            "allows_virtual_table_explore": True,
        },
        "uuid": identity("database", source),
        "version": "1.0.0",
    }


def _dataset(name: str, language: str) -> dict[str, Any]:
    source, title, tables = DATASETS[name]
    index = LANGUAGES.index(language)
    types = view_columns()[f"{name}_{language}"]
    word = ("读取", "Reads")[index]
    return {
        "table_name": f"{name}_{language}",
        "main_dttm_col": "point_date" if "point_date" in types else None,
        "description": f"{title[index]}：{word} {', '.join(tables)}"
        if language == "zh"
        else f"{title[index]}. {word} {', '.join(tables)}",
        "default_endpoint": None,
        "offset": 0,
        # How late the data are depends on the clock, and ops is read at latest.
        "cache_timeout": NO_CACHE if source == "ops" or name == "screen_state" else None,
        "schema": "main",
        "sql": None,
        "params": None,
        "template_params": None,
        "filter_select_enabled": True,
        "fetch_values_predicate": None,
        "extra": None,
        "uuid": identity("dataset", name, language),
        "metrics": [
            {
                "metric_name": metric,
                "verbose_name": names[index],
                "metric_type": None,
                "expression": (zh_sql, en_sql)[index],
                "description": None,
                "d3format": (zh_format, en_format)[index],
                "extra": {},
                "warning_text": None,
            }
            for metric, (zh_sql, en_sql, zh_format, en_format, names) in METRICS.get(
                name, {}
            ).items()
        ],
        "columns": [
            {
                "column_name": column,
                "verbose_name": COLUMNS[column][index],
                "is_dttm": column == "point_date",
                "is_active": True,
                "type": kind,
                "groupby": True,
                "filterable": True,
                "expression": None,
                "description": None,
                "python_date_format": None,
                "extra": {},
            }
            for column, kind in types.items()
        ],
        "version": "1.0.0",
        "database_uuid": identity("database", source),
    }


def _localised(value: Any, index: int) -> Any:
    """Pairs of (Chinese, English) become the text of the language; all else stays."""
    if isinstance(value, tuple):
        return value[index]
    if isinstance(value, dict):
        return {key: _localised(inner, index) for key, inner in value.items()}
    if isinstance(value, list):
        return [_localised(inner, index) for inner in value]
    return value


def description(chart: Chart, language: str) -> str:
    """What a chart shows: table, columns, formula."""
    tables = ", ".join(DATASETS[chart.dataset][2])
    columns = ", ".join(chart.columns)
    if language == "zh":
        return f"来源表：{tables}。列：{columns}。算法：{chart.formula[0]}。"
    return f"Table: {tables}. Columns: {columns}. Formula: {chart.formula[1]}."


def metric_names(params: dict[str, Any]) -> list[str]:
    """The measures of a chart's parameters, whether it has one or several."""
    return params.get("metrics") or [m for m in [params.get("metric")] if m]


def _chart(chart: Chart, language: str) -> dict[str, Any]:
    index = LANGUAGES.index(language)
    params = _localised(chart.params, index)
    metrics = metric_names(params)
    if chart.viz != "table" and metrics:
        form = METRICS[chart.dataset][metrics[0]][2 + index]
        params.update({"y_axis_format": form, "currency_format": {}})
    if chart.viz == "table" and metrics:
        params["column_config"] = {
            metric: {"d3NumberFormat": METRICS[chart.dataset][metric][2 + index]}
            for metric in metrics
        }
    return {
        "slice_name": chart.title[index],
        "description": description(chart, language),
        "certified_by": None,
        "certification_details": None,
        "viz_type": chart.viz,
        "params": {"viz_type": chart.viz, **params},
        "query_context": None,
        "cache_timeout": None,
        "uuid": identity("chart", chart.key, language),
        "is_managed_externally": True,
        "version": "1.0.0",
        "dataset_uuid": identity("dataset", chart.dataset, language),
    }


def _navigation(screen: Screen, language: str) -> str:
    """Links to the other screens, and to this one in the other language; filters go along."""
    index, other = LANGUAGES.index(language), LANGUAGES[1 - LANGUAGES.index(language)]
    parts = [
        f"**{s.title[index]}**"
        if s.key == (screen.twin or screen.key)
        else f"[{s.title[index]}]({GO}/{s.key}-{language}/)"
        for s in SCREENS
        if not s.phone
    ]
    phone = next((s for s in SCREENS if s.twin == screen.key), None)
    if phone:
        parts.append(f"[{('手机版', 'Phone')[index]}]({GO}/{phone.key}-{language}/)")
    parts.append(f"[{('English', '中文')[index]}]({GO}/{screen.key}-{other}/)")
    return " · ".join(parts)


def _filter(given: Filter, language: str, ids: dict[str, int]) -> dict[str, Any]:
    index = LANGUAGES.index(language)
    return {
        "id": f"NATIVE_FILTER-{given.name}",
        "name": given.title[index],
        "filterType": "filter_select",
        "type": "NATIVE_FILTER",
        "requiredFirst": given.first,
        "targets": [
            {
                "datasetUuid": identity("dataset", given.dataset, language),
                "column": {"name": given.column},
            }
        ],
        "controlValues": {
            "multiSelect": given.multiple,
            "enableEmptyFilter": given.first,
            "defaultToFirstItem": given.first,
            "inverseSelection": False,
            "searchAllOptions": not given.first,
            "sortAscending": not given.descending,
        },
        "defaultDataMask": {"extraFormData": {}, "filterState": {}, "ownState": {}},
        "cascadeParentIds": [],
        "scope": {
            "rootPath": ["ROOT_ID"],
            "excluded": [ids[key] for key in given.unfiltered if key in ids],
        },
        "description": "",
        "chartsInScope": [],
        "tabsInScope": [],
    }


def _position(screen: Screen, language: str, ids: dict[str, int]) -> dict[str, Any]:
    index = LANGUAGES.index(language)
    rows = [f"ROW-{number}" for number in range(len(screen.rows))]
    position: dict[str, Any] = {
        "DASHBOARD_VERSION_KEY": "v2",
        "ROOT_ID": {"type": "ROOT", "id": "ROOT_ID", "children": ["GRID_ID"]},
        "GRID_ID": {"type": "GRID", "id": "GRID_ID", "parents": ["ROOT_ID"], "children": rows},
        "HEADER_ID": {
            "type": "HEADER",
            "id": "HEADER_ID",
            "meta": {"text": screen.title[index]},
        },
    }
    for name, row in zip(rows, screen.rows, strict=True):
        position[name] = {
            "type": "ROW",
            "id": name,
            "parents": ["ROOT_ID", "GRID_ID"],
            "children": [f"PART-{key}" for key, _, _ in row],
            "meta": {"background": "BACKGROUND_TRANSPARENT"},
        }
        for key, width, height in row:
            position[f"PART-{key}"] = _part(screen, language, ids, name, (key, width, height))
    return position


def _part(
    screen: Screen, language: str, ids: dict[str, int], row: str, part: tuple[str, int, Height]
) -> dict[str, Any]:
    key, width, height = part
    placed = {
        "id": f"PART-{key}",
        "parents": ["ROOT_ID", "GRID_ID", row],
        "children": [],
    }
    tall = height[LANGUAGES.index(language)] if isinstance(height, tuple) else height
    size = {"width": width, "height": tall}
    if key == "nav":
        code = _navigation(screen, language)
        return {"type": "MARKDOWN", **placed, "meta": {**size, "code": code}}
    title = BY_KEY[key].title[LANGUAGES.index(language)]
    chart = {
        "chartId": ids[key],
        "sliceName": title,
        "uuid": identity("chart", key, language),
    }
    return {"type": "CHART", **placed, "meta": {**size, **chart}}


def _charts_of(rows: list[Row]) -> list[str]:
    return [key for row in rows for key, _, _ in row if key != "nav"]


def _dashboard(screen: Screen, language: str) -> dict[str, Any]:
    index = LANGUAGES.index(language)
    # Numbers within the file; the import maps them to the home's own by UUID.
    ids = {key: number for number, key in enumerate(_charts_of(screen.rows), 1)}
    return {
        "dashboard_title": screen.title[index],
        "description": screen.about[index],
        "css": CSS + (ENGLISH_CSS if language == "en" else ""),
        "slug": f"{screen.key}-{language}",
        "certified_by": "",
        "certification_details": "",
        "published": True,
        "uuid": identity("dashboard", screen.key, language),
        "is_managed_externally": True,
        "position": _position(screen, language, ids),
        "metadata": {
            "timed_refresh_immune_slices": [],
            "expanded_slices": {},
            "refresh_frequency": 0,
            "default_filters": "{}",
            "color_scheme": "paylake",
            "cross_filters_enabled": False,
            "filter_bar_orientation": "HORIZONTAL",
            "native_filter_configuration": [
                _filter(given, language, ids) for given in screen.filters
            ],
            "label_colors": {},
            "shared_label_colors": [],
        },
        "version": "1.0.0",
    }


def assets() -> Tree:
    """Every asset: path below `dashboards/assets` → content."""
    tree: Tree = {
        "metadata.yaml": {
            "version": "1.0.0",
            "type": "assets",
            "timestamp": "2026-01-01T00:00:00+00:00",
        }
    }

    def put(folder: str, content: dict[str, Any]) -> None:
        tree[f"{folder}/{content['uuid']}.yaml"] = content

    for source, database in DATABASES.items():
        tree[f"databases/{database}.yaml"] = _database(source)
    for language in LANGUAGES:
        for name, (source, _, _) in DATASETS.items():
            put(f"datasets/{DATABASES[source]}", _dataset(name, language))
        for chart in CHARTS:
            put("charts", _chart(chart, language))
        for screen in SCREENS:
            put("dashboards", _dashboard(screen, language))
    return tree


class _Dumper(yaml.SafeDumper):
    """Keeps long texts readable and never writes anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def render(content: dict[str, Any]) -> str:
    """An asset as YAML text."""
    return yaml.dump(content, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=100)


def write(folder: Path = ASSETS) -> int:
    """Write every asset, and remove files that no source makes any more.

    :returns: how many files changed.
    """
    wanted = {folder / path: render(content) for path, content in assets().items()}
    changed = 0
    for path in folder.rglob("*.yaml"):
        if path not in wanted:
            path.unlink()
            changed += 1
    for path, text in wanted.items():
        if not path.exists() or path.read_text("utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
            changed += 1
    return changed
