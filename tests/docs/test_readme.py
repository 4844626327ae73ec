"""The README's commands do what it says, in the small demo home of the test run.

`make run` and `make test` are the test run itself. Commands that start servers, stop them or run
another demo are looked up (`--help`, `make -n`) instead of being carried out.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys

import pytest

from paylake import settings
from paylake.settings import ROOT

README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.M | re.S)
COMMANDS = [
    line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines() if line.strip()
]
MAKE = [line for line in COMMANDS if "make" in shlex.split(line)]
PAYLAKE = [line for line in COMMANDS if line not in MAKE]
STARTS_SERVERS = {"up", "demo", "mapped"}


def split(line: str) -> tuple[dict[str, str], list[str]]:
    """Leading NAME=value words, and the command."""
    words = shlex.split(line)
    count = next(i for i, word in enumerate(words) if not re.match(r"[A-Z_]+=", word))
    return dict(word.split("=", 1) for word in words[:count]), words[count:]


def test_the_first_screen_has_sentence_picture_and_two_commands():
    lines = [line for line in README.splitlines() if line.strip()]
    assert lines[0] == "# paylake"
    assert lines[1].startswith("paylake is ") and lines[1].count(". ") == 0
    assert lines[2].startswith("![") and "docs/screenshots/" in lines[2]
    assert lines[3:7] == ["```sh", "make run", "make test", "```"]


def test_there_are_commands_to_check():
    assert len(PAYLAKE) >= 7 and len(MAKE) >= 5
    assert all(split(line)[1][0] == "bin/paylake" for line in PAYLAKE)


@pytest.mark.parametrize("line", PAYLAKE)
def test_command_runs(demo, line, tmp_path):
    assert demo.first.returncode == 0, demo.first.stderr[-2000:]
    given, words = split(line)
    arguments = [
        word.replace("var/demo", str(demo.settings.home)).replace("var/kpi", f"{tmp_path}/kpi")
        for word in words[1:]
    ]
    if arguments[0] in STARTS_SERVERS:
        arguments = [arguments[0], "--help"]
    done = subprocess.run(
        ["bin/paylake", *arguments], cwd=ROOT, env={**demo.environment, **given},
        capture_output=True, text=True, timeout=300, check=False,
    )
    assert done.returncode == 0, f"{line}\n{done.stdout[-1000:]}{done.stderr[-1000:]}"
    assert done.stdout.strip()


@pytest.mark.parametrize("line", MAKE)
def test_make_has_the_target_and_the_settings(line):
    given, words = split(line)
    known = {f"PAYLAKE_{name.upper()}" for name, _, _ in settings.describe()}
    assert set(given) <= known, f"unknown settings in {line!r}"
    done = subprocess.run(
        # Under `make test` a second make would print the directory that it enters and leaves.
        ["make", "--no-print-directory", "-n", *words[1:]], cwd=ROOT, env={**os.environ, **given},
        capture_output=True, text=True, timeout=60, check=False,
    )
    assert done.returncode == 0, done.stderr
    called = shlex.split(done.stdout.splitlines()[-1])
    options = dict(word.split("=", 1) for word in words[1:] if "=" in word)
    if "MAPPING" in options:
        assert (ROOT / options["MAPPING"]).is_file()
        assert called[1:] == [
            "mapped", "--feeds", options["FEEDS"], "--mapping", options["MAPPING"]
        ]
    if called[0] == "bin/paylake":
        helped = subprocess.run(
            [*called[:2], "--help"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert helped.returncode == 0 and "Usage" in helped.stdout


def test_the_notebook_lines_run(demo):
    programs = [text for kind, text in BLOCKS if kind == "python"]
    assert len(programs) == 1
    done = subprocess.run(
        [sys.executable, "-c", programs[0]], cwd=ROOT, capture_output=True, text=True, check=False,
        env={**demo.environment, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 4  # a heading and three dates
