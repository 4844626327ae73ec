"""kill -9 at random moments inside named places, and flipped bytes; then the same command again.

One institution trades once. Copies of its home are run without a kill, and with one; all must end
with the same rows in every layer, the same releases, the same report files and manifests.
`PAYLAKE_TEST_SEED` repeats a run. Posting in the ledger service has its twenty kills of its own, in
tests/ledger/test_service_process.py.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

import reporting
from cli.airflow_api import CHAIN, Airflow
from ledger.client import LedgerClient
from paylake import content, engine, home, ops, release
from paylake import files as files_of_releases
from paylake import settings as settings_module
from paylake.crypto import sm3_hex
from paylake.keys import Keyring
from paylake.lake import Lake
from paylake.settings import ROOT, Settings
from simulator.params import Params
from simulator.run import simulate

pytestmark = [pytest.mark.long, pytest.mark.timeout(5400)]

SIZE = {"DAYS": "6", "MERCHANTS": "10", "TERMINALS": "20", "TXNS": "400", "SEED": "7"}
#: The date whose run is killed; the one before it may be taken with it, as pending.
FIRST, LAST = date(2026, 9, 12), date(2026, 9, 14)
#: Each task of the date -> its DAG, in the order in which they run.
TASKS = {
    "ingest": "paylake_ingest", "build": "paylake_build", "gate": "paylake_build",
    "publish": "paylake_publish", "report": "paylake_report",
}  # fmt: skip
LAYERS = ("bronze", "silver", "state", "work", "gold")
#: What is killed -> its places -> kills. The home that a kill begins from has done every step
#: before that place.
KILLS = {
    "Delta commit": {"commit": 14, "marts": 6},
    "publish": {"copy": 8, "between": 4, "append": 4, "reader file": 4},
    "sealing": {"signing": 10, "package": 10},
}
PLACES = [place for places in KILLS.values() for place in places]
BEGINS = {"commit": "ingest", "marts": "ingest", "signing": "publish", "package": "publish"}


@dataclass(frozen=True)
class Stages:
    """Homes of one institution: by the last step that each has done, and the one that did all."""

    folder: Path
    by_step: dict[str, Path]
    done: Settings
    wanted: dict[str, Any]
    seconds: dict[str, list[float]]
    step_seconds: dict[str, float]

    def copy(self, step: str, name: str, *, own_engine: bool = False) -> Settings:
        """A home that goes on after a step; with its own engine, nothing listens on the port."""
        target = self.folder / name
        shutil.copytree(self.by_step[step], target)
        port = engine.free_port() if own_engine else self.done.engine_port
        return replace(self.done, home=target, engine_port=port)


def environment(settings: Settings) -> dict[str, str]:
    return {
        **os.environ, **settings.as_environment(),
        "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "PAYLAKE_ENVIRONMENT": "test",
    }  # fmt: skip


def call(
    settings: Settings, *arguments: str, codes: tuple[int, ...] = (0,)
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        env=environment(settings), capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode in codes, done.stdout[-2000:] + done.stderr[-2000:]
    return done


def run_again(settings: Settings) -> subprocess.CompletedProcess[str]:
    return call(settings, "run", "--date", str(LAST))


class Traced:
    """`bin/paylake run` of the last date, with its announcements."""

    def __init__(self, settings: Settings) -> None:
        reading, writing = os.pipe()
        command = [str(ROOT / "tests/e2e/traced.py"), str(writing), "run", "--date", str(LAST)]
        self.process = subprocess.Popen(
            [sys.executable, *command],
            env=environment(settings), pass_fds=[writing], cwd=ROOT,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(writing)
        self.lines = os.fdopen(reading, "r")

    def durations(self) -> dict[str, list[float]]:
        """Seconds of each passage through each place, of a run that is left alone."""
        found: dict[str, list[float]] = {}
        began: dict[str, float] = {}
        for line in self.lines:
            what, place = line.rstrip("\n").split(" ", 1)
            if what == "enter":
                began[place] = time.monotonic()
            else:
                found.setdefault(place, []).append(time.monotonic() - began[place])
        assert self.process.wait() == 0
        return found

    def kill_inside(self, place: str, passage: int, after: float) -> bool:
        """Kill -9 `after` seconds into a passage of the place; True when it died in there."""
        seen = 0
        inside = False
        killer: threading.Thread | None = None

        def kill() -> None:
            time.sleep(after)
            self.process.send_signal(signal.SIGKILL)

        for line in self.lines:
            if line == f"enter {place}\n":
                inside = True
                if seen == passage:
                    killer = threading.Thread(target=kill)
                    killer.start()
                seen += 1
            elif line == f"leave {place}\n":
                inside = False
        if killer is not None:
            killer.join()
        return self.process.wait() == -signal.SIGKILL and inside


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stages]:
    """The institution has traded; a home for each step of the last date."""
    folder = tmp_path_factory.mktemp("killed")
    base = settings_module.load(
        {f"PAYLAKE_{name}": value for name, value in SIZE.items()},
        home=folder / "traded",
        ledger_port=engine.free_port(),
        engine_port=engine.free_port(),
    )
    params = Params.from_settings(base)
    home.claim(base, home.Home("simulated", params.document()))
    Keyring(base).ensure_demo()
    call(base, "up", "ledger")
    try:
        token = base.path("keys", "ledger.token").read_text("ascii").strip()
        with LedgerClient(f"http://127.0.0.1:{base.ledger_port}", token) as client:
            simulate(base, client, params.start, params.last, lambda day, what: None)
    finally:
        call(base, "down")
    with engine.server(base, base.engine_port, folder / "engine.log"):
        before = str(LAST - timedelta(days=1))
        call(base, "run", "--date", str(FIRST), "--to", before, codes=(0, 11, 12))
        by_step = {"traded": base.home}
        step_seconds: dict[str, float] = {}
        current = base
        for steps in (("ingest",), ("build", "gate"), ("publish",), ("report",)):
            copied = folder / f"after-{steps[-1]}"
            shutil.copytree(current.home, copied)
            current = replace(base, home=copied)
            for step in steps:
                began = time.monotonic()
                call(current, step, "--date", str(LAST), "--pending")
                step_seconds[step] = time.monotonic() - began
            by_step[steps[-1]] = copied
        done = replace(base, home=folder / "done")
        shutil.copytree(base.home, done.home)
        seconds = Traced(done).durations()
        yield Stages(folder, by_step, done, held(done), seconds, step_seconds)


def tables(settings: Settings) -> dict[str, dict[str, str]]:
    """Digests of every dated table of every layer, read from the files, by date."""
    lake = Lake(settings)
    names = [(layer, t) for layer in LAYERS for t in content.dated_tables(lake, layer)]
    found = content.partitions(lake, names, FIRST, LAST + timedelta(days=5), fresh=True)
    return {str(day): digests for day, digests in found.items()}


def files(settings: Settings) -> dict[str, str]:
    """Digest of each file of each report package; a signature differs each time it is made."""
    root = settings.path("reports")
    return {
        str(path.relative_to(root)): sm3_hex(path.read_bytes())
        for path in root.glob("*/2026-*/*")
        if path.suffix != ".sig"
    }


def releases(settings: Settings) -> list[dict[str, Any]]:
    """What each release says, its digests, checks and open items, but for the code's version."""
    ours = ("code_version", "rule_version", "previous")  # the last is a digest over the others
    return [
        {name: value for name, value in each.document.items() if name not in ours}
        for each in release.listing(settings)
    ]


