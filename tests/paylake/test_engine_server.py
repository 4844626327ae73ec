"""An engine server that a command started for itself ends with the command, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from paylake import engine
from paylake.settings import ROOT, load

CHILD = """
import sys
from pathlib import Path
from paylake import engine, settings
own = settings.load({}, home=Path(sys.argv[1]))
with engine.server(own, int(sys.argv[2])):
    print("up", flush=True)
    sys.stdin.readline()
print("down", flush=True)
"""


def closes(port: int, seconds: float = 20) -> bool:
    until = time.monotonic() + seconds
    while engine.listens("127.0.0.1", port):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.engine
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_server_of_a_killed_command_ends(tmp_path, number):
    port = engine.free_port()
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path), str(port)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout.readline() == "up\n"
    assert engine.listens("127.0.0.1", port)
    child.send_signal(number)
    assert child.wait() == -number
    assert closes(port)


@pytest.mark.engine
def test_the_server_ends_with_the_block(tmp_path):
    own = load({}, home=tmp_path)
    port = engine.free_port()
    with engine.server(own, port):
        assert engine.listens("127.0.0.1", port)
    assert closes(port, seconds=1)
