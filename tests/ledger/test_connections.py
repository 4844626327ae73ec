"""Slow clients and too many of them, over real sockets: answered by name, and no one else waits."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from ledger.adapters.tokens import Tokens
from ledger.entrypoints import connections
from ledger.entrypoints.connections import REFUSED, guarded
from ledger.entrypoints.http import create_app
from ledger.entrypoints.operations import open_ledger
from tests.ledger.test_logs import lines

__all__ = ["lines"]

HEAD, BODY, ANSWER, MOST = 0.6, 1.2, 1.0, 12
POST = b"POST /v1/commands HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n"
GET = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.fixture
def port(world, settings, request):
    answer_seconds = getattr(request, "param", ANSWER)
    app = create_app(settings, world.ledger, Tokens.load(settings))
    server = uvicorn.Server(uvicorn.Config(
        app, log_config=None, access_log=False, timeout_keep_alive=30,
        http=guarded(
            HEAD, BODY, answer_seconds, MOST, app.state.refused_connection, app.state.direct,
        ),
    ))
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join(30)
    world.ledger = open_ledger(settings, simulated=True)


def opened(port: int, sent: bytes = b"") -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port), timeout=10)
    made.sendall(sent)
    return made


def answer(connection: socket.socket) -> tuple[int, str | None, str]:
    """Status, the error's reason and the content type of the one answer to come."""
    with connection, connection.makefile("rb") as lines:
        status = int(lines.readline().split()[1])
        headers = {}
        while line := lines.readline().strip().lower():
            name, _, value = line.partition(b":")
            headers[name] = value.strip()
        body = json.loads(lines.read(int(headers[b"content-length"])))
    return status, body.get("error", {}).get("reason"), headers[b"content-type"].decode()


LATE = (408, "request_timeout", "application/json")
FULL = (503, "too_many_connections", "application/json")


@pytest.fixture
def at_work(port, world, settings, monkeypatch):
    """As many requests under way as the service has connections; set the event to end them."""
    go = threading.Event()

    def waiting(*_):
        assert go.wait(30)
        return []

    monkeypatch.setattr(world.ledger, "open_accounts", waiting)
    token = settings.path("keys", "ledger.token").read_text("ascii").encode()
    body = b'{"accounts":[]}'
    request = (
        b"POST /v1/accounts HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\n"
        b"content-length: %d\r\n\r\n%b" % (token, len(body), body)
    )
    made = [opened(port, request) for _ in range(MOST)]
    time.sleep(0.2)  # their requests are whole
    yield go, made
    go.set()
    for one in made:
        one.close()


@pytest.mark.parametrize(("sent", "seconds"), [
    (b"", HEAD), (b"POST /v1/comm", HEAD), (POST, HEAD), (POST + b"\r\n", BODY),
    (POST + b"\r\n{", BODY),
])
def test_a_request_that_does_not_come_is_cut_by_name(port, sent, seconds):
    started = time.monotonic()
    assert answer(opened(port, sent)) == LATE
    assert seconds * 0.9 < time.monotonic() - started < seconds + 5


def test_a_body_that_trickles_is_cut_as_well(port):
    connection = opened(port, POST + b"\r\n")
    started = time.monotonic()
    while time.monotonic() - started < BODY * 3:
        try:
            connection.sendall(b" ")
        except OSError:
            break
        time.sleep(0.1)
    assert time.monotonic() - started < BODY * 3
    assert answer(opened(port, GET))[0] == 200


def test_slow_clients_do_not_keep_others_out(port):
    """More of them than the service has connections: the oldest of them gives way."""
    slow = [opened(port, POST) for _ in range(MOST * 2)]
    assert answer(opened(port, GET))[0] == 200
    assert [answer(one) for one in slow] == [LATE] * len(slow)


def kept_open(port: int) -> socket.socket:
    """A connection that was answered and waits for its next request."""
    made = opened(port, GET)
    assert said(made) == 200
    return made


def said(connection: socket.socket) -> int | None:
    """The status of the next answer, read to its end; None: the connection was closed."""
    head = b""
    while b"\r\n\r\n" not in head:
        if not (got := connection.recv(4096)):
            return None
        head += got
    head, _, body = head.partition(b"\r\n\r\n")
    length = int(re.search(rb"content-length: (\d+)", head.lower())[1])
    while len(body) < length:
        body += connection.recv(4096)
    return int(head.split()[1])


