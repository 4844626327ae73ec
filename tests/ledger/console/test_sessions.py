"""Login, its end, wrong tokens; nothing is seen without it."""

from __future__ import annotations

import json
import logging

import pytest
from fastapi.testclient import TestClient

from ledger.adapters.tokens import Tokens
from ledger.domain.chain import sm3
from ledger.entrypoints.console import pages, sessions
from ledger.entrypoints.console.pages import COOKIE
from tests.ledger.console.conftest import Reader

PAGES = (
    "", "/", "/accounts", "/classes/2201", "/accounts/2201:M1", "/journals/J000000000001",
    "/entries/1", "/days", "/days/2026-09-12", "/holds", "/approvals", "/limits", "/stops",
    "/parties", "/parties/M1", "/chain", "/find?number=1", "/nothing", "/static/other",
)


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on when told."""
    time = [1000.0]
    monkeypatch.setattr(sessions, "now", lambda: time[0])
    return time


def stranger(site, address="10.0.0.1"):
    return TestClient(
        site.app, raise_server_exceptions=False, follow_redirects=False, client=(address, 1),
    )


@pytest.mark.parametrize("path", PAGES)
def test_without_login_every_page_leads_to_it(site, path):
    http = stranger(site)
    answer = http.get("/console" + path)
    if path == "":
        assert (answer.status_code, answer.headers["location"]) == (307, "/console/")
        return
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/console/login")
    assert "2201" not in answer.text
    http.cookies.set(COOKIE, "A" * 43, path="/console")
    answer = http.get("/console" + path)
    assert answer.status_code == 303 and "expired=1" in answer.headers["location"]


def test_login_leads_back_to_the_page_that_was_asked_for(site):
    http = stranger(site)
    where = http.get("/console/accounts/2201:M1?currency=CNY").headers["location"]
    form = http.get(where)
    assert 'name="next" value="/console/accounts/2201:M1?currency=CNY"' in form.text
    answer = http.post("/console/login", data={
        "token": site.token, "next": "/console/accounts/2201:M1?currency=CNY",
    })
    assert answer.headers["location"] == "/console/accounts/2201:M1?currency=CNY"
    assert http.get(answer.headers["location"]).status_code == 200
    assert http.get("/console/login").status_code == 303  # already in


@pytest.mark.parametrize("next_", [
    "https://evil.example/", "//evil.example/console/", "/\\evil.example", "javascript:alert(1)",
    "/v1/balances", "/consoles", "/console/../docs", "/console/login", "/console/logout",
    "//[", "/console/\r\nset-cookie: x=1", "/console/" + "a" * 500, "/console/\u00e9", "",
])
def test_login_leads_nowhere_else(site, next_):
    answer = stranger(site).post("/console/login", data={"token": site.token, "next": next_})
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/")


def test_the_cookie_is_the_servers_alone(site):
    answer = stranger(site).post("/console/login", data={"token": site.token})
    cookie = answer.headers["set-cookie"]
    name, _, value = cookie.partition(";")[0].partition("=")
    assert name == COOKIE and len(value) >= 40 and value not in site.token
    parts = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/console"} <= parts
    assert "secure" not in parts  # plain HTTP on this machine
    secure = TestClient(site.app, base_url="https://testserver", follow_redirects=False)
    answer = secure.post("/console/login", data={"token": site.token})
    assert "secure" in answer.headers["set-cookie"].lower()
    assert site.token not in answer.text


def test_logout_ends_it(site):
    reader = Reader(site, "en")
    kept = reader.http.cookies[COOKIE]
    reader.get("/console/")
    assert reader.http.get("/console/logout").status_code == 404  # sent, not linked to
    reader.get("/console/")
    answer = reader.http.post("/console/logout")
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/login")
    reader.http.cookies.set(COOKIE, kept, path="/console")
    reader.get("/console/", 303)


def test_it_ends_unused_after_half_an_hour_and_in_any_case_after_eight(site, clock):
    reader = Reader(site, "zh")
    for _ in range(3):
        clock[0] += sessions.IDLE_SECONDS - 1
        reader.get("/console/")
    clock[0] += sessions.IDLE_SECONDS
    answer = reader.http.get("/console/holds")
    assert answer.status_code == 303
    assert "登录已过期" in reader.get(answer.headers["location"])
    reader = Reader(site, "en")
    for _ in range(8 * 3600 // 1500):
        reader.get("/console/")
        clock[0] += 1500
    reader.get("/console/")
    clock[0] += 300
    reader.get("/console/", 303)


def test_five_wrong_tokens_a_minute_and_no_more(site, clock, caplog):
    http = stranger(site, "10.0.0.66")
    with caplog.at_level(logging.DEBUG):
        for number in range(5):
            answer = http.post("/console/login?lang=en", data={"token": f"WRONG{number}"})
            assert answer.status_code == 401 and "unknown" in answer.text
            assert f"WRONG{number}" not in answer.text
            clock[0] += 2
        answer = http.post("/console/login?lang=zh", data={"token": site.token})
        assert answer.status_code == 429 and "请等待一分钟再试" in answer.text
        assert 0 < int(answer.headers["retry-after"]) <= 60
        assert COOKIE not in http.cookies
        other = stranger(site, "10.0.0.67").post("/console/login", data={"token": site.token})
        assert other.status_code == 303
        clock[0] += 51
        assert http.post("/console/login", data={"token": site.token}).status_code == 303
    assert "WRONG" not in caplog.text and site.token not in caplog.text


@pytest.mark.parametrize(("body", "status"), [
    (b"", 401), (b"token=", 401), (b"token=%00", 401), (b"other=1", 401), (b"\xff\xfe", 413),
    (b"token=" + b"a" * 9000, 413), (b"&".join([b"a=1"] * 50), 413),
    (b"token=%ED%A0%80", 401),
])
def test_odd_bodies(site, body, status):
    assert stranger(site, "10.0.1.1").post("/console/login", content=body).status_code == status


def test_a_login_from_another_site_is_refused(site):
    for place, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 303)):
        answer = stranger(site).post(
            "/console/login", data={"token": site.token}, headers={"sec-fetch-site": place},
        )
        assert answer.status_code == status


def test_a_token_needs_the_right_to_read(site, settings, world):
    path = settings.path("keys", "ledger_tokens.json")
    path.write_text(json.dumps({
        "poster": {"sm3": sm3(b"p").hex(), "rights": ["post", "operate"]},
        "auditor": {"sm3": sm3(b"r").hex(), "rights": ["read"]},
    }))
    from ledger.entrypoints.http import create_app
    from ledger.entrypoints.operations import open_ledger

    app = create_app(settings, world.ledger, Tokens.load(settings))
    with TestClient(app, follow_redirects=False) as http:
        assert http.post("/console/login", data={"token": "p"}).status_code == 401
        assert http.post("/console/login", data={"token": "r"}).status_code == 303
        assert "auditor" in http.get("/console/").text
    world.ledger = open_ledger(settings, simulated=True)


def test_memory_is_bounded(clock):
    found = sessions.Sessions()
    first = found.start("a")
    for _ in range(sessions.MOST_SESSIONS):
        found.start("b")
    assert len(found) == sessions.MOST_SESSIONS and found.get(first) is None
    clock[0] += sessions.IDLE_SECONDS
    found.start("c")
    assert len(found) == 1
    tries = sessions.WrongTries()
    for number in range(11_000):
        tries.add(str(number))
    assert len(tries._found) == 10_000 and tries.wait("10999") == 0


def test_a_fault_says_nothing_of_what_was_sent(site, monkeypatch, caplog):
    from paylake.errors import TransientFault

    reader = Reader(site, "en")

    def broken(*_):
        raise KeyError("SECRET")

    def locked(*_):
        raise TransientFault("the database is locked", "send it again")

    def unknown(*_):
        from ledger.service.faults import RequestRefused

        raise RequestRefused("some_reason", "SECRET", 409)

    with caplog.at_level(logging.DEBUG):
        for fault, status, words in (
            (broken, 500, "fault of its own"), (locked, 503, "cannot answer now"),
            (unknown, 500, "fault of its own"),
        ):
            monkeypatch.setattr(pages.register_views, "holds", fault)
            text = reader.text("/console/holds", status)
            assert words in text and "SECRET" not in text
    assert "SECRET" not in caplog.text
