"""`make run FEEDS=… MAPPING=…`: the same chain on files that others wrote, in a home of its own."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import click

from cli import stack
from cli.app import Context
from cli.demo import Steps, show_logins
from cli.environments import python_of
from cli.output import console, show
from paylake import settings as settings_module
from paylake.errors import PermanentFailure
from paylake.keys import Keyring
from paylake.lake import Lake
from paylake.settings import ROOT, Settings

# So that a mapped home runs beside the demo without a thought; its paylake.toml says so.
_PORT_OFFSET = 100
_PORTS = ("engine_port", "ledger_port", "airflow_port", "superset_port")


@click.command()
@click.option("--feeds", type=click.Path(path_type=Path, exists=True, file_okay=False),
              required=True, help="Folder of the files.")
@click.option("--mapping", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              required=True, help="A file like ingestion/mappings/handbook.yml.")
@click.option("--screens/--no-screens", default=True, help="Start Superset at the end.")
@click.pass_obj
def mapped(ctx: Context, feeds: Path, mapping: Path, screens: bool) -> None:
    """Ingest, conform, profile, gate, release and show files that others wrote."""
    import ingestion.mapping as mappings
    from cli import pipeline
    from paylake import runs

    settings = _own_home(ctx.settings, mappings.load_mapping(mapping).name)
    began, steps = time.monotonic(), Steps()
    Keyring(settings).ensure_secrets()
    with steps.step("engine") as row:
        row["result"] = ", ".join(name for name, _ in stack.up(settings, ("engine",)) or ())
    with steps.step("ingest") as row:
        taken = mappings.ingest_mapped(settings, feeds, mapping)
        row["result"] = f"{taken.first} to {taken.last}"
    with steps.step("build, gate, publish") as row:
        named = pipeline.steps(settings, reports=False)
        named["ingest"] = lambda first, last, as_of: taken  # came in above, outside the inbox
        result = runs.run(settings, taken.first, taken.last, named)
        if result.error is not None:
            raise result.error
        out = sum(1 for state in result.dates.values() if state == "released")
        row["result"] = "nothing to do" if result.nothing else f"{out} releases"
    if screens:
        import dashboards

        with steps.step("Superset") as row:
            done = dashboards.set_up(settings, python_of("superset"))
            told = ", ".join(name for name, _ in stack.up(settings, ("superset",)))
            row["result"] = f"{told}; {done}"
    totals = layer_totals(settings, taken.first, taken.last)
    if screens:
        from dashboards.totals import payments

        rows, amount = payments(settings, taken.first, taken.last)
        totals.append({"layer": "dashboard, amount chart", "rows": rows, "amount": amount})
    show(steps.rows, as_json=False, title="steps")
    show(totals, as_json=False, title=f"payments {taken.first} to {taken.last}, at every layer")
    if screens:
        show_logins(settings)
    console.print(f"{time.monotonic() - began:.0f} s in all; `PAYLAKE_HOME={settings.home} "
                  "make stop` stops what runs")
    if len({(t["rows"], t["amount"]) for t in totals}) != 1:
        raise PermanentFailure(
            "The layers do not hold the same payments", "The table above says where they part."
        )


def _own_home(settings: Settings, name: str) -> Settings:
    """The home of this mapping: the one that was asked for, else `var/<name>`, ports set apart."""
    if settings.origin("home") != "default":
        return settings
    home = ROOT / "var" / name
    file = home / "paylake.toml"
    if not file.exists():
        home.mkdir(parents=True, exist_ok=True)
        lines = [f"{port} = {getattr(Settings, port) + _PORT_OFFSET}" for port in _PORTS]
        file.write_text("# Ports beside those of the demo home.\n" + "\n".join(lines) + "\n")
    return replace(settings_module.load(home=home), engine=settings.engine)


def layer_totals(settings: Settings, first: date, last: date) -> list[dict[str, Any]]:
    """Rows and amount of payments at each layer of the lake, down to the released KPI mart."""
    from paylake import release

    lake = Lake(settings)
    dates = [first, last]
    where = "business_date between ? and ?"
    found = [
        (
            "bronze",
            lake.query(
                "select count(*) n, sum(amount::decimal(18,4)) a "
                f"from bronze.raw_switch__transaction where {where}",
                dates,
            ),
        ),
        (
            "silver",
            lake.query(f"select count(*) n, sum(amount) a from silver.transaction where {where}",
                       dates),
        ),
        (
            "terminal profile",
            lake.query(
                "select sum(payment_count_1d) n, sum(payment_amount_1d) a "
                f"from gold.terminal_profile where {where}",
                dates,
            ),
        ),
    ]
    with release.reader(settings) as reader:
        found.append(
            (
                f"KPI mart, release {reader.release_id}",
                reader.query(
                    "select sum(payment_count) n, sum(payment_amount) a "
                    f"from mart_kpi__institution_day where {where}",
                    dates,
                ),
            )
        )
    return [
        {"layer": name, "rows": int(table["n"][0].as_py()), "amount": table["a"][0].as_py()}
        for name, table in found
    ]
