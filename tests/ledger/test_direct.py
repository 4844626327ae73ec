"""Single commands past the framework, over real sockets: the same answers, counts and lines as
behind it. A request that arrives in two parts goes to the framework, so both can be compared."""

from __future__ import annotations

import asyncio
import re
import threading
import time

import orjson
import pytest
import uvicorn
from uvicorn.server import ServerState

from ledger.client import LedgerClient, Signer
from ledger.entrypoints.connections import guarded
from ledger.entrypoints.operations import open_ledger
from ledger.service.ledger import Job
from paylake.errors import TransientFault
from tests.ledger.conftest import SYSTEM
from tests.ledger.test_connections import Line
from tests.ledger.test_logs import lines
from tests.ledger.wire import answer, soon, wire

__all__ = ["lines", "wire"]


def test_what_is_posted_is_answered_as_by_the_framework(wire, world):
    body = orjson.dumps(world.command("payment"))
    lines, said = wire.ask(*wire.request(body))
    assert lines[0] == b"HTTP/1.1 201 Created" and orjson.loads(said)["status"] == "posted"
    assert wire.direct == [body]
    replayed = wire.ask(*wire.request(body))
    assert orjson.loads(replayed[1]) == {**orjson.loads(said), "replayed": True}
    assert len(wire.direct) == 2
    assert wire.ask(*wire.request(body), parts=True) == replayed
    assert len(wire.direct) == 2 and replayed[0][0] == b"HTTP/1.1 200 OK"


FORMS = {
    "no JSON": b"{", "no object": b"[]", "not UTF-8": b"\xff\xfe", "empty": b"",
    "no type": b"{}", "unknown type": b'{"type": "gift", "idempotency_key": "k"}',
    "NaN": b'{"type": NaN}', "control": b'{"type": "payment", "idempotency_key": "a\\u0000"}',
    "type is a list": b'{"type": ["payment"]}',
}


@pytest.mark.parametrize("body", FORMS.values(), ids=FORMS)
def test_a_body_that_is_refused_is_answered_as_by_the_framework(wire, body):
    told = wire.ask(*wire.request(body))
    assert wire.direct == [body]
    if body:  # of an empty one no second part comes: the head is the whole request
        assert wire.ask(*wire.request(body), parts=True) == told and len(wire.direct) == 1
    assert told[0][0].split()[1] in (b"400", b"422")


SENDERS = {
    "nobody": {"authorization": ""}, "wrong token": {"authorization": "Bearer x"},
    "unknown session": {"x-paylake-session": "S-1"},
    "unknown signer": {"x-paylake-signer": "caller:nobody"},
    "twice": {"Authorization": "Bearer x"},
}


@pytest.mark.parametrize("headers", SENDERS.values(), ids=SENDERS)
def test_who_is_refused_is_answered_and_logged_as_by_the_framework(wire, headers, lines):
    request = wire.request(b"{}", headers)
    told = wire.ask(*request)
    assert wire.direct == [b"{}"]
    assert wire.ask(*request, parts=True) == told and len(wire.direct) == 1
    first, second = soon(lambda: [x for x in lines() if x["event"] == "request"], 2)
    for line in (first, second):
        del line["time"], line["milliseconds"], line["request_id"]
    assert first == second and first["route"] == "/v1/commands"
    if "Authorization" not in headers:
        assert told[0][0] == b"HTTP/1.1 401 Unauthorized"
        assert b"www-authenticate: Bearer" in told[0]


def test_what_is_refused_by_a_rule_has_its_status(wire, world):
    """Also one that leaves no entry: both ways give the same to the same command."""
    for values, status in (({"merchant_id": "M9"}, 422), ({"amount_minor": 0}, 422)):
        request = wire.request(orjson.dumps(world.command("payment", **values)))
        told = wire.ask(*request)
        assert int(told[0][0].split()[1]) == status, told
        again = wire.ask(*request, parts=True)
        assert again[0][0] == told[0][0]
        assert orjson.loads(again[1])["reason"] == orjson.loads(told[1])["reason"]
    assert len(wire.direct) == 2


