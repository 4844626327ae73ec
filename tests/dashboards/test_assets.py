"""The generated assets: equal to the tree, in both languages, each chart leading to gold."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

import pytest
import yaml

from dashboards import access, generate, lint
from dashboards.source.charts import CHARTS
from dashboards.source.screens import SCREENS
from dashboards.views import required
from dashboards.views.expressions import LANGUAGES


def test_generating_gives_the_tree_in_git() -> None:
    wanted = {path: generate.render(content) for path, content in generate.assets().items()}
    found = {
        str(file.relative_to(generate.ASSETS)): file.read_text("utf-8")
        for file in generate.ASSETS.rglob("*.yaml")
    }
    assert found == wanted
    for folder, each in (("charts", CHARTS), ("dashboards", SCREENS)):
        assert sum(path.startswith(f"{folder}/") for path in found) == 2 * len(each)


def test_writing_again_changes_nothing_and_removes_what_no_source_makes(tmp_path: Path) -> None:
    assert generate.write(tmp_path) > 50
    assert generate.write(tmp_path) == 0
    stray = tmp_path / "charts" / "stray.yaml"
    stray.write_text("uuid: x\n")
    assert generate.write(tmp_path) == 1
    assert not stray.exists()


def test_every_asset_has_a_uuid_of_its_own_that_names_its_file() -> None:
    uuids = [content["uuid"] for content in generate.assets().values() if "uuid" in content]
    assert len(uuids) == len(set(uuids)) > 80


def test_every_chart_leads_to_its_gold_columns() -> None:
    assert lint.problems() == []


def test_a_column_that_a_model_drops_is_found() -> None:
    models = copy.deepcopy(lint.model_columns())
    del models["mart_kpi__institution_day"]["median_30d_success_rate"]
    assert [p for p in lint.problems(models=models) if "median_30d_success_rate" in p]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return Path(shutil.copytree(generate.ASSETS, tmp_path / "assets"))


def _change(tree: Path, key: str, language: str, **changes: object) -> None:
    file = tree / "charts" / f"{generate.identity('chart', key, language)}.yaml"
    content = yaml.safe_load(file.read_text("utf-8"))
    content.update(changes)
    file.write_text(yaml.safe_dump(content, allow_unicode=True), "utf-8")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"slice_name": "Regions"}, "not in the language"),
        ({"slice_name": "region_name"}, "raw name"),
        ({"description": "pretty"}, "names no table"),
        ({"params": {"viz_type": "table", "all_columns": ["gone"]}}, "has no gone"),
        ({"dataset_uuid": "00000000-0000-0000-0000-000000000000"}, "not among the assets"),
    ],
)
def test_the_linter_finds_what_it_is_for(tree: Path, changes: dict, said: str) -> None:
    _change(tree, "region", "zh", **changes)
    assert any(said in problem for problem in lint.problems(tree))


def test_both_languages_have_the_same_charts_in_the_same_places() -> None:
    places = {}
    for language in LANGUAGES:
        for screen in SCREENS:
            position = generate._position(screen, language, dict.fromkeys(
                generate._charts_of(screen.rows), 1))  # fmt: skip
            places[screen.key, language] = {
                name: (part["type"], part.get("meta", {}).get("width"))
                for name, part in position.items()
                if isinstance(part, dict)
            }
    for screen in SCREENS:
        assert places[screen.key, "zh"] == places[screen.key, "en"]


def test_every_row_fits_the_grid_and_has_the_state_line_first() -> None:
    for screen in SCREENS:
        assert all(sum(width for _, width, _ in row) <= 12 for row in screen.rows), screen.key
        first = [key for row in screen.rows[:2] for key, _, _ in row]
        assert "state" in first and "nav" in first


def test_roles_open_what_their_screens_need_and_no_base_table() -> None:
    opened = {role.name: access.datasets_of(role) for role in access.ROLES}
    assert opened["analyst"] < opened["management"]
    assert not any(name.startswith("overview_card") for name in opened["analyst"])
    assert {"ops_check_zh", "ops_step_en"} <= opened["operations"]
    for names in opened.values():
        assert not names & (set(required.GOLD) | set(required.ops()))


def test_row_rules_cover_every_dataset_of_several_regions_that_a_scoped_role_opens() -> None:
    scoped = {role.name: role for role in access.ROLES if not role.all_rows}
    assert set(scoped) == {"analyst"}
    opened = {name.rsplit("_", 1)[0] for r in scoped.values() for name in access.datasets_of(r)}
    columns = generate.view_columns()
    with_regions = {name for name in opened if "region_code" in columns[f"{name}_zh"]}
    assert with_regions == set(access.SCOPED)
    rules = access.row_rules()
    assert len(rules) == len(access.region_codes()) + 1 > 30
    assert [r.clause for r in rules if r.is_base] == ["1 = 0"]
    given = {name for names in access.DEMO_USERS.values() for name in names}
    assert {n for n in given if n.startswith(access.REGION)} < {r for x in rules for r in x.roles}


def test_scope_follows_the_roles() -> None:
    class Named:
        def __init__(self, *names: str) -> None:
            self.roles = [type("Role", (), {"name": name}) for name in names]

    assert access.scope(None) == {}
    assert access.scope(Named("analyst")) == {}
    assert access.scope(Named("analyst", "region_440000")) == {"scope_region": ["440000"]}
    assert access.scope(Named("management")) == {"scope_all": True}
    assert access.scope(Named("analyst", "all_regions")) == {"scope_all": True}
