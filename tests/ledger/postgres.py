"""A PostgreSQL server of the tests' own, on a free port of 127.0.0.1."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


class Server:
    """Starts at once; `database()` gives the address of an empty database."""

    def __init__(self) -> None:
        assert BINARIES, "PostgreSQL is not installed: apt-get install postgresql"
        # Where the server's own user may read, whatever TMPDIR says.
        self.folder = Path(tempfile.mkdtemp(prefix="paylake-pg-", dir="/tmp"))
        self.user = {"user": "postgres", "group": "postgres", "extra_groups": []} if (
            os.geteuid() == 0
        ) else {}
        if self.user:
            shutil.chown(self.folder, "postgres", "postgres")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.number = 0
        self._call("initdb", "-D", str(self.folder / "data"), "-U", "postgres",
                   "--auth=trust", "-E", "UTF8", "--locale=C")
        self.log = (self.folder / "log").open("wb")
        self.process = subprocess.Popen(
            [str(BINARIES[-1] / "postgres"), "-D", str(self.folder / "data"), "-h", "127.0.0.1",
             "-p", str(self.port), "-k", ""],
            stdout=self.log, stderr=self.log, **self.user,
        )
        deadline = time.monotonic() + 60
        while not self._is_ready():
            assert time.monotonic() < deadline, "PostgreSQL did not start"
            time.sleep(0.1)

    def _is_ready(self) -> bool:
        done = subprocess.run(
            [str(BINARIES[-1] / "pg_isready"), "-h", "127.0.0.1", "-p", str(self.port)],
            capture_output=True, check=False,
        )
        return done.returncode == 0

    def _call(self, name: str, *arguments: str) -> None:
        subprocess.run(
            [str(BINARIES[-1] / name), *arguments], check=True, capture_output=True,
            cwd="/", **self.user,
        )

    def database(self) -> str:
        """The address of a new, empty database."""
        self.number += 1
        name = f"ledger{self.number}"
        self._call("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", name)
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)
        self.log.close()
        shutil.rmtree(self.folder)
