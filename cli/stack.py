"""Start the servers of a home in the right order."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from cli import servers
from paylake import home, services
from paylake.errors import UsageFault
from paylake.settings import Settings


def up(settings: Settings, names: Sequence[str] = ()) -> Iterator[tuple[str, float | None]]:
    """Start servers; yields (name, seconds), None for one that ran already.

    :raises UsageFault: for a name that is not a server's.
    """
    unknown = set(names) - set(servers.NAMES)
    if unknown:
        raise UsageFault(
            f"No server is named {sorted(unknown)[0]!r}", f"Use {', '.join(servers.NAMES)}."
        )
    simulated = home.exists(settings) and home.read(settings).kind == "simulated"
    makers = {
        "ledger": lambda: servers.ledger(settings, simulated=simulated),
        "engine": lambda: servers.engine_server(settings),
        "airflow": lambda: servers.airflow(settings),
        "superset": lambda: servers.superset(settings),
    }
    for name in names or servers.NAMES:
        if name == "engine" and settings.engine.startswith("sc://"):
            continue
        if name == "ledger" and not names and not simulated:
            continue
        began = time.monotonic()
        started = services.start(settings, makers[name]())
        yield name, time.monotonic() - began if started else None
