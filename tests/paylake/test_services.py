"""Servers: started once, found again, stopped with their children; foreign ones never touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import psutil
import pytest

from paylake import services, settings
from paylake.engine import free_port
from paylake.errors import EnvironmentFault

SERVER = """
import http.server, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])),
                                http.server.SimpleHTTPRequestHandler).serve_forever()
"""


@pytest.fixture
def home(tmp_path):
    loaded = settings.load({"PAYLAKE_HOME": str(tmp_path)})
    yield loaded
    for name in services.recorded(loaded):
        services.stop(loaded, name)


def server(port: int, script: str = SERVER, seconds: int = 20) -> services.Service:
    return services.Service(
        "demo", [sys.executable, "-c", script, str(port)], port, "/", start_seconds=seconds
    )


def test_started_once_and_stopped_with_its_children(home):
    service = server(free_port())
    assert services.start(home, service) is True
    assert services.start(home, service) is False
    process = services.running(home, "demo").process()
    children = process.children()
    assert len(children) == 1
    assert services.stop(home, "demo") is True
    assert not services._lives(process) and not services._lives(children[0])
    assert services.stop(home, "demo") is False


def test_an_ended_process_that_nobody_asked_about_is_not_waited_for():
    """The child of a parent that never looks stays listed as a zombie."""
    parent = subprocess.Popen(
        [sys.executable, "-c", "import subprocess, sys, time\n"
         "print(subprocess.Popen([sys.executable, '-c', '']).pid, flush=True)\n"
         "time.sleep(60)"],
        stdout=subprocess.PIPE, text=True,
    )
    try:
        ended = psutil.Process(int(parent.stdout.readline()))
        while ended.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        began = time.monotonic()
        assert services._left_after([ended, psutil.Process(parent.pid)], 0.2) == [
            psutil.Process(parent.pid)]
        assert services._left_after([ended], 30) == [] and time.monotonic() - began < 10
    finally:
        parent.kill()
        parent.wait()


def test_a_taken_port_is_named(home):
    service = server(free_port())
    services.start(home, service)
    other = services.Service("other", service.argv, service.port, "/")
    with pytest.raises(EnvironmentFault, match=str(service.port)):
        services.start(home, other)


def test_one_that_dies_at_once_shows_its_last_words(home):
    with pytest.raises(EnvironmentFault, match="no such luck"):
        services.start(home, server(free_port(), "raise SystemExit('no such luck')"))
    assert services.running(home, "demo") is None


def test_a_reused_process_id_is_not_ours(home):
    record = home.path("run", "demo.json")
    record.parent.mkdir(parents=True)
    mine = psutil.Process(os.getpid())
    record.write_text(
        json.dumps({"pid": mine.pid, "started": mine.create_time() - 3600, "port": 1})
    )
    assert services.running(home, "demo") is None
    assert services.stop(home, "demo") is False
    assert mine.is_running()
