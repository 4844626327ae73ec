"""Follow every asset to where its figures come from: dashboard → chart → dataset → view → gold.

Reads the assets as they are in git, not the source that they were generated from, and the dbt
models and contracts as they are, so that a renamed column is found here and not on a screen.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import duckdb
import yaml

from dashboards import views
from dashboards.generate import ASSETS, DATABASES, identity
from dashboards.views import required
from dashboards.views.expressions import LANGUAGES
from paylake.settings import ROOT

MODELS = ROOT / "dbt" / "models"
_CHINESE = re.compile(r"[一-鿿]")
_RAW = re.compile(r"[a-z]+(_[a-z0-9]+)+")
# The only English words that a Chinese label may be, and the Chinese that an English screen shows.
SAME_IN_BOTH = {"MCC"}


def model_columns(folder: Path = MODELS) -> dict[str, dict[str, str]]:
    """Column → type of every dbt model, from the YAML beside it."""
    found: dict[str, dict[str, str]] = {}
    for file in sorted(folder.rglob("*.yml")):
        content = yaml.safe_load(file.read_text("utf-8")) or {}
        for model in content.get("models", []):
            found[model["name"]] = {
                column["name"]: str(column.get("data_type", "string")).lower()
                for column in model.get("columns", [])
            }
    return found


def load(folder: Path = ASSETS) -> dict[str, dict[str, Any]]:
    """Assets by UUID, with their file's kind as `_kind`."""
    found = {}
    for file in sorted(folder.rglob("*.yaml")):
        content = yaml.safe_load(file.read_text("utf-8"))
        if "uuid" in content:
            content["_kind"] = file.relative_to(folder).parts[0]
            found[content["uuid"]] = content
    return found


def problems(folder: Path = ASSETS, models: dict[str, dict[str, str]] | None = None) -> list[str]:
    """Everything that is wrong, one sentence each; empty when every chart leads to its columns.

    :param models: gold columns by table, those of the dbt project by default.
    """
    assets = load(folder)
    models = model_columns() if models is None else models
    found = _gold(models)
    if found:
        return found  # the views cannot stand without these columns
    columns = {**_views("gold", models), **_views("ops", models)}
    kinds = {kind: [a for a in assets.values() if a["_kind"] == kind] for kind in
             ("dashboards", "charts", "datasets")}  # fmt: skip
    for dataset in kinds["datasets"]:
        found += _dataset(dataset, columns)
    for chart in kinds["charts"]:
        found += _chart(chart, assets, models)
    used: set[str] = set()
    for dashboard in kinds["dashboards"]:
        found += _dashboard(dashboard, assets, used)
    found += [
        f"chart {c['slice_name']} ({c['uuid']}) is on no dashboard"
        for c in kinds["charts"]
        if c["uuid"] not in used
    ]
    return found


def _gold(models: dict[str, dict[str, str]]) -> list[str]:
    return [
        f"dashboards need {table}.{column}, which its dbt model does not have"
        for table, needed in required.GOLD.items()
        for column in needed
        if column not in models.get(table, {})
    ]


def _views(source: str, models: dict[str, dict[str, str]]) -> dict[str, list[str]]:
    """Columns of the presentation views when they stand on the real tables' columns."""
    if source == "gold":
        base = {name: models[name] for name in required.GOLD if name in models}
        definitions = views.view_definitions
    else:
        base, definitions = required.ops(), views.ops_view_definitions
    connection = duckdb.connect(":memory:")
    for name, typed in base.items():
        connection.execute(f'create view "{name}" as {required.empty(typed)}')
    made = {}
    for name, sql in definitions(base):
        connection.execute(f'create view "{name}" as {sql}')
        made[name] = [row[0] for row in connection.execute(f'describe "{name}"').fetchall()]
    connection.close()
    return made


def _language(text: str, language: str, what: str) -> list[str]:
    if text in SAME_IN_BOTH:
        return []
    if _RAW.fullmatch(text):
        return [f"{what}: {text!r} is a raw name"]
    if (language == "zh") != bool(_CHINESE.search(text)):
        return [f"{what}: {text!r} is not in the language of the asset ({language})"]
    return []


