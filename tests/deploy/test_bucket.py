"""The one-shot that makes the lake's bucket, as the compose file calls it, against a stand-in."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx

from tests.deploy import compose
from tests.object_store import object_store


def test_the_bucket_is_made_once(tmp_path: Path) -> None:
    here = compose.Here({}, {"/opt/paylake": str(compose.ROOT)}, tmp_path)
    _, *arguments = here.command("object-store-init")
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
