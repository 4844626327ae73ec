"""Which Python `bin/python-of` takes, with stand-ins for Pythons that answer as real ones do."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def machine(tmp_path: Path):
    """Put Pythons on a PATH of their own; ask `bin/python-of` with it."""
    folder = tmp_path / "bin"
    folder.mkdir()

    class Machine:
        kept = tmp_path / "env" / "python"

        def has(self, name: str, lacks: int, ms: float) -> Path:
            path = folder / name
            path.write_text(
                "#!/bin/sh\n"
                f'case "$1" in */try_python.py) echo {lacks} {ms} {path} ;;\n'
                f"*) echo {name} ;; esac\n"
            )
            path.chmod(0o755)
            return path

        def asks(self, **more: str) -> subprocess.CompletedProcess[str]:
            names = {k: v for k, v in os.environ.items() if not k.startswith("PAYLAKE_")}
            # Behind the folder only what the script itself needs.
            tools = tmp_path / "tools"
            tools.mkdir(exist_ok=True)
            for tool in ("bash", "sh", "awk", "dirname", "mkdir", "mv", "cat"):
                found = subprocess.run(["which", tool], capture_output=True, text=True, check=True)
                if not (tools / tool).exists():
                    (tools / tool).symlink_to(found.stdout.strip())
            names |= {"PATH": f"{folder}:{tools}", "PAYLAKE_ENVIRONMENTS": str(self.kept.parent)}
            return subprocess.run(
                [str(tools / "bash"), str(ROOT / "bin" / "python-of"), "lake"],
                capture_output=True, text=True, check=False, env=names | more,
            )

    return Machine()


def test_a_quicker_python_is_taken_before_an_earlier_one(machine) -> None:
    machine.has("python3.12", 0, 14.7)
    quick = machine.has("python3.11", 0, 7.2)
    machine.has("python3", 0, 7.0)  # not quicker by a fifth: the earlier one stays
    asked = machine.asks()
    assert (asked.returncode, asked.stdout) == (0, "python3.11/bin/python\n"), asked.stderr
    assert machine.kept.read_text() == f"{quick}\n"


def test_one_that_can_make_and_compile_all_is_taken_before_a_quicker_one(machine) -> None:
    machine.has("python3.12", 2, 1.0)
    machine.has("python3.11", 1, 2.0)
    machine.has("python3", 0, 30.0)
    assert machine.asks().stdout == "python3/bin/python\n"


def test_the_choice_is_kept_until_that_python_is_gone(machine) -> None:
    first = machine.has("python3.11", 0, 9.0)
    assert machine.asks().stdout == "python3.11/bin/python\n"
    machine.has("python3.12", 0, 1.0)
    assert machine.asks().stdout == "python3.11/bin/python\n"
    first.unlink()
    assert machine.asks().stdout == "python3.12/bin/python\n"


def test_a_python_asked_for_by_name_is_taken_or_refused(machine) -> None:
    machine.has("python3.11", 0, 1.0)
    slow = machine.has("mine", 0, 90.0)
    assert machine.asks(PAYLAKE_PYTHON=str(slow)).stdout == "mine/bin/python\n"
    asked = machine.asks(PAYLAKE_PYTHON="/bin/false")
    assert asked.returncode == 14
    assert "PAYLAKE_PYTHON is /bin/false" in asked.stderr
    assert not machine.kept.exists()


def test_a_machine_without_a_python_is_told_so(machine) -> None:
    asked = machine.asks()
    assert asked.returncode == 14
    assert "found: no python3" in asked.stderr
