"""The HTTP entry point, in process, and the client against it."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from fastapi.testclient import TestClient

from ledger.adapters.tokens import Tokens
from ledger.client import LedgerClient, LedgerRefusal
from ledger.domain.commands import TYPES
from ledger.entrypoints.http import BODY_LIMIT_BYTES, create_app
from paylake.errors import PermanentFailure, TransientFault
from tests.ledger.conftest import DAY


@pytest.fixture
def token(settings) -> str:
    return settings.path("keys", "ledger.token").read_text("ascii")


@pytest.fixture
def http(world, settings, token):
    with TestClient(
        create_app(settings, world.ledger, Tokens.load(settings)), raise_server_exceptions=False
    ) as client:
        client.headers["authorization"] = f"Bearer {token}"
        yield client
    # shutdown closed the store; reopen for the world's own tear-down
    from ledger.entrypoints.operations import open_ledger

    world.ledger = open_ledger(settings, simulated=True)


@pytest.fixture
def client(http, token):
    """The typed client over the in-process application."""

    class Bridge(httpx.BaseTransport):
        def handle_request(self, request):
            answer = http.request(
                request.method, str(request.url), content=request.read(),
                headers=dict(request.headers),
            )
            return httpx.Response(answer.status_code, content=answer.content)

    return LedgerClient("http://testserver", token, transport=Bridge(), pause=lambda _: None)


def test_a_day_through_the_client(client, world, sent_at):
    assert client.health()["simulated"] is True
    client.set_clock(datetime(2026, 9, 12, 22, 0, tzinfo=UTC) - timedelta(hours=8))
    assert client.open_accounts([
        {"account_code": "2201", "party_id": "M3", "currency_code": "CNY"},
        {"account_code": "2201", "party_id": "M3", "currency_code": "CNY"},
        {"account_code": "1001", "party_id": "M3", "currency_code": "CNY"},
        {"account_code": "9999", "party_id": None, "currency_code": "CNY"},
    ]) == [
        {"status": "opened", "account_id": "2201:M3", "currency_code": "CNY"},
        {"status": "already_open", "account_id": "2201:M3", "currency_code": "CNY"},
        {"status": "refused", "reason": "invalid_field", "detail": "1001 has no party",
         "field": "party_id"},
        {"status": "refused", "reason": "unknown_account_code",
         "detail": "not in the chart of accounts", "field": "account_code"},
    ]
    results = client.batch([world.command("payment", merchant_id="M3") for _ in range(1500)])
    assert len(results) == 1500 and {r["status"] for r in results} == {"posted"}
    assert client.journal(results[-1]["journal_id"])["legs"][0]["amount_minor"] == 9962
    assert client.command(world.command("settlement"))["reason"] == "below_floor"
    balances = client.balances("2201", party_ids=["M3"])
    assert [b["balance_minor"] for b in balances] == [1500 * 9940]
    with pytest.raises(LedgerRefusal) as caught:
        client.close_day(DAY)
    assert caught.value.reason == "before_cut_off"
    client.set_clock(datetime(2026, 9, 12, 15, 30, tzinfo=UTC))
    head = client.close_day(DAY)
    assert client.close_day(DAY) == {**head, "replayed": True} == client.day(DAY)
    exported = client.export_day(DAY, sent_at)
    assert exported["journal_rows"] == 9000
    assert client.export_day(DAY, sent_at) == exported


def test_single_command_statuses(http, world):
    command = world.command("payment")
    first = http.post("/v1/commands", json=command)
    assert first.status_code == 201
    assert http.post("/v1/commands", json=command).status_code == 200
    changed = http.post("/v1/commands", json={**command, "amount_minor": 1})
    assert (changed.status_code, changed.json()["field"]) == (409, "amount_minor")
    assert http.post("/v1/commands", json=world.command("settlement")).status_code == 422
    assert http.post("/v1/commands", json={"type": "gift"}).json()["reason"] == "unknown_type"


@pytest.mark.parametrize(("method", "path", "body", "status", "reason"), [
    ("POST", "/v1/batches", b"{", 400, "not_json"),
    ("POST", "/v1/batches", b"[]", 400, "not_json"),
    ("POST", "/v1/batches", b'{"commands": [NaN]}', 400, "not_json"),
    ("POST", "/v1/batches", b"\xff\xfe", 400, "not_json"),
    ("POST", "/v1/batches", b"[" * 5000, 400, "not_json"),
    ("POST", "/v1/batches", b"{}", 400, "missing_field"),
    ("POST", "/v1/batches", b'{"commands": {}}', 400, "invalid_field"),
    ("POST", "/v1/batches", b'{"commands": [], "x": 1}', 400, "unknown_field"),
    ("POST", "/v1/batches", b'{"commands": []}', 422, "batch_empty"),
    ("POST", "/v1/batches", b'{"commands": [' + b"1," * 1000 + b"1]}", 422, "batch_too_large"),
    ("POST", "/v1/batches", b" " * (BODY_LIMIT_BYTES + 1), 413, "body_too_large"),
    ("PUT", "/v1/clock", b'{"now": "yesterday"}', 422, "invalid_field"),
    ("POST", "/v1/days/2026-13-01/close", b"{}", 404, "not_a_date"),
    ("POST", "/v1/days/2026-09-12/export", b'{"sent_at": "x"}', 422, "invalid_field"),
    ("POST", "/v1/days/2026-09-12/export", b'{"sent_at": "2026-09-13T01:00:00+08:00"}', 409,
     "refused"),
    ("GET", "/v1/days/2026-09-12", None, 404, "date_open"),
    ("GET", "/v1/journals/J000000000099", None, 404, "journal_unknown"),
    ("GET", "/v1/journals/1%27or%201", None, 404, "journal_unknown"),
    ("GET", "/v1/balances?limit=0", None, 422, "invalid_field"),
    ("GET", "/v1/balances?limit=-1", None, 422, "invalid_field"),
    ("GET", "/v1/nothing", None, 404, "http_404"),
    ("DELETE", "/v1/clock", None, 405, "http_405"),
])
def test_bad_requests_are_answered_by_name(http, method, path, body, status, reason):
    answer = http.request(method, path, content=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["reason"] == reason
    assert answer.json()["error"]["next_step"]


def test_huge_numbers_and_deep_values_are_refused(http, world):
    body = (b'{"type":"fee","idempotency_key":"a","occurred_at":"2026-09-12T10:00:00+08:00",'
            b'"fee_id":"f","merchant_id":"M1","currency_code":"CNY","amount_minor":%s}')
    for number in (b"1e400", b"9" * 400, b"1.5", b"[[1]]", b"null"):
        answer = http.post("/v1/commands", content=body % number)
        assert answer.status_code in (400, 422), answer.text


def test_tokens(http, settings, world):
    path = "/v1/balances"
    assert http.get(path, headers={"authorization": ""}).status_code == 401
    wrong = http.get(path, headers={"authorization": "Bearer wrong"})
    assert (wrong.status_code, wrong.headers["www-authenticate"]) == (401, "Bearer")
    assert http.get(path, headers={"authorization": "Basic x"}).status_code == 401
    assert http.get("/healthz", headers={"authorization": ""}).status_code == 200


def test_rights(world, settings):
    import json

    from ledger.domain.chain import sm3
    from ledger.entrypoints.operations import open_ledger

    path = settings.path("keys", "ledger_tokens.json")
    path.write_text(json.dumps({"reader": {"sm3": sm3(b"r").hex(), "rights": ["read"]}}))
    app = create_app(settings, world.ledger, Tokens.load(settings))
    with TestClient(app, headers={"authorization": "Bearer r"}) as http:
        assert http.get("/v1/balances").status_code == 200
        assert http.post("/v1/batches", json={"commands": []}).status_code == 403
        assert http.put("/v1/clock", json={"now": "x"}).status_code == 403
        assert http.post("/v1/days/2026-09-12/close").status_code == 403
    world.ledger = open_ledger(settings, simulated=True)


def test_pages(http, world):
    world.ledger.apply([world.command("payment") for _ in range(5)])
    found, after = [], None
    while True:
        query = {"booking_date": "2026-09-12", "limit": 2, **({"after": after} if after else {})}
        page = http.get("/v1/journals", params=query).json()
        found += [j["sequence"] for j in page["journals"]]
        after = page["next"]
        if after is None:
            break
    assert found == [1, 2, 3, 4, 5]
    names, after = [], None
    while True:
        query = {"limit": 2, **({"after": after} if after else {})}
        page = http.get("/v1/balances", params=query).json()
        names += [b["account_id"] for b in page["balances"]]
        after = page["next"]
        if after is None:
            break
    assert names == sorted(world.balances()) and len(names) == 9


def test_openapi_is_made_from_the_domain(http):
    document = http.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    for type_, fields in TYPES.items():
        assert {f.name for f in fields} < set(schemas[f"{type_}_command"]["properties"])
    assert "/v1/batches" in document["paths"]
    assert document["paths"]["/v1/batches"]["post"]["security"] == [{"bearer": []}]
    assert "HTTPValidationError" not in schemas


def test_logs_carry_nothing_of_the_commands(http, world, caplog):
    with caplog.at_level(logging.DEBUG):
        http.post("/v1/batches", json={"commands": [
            world.command("payment", merchant_id="SECRETM"), {"type": "SECRETT"}, "SECRETX",
        ]})
        http.post("/v1/batches", content=b"SECRETBODY")
    assert "SECRET" not in caplog.text


def test_the_client_retries_transient_faults_alone():
    calls = []

    def answer(request: httpx.Request) -> httpx.Response:
        calls.append(request.url.path)
        if len(calls) == 1:
            raise httpx.ConnectError("no one there")
        if len(calls) == 2:
            return httpx.Response(503, content=b"busy")
        return httpx.Response(200, json={"results": [{"status": "posted"}]})

    pauses: list[float] = []
    client = LedgerClient("http://x", "t", transport=httpx.MockTransport(answer),
                          pause=pauses.append)
    assert client.batch([{"type": "fee"}]) == [{"status": "posted"}]
    assert len(calls) == 3 and len(pauses) == 2 and pauses[0] < pauses[1]

    def down(_: httpx.Request) -> httpx.Response:
        calls.append("down")
        raise httpx.ReadTimeout("slow")

    calls.clear()
    client = LedgerClient("http://x", "t", retries=2, transport=httpx.MockTransport(down),
                          pause=pauses.append)
    with pytest.raises(TransientFault):
        client.batch([{"type": "fee"}])
    assert len(calls) == 3

    calls.clear()
    refusing = httpx.MockTransport(lambda _: (calls.append("x"), httpx.Response(
        409, json={"error": {"reason": "date_open", "what": "w", "next_step": "n"}}))[1])
    with pytest.raises(LedgerRefusal) as caught:
        LedgerClient("http://x", "t", transport=refusing).close_day(DAY)
    assert caught.value.reason == "date_open" and len(calls) == 1
    odd = httpx.MockTransport(lambda _: httpx.Response(200, content=b"<html>"))
    with pytest.raises(PermanentFailure, match="not JSON"):
        LedgerClient("http://x", "t", transport=odd).health()
