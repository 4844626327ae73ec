"""House style of the dbt project: grain, names, descriptions, unit tests, lint."""

from __future__ import annotations

import re

import pytest
import yaml

from paylake import dbt_project
from paylake.settings import ROOT

MODELS = dbt_project.models()
PREFIXES = {
    "staging": r"stg_[a-z]+__[a-z_]+",
    "intermediate": r"int_[a-z]+__[a-z_]+",
    "marts": r"(mart_[a-z]+__[a-z_]+|fct_[a-z_]+|dim_[a-z_]+|rpt_[a-z_]+)",
}


def document(name: str) -> dict:
    return yaml.safe_load(MODELS[name].path.with_suffix(".yml").read_text("utf-8"))


def test_the_models_are_these() -> None:
    published = sorted(name for name, model in MODELS.items() if model.published)
    assert published == [
        "fct_tie_item",
        "mart_kpi__institution_day",
        "mart_kpi__mcc_day",
        "mart_kpi__payment_way_day",
        "mart_kpi__region_day",
        "mart_settlement__merchant_day",
        "mart_settlement__reserve_fund_day",
        "mart_settlement__reserve_fund_item",
    ]
    stored = sorted(n for n, m in MODELS.items() if m.stored and not m.published)
    assert stored == [
        "int_kpi__institution_day",
        "int_kpi__merchant_way_day",
        "int_settlement__open_reference",
        "int_tie__open_key",
    ]


def test_there_is_no_package_that_shadows_dbt() -> None:
    assert not list(dbt_project.PROJECT.rglob("__init__.py"))


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_named_described_and_unit_tested(name: str) -> None:
    model = MODELS[name]
    layer = model.path.relative_to(dbt_project.PROJECT).parts[1]
    assert re.fullmatch(PREFIXES[layer], name)
    assert model.path.read_text("utf-8").startswith("-- grain: ")
    assert model.description
    assert all(column.description and column.type for column in model.columns)
    node = document(name)
    tested = [test for test in node["unit_tests"] if test["model"] == name]
    assert tested and all(test["expect"]["rows"] for test in tested)
    grains = [t["grain"]["arguments"] for t in node["models"][0]["data_tests"] if "grain" in t]
    stated = model.path.read_text("utf-8").split("\n")[0].removeprefix("-- grain: ")
    assert len(grains) == 1
    assert set(grains[0]["columns"]) == set(stated.split(", "))


@pytest.mark.parametrize("name", MODELS)
def test_wildcards_only_import(name: str) -> None:
    for line in MODELS[name].path.read_text("utf-8").split("\n"):
        if "select *" in line:
            allowed = r"\s*select \* from ({{ .* }}|final|days)$"
            assert re.fullmatch(allowed, line), line


@pytest.mark.parametrize("name", [n for n, m in MODELS.items() if m.stored])
def test_stored_models_are_dated_and_money_is_decimal(name: str) -> None:
    types = {column.name: column.type for column in MODELS[name].columns}
    assert types["business_date"] == "date"
    for column, kind in types.items():
        if column.endswith("amount"):
            assert kind == "decimal(18,4)", column
    if any(column.endswith("amount") for column in types):
        assert "currency_code" in types


def test_docs_blocks_are_all_used() -> None:
    written = (dbt_project.PROJECT / "models" / "columns.md").read_text("utf-8")
    blocks = set(re.findall(r"{% docs (\w+) %}", written))
    used = set()
    for path in (dbt_project.PROJECT / "models").rglob("*.yml"):
        used |= set(re.findall(r"doc\('(\w+)'\)", path.read_text("utf-8")))
    assert blocks == used


def test_lint_leaves_no_rule_out() -> None:
    """`make lint`, and with it `make test`, runs sqlfluff over all SQL."""
    configuration = (ROOT / ".sqlfluff").read_text("utf-8")
    assert "exclude_rules" not in configuration and "ignore =" not in configuration
    assert "sqlfluff\" lint" in (ROOT / "bin" / "check").read_text("utf-8")
