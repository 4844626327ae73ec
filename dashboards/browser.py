"""Look at every screen in a real browser: did each chart draw, and what does it look like.

A chart drew when there is no alert, no spinner and no empty state in its box, and it has table
rows, a big figure, or a canvas with ink on it. An empty state that says what is missing is as good:
a day without open rows has none. The verdict must hold for three looks in a row, and every data
request must have answered 200.
"""

from __future__ import annotations

import importlib.util
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dashboards.source.screens import SCREENS, Screen
from dashboards.views.expressions import LANGUAGES
from paylake.errors import EnvironmentFault
from paylake.settings import Settings

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
DESKTOP, PHONE = (1920, 1080), (390, 844)
INK = 0.0015
# What a chart without rows says (dashboards/wording.py; English is Superset's own sentence).
EMPTY = ("没有数据", "No data", "No results")
SCRIPT = Path(__file__).with_name("look.js")


@dataclass
class Seen:
    """What was on a screen.

    :param charts: one entry a chart: title, verdict, text, rows, ink, figures.
    """

    address: str
    charts: list[dict[str, Any]]
    statuses: list[int]
    outside: list[str]
    banners: list[str]
    labels: list[str]
    width: tuple[int, int]
    height: int
    seconds: float
    problems: list[str] = field(default_factory=list)


def verdict(chart: dict[str, Any]) -> str:
    """`drew`, `empty` (a state of its own, said in words), or what kept it from drawing."""
    if chart["errors"]:
        return f"error: {chart['errors'][0]}"
    if chart["loading"]:
        return "still loading"
    if chart["empty"]:
        said = " ".join(chart["empty"])
        return "empty" if any(words in said for words in EMPTY) else "blank"
    if chart["rows"] or chart["figure"] or (chart["ink"] or 0) > INK:
        return "drew"
    return "blank"


@contextmanager
def browser(*, phone: bool = False) -> Iterator[Any]:
    """A headless Chromium that reaches 127.0.0.1 and nothing else.

    :raises EnvironmentFault: when the browser is not installed.
    """
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    for needed in (CHROMIUM, DRIVER):
        if not needed.exists():
            raise EnvironmentFault(
                f"There is no {needed}",
                "Run `apt-get install chromium chromium-driver fonts-noto-cjk`.",
            )
    with tempfile.TemporaryDirectory(prefix="paylake-browser-") as profile:
        options = Options()
        options.binary_location = str(CHROMIUM)
        for argument in (
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            "--window-size={},{}".format(*DESKTOP),
            f"--user-data-dir={profile}",
            "--proxy-server=http://127.0.0.1:9",
            "--proxy-bypass-list=127.0.0.1",
        ):
            options.add_argument(argument)
        if phone:
            metrics = {"width": PHONE[0], "height": PHONE[1], "pixelRatio": 2.0, "mobile": True}
            options.add_experimental_option("mobileEmulation", {"deviceMetrics": metrics})
        options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
        driver = webdriver.Chrome(service=Service(str(DRIVER)), options=options)
        try:
            yield driver
        finally:
            driver.quit()


def log_in(driver: Any, base: str, user: str, password: str) -> None:
    """Log in through the form.

    The page is there before its script listens: what was typed until then is lost, so that a form
    that did not go out is filled in again.

    :raises EnvironmentFault: when the login is not taken.
    """
    for _ in range(3):
        driver.get(f"{base}/login/")
        if _fill_in(driver, user, password):
            return
    raise EnvironmentFault(
        f"Superset does not take the login of {user}",
        "Read log/superset.log of the home; keys/logins.json has the logins.",
        where=base,
    )


def _fill_in(driver: Any, user: str, password: str) -> bool:
    """Whether the login form was taken."""
    from selenium.common.exceptions import TimeoutException
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    field_of = "input[name={0}],#{0}".format
    WebDriverWait(driver, 90).until(
        lambda d: d.find_elements(By.CSS_SELECTOR, field_of("username"))
    )
    driver.find_element(By.CSS_SELECTOR, field_of("username")).send_keys(user)
    driver.find_element(By.CSS_SELECTOR, field_of("password")).send_keys(password + "\n")
    try:
        return WebDriverWait(driver, 45).until(lambda d: "/login" not in d.current_url)
    except TimeoutException:
        return False


def look(driver: Any, base: str, path: str, expected: int, timeout: float = 90) -> Seen:
    """Open a screen, wait until it stands still, and say what is there.

    :param expected: charts that must be there.
    """
    script = SCRIPT.read_text("utf-8")
    started = time.monotonic()
    driver.get_log("performance")
    driver.get(base + path)
    last, still, found = "", 0, None
    while time.monotonic() - started < timeout and still < 3:
        time.sleep(0.3)
        found = driver.execute_script(script)
        verdicts = {verdict(chart) for chart in found["charts"]}
        key = json.dumps([(c["title"], c["text"], c["rows"], c["ink"]) for c in found["charts"]])
        waits = len(found["charts"]) < expected or verdicts & {"still loading", "blank"}
        still = still + 1 if key == last and not waits else 0
        last = key
    seconds = time.monotonic() - started
    statuses, outside = _network(driver, base)
    for chart in found["charts"]:
        chart["verdict"] = verdict(chart)
    seen = Seen(
        path, found["charts"], statuses, outside, found["banners"], found["labels"],
        (found["width"], found["visible"]), found["height"], round(seconds, 1),
    )  # fmt: skip
    seen.problems = _problems(seen, expected)
    return seen


