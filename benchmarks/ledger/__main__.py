"""`python -m benchmarks.ledger`: the ledger's figures, printed as a Markdown table."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import orjson

from benchmarks.ledger import peer, world
from benchmarks.measure import hardware
from ledger.adapters.export import ledger_path
from paylake.settings import ROOT

SIZE = 1000
WARM_UP = 5


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


def closed_loop(service: world.Service, bodies: list[bytes]) -> float:
    """Send bodies one after the other, each signed; seconds."""
    signer = service.signer()
    with world.connection(service) as http:
        for body in bodies[:WARM_UP]:
            world.post(http, signer, "/v1/batches", body)
        started = time.perf_counter()
        for body in bodies[WARM_UP:]:
            world.post(http, signer, "/v1/batches", body)
        return time.perf_counter() - started


def singles(service: world.Service, first: int, count: int) -> list[float]:
    """Single signed commands in a closed loop; seconds of each."""
    signer = service.signer()
    took = []
    with world.connection(service) as http:
        for body in world.batches(service, first, count, 1):
            command = orjson.dumps(orjson.loads(body)["commands"][0])
            started = time.perf_counter()
            world.post(http, signer, "/v1/commands", command)
            took.append(time.perf_counter() - started)
    return took


def fixed_rate(
    service: world.Service, first: int, rate: float, seconds: float
) -> list[float]:
    """Single commands at a fixed rate; latencies from the moment each was due (coordinated
    omission corrected: a late answer delays no due time)."""
    signer = service.signer()
    bodies = world.batches(service, first, int(rate * seconds), 1)
    took = []
    with world.connection(service) as http:
        begin = time.perf_counter()
        for number, body in enumerate(bodies):
            due = begin + number / rate
            wait = due - time.perf_counter()
            if wait > 0:
                time.sleep(wait)
            command = orjson.dumps(orjson.loads(body)["commands"][0])
            world.post(http, signer, "/v1/commands", command)
            took.append(time.perf_counter() - due)
    return took


def at(values: list[float], share: float) -> float:
    """The value below which that share lies."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def chain_rate(service: world.Service) -> tuple[int, float]:
    """Journals and seconds of `verify --chain`, in a process of its own."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "ledger", "verify", "--chain", "--home",
         str(service.settings.home)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )
    return orjson.loads(done.stdout)["journals"], time.perf_counter() - started


@click.command()
@click.option("--payments", default=200_000, show_default=True, help="Of the measured run.")
@click.option("--merchants", default=1000, show_default=True)
@click.option("--grow", default=0, show_default=True,
              help="Journals to post before measuring again (10000000: the issue's size).")
@click.option("--keep", type=click.Path(path_type=Path), help="Keep the home here.")
def main(payments: int, merchants: int, grow: int, keep: Path | None) -> None:
    """Measure, and print a table."""
    folder = keep or Path(tempfile.mkdtemp(prefix="ledger-bench-"))
    figures = Figures(lambda text: print(text, file=sys.stderr))
    service = world.Service(folder / "home", merchants, free_port())
    count = payments // SIZE
    try:
        service.start()
        service.register()
        bodies = world.batches(service, 0, count + WARM_UP, SIZE)
        seconds = closed_loop(service, bodies)
        plain = peer.run(folder / "peer.db", bodies[WARM_UP:])
        rate, beside = count * SIZE / seconds, count * SIZE / plain
        figures.add("payments a second, batches of 1,000, signed", f"{rate:,.0f}",
                    f"{rate / beside:.2f} of {beside:,.0f}")
        world.conserved(service)
        hot = world.batches(service, 10**9, count // 4 + WARM_UP, SIZE, hot=True)
        seconds = closed_loop(service, hot)
        figures.add("one hot account, payments a second", f"{count // 4 * SIZE / seconds:,.0f}")
        took = singles(service, 2 * 10**9, 2000)
        single = len(took) / sum(took)
        figures.add("single commands a second, each signed", f"{single:,.0f}",
                    f"p50 {at(took, .5) * 1e3:.1f} ms, p99 {at(took, .99) * 1e3:.1f} ms")
        took = fixed_rate(service, 3 * 10**9, single / 2, 10)
        figures.add(f"single commands at {single / 2:,.0f} a second",
                    f"p99 {at(took, .99) * 1e3:.1f} ms",
                    f"p50 {at(took, .5) * 1e3:.1f} ms, worst {max(took) * 1e3:.1f} ms")
        if grow:
            _grown(service, figures, grow, rate)
        with service.client() as client:
            started = time.perf_counter()
            client.balance_at(f"2201:{service.merchants[0]}")
            figures.add("balance of the busiest account at a moment",
                        f"{(time.perf_counter() - started) * 1e3:.1f} ms")
        world.conserved(service)
        service.stop()
        journals, seconds = chain_rate(service)
        figures.add("verify of the chain, journals a second", f"{journals / seconds:,.0f}",
                    f"{journals:,} journals in {seconds:.1f} s, process start included")
        size = ledger_path(service.settings).stat().st_size
        figures.add("bytes a journal on disk", f"{size / journals:,.0f}")
    finally:
        service.stop()
        if keep is None:
            shutil.rmtree(folder)
    print(hardware())
    print()
    print(figures.show())


def _grown(service: world.Service, figures: Figures, grow: int, empty_rate: float) -> None:
    """Post many more, then measure again."""
    signer = service.signer()
    first = 4 * 10**9
    started = time.perf_counter()
    with world.connection(service) as http:
        for begin in range(0, grow, 100 * SIZE):
            for body in world.batches(service, first + begin, 100, SIZE):
                world.post(http, signer, "/v1/batches", body)
            done = begin + 100 * SIZE
            figures.tell(f"{done:,} journals, {done / (time.perf_counter() - started):,.0f}/s")
    bodies = world.batches(service, 9 * 10**9, 100 + WARM_UP, SIZE)
    rate = 100 * SIZE / closed_loop(service, bodies)
    figures.add(f"payments a second at {grow:,} journals", f"{rate:,.0f}",
                f"{rate / empty_rate:.0%} of the empty ledger's")


if __name__ == "__main__":
    main()