def test_other_paths_methods_and_large_bodies_go_to_the_framework(wire, world):
    ready = [
        (wire.request(b"", first="GET /v1/commands HTTP/1.1"), b"405"),
        (wire.request(b"", first="GET /healthz HTTP/1.1"), b"200"),
        (wire.request(b'{"commands":[]}', first="POST /v1/batches HTTP/1.1"), b"422"),
        (wire.request(b"{}", first="POST /v1/commands/ HTTP/1.1"), b"307"),
        (wire.request(b" " * 4_000_001), b"413"),
    ]
    for request, status in ready:
        assert wire.ask(*request)[0][0].split()[1] == status, request[0]
    assert wire.direct == []


def test_a_body_in_chunks_is_read(wire, world):
    body = orjson.dumps(world.command("payment"))
    head, _ = wire.request(b"", {"content-length": "", "transfer-encoding": "chunked"})
    chunks = b"5\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (body[:5], len(body) - 5, body[5:])
    assert wire.ask(head, chunks)[0][0] == b"HTTP/1.1 201 Created"
    assert wire.direct == [body]


@pytest.mark.parametrize(("headers", "first"), [
    ({"connection": "close"}, ""), ({}, "POST /v1/commands HTTP/1.0"),
], ids=["close", "HTTP/1.0"])
def test_a_connection_that_is_not_to_be_kept_is_closed(wire, world, headers, first):
    request = wire.request(orjson.dumps(world.command("payment")), headers, first)
    for parts in (False, True):
        with wire.open() as made:
            made.sendall(request[0])
            if parts:
                time.sleep(0.05)
            made.sendall(request[1])
            lines, _ = answer(made)
            assert b"connection: close" in lines and made.recv(1) == b""


def test_who_asks_whether_to_send_is_told(wire, world):
    body = orjson.dumps(world.command("payment"))
    with wire.open() as made:
        made.sendall(wire.request(body, {"expect": "100-continue"})[0])
        assert made.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        made.sendall(body)
        assert answer(made)[0][0] == b"HTTP/1.1 201 Created"
    assert wire.direct == []


def test_requests_behind_one_another_are_answered_in_order(wire, world):
    """The first of them here, those that had to wait by the framework."""
    bodies = [orjson.dumps(world.command("payment")) for _ in range(5)]
    with wire.open() as made:
        made.sendall(b"".join(b"".join(wire.request(body)) for body in bodies))
        came = b""
        while came.count(b"HTTP/1.1 201 Created") < 5 or not came.endswith(b"}"):
            came += made.recv(65536)
    keys = [orjson.loads(body)["idempotency_key"] for body in bodies]
    assert re.findall(rb'"idempotency_key":"(\w+)"', came) == [key.encode() for key in keys]
    assert wire.direct == bodies[:1]


def test_many_on_one_connection_and_many_at_once(wire, world):
    bodies = [orjson.dumps(world.command("payment")) for _ in range(60)]
    connections = [wire.open() for _ in range(12)]
    for start in range(0, 60, 12):
        for made, body in zip(connections, bodies[start : start + 12], strict=True):
            made.sendall(b"".join(wire.request(body)))
        for made in connections:
            assert answer(made)[0][0] == b"HTTP/1.1 201 Created"
    for made in connections:
        made.close()
    assert sorted(wire.direct) == sorted(bodies)


