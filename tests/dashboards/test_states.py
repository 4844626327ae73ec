"""Screens that have nothing, or a held date, to show: each says so, and nothing else is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dashboards import browser
from dashboards.source.screens import BY_KEY
from dashboards.views.expressions import LANGUAGES
from paylake.settings import Settings
from tests.dashboards import serving_fixture
from tests.dashboards.superset_home import running

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]
DESKTOP = ("overview", "settlement", "quality")


def _texts(settings: Settings, user: str, keys: tuple[str, ...]) -> dict[str, str]:
    """What each screen shows to a user, in both languages; every chart must have stood still."""
    base, found = f"http://127.0.0.1:{settings.superset_port}", {}
    with browser.browser() as driver:
        browser.log_in(driver, base, user, browser._login(settings, user))
        for key in keys:
            for language in LANGUAGES:
                address = browser.address(BY_KEY[key], language)
                seen = browser.look(driver, base, address, browser.charts_of(BY_KEY[key]))
                assert seen.problems == [], address
                found[f"{key}-{language}"] = "\n".join(chart["text"] for chart in seen.charts)
    for name, text in found.items():
        if name.endswith("-en"):
            # Names of merchants and persons are their own; Superset's words and ours are English.
            assert not re.search("亿|万|没有|每页|全选", text), (name, text)
    return found


def test_an_empty_lake_says_that_nothing_is_released(tmp_path: Path) -> None:
    with running(serving_fixture.make_home(tmp_path / "empty", "empty")) as settings:
        texts = _texts(settings, "operations", DESKTOP)
    for key in DESKTOP:
        assert "尚无发布" in texts[f"{key}-zh"]
        assert "Nothing released yet" in texts[f"{key}-en"]


def test_a_held_date_is_told_to_every_role_that_sees_it(held_home: Settings) -> None:
    with running(held_home) as settings:
        operations = _texts(settings, "operations", ("quality",))
        management = _texts(settings, "management", ("overview",))
        analyst = _texts(settings, "analyst", ("settlement",))
    assert "10-11 周日 被闸门扣住" in operations["quality-zh"]
    assert "is held" in operations["quality-en"]
    assert "10-11 周日 被闸门扣住" in management["overview-zh"]
    assert "晚 1 天" in management["overview-zh"] and "1 day(s) late" in management["overview-en"]
    assert "广东" in analyst["settlement-zh"] and "四川" not in analyst["settlement-zh"]
