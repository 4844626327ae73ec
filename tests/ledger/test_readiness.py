"""Alive and ready are two questions; requests that are refused as a whole leave counts and lines,
never entries."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient

from ledger.adapters.sqlite_store import SqliteStore
from ledger.adapters.tokens import Tokens
from ledger.client import LedgerRefusal, Signer
from ledger.entrypoints import http as service
from ledger.entrypoints import readiness
from ledger.entrypoints.http import create_app
from ledger.entrypoints.operations import open_ledger
from paylake.crypto import PrivateKey
from paylake.errors import DiskFull, TransientFault
from tests.ledger.test_http import client, http, token
from tests.ledger.test_logs import lines
from tests.ledger.test_own_reads import make_caller

__all__ = ["client", "http", "lines", "token"]
ANONYMOUS = {"authorization": ""}


def ready(http) -> tuple[int, str]:
    answer = http.get("/readyz", headers=ANONYMOUS)
    document = answer.json()
    return answer.status_code, document.get("status") or document["error"]["reason"]


def test_a_service_that_can_post_is_ready(client, http):
    assert ready(http) == (200, "ready")
    assert client.ready()["last_sequence"] == client.health()["last_sequence"]


@pytest.mark.parametrize("fault", [DiskFull("full", "make room"), TransientFault("gone", "wait")])
def test_a_storage_that_takes_nothing_is_alive_and_not_ready(client, http, monkeypatch, fault):
    def failing(*_):
        raise fault

    monkeypatch.setattr(SqliteStore, "set_meta", failing)
    monkeypatch.setattr(readiness, "KEEP_SECONDS", 0.0)
    assert ready(http) == (503, "storage_unavailable")
    with pytest.raises(LedgerRefusal) as caught:
        client.ready()
    assert caught.value.reason == "storage_unavailable" and client.health()["status"] == "ok"
    monkeypatch.undo()
    assert ready(http) == (200, "ready")


@pytest.fixture
def busy(http, world, monkeypatch):
    """Keeps the writer at work from its call until it is called again."""
    go, working = threading.Event(), threading.Event()

    def waiting(*_):
        working.set()
        assert go.wait(20)
        return []

    monkeypatch.setattr(world.ledger, "open_accounts", waiting)
    slow = threading.Thread(target=http.post, args=("/v1/accounts",), kwargs={
        "json": {"accounts": []},
    })

    def turn():
        if not working.is_set():
            slow.start()
            assert working.wait(20)
        else:
            go.set()
            slow.join()

    yield turn
    go.set()


def test_a_probe_that_was_written_just_now_serves_others_without_the_writer(
    http, busy, monkeypatch,
):
    monkeypatch.setattr(readiness, "KEEP_SECONDS", 60.0)
    assert ready(http) == (200, "ready")
    busy()
    started = time.monotonic()
    assert ready(http) == (200, "ready")
    assert time.monotonic() - started < readiness.WAIT_SECONDS / 2
    busy()


def test_many_who_ask_at_once_wait_for_one_probe(http, world, busy, monkeypatch):
    asked, settle = [], world.ledger.settle
    busy()
    monkeypatch.setattr(world.ledger, "settle", lambda: (asked.append(1), settle()))
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(ready, http) for _ in range(8)]
        time.sleep(0.3)
        busy()
        assert [one.result() for one in answers] == [(200, "ready")] * 8
    assert len(asked) == 1


def test_a_busy_writer_is_alive_and_not_ready(http, busy, monkeypatch):
    monkeypatch.setattr(readiness, "WAIT_SECONDS", 0.2)
    busy()
    assert ready(http) == (503, "writer_busy")
    assert http.get("/healthz", headers=ANONYMOUS).json()["status"] == "ok"
    busy()
    assert ready(http) == (200, "ready")


def test_a_simulated_ledger_without_a_clock_is_not_ready(settings):
    app = create_app(settings, open_ledger(settings, simulated=True), Tokens.load(settings))
    with TestClient(app) as http:
        assert ready(http) == (503, "clock_not_set")
        assert http.get("/healthz").status_code == 200


def test_what_is_refused_as_a_whole_is_counted_and_logged_and_no_entry(client, http, world, lines):
    own = make_caller(world, http, "C9", "M1", rates={"data": 1})
    before = world.ledger.head.sequence
    for _ in range(3):
        for signer in ("caller:SECRET", "caller:C9"):
            sender = client.as_signer(Signer(signer, PrivateKey.generate()))
            with pytest.raises(LedgerRefusal):
                sender.command(world.command("payment"))
    http.get("/v1/balances", headers={"authorization": "Bearer SECRET"})
    http.get("/v1/balances", headers={"x-paylake-session": "S-SECRET"})
    assert own.send("GET", "/v1/balances").status_code == 200
    assert own.send("GET", "/v1/balances").json()["error"]["reason"] == "rate_exceeded"
    assert world.ledger.head.sequence == before
    page = http.get("/metrics").text
    for reason, signer, count in (
        ("unauthorised", "caller", 3), ("signature_wrong", "caller", 3),
        ("unauthorised", "system", 1), ("session_unknown", "session", 1),
        ("rate_exceeded", "caller", 1),
    ):
        labels = f'reason="{reason}",signer="{signer}"'
        assert f"ledger_requests_refused_total{{{labels}}} {count}.0" in page
    found = [(x["reason"], x.get("signer")) for x in lines() if "reason" in x]
    assert found.count(("signature_wrong", "caller:C9")) == 3
    assert found.count(("unauthorised", None)) == 4
    assert ("rate_exceeded", "caller:C9") in found and "SECRET" not in str(lines())


def test_the_looks_at_the_storage_go_on_after_one_that_fails(monkeypatch):
    monkeypatch.setattr(service, "LOOK_SECONDS", 0)

    class Looked:
        lost, times = False, 0

        def look(self):
            self.times += 1
            self.lost = self.times == 3
            if self.times == 1:
                raise RuntimeError("whatever it is")

    async def on_writer(call):
        call()

    looked = Looked()
    asyncio.run(asyncio.wait_for(service._look(looked, on_writer), 10))
    assert looked.times == 3
