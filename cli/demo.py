"""`make run`: a fictional institution trades, and everything that paylake does is done once.

Each step may be repeated: what is done is found done, by digests, and left alone; what is missing
or was altered is named and made again.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import click
import psutil
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cli import demo_dates, demo_reports, servers, stack
from cli.app import Context
from cli.environments import python_of
from cli.output import console, show
from paylake import dates, home, release, services
from paylake.errors import PermanentFailure
from paylake.keys import Keyring
from paylake.settings import Settings

_ONE_BY_ONE = 3
# What the fictional institution says of itself on its reports. It names nobody: who checks and
# approves signs on the empty lines.
_OF_ITSELF = {"reserve_account": "9999000000000000012", "reserve_item_owner": "资金清算部（演示）"}


@dataclass
class Steps:
    """What was done, in seconds, for the closing table."""

    rows: list[dict[str, Any]] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[dict[str, Any]]:
        row: dict[str, Any] = {"step": name, "seconds": 0.0, "result": ""}
        began = time.monotonic()
        console.print(f"[bold]{name}[/bold] …")
        try:
            yield row
        finally:
            row["seconds"] = round(time.monotonic() - began, 1)
            self.rows.append(row)
            console.print(f"  {row['result']} ({row['seconds']} s)")


class Background:
    """A piece of work beside the main one; its error is raised when it is joined."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.error: BaseException | None = None
        self.result: Any = None
        self.seconds = 0.0
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()

    def _run(self, work: Callable[[], Any]) -> None:
        began = time.monotonic()
        try:
            self.result = work()
        except BaseException as error:  # handed on by join()
            self.error = error
        self.seconds = time.monotonic() - began

    def join(self) -> Any:
        self._thread.join()
        if self.error is not None:
            raise self.error
        return self.result


@click.command()
@click.option("--screens/--no-screens", default=True,
              help="Without: no Airflow, no Superset; the last dates run by command.")
@click.option("--airflow-dates", type=click.IntRange(0, _ONE_BY_ONE), default=_ONE_BY_ONE,
              show_default=True,
              help="How many of the last three dates go through Airflow; the others of them, one "
              "by one, by command.")
@click.pass_obj
def demo(ctx: Context, screens: bool, airflow_dates: int) -> None:
    """Let the fictional institution trade, load, gate, release, report and show it all."""
    Demo(ctx.settings, with_screens=screens, airflow_dates=airflow_dates).run()


