"""The running product: figures, roles, a hostile analyst, a live switch of releases, screens."""

from __future__ import annotations

import json
import stat
import subprocess
import time
from collections.abc import Iterator
from decimal import Decimal

import pytest

import dashboards
from dashboards import access, browser
from dashboards.carry import chosen
from dashboards.source.screens import SCREENS
from dashboards.views.expressions import LANGUAGES
from paylake.settings import Settings
from tests.dashboards import serving_fixture
from tests.dashboards.superset_api import Reader
from tests.dashboards.superset_home import python, running
from tests.dashboards.test_guard import ATTACKS
from tests.dashboards.test_views import reader

LAST = "2026-10-11"
pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def superset(full_home: Settings) -> Iterator[Settings]:
    with running(full_home) as settings:
        yield settings


def test_setting_up_again_is_nothing_to_do_in_a_second(superset: Settings) -> None:
    started = time.process_time()
    assert dashboards.set_up(superset, python()) == "nothing to do"
    assert time.process_time() - started < 1


def test_logins_are_the_owners_alone_and_marked_demo(superset: Settings) -> None:
    file = superset.path("keys", "logins.json")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    logins = json.loads(file.read_text("utf-8"))["superset"]
    assert set(logins) == {"admin", "management", "analyst", "operations"}
    assert all(login["demo"] and len(login["password"]) >= 12 for login in logins.values())
    assert len({login["password"] for login in logins.values()}) == len(logins)


def test_what_charts_query_equals_the_gold_tables(superset: Settings) -> None:
    manager = Reader(superset, "management")
    gold = reader(superset, scope_all=True)
    status, rows = manager.data(
        manager.dataset("overview_trend_en"), LAST, metrics=["amount"], columns=["point_day"]
    )
    assert status == 200
    expected = gold.execute("select sum(payment_amount) from mart_kpi__institution_day").fetchone()[
        0
    ]
    assert round(Decimal(str(sum(row["amount"] for row in rows))), 2) == round(expected, 2)
    status, rows = manager.data(
        manager.dataset("settlement_merchant_zh"), LAST, metrics=["payout", "pending"]
    )
    expected = gold.execute(
        "select sum(payout_amount), sum(closing_pending_amount)"
        " from mart_settlement__merchant_day where business_date = date '2026-10-11'"
    ).fetchone()
    shown = [round(Decimal(str(rows[0][name])), 2) for name in ("payout", "pending")]
    assert shown == [round(value, 2) for value in expected]


SAME = """
from superset.app import create_app
app = create_app()
with app.app_context():
    from flask import g
    from superset import db, security_manager
    from superset.connectors.sqla.models import SqlaTable
    from dashboards import access
    for name in ("admin", *access.DEMO_USERS):
        with app.test_request_context("/"):
            g.user = user = security_manager.find_user(name)
            theirs = {
                table.table_name.lower() for table in db.session.query(SqlaTable)
                if security_manager.can_access_datasource(table)
            }
            same = access._readable(user, security_manager) == theirs
            print("found", name, len(theirs), same)
"""


@pytest.mark.long
def test_what_a_user_may_name_is_what_superset_lets_him_open(superset: Settings) -> None:
    done = subprocess.run(
        [str(python()), "-c", SAME], env=dashboards.environment(superset),
        capture_output=True, text=True, check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("found")]
    assert len(found) >= 4 and all(same == "True" for _, _, same in found), found
    counts = {name: int(count) for name, count, _ in found}
    assert 0 < counts["analyst"] < counts["management"] < counts["admin"]


def test_an_analyst_sees_his_regions_alone(superset: Settings) -> None:
    analyst = Reader(superset, "analyst")
    dataset = analyst.dataset("settlement_merchant_zh")
    status, rows = analyst.data(dataset, LAST, columns=["region_code"], metrics=["merchants"])
    assert status == 200
    assert {row["region_code"] for row in rows} == {"440000", "310000"}
    assert analyst.dataset("overview_card_zh") == 0
    assert analyst.dataset("ops_check_zh") == 0


def test_row_rules_hold_where_the_views_would_not(superset: Settings) -> None:
    """The analyst's query, run on views that are wide open, has his regions alone."""
    open_views = reader(superset, scope_all=True)
    checked = 0
    for user, regions in (("analyst", {"310000", "440000"}), ("management", None)):
        one = Reader(superset, user)
        for name in access.SCOPED:
            status, sql = one.sql_of(one.dataset(f"{name}_zh"), LAST, columns=["region_code"])
            assert status == 200, sql
            found = {row[0] for row in open_views.execute(sql).fetchall()}
            assert found == regions if regions else len(found) > 5, (user, name, sql)
            checked += 1
    assert checked == 2 * len(access.SCOPED)


