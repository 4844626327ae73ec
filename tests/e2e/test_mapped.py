"""Files that others wrote, from the folder to the dashboard, by the README's command."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess

import pytest

from dashboards import browser
from dashboards.source.screens import BY_KEY
from paylake import settings as settings_module
from paylake.engine import free_port
from simulator import handbook
from tests.conftest import PAYLAKE, ROOT

ROWS, DAYS, SEED = 6_000, 9, 11
MAPPING = ROOT / "ingestion" / "mappings" / "handbook.yml"


@pytest.fixture(scope="module")
def mapped(tmp_path_factory):
    """A generated file of the handbook's layout, run whole; its servers are stopped at the end."""
    folder = tmp_path_factory.mktemp("feeds")
    totals = handbook.write(folder / "transactions_made.parquet", ROWS, DAYS, SEED)
    home = ROOT / "var" / f"test-mapped-{os.getpid()}"
    environment = {
        **os.environ,
        "PAYLAKE_HOME": str(home),
        **{
            f"PAYLAKE_{name}_PORT": str(free_port())
            for name in ("ENGINE", "LEDGER", "AIRFLOW", "SUPERSET")
        },
    }
    arguments = ["mapped", "--feeds", str(folder), "--mapping", str(MAPPING)]
    done = subprocess.run(
        [str(PAYLAKE), *arguments], env=environment, capture_output=True, text=True, timeout=900,
        check=False,
    )  # fmt: skip
    yield settings_module.load(environment), totals, done
    subprocess.run([str(PAYLAKE), "down"], env=environment, check=False, capture_output=True)
    shutil.rmtree(home, ignore_errors=True)


def test_totals_are_met_at_every_layer_down_to_the_dashboard(mapped):
    _, totals, done = mapped
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    row = re.compile(rf"{totals.rows:,}\s+│\s+{totals.amount:,.4f}")
    lines = [line for line in done.stdout.splitlines() if row.search(line)]
    assert [line.split("│")[0].strip().split(",")[0] for line in lines] == [
        "bronze", "silver", "terminal profile", "KPI mart", "dashboard",
    ]  # fmt: skip


@pytest.mark.parametrize(("key", "language"), [
    pytest.param("overview", "en", marks=pytest.mark.long), ("overview-phone", "zh"),
])
def test_the_kpi_screen_says_what_the_feed_lacks(mapped, key, language):
    """Every chart drew or says in words why not; no label is cut, no zero stands for a gap."""
    settings, totals, _ = mapped
    base, screen = f"http://127.0.0.1:{settings.superset_port}", BY_KEY[key]
    logins = json.loads(settings.path("keys", "logins.json").read_text())["superset"]
    with browser.browser(phone=screen.phone) as driver:
        browser.log_in(driver, base, "management", logins["management"]["password"])
        address = browser.address(screen, language)
        seen = browser.look(driver, base, address, browser.charts_of(screen))
    assert seen.problems == []
    text = "\n".join(chart["text"] for chart in seen.charts)
    lacks = {"zh": ("来源没有提供：", "账务分录", "存管对账单", "—"),
             "en": ("Not supplied", "Ledger journal", "Custodian statement", "—")}  # fmt: skip
    assert all(words in text for words in lacks[language]), text
    assert {"zh": "0 户", "en": "Active merchants\n0"}[language] not in text
    last = max(totals.amount_by_date)
    shown = f"{totals.amount_by_date[last]:,.2f}"
    assert shown in text  # the payment way's amount, to the cent
    words = set(re.findall(r"[A-Za-z_]{3,}", text))
    if language == "zh":
        assert not {w for w in words if not re.fullmatch(r"MCC|R\d+.*", w)}, words
    else:
        assert not re.search("[一-鿿]", text), text