def held(settings: Settings) -> dict[str, Any]:
    """All that must be the same in two homes."""
    return {"tables": tables(settings), "releases": releases(settings), "files": files(settings)}


def assert_same(found: Settings, stages: Stages, told: str) -> None:
    """Tables, releases and report packages are those of the home that nobody killed; the packages
    verify."""
    now = held(found)
    for day, digests in stages.wanted["tables"].items():
        assert now["tables"][day] == digests, (told, day)
    assert now == stages.wanted, told
    listed = reporting.list_packages(found)
    assert listed and all(row["result"] == "verified" for row in listed), (told, listed)


def test_the_undisturbed_home_is_whole(stages):
    through = [r.through for r in release.listing(stages.done)]
    assert through == [None, FIRST, LAST - timedelta(days=1), LAST]
    assert set(stages.seconds) >= set(PLACES)
    assert len(stages.wanted["tables"][str(LAST)]) >= 30
    assert len([name for name in stages.wanted["files"] if name.endswith("manifest.json")]) == 6


def test_step_by_step_is_the_same_as_one_run(stages):
    assert_same(replace(stages.done, home=stages.by_step["report"]), stages, "step by step")


@pytest.mark.parametrize("what", KILLS)
def test_twenty_kills_end_with_the_same_home(stages, what):
    seed = int(os.environ.get("PAYLAKE_TEST_SEED", time.time_ns() % 1_000_000))
    chance = random.Random(f"{seed} {what}")
    plan = [place for place, kills in KILLS[what].items() for _ in range(kills)]
    assert len(plan) == 20
    hits = misses = 0
    print(f"\nseed {seed}, {what}")
    for number, place in enumerate(plan):
        passages = stages.seconds[place]
        for attempt in range(10):
            passage = chance.randrange(len(passages))
            after = chance.uniform(0, 0.9) * passages[passage]
            told = f"seed {seed}, {what} {number}: {place} {passage} after {after:.3f} s"
            # Every other one has an engine of its own, which dies with its command.
            copied = stages.copy(
                BEGINS.get(place, "gate"), f"kill-{place.replace(' ', '-')}-{number}-{attempt}",
                own_engine=number % 2 == 1,
            )
            if Traced(copied).kill_inside(place, passage, after):
                break
            misses += 1
            shutil.rmtree(copied.home)
        else:
            pytest.fail(f"{told}: ten attempts missed the place")
        hits += 1
        began = time.monotonic()
        run_again(copied)
        assert_same(copied, stages, told)
        assert "nothing to do" in run_again(copied).stdout, told
        print(f"{told}: hit; went on in {time.monotonic() - began:.1f} s", flush=True)
        shutil.rmtree(copied.home)
    print(f"{what}: {hits} of 20 kills hit inside their place ({misses} attempts missed it)")


