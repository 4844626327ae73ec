"""Against the real ledger over HTTP: books agree, resuming changes nothing, feeds are there."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace

import duckdb
import httpx
import orjson
import pytest

from ledger.client import LedgerClient
from paylake import settings as settings_module
from paylake.deliveries import read_control
from paylake.errors import PermanentFailure, UsageFault
from paylake.keys import Keyring
from simulator import answers, bulk
from simulator.outbox import outbox
from simulator.params import Params
from simulator.plan import Plan
from simulator.run import simulate
from simulator.world import World

ROOT = Path(__file__).resolve().parents[2]
START, DAYS = date(2026, 9, 26), 8
FEEDS = {*bulk.FEEDS, "ledger_event"}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Service:
    """A simulated ledger service of one home."""

    def __init__(self, home: Path) -> None:
        self.settings = settings_module.load(
            {}, home=home, ledger_port=free_port(), start=START.isoformat(), days=DAYS,
            merchants=30, terminals=40, txns=250, seed=11,
        )
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ledger", "serve", "--home", str(home), "--port",
             str(self.settings.ledger_port), "--simulated"],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        try:
            self._wait()
            token = (home / "keys" / "ledger.token").read_text("ascii").strip()
        except BaseException:
            self.process.kill()
            raise
        self.client = LedgerClient(self.address, token)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.settings.ledger_port}"

    def _wait(self) -> None:
        for _ in range(300):
            try:
                if httpx.get(f"{self.address}/healthz", trust_env=False).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
        raise TimeoutError("the ledger service did not start")

    def stop(self) -> None:
        self.client.close()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)


@pytest.fixture(scope="module")
def traded(tmp_path_factory):
    """A home after all dates were simulated without a break."""
    service = Service(tmp_path_factory.mktemp("whole"))
    done = simulate(service.settings, service.client, START, START + timedelta(days=DAYS - 1))
    yield service, done
    service.stop()


def files_of(home: Path) -> dict[str, bytes]:
    """Every delivered file. Signatures are random, so the ledger's chain, whose entries hold them,
    differs between two homes: its digests are masked, and with them the journal file's own; so are
    the signed heads, which name it, and the bytes that their signatures take."""
    inbox = home / "landing" / "inbox"
    found = {}
    for path in sorted(inbox.rglob("*")):
        if path.is_file() and path.suffix != ".sig":
            content = path.read_bytes()
            if "ledger_journal" in path.parts:
                content = re.sub(rb'"(chain_digest|sm3)":\s*"[0-9a-f]{64}"', rb'"\1":""', content)
            if "ledger_head" in path.parts:
                content = re.sub(rb"[0-9a-f]{64,}|\"bytes\": [0-9]+", b"-", content)
            found[str(path.relative_to(inbox))] = content
    return found


def test_everything_is_sent_signed_and_noted(traded):
    service, done = traded
    assert done.dates_made == DAYS and done.commands > 1_500
    noted = orjson.loads(answers.answers_path(service.settings).read_bytes())
    trust = Keyring(service.settings).trust()
    inbox = service.settings.path("landing", "inbox")
    assert {p.name for p in inbox.iterdir()} == FEEDS
    checked = 0
    for entry in noted["dates"].values():
        for delivery in entry["deliveries"]:
            folder = inbox / delivery["delivery_id"]
            control = read_control(folder)
            raw = (folder / "control.json").read_bytes()
            assert trust[control.key_id].public.verify(
                raw, (folder / "control.json.sig").read_bytes()
            )
            assert control.rows == delivery["rows"]
            whole = (folder / control.files[0].name).stat().st_size == control.files[0].bytes
            assert whole is (delivery["planted"] != "truncated_file")
            assert trust[control.key_id].may_sign(control.feed) is (
                delivery["planted"] != "wrong_key"
            )
            checked += 1
    assert checked >= DAYS * 4


def test_ledger_agrees_with_the_answer_file(traded):
    service, _ = traded
    noted = orjson.loads(answers.answers_path(service.settings).read_bytes())
    for day, entry in noted["dates"].items():
        head = service.client.day(date.fromisoformat(day))
        closing = {
            line["account_code"]: f"{line['closing_minor'] // 100}."
                                  f"{line['closing_minor'] % 100:02d}"
            for line in head["trial_balance"]
        }
        assert closing == {k: v for k, v in entry["ledger"]["balances"].items() if k in closing}
        assert head["journals"] == entry["ledger"]["journal_count"]


def test_a_second_call_does_nothing(traded):
    service, _ = traded
    before = files_of(service.settings.home)
    done = simulate(service.settings, service.client, START, START + timedelta(days=DAYS - 1))
    assert (done.dates_made, done.commands, done.deliveries) == (0, 0, 0)
    assert files_of(service.settings.home) == before


def test_a_lost_delivery_is_sent_again(traded):
    service, _ = traded
    before = files_of(service.settings.home)
    for feed in ("merchant", "ledger_journal"):
        folder = service.settings.path("landing", "inbox", feed, START.isoformat(), "1")
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    simulate(service.settings, service.client, START, START)
    assert files_of(service.settings.home) == before


def test_a_date_of_an_older_program_gets_its_younger_feeds_while_it_is_open(traded, monkeypatch):
    service, _ = traded
    before = files_of(service.settings.home)
    marker = service.settings.path("simulator", "dates", f"{START}.json")
    written = marker.read_bytes()
    old = orjson.loads(written)
    del old["ledger_feeds"]
    marker.write_bytes(orjson.dumps(old))
    younger = [
        service.settings.path("landing", "inbox", feed, START.isoformat(), "1")
        for feed in ("ledger_head", "ledger_event")
    ]
    for folder in younger:
        shutil.rmtree(folder)
    with monkeypatch.context() as released:  # nothing more is taken for it, so nothing is sent
        released.setattr(
            "simulator.run.release.in_force", lambda _: SimpleNamespace(through=START)
        )
        simulate(service.settings, service.client, START, START)
        assert not any(folder.exists() for folder in younger)
    simulate(service.settings, service.client, START, START)
    assert files_of(service.settings.home) == before
    marker.write_bytes(written)


class Cut(Exception):
    """The connection to the ledger breaks."""


class Breaking:
    """A client that breaks at its n-th call."""

    def __init__(self, client: LedgerClient, calls: int) -> None:
        self.client, self.left = client, calls

    def __getattr__(self, name: str):
        self.left -= 1
        if self.left < 0:
            raise Cut
        return getattr(self.client, name)


@pytest.mark.long
def test_resuming_gives_the_same_feeds(traded, tmp_path):
    service, _ = traded
    other = Service(tmp_path)
    last, breaks = START + timedelta(days=1), 0
    try:
        for calls in range(1, 60):
            try:
                simulate(other.settings, Breaking(other.client, calls), START, last)
                break
            except Cut:
                breaks += 1
        simulate(other.settings, other.client, START, START + timedelta(days=DAYS - 1))
        assert breaks > 5
        assert files_of(other.settings.home) == files_of(service.settings.home)
        assert answers.answers_path(other.settings).read_bytes() == (
            answers.answers_path(service.settings).read_bytes()
        )
    finally:
        other.stop()


def test_other_parameters_in_the_same_home_are_refused(traded):
    service, _ = traded
    with pytest.raises(PermanentFailure, match="seed"):
        simulate(replace(service.settings, seed=12), service.client, START, START)
    with pytest.raises(UsageFault, match="not inside"):
        simulate(service.settings, service.client, START - timedelta(days=1), START)
    with pytest.raises(UsageFault, match="23:00"):
        simulate(replace(service.settings, cutoff="00:00"), service.client, START, START)


def test_bulk_journal_and_balances_are_what_the_ledger_exports(traded, tmp_path):
    """The ledger bypassed: same legs, same balances, only the chain is not the ledger's."""
    service, _ = traded
    params = Params.from_settings(service.settings)
    world = World(params)
    books = bulk._Books()
    for day in params.dates():
        made = world.day(day)
        lines = bulk.journal.legs(made.operations)
        ours = bulk.journal_table(world, made, lines, books).drop(
            ["chain_digest", "chain_sequence"]
        ).to_pylist()
        folder = service.settings.path("landing", "inbox", "ledger_journal", day.isoformat(), "1")
        theirs = [
            orjson.loads(line)
            for line in next(folder.glob("*.jsonl")).read_bytes().splitlines()
        ]
        for line in theirs:
            del line["chain_digest"], line["chain_sequence"]
        assert ours == theirs and ours
        path = tmp_path / f"{day}.csv"
        bulk.write_csv(bulk.balance_table(world, lines, books), path, "utf-8")
        exported = next(service.settings.path(
            "landing", "inbox", "ledger_balance", day.isoformat(), "1"
        ).glob("*.csv")).read_text().splitlines()
        written = [line for line in path.read_text().splitlines() if not line.startswith("2401")]
        assert [line for line in exported if not line.startswith("2401")] == written


