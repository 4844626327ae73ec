"""`python -m benchmarks`: a day on each engine and on the peer, side by side, in one run."""

from __future__ import annotations

import shutil
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

import click
import orjson

from benchmarks import compare, homes, show
from benchmarks.measure import Measured, hardware
from paylake.errors import PaylakeError
from paylake.settings import ROOT
from simulator.params import Params

STEPS = ("ingest", "build", "gate", "publish")


def numbers(text: str) -> list[int]:
    """Days as a sorted list.

    :raises click.BadParameter: for anything but whole numbers from 1.
    """
    try:
        found = sorted({int(part) for part in text.split(",")})
    except ValueError:
        raise click.BadParameter(f"{text!r} is no list of days such as 31,90") from None
    if found[0] < 1:
        raise click.BadParameter("days count from 1")
    return found


def measure_day(stage: homes.Stage, day: date, engines: list[str]) -> dict[str, Any]:
    """Peer, then each engine; tables compared. Shape: see `show`."""
    columns: dict[str, dict[str, Measured]] = {}
    stage.tell(f"{day}: peer")
    columns["duckdb"] = {"day": stage.run_peer(day, day, is_summary=False)}
    used, failed, equal = {}, {}, []
    for engine in engines:
        home = stage.copy_for(engine, day)
        columns[engine] = {}
        try:
            for step in STEPS:
                stage.tell(f"{day}: {engine} {step}")
                columns[engine][step] = stage.run_step(home, step, day)
        except PaylakeError as error:  # the figures of the others are worth their hours
            failed[engine] = error.sentence()
            shutil.rmtree(home.home)
            continue
        used[engine] = home
    for engine, settings in used.items():
        stage.tell(f"{day}: comparing {engine} with the peer")
        rows, found = compare.with_peer(settings, stage.peer, day)
        equal.append({
            "what": f"{engine} and duckdb, row by row, {len(compare.TABLES)} tables",
            "compared": rows, "differences": found,
        })
    if len(used) == 2:
        one, other = used.values()
        count, found = compare.between_engines(one, other, day)
        equal.append({
            "what": f"{' and '.join(used)}, content digests of every table",
            "compared": count, "differences": found,
        })
    for settings in used.values():
        shutil.rmtree(settings.home)
    return {"date": day, "columns": columns, "equal": equal, "failed": failed}


def _write(
    target: Path, hardware: dict[str, str], params: Params, results: list[dict[str, Any]]
) -> None:
    """All figures so far as JSON."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(orjson.dumps({
        "command": " ".join(["python -m benchmarks", *sys.argv[1:]]), "hardware": hardware,
        "params": params.document(), "days": results,
    }, option=orjson.OPT_INDENT_2))


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--txns", default=1_000_000, show_default=True, help="Transactions a day.")
@click.option("--days", default="31,90", show_default=True, metavar="LIST",
              help="Which days to measure; all before are history.")
@click.option("--engine", "engines", multiple=True, type=click.Choice(["sail", "spark"]),
              help="Engine to measure; both by default.")
@click.option("--quick", is_flag=True, help="2,000 transactions, day 2, Sail: does it still run?")
@click.option("--seed", default=20260912, show_default=True, help="Seed of the written feeds.")
@click.option("--work", type=click.Path(path_type=Path), default=ROOT / "var" / "bench",
              help="Folder for homes; a run makes one below it and removes it.")
@click.option("--json", "target", type=click.Path(path_type=Path), help="Also write figures here.")
@click.option("--keep", is_flag=True, help="Leave the homes for a look.")
def main(
    txns: int, days: str, engines: tuple[str, ...], quick: bool, seed: int, work: Path,
    target: Path | None, keep: bool,
) -> None:
    """Measure seconds and peak memory of a day, beside a plain DuckDB program.

    The feeds are written directly by the simulator and the ledger is bypassed; history has
    summarised journals (docs/explanation/speed.md). Exit code 0 when every compared table is
    equal, 16 when one differs or an engine's step fails.
    """
    chosen = list(dict.fromkeys(engines)) or ["sail", "spark"]
    measured = numbers(days)
    if quick:
        txns, measured, chosen = 2_000, [2], ["sail"]
    root = work.absolute() / time.strftime("%Y%m%d-%H%M%S")
    root.mkdir(parents=True)
    results, before = [], hardware()
    try:
        stage = homes.Stage(root, homes.world(txns, measured[-1], seed), show.tell)
        stage.check_disk(measured[-1])
        show.heading(before, stage.params, measured)
        for day in stage.until(measured):
            results.append(measure_day(stage, day, chosen))
            show.day(results[-1], (day - homes.START).days + 1)
            if target is not None:
                _write(target, before, stage.params, results)
        if len(results) > 1:
            show.days_side_by_side(results)
    except PaylakeError as error:
        click.echo(f"benchmarks: {error.sentence()}", err=True)
        sys.exit(error.exit_code)
    finally:
        if not keep:
            shutil.rmtree(root, ignore_errors=True)
    differs = any(check["differences"] for result in results for check in result["equal"])
    if differs or any(result["failed"] for result in results):
        sys.exit(16)


if __name__ == "__main__":
    main()