def task_of_airflow(settings: Settings, step: str, seconds: float = 300) -> psutil.Process:
    """The command of Airflow's task for a step in this home, once it holds the lake's lease."""
    lease = settings.path("run", "lake.lease")
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        text = lease.read_text("utf-8") if lease.exists() else ""
        if text and json.loads(text)["step"] == step:
            process = psutil.Process(int(json.loads(text)["owner"].rpartition(":")[2]))
            assert process.environ()["PAYLAKE_HOME"] == str(settings.home)
            assert process.cmdline()[-5:] == ["cli", step, "--date", str(LAST), "--pending"]
            return process
        time.sleep(0.02)
    raise AssertionError(f"no task began to {step} within {seconds} s")


def kill_each_task(
    stages: Stages, name: str, chance: random.Random, share: float = 0.4
) -> tuple[int, int]:
    """Run the date through Airflow, killing the command of each task once while it works.

    :returns: (hits, misses); a command that was done before its moment came is a miss.
    """
    copied = replace(stages.copy("traded", name), airflow_port=engine.free_port())
    hit: set[str] = set()
    call(copied, "up", "airflow")
    try:
        airflow = Airflow(copied)
        airflow.wait_for_dags()
        airflow.trigger("paylake_ingest", LAST, 1)
        for step, dag in TASKS.items():
            after = chance.uniform(0, share) * stages.step_seconds[step]
            try:
                process = task_of_airflow(copied, step)
                time.sleep(after)
                process.kill()
                hit.add(step)
                print(f"{name}: {step} of {dag} killed {after:.2f} s into its work", flush=True)
            except psutil.NoSuchProcess:
                print(f"{name}: {step} of {dag} was done before {after:.2f} s", flush=True)
        states = [state for _, state in airflow.follow(LAST)]
        assert states == ["success"] * len(CHAIN), (name, states)
        for dag in set(TASKS.values()):
            found = airflow.client.get(f"/api/v2/dags/{dag}/dagRuns/~/taskInstances").json()
            for task in found["task_instances"]:
                if task["task_id"] in hit:
                    assert task["try_number"] >= 2, (name, task["task_id"])
    finally:
        call(copied, "down")
    assert_same(copied, stages, name)
    assert "nothing to do" in run_again(copied).stdout, name
    shutil.rmtree(copied.home)
    return len(hit), len(TASKS) - len(hit)


