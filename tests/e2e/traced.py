"""`bin/paylake` with its dangerous places written to a pipe, for the tests that kill it.

Run as `python tests/e2e/traced.py FD COMMAND …`. Each line is `enter PLACE` or `leave PLACE`; a
process that died after the first and before the second died inside that place. Nothing else is
changed, but for `between`: the moment after gold was copied and before the release is appended,
which is held open for a quarter of a second, since no work fills it.
"""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from cli.app import run
from paylake import dbt_runner, engine, release, serving
from reporting import package
from reporting.filing import Filings

_BETWEEN_SECONDS = 0.25


def trace(tell: Callable[[str], None]) -> None:
    """Wrap the places in announcements."""

    def wrap(owner: Any, name: str, place: str) -> None:
        inner = getattr(owner, name)

        @functools.wraps(inner)
        def traced(*arguments: Any, **named: Any) -> Any:
            tell(f"enter {place}")
            result = inner(*arguments, **named)
            tell(f"leave {place}")
            return result

        setattr(owner, name, traced)

    wrap(engine, "commit", "commit")
    wrap(dbt_runner, "run", "marts")
    wrap(release.publishing, "copy", "copy")
    wrap(release.chain, "append", "append")
    wrap(serving, "write", "reader file")
    wrap(Filings, "put", "signing")
    wrap(package, "write", "package")
    append = release.chain.append

    def after_a_pause(*arguments: Any) -> None:
        tell("enter between")
        time.sleep(_BETWEEN_SECONDS)
        tell("leave between")
        append(*arguments)

    release.chain.append = after_a_pause


if __name__ == "__main__":
    pipe = int(sys.argv.pop(1))
    os.set_inheritable(pipe, False)
    trace(lambda line: os.write(pipe, f"{line}\n".encode()) and None)
    run()
