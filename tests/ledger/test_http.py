"""The HTTP entry point, in process, and the client against it."""

from __future__ import annotations

import errno
import logging
import time
from datetime import UTC, datetime, timedelta

import httpx
import orjson
import pytest
from fastapi.testclient import TestClient

from ledger.adapters import nonces
from ledger.adapters.data_files import load_operations
from ledger.adapters.nonces import KeptNonces
from ledger.adapters.tokens import Tokens
from ledger.client import LedgerClient, LedgerRefusal, Signer
from ledger.domain.refusals import BY_CODE
from ledger.entrypoints import identity
from ledger.entrypoints.bodies import BODY_LIMIT_BYTES
from ledger.entrypoints.http import create_app
from ledger.entrypoints.identity import WINDOW_SECONDS
from ledger.entrypoints.operations import open_ledger, verify
from ledger.entrypoints.routes.reconciliations import STATEMENT_BYTES
from paylake.crypto import PrivateKey, sm3_hex
from paylake.errors import PermanentFailure, TransientFault
from tests.ledger.conftest import ANN, DAY


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
    world.ledger.close = lambda: None  # shutdown did; what a test damaged is not opened again


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
    world.merchant("M3")
    assert client.open_accounts([
        {"account_code": "2201", "party_id": "M3", "currency_code": "CNY"},
        {"account_code": "2201", "party_id": "M3", "currency_code": "CNY"},
        {"account_code": "1001", "party_id": "M3", "currency_code": "CNY"},
        {"account_code": "9999", "party_id": None, "currency_code": "CNY"},
    ]) == [
        {"status": "opened", "account_id": "2201:M3", "currency_code": "CNY"},
        {"status": "already_open", "account_id": "2201:M3", "currency_code": "CNY"},
        {"status": "refused", "reason": "register_differs", "detail": "1001 has no party",
         "field": "party_id"},
        {"status": "refused", "reason": "register_differs",
         "detail": "9999 is not in the chart of accounts", "field": "account_code"},
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
    ("POST", "/v1/reconciliations", b"{}", 400, "missing_field"),
    ("POST", "/v1/reconciliations", b" " * (STATEMENT_BYTES + 1), 413, "body_too_large"),
    ("GET", "/v1/reconciliations/RC-0", None, 404, "reconciliation_unknown"),
    ("GET", "/v1/reconciliations/RC-0?class=x", None, 422, "invalid_field"),
    ("GET", "/v1/reconciliations/RC-0?after=x", None, 422, "invalid_field"),
    ("GET", "/v1/open-items?limit=0", None, 422, "invalid_field"),
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
    ("POST", "/v1/dry-runs", b'{"commands": {}}', 400, "invalid_field"),
    ("POST", "/v1/dry-runs", b'{"commands": []}', 422, "batch_empty"),
    ("POST", "/v1/accounts", b'{"accounts": 1}', 400, "invalid_field"),
    ("GET", "/v1/accounts/2101:U9/balance", None, 404, "account_not_open"),
    ("GET", "/v1/accounts/2101:U1/balance?known_at=now", None, 422, "invalid_field"),
    ("GET", "/v1/accounts/2101:U1/balance?known_at=9999-12-31T23:59:59Z", None, 422,
     "invalid_field"),
    ("PUT", "/v1/clock", b'{"now": "9999-12-31T23:59:59Z"}', 422, "invalid_field"),
    ("POST", "/v1/days/0001-01-01/run", b"{}", 404, "not_a_date"),
    ("GET", "/v1/accounts/2101:U1/balance?value_date=today", None, 422, "invalid_field"),
    ("GET", "/v1/accounts/2101:U9/tree", None, 404, "account_not_open"),
    ("GET", "/v1/journals?after=x", None, 422, "invalid_field"),
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

    path = settings.path("keys", "ledger_tokens.json")
    path.write_text(json.dumps({"reader": {"sm3": sm3(b"r").hex(), "rights": ["read"]}}))
    app = create_app(settings, world.ledger, Tokens.load(settings))
    with TestClient(app, headers={"authorization": "Bearer r"}) as http:
        assert http.get("/v1/balances").status_code == 200
        assert http.post("/v1/batches", json={"commands": []}).status_code == 403
        assert http.post("/v1/commands", json={}).status_code == 403
        assert http.post("/v1/dry-runs", json={"commands": []}).status_code == 403
        assert http.post("/v1/accounts", json={"accounts": []}).status_code == 403
        assert http.put("/v1/clock", json={"now": "x"}).status_code == 403
        assert http.post("/v1/days/2026-09-12/close").status_code == 403
    world.ledger = open_ledger(settings, simulated=True)


def test_pages(http, world):
    world.ledger.apply([world.command("payment") for _ in range(5)])
    found, after = [], None
    while True:
        query = {"booking_date": "2026-09-12", "limit": 2, **({"after": after} if after else {})}
        page = http.get("/v1/journals", params=query).json()
        found += [j["journal_id"] for j in page["journals"]]
        after = page["next"]
        if after is None:
            break
    assert found == [f"J{number:012d}" for number in (1, 2, 3, 4, 5)]
    names, after = [], None
    while True:
        query = {"limit": 2, **({"after": after} if after else {})}
        page = http.get("/v1/balances", params=query).json()
        names += [b["account_id"] for b in page["balances"]]
        after = page["next"]
        if after is None:
            break
    assert names == sorted(world.balances()) and len(names) > 30


def test_openapi_is_made_from_the_domain(http):
    document = http.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    for type_, operation in load_operations().by_type.items():
        schema = schemas[f"{type_}_command"]
        assert {f.name for f in operation.form.fields} < set(schema["properties"])
        assert {f.name for f in operation.form.fields if not f.optional} < set(schema["required"])
    assert schemas["Result"]["properties"]["reason"]["enum"] == list(BY_CODE)
    assert "/v1/batches" in document["paths"]
    assert document["paths"]["/v1/batches"]["post"]["security"] == [{"bearer": []}, {"signed": []}]
    assert "security" not in document["paths"]["/healthz"]["get"]
    assert "HTTPValidationError" not in schemas


def test_reads(client, http, world):
    world.do("top_up", amount_minor=20000, value_date="2026-09-10")
    world.do("withdrawal", withdrawal_id="W")
    waits = world.send("hold", ANN, hold_id="H", hold_kind="evidence", account_id="2201:M1",
                       amount_minor=5, currency_code="CNY", case_number="N")
    (row,) = client.balances("2101", ["U1"])
    assert (row["balance_minor"], row["held_minor"], row["available_minor"]) == (
        20000, 10050, 9950)
    for value_date, amount in (("2026-09-09", 0), ("2026-09-10", 20000), (None, 20000)):
        day = None if value_date is None else DAY.fromisoformat(value_date)
        assert client.balance_at("2101:U1", value_date=day)["balance_minor"] == amount
    before = datetime(2026, 9, 12, 1, 59, 59, tzinfo=UTC)
    assert client.balance_at("2101:U1", known_at=before)["balance_minor"] == 0
    (hold,) = client.holds("2101:U1")
    assert (hold["hold_id"], hold["left_minor"], hold["expires_on"]) == ("W", 10050, None)
    (found,) = client.pending()
    assert (found["sequence"], found["maker"], found["type"]) == (
        waits["sequence"], "operator:ann", "hold")
    assert found["digest"] == world.ledger.authority.digest(waits["sequence"]).hex()
    world.register("move_account", account_id="2101:U1", parent_account_id="2101:U2",
                   currency_code="CNY")
    tree = http.get("/v1/accounts/2101:U2/tree").json()
    assert [
        (one["account_id"], one["level"], one["balance_minor"], one["total_minor"])
        for one in tree["accounts"]
    ] == [("2101:U2", 0, 0, 20000), ("2101:U1", 1, 20000, 20000)]
    tried = client.dry_run([world.command("payment")])
    assert [(r["status"], r["dry_run"]) for r in tried] == [("posted", True)]
    assert client.health()["last_sequence"] == world.ledger.head.sequence


# signed requests


class Signed:
    """Requests of one signer, each part of which a test can change."""

    def __init__(self, http, name: str, key: PrivateKey) -> None:
        self.http, self.signer = http, Signer(name, key)

    def send(self, method: str, path: str, body: bytes = b"", **changed: str):
        headers = {**self.signer.headers(method, path, body), "authorization": "",
                   "content-type": "application/json"}
        return self.http.request(method, path, content=body, headers={
            **headers, **{f"x-paylake-{name}": value for name, value in changed.items()},
        })


@pytest.fixture
def ann(http, world):
    return Signed(http, "operator:ann", world.keys["ann"])


@pytest.fixture
def caller(http, world):
    """A caller for M1 that may send transactions and a few others a minute."""
    key = PrivateKey.generate()
    world.approved("caller", caller_id="C1", party_id="M1", on_behalf=["M2"], enabled=True,
                   public_key=key.public.point, rates={"transaction": 1000, "user": 2},
                   rails=["unionpay"])
    return Signed(http, "caller:C1", key)


def test_a_persons_request_is_signed_and_kept_as_evidence(ann, world, settings):
    body = orjson.dumps({"commands": [world.command("payment"), world.command("payment")]})
    answer = ann.send("POST", "/v1/batches", body)
    assert [r["status"] for r in answer.json()["results"]] == ["posted", "posted"]
    first, second = (world.row(result) for result in answer.json()["results"])
    assert first[7] == second[7] == "operator:ann"
    assert orjson.loads(first[8])["digest"] == sm3_hex(body)
    assert orjson.loads(second[8]) == {"request": first[0]}
    assert ann.send("GET", "/v1/balances?limit=2").status_code == 200
    assert ann.send("POST", "/v1/days/2026-09-12/close").status_code == 403
    found = verify(settings)
    assert (found.requests, found.uncovered_requests) == (1, 0)


@pytest.mark.parametrize(("changed", "reason"), [
    ({"signer": "operator:eve"}, "unauthorised"),
    ({"signer": "system:ann"}, "unauthorised"),
    ({"signer": "operator:ben"}, "signature_wrong"),
    ({"nonce": "00" * 8}, "signature_wrong"),
    ({"nonce": "xyz"}, "signature_wrong"),
    ({"signature": "00" * 70}, "signature_wrong"),
    ({"signature": "rubbish"}, "signature_wrong"),
    ({"digest": "00" * 32}, "signature_wrong"),
    ({"timestamp": "2026-09-12T02:00:00Z"}, "request_stale"),
    ({"timestamp": "now"}, "request_stale"),
])
def test_a_request_that_is_not_what_was_signed_is_refused(ann, world, changed, reason):
    body = orjson.dumps(world.command("payment"))
    answer = ann.send("POST", "/v1/commands", body, **changed)
    assert (answer.status_code, answer.json()["error"]["reason"]) == (401, reason)
    assert world.ledger.head.journal == 0


def test_another_body_path_or_method_than_was_signed_is_refused(ann, http, world):
    body = orjson.dumps({"commands": [world.command("payment")]})
    for method, path, sent in (("POST", "/v1/dry-runs", body), ("POST", "/v1/batches", body + b" "),
                               ("GET", "/v1/batches", body)):
        headers = ann.signer.headers(method, path, sent)
        answer = http.post("/v1/batches", content=body, headers=headers)
        assert answer.json()["error"]["reason"] == "signature_wrong"


def test_a_nonce_serves_once(ann, http, world):
    body = orjson.dumps(world.command("payment"))
    headers = {**ann.signer.headers("POST", "/v1/commands", body), "authorization": ""}
    assert http.post("/v1/commands", content=body, headers=headers).status_code == 201
    again = http.post("/v1/commands", content=body, headers=headers)
    assert (again.status_code, again.json()["error"]["reason"]) == (401, "request_replayed")


@pytest.mark.parametrize("path", ["/v1/balances", "/v1/pending"])
def test_a_nonce_of_a_read_serves_once_also_after_another_start(world, settings, path):
    """A command's is not kept: its key lets it post once."""
    signer = Signer("operator:ann", world.keys["ann"])
    body = orjson.dumps(world.command("payment"))
    command = {"content": body, "headers": signer.headers("POST", "/v1/commands", body)}
    headers = signer.headers("GET", path, b"")
    results = []
    for _ in range(2):
        app = create_app(settings, world.ledger, Tokens.load(settings))
        with TestClient(app, raise_server_exceptions=False) as service:
            results.append((
                [service.get(path, headers=headers) for _ in range(2)],
                service.post("/v1/commands", **command).json(),
                service.get(path, headers=signer.headers("GET", path, b"")).status_code,
            ))
        world.ledger = open_ledger(settings, simulated=True)
    (first, booked, fresh), (second, replayed, fresh_again) = results
    assert [answer.status_code for answer in (*first, *second)] == [200, 401, 401, 401]
    assert {answer.json()["error"]["reason"] for answer in (first[1], *second)} == {
        "request_replayed"}
    assert replayed == {**booked, "replayed": True} and (fresh, fresh_again) == (200, 200)
    kept = settings.path("ledger", "nonces")
    assert kept.stat().st_mode & 0o077 == 0 and headers["x-paylake-nonce"] in kept.read_text()


def test_a_nonce_is_not_forgotten_while_its_request_could_be_sent_again(
    world, settings, monkeypatch
):
    """However many come after it, also after another start: those of one signer beyond a bound are
    refused by name, others go on, and so does the signer once its oldest are out of the window."""
    clock = [time.time()]
    monkeypatch.setattr(identity, "_NONCES", 3)
    monkeypatch.setattr(identity.Identity.__init__, "__defaults__", (lambda: clock[0],))
    ann, ben = (Signer(f"operator:{name}", world.keys[name]) for name in ("ann", "ben"))
    ann.now = ben.now = lambda: clock[0]
    path = "/v1/pending"
    old = [ann.headers("GET", path, b"") for _ in range(3)]

    def told(service, *asked):
        answers = [service.get(path, headers=headers) for headers in asked]
        return [one.json().get("error", {}).get("reason", one.status_code) for one in answers]

    for first in (True, False):
        with TestClient(create_app(settings, world.ledger, Tokens.load(settings))) as service:
            if first:
                assert told(service, *old) == [200, 200, 200]
            assert told(service, ann.headers("GET", path, b"")) == ["too_many_nonces"]
            assert told(service, *old) == ["request_replayed"] * 3
            assert told(service, ben.headers("GET", path, b"")) == [200]
            if not first:
                clock[0] += 2 * WINDOW_SECONDS + 1
                assert told(service, ann.headers("GET", path, b"")) == [200]
                assert told(service, *old) == ["request_stale"] * 3
        world.ledger = open_ledger(settings, simulated=True)


def test_nonces_are_kept_for_twice_the_window_and_no_longer_than_need_be(tmp_path):
    kept = KeptNonces(tmp_path, 600, 1_000)
    for number in range(30):
        kept.add(f"operator:ann/{number}", 1_000 + number * 100)
    kept.close()
    with (tmp_path / "nonces").open("a") as file:
        file.write("39")  # of a write that a kill cut off
    lines = [(tmp_path / name).read_text().splitlines() for name in ("nonces", "nonces.before")]
    assert sum(map(len, lines)) < 20
    again = KeptNonces(tmp_path, 600, 3_950)
    assert list(again.found) == [f"operator:ann/{number}" for number in range(24, 30)]
    again.close()
    last = KeptNonces(tmp_path, 600, 4_600)
    assert last.found == {}
    last.close()
    assert not (tmp_path / "nonces.before").exists()


def test_a_request_whose_nonce_cannot_be_kept_is_to_be_sent_again(ann, http, monkeypatch):
    """The very same one, once the next file can be begun."""
    headers = {**ann.signer.headers("GET", "/v1/balances", b""), "authorization": ""}
    later, opened = time.time() + 3 * WINDOW_SECONDS, nonces._opened
    assert ann.send("GET", "/v1/balances").status_code == 200

    def full(*_):
        raise OSError(errno.EMFILE, "too many open files")

    add = KeptNonces.add
    monkeypatch.setattr(KeptNonces, "add", lambda self, key, now: add(self, key, later))
    monkeypatch.setattr(nonces, "_opened", full)
    for _ in range(2):
        answer = http.get("/v1/balances", headers=headers)
        assert (answer.status_code, answer.json()["error"]["reason"]) == (
            503, "storage_unavailable")
    monkeypatch.setattr(nonces, "_opened", opened)
    answers = [http.get("/v1/balances", headers=headers).status_code for _ in range(2)]
    assert answers == [200, 401]


def test_a_disabled_person_is_unknown(ann, world):
    world.joins("eve")
    world.approved("operator", operator_id="ann", operator_name="Ann", enabled=False,
                   public_key=world.keys["ann"].public.point)
    assert ann.send("GET", "/v1/balances").status_code == 401


def test_maker_and_checker_over_http(ann, http, world, settings):
    body = orjson.dumps({
        "type": "contract", "idempotency_key": "c", "contract_id": "K", "merchant_id": "M1",
        "settlement_mode": "institution", "settlement_cycle": "T+1", "minimum_minor": 0,
        "fee_choice": "bill", "valid_from": "2026-09-20",
        "occurred_at": "2026-09-12T10:00:00+08:00",
    })
    waits = ann.send("POST", "/v1/commands", body)
    assert (waits.status_code, waits.json()["status"]) == (201, "pending")
    ben = Signed(http, "operator:ben", world.keys["ben"])
    approval = {
        "type": "approve", "idempotency_key": "a", "pending": waits.json()["sequence"],
        "operator_id": "ben", "signature": world.signature(waits.json()["sequence"]),
        "occurred_at": "2026-09-12T10:00:00+08:00",
    }
    own = orjson.dumps({**approval, "idempotency_key": "o"})
    assert ann.send("POST", "/v1/commands", own).json()["reason"] == "no_right"
    done = ben.send("POST", "/v1/commands", orjson.dumps(approval))
    assert (done.status_code, done.json()["status"]) == (201, "posted")
    assert world.ledger.state.contract("M1", "2026-09-20")["settlement_cycle"] == "T+1"
    assert verify(settings).requests == 3


def test_accounts_that_a_person_opens_keep_the_signed_request(world, http, settings):
    """The first entry has it, the others name that one; `verify` checks the signature."""
    ann = Signed(http, "operator:ann", world.keys["ann"])
    world.register("party", party_id="U9", party_kind="user")
    unsigned = verify(settings).unsigned_entries  # what this ledger was set up with
    body = orjson.dumps({"accounts": [
        {"account_code": code, "party_id": "U9", "currency_code": "CNY"}
        for code in ("2101", "2702")
    ]})
    opened = ann.send("POST", "/v1/accounts", body)
    assert [r["status"] for r in opened.json()["results"]] == ["opened", "opened"]
    first, second = list(world.ledger.store.entries(world.ledger.head.sequence - 1))
    assert (first[2], first[7]) == ("open_account", "operator:ann")
    kept = orjson.loads(first[8])
    assert (kept["signer"], kept["path"], kept["digest"]) == (
        "operator:ann", "/v1/accounts", sm3_hex(body))
    assert orjson.loads(second[8]) == {"request": first[0]}
    found = verify(settings)
    assert (found.requests, found.unsigned_entries) == (1, unsigned)


def test_verify_counts_what_people_and_callers_sent_without_a_signed_request(world, settings):
    """Past the service, or by a program of before that kept none: counted, not broken."""
    before = verify(settings).unsigned_entries
    opened = world.ledger.open_accounts(
        [{"account_code": "6004", "party_id": None, "currency_code": "CNY"}], ANN)
    assert opened[0]["status"] == "opened"
    world.do("fee")
    found = verify(settings)
    assert (found.broken, found.unsigned_entries) == (None, before + 1)


def test_a_caller_acts_for_its_merchants_alone(caller, world):
    world.merchant("M3")
    world.open([("2201", "M3")])
    for merchant, status in (("M1", 201), ("M2", 201), ("M3", 403)):
        body = orjson.dumps(world.of("C1", world.command("payment", merchant_id=merchant)))
        answer = caller.send("POST", "/v1/commands", body)
        assert answer.status_code == status, answer.text
    assert answer.json()["reason"] == "not_your_merchant"
    assert caller.send("GET", "/v1/balances").status_code == 403
    accounts = b'{"accounts": [{"account_code": "2201", "party_id": "M1", "currency_code": "CNY"}]}'
    assert caller.send("POST", "/v1/accounts", accounts).status_code == 403
    receipt = {"type": "receipt", "idempotency_key": "C1.r", "receipt_id": "C1.R",
               "amount_minor": 1, "currency_code": "CNY",
               "occurred_at": "2026-09-12T10:00:00+08:00"}
    answer = caller.send("POST", "/v1/commands", orjson.dumps(receipt))
    assert (answer.status_code, answer.json()["reason"]) == (403, "no_right")


def test_a_caller_is_held_to_its_rates(caller, world):
    top_up = orjson.dumps(world.of("C1", world.command("top_up")))
    said = [caller.send("POST", "/v1/commands", top_up).status_code for _ in range(3)]
    assert said == [403, 403, 429]  # not its user, then too often
    fee = caller.send("POST", "/v1/commands", orjson.dumps(world.command("fee")))
    assert (fee.status_code, fee.json()["error"]["reason"]) == (403, "forbidden")


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


def test_metrics_count_and_say_nothing_of_customers(http, world):
    http.post("/v1/batches", json={"commands": [
        world.command("payment"), world.command("settlement", amount_minor=10**9), "rubbish",
    ]})
    text = http.get("/metrics").text
    for class_, type_, outcome in (
        ("transaction", "payment", "posted"),
        ("merchant", "settlement", "refused"),
        ("unknown", "unknown", "refused"),
    ):
        labels = f'interface_class="{class_}",operation="{type_}",outcome="{outcome}"'
        assert f"ledger_commands_total{{{labels}}} 1.0" in text
    assert 'ledger_refusals_total{reason="below_floor"} 1.0' in text
    assert 'ledger_http_requests_total{route="/v1/batches",status="200"} 1.0' in text
    assert "ledger_journals 1.0" in text
    assert "M1" not in text
    assert http.get("/metrics", headers={"authorization": ""}).status_code == 401


def test_an_account_in_shards_is_one_account_to_who_asks(client, world):
    client.set_clock(datetime(2026, 9, 12, 22, 0, tzinfo=UTC) - timedelta(hours=8))
    world.do("top_up", amount_minor=10_000)
    world.approved("account_shards", account_id="1001", shards=2, currency_code="CNY")
    world.do("top_up", amount_minor=3_000)
    parts = {row["account_id"]: row["balance_minor"] for row in client.balances("1001")}
    assert sorted(parts) == ["1001", "1001#1", "1001#2"] and sum(parts.values()) == 13_000
    (shard,) = [name for name, amount in parts.items() if amount == 3_000]
    assert client.balance_at(shard)["balance_minor"] == 3_000
    assert client.balance_at("1001")["balance_minor"] == 13_000
    assert client.standing("1001")["available_minor"] == 13_000
    assert [line["amount_minor"] for line in client.movements(shard)] == [3_000]
