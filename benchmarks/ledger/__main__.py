"""`python -m benchmarks.ledger`: the ledger's figures, printed as a Markdown table."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import click
import orjson

from benchmarks.ledger import load, peer, world
from benchmarks.measure import hardware
from ledger import compiled
from ledger.adapters.export import ledger_path
from paylake.settings import ROOT

SIZE = 1000
WARM_UP = 5
#: Connections at once: one batch is planned while another is written and a third is read.
BATCH_CONNECTIONS, CONNECTIONS = 3, 32
FIXED_SECONDS = 30


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Figures:
    """Rows of the table."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.tell = tell
        self.rows: list[tuple[str, str, str]] = []

    def add(self, what: str, figure: str, beside: str = "") -> None:
        self.rows.append((what, figure, beside))
        self.tell(f"{what}: {figure} {beside}")

    def show(self) -> str:
        lines = ["| what | figure | beside the peer |", "|---|---|---|"]
        return "\n".join([*lines, *(f"| {a} | {b} | {c} |" for a, b, c in self.rows)])


def batched(service: world.Service, bodies: list[bytes]) -> float:
    """Payments a second of batches, each signed, after a warm-up."""
    with load.signing(service) as opened:
        load.closed(opened, "/v1/batches", bodies[:WARM_UP], BATCH_CONNECTIONS)
        rest = bodies[WARM_UP:]
        return len(rest) * SIZE / load.closed(opened, "/v1/batches", rest, BATCH_CONNECTIONS)


def single_bodies(service: world.Service, first: int, count: int) -> list[bytes]:
    """Single commands."""
    return [
        orjson.dumps(orjson.loads(body)["commands"][0])
        for body in world.batches(service, first, count, 1)
    ]


def singles(
    figures: Figures, service: world.Service, kind: str, opened: load.Opened, first: int,
    count: int,
) -> None:
    """Single commands in a closed loop, then at half the rate that came out."""
    bodies = single_bodies(service, first, count + 200)
    load.closed(opened, "/v1/commands", bodies[:200], CONNECTIONS)
    rate = count / load.closed(opened, "/v1/commands", bodies[200:], CONNECTIONS)
    figures.add(f"single commands a second, {kind}", f"{rate:,.0f}",
                f"{CONNECTIONS} connections")
    bodies = single_bodies(service, first + 10**8, int(rate / 2 * FIXED_SECONDS))
    took = load.fixed(opened, "/v1/commands", bodies, rate / 2, CONNECTIONS)
    figures.add(f"the same at {rate / 2:,.0f} a second", f"p99 {at(took, .99) * 1e3:.1f} ms",
                f"p50 {at(took, .5) * 1e3:.1f} ms, worst {max(took) * 1e3:.1f} ms")


def balances(figures: Figures, service: world.Service) -> None:
    """Balances of the busiest account: of all that it has, and as known at moments within the date
    of all these payments, where the segments since then are looked into."""
    account = f"2201:{service.merchants[0]}"
    first = datetime.fromisoformat(world.AT)
    moments = [first + timedelta(minutes=30 * number) for number in range(20)]
    with service.client() as client:
        client.health()  # nothing is under way any more
        for what, known in (("now", [None] * 20), ("as known at moments of the date", moments)):
            took = []
            for moment in known:
                started = time.perf_counter()
                client.balance_at(account, known_at=moment)
                took.append(time.perf_counter() - started)
            figures.add(f"balance of the busiest account, {what}", f"{at(took, .5) * 1e3:.1f} ms",
                        f"worst {max(took) * 1e3:.1f} ms of {len(took)}")


def at(values: list[float], share: float) -> float:
    """The value below which that share lies."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def chain_rate(service: world.Service) -> tuple[int, float]:
    """Journals and seconds of `verify --chain`, in a process of its own."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "ledger", "verify", "--chain", "--home",
         str(service.settings.home)],
        cwd=ROOT, env=service.environment, capture_output=True, text=True, check=True,
    )
    return orjson.loads(done.stdout)["journals"], time.perf_counter() - started


@click.command()
@click.option("--payments", default=200_000, show_default=True, help="Of the measured run.")
@click.option("--merchants", default=1000, show_default=True)
@click.option("--grow", default=0, show_default=True,
              help="Journals to post before measuring again (10000000: the issue's size).")
@click.option("--database", default="",
              help="postgresql://user:password@host:port/database of an empty ledger; SQLite in a "
              "home of its own by default.")
@click.option("--keep", type=click.Path(path_type=Path), help="Keep the home here.")
def main(
    payments: int, merchants: int, grow: int, database: str, keep: Path | None
) -> None:
    """Measure, and print a table."""
    folder = keep or Path(tempfile.mkdtemp(prefix="ledger-bench-"))
    figures = Figures(lambda text: print(text, file=sys.stderr))
    service = world.Service(folder / "home", merchants, free_port(), database)
    count = payments // SIZE
    try:
        service.start()
        service.register()
        bodies = world.batches(service, 0, count + WARM_UP, SIZE)
        rate = batched(service, bodies)
        beside = count * SIZE / peer.run(folder / "peer.db", bodies[WARM_UP:])
        figures.add("payments a second, batches of 1,000, four legs each, signed",
                    f"{rate:,.0f}", f"{rate / beside:.2f} of {beside:,.0f}")
        three = world.batches(service, 5 * 10**8, count // 2 + WARM_UP, SIZE, legs=3)
        of_three = batched(service, three)
        beside = count // 2 * SIZE / peer.run(folder / "peer-3.db", three[WARM_UP:])
        figures.add("the same, three legs each", f"{of_three:,.0f}",
                    f"{of_three / beside:.2f} of {beside:,.0f}")
        world.conserved(service)
        hot = world.batches(service, 10**9, count // 4 + WARM_UP, SIZE, hot=True)
        figures.add("one hot account, payments a second", f"{batched(service, hot):,.0f}")
        with load.signing(service) as opened:
            singles(figures, service, "each SM2-signed", opened, 2 * 10**9, 3000)
        with load.in_sessions(service) as opened:
            singles(figures, service, "in sessions", opened, 3 * 10**9, 10_000)
        if grow:
            _grown(service, figures, grow, rate)
        balances(figures, service)
        world.conserved(service)
        service.stop()
        journals, seconds = chain_rate(service)
        figures.add("verify of the chain, journals a second", f"{journals / seconds:,.0f}",
                    f"{journals:,} journals in {seconds:.1f} s, process start included")
        if not database:
            size = ledger_path(service.settings).stat().st_size
            figures.add("bytes a journal on disk", f"{size / journals:,.0f}")
    finally:
        service.stop()
        if keep is None:
            shutil.rmtree(folder)
    print({**hardware(), "ledger core": "compiled" if compiled.in_use else "interpreted"})
    print()
    print(figures.show())


def _grown(service: world.Service, figures: Figures, grow: int, empty_rate: float) -> None:
    """Post many more, then measure again."""
    first = 4 * 10**9
    started = time.perf_counter()
    with load.signing(service) as opened:
        for begin in range(0, grow, 100 * SIZE):
            bodies = world.batches(service, first + begin, 100, SIZE)
            load.closed(opened, "/v1/batches", bodies, BATCH_CONNECTIONS)
            done = begin + 100 * SIZE
            figures.tell(f"{done:,} journals, {done / (time.perf_counter() - started):,.0f}/s")
    again = batched(service, world.batches(service, 9 * 10**9, 100 + WARM_UP, SIZE))
    figures.add(f"payments a second at {grow:,} journals", f"{again:,.0f}",
                f"{again / empty_rate:.0%} of the empty ledger's")


if __name__ == "__main__":
    main()
