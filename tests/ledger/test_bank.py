"""The bank test: many clients at once, the service killed at random and started again. They send
payments and partial refunds in batches, signed by SM2 one by one, and in sessions with an HMAC
each; and people freeze money and release or capture it. At the end every acknowledged command
stands in the log once, nothing stands there twice, balances and holds are what was sent, and
`verify` passes. On both storages."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter

import pytest

from ledger.adapters.storage import open_reader
from ledger.client import LedgerClient
from ledger.entrypoints.operations import open_ledger, verify
from ledger.registration import Registration
from paylake import settings as settings_module
from paylake.crypto import PrivateKey
from tests.ledger.bank_clients import Caller, Client, Desk, InSessions
from tests.ledger.postgres import Server
from tests.ledger.test_service_process import (
    CHECKER,
    MAKER,
    MERCHANTS,
    Service,
    free_port,
    trade_day,
)

#: Clients with the house's token; beside them a desk, a caller that signs, and one in sessions.
HOUSE = 3


def run_bank(tmp_path, monkeypatch, database: str, kills: int) -> None:
    seed = int(os.environ.get("PAYLAKE_TEST_SEED", random.SystemRandom().randrange(10**6)))
    drawn = random.Random(seed)
    home, port = tmp_path / "home", free_port()
    if database:
        monkeypatch.setenv("PAYLAKE_LEDGER_DATABASE", database)
    service = Service(home, port)
    house = service.client()
    trade_day(house, [])
    keys = _callers(house, {"C1": "M0", "C2": "M1"})
    stop = threading.Event()
    token = (home / "keys" / "ledger.token").read_text("ascii")
    shared = (f"http://127.0.0.1:{port}", token, str(seed), stop)
    own = [f"M{n}" for n in range(2, MERCHANTS)]
    clients: list[Client] = [
        *(Client(f"H{n}", own[n::HOUSE + 1], *shared) for n in range(HOUSE)),
        Desk("D", own[HOUSE::HOUSE + 1], *shared),
        Caller(keys["C1"], "C1", ["M0"], *shared),
        InSessions(keys["C2"], "C2", ["M1"], *shared),
    ]
    for client in clients:
        client.start()
    try:
        for _ in range(kills):
            time.sleep(drawn.uniform(0.3, 1.5))
            service.end(signal.SIGKILL)
            service = Service(home, port)
            service.client()
        time.sleep(1)
    finally:
        stop.set()
        for client in clients:
            client.join(60)
        service.end(signal.SIGKILL)
    did: Counter[str] = Counter()
    for client in clients:
        if client.failed is not None:
            raise AssertionError(f"seed {seed}, client {client.prefix}") from client.failed
        did += client.did
    uncovered = check(home, clients, f"seed {seed}")
    assert min(did[name] for name in ("payment", "refund", "hold", "approve")) > 5, did
    assert did["covers"] and len(clients[-2].acknowledged) > 10
    print(f"seed {seed}: {kills} kills, {dict(did)}, {uncovered} requests not covered")


def _callers(house: LedgerClient, parties: dict[str, str]) -> dict[str, PrivateKey]:
    """A caller for each of some merchants, by maker and checker."""
    keys = {name: PrivateKey.generate() for name in parties}
    Registration(
        house, house.as_signer(MAKER.signer()), house.as_signer(CHECKER.signer()), CHECKER,
        "2026-09-12T01:00:00Z",
    ).reviewed({
        "type": "caller", "idempotency_key": f"caller-{name}", "caller_id": name,
        "occurred_at": "2026-09-12T01:00:00Z", "party_id": party, "on_behalf": [],
        "public_key": keys[name].public.point, "rates": {"transaction": 10**6},
        "rails": ["unionpay"], "enabled": True, "cover_count": 50, "cover_seconds": 60,
    } for name, party in parties.items())
    return keys


def check(home, clients: list[Client], said: str) -> int:
    """That the log has what was acknowledged, and that it comes to what was sent.

    :returns: requests of sessions that are not covered, which is reported and no fault
    """
    settings = settings_module.load(home=home)
    found = verify(settings)
    made = {key: one for client in clients for key, one in client.made.items()}
    reader = open_reader(settings)
    try:
        rows = [row for row in reader.entries(1) if row[5] in made]
        booked = sum(row[13] != "[]" for row in reader.entries(1))
    finally:
        reader.close()
    stored = {row[5]: row[0] for row in rows}
    assert len(stored) == len(rows), said  # nothing twice
    assert {row[4] for row in rows} <= {"posted", "pending"}, said
    lost = [
        key for client in clients for key, sequence in client.acknowledged.items()
        if key in made and stored.get(key) != sequence
    ]
    assert lost == [], f"{said}: {lost[:3]}"
    moved = [made[key] for key in stored if made[key].moves]
    assert found.journals == booked == len(moved), said  # nothing else moved money
    net: Counter[str] = Counter()
    holds: Counter[str] = Counter()
    for key in stored:
        net.update(made[key].moves)
        if made[key].hold is not None:
            name, change = made[key].hold
            holds[name] += change
    ledger = open_ledger(settings, simulated=True)
    try:
        accounts = ledger.state.all_accounts()
        assert {a.account_id: a.balance * -a.debit_sign for a in accounts} == {
            a.account_id: net[a.account_id] for a in accounts
        }, said
        assert not sum(a.balance * a.debit_sign for a in accounts), said
        assert {
            name: hold["placed"] - hold["captured"] - hold["released"]
            for name, hold in ledger.state.holds.items()
        } == {name: left for name, left in holds.items() if left}, said
    finally:
        ledger.close()
    return found.uncovered_requests


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
