"""A service process on a home of its own, with registered merchants, a provider that sends for
them, limits, and Zipf-distributed traffic."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson

from ledger.client import LedgerClient, Signer
from ledger.registration import Person, Registration, send
from paylake import settings as settings_module
from paylake.crypto import PrivateKey
from paylake.keys import Keyring
from paylake.settings import ROOT, Settings

PROVIDER = "bench"
CLOCK = "2026-09-12T22:00:00+08:00"
AT = "2026-09-12T02:00:00Z"
ZIPF = 1.1


class Service:
    """One simulated service process.

    :param folder: its home is made here
    :param merchants: how many merchants it has
    :param database: PostgreSQL address of an empty ledger; empty: SQLite in the home
    """

    def __init__(self, folder: Path, merchants: int, port: int, database: str = "") -> None:
        self.settings: Settings = settings_module.load(
            {}, home=folder, ledger_database=database
        )
        self.environment = {**os.environ, "PAYLAKE_LEDGER_DATABASE": database}
        self.port = port
        Keyring(self.settings).ensure_demo()
        self.process: subprocess.Popen | None = None
        self.merchants = [f"M{n:05d}" for n in range(1, merchants + 1)]
        self.key = PrivateKey.generate()
        weights = [1 / (rank**ZIPF) for rank in range(1, merchants + 1)]
        total = sum(weights)
        self.weights = [weight / total for weight in weights]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the process and wait until it answers."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ledger", "serve", "--home", str(self.settings.home),
             "--port", str(self.port), "--simulated"],
            cwd=ROOT, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 120
        while True:
            try:
                httpx.get(f"{self.url}/healthz", trust_env=False, timeout=60)
                return
            except httpx.TransportError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("the ledger service did not start") from None
                time.sleep(0.05)

    def stop(self) -> None:
        """End it cleanly."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(120)
            self.process = None

    def client(self, signer: Signer | None = None) -> LedgerClient:
        """A client with the house's token, or signing."""
        if signer is not None:
            return LedgerClient(self.url, signer, timeout=300)
        token = self.settings.path("keys", "ledger.token").read_text("ascii").strip()
        return LedgerClient(self.url, token, timeout=300)

    def signer(self) -> Signer:
        """The provider that sends the payments."""
        return Signer(f"caller:{PROVIDER}", self.key)

    def register(self) -> None:
        """People, merchants, accounts, the provider, a limit on every merchant and some holds."""
        keyring = Keyring(self.settings)
        maker, checker = (
            Person(name, name, keyring.private(f"operator-{name}"))
            for name in ("maker-demo", "checker-demo")
        )
        with (
            self.client() as system, self.client(maker.signer()) as entering,
            self.client(checker.signer()) as reviewing,
        ):
            system.set_clock(datetime.fromisoformat(CLOCK))
            made = Registration(system, entering, reviewing, checker, AT)
            made.people([maker, checker])
            made.merchants([
                {
                    "merchant_id": name, "settlement_mode": "institution",
                    "settlement_cycle": "D+1", "minimum_minor": 0, "fee_choice": "bill",
                    "access_fee_minor": 0, "use_fee_minor": 0, "valid_from": "2026-09-12",
                }
                for name in self.merchants
            ], ["unionpay"], [
                {
                    "party_id": name, "bound_account": f"account of {name}", "bound_name": name,
                    "bank_code": "ICBC",
                }
                for name in self.merchants
            ])
            accounts: list[Any] = [("1001", None), ("2301", None)]
            accounts += [("2201", name) for name in self.merchants]
            for start in range(0, len(accounts), 1000):
                system.open_accounts([
                    {"account_code": code, "party_id": party, "currency_code": "CNY"}
                    for code, party in accounts[start : start + 1000]
                ])
            made.reviewed([
                self._command(
                    "caller", "caller-1", caller_id=PROVIDER, party_id=self.merchants[0],
                    public_key=self.key.public.point, on_behalf=self.merchants[:1000],
                    rates={"transaction": 10**9}, rails=["unionpay"], enabled=True,
                ),
                self._command(
                    "limit", "limit-1", limit_id="L1", scene="payment", account_code="2201",
                    currency_code="CNY", single_minor=10**9, day_minor=10**14,
                    day_count=10**9, valid_from="2026-09-12",
                ),
            ])
            send(system, [
                self._command(
                    "hold", f"hold-{name}", hold_id=f"H-{name}", hold_kind="objection",
                    account_id=f"2201:{name}", amount_minor=1000, currency_code="CNY",
                    case_number=f"C-{name}",
                )
                for name in self.merchants[:100]
            ])

    @staticmethod
    def _command(type_: str, key: str, **values: Any) -> dict[str, Any]:
        return {"type": type_, "idempotency_key": key, "occurred_at": AT, **values}


def batches(
    service: Service, first: int, count: int, size: int, hot: bool = False, legs: int = 4
) -> list[bytes]:
    """Bodies of batches of card payments with a fee, time-ordered keys, Zipf merchants.

    :param first: number of the first payment; :param hot: all to one merchant
    :param legs: 4: the fee is the institution's own; 3: the issuer keeps it
    """
    own = 22 if legs == 4 else 0
    drawn = random.Random(first)
    begin = datetime(2026, 9, 12, 2, 0, tzinfo=UTC)
    bodies = []
    for batch in range(count):
        names = (
            [service.merchants[0]] * size if hot
            else drawn.choices(service.merchants, service.weights, k=size)
        )
        commands = []
        for index, name in enumerate(names):
            number = first + batch * size + index
            at = begin + timedelta(seconds=number // 1000 % 36000)
            commands.append({
                "type": "payment", "idempotency_key": f"{PROVIDER}.b{number:012d}",
                "occurred_at": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "transaction_id": f"{PROVIDER}.T{number:012d}", "merchant_id": name,
                "amount_minor": drawn.randint(100, 100_000), "currency_code": "CNY",
                "channel": "unionpay", "issuer_fee_minor": 22 - own, "network_fee_minor": 0,
                "acquirer_fee_minor": own,
            })
        bodies.append(orjson.dumps({"commands": commands}))
    return bodies


def conserved(service: Service) -> dict[str, int]:
    """Trial balance now: journals, and debit less credit of all accounts, which must be 0.

    :raises RuntimeError: when something was lost or doubled
    """
    with service.client() as client:
        rows = client.balances()
        last = client.health()["last_sequence"]
    signs = {"asset": 1, "expense": 1}
    total = sum(
        row["balance_minor"] * signs.get(row["account_kind"], -1) for row in rows
    )
    if total:
        raise RuntimeError(f"the books do not balance: {total} minor units")
    return {"entries": last, "accounts": len(rows)}
