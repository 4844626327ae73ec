"""The compiled core: it is the same program as the files, it is made of the files as they are, and
what is missing to make it is said. `bin/check` compiles it before the tests, which then run on it.
"""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from types import FunctionType

import pytest

import ledger.domain
from ledger import compiled
from ledger.adapters.data_files import load_operations
from ledger.adapters.tokens import ensure_demo_token
from paylake import settings as settings_module
from paylake.keys import Keyring
from paylake.settings import ROOT
from tests.ledger.conftest import World

SEEDS = 25


def python(core: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=600,
        env={**os.environ, compiled.VARIABLE: core, "PYTHONPATH": str(ROOT)},
    )


def test_the_tests_run_on_the_compiled_core():
    assert compiled.in_use, "run bin/compile-ledger before the tests"
    for name in compiled.MODULES:
        module = sys.modules["ledger." + name.removesuffix(".py").replace("/", ".")]
        assert Path(module.__file__).is_relative_to(compiled.folder())


def test_what_callers_send_is_planned_by_compiled_functions():
    of_callers = [o for o in load_operations().by_type.values() if o.callers is not None]
    assert {"payment", "refund", "withdrawal"} <= {o.type for o in of_callers}
    for operation in of_callers:
        made = compiled.made_of(operation.text)
        assert operation.merchant is made["merchant"], operation.type
        assert operation.plan is made.get("plan"), operation.type
        assert not isinstance(operation.merchant, FunctionType)  # which Python's own would be
    assert compiled.made_of("def plan(v, c):\n    return None") == {}


def test_the_files_and_the_compiled_core_make_the_same_log_of_the_same_histories(tmp_path):
    """Every digest of the log, every answer and every balance, refusals included."""
    settings = settings_module.load({}, home=tmp_path / "home")
    Keyring(settings).ensure_demo()
    ensure_demo_token(settings)
    world = World(settings)
    world.start()
    world.ledger.close()
    said = {}
    for core in ("interpreted", "compiled"):
        ran = python(core, "-m", "tests.ledger.simulation.told", str(settings.home),
                     str(tmp_path / core), str(SEEDS))
        assert ran.returncode == 0, ran.stderr
        which, *lines = ran.stdout.splitlines()
        assert which == core
        said[core] = lines
    assert len(said["compiled"]) == SEEDS
    assert said["compiled"] == said["interpreted"]


def test_a_core_of_other_files_is_not_taken(monkeypatch, tmp_path):
    rooms = ("ledger/domain", "ledger/service", "ledger/data", "bin", "requirements")
    for room in rooms:
        shutil.copytree(ROOT / room, tmp_path / room)
    here = compiled.folder().name
    monkeypatch.setattr(compiled, "ROOT", tmp_path)
    assert compiled.folder().name == here
    changed = tmp_path / "ledger/domain/money.py"  # not compiled itself, but imported
    changed.write_text(changed.read_text("utf-8") + "\n", "utf-8")
    assert compiled.folder().name != here
    before = list(ledger.domain.__path__)
    monkeypatch.setattr(compiled, "in_use", False)
    monkeypatch.delenv(compiled.VARIABLE, raising=False)
    compiled.take()
    assert not compiled.in_use and ledger.domain.__path__ == before


def test_a_core_that_has_to_be_there_and_is_not_stops_the_start(monkeypatch, tmp_path):
    for room in ("ledger/domain", "ledger/service", "ledger/data", "bin", "requirements"):
        (tmp_path / room).mkdir(parents=True)
    for name in ("requirements/compile.txt", "ledger/data/fields.yml",
                 "bin/template_functions.py"):
        (tmp_path / name).touch()
    monkeypatch.setattr(compiled, "ROOT", tmp_path)
    monkeypatch.setenv(compiled.VARIABLE, "compiled")
    with pytest.raises(ImportError, match="run bin/compile-ledger"):
        compiled.take()
    ran = python("fast", "-c", "import ledger")
    assert ran.returncode == 1
    assert "PAYLAKE_LEDGER_CORE is 'fast': it is compiled, interpreted, or not set" in ran.stderr


@pytest.mark.parametrize(("missing", "named"), [
    ("compiler", "needs cc, which is not here"), ("headers", "the headers of Python"),
])
def test_what_is_missing_to_compile_is_said(monkeypatch, tmp_path, missing, named):
    monkeypatch.setenv(compiled.VARIABLE, "interpreted")  # the script sets it
    monkeypatch.syspath_prepend(ROOT / "bin")
    script = runpy.run_path(str(ROOT / "bin" / "compile_ledger.py"))
    monkeypatch.setattr("sysconfig.get_config_var", lambda _: "cc -pthread")
    monkeypatch.setattr("shutil.which", lambda name: name if missing == "headers" else None)
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    with pytest.raises(script["Problem"]) as raised:
        script["build"](tmp_path / "core")
    assert named in str(raised.value) and "apt-get install gcc" in str(raised.value)