def test_a_session_counts_its_requests_either_way(wire, world):
    """Each in its turn; one that is altered or sent again is told so, and counts for nothing."""
    with LedgerClient(f"http://127.0.0.1:{wire.port}", Signer("caller:C1", wire.key)) as client:
        session = client.session()
        signer = session.session
        for parts in (False, True, False):
            body = orjson.dumps(world.of("C1", world.command("payment")))
            headers = signer.headers("POST", "/v1/commands", body)
            head, _ = wire.request(body, headers)
            other = body.replace(b"10000", b"10001")
            for said, status in ((other, b"401"), (body, b"201"), (body, b"401")):
                assert wire.ask(head, said, parts=parts)[0][0].split()[1] == status
        session.cover()
        assert signer.covered == 3 and len(wire.direct) == 6


def test_a_signed_request_is_let_in_once(wire, world):
    body = orjson.dumps(world.of("C1", world.command("payment")))
    request = wire.request(body, Signer("caller:C1", wire.key).headers(
        "POST", "/v1/commands", body
    ))
    assert wire.ask(*request)[0][0].split()[1] == b"201"
    told = wire.ask(*request)
    assert orjson.loads(told[1])["error"]["reason"] == "request_replayed"
    assert len(wire.direct) == 2


def test_a_caller_keeps_to_its_rate(wire, world):
    """Told by name, either way."""
    posting = wire.app.state.direct.posting
    minute = int(time.time() // 60)
    for later in (minute, minute + 1):
        posting.identity._rates["C1", "transaction", later] = 10**6
    for parts in (False, True):
        body = orjson.dumps(world.of("C1", world.command("payment")))
        told = wire.ask(*wire.request(body, Signer("caller:C1", wire.key).headers(
            "POST", "/v1/commands", body
        )), parts=parts)
        assert orjson.loads(told[1])["error"]["reason"] == "rate_exceeded"
        assert told[0][0].split()[1] == b"429"
    assert len(wire.direct) == 1


def test_counts_and_times_are_those_of_the_path(wire, world):
    assert wire.ask(*wire.request(orjson.dumps(world.command("payment"))))[0][0].endswith(
        b"Created"
    )
    wire.ask(*wire.request(b"{}"))
    assert len(wire.direct) == 2
    page = wire.ask(*wire.request(b"", first="GET /metrics HTTP/1.1"))[1].decode()
    for line in (
        'ledger_http_requests_total{route="/v1/commands",status="201"} 1.0',
        'ledger_http_requests_total{route="/v1/commands",status="422"} 1.0',
        'ledger_http_request_seconds_count{route="/v1/commands"} 2.0',
        'ledger_commands_total{interface_class="transaction",operation="payment",'
        'outcome="posted"} 1.0',
        'ledger_refusals_total{reason="unknown_type"} 1.0',
    ):
        assert line in page, line


def failing(monkeypatch, ledger, error: Exception) -> None:
    def begin(jobs: list[Job]) -> None:
        raise error

    monkeypatch.setattr(ledger, "begin", begin)


def test_a_fault_of_the_program_is_named_and_its_message_is_not(
    wire, world, monkeypatch, lines
):
    failing(monkeypatch, world.ledger, OverflowError("SECRET"))
    told = wire.ask(*wire.request(orjson.dumps(world.command("payment"))))
    assert told[0][0] == b"HTTP/1.1 500 Internal Server Error" and len(wire.direct) == 1
    assert orjson.loads(told[1])["error"]["reason"] == "fault"
    (line,) = [line for line in lines() if line["event"] == "fault"]
    assert line["message"] == "unexpected OverflowError" and "begin" in line["fault"]
    assert "SECRET" not in str(lines())


def test_an_answer_that_cannot_be_formed_is_nobody_elses_fault(wire, world, monkeypatch):
    """Two commands posted in one transaction; the first one's answer fails."""
    go = held(monkeypatch, world.ledger)
    count = type(wire.app.state.direct.metrics).count_one
    left = [ValueError("SECRET")]

    def once(self, type_, result):
        if left:
            raise left.pop()
        count(self, type_, result)

    with wire.open() as first:
        first.sendall(b"".join(wire.request(orjson.dumps(world.command("payment")))))
        time.sleep(0.1)  # it keeps the writer busy
        monkeypatch.setattr(type(wire.app.state.direct.metrics), "count_one", once)
        others = [wire.open() for _ in range(3)]
        for other in others:
            other.sendall(b"".join(wire.request(orjson.dumps(world.command("payment")))))
        time.sleep(0.1)
        go.set()
        statuses = [answer(made)[0][0].split()[1] for made in (first, *others)]
    for other in others:
        other.close()
    assert sorted(statuses) == [b"201", b"201", b"201", b"500"]


def test_a_fault_of_the_storage_is_answered_by_name(wire, world, monkeypatch):
    failing(monkeypatch, world.ledger, TransientFault("the disk is away", "send it again"))
    told = wire.ask(*wire.request(orjson.dumps(world.command("payment"))))
    assert told[0][0] == b"HTTP/1.1 503 Service Unavailable" and len(wire.direct) == 1
    assert orjson.loads(told[1])["error"]["reason"] == "storage_unavailable"


def held(monkeypatch, ledger) -> threading.Event:
    """The writer plans nothing until the event is set."""
    go, begin = threading.Event(), ledger.begin

    def later(jobs: list[Job]):
        assert go.wait(30)
        return begin(jobs)

    monkeypatch.setattr(ledger, "begin", later)
    return go


def test_who_hangs_up_has_posted_all_the_same(wire, world, monkeypatch, lines):
    go = held(monkeypatch, world.ledger)
    command = world.command("payment")
    with wire.open() as made:
        made.sendall(b"".join(wire.request(orjson.dumps(command))))
        time.sleep(0.1)
    go.set()
    again = wire.ask(*wire.request(orjson.dumps(command)))
    assert orjson.loads(again[1])["replayed"] is True
    assert not [line for line in lines() if line["level"] == "error"]


def test_what_is_under_way_is_answered_before_the_service_ends(wire, world, monkeypatch):
    go = held(monkeypatch, world.ledger)
    with wire.open() as made, wire.open() as gone:
        made.sendall(b"".join(wire.request(orjson.dumps(world.command("payment")))))
        other = world.command("payment")
        gone.sendall(b"".join(wire.request(orjson.dumps(other))))
        time.sleep(0.1)
        gone.close()
        wire.server.should_exit = True
        time.sleep(0.3)
        go.set()
        lines, _ = answer(made)
        assert lines[0] == b"HTTP/1.1 201 Created" and b"connection: close" in lines
        assert made.recv(1) == b""
    deadline = time.monotonic() + 10
    while not world.ledger.ending:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.2)
    world.ledger = open_ledger(world.settings, simulated=True)
    (found,) = world.ledger.apply([other], SYSTEM)
    assert found["replayed"] is True  # who hung up had sent it whole
    world.ledger.close()


def test_who_does_not_take_its_answers_goes_to_the_framework():
    """Which waits until they are taken: no more than one answer is ever kept for a connection."""
    went: list[str] = []

    class Taking:
        def takes(self, scope) -> bool:
            return True

        def post(self, scope, body, reply) -> None:
            went.append("direct")
            reply(200, b"content-length: 2\r\n", b"{}")

    async def application(scope, receive, send) -> None:
        went.append("framework")
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def run() -> None:
        made = guarded(direct=Taking())
        config, state = uvicorn.Config(application, log_config=None, http=made), ServerState()
        config.load()
        one, line = made(config, state, {}), Line()
        one.connection_made(line)
        request = b"POST /v1/commands HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}"
        one.data_received(request)
        one.pause_writing()
        one.data_received(request)
        await asyncio.sleep(0.01)
        assert went == ["direct", "framework"] and not one.cycle.response_started
        one.resume_writing()
        await asyncio.sleep(0.01)
        assert one.cycle.response_started
        one.connection_lost(None)
        line.socket.close()

    asyncio.run(run())
