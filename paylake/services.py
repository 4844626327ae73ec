"""Start, watch and stop long-running servers of a home; what they are is the caller's business.

Each server runs in a session of its own, so that it can be stopped with all its children. A record
below `<home>/run` names the process by id *and* start time: nothing that paylake did not start is
ever signalled.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from paylake.engine import listens
from paylake.errors import EnvironmentFault
from paylake.settings import ROOT, Settings


@dataclass(frozen=True)
class Service:
    """A server: how to start it and how to see that it is well."""

    name: str
    argv: Sequence[str]
    port: int
    health_path: str | None = None  # None: it is well when its port accepts connections
    environment: Mapping[str, str] = field(default_factory=dict)
    start_seconds: int = 90
    is_healthy: Callable[[httpx.Response], bool] = lambda response: response.status_code == 200
    inherit: bool = True  # False: the server gets `environment` and nothing else


@dataclass(frozen=True)
class Running:
    """What a record says of a server."""

    name: str
    pid: int
    started: float
    port: int

    def process(self) -> psutil.Process | None:
        """The live process, or None when it is gone or its id belongs to another one now."""
        try:
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.started) > 2 or not process.is_running():
                return None
            return None if process.status() == psutil.STATUS_ZOMBIE else process
        except psutil.NoSuchProcess:
            return None


def _record(settings: Settings, name: str) -> Path:
    return settings.path("run", f"{name}.json")


def running(settings: Settings, name: str) -> Running | None:
    """The server's record when its process is alive."""
    path = _record(settings, name)
    if not path.exists():
        return None
    data = json.loads(path.read_text("utf-8"))
    found = Running(name, data["pid"], data["started"], data["port"])
    return found if found.process() else None


def recorded(settings: Settings) -> list[str]:
    """Names of all servers with a record in this home, newest start first."""
    folder = settings.path("run")
    records = list(folder.glob("*.json")) if folder.is_dir() else []
    return [p.stem for p in sorted(records, key=lambda p: -p.stat().st_mtime)]


def is_well(service: Service) -> bool:
    """True when the server answers its health check now."""
    if service.health_path is None:
        return listens("127.0.0.1", service.port)
    try:
        response = httpx.get(
            f"http://127.0.0.1:{service.port}{service.health_path}", timeout=5, trust_env=False
        )
        return service.is_healthy(response)
    except httpx.HTTPError:
        return False


def start(settings: Settings, service: Service) -> bool:
    """Start a server and wait until it is well. False when it ran already.

    :raises EnvironmentFault: when its port is taken by something else, or it does not come up; the
        end of its log is in the sentence.
    """
    alive = running(settings, service.name)
    if alive and alive.port == service.port:
        _wait(settings, service, alive.process())
        return False
    if listens("127.0.0.1", service.port):
        raise EnvironmentFault(
            f"Port {service.port} for {service.name} is in use by another program",
            f"Stop that program, or set PAYLAKE_{service.name.upper()}_PORT to a free port.",
            where=f"127.0.0.1:{service.port}",
        )
    log = settings.path("log", f"{service.name}.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    base = dict(os.environ) if service.inherit else {}
    with log.open("ab") as output:
        process = subprocess.Popen(
            list(service.argv),
            env={**base, **service.environment},
            cwd=ROOT,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    record = _record(settings, service.name)
    record.parent.mkdir(parents=True, exist_ok=True)
    started = psutil.Process(process.pid).create_time()
    record.write_text(
        json.dumps({"pid": process.pid, "started": started, "port": service.port}), "utf-8"
    )
    try:
        _wait(settings, service, psutil.Process(process.pid))
    except (EnvironmentFault, psutil.NoSuchProcess):
        stop(settings, service.name)
        raise
    return True


def _wait(settings: Settings, service: Service, process: psutil.Process | None) -> None:
    log = settings.path("log", f"{service.name}.log")
    until = time.monotonic() + service.start_seconds
    while not is_well(service):
        dead = process is None or not _lives(process)
        if dead or time.monotonic() > until:
            tail = log.read_text("utf-8", "replace").strip().splitlines()[-3:]
            raise EnvironmentFault(
                f"{service.name} did not come up: {' / '.join(tail)[-400:] or 'no output'}",
                "Read its log; `bin/paylake doctor` checks what it needs.",
                where=str(log),
            )
        time.sleep(0.2)


def stop(settings: Settings, name: str, seconds: float = 20) -> bool:
    """Stop one recorded server with its children. True when there was one to stop."""
    path = _record(settings, name)
    found = running(settings, name)
    if found:
        _end_group(found.pid, seconds)
    path.unlink(missing_ok=True)
    return found is not None


def _end_group(pid: int, seconds: float) -> None:
    """TERM to the process group, then KILL to what is left of its session."""
    members = _session_members(pid)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in members:
            try:
                process.send_signal(number)
            except psutil.NoSuchProcess:
                continue
        members = _left_after(members, seconds)
        members += [p for p in _session_members(pid) if p not in members and _lives(p)]
        if not members:
            return


def _lives(process: psutil.Process) -> bool:
    """Whether it still does something. One that ended and that its parent has not asked about
    does not: in a container without an init it stays listed for good."""
    try:
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            return True
        process.wait(0)  # when it is a child of this process, it is asked about now
    except (psutil.NoSuchProcess, psutil.TimeoutExpired):
        pass
    return False


def _left_after(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those that still live after so many seconds; at once when none does."""
    until = time.monotonic() + seconds
    while processes := [process for process in processes if _lives(process)]:
        if time.monotonic() > until:
            break
        time.sleep(0.05)
    return processes


def _session_members(pid: int) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == pid:
                found.append(process)
        except (ProcessLookupError, PermissionError):
            continue
    for process in list(found):
        try:  # children that opened a session of their own
            found += [c for c in process.children(recursive=True) if c not in found]
        except psutil.NoSuchProcess:
            continue
    return found
