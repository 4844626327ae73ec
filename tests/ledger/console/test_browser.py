"""In a real browser: every page by keyboard alone, and none wider than a phone."""

from __future__ import annotations

import json
import socket
import threading
import time

import pytest
import uvicorn
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from dashboards.browser import browser
from tests.ledger.console.test_pages import LANGUAGES, PATHS

#: A small phone (and a desktop at 400 % zoom), a phone, a desktop at 200 % zoom.
WIDTHS = (320, 390, 640)
NAVIGATION = ("", "accounts", "days", "holds", "approvals", "limits", "stops", "bills",
              "reconciliation", "parties", "chain")

FOCUSABLE = """
return [...document.querySelectorAll('a[href],button,input,select,summary,[tabindex="0"]')]
    .filter(e => e.type !== 'hidden' && e.checkVisibility()).length
"""
#: What reaches beyond the window, unless it scrolls by itself.
WIDER = """
const most = arguments[0];
if (document.documentElement.scrollWidth <= most) return null;
return [...document.querySelectorAll('body *')]
    .filter(e => e.getBoundingClientRect().right > most && !e.parentElement.closest('.wide'))
    .map(e => e.tagName + ' ' + e.className + ' ' + e.textContent.trim().slice(0, 30)).slice(-3)
"""
FOCUSED = """
const e = document.activeElement, s = getComputedStyle(e), r = e.getBoundingClientRect();
window.seen = window.seen || new Set();
window.seen.add(e);
return {tag: e.tagName, href: e.getAttribute('href'), id: e.id, reached: window.seen.size,
        outline: s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2,
        inside: r.bottom > 0 && r.top < innerHeight && r.right > 0 && r.left < innerWidth}
"""


@pytest.fixture(scope="module")
def base(site, signed):
    """The application on a port of this machine."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(site.app, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


class Keyboard:
    """A person without a mouse."""

    def __init__(self, driver, base):
        self.driver, self.base = driver, base

    def press(self, *keys):
        ActionChains(self.driver, duration=0).send_keys(*keys).perform()

    def focused(self):
        return self.driver.execute_script(FOCUSED)

    def enter(self):
        """Enter, and wait for the page that comes of it."""
        old = self.driver.find_element(By.TAG_NAME, "html")
        self.press(Keys.ENTER)
        WebDriverWait(self.driver, 20).until(lambda d: self._gone(old))
        WebDriverWait(self.driver, 20).until(
            lambda d: d.execute_script("return document.readyState") == "complete"
        )

    @staticmethod
    def _gone(element):
        try:
            element.is_enabled()
        except WebDriverException:  # stale, or of a page that is no more
            return True
        return False

    def again(self):
        """The same page from its top."""
        where = self.driver.current_url.partition("#")[0]
        self.driver.get("about:blank")
        self.driver.get(where)

    def path(self):
        return self.driver.current_url.removeprefix(self.base)

    def heading(self):
        return self.driver.find_element(By.TAG_NAME, "h1").text

    def to(self, **wanted):
        """Tab until what is wanted has the focus."""
        for _ in range(200):
            self.press(Keys.TAB)
            here = self.focused()
            if all(here[name] == value for name, value in wanted.items()):
                return
        raise AssertionError(f"{wanted} cannot be reached on {self.path()}")

    def everything(self):
        """Tab through the whole page: each thing is reached, seen, and shows the focus."""
        wanted = self.driver.execute_script(FOCUSABLE)
        for _ in range(wanted):
            self.press(Keys.TAB)
            here = self.focused()
            assert here["outline"], (self.path(), here)
            assert here["inside"], (self.path(), here)
        assert here["reached"] == wanted, (self.path(), here, wanted)


def log_in(driver, base, token, language):
    driver.get(f"{base}/console/login?lang={language}")
    keyboard = Keyboard(driver, base)
    assert keyboard.focused()["id"] == "token"
    keyboard.press(token)
    keyboard.enter()
    assert keyboard.path() == "/console/"
    return keyboard


def outside(driver, base):
    """Requests that went anywhere else."""
    asked = []
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            asked.append(message["params"]["request"]["url"])
    assert asked
    return [url for url in asked if not url.startswith((base, "data:", "chrome", "about:"))]


@pytest.mark.long
def test_all_pages_by_keyboard_alone(site, base):
    with browser() as driver:
        person = log_in(driver, base, site.token, "zh")
        for name in NAVIGATION:
            person.to(href=f"/console/{name}")
            person.enter()
            assert person.path() == f"/console/{name}"
            person.press(Keys.TAB)
            first = person.focused()
            assert first["href"] == "#content" and first["inside"] and first["outline"]
            person.press(Keys.ENTER)
            assert person.focused()["id"] == "content"
            person.again()
            person.everything()
            person.again()
        # down from the tree to a journal and to its original, and back up by links
        for wanted in (
            "/console/accounts", "/console/classes/2201?currency=CNY",
            "/console/accounts/2201:M1?currency=CNY",
            f"/console/journals/{site.made.refund['journal_id']}",
            f"/console/journals/{site.made.payment['journal_id']}", "/console/days/2026-09-12",
            "/console/parties", "/console/parties/M2",
        ):
            person.to(href=wanted)
            person.enter()
            assert person.path() == wanted
            person.again()
            person.everything()
            person.again()
        # forms
        person.to(href="/console/")
        person.enter()
        person.to(id="number")
        person.press("PAY-1")
        person.enter()
        assert person.path() == f"/console/journals/{site.made.payment['journal_id']}"
        driver.get(base + "/console/accounts/2201:M1")
        person.to(id="value_date")
        person.press("2026-09-12")
        person.to(id="known_at")
        person.press("2026-09-12 09:00")
        person.enter()
        assert "0.00" in driver.find_element(By.CLASS_NAME, "result").text
        person.to(href="/console/parties")
        person.enter()
        person.to(id="state")
        person.press(Keys.ARROW_DOWN, Keys.TAB)
        person.enter()
        assert "state=active" in person.path()
        # the other language, and out
        driver.get(base + "/console/holds")
        person.to(href="/console/holds?lang=en")
        person.enter()
        assert person.heading() == "Open holds"
        person.to(tag="BUTTON")
        person.enter()
        assert person.path() == "/console/login"
        assert outside(driver, base) == []


@pytest.mark.parametrize("language", [
    "zh", *(pytest.param(name, marks=pytest.mark.long) for name in LANGUAGES if name != "zh"),
])
def test_no_page_is_wider_than_its_window(site, base, language):
    with browser() as driver:
        log_in(driver, base, site.token, language)
        wide = []
        for name, path in PATHS.items():
            driver.get(base + "/console" + path.format(**vars(site.made)))
            for width in WIDTHS:
                driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
                    "width": width, "height": 844, "deviceScaleFactor": 1, "mobile": False,
                })
                found = driver.execute_script(WIDER, width)
                if found:
                    wide.append((name, width, found))
        assert wide == []
        assert outside(driver, base) == []
