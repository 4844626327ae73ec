"""Run one step as a process of its own; its seconds and the peak memory of its process tree.

Memory is PSS: pages that processes share are divided among them, so that an engine server, the
command that talks to it and their children add up to what the machine really gave.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil

from benchmarks.parts import PREFIX
from paylake.errors import PermanentFailure
from paylake.settings import ROOT

SAMPLE_SECONDS = 0.2


@dataclass(frozen=True)
class Part:
    """A part of a step: wall-clock seconds, and the highest PSS seen in it (bytes)."""

    name: str
    seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class Measured:
    """A step: its parts in order, the whole process's seconds and peak (bytes)."""

    parts: tuple[Part, ...]
    seconds: float
    peak_bytes: int


@dataclass
class _Sampler:
    """Samples the memory of a process and everything below it until told to stop."""

    pid: int
    samples: list[tuple[float, int]] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            self.samples.append((time.time(), tree_bytes(self.pid)))
            self._stop.wait(SAMPLE_SECONDS)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def peak(self, started: float, ended: float) -> int:
        """The highest sample of an interval; of a short one, the nearest sample."""
        inside = [size for at, size in self.samples if started <= at <= ended]
        if inside:
            return max(inside)
        return min(self.samples, key=lambda s: abs(s[0] - (started + ended) / 2))[1]


def tree_bytes(pid: int) -> int:
    """PSS of a process and all its descendants; those that end meanwhile count nothing."""
    total = 0
    try:
        root = psutil.Process(pid)
        processes = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for process in processes:
        try:
            total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return total


def run(module: str, *arguments: str, log: Path) -> Measured:
    """Run `python -m module arguments` and measure it.

    :param log: where its output goes.
    :raises PermanentFailure: when it fails; the log's end is in the sentence.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PAYLAKE_")}
    environment |= {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
    with tempfile.TemporaryFile() as output, log.open("ab") as errors:
        started = time.time()
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdout=output, stderr=errors, stdin=subprocess.DEVNULL, env=environment, cwd=ROOT,
        )
        sampler = _Sampler(process.pid)
        code = process.wait()
        ended = time.time()
        sampler.stop()
        parts = _parts(output, errors, sampler)
    if code:
        tail = log.read_text("utf-8", "replace").strip().splitlines()[-3:]
        raise PermanentFailure(
            f"{module} {' '.join(arguments)} ended with code {code}: {' | '.join(tail)}",
            "Read the log; --keep leaves the homes in place.",
            where=str(log),
        )
    return Measured(parts, ended - started, max(size for _, size in sampler.samples))


def _parts(output: IO[bytes], errors: IO[bytes], sampler: _Sampler) -> tuple[Part, ...]:
    """Parts that the child named, those of one name added up, in order of first appearance."""
    output.seek(0)
    found: dict[str, Part] = {}
    for line in output.read().decode("utf-8", "replace").splitlines():
        if not line.startswith(PREFIX):
            errors.write(line.encode() + b"\n")
            continue
        said = json.loads(line.removeprefix(PREFIX))
        peak = sampler.peak(said["from"], said["to"])
        before = found.get(said["name"], Part(said["name"], 0.0, 0))
        found[said["name"]] = Part(
            said["name"],
            before.seconds + said["to"] - said["from"],
            max(before.peak_bytes, peak),
        )
    return tuple(found.values())


def hardware() -> dict[str, str]:
    """What this runs on, and how busy it was when asked."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.partition(":")[2].strip()
            for line in cpuinfo.read_text("utf-8").splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    return {
        "processor": model,
        "cores": str(len(psutil.Process().cpu_affinity())),
        "memory": f"{psutil.virtual_memory().total / 2**30:.1f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load (1, 5, 15 min)": ", ".join(f"{value:.1f}" for value in os.getloadavg()),
    }