def test_the_longest_idle_gives_way_before_any_request_on_its_way(port):
    idle = [kept_open(port) for _ in range(MOST - 1)]
    slow = opened(port, POST)
    idle[0].sendall(GET)  # now the second is the longest idle
    assert said(idle[0]) == 200
    new = [kept_open(port) for _ in range(3)]
    assert [said(one) for one in idle[1:4]] == [None] * 3
    for one in (idle[0], *idle[4:], *new):
        one.sendall(GET)
        assert said(one) == 200
        one.close()
    assert answer(slow) == LATE


def test_idle_connections_keep_nobody_out(port):
    idle = [kept_open(port) for _ in range(MOST * 3)]
    assert answer(opened(port, GET))[0] == 200
    assert [said(one) for one in idle[:MOST]] == [None] * MOST


def test_too_many_are_told_so_in_json(port, at_work):
    go, working = at_work
    assert answer(opened(port, GET)) == FULL
    go.set()
    assert [answer(one)[0] for one in working] == [200] * MOST
    deadline = time.monotonic() + 10
    while answer(opened(port, GET))[0] != 200:
        assert time.monotonic() < deadline


def test_who_is_refused_makes_no_room_for_the_next(port, at_work):
    """However many come, together and silent at first, none gets above the most."""
    for number in (2, MOST * 2):
        came = [opened(port) for _ in range(number)]
        for one in came:
            one.sendall(GET)
        assert [answer(one) for one in came] == [FULL] * number


def test_who_is_refused_and_silent_is_told_and_cut(port, at_work, monkeypatch):
    started = time.monotonic()
    assert answer(opened(port)) == FULL
    assert time.monotonic() - started < 5
    monkeypatch.setattr(connections, "REFUSED_SECONDS", 60)
    came = [opened(port) for _ in range(REFUSED + 1)]
    assert answer(came[0]) == FULL
    for one in came:
        one.close()


@pytest.mark.parametrize(("sent", "said"), [
    (b"\x16\x03\x01\x02\x00\r\n\r\n", (400, "not_http", "application/json")),
    (b"GET / HTTP/1.1\r\nx: " + b"a" * 70_000, (431, "head_too_large", "application/json")),
])
def test_what_is_no_request_is_answered_by_name(port, sent, said):
    assert answer(opened(port, sent)) == said


def test_what_the_connection_refuses_is_counted_and_logged(port, at_work, settings, lines):
    go, working = at_work
    assert answer(opened(port, GET)) == FULL
    go.set()
    assert [answer(one)[0] for one in working] == [200] * MOST
    assert answer(opened(port, b"POST /SECRET")) == LATE
    assert answer(opened(port, b"\x16SECRET\r\n\r\n"))[:2] == (400, "not_http")
    assert answer(opened(port, b"GET / HTTP/1.1\r\nx: " + b"a" * 70_000))[0] == 431
    page = metrics(port, settings)
    said = [
        ("too_many_connections", 503), ("request_timeout", 408), ("not_http", 400),
        ("head_too_large", 431),
    ]
    for reason, _ in said:
        labels = f'reason="{reason}",signer="none"'
        assert f"ledger_requests_refused_total{{{labels}}} 1.0" in page
    found = [line for line in lines() if line["event"] == "connection_refused"]
    assert [(line["reason"], line["status"]) for line in found] == said
    assert {line["level"] for line in found} == {"warning"} and "SECRET" not in str(found)


def metrics(port: int, settings) -> str:
    asked = asking(settings, b"/metrics") + b"connection: close\r\n\r\n"
    with opened(port, asked) as connection:
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


def asking(settings, path: bytes) -> bytes:
    token = settings.path("keys", "ledger.token").read_text("ascii").encode()
    return b"GET %b HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\n" % (path, token)


@pytest.fixture
def long(world) -> int:
    """Bytes that the log has at least: more than a socket takes unread."""
    for _ in range(7):
        assert len(world.ledger.apply([world.command("payment") for _ in range(1000)])) == 1000
    return 4_000_000


