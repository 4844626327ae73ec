"""The one-shot that makes the lake's bucket, as the compose file calls it, against a stand-in."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from paylake.engine import free_port
from tests.deploy import compose
from tests.object_store import SECRET, object_store


def arguments_of(tmp_path: Path) -> list[str]:
    """The one-shot's command without its interpreter; the last one is the bucket."""
    here = compose.Here({}, {"/opt/paylake": str(compose.ROOT)}, tmp_path)
    _, *arguments = here.command("object-store-init")
    return arguments


@pytest.mark.parametrize(("given", "code", "says"), [
    ({}, 14, ("s3://paylake", "AWS_ENDPOINT")),
    ({"AWS_SECRET_ACCESS_KEY": ""}, 14, ("AWS_SECRET_ACCESS_KEY is not set",)),
    ({"AWS_ALLOW_HTTP": ""}, 14, ("is not encrypted",)),
])
def test_what_keeps_the_bucket_from_being_made_is_one_sentence(
    tmp_path: Path, given: dict[str, str], code: int, says: tuple[str, ...]
) -> None:
    """The store is not there, or how to reach it is not said: no stack trace, and no secret."""
    environment = {
        **os.environ, "PYTHONPATH": str(compose.ROOT), "AWS_ACCESS_KEY_ID": "tester",
        "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_ALLOW_HTTP": "true",
        "AWS_ENDPOINT": f"http://127.0.0.1:{free_port()}", **given,
    }
    call = subprocess.run(
        [sys.executable, *arguments_of(tmp_path)], env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert call.returncode == code, call.stderr
    assert call.stderr.startswith("make_bucket: ") and call.stderr.count("\n") == 1, call.stderr
    assert all(word in call.stderr for word in says) and SECRET not in call.stderr


def test_the_bucket_is_made_once(tmp_path: Path) -> None:
    arguments = arguments_of(tmp_path)
    bucket = arguments[-1]
    with object_store(tmp_path / "store.log") as reached:
        environment = {**os.environ, **reached, "PYTHONPATH": str(compose.ROOT)}

        def call() -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, *arguments], env=environment,
                capture_output=True, text=True, check=True,
            )  # fmt: skip

        assert call().stdout == f"made bucket {bucket}\n"
        address = f"{reached['AWS_ENDPOINT']}/{bucket}"
        assert httpx.head(address, trust_env=False).status_code == 200
        assert call().stdout == "nothing to do\n"
