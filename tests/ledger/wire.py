"""A service on a real socket, asked in bytes, and what went past the framework there."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable

import pytest
import uvicorn
from fastapi import FastAPI

from ledger.adapters.tokens import Tokens
from ledger.entrypoints.connections import guarded
from ledger.entrypoints.direct import Direct
from ledger.entrypoints.http import create_app
from ledger.entrypoints.operations import open_ledger
from paylake.crypto import PrivateKey


class Wire:
    """One service.

    `direct` has the bodies that went past the framework, `key` is that of caller C1.
    """

    def __init__(
        self, app: FastAPI, server: uvicorn.Server, port: int, token: str, direct: list[bytes],
        key: PrivateKey,
    ) -> None:
        self.app, self.server, self.port = app, server, port
        self.direct, self.key = direct, key
        self.bearer = {"authorization": f"Bearer {token}"}

    def open(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def request(
        self, body: bytes, headers: dict[str, str] | None = None, first: str = "",
    ) -> tuple[bytes, bytes]:
        """Head and body as they are sent."""
        given = {"host": "x", "content-length": str(len(body)), **self.bearer, **(headers or {})}
        said = "".join(f"{name}: {value}\r\n" for name, value in given.items() if value)
        return f"{first or 'POST /v1/commands HTTP/1.1'}\r\n{said}\r\n".encode(), body

    def ask(self, head: bytes, body: bytes, *, parts: bool = False) -> tuple[list[bytes], bytes]:
        """The lines of the answer's head but those that differ each time, and its body."""
        with self.open() as made:
            if parts:
                made.sendall(head)
                time.sleep(0.05)
                made.sendall(body)
            else:
                made.sendall(head + body)
            return answer(made)


def answer(made: socket.socket) -> tuple[list[bytes], bytes]:
    came = b""
    while b"\r\n\r\n" not in came:
        piece = made.recv(65536)
        assert piece, came
        came += piece
    head, _, body = came.partition(b"\r\n\r\n")
    length = int(re.search(rb"content-length: (\d+)", head)[1])
    while len(body) < length:
        body += made.recv(65536)
    found = head.split(b"\r\n")
    names = [line.partition(b":")[0] for line in found]
    assert names.count(b"x-request-id") == names.count(b"date") == 1
    return [line for line in found if not line.startswith((b"date:", b"x-request-id:"))], body


def soon(found: Callable[[], list], count: int) -> list:
    """So many, which are written after the answer."""
    deadline = time.monotonic() + 10
    while len(found()) < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found()


@pytest.fixture
def wire(world, settings, monkeypatch):
    key = PrivateKey.generate()
    world.approved(
        "caller", caller_id="C1", party_id="M1", public_key=key.public.point, on_behalf=[],
        rates={"transaction": 10**6}, rails=["unionpay"], enabled=True,
    )
    app = create_app(settings, world.ledger, Tokens.load(settings))
    direct: list[bytes] = []
    post = Direct.post

    def noted(self, scope, body, reply):
        direct.append(body)
        post(self, scope, body, reply)

    monkeypatch.setattr(Direct, "post", noted)
    server = uvicorn.Server(uvicorn.Config(
        app, log_config=None, access_log=False, timeout_graceful_shutdown=10, server_header=False,
        http=guarded(told=app.state.refused_connection, direct=app.state.direct),
    ))
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    token = settings.path("keys", "ledger.token").read_text("ascii").strip()
    yield Wire(app, server, listener.getsockname()[1], token, direct, key)
    server.should_exit = True
    thread.join(30)
    assert not thread.is_alive()
    world.ledger = open_ledger(settings, simulated=True)
