"""What an image has is enough: its commands run from a tree of the files that it copies."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cli.app import COMMANDS
from cli.environments import python_of
from ledger import compiled
from tests.deploy.compose import ROOT

DOCKERFILE = ROOT / "deploy" / "paylake.Dockerfile"


def tree(target: str, folder: Path) -> Path:
    """Copy what the stages of a target copy."""
    copies: dict[str, list[str]] = {}
    above: dict[str, str] = {}
    stage = ""
    for line in DOCKERFILE.read_text("utf-8").splitlines():
        if found := re.fullmatch(r"FROM (\S+) AS (\S+)", line):
            above[found[2]], stage = found[1], found[2]
            copies[stage] = []
        elif found := re.fullmatch(r"COPY (\S+) (\S+)", line):
            assert found[1] == found[2], line
            copies[stage].append(found[1])
    while target in copies:
        for source in copies[target]:
            ignored = shutil.ignore_patterns("__pycache__", "target", "logs")
            shutil.copytree(ROOT / source, folder / source, ignore=ignored, dirs_exist_ok=True)
        target = above[target]
    return folder


def call(python: Path | str, folder: Path, home: Path, *arguments: str) -> str:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PAYLAKE_", "PYTHON"))}
    done = subprocess.run(
        [str(python), *arguments],
        env={**clean, "PYTHONPATH": str(folder), "PAYLAKE_HOME": str(home),
             "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_lake_image_has_every_command(tmp_path: Path) -> None:
    image = tree("lake", tmp_path / "image")
    assert not (image / "simulator").exists() and not (image / "tests").exists()
    modules = sorted({f"cli.{name}" for name in COMMANDS.values()})
    rooms = ["ingestion", "spark_jobs", "expectations", "reporting", "dashboards"]
    imported = "; ".join(f"import {name}" for name in [*modules, *rooms])
    call(sys.executable, image, tmp_path / "home", "-c", imported)
    assert "serve" in call(sys.executable, image, tmp_path / "home", "-m", "ledger", "--help")
    assert "listen" in call(sys.executable, image, tmp_path / "home", "-m", "cli", "settings")


def test_the_ledger_of_the_image_takes_the_compiled_core(tmp_path: Path) -> None:
    """The stage that compiles has the same files, so that its folder has the name that the ledger
    looks for."""
    assert "COPY --from=ledger-core /opt/paylake/var/compiled var/compiled\n" in (
        DOCKERFILE.read_text("utf-8")
    )
    image = tree("lake", tmp_path / "image")
    shutil.copytree(compiled.folder(), image / compiled.folder().relative_to(ROOT))
    asked = "from ledger import compiled; from ledger.domain import chain; print(chain.__file__)"
    assert "/var/compiled/" in call(sys.executable, image, tmp_path / "home", "-c", asked)


@pytest.mark.long
def test_the_superset_image_has_what_its_screens_need(tmp_path: Path) -> None:
    image = tree("superset", tmp_path / "image")
    assert not (image / "ledger").exists() and not (image / "reporting").exists()
    python = python_of("superset-server")
    said = call(python, image, tmp_path / "home", "-m", "dashboards", "set-up")
    assert "dashboards" in said and (tmp_path / "home" / "superset" / "superset.db").exists()
    empty = (
        "from dashboards import serve\n"
        "for source, view in serve.FIRST_VIEW.items():\n"
        "    cursor = serve.connect(source, variables={'scope_all': True}).cursor()\n"
        "    cursor.execute(f'select count(*) from {view}')\n"
        "    print(cursor.fetchone()[0])\n"
    )
    assert len(call(python, image, tmp_path / "home", "-c", empty).split()) == 2


def test_the_airflow_image_has_the_dags_and_the_command(tmp_path: Path) -> None:
    image = tree("airflow", tmp_path / "image")
    assert len(list((image / "dags").glob("paylake_*.py"))) >= 5
    assert os.access(image / "bin" / "paylake", os.X_OK)
