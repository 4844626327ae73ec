"""`make run FEEDS=… MAPPING=…`: the same chain on files that others wrote, in a home of its own."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import date
from decimal import Decimal
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
    shown = _on_screen(settings, taken.first, taken.last) if screens else []
    show(steps.rows, as_json=False, title="steps")
    title = f"payments {taken.first} to {taken.last}, at every layer"
    show([*totals, *shown], as_json=False, title=title)
    if screens:
        show_logins(settings)
    console.print(f"{time.monotonic() - began:.0f} s in all; `PAYLAKE_HOME={settings.home} "
                  "make stop` stops what runs")
    if not agree(totals, shown):
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


def _on_screen(settings: Settings, first: date, last: date) -> list[dict[str, Any]]:
    from dashboards.totals import CURRENCY, payments

    rows, amount = payments(settings, first, last)
    name = "dashboard, amount chart"
    return [{"layer": name, "currency": CURRENCY, "rows": rows, "amount": amount}]


def layer_totals(settings: Settings, first: date, last: date) -> list[dict[str, Any]]:
    """Successful payments at each layer of the lake, down to the released KPI mart.

    Terminal profiles hold payments at terminals alone: they are listed where every payment has one.

    :returns: layer, currency, rows, amount; a layer without payments has one row of none.
    """
    from paylake import release

    lake = Lake(settings)
    between = "business_date between ? and ?"
    paid = f"transaction_type = 'payment' and status = 'success' and {between}"

    def totals(count: str, amount: str, table: str, where: str) -> str:
        return (
            f"select currency_code as currency, {count} as rows, sum({amount}) as amount"
            f" from {table} where {where} group by currency_code having {count} > 0 order by 1"
        )

    bronze = ("count(*)", "amount::decimal(18,4)", "bronze.raw_switch__transaction", paid)
    silver = ("count(*)", "amount", "silver.transaction", paid)
    profile = ("sum(payment_count_1d)", "payment_amount_1d", "gold.terminal_profile", between)
    mart = ("sum(payment_count)", "payment_amount", "mart_kpi__institution_day", between)
    layers = {"bronze": bronze, "silver": silver, "terminal profile": profile}
    elsewhere = f"select 1 from silver.transaction where terminal_id is null and {paid} limit 1"
    if lake.query(elsewhere, [first, last]).num_rows:
        del layers["terminal profile"]
    found = {
        name: lake.query(totals(*asked), [first, last]).to_pylist()
        for name, asked in layers.items()
    }
    with release.reader(settings) as reader:
        found[f"KPI mart, release {reader.release_id}"] = reader.query(
            totals(*mart), [first, last]
        ).to_pylist()
    none = [{"currency": None, "rows": 0, "amount": Decimal(0)}]
    return [
        {"layer": name, **row, "rows": int(row["rows"])}
        for name, rows in found.items()
        for row in rows or none
    ]


def agree(totals: list[dict[str, Any]], shown: list[dict[str, Any]]) -> bool:
    """Whether every layer holds the same payments of each currency, and the screens show those.

    :param totals: `layer_totals`.
    :param shown: the same of a screen, which may have some of the currencies alone.
    """
    layers: dict[str, dict[str | None, tuple[int, Decimal]]] = {}
    for row in totals:
        layers.setdefault(row["layer"], {})[row["currency"]] = (row["rows"], row["amount"])
    held = next(iter(layers.values()))
    return all(layer == held for layer in layers.values()) and all(
        held.get(row["currency"], (0, Decimal(0))) == (row["rows"], row["amount"])
        for row in shown
    )
