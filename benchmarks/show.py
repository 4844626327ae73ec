"""Figures for people: a table a day, steps down, programs across, ratios to the peer."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.measure import Measured, hardware
from simulator.params import Params

#: Columns of a figure are not broken where nobody's window is: files and pipes are wide.
console = Console(highlight=False)
if not console.is_terminal:
    console = Console(highlight=False, width=140)
_PROGRESS = Console(stderr=True, highlight=False)

#: (row, step of the product, part of it, part of the peer)
ROWS = (
    ("ingest", "ingest", "ingest", "ingest"),
    ("build: engine start", "build", "engine start", None),
    ("build: conform", "build", "conform", "conform"),
    ("build: states", "build", "states", "states"),
    ("build: profiles", "build", "profiles", "profiles"),
    ("build: marts", "build", "marts", "marts"),
    ("gate", "gate", "gate", "gate"),
    ("publish", "publish", "publish", None),
)
WHOLE = "whole day, processes started"


def tell(text: str) -> None:
    """Progress, on standard error."""
    _PROGRESS.print(f"[dim]{text}[/dim]")


def heading(hardware: dict[str, str], params: Params, days: list[int]) -> None:
    """What is measured, and on what."""
    for name, value in hardware.items():
        console.print(f"{name}: {value}")
    console.print(
        f"{params.txns:,} transactions an ordinary day, {params.merchants:,} merchants, "
        f"{params.terminals:,} terminals, seed {params.seed}; measured: day "
        f"{' and '.join(str(n) for n in days)}. Feeds written directly, ledger bypassed; journals "
        "of history summarised. Memory: highest PSS of the process tree, engine server included."
    )


def figures(result: dict[str, Any]) -> dict[str, dict[str, tuple[float, int]]]:
    """(seconds, peak bytes) by row and program."""
    rows: dict[str, dict[str, tuple[float, int]]] = {}
    for program, steps in result["columns"].items():
        is_peer = program == "duckdb"
        for row, step, part, peer_part in ROWS:
            wanted = peer_part if is_peer else part
            measured: Measured | None = steps.get("day" if is_peer else step)
            for found in measured.parts if measured is not None else ():
                if found.name == wanted:
                    rows.setdefault(row, {})[program] = (found.seconds, found.peak_bytes)
        if is_peer or len(steps) == len({step for _, step, *_ in ROWS}):
            rows.setdefault(WHOLE, {})[program] = (
                sum(m.seconds for m in steps.values()),
                max(m.peak_bytes for m in steps.values()),
            )
    order = [*(row for row, *_ in ROWS), WHOLE]
    return {row: rows[row] for row in order if row in rows}


def day(result: dict[str, Any], number: int) -> None:
    """One measured day."""
    programs = list(result["columns"])
    table = Table(title=f"day {number} ({result['date']}), {number - 1} days of history")
    table.add_column("step")
    for program in programs:
        table.add_column(f"{program} s", justify="right")
        table.add_column("GiB", justify="right")
        if program != "duckdb":
            table.add_column("× duckdb", justify="right")
    for row, by_program in figures(result).items():
        cells = [row]
        for program in programs:
            seconds, peak = by_program.get(program, (None, None))
            cells += _pair(seconds, peak)
            if program != "duckdb":
                peer = by_program.get("duckdb", (None, None))[0]
                cells.append(_ratio(seconds, peer))
        table.add_row(*cells, end_section=row == "publish")
    console.print(table)
    console.print(f"load now (1, 5, 15 min): {hardware()['load (1, 5, 15 min)']}")
    for engine, sentence in result["failed"].items():
        console.print(f"{engine} FAILED: {sentence}", markup=False)
    for check in result["equal"]:
        verdict = "equal" if not check["differences"] else "DIFFERENT"
        console.print(f"{check['what']}: {check['compared']:,} compared, {verdict}")
        for line in check["differences"]:
            console.print(f"  {line}", markup=False)


def days_side_by_side(results: list[dict[str, Any]]) -> None:
    """Law 7: the first and the last measured day of each program."""
    first, last = results[0], results[-1]
    table = Table(title=f"a day costs a day: {first['date']} beside {last['date']}")
    table.add_column("step")
    for program in first["columns"]:
        table.add_column(f"{program} {first['date']}", justify="right")
        table.add_column(f"{last['date']}", justify="right")
        table.add_column("×", justify="right")
    left, right = figures(first), figures(last)
    for row, by_program in left.items():
        cells = [row]
        for program in first["columns"]:
            before = by_program.get(program, (None, None))[0]
            after = right.get(row, {}).get(program, (None, None))[0]
            cells += [_seconds(before), _seconds(after), _ratio(after, before)]
        table.add_row(*cells)
    console.print(table)


def _pair(seconds: float | None, peak: int | None) -> list[str]:
    return [_seconds(seconds), "–" if peak is None else f"{peak / 2**30:.2f}"]


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _ratio(value: float | None, base: float | None) -> str:
    return "–" if value is None or not base else f"{value / base:.1f}"