def _dataset(dataset: dict[str, Any], columns: dict[str, list[str]]) -> list[str]:
    name = dataset["table_name"]
    language = name.rsplit("_", 1)[1]
    if language not in LANGUAGES or name not in columns:
        return [f"dataset {name} reads no presentation view"]
    found = []
    for column in dataset["columns"]:
        if column["column_name"] not in columns[name]:
            found.append(f"dataset {name}: its view has no column {column['column_name']}")
        found += _language(column["verbose_name"], language, f"dataset {name}")
    for metric in dataset["metrics"]:
        found += _language(metric["verbose_name"], language, f"dataset {name}")
        words = set(re.findall(r"[a-z_]{3,}", metric["expression"]))
        found += [
            f"dataset {name}: metric {metric['metric_name']} uses {word}, which its view lacks"
            for word in sorted(words - set(columns[name]))
        ]
    return found


def _chart(
    chart: dict[str, Any], assets: dict[str, Any], models: dict[str, dict[str, str]]
) -> list[str]:
    title = chart["slice_name"]
    dataset = assets.get(chart["dataset_uuid"])
    if dataset is None:
        return [f"chart {title}: its dataset is not among the assets"]
    language = dataset["table_name"].rsplit("_", 1)[1]
    found = _language(title, language, "chart")
    known = {c["column_name"] for c in dataset["columns"]}
    known |= {m["metric_name"] for m in dataset["metrics"]}
    found += [
        f"chart {title}: its dataset has no {name}" for name in _names(chart) if name not in known
    ]
    parts = re.match(
        r"(?:来源表：|Table: )(.+?)(?:。列：|\. Columns: )(.+?)(?:。算法：|\. Formula: )(.+)",
        chart["description"] or "",
    )
    if parts is None:
        return [*found, f"chart {title}: its description names no table, columns and formula"]
    tables = [name.strip() for name in parts[1].split(",")]
    everything = {**required.RELEASE, **required.ops(), **models}
    reachable = {column for table in tables for column in everything.get(table, {})}
    found += [f"chart {title}: there is no table {t}" for t in tables if t not in everything]
    found += [
        f"chart {title}: none of {', '.join(tables)} has {name.strip()}"
        for name in parts[2].split(",")
        if name.strip() not in reachable
    ]
    return found


def _names(chart: dict[str, Any]) -> list[str]:
    """Columns and metrics that a chart's parameters name."""
    params = chart["params"]
    names = [*params.get("all_columns", []), *params.get("groupby", [])]
    names += params.get("metrics", [])
    names += [params[k] for k in ("x_axis", "metric") if params.get(k)]
    names += [f["subject"] for f in params.get("adhoc_filters", [])]
    return names


def _dashboard(dashboard: dict[str, Any], assets: dict[str, Any], used: set[str]) -> list[str]:
    title = dashboard["dashboard_title"]
    language = dashboard["slug"].rsplit("-", 1)[1]
    found = _language(title, language, f"dashboard {dashboard['slug']}")
    parts = [p for p in dashboard["position"].values() if isinstance(p, dict)]
    for part in parts:
        if part.get("type") == "CHART":
            used.add(part["meta"]["uuid"])
            if part["meta"]["uuid"] not in assets:
                found.append(f"dashboard {title}: a chart is not among the assets")
    placed = {part["meta"]["uuid"] for part in parts if part.get("type") == "CHART"}
    if identity("chart", "state", language) not in placed:
        found.append(f"dashboard {title} has no state line")
    for given in dashboard["metadata"]["native_filter_configuration"]:
        found += _language(given["name"], language, f"dashboard {title}")
        target = given["targets"][0]
        dataset = assets.get(target["datasetUuid"], {"columns": []})
        if target["column"]["name"] not in {c["column_name"] for c in dataset["columns"]}:
            found.append(f"dashboard {title}: filter {given['name']} has no column")
    databases = {identity("database", source) for source in DATABASES}
    found += [
        f"dashboard {title}: a chart reads another database"
        for uuid in placed
        if uuid in assets
        and assets.get(assets[uuid]["dataset_uuid"], {}).get("database_uuid") not in databases
    ]
    return found