def test_bulk_writes_every_feed(tmp_path):
    settings = settings_module.load({}, home=tmp_path)
    written = bulk.write_feeds(settings, START, 2, 400, merchants=20, terminals=30, seed=3)
    assert set(written.rows) == set(bulk.FEEDS) and min(written.rows.values()) > 0
    params = Params(START, 2, 20, 30, 400, 3)
    world = World(params, Plan({}, {}))
    sending = next(s for s in outbox(world, START).sendings if s.feed == "transaction")
    path = tmp_path / "landing/inbox/transaction" / START.isoformat() / "1" / sending.name
    assert path.read_bytes() == sending.content
    control = read_control(path.parent)
    assert control.amount_totals == sending.totals and control.rows == sending.rows
    journal = tmp_path / "landing/inbox/ledger_journal" / START.isoformat() / "1"
    minor = duckdb.sql(
        f"select sum(amount_minor)::bigint from read_json('{journal}/*.jsonl')"
    ).fetchone()[0]
    assert read_control(journal).amount_totals["CNY"] * 100 == minor
    assert b"bypassed" in (tmp_path / "simulator" / "bulk.json").read_bytes()


def test_summarised_journal_has_the_sums_of_the_whole_one(tmp_path):
    """Per own account, reference, component and side: the rest of a bulk history needs no more."""
    params = Params(START, 1, 20, 30, 400, 3)
    sums = []
    for name, summarised in (("whole", ()), ("short", (START,))):
        settings = settings_module.load({}, home=tmp_path / name)
        [(day, written)] = bulk.write_days(settings, params, summarised=summarised)
        folder = settings.path("landing", "inbox", "ledger_journal", day.isoformat(), "1")
        assert read_control(folder).rows == written.rows["ledger_journal"]
        sums.append(duckdb.sql(
            "select account_id, custodian_reference, component, journal_type, direction, "
            f"sum(amount_minor) from read_json('{folder}/*.jsonl') "
            "where account_code in ('1001', '2301') group by all order by all"
        ).fetchall())
    assert sums[0] == sums[1] and len(sums[0]) > 3
