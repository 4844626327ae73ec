"""The compiled core: the modules that every posting runs through, and the functions of the
templates of what callers send, as machine code.

`bin/compile-ledger` has mypyc make it of the very files that stand here, into a folder named after
what they say. A process takes it from there if it was made of the files as they are now, for its
interpreter; else it runs the files: the same results, more slowly. PAYLAKE_LEDGER_CORE says
`compiled` or `interpreted` where it must be that one.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
VARIABLE = "PAYLAKE_LEDGER_CORE"
#: What is compiled: all that runs once a command, and what that rests on.
MODULES = (
    "domain/account.py", "domain/actors.py", "domain/buckets.py", "domain/chain.py",
    "domain/forms.py", "domain/guards.py", "domain/holds.py", "domain/limits.py",
    "domain/mandates.py", "domain/operations.py", "domain/payouts.py", "domain/positions.py",
    "domain/refusals.py", "domain/state.py", "domain/tariffs.py", "domain/undo.py",
    "service/booking.py", "service/clock.py", "service/command.py", "service/deciding.py",
    "service/guarding.py", "service/history.py", "service/originals.py", "service/posting.py",
    "service/results.py", "service/unwritten.py",
)
#: Name of the library that they share.
GROUP = "ledger_core"
#: Name of its module with the functions of the templates (`bin/template_functions.py`).
TEMPLATES = "ledger_templates"
#: Whether this process runs it.
in_use = False


def folder() -> Path:
    """Where the compiled core of these files is, or would be. Its name covers every file that the
    compiled ones may import, the templates, the compiler's lock, and the interpreter."""
    digest = hashlib.sha256(
        f"{sys.implementation.cache_tag} {sys.platform} {platform.machine()} {MODULES}".encode()
    )
    sources = [path for room in ("domain", "service") for path in (ROOT / "ledger" / room).rglob(
        "*.py")]
    templates = [ROOT / "bin" / "template_functions.py", ROOT / "ledger" / "data" / "fields.yml",
                 *sorted((ROOT / "ledger" / "data" / "operations").glob("*.yml"))]
    for path in (*sorted(sources), *templates, ROOT / "requirements" / "compile.txt"):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(ROOT)} {len(content)}\n".encode())
        digest.update(content)
    return ROOT / "var" / "compiled" / digest.hexdigest()[:16]


def take() -> None:
    """Have the packages of the ledger take their modules from the compiled core, if it is there.

    :raises ImportError: when it has to be there and is not
    """
    global in_use
    wanted = os.environ.get(VARIABLE, "")
    if wanted not in ("", "compiled", "interpreted"):
        raise ImportError(f"{VARIABLE} is {wanted!r}: it is compiled, interpreted, or not set")
    if wanted == "interpreted":
        return
    found = folder()
    if not found.is_dir():
        if wanted:
            raise ImportError(f"{found} is not there: run bin/compile-ledger")
        return
    import ledger.domain
    import ledger.service

    sys.path.append(str(found))  # the library itself is found by its name
    for package in (ledger.domain, ledger.service):
        package.__path__.insert(0, str(found / package.__name__.replace(".", "/")))
    in_use = True


def made_of(source: str) -> Mapping[str, Any]:
    """The functions of a template by name, if the compiled core has them of this very source."""
    if not in_use:
        return {}
    return importlib.import_module(TEMPLATES).FUNCTIONS.get(source, {})