class Demo:
    """One run of the demo over a home."""

    def __init__(
        self, settings: Settings, *, with_screens: bool = True, airflow_dates: int = _ONE_BY_ONE
    ) -> None:
        from simulator.params import Params

        self.settings = settings
        self.with_screens = with_screens
        self.airflow_dates = airflow_dates if with_screens else 0
        self.params = Params.from_settings(settings)
        self.steps = Steps()
        self.began = time.monotonic()

    def run(self) -> None:
        # Before anything is made: a world that the calendar does not know to its end is refused.
        for day in self.params.dates():
            dates.next_working_day(day)
        with self.steps.step("home and keys") as row:
            home.claim(self.settings, home.Home("simulated", self.params.document()))
            Keyring(self.settings).ensure_demo()
            self.settings = with_own_settings(self.settings)
            row["result"] = str(self.settings.home)
        others = Background(self._environments) if self.with_screens else None
        with self.steps.step("ledger and engine") as row:
            row["result"] = self._up("ledger", "engine")
        self._simulate()
        screens = Background(lambda: self._screens(others)) if others else None
        days = self.params.dates()
        last = days[-_ONE_BY_ONE:]
        history = [day for day in days if day not in last]
        if history:
            self._load(history)
        self._replay(last[0])
        by_command = max(0, len(last) - self.airflow_dates)
        self._one_by_one(last[:by_command], demo_dates.ByCommand(self.settings))
        if screens:
            with self.steps.step("Airflow and Superset") as row:
                row["result"] = screens.join()
        self._one_by_one(last[by_command:], demo_dates.ThroughAirflow(self.settings))
        self._all_out(last[-1])
        with self.steps.step("report files") as row:
            row["result"] = demo_reports.file_reports(self.settings, days[0], days[-1])
        self._close(days)

    def _environments(self) -> None:
        for name in ("airflow", "superset"):
            python_of(name)

    def _up(self, *names: str) -> str:
        started = [
            f"{name} {'runs already' if seconds is None else f'up in {seconds:.1f} s'}"
            for name, seconds in stack.up(self.settings, names)
        ]
        return ", ".join(started)

    def _screens(self, environments: Background) -> str:
        import dashboards

        environments.join()
        set_up = dashboards.set_up(self.settings, python_of("superset"))
        return f"{self._up('airflow', 'superset')}; {set_up}"

    def _simulate(self) -> None:
        from ledger.client import LedgerClient
        from simulator.run import simulate

        token = self.settings.path("keys", "ledger.token").read_text("ascii").strip()
        url = f"http://127.0.0.1:{self.settings.ledger_port}"
        total = self.params.days
        with (
            self.steps.step(f"{total} business dates of trade") as row,
            _bar("dates", total) as advance,
            LedgerClient(url, token) as client,
        ):
            done = simulate(
                self.settings,
                client,
                self.params.start,
                self.params.last,
                lambda day, what: advance() if what != "answers" else None,
            )
            row["result"] = (
                f"{done.dates_made} dates made, {done.dates_found} found done, "
                f"{done.commands:,} ledger commands, {done.deliveries} deliveries"
            )

    def _load(self, days: list[date]) -> None:
        from cli import pipeline
        from paylake import runs

        # A second time, the later dates are looked after with them: all is compared by digests.
        through = release.in_force(self.settings).through
        last = days[-1] if through is None else max(days[-1], through)
        with self.steps.step(f"{days[0]} to {last} as one range") as row:
            named = _announced(pipeline.steps(self.settings, reports=False))
            result = runs.run(self.settings, days[0], last, named)
            for text in result.mended:
                console.print(f"  mended {text}", markup=False)
            if result.error is not None:
                raise result.error
            out = sum(1 for state in result.dates.values() if state == "released")
            mended = f", {len(result.mended)} mended" if result.mended else ""
            row["result"] = "nothing to do" if result.nothing else f"{out} releases{mended}"

    def _replay(self, before_run_of: date) -> None:
        """Send corrected rows again; what is right is known from outside the lake."""
        import ingestion
        from simulator import audit

        answers = audit.read_answers(self.settings)
        with self.steps.step("corrected rows") as row:
            if answers is None:
                row["result"] = "the answer file is gone: nothing is corrected"
                return
            open_rows = {
                (item.delivery_id, item.line)
                for item in ingestion.quarantine_list(self.settings, only_open=True)
            }
            sent = 0
            for problem in answers["problems"]:
                plan = problem["resolution"].get("replay")
                if not plan or (plan["delivery_id"], plan["line_number"]) not in open_rows:
                    continue
                ingestion.replay(
                    self.settings,
                    plan["delivery_id"],
                    plan["line_number"],
                    plan["corrected"],
                    date.fromisoformat(plan["business_date"]),
                    sent_at=datetime.fromisoformat(plan["sent_at"]),
                )
                sent += 1
            row["result"] = f"{sent} replayed" if sent else "nothing to do"

    def _one_by_one(self, days: list[date], way: demo_dates.Way) -> None:
        for day in days:
            with self.steps.step(f"{day} {way.name}") as row:
                if demo_dates.is_released(self.settings, day):
                    row["result"] = "nothing to do"
                    continue
                row["result"] = demo_dates.one_date(self.settings, self.params, way, day)

    def _all_out(self, last: date) -> None:
        through = release.in_force(self.settings).through
        if through != last:
            raise PermanentFailure(
                f"The last release is through {through}, not {last}",
                "`bin/paylake status` shows which date is held, and why.",
            )

    def _close(self, days: list[date]) -> None:
        import reporting
        from simulator import audit

        with self.steps.step("checks") as row:
            packages = reporting.list_packages(self.settings)
            caught = audit.problems(self.settings)
            totals = audit.totals(self.settings)
            bad = sum(p["result"] != "verified" for p in packages)
            bad += sum(not c.ok for c in caught) + sum(not t.ok for t in totals)
            row["result"] = (
                f"{len(packages)} packages verified, {len(caught)} planted problems, "
                f"{len(totals)} totals, {bad} not as they should be"
            )
        console.rule()
        show(self.steps.rows, as_json=False, title="steps")
        demo_reports.show_packages(packages)
        show(
            [{**vars(c), "ok": "yes" if c.ok else "NO"} for c in caught],
            as_json=False,
            title="planted problems, and where each was caught",
        )
        show(
            [
                {"figure": t.figure, "answer file": t.answer, "equals": beside(t.answer, t.found)}
                for t in totals
            ],
            as_json=False,
            title=f"totals {days[0]} to {days[-1]}, CNY",
        )
        self._addresses()
        if bad:
            raise PermanentFailure(
                f"{bad} checks of the demo are not as they should be", "The tables above say which."
            )

    def _addresses(self) -> None:
        if self.with_screens:
            show_logins(self.settings, airflow=True)
        memory = _memory(self.settings)
        seconds = time.monotonic() - self.began
        console.print(
            f"{seconds:.0f} s in all; servers hold {memory / 2**30:.1f} GiB; "
            "`make stop` stops them"
        )


