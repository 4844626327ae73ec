"""A small simulated ledger in a home of its own, in process."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from ledger.adapters.tokens import ensure_demo_token
from ledger.entrypoints.operations import open_ledger
from ledger.service.ledger import Ledger
from paylake import settings as settings_module
from paylake.keys import Keyring
from paylake.settings import Settings

SHANGHAI = timezone(timedelta(hours=8))
DAY = date(2026, 9, 12)


def at(day: date, clock: str) -> str:
    """A local time as ISO text."""
    return f"{day.isoformat()}T{clock}+08:00"


class World:
    """A ledger with helpers that say what happened in few words."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.ledger: Ledger = open_ledger(settings, simulated=True)
        self.number = 0

    def start(self, merchants: int = 2, users: int = 2) -> None:
        self.ledger.set_clock(at(DAY, "00:00:00"))
        wanted: list[tuple[str, str | None]] = [("1001", None), ("2301", None), ("2401", None)]
        for n in range(1, merchants + 1):
            wanted += [("2201", f"M{n}"), ("2202", f"M{n}")]
        wanted += [("2101", f"U{n}") for n in range(1, users + 1)]
        results = self.ledger.open_accounts([
            {"account_code": code, "party_id": party, "currency_code": "CNY"}
            for code, party in wanted
        ])
        assert {r["status"] for r in results} <= {"opened", "already_open"}
        self.ledger.set_clock(at(DAY, "22:59:59"))

    def command(self, type_: str, **values: Any) -> dict[str, Any]:
        """A command with the common fields filled in; None leaves a field out."""
        self.number += 1
        command = {
            "type": type_, "idempotency_key": f"k{self.number}", "currency_code": "CNY",
            "occurred_at": at(DAY, "10:00:00"), "amount_minor": 10000,
        }
        fixed: dict[str, dict[str, Any]] = {
            "payment": {
                "transaction_id": f"T{self.number}", "merchant_id": "M1", "channel": "unionpay",
                "issuer_fee_minor": 35, "network_fee_minor": 3, "acquirer_fee_minor": 22,
            },
            "refund": {
                "transaction_id": f"T{self.number}", "issuer_fee_minor": 0,
                "network_fee_minor": 0, "acquirer_fee_minor": 0,
            },
            "fee": {"fee_id": f"F{self.number}", "merchant_id": "M1"},
            "settlement": {"payout_id": f"S{self.number}", "merchant_id": "M1"},
            "top_up": {"top_up_id": f"I{self.number}", "user_id": "U1"},
            "withdrawal": {
                "withdrawal_id": f"W{self.number}", "user_id": "U1", "fee_minor": 0,
            },
            "dispute": {"transaction_id": f"T{self.number}"},
            "dispute_release": {"transaction_id": f"T{self.number}"},
        }
        merged = {**command, **fixed[type_], **values}
        return {name: value for name, value in merged.items() if value is not None}

    def do(self, type_: str, **values: Any) -> dict[str, Any]:
        """Post one command and give its result."""
        return self.ledger.apply([self.command(type_, **values)])[0]

    def legs(self, result: dict[str, Any]) -> list[tuple]:
        """Legs of a posted result."""
        sequence = result["sequence"]
        (row,) = self.ledger.store.journals(sequence, sequence)
        return row.legs

    def balance(self, account_id: str) -> int:
        account = self.ledger.books.get(account_id, "CNY")
        assert account is not None
        return account.balance

    def balances(self) -> dict[str, int]:
        return {a.account_id: a.balance for a in self.ledger.books.all()}

    def close(self, day: date = DAY) -> dict[str, Any]:
        self.ledger.set_clock(at(day, "23:30:00"))
        return self.ledger.close_day(day)

    def reopen(self) -> None:
        self.ledger.store.close()
        self.ledger = open_ledger(self.settings, simulated=True)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = settings_module.load({}, home=tmp_path / "home")
    Keyring(found).ensure_demo()
    ensure_demo_token(found)
    return found


@pytest.fixture
def world(settings: Settings):
    made = World(settings)
    made.start()
    yield made
    made.ledger.store.close()


@pytest.fixture
def sent_at() -> datetime:
    return datetime(2026, 9, 13, 1, 0, tzinfo=SHANGHAI)