def _network(driver: Any, base: str) -> tuple[list[int], list[str]]:
    statuses, asked, blocked = [], {}, set()
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        params = message["params"]
        if message["method"] == "Network.responseReceived":
            if "/chart/data" in params["response"]["url"]:
                statuses.append(params["response"]["status"])
        elif message["method"] == "Network.requestWillBeSent":
            url = params["request"]["url"]
            if not url.startswith((base, "data:", "blob:", "chrome")):
                asked[params["requestId"]] = url
        elif message["method"] == "Network.loadingFailed" and params.get("blockedReason"):
            blocked.add(params["requestId"])  # the content security policy stopped it
    return statuses, sorted({url for key, url in asked.items() if key not in blocked})


def _problems(seen: Seen, expected: int) -> list[str]:
    found = [
        f"{c['title']}: {c['verdict']}"
        for c in seen.charts
        if c["verdict"] not in ("drew", "empty")
    ]
    found += [f"{c['title']}: cut label {text!r}" for c in seen.charts for text in c["cut"]]
    if len(seen.charts) != expected:
        found.append(f"{len(seen.charts)} charts instead of {expected}")
    found += [f"data request answered {status}" for status in seen.statuses if status != 200]
    found += [f"went outside: {url}" for url in seen.outside]
    found += [f"alert: {text}" for text in seen.banners]
    found += [f"raw name visible: {text}" for text in seen.labels if _is_raw(text)]
    if seen.width[0] > seen.width[1] + 1:
        found.append(f"wider than the window: {seen.width[0]} > {seen.width[1]} px")
    return found


def _is_raw(text: str) -> bool:
    """Whether a heading is a column's or metric's own name."""
    from dashboards.source.labels import COLUMNS, METRICS

    words = text.strip()
    names = {name for name in COLUMNS if "_" in name}
    names |= {name for metrics in METRICS.values() for name in metrics if "_" in name}
    return words in names


def address(screen: Screen, language: str, parameters: str = "") -> str:
    tail = "standalone=2&expand_filters=0" if screen.phone else ""
    query = "&".join(part for part in (tail, parameters) if part)
    return f"/superset/dashboard/{screen.key}-{language}/" + (f"?{query}" if query else "")


def charts_of(screen: Screen) -> int:
    return sum(key != "nav" for row in screen.rows for key, _, _ in row)


def _login(settings: Settings, user: str) -> str:
    file = settings.path("keys", "logins.json")
    if not file.exists():
        raise EnvironmentFault(
            "This home's Superset is not set up", "Run `make run`, or `paylake up`."
        )
    return json.loads(file.read_text("utf-8"))["superset"][user]["password"]


def _visit(
    settings: Settings, user: str, picture: Path | None = None,
    wanted: Callable[[str, str], bool] = lambda screen, language: True,
) -> Iterator[Seen]:
    base = f"http://127.0.0.1:{settings.superset_port}"
    for phone in (False, True):
        with browser(phone=phone) as driver:
            log_in(driver, base, user, _login(settings, user))
            for screen in (s for s in SCREENS if s.phone == phone):
                for language in LANGUAGES:
                    if not wanted(screen.key, language):
                        continue
                    seen = look(driver, base, address(screen, language), charts_of(screen))
                    if picture:
                        _shoot(driver, seen, picture / f"{screen.key}-{language}.png")
                    yield seen


def _shoot(driver: Any, seen: Seen, file: Path) -> None:
    """A picture of the whole screen, not only of what fits the window."""
    import base64

    file.parent.mkdir(parents=True, exist_ok=True)
    size = driver.execute_script("return [window.innerWidth, window.innerHeight]")
    metrics = {
        "width": size[0],
        "height": max(size[1], seen.height),
        "deviceScaleFactor": 1,
        "mobile": False,
    }
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    time.sleep(1.5)
    taken = driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    file.write_bytes(base64.b64decode(taken["data"]))
    _shrink(file)


def _shrink(file: Path) -> None:
    """A picture with 256 colours, a third of the size; left as it is where Pillow is missing.

    Colours are chosen for coverage, not by area: a small amber or red mark means something.
    """
    if importlib.util.find_spec("PIL") is None:
        return
    from PIL import Image

    with Image.open(file) as picture:
        small = picture.convert("RGB").quantize(
            256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
        )
    small.save(file, optimize=True)


def check(settings: Settings, user: str = "operations") -> int:
    """Open every screen in both languages and print what is wrong with it.

    :returns: 0 when every chart of every screen drew.
    """
    wrong = 0
    for seen in _visit(settings, user):
        wrong += len(seen.problems)
        print(f"{seen.address} {len(seen.charts)} charts {seen.seconds} s", flush=True)
        for problem in seen.problems:
            print(f"    {problem}", flush=True)
    return 1 if wrong else 0


def screenshots(settings: Settings, out: Path, user: str = "operations") -> int:
    """Take a picture of every screen in both languages.

    :returns: 0 when every chart of every screen drew.
    """
    wrong = 0
    for seen in _visit(settings, user, out):
        wrong += len(seen.problems)
        print(f"{seen.address} {seen.seconds} s", *seen.problems, sep="\n    ", flush=True)
    return 1 if wrong else 0