def test_a_screen_that_is_not_open_says_why_and_what_to_do(superset: Settings) -> None:
    analyst, operator = Reader(superset, "analyst"), Reader(superset, "operations")
    status, page = analyst.page("/superset/dashboard/overview-zh/")
    assert status == 403
    assert "「今日总览」没有对您开放" in page and "角色 management 或 operations" in page
    assert 'href="/superset/dashboard/settlement-zh/"' in page and "quality-zh" not in page
    status, page = analyst.page("/superset/dashboard/quality-en/")
    assert status == 403 and "is not open to you" in page
    for reader_, screen in ((analyst, "settlement-zh"), (analyst, "merchant-en"),
                            (operator, "overview-zh"), (operator, "quality-en")):  # fmt: skip
        assert reader_.page(f"/superset/dashboard/{screen}/")[0] == 200


def test_a_cached_answer_is_not_given_to_another_scope(superset: Settings) -> None:
    query = {"metrics": ["merchants"], "columns": ["status_name"]}
    seen = {}
    for user in ("management", "analyst", "management"):
        one = Reader(superset, user)
        dataset = one.dataset("settlement_merchant_en")
        seen[user] = sum(r["merchants"] for r in one.data(dataset, LAST, **query)[1])
    assert 0 < seen["analyst"] < seen["management"] == 300


#: The guard meets every attack in `test_guard`; here some go the whole way, in the long tests all.
@pytest.mark.parametrize("step", [24, pytest.param(1, marks=pytest.mark.long)])
def test_a_hostile_analyst_gets_nothing_in_sql_lab(superset: Settings, step: int) -> None:
    analyst = Reader(superset, "analyst")
    database = analyst.database()
    assert database
    status, answer = analyst.sql(database, "select count(*) as n from settlement_merchant_zh")
    assert status == 200 and answer["data"][0]["n"] > 0
    leaked = []
    for attack in ATTACKS[::step]:
        if attack == "select 1; select 2":
            continue  # Superset runs the two one at a time, and each is harmless
        status, answer = analyst.sql(database, attack)
        if status == 200 and answer.get("data"):
            leaked.append(attack)
    assert leaked == []
    # and the scope holds in plain queries, too
    status, answer = analyst.sql(
        database, "select distinct region_code from settlement_merchant_en order by 1"
    )
    assert [row["region_code"] for row in answer["data"]] == ["310000", "440000"]


def test_management_has_no_sql_lab(superset: Settings) -> None:
    manager = Reader(superset, "management")
    status, _ = manager.sql(1, "select 1")
    assert status in (403, 404, 422)


def test_a_new_release_shows_without_restart(superset: Settings) -> None:
    manager = Reader(superset, "management")
    before = superset.path("serving", "CURRENT").read_text()
    dataset = manager.dataset("screen_state_zh")
    shown = {}
    try:
        for sequence in (29, 30, 29):
            tables = serving_fixture.gold_tables(days=sequence, merchants=20)
            release_id = serving_fixture.write_release(superset, tables, 100 + sequence)
            status, rows = manager.data(dataset, "", columns=["release_id", "business_date"])
            assert status == 200
            shown[sequence] = rows[0]["release_id"]
            assert rows[0]["release_id"] == release_id
    finally:
        superset.path("serving", "CURRENT").write_text(before)
    assert len(set(shown.values())) == 2


def test_nothing_can_be_written_through_charts(superset: Settings) -> None:
    manager = Reader(superset, "management")
    dataset = manager.dataset("overview_card_zh")
    for clause in ("1=1) or (select count(*) from mart_kpi__institution_day) > 0 --",
                   "exists (select * from read_text('/etc/passwd'))"):  # fmt: skip
        status, answer = manager.data(dataset, LAST, columns=["figure"], extras={"where": clause})
        assert status != 200, answer


#: The screen that `make test` draws here (the overview it draws over somebody's files, in
#: tests/e2e/test_mapped.py); all others, in both languages, in `make test-long`.
USUAL = {("merchant", "en")}
OTHER = {(screen.key, language) for screen in SCREENS for language in LANGUAGES} - USUAL


@pytest.mark.parametrize("which", [
    pytest.param(USUAL, id="usual"), pytest.param(OTHER, id="other", marks=pytest.mark.long),
])
def test_every_screen_draws(superset: Settings, which: set[tuple[str, str]]) -> None:
    """Charts, labels, alerts and raw names; figures on the cards equal the gold table."""
    wrong, seen_screens, cards = [], 0, {}
    for seen in browser._visit(
        superset, "operations", wanted=lambda screen, language: (screen, language) in which
    ):
        seen_screens += 1
        wrong += [f"{seen.address}: {problem}" for problem in seen.problems]
        if "/overview-zh/" in seen.address:
            cards = {chart["title"]: chart["text"] for chart in seen.charts}
    assert wrong == []
    assert seen_screens == len(which)
    if ("overview", "zh") not in which:
        return
    amount = (
        reader(superset, scope_all=True)
        .execute(
            "select payment_amount, payment_count from mart_kpi__institution_day"
            " where business_date = date '2026-10-11'"
        )
        .fetchone()
    )
    text = next(text for title, text in cards.items() if title.startswith("昨日是否正常"))
    assert f"¥{float(amount[0]) / 1e4:,.2f} 万" in text and f"{amount[1]:,} 笔" in text


