"""The health check itself: what it takes for healthy, and what it does not."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from paylake.engine import free_port
from tests.deploy.compose import ROOT


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(503 if self.path == "/ill" else 200)
        self.end_headers()
        self.wfile.write(b'{"status": "ALIVE"}')

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def check(*addresses: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "deploy" / "healthy.py"), *addresses]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_an_address_that_answers_is_healthy(port: int) -> None:
    page, door = f"http://127.0.0.1:{port}/json/#ALIVE", f"tcp://127.0.0.1:{port}"
    assert check(page, door).returncode == 0


def test_no_proxy_stands_between(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert check(f"http://127.0.0.1:{port}/json/#ALIVE").returncode == 0


@pytest.mark.parametrize("what", ["status", "word", "page", "port", "one of two", "nothing"])
def test_anything_else_is_not(port: int, what: str) -> None:
    closed = free_port()
    addresses = {
        "status": [f"http://127.0.0.1:{port}/ill"],
        "word": [f"http://127.0.0.1:{port}/json/#STANDBY"],
        "page": [f"http://127.0.0.1:{closed}/"],
        "port": [f"tcp://127.0.0.1:{closed}"],
        "one of two": [f"tcp://127.0.0.1:{port}", f"tcp://127.0.0.1:{closed}"],
        "nothing": [],
    }[what]
    done = check(*addresses)
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert not addresses or addresses[-1].split("#")[0] in done.stderr
