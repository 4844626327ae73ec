"""Compile the ledger's hot modules with mypyc into the folder where `ledger/compiled.py` looks for
them. Types are checked on the way: what mypy refuses is not compiled."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import shutil
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

os.environ["PAYLAKE_LEDGER_CORE"] = "interpreted"
import template_functions

from ledger import compiled

FLAGS = ["--config-file", "pyproject.toml"]


class Problem(Exception):
    """What is wrong and what to do next; ends the program with exit code 14."""


def build(place: Path) -> None:
    """Write the library and its modules below a folder.

    :raises Problem: naming what is missing, or what the compiler says
    """
    header = Path(sysconfig.get_path("include"), "Python.h")
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None or not header.is_file():
        missing = f"the headers of Python ({header})" if shutil.which(compiler) else compiler
        raise Problem(
            f"compiling needs {missing}, which is not here. On Debian: apt-get install gcc "
            "libc6-dev python3-dev. Without it the ledger runs all the same, more slowly."
        )
    from mypyc.build import mypycify
    from setuptools import Distribution
    from setuptools.command.build_ext import build_ext
    from setuptools.errors import CompileError, LinkError

    work, told = place / "work", io.StringIO()
    work.mkdir(parents=True)
    templates = work / f"{compiled.TEMPLATES}.py"
    templates.write_text(template_functions.source(), "utf-8")
    try:
        with contextlib.redirect_stdout(told):
            extensions = mypycify(
                [*FLAGS, "--cache-dir", str(work / "types"),
                 *(f"ledger/{name}" for name in compiled.MODULES), str(templates)],
                # more than -O1 takes longer and gives nothing: the time goes into Python's objects
                opt_level="1", debug_level="0", group_name=compiled.GROUP,
                target_dir=str(work / "c"),
            )
            command = build_ext(Distribution({"name": compiled.GROUP, "ext_modules": extensions}))
            command.build_lib, command.build_temp = str(place), str(work / "objects")
            command.ensure_finalized()
            command.run()
    except (SystemExit, CompileError, LinkError) as error:  # mypyc ends the program
        raise Problem(
            f"the ledger's core was not compiled ({error}):\n{told.getvalue().strip()}"
        ) from error
    shutil.rmtree(work)


def main() -> int:
    folder = compiled.folder()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / ".lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if folder.is_dir():
            print(f"ledger core: {folder.relative_to(compiled.ROOT)} is there", file=sys.stderr)
            return 0
        print("ledger core: compiling, most of a minute …", file=sys.stderr)
        began = time.monotonic()
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".part-") as part:
            try:
                build(Path(part, "core"))
            except Problem as problem:
                print(f"paylake: {problem}", file=sys.stderr)
                return 14
            for old in folder.parent.iterdir():
                if old.is_dir() and not old.name.startswith("."):
                    shutil.rmtree(old)  # of files that are no more
            Path(part, "core").rename(folder)
    print(f"ledger core: {time.monotonic() - began:.0f} s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
