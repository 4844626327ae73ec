"""An S3-compatible object store for tests: moto's server, in a process of its own on loopback."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from paylake.engine import free_port, listens, stop_group

BUCKET = "institution"
SECRET = "not-a-secret-of-anyone"


@contextmanager
def object_store(log: Path) -> Iterator[dict[str, str]]:
    """Run a store with one empty bucket; gives the environment variables that reach it."""
    port = free_port()
    command = [str(Path(sys.executable).parent / "moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True
        )
    try:
        until = time.monotonic() + 60
        while not listens("127.0.0.1", port):
            assert process.poll() is None and time.monotonic() < until, log.read_text()[-2000:]
            time.sleep(0.1)
        endpoint = f"http://127.0.0.1:{port}"
        assert httpx.put(f"{endpoint}/{BUCKET}", trust_env=False).status_code == 200
        yield {
            "AWS_ENDPOINT": endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "tester",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        }
    finally:
        stop_group(process)