def unread(port: int, sent: bytes) -> socket.socket:
    """A connection of a client that takes next to nothing on its own."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.settimeout(10)
    made.connect(("127.0.0.1", port))
    made.sendall(sent)
    return made


def said_of_cut(lines, port: int, settings) -> None:
    (line,) = [line for line in lines() if line["event"] == "connection_cut"]
    assert line["reason"] == "answer_not_taken" and line["level"] == "warning"
    assert 'ledger_connections_cut_total{reason="answer_not_taken"} 1.0' in metrics(port, settings)


@pytest.mark.parametrize("ending", [b"\r\n", b"connection: close\r\n\r\n"], ids=["kept", "close"])
def test_who_does_not_take_a_stream_is_cut(port, settings, long, lines, ending):
    with unread(port, asking(settings, b"/v1/log") + ending) as connection:
        time.sleep(ANSWER * 2)
        said_of_cut(lines, port, settings)
        got = b"".join(iter(lambda: connection.recv(65536), b""))  # what the socket had taken
    assert b"200 OK" in got and not got.endswith(b"0\r\n\r\n") and len(got) < long


def test_who_does_not_take_answers_is_cut(port, settings, long, lines):
    """One behind the other, none of which is a stream."""
    asked = asking(settings, b"/v1/journals?limit=1000") + b"\r\n"
    started = time.monotonic()
    with unread(port, b"") as connection, pytest.raises((ConnectionResetError, BrokenPipeError)):
        while True:  # the service reads on only as its answers are taken
            connection.sendall(asked)
    assert time.monotonic() - started < 10
    said_of_cut(lines, port, settings)


def test_who_takes_an_answer_slowly_has_it_whole(port, settings, long, monkeypatch):
    monkeypatch.setattr(connections, "TAKEN_BYTES", 100_000)
    connection = unread(port, asking(settings, b"/v1/log") + b"connection: close\r\n\r\n")
    started, got = time.monotonic(), 0
    last = b""
    while piece := connection.recv(8192):
        got, last = got + len(piece), piece
        if time.monotonic() - started < ANSWER * 3:
            time.sleep(0.02)
    assert time.monotonic() - started > ANSWER * 3
    assert got > long and last.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("port", [60.0], indirect=True)
def test_those_who_take_nothing_keep_nobody_out(port, settings, long):
    """They give way to others as slow requests do, the longest first."""
    asked = asking(settings, b"/v1/log") + b"\r\n"
    silent = [unread(port, asked) for _ in range(MOST)]
    deadline = time.monotonic() + 20
    while answer(opened(port, GET))[0] != 200:
        assert time.monotonic() < deadline
    for one in silent:
        one.close()


class Line:
    """A transport whose client takes nothing; what is aborted is lost a moment later."""

    def __init__(self) -> None:
        self.socket, self.aborted, self.closed = socket.socket(), 0, False

    def get_extra_info(self, name: str):
        return self.socket if name == "socket" else None

    def set_write_buffer_limits(self, **_: int) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 1

    def is_closing(self) -> bool:
        return self.closed or bool(self.aborted)

    def write(self, data: bytes) -> None: ...

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted += 1


def test_each_of_many_that_come_at_once_has_the_place_of_another():
    """Who is cut for the first of them makes no room for the second, before it is gone either; nor
    does one that was told to go and takes nothing of what it was told."""
    cut: list[tuple[int | None, str]] = []

    async def run() -> None:
        made = guarded(most=MOST, told=lambda *said: cut.append(said))
        config, state = uvicorn.Config(lambda *_: None, log_config=None, http=made), ServerState()
        config.load()

        def connected() -> Line:
            line, one = Line(), made(config, state, {})
            one.connection_made(line)
            protocols[line] = one
            return line

        protocols: dict[Line, Any] = {}
        silent = [connected() for _ in range(MOST)]
        for line in silent:
            protocols[line]._disarm()  # its request is whole
            protocols[line].pause_writing()
        protocols[silent[0]]._tell(431, b"", "head_too_large", "", "")
        protocols[silent[0]].pause_writing()
        new = [connected() for _ in range(5)]
        assert [line.aborted for line in silent] == [0, 1, 1, 1, 1, *[0] * (MOST - 5)]
        for line in (*silent, *new):
            protocols[line].connection_lost(None)
            line.socket.close()

    asyncio.run(run())
    assert cut == [(431, "head_too_large"), *[(None, "answer_not_taken")] * 4]


def test_the_log_is_streamed_whole_to_several_at_once(port, world, settings):
    asked = asking(settings, b"/v1/log") + b"connection: close\r\n\r\n"

    def got(_: int) -> bytes:
        with opened(port, asked) as connection:
            return b"".join(iter(lambda: connection.recv(65536), b""))

    with ThreadPoolExecutor(8) as several:
        answers = list(several.map(got, range(8)))
    for said in answers:
        assert said.endswith(b"0\r\n\r\n") and said.count(b"\n[") == world.ledger.head.sequence


def test_a_client_that_hangs_up_is_no_fault_of_the_service(port, world, settings):
    opened(port, POST + b"\r\n{").close()
    page, deadline = "", time.monotonic() + 10
    while 'status="408"' not in page:
        assert time.monotonic() < deadline, page
        page = metrics(port, settings)
    assert 'status="500"' not in page
