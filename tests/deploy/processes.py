"""The services of `docker-compose.yml` as plain processes of this machine, in the file's order.

Command, environment and health check of each come from the file; only host names, ports and
folders are those of this machine. What an image's own entry point does (PostgreSQL's: making its
folder, then running the mounted script once) is done here by the same programs.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from cli.environments import python_of
from paylake.durable import write_private
from tests.deploy.compose import ROOT, Here, is_one_shot, services

POSTGRES_BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
ENVIRONMENTS = {"lake": "lake", "airflow": "airflow-server", "superset": "superset-server"}
SECONDS = 240


@dataclass
class Deployment:
    """Processes by the name of their service.

    :param folder: data of PostgreSQL, logs.
    :param own_paths: paths that are elsewhere for one service.
    :param extra: variables that this machine needs and an image has set itself.
    :param stand_ins: command and health check of another program in a service's place.
    """

    here: Here
    folder: Path
    own_paths: Mapping[str, dict[str, str]] = field(default_factory=dict)
    extra: Mapping[str, str] = field(default_factory=dict)
    stand_ins: Mapping[str, tuple[list[str], list[str]]] = field(default_factory=dict)
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    healthy_after: dict[str, float] = field(default_factory=dict)

    def port(self, container_port: str) -> int:
        return int(self.here.ports[container_port])

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _for(self, name: str) -> Here:
        own = self.own_paths.get(name, {})
        return replace(self.here, paths={**self.here.paths, **own})

    def environment(self, name: str) -> dict[str, str]:
        """What the container would get, and what its image has: PATH, PYTHONPATH, Java."""
        given = self._for(name).environment(name)
        path = os.environ["PATH"]
        build = services()[name].get("build")
        if build:
            path = f"{python_of(ENVIRONMENTS[build['target']]).parent}:{path}"
        elif name == "postgres":
            path = f"{POSTGRES_BINARIES[-1]}:{path}"
        machine = {k: os.environ[k] for k in ("HOME", "LANG", "TMPDIR") if k in os.environ}
        image = {"PATH": path, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "TZ": "UTC"}
        return {**machine, **image, **self.extra, **given}

    def _user(self, name: str) -> dict[str, object]:
        if name == "postgres" and os.geteuid() == 0:
            return {"user": "postgres", "group": "postgres", "extra_groups": []}
        return {}

    def call(self, name: str, command: list[str], **more: object) -> None:
        """Run something in a service's place and see that it went well."""
        with self.log(name).open("ab") as output:
            done = subprocess.run(
                command, env={**self.environment(name), **more.pop("variables", {})},
                cwd=self.folder, stdout=output, stderr=output, timeout=SECONDS, check=False,
                **self._user(name), **more,
            )  # fmt: skip
        assert done.returncode == 0, f"{name}: {command[0]}: {self.tail(name)}"

    def tail(self, name: str) -> str:
        return self.log(name).read_text("utf-8", "replace")[-3000:]

    def start(self, name: str) -> None:
        command = self.stand_ins.get(name, (self._for(name).command(name),))[0]
        if is_one_shot(services()[name]):
            began = time.monotonic()
            self.call(name, command)
            self.healthy_after[name] = time.monotonic() - began
            return
        if name == "postgres":
            self._make_postgres()
        self._spawn(name, command)
        if name == "postgres":
            variables = {"PGHOST": "127.0.0.1", "PGPORT": self.here.ports["5432"],
                         "PGPASSWORD": self.environment(name)["POSTGRES_PASSWORD"]}  # fmt: skip
            self.call(name, [str(ROOT / "deploy" / "postgres-init.sh")], variables=variables)

    def _spawn(self, name: str, command: list[str]) -> None:
        began = time.monotonic()
        output = self.log(name).open("ab")
        environment = self.environment(name)
        if name == "postgres":
            command = [*command, "-D", str(self.folder / "postgres"), "-k", ""]
        self.running[name] = subprocess.Popen(
            command, env=environment, cwd=self.folder, stdout=output, stderr=output,
            stdin=subprocess.DEVNULL, start_new_session=True, **self._user(name),
        )  # fmt: skip
        output.close()
        self.wait(name, began + SECONDS)
        self.healthy_after[name] = time.monotonic() - began

    def _make_postgres(self) -> None:
        data = self.folder / "postgres"
        data.mkdir(mode=0o700)
        password = self.folder / "postgres.password"
        write_private(password, self.environment("postgres")["POSTGRES_PASSWORD"].encode("ascii"))
        if os.geteuid() == 0:
            for path in (data, password):
                shutil.chown(path, "postgres", "postgres")
        self.call("postgres", ["initdb", "-D", str(data), "-U", "postgres", "--auth-local=trust",
                               "--auth-host=scram-sha-256", f"--pwfile={password}"])  # fmt: skip

    def is_healthy(self, name: str) -> bool:
        """The file's own health check, as the container engine would run it."""
        stand_in = self.stand_ins.get(name)
        done = subprocess.run(
            stand_in[1] if stand_in else self._for(name).health(name),
            env=self.environment(name), cwd=self.folder,
            capture_output=True, timeout=120, check=False,
        )  # fmt: skip
        return done.returncode == 0

    def wait(self, name: str, until: float) -> None:
        while not self.is_healthy(name):
            assert self.running[name].poll() is None, f"{name} ended: {self.tail(name)}"
            assert time.monotonic() < until, f"{name} is not healthy: {self.tail(name)}"
            time.sleep(1)

    def stop(self) -> list[str]:
        """End all, last started first.

        :returns: names of services that had ended before by themselves.
        """
        ended = [name for name, process in self.running.items() if process.poll() is not None]
        for process in reversed(list(self.running.values())):
            for number in (signal.SIGTERM, signal.SIGKILL):
                try:
                    os.killpg(process.pid, number)
                    process.wait(25)
                    break
                except ProcessLookupError:
                    break
                except subprocess.TimeoutExpired:
                    continue
        return ended


def in_order(names: list[str]) -> list[str]:
    """Services after what they wait for."""
    found: list[str] = []

    def visit(name: str) -> None:
        for other in services()[name].get("depends_on", {}):
            if other in names:
                visit(other)
        if name not in found:
            found.append(name)

    for name in names:
        visit(name)
    return found


@contextmanager
def running(deployment: Deployment, names: list[str]) -> Iterator[Deployment]:
    """Start services in order; each is healthy by its own check before the next one starts."""
    try:
        for name in in_order(names):
            deployment.start(name)
        yield deployment
    finally:
        deployment.stop()
