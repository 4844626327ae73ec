"""The service's own log: what a line carries, and what it never does."""

from __future__ import annotations

import json
import logging
import logging.config
import os
import re
import subprocess
import sys
from dataclasses import replace

import pytest

from ledger.entrypoints import logs
from ledger.service import queries
from paylake.errors import UsageFault
from paylake.settings import ROOT
from tests.ledger.test_http import http, token
from tests.ledger.test_service_process import Service, commands, free_port, trade_day

__all__ = ["http", "token"]
UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"


@pytest.fixture
def lines(settings, tmp_path):
    """Logging as the service sets it up, as JSON into a file; reads what was written."""
    loggers = [logging.getLogger(name) for name in ("ledger", "ledger.requests", "uvicorn")]
    before = [(one, one.handlers[:], one.level, one.propagate) for one in loggers]
    path = tmp_path / "ledger.log"
    logs.configure(replace(settings, ledger_log="json", ledger_log_file=str(path)))
    yield lambda: [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    for one, handlers, level, propagate in before:
        one.handlers, one.level, one.propagate = handlers, level, propagate


def test_a_request_has_its_line_with_route_status_time_and_id(http, lines):
    http.get("/v1/accounts/2101:U1/balance?currency_code=CNY")
    answer = http.get("/v1/accounts/2101:U9/balance", headers={"x-request-id": UUID})
    http.get("/v1/nothing/6222021234567890123")
    http.get("/v1/balances", headers={"authorization": "Bearer wrong"})
    found = lines()
    assert [(x["event"], x["level"], x["method"], x["route"], x["status"]) for x in found] == [
        ("request", "info", "GET", "/v1/accounts/{account_id}/balance", 200),
        ("request", "info", "GET", "/v1/accounts/{account_id}/balance", 404),
        ("request", "info", "GET", "none", 404),
        ("request", "warning", "GET", "/v1/balances", 401),
    ]
    assert [(line.pop("reason", None), line.pop("signer", None)) for line in found] == [
        (None, None), ("account_not_open", "system:demo"), (None, None), ("unauthorised", None),
    ]
    for line in found:
        assert set(line) == {"time", "level", "event", "method", "route", "status",
                             "milliseconds", "request_id"}
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
        assert 0 < line["milliseconds"] < 60_000
    assert found[1]["request_id"] == UUID == answer.headers["x-request-id"]
    assert len({line["request_id"] for line in found}) == 4


def test_no_line_carries_what_was_sent(http, world, lines, monkeypatch):
    """Not in a body, a path, a query, a header, or the message of a fault."""
    def failing(*_):
        raise RuntimeError("SECRET of the fault")

    http.post("/v1/batches", json={"commands": [
        world.command("payment", merchant_id="SECRETM"), {"type": "SECRETT"}, "SECRETX",
    ]}, headers={"x-request-id": "SECRET-6222021234567890123"})
    http.get("/v1/accounts/2101:SECRET/balance?value_date=SECRET")
    monkeypatch.setattr(queries, "waiting", failing)
    assert http.get("/v1/pending").status_code == 500
    logging.getLogger("uvicorn.error").error("Exception in ASGI application", exc_info=_fault())
    logging.getLogger("ledger").info("a field that nobody listed", extra={"holder": "SECRET"})
    text = json.dumps(lines())
    assert "SECRET" not in text and "6222021234567890123" not in text
    assert len(lines()) == 6
    (fault,) = [line for line in lines() if "fault" in line]
    assert fault["fault"].startswith("RuntimeError < test_logs.py:")


def _fault():
    try:
        raise RuntimeError("SECRET of the fault")
    except RuntimeError:
        return sys.exc_info()


def test_a_text_line_of_a_fault_has_no_message_either():
    shown = logs.Sentences("%(message)s").format(logging.LogRecord(
        "uvicorn.error", logging.ERROR, __file__, 1, "it failed", (), _fault()
    ))
    assert shown.startswith("it failed\nRuntimeError < ") and "SECRET" not in shown


def test_the_process_writes_json_lines_to_a_file(tmp_path, monkeypatch):
    path = tmp_path / "ledger.log"
    monkeypatch.setenv("PAYLAKE_LEDGER_LOG", "json")
    monkeypatch.setenv("PAYLAKE_LEDGER_LOG_FILE", str(path))
    service = Service(tmp_path / "home", free_port())
    trade_day(service.client(), commands(5))
    assert service.end() == 0
    found = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    events = [line["event"] for line in found]
    assert (events[0], events[-1]) == ("ledger_opened", "ledger_closed")
    assert events.count("request") > 5
    assert {line["route"] for line in found if "route" in line} >= {"/v1/batches", "/v1/clock"}


def test_a_log_file_that_cannot_be_opened_is_named(settings, tmp_path):
    with pytest.raises(UsageFault, match=r"ledger\.log"):
        logs.configure(replace(settings, ledger_log_file=str(tmp_path / "no" / "ledger.log")))


def test_text_says_nothing_of_requests_that_went_well(tmp_path):
    """Nobody has to read them, and a reader that is slow does not stop the service."""
    done = subprocess.run(
        [sys.executable, "-c",
         "import logging\nfrom ledger.entrypoints import logs\nfrom paylake.settings import load\n"
         "logs.configure(load({}))\n"
         "for level in (20, 30): logs.requests.log(level, 'level %d', level)\n"],
        capture_output=True, text=True, check=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert "level 30" in done.stderr and "level 20" not in done.stderr
