"""The bank test: many clients at once, the service killed at random and started again. At the end
every acknowledged command stands in the log once, nothing stands there twice, the books balance,
and `verify` passes. On both storages."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from dataclasses import dataclass, field

import pytest

from ledger.adapters.storage import open_reader
from ledger.client import LedgerClient
from ledger.entrypoints.operations import verify
from paylake import settings as settings_module
from paylake.errors import PaylakeError
from tests.ledger.postgres import Server
from tests.ledger.test_service_process import MERCHANTS, Service, free_port, trade_day

CLIENTS = 6


@dataclass
class Client:
    """One client thread: sends payments and refunds of its own, each until it is answered, and
    now and then one again that it had an answer for."""

    number: int
    url: str
    token: str
    seed: int
    stop: threading.Event
    acknowledged: dict[str, dict] = field(default_factory=dict)
    replays: int = 0

    def run(self) -> None:
        drawn = random.Random(self.seed * 1000 + self.number)
        client = LedgerClient(self.url, self.token, retries=0, timeout=10)
        sent: list[list[dict]] = []
        count = 0
        while not self.stop.is_set():
            if sent and drawn.random() < 0.1:
                batch = drawn.choice(sent)
                self.replays += 1
            else:
                batch = [self._payment(drawn, count + n) for n in range(drawn.randint(1, 20))]
                count += len(batch)
                sent.append(batch)
            while not self.stop.is_set():
                try:
                    results = client.batch(batch)
                except PaylakeError:
                    time.sleep(0.02)
                    continue
                for command, result in zip(batch, results, strict=True):
                    key = command["idempotency_key"]
                    before = self.acknowledged.setdefault(key, dict(result))
                    assert result["status"] == "posted", result
                    assert before["sequence"] == result["sequence"]
                break

    def _payment(self, drawn: random.Random, number: int) -> dict:
        name = f"C{self.number}-{number}"
        return {
            "type": "payment", "idempotency_key": name, "transaction_id": name,
            "merchant_id": f"M{drawn.randrange(MERCHANTS)}", "currency_code": "CNY",
            "amount_minor": drawn.randint(100, 10_000), "channel": "unionpay",
            "issuer_fee_minor": 0, "network_fee_minor": 0, "acquirer_fee_minor": 7,
            "occurred_at": "2026-09-12T02:00:00Z",
        }


def run_bank(tmp_path, monkeypatch, database: str, kills: int) -> None:
    seed = int(os.environ.get("PAYLAKE_TEST_SEED", random.SystemRandom().randrange(10**6)))
    drawn = random.Random(seed)
    home, port = tmp_path / "home", free_port()
    if database:
        monkeypatch.setenv("PAYLAKE_LEDGER_DATABASE", database)
    service = Service(home, port)
    trade_day(service.client(), [])
    stop = threading.Event()
    token = (home / "keys" / "ledger.token").read_text("ascii")
    clients = [
        Client(n, f"http://127.0.0.1:{port}", token, seed, stop) for n in range(CLIENTS)
    ]
    threads = [threading.Thread(target=client.run) for client in clients]
    for thread in threads:
        thread.start()
    try:
        for _ in range(kills):
            time.sleep(drawn.uniform(0.3, 1.5))
            service.end(signal.SIGKILL)
            service = Service(home, port)
            service.client()
        time.sleep(1)
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
        service.end(signal.SIGKILL)
    settings = settings_module.load(home=home)
    found = verify(settings)
    acknowledged = {
        key: result for client in clients for key, result in client.acknowledged.items()
    }
    reader = open_reader(settings)
    try:
        rows = [row for row in reader.entries(1) if row[2] == "payment"]
    finally:
        reader.close()
    stored = {row[5]: row[0] for row in rows}
    assert len(stored) == len(rows) == found.journals  # nothing twice
    lost = [key for key, result in acknowledged.items() if stored.get(key) != result["sequence"]]
    assert lost == [], f"seed {seed}: {lost[:3]}"
    assert len(acknowledged) > 100
    print(
        f"seed {seed}: {kills} kills, {len(acknowledged):,} acknowledged, {len(rows):,} stored, "
        f"{sum(client.replays for client in clients)} sent again"
    )


@pytest.mark.long
def test_bank_on_sqlite(tmp_path, monkeypatch):
    run_bank(tmp_path, monkeypatch, "", kills=12)


@pytest.mark.long
def test_bank_on_postgresql(tmp_path, monkeypatch):
    server = Server()
    try:
        run_bank(tmp_path, monkeypatch, server.database(), kills=12)
    finally:
        server.stop()