def _shows(driver, *expected: str) -> bool:
    """Whether the filter bar comes to show these choices, and the server to know them.

    Superset tells the server of a change after a pause, under the key in the address.
    """
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    css = "[data-test^=NATIVE_FILTER] .ant-select-selection-item"

    def there(d) -> bool:
        items = [item.text for item in d.find_elements(By.CSS_SELECTOR, css)]
        return items == list(expected) and sorted(_kept_filters(d)) == sorted(expected)

    return WebDriverWait(driver, 120, ignored_exceptions=[_stale()]).until(there)


def _kept_filters(driver) -> list[str]:
    """Values of the filters as the server keeps them for the address that is open."""
    text = driver.execute_async_script(
        """
        const done = arguments[arguments.length - 1];
        const slug = location.pathname.split('/').filter(Boolean).pop();
        const key = new URLSearchParams(location.search).get('native_filters_key');
        if (!key) { done(null); return; }
        const json = answer => answer.ok ? answer.json() : Promise.reject(answer.status);
        fetch(`/api/v1/dashboard/${slug}`).then(json)
            .then(found => fetch(`/api/v1/dashboard/${found.result.id}/filter_state/${key}`))
            .then(json).then(found => done(found.value)).catch(() => done(null));
        """
    )
    state = json.loads(text) if text else {}
    return [value for values in chosen(state).values() for value in values]


def _stale() -> type[Exception]:
    from selenium.common.exceptions import StaleElementReferenceException

    return StaleElementReferenceException


def _apply_filter(driver, name: str, value: str) -> None:
    """Choose a value on the filter bar and apply it, as a reader does."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    wait = WebDriverWait(driver, 60)
    field = wait.until(lambda d: d.find_elements(By.ID, f"NATIVE_FILTER-{name}"))[0]
    field.send_keys(value)
    option = f".ant-select-item-option[title='{value}']"
    wait.until(lambda d: d.find_elements(By.CSS_SELECTOR, option))
    field.send_keys(Keys.ENTER, Keys.ESCAPE)
    button = "[data-test=filter-bar__apply-button]"
    wait.until(lambda d: d.find_element(By.CSS_SELECTOR, button).is_enabled())
    driver.find_element(By.CSS_SELECTOR, button).click()


def _leave_by(driver, text: str) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    before = driver.current_url.split("?")[0]
    wait = WebDriverWait(driver, 90)
    wait.until(lambda d: d.find_elements(By.LINK_TEXT, text))[0].click()
    wait.until(lambda d: d.current_url.split("?")[0] not in (before, f"{before}/"))


@pytest.mark.long  # a minute of clicking, one screen after the other
def test_filters_stay_while_moving_between_screens_and_languages(superset: Settings) -> None:
    """A region chosen on one screen holds on the next ones, in either language, and in the rows."""
    base, day = f"http://127.0.0.1:{superset.superset_port}", "2026-10-09"
    with browser.browser() as driver:
        browser.log_in(driver, base, "management", browser._login(superset, "management"))
        driver.get(f"{base}/paylake/go/settlement-zh/?day={day}")
        assert _shows(driver, day)
        _apply_filter(driver, "region", "四川")
        assert _shows(driver, day, "四川")
        _leave_by(driver, "今日总览")  # has no such filter, and remembers it
        assert _shows(driver, day)
        _leave_by(driver, "English")
        assert _shows(driver, day) and "/overview-en/" in driver.current_url
        _leave_by(driver, "Settlement")
        assert _shows(driver, day, "Sichuan")
        # It is not only shown: the rows are that region's.
        seen = browser.look(driver, base, driver.current_url.removeprefix(base), 9)
        assert seen.problems == []
        text = " ".join(chart["text"] for chart in seen.charts)
        assert "Sichuan" in text and "Guangdong" not in text
        # A figure that is followed brings its own filters, and those alone.
        driver.get(f"{base}/paylake/go/settlement-en/?day=2026-10-11&region=Yunnan")
        assert _shows(driver, "2026-10-11", "Yunnan")


def test_a_chart_that_is_blank_is_not_taken_for_drawn() -> None:
    chart = {"errors": [], "loading": 0, "empty": [], "rows": 0, "figure": "", "ink": 0.0}
    assert browser.verdict(chart) == "blank"
    assert browser.verdict({**chart, "rows": 3}) == "drew"
    assert browser.verdict({**chart, "rows": 3, "errors": ["x"]}).startswith("error")
    assert browser.verdict({**chart, "ink": 0.02, "loading": 1}) == "still loading"