def beside(answer: Decimal, found: Mapping[str, Decimal | None]) -> str:
    """The places that hold the answer's figure, and those that do not with what they hold."""
    return ", ".join(
        place if value == answer
        else f"NOT {place} ({'nothing' if value is None else f'{value:,}'})"
        for place, value in found.items()
    )


def with_own_settings(settings: Settings) -> Settings:
    """The settings with what the fictional institution says of itself, kept in its home's file so
    that each later command says the same. A file that is there is somebody's, and left alone."""
    file = settings.path("paylake.toml")
    if file.exists():
        return settings
    lines = [f'{name} = "{value}"' for name, value in _OF_ITSELF.items()]
    heading = "# The fictional institution's own settings, written by `make run`.\n"
    file.write_text(heading + "\n".join(lines) + "\n", "utf-8")
    said = {n: v for n, v in _OF_ITSELF.items() if settings.origin(n) == "default"}
    origins = {**settings.origins, **dict.fromkeys(said, f"file {file}")}
    return replace(settings, origins=origins, **said)


def show_logins(settings: Settings, *, airflow: bool = False) -> None:
    """Print where the screens are, with the generated demo logins."""
    logins = json.loads(settings.path("keys", "logins.json").read_text("utf-8"))
    superset = f"http://127.0.0.1:{settings.superset_port}"
    rows = [
        {"where": superset, "login": name, "password": password}
        for name, password in _passwords(logins)
    ]
    if airflow:
        rows.append(
            {
                "where": f"http://127.0.0.1:{settings.airflow_port}",
                "login": servers.AIRFLOW_USER,
                "password": servers.airflow_password(settings),
            }
        )
    show(rows, as_json=False, title="addresses (generated demo logins, this machine alone)")


def _passwords(logins: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, entry in logins.items():
        if isinstance(entry, str):
            yield name, entry
        elif isinstance(entry, dict) and "password" in entry:
            yield name, entry["password"]
        elif isinstance(entry, dict):
            yield from _passwords(entry)


def _announced(steps: dict[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """The steps, each saying that it begins: a range takes a while."""

    def announce(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(first: date, last: date, *rest: Any) -> Any:
            began = time.monotonic()
            result = call(first, last, *rest)
            console.print(f"  {name} {first} to {last}: {time.monotonic() - began:.1f} s")
            return result

        return called

    return {name: announce(name, call) for name, call in steps.items()}


@contextmanager
def _bar(what: str, total: int) -> Iterator[Callable[[], None]]:
    columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(),
               TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda: progress.advance(task)


def _memory(settings: Settings) -> int:
    """Bytes held by the home's servers and their children (proportional share where known)."""
    total = 0
    for name in services.recorded(settings):
        running = services.running(settings, name)
        process = running.process() if running else None
        for each in [process, *process.children(recursive=True)] if process else []:
            try:
                info = each.memory_full_info()
                total += getattr(info, "pss", 0) or info.rss
            except psutil.Error:
                continue
    return total