def test_twenty_killed_tasks_of_airflow_are_taken_up_by_their_retries(stages):
    seed = int(os.environ.get("PAYLAKE_TEST_SEED", time.time_ns() % 1_000_000))
    chance = random.Random(f"{seed} DAG task")
    print(f"\nseed {seed}, DAG task")
    hits = misses = homes = 0
    share = 0.4
    while hits < 20:
        assert homes < 10, f"seed {seed}: {hits} hits, {misses} misses in {homes} homes"
        hit, missed = kill_each_task(stages, f"killed-task-{homes}", chance, share)
        share /= 3 if missed else 1  # the machine is quicker now than when steps were timed
        hits, misses, homes = hits + hit, misses + missed, homes + 1
    print(f"DAG task: {hits} kills hit in {homes} homes ({misses} came too late)")


#: What a byte is flipped in -> which recorded files; reports have a record of their own.
BYTES = {
    **{layer: f"kind = 'data' and layer = '{layer}'" for layer in files_of_releases.LAYERS},
    "log": "kind = 'log'", "reader": "kind = 'reader'", "report": "",
}  # fmt: skip


def flip(settings: Settings, recorded: str, chance: random.Random) -> Path:
    """Flip a bit at a random place of a random file of those that are looked after."""
    if recorded:
        rows = ops.latest(settings, "file_digest", recorded)
        paths = [settings.path(*row["path"].split("/")) for row in rows]
    else:
        paths = sorted(settings.path("reports").glob("*/2026-*/*.csv"))
    path = chance.choice(paths)
    content = bytearray(path.read_bytes())
    place = chance.randrange(len(content))
    content[place] ^= 1 << chance.randrange(8)
    path.write_bytes(bytes(content))
    print(f"flipped byte {place} of {path.relative_to(settings.home)}", flush=True)
    return path


@pytest.mark.parametrize("what", [*BYTES, "all at once"])
def test_a_flipped_byte_is_found_named_and_mended(stages, what):
    seed = int(os.environ.get("PAYLAKE_TEST_SEED", time.time_ns() % 1_000_000))
    chance = random.Random(f"{seed} {what}")
    copied = replace(stages.done, home=stages.folder / f"flipped-{what.replace(' ', '-')}")
    shutil.copytree(stages.done.home, copied.home)
    chosen = BYTES if what == "all at once" else [what]
    print(f"\nseed {seed}")
    paths = [flip(copied, BYTES[each], chance) for each in chosen]
    mended = call(copied, "run", "--date", str(FIRST), "--to", str(LAST), "--json")
    told = "\n".join(row["detail"] for row in json.loads(mended.stdout) if row["date"] == "")
    for path in paths:
        # Mending gold writes the readers' files anew, before they are looked at.
        if not (what == "all at once" and path.suffix == ".duckdb"):
            assert path.name in told, (what, seed, path, told)
    assert_same(copied, stages, f"seed {seed}: {what}")
    again = call(copied, "run", "--date", str(FIRST), "--to", str(LAST))
    assert "nothing to do" in again.stdout
    shutil.rmtree(copied.home)


def test_a_flipped_byte_of_a_kept_delivery_is_refused_by_name(stages):
    copied = replace(stages.done, home=stages.folder / "flipped-kept")
    shutil.copytree(stages.done.home, copied.home)
    path = flip(copied, "kind = 'kept'", random.Random())
    found = call(copied, "run", "--date", str(FIRST), "--to", str(LAST), codes=(16,))
    assert path.name in found.stderr and "backup" in found.stderr
    shutil.rmtree(copied.home)
