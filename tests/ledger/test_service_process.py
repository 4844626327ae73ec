"""The service as a process: clean stop, taken port, wrong mode, and kill -9 inside posting."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from ledger.client import LedgerClient
from ledger.entrypoints.operations import state, verify
from ledger.registration import Person, Registration
from paylake.crypto import PrivateKey
from paylake.deliveries import read_control
from paylake.errors import TransientFault
from paylake.settings import ROOT
from tests.ledger.conftest import DAY
from tests.ledger.test_export import masked

MERCHANTS = 20
BATCH = 50
MAKER, CHECKER = (Person(name, name, PrivateKey.generate()) for name in ("ann", "ben"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Service:
    """One service process of a home."""

    def __init__(self, home: Path, port: int, *options: str) -> None:
        self.home, self.port = home, port
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ledger", "serve", "--home", str(home), "--port", str(port),
             *(options or ("--simulated",))],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        )

    def client(self, token: str | None = None) -> LedgerClient:
        deadline = time.monotonic() + 60
        while True:
            assert self.process.poll() is None, self.process.stderr.read()
            assert time.monotonic() < deadline, "the service did not start"
            try:
                httpx.get(f"http://127.0.0.1:{self.port}/healthz", trust_env=False)
                break
            except httpx.TransportError:
                time.sleep(0.05)
        token = token or (self.home / "keys" / "ledger.token").read_text("ascii")
        return LedgerClient(f"http://127.0.0.1:{self.port}", token, retries=0)

    def end(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.communicate(timeout=30)
        return self.process.returncode


def commands(count: int) -> list[dict]:
    drawn = random.Random(7)
    made = []
    for number in range(count):
        gross = drawn.randint(100, 100_000)
        made.append({
            "type": "payment", "idempotency_key": f"K{number}", "transaction_id": f"T{number}",
            "merchant_id": f"M{drawn.randrange(MERCHANTS)}", "amount_minor": gross,
            "currency_code": "CNY", "channel": "unionpay", "issuer_fee_minor": gross // 300,
            "network_fee_minor": gross // 3000, "acquirer_fee_minor": gross // 500,
            "occurred_at": f"2026-09-12T02:{number // 60 % 60:02d}:{number % 60:02d}Z",
        })
    return made


def register(client: LedgerClient) -> None:
    """People and merchants; harmless when they are registered."""
    registration = Registration(
        client, client.as_signer(MAKER.signer()), client.as_signer(CHECKER.signer()), CHECKER,
        "2026-09-12T01:00:00Z",
    )
    registration.people([MAKER, CHECKER])
    registration.merchants([
        {
            "merchant_id": f"M{n}", "settlement_mode": "institution", "settlement_cycle": "D+1",
            "minimum_minor": 0, "fee_choice": "bill", "valid_from": "2026-09-12",
            "access_fee_minor": 0, "use_fee_minor": 0,
        }
        for n in range(MERCHANTS)
    ], ["unionpay"], [
        {"party_id": f"M{n}", "bound_account": f"account {n}", "bound_name": f"name {n}",
         "bank_code": "ICBC"}
        for n in range(MERCHANTS)
    ])


def trade_day(client: LedgerClient, made: list[dict], size: int = 500) -> None:
    client.set_clock(datetime(2026, 9, 12, 14, 0, tzinfo=UTC))
    register(client)
    client.open_accounts([
        {"account_code": code, "party_id": party, "currency_code": "CNY"}
        for code, party in [("1001", None), ("2301", None)]
        + [("2201", f"M{n}") for n in range(MERCHANTS)]
    ])
    for first in range(0, len(made), size):
        results = client.batch(made[first : first + size])
        assert {r["status"] for r in results} == {"posted"}


def close_and_export(client: LedgerClient, sent_at: datetime) -> dict[str, bytes]:
    client.set_clock(datetime(2026, 9, 12, 16, 0, tzinfo=UTC))
    client.close_day(DAY)
    done = client.export_day(DAY, sent_at)
    files = {}
    for path in (Path(done["journal_path"]), Path(done["balance_path"])):
        files[f"{path.parts[-3]}/control.json"] = masked(path / "control.json")
        for item in read_control(path).files:
            files[item.name] = masked(path / item.name)
    return files


def kills_and_resumes(folder: Path, sent_at: datetime, kills: int, count: int, seed: int) -> None:
    """Kill the service inside posting `kills` times, at random moments; resume; compare with a
    day that ran straight through. Signatures are drawn anew each time, so the digests of the two
    chains differ; every leg, sequence, balance and total is the same."""
    made = commands(count)
    straight = Service(folder / "straight", free_port())
    client = straight.client()
    trade_day(client, made)
    wanted = close_and_export(client, sent_at)
    assert straight.end() == 0

    drawn = random.Random(seed)
    home = folder / "killed"
    acknowledged = hits = 0
    for _ in range(kills):
        service = Service(home, free_port())
        client = service.client()
        trade_day(client, made[:acknowledged])  # everything acknowledged is asked for again
        now = threading.Event()
        delay = drawn.uniform(0.0, 0.02)

        def kill(service: Service = service, now: threading.Event = now, delay: float = delay):
            now.wait(60)
            time.sleep(delay)
            service.process.send_signal(signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        until = acknowledged + BATCH * drawn.randint(1, 10)
        try:
            while True:
                if acknowledged >= until:
                    now.set()
                results = client.batch(made[acknowledged : acknowledged + BATCH])
                assert {r["status"] for r in results} == {"posted"}
                acknowledged += BATCH
        except TransientFault:
            hits += 1
        killer.join()
        service.end(signal.SIGKILL)
        assert journals_after_kill(home) in (acknowledged, acknowledged + BATCH)
    assert hits == kills and acknowledged < count
    print(f"seed {seed}: {hits} kills inside posting, {acknowledged} commands acknowledged")
    service = Service(home, free_port())
    client = service.client()
    trade_day(client, made)
    assert close_and_export(client, sent_at) == wanted
    assert service.end() == 0


def journals_after_kill(home: Path) -> int:
    from paylake import settings as settings_module

    return verify(settings_module.load({}, home=home)).journals


def test_kill_minus_9_and_resume(tmp_path, sent_at):
    seed = random.SystemRandom().randrange(10**6)
    kills_and_resumes(tmp_path, sent_at, kills=2, count=5000, seed=seed)


@pytest.mark.long
def test_twenty_kills_and_resume(tmp_path, sent_at):
    seed = random.SystemRandom().randrange(10**6)
    kills_and_resumes(tmp_path, sent_at, kills=20, count=40_000, seed=seed)


def test_clean_stop_taken_port_and_second_writer(tmp_path):
    service = Service(tmp_path / "home", free_port())
    client = service.client()
    trade_day(client, commands(10))

    second = Service(tmp_path / "other", service.port)
    _, said = second.process.communicate(timeout=60)
    assert second.process.returncode == 14
    assert f"Port {service.port} is taken" in said and "Traceback" not in said

    writer = Service(tmp_path / "home", free_port())
    _, said = writer.process.communicate(timeout=60)
    assert writer.process.returncode == 13 and "has this ledger open" in said

    assert service.end() == 0
    assert not (tmp_path / "home" / "ledger" / "ledger.db-wal").exists()
    from paylake import settings as settings_module

    assert state(settings_module.load({}, home=tmp_path / "home")).journals == 10

    real = Service(tmp_path / "home", free_port(), "--port", str(free_port()))
    _, said = real.process.communicate(timeout=60)
    assert real.process.returncode == 2 and "demo key" in said
