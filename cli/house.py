"""Commands about the house itself: settings, servers, what is missing, copies."""

from __future__ import annotations

import shutil
import sys
from dataclasses import fields
from typing import Any

import click

from cli.app import Context
from cli.options import as_json
from cli.output import console, show
from paylake.settings import describe


@click.command()
@as_json
@click.option("--contracts", is_flag=True, help="List feeds and tables instead.")
@click.pass_obj
def settings(ctx: Context, as_json: bool, contracts: bool) -> None:
    """Print every setting with its value and where it came from."""
    if contracts:
        from paylake.contracts import all_contracts

        rows = [
            {"name": c.name, "kind": c.kind, "table": f"{c.layer}.{c.table}", "is": c.description}
            for c in all_contracts()
        ]
        show(rows, as_json=as_json)
        return
    loaded = ctx.settings
    about = {name: text for name, text, _ in describe()}
    rows = [
        {
            "setting": field.name,
            "value": loaded.shown(field.name),
            "origin": loaded.origin(field.name),
            "variable": f"PAYLAKE_{field.name.upper()}",
            "about": about[field.name],
        }
        for field in fields(loaded)
        if field.name != "origins"
    ]
    show(rows, as_json=as_json)


@click.command()
@click.argument("names", nargs=-1)
@click.pass_obj
def up(ctx: Context, names: tuple[str, ...]) -> None:
    """Start the home's servers (ledger, engine, airflow, superset), or those named."""
    from cli import stack

    for name, seconds in stack.up(ctx.settings, names):
        told = "runs already" if seconds is None else f"up in {seconds:.1f} s"
        console.print(f"{name}: {told}")


@click.command()
@click.argument("names", nargs=-1)
@click.pass_obj
def down(ctx: Context, names: tuple[str, ...]) -> None:
    """Stop the servers that were started for this home, and nothing else."""
    from paylake import services

    recorded = services.recorded(ctx.settings)
    for name in names or recorded:
        stopped = services.stop(ctx.settings, name)
        console.print(f"{name}: {'stopped' if stopped else 'was not running'}")
    if not names and not recorded:
        console.print("nothing was running")


def _checks(ctx: Context) -> list[dict[str, Any]]:
    from paylake import engine
    from paylake.errors import PaylakeError
    from paylake.store import in_object_store, store

    rows: list[dict[str, Any]] = []

    def check(name: str, ok: bool, found: str, get: str) -> None:
        said = "yes" if ok else "NO"
        rows.append({"what": name, "ok": said, "found": found, "how to get it": get})

    version = sys.version.split()[0]
    check("Python 3.11 or 3.12", sys.version_info[:2] in ((3, 11), (3, 12)), version, "")
    for name, package in (
        ("openssl", "openssl"),
        ("chromium", "chromium"),
        ("chromedriver", "chromium-driver"),
    ):
        path = shutil.which(name)
        check(name, bool(path), path or "—", f"apt-get install {package} (for checks and pictures)")
    try:
        elsewhere = ctx.settings.engine.startswith("sc://")
        if elsewhere and engine.listens(*engine.address(ctx.settings)):
            check(f"engine {ctx.settings.engine}", True, "answers", "")
        else:
            engine.server_command(ctx.settings, ctx.settings.engine_port)
            check(f"engine {ctx.settings.engine}", True, "can start", "")
    except PaylakeError as error:
        check(f"engine {ctx.settings.engine}", False, error.what, error.next_step)
    if in_object_store(ctx.settings):
        try:
            store(ctx.settings).make("ops", "delivery")
            check(f"lake {ctx.settings.lake}", True, "the bucket answers", "")
        except PaylakeError as error:
            check(f"lake {ctx.settings.lake}", False, error.what, error.next_step)
    home = ctx.settings.home
    probe = home if home.exists() else home.parent
    while not probe.exists():
        probe = probe.parent
    free = shutil.disk_usage(probe).free / 1e9
    check("disk, 10 GB", free > 10, f"{free:.0f} GB free", "free some space")
    return rows


@click.command()
@as_json
@click.option("--fetch-jars", is_flag=True, help="Fetch Apache Spark's jars for Delta (and S3).")
@click.pass_obj
def doctor(ctx: Context, as_json: bool, fetch_jars: bool) -> None:
    """Say what is missing on this machine and how to get it."""
    if fetch_jars:
        from paylake import spark_runtime

        spark_runtime.fetch_jars(ctx.settings)
    rows = _checks(ctx)
    show(rows, as_json=as_json)
    if any(row["ok"] == "NO" for row in rows):
        raise click.exceptions.Exit(14)
