"""Make the Python environment of a lock file, once, and print where it is.

Uses only the standard library, because it runs before anything is installed. Environments live in
`var/env/<name>-<digest of the lock and the interpreter>`, shared by all homes; one that was left
half-written has no `.complete` mark and is made again. Modules are compiled when they are first
imported, which is a small part of them; where nothing may be written later, as in an image,
UV_COMPILE_BYTECODE=1 compiles them all at once.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = Path(os.environ.get("PAYLAKE_ENVIRONMENTS") or ROOT / "var" / "env")
NAMES = (
    "lake", "test", "airflow", "superset", "airflow-server", "superset-server", "schema", "compile",
)
MINOR_VERSIONS = (11, 12)


class Problem(Exception):
    """What is wrong and what to do next; ends the program with exit code 14."""


def check_python() -> None:
    if sys.version_info[0] != 3 or sys.version_info[1] not in MINOR_VERSIONS:
        raise Problem(
            f"Python {sys.version_info[0]}.{sys.version_info[1]} ({sys.executable}) is not one "
            "that paylake runs on: it needs 3.11 or 3.12. Install one of these, or point "
            "PAYLAKE_PYTHON at it."
        )


def run(argv: list[str], what: str) -> None:
    result = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if result.returncode != 0:
        raise Problem(
            f"{what} failed:\n{result.stdout.strip()[-2000:]}\n"
            "Check that the package registry is reachable and the disk has room, then run it again."
        )


def digest_of(lock: Path) -> str:
    digest = hashlib.sha256(lock.read_bytes())
    digest.update(f"{sys.version_info[:2]} {sys.platform}".encode())
    return digest.hexdigest()[:12]


def finished(folder: Path) -> bool:
    return (folder / ".complete").exists() and (folder / "bin" / "python").exists()


def uv() -> Path:
    """The pinned installer, in an environment of its own."""
    lock = ROOT / "requirements" / "uv.txt"
    folder = FOLDER / f"uv-{digest_of(lock)}"
    if not finished(folder):
        shutil.rmtree(folder, ignore_errors=True)
        run([sys.executable, "-m", "venv", str(folder)], "Making a virtual environment "
            "(on Debian it needs the package python3-venv)")
        run([str(folder / "bin" / "python"), "-m", "pip", "install", "-q", "--require-hashes",
             "--disable-pip-version-check", "-r", str(lock)], "Installing uv")
        (folder / ".complete").touch()
    return folder / "bin" / "uv"


def ensure(name: str) -> Path:
    """The environment of `requirements/<name>.txt`; made when it is not there."""
    if name not in NAMES:
        raise Problem(f"There is no environment named {name!r}. Use one of {', '.join(NAMES)}.")
    lock = ROOT / "requirements" / f"{name}.txt"
    folder = FOLDER / f"{name}-{digest_of(lock)}"
    if finished(folder):
        return folder
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / f".{name}.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if finished(folder):
            return folder
        if folder.exists():
            print(f"environment {name}: half-written, made again", file=sys.stderr)
            shutil.rmtree(folder)
        began = time.monotonic()
        print(f"environment {name}: installing from {lock.relative_to(ROOT)} …", file=sys.stderr)
        tool = uv()
        run([str(tool), "venv", "-q", "--python", sys.executable, str(folder)], "Making it")
        run([str(tool), "pip", "install", "-q", "--python", str(folder / "bin" / "python"),
             "--require-hashes", "-r", str(lock)],
            f"Installing {lock.name}")
        (folder / ".complete").touch()
        print(f"environment {name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    return folder


def main(names: list[str]) -> int:
    try:
        check_python()
        for name in names:
            print(ensure(name))
    except Problem as problem:
        print(f"paylake: {problem}", file=sys.stderr)
        return 14
    except OSError as error:
        print(
            f"paylake: The environments cannot be written to {FOLDER}: {error}. Give it room and "
            "rights, or point PAYLAKE_ENVIRONMENTS at another folder.", file=sys.stderr,
        )
        return 14
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["lake"]))
