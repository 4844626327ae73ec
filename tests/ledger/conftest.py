"""A small simulated ledger in a home of its own, in process."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import orjson
import pytest

from ledger.adapters.data_files import load_chart
from ledger.adapters.tokens import ensure_demo_token
from ledger.domain.actors import Actor
from ledger.domain.operations import Operations
from ledger.entrypoints.operations import open_ledger
from ledger.service.ledger import Ledger
from ledger.service.verify.log import Log
from paylake import settings as settings_module
from paylake.crypto import PrivateKey
from paylake.keys import Keyring
from paylake.settings import Settings

SHANGHAI = timezone(timedelta(hours=8))
DAY = date(2026, 9, 12)


def at(day: date, clock: str) -> str:
    """A local time as ISO text."""
    return f"{day.isoformat()}T{clock}+08:00"


PERSONS = ("ann", "ben")
#: A chart with other currencies beside renminbi: two decimals, none, three.
SCALES = {"CNY": 2, "JPY": 0, "USD": 2, "KWD": 3}
ANN, BEN = (Actor("operator", name) for name in PERSONS)
SYSTEM = Actor("system", "switch")


class World:
    """A ledger with helpers that say what happened in few words."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.ledger: Ledger = open_ledger(settings, simulated=True)
        self.number = 0
        self.keys = {name: PrivateKey.generate() for name in PERSONS}

    def start(self, merchants: int = 2, users: int = 2) -> None:
        """Two people with every right, registered parties, open accounts."""
        self.ledger.set_clock(at(DAY, "22:59:59"))
        self.people()
        for n in range(1, merchants + 1):
            self.merchant(f"M{n}")
        for n in range(1, users + 1):
            self.register("party", party_id=f"U{n}", party_kind="user", identity_check="ID1")
            self.register(
                "bind_account", destination_id=f"D{n}", party_id=f"U{n}",
                bound_account=f"card of U{n}", bound_name=f"name of U{n}", bank_code="ICBC",
            )
        wanted: list[tuple[str, str | None]] = [
            (code, None) for code in (
                "1001", "2301", "2401", "1101", "1102", "2701", "3001", "6001", "6002", "6003",
                "6401", "6402",
            )
        ]
        for n in range(1, merchants + 1):
            wanted += [
                (code, f"M{n}") for code in
                ("2201", "2202", "2211", "1201", "1202", "1203", "1204", "1205", "2601", "2602")
            ]
        wanted += [(code, f"U{n}") for code in ("2101", "2702") for n in range(1, users + 1)]
        self.open(wanted)

    def open(self, wanted: list[tuple[str, str | None]]) -> None:
        for start in range(0, len(wanted), 1000):
            results = self.ledger.open_accounts([
                {"account_code": code, "party_id": party, "currency_code": "CNY"}
                for code, party in wanted[start:start + 1000]
            ], SYSTEM)
            assert {r["status"] for r in results} <= {"opened", "already_open"}, results

    def open_in(self, *currencies: str, merchants: int = 2, users: int = 2) -> None:
        """The accounts of customers and of exchange, and the bank's, in further currencies."""
        codes: list[tuple[str, str | None]] = [
            (code, None) for code in ("1001", "1101", "1901", "2301", "2302", "3001", "6004")
        ]
        codes += [(code, f"M{n}") for code in ("2201", "2202") for n in range(1, merchants + 1)]
        codes += [("2101", f"U{n}") for n in range(1, users + 1)]
        for currency in currencies:
            results = self.ledger.open_accounts([
                {"account_code": code, "party_id": party, "currency_code": currency}
                for code, party in codes
            ], SYSTEM)
            assert {r["status"] for r in results} <= {"opened", "already_open"}, results

    def people(self) -> None:
        """Ann and Ben, who may enter and review everything; Ben's right to review comes last."""
        wanted: list[tuple[str, dict[str, Any]]] = []
        for name in PERSONS:
            wanted += [
                ("operator", {
                    "operator_id": name, "operator_name": name,
                    "public_key": self.keys[name].public.point, "enabled": True,
                }),
                ("membership", {"operator_id": name, "group_id": "staff", "member": True}),
            ]
        modules = sorted({
            operation.module for operation in self.ledger.operations.by_type.values()
        } - {"system", "approvals", "authority"})
        wanted += [
            ("right", {"group_id": "staff", "module": module, "duty": duty, "allowed": True})
            for module in (*modules, "authority") for duty in ("enter", "review")
        ]
        self.register_all(wanted)

    def joins(self, name: str, group: str = "staff") -> None:
        """A further person with a key of their own, in a group."""
        key = self.keys[name] = PrivateKey.generate()
        self.approved("operator", operator_id=name, operator_name=name, enabled=True,
                      public_key=key.public.point)
        self.approved("membership", operator_id=name, group_id=group, member=True)

    def merchant(self, name: str, *, bound: bool = True, **contract: Any) -> None:
        """An active merchant with a contract and a bound account."""
        self.approved("party", party_id=name, party_kind="merchant")
        self.approved("contract", **{
            "contract_id": f"C-{name}", "merchant_id": name, "settlement_mode": "institution",
            "settlement_cycle": "T+0", "minimum_minor": 0, "fee_choice": "bill",
            "access_fee_minor": 0, "use_fee_minor": 0, "valid_from": DAY.isoformat(), **contract,
        })
        if bound:
            self.bind(name)
        self.register_all([
            *(self._onboarded(name, channel) for channel in
              ("unionpay", "netsunion", "internal")),
            ("party_state", {"party_id": name, "state": "active"}),
        ])

    def bind(self, merchant: str) -> None:
        """The merchant's settlement account, by maker and checker."""
        self.approved(
            "destination", destination_id=f"S-{merchant}", party_id=merchant,
            bound_account=f"account of {merchant}", bound_name=f"name of {merchant}",
            bank_code="ICBC",
        )

    def onboard(self, merchant: str, channel: str) -> None:
        """A channel gave the merchant its parameters."""
        self.register_all([self._onboarded(merchant, channel)])

    @staticmethod
    def _onboarded(merchant: str, channel: str) -> tuple[str, dict[str, Any]]:
        return "channel_onboarded", {
            "onboarding_id": f"ON-{merchant}-{channel}", "merchant_id": merchant,
            "channel": channel, "details": {"merchant_number": f"8-{merchant}"},
        }

    def register_all(self, wanted: list[tuple[str, dict[str, Any]]]) -> None:
        """Post register commands that must succeed, in one transaction."""
        commands = [self._keyed(type_, values) for type_, values in wanted]
        for result in self.ledger.apply(commands, SYSTEM):
            assert result["status"] == "posted", result

    def register(self, type_: str, actor: Actor = SYSTEM, **values: Any) -> dict[str, Any]:
        """Post a register command that must succeed."""
        result = self.send(type_, actor, **values)
        assert result["status"] == "posted", result
        return result

    def send(self, type_: str, actor: Actor = SYSTEM, **values: Any) -> dict[str, Any]:
        """Post a command with its key and time filled in, and nothing else."""
        command = self._keyed(type_, values)
        if actor.kind == "caller":
            command = self.of(actor.id, command)
        return self.ledger.apply([command], actor)[0]

    def of(self, caller_id: str, command: dict[str, Any]) -> dict[str, Any]:
        """The command with the keys that this caller may give."""
        names = ["idempotency_key", self.ledger.operations.by_type[command["type"]].business_key]
        own = {name: f"{caller_id}.{command[name]}" for name in names if name in command}
        return {**command, **own}

    def _keyed(self, type_: str, values: dict[str, Any]) -> dict[str, Any]:
        self.number += 1
        command = {
            "type": type_, "idempotency_key": f"k{self.number}",
            "occurred_at": at(DAY, "10:00:00"), **self._usual(type_, values), **values,
        }
        return {name: value for name, value in command.items() if value is not None}

    @staticmethod
    def _usual(type_: str, values: dict[str, Any]) -> dict[str, Any]:
        """What a command of before would not have named; None leaves it out."""
        if type_ == "account_status" and values.get("status") in ("frozen", "no_debit"):
            return {"case_number": "CASE-1"}
        return {}

    def signature(self, sequence: int, person: str = "ben") -> str:
        return self.keys[person].sign(self.ledger.authority.digest(sequence)).hex()

    def approve(self, sequence: int, person: str = "ben", **values: Any) -> dict[str, Any]:
        """Ben (or another) approves what waits."""
        return self.send("approve", Actor("operator", person), **{
            "pending": sequence, "operator_id": person,
            "signature": self.signature(sequence, person), **values,
        })

    def approved(self, type_: str, **values: Any) -> dict[str, Any]:
        """Entered by Ann, approved by Ben."""
        waits = self.send(type_, ANN, **values)
        assert waits["status"] == "pending", waits
        result = self.approve(waits["sequence"])
        assert result["status"] == "posted", result
        return result

    def authorise(
        self, payer: str, payee: str, amount: int, currency: str = "CNY", **gets: Any
    ) -> str:
        """An open authorisation; of an exchange with what the payer gets for it."""
        self.number += 1
        name = f"A{self.number}"
        self.register(
            "authorise", authorisation_id=name, payer_id=payer, payee=payee,
            amount_minor=amount, currency_code=currency, method="password", **gets,
        )
        return name

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
            "fee": {
                "fee_id": f"F{self.number}", "merchant_id": "M1",
                "notice_number": f"N{self.number}",
            },
            "settlement": {
                "payout_id": f"S{self.number}", "merchant_id": "M1",
                "destination_id": f"S-{values.get('merchant_id') or 'M1'}",
            },
            "top_up": {"top_up_id": f"I{self.number}", "user_id": "U1"},
            "withdrawal": {
                "withdrawal_id": f"W{self.number}", "user_id": "U1", "fee_minor": 50,
                "destination_id": "D" + (values.get("user_id") or "U1")[1:],
            },
            "withdrawal_result": {
                "result_id": f"R{self.number}", "result": "succeeded", "amount_minor": None,
                "currency_code": None,
            },
            "withdrawal_returned": {
                "return_id": f"R{self.number}", "amount_minor": None, "currency_code": None,
            },
            "wealth_purchase_order": {
                "transaction_id": f"B{self.number}", "user_id": "U1", "product_id": "F",
            },
            "wealth_purchase_result": {
                "result_id": f"R{self.number}", "amount_minor": None, "currency_code": None,
            },
            "wealth_redemption_order": {
                "transaction_id": f"Q{self.number}", "user_id": "U1", "amount_minor": None,
                "currency_code": None,
            },
            "wealth_redemption_result": {
                "result_id": f"R{self.number}", "user_id": "U1", "currency_code": None,
            },
            "void": {
                "transaction_id": f"T{self.number}", "amount_minor": None, "currency_code": None,
            },
            "denied_payment": {
                "hold_id": f"H{self.number}", "case_number": "N", "amount_minor": None,
                "currency_code": None,
            },
            "dispute": {"transaction_id": f"T{self.number}"},
            "dispute_release": {"transaction_id": f"T{self.number}"},
        }
        merged = {**command, **fixed[type_], **values}
        return {name: value for name, value in merged.items() if value is not None}

    def do(self, type_: str, **values: Any) -> dict[str, Any]:
        """Post one command and give its result; what a user pays is authorised before."""
        command = self.command(type_, **values)
        if "authorisation" not in values and (
            type_ == "withdrawal" or command.get("channel") == "internal"
        ):
            payee = command["merchant_id"] if type_ == "payment" else command["destination_id"]
            if isinstance(command["amount_minor"], int) and "user_id" in command:
                command["authorisation"] = self.authorise(
                    command["user_id"], payee, command["amount_minor"]
                )
        return self.ledger.apply([command], SYSTEM)[0]

    def row(self, result: dict[str, Any]) -> tuple:
        """The entry of a result."""
        (row,) = self.ledger.store.entries(result["sequence"], result["sequence"])
        return row

    def legs(self, result: dict[str, Any]) -> list[tuple]:
        """Legs of a posted result: account, direction, amount, component, reference."""
        return [(leg[0], *leg[2:]) for leg in orjson.loads(self.row(result)[13])]

    def balance(self, account_id: str, currency: str = "CNY") -> int:
        account = self.ledger.state.account(account_id, currency)
        assert account is not None
        return account.balance

    def balances(self) -> dict[str, int]:
        return {a.account_id: a.balance for a in self.ledger.state.all_accounts()}

    def close(self, day: date = DAY) -> dict[str, Any]:
        self.ledger.set_clock(at(day, "23:30:00"))
        return self.ledger.close_day(day)

    @contextmanager
    def of_before(self, type_: str, version: int, **changes: Any) -> Iterator[None]:
        """Commands of a type are booked by a template of before meanwhile."""
        known = self.ledger.operations
        old = dataclasses.replace(known.by_type[type_], version=version, **changes)
        self.ledger.operations = Operations({**known.by_type, type_: old}, known.versions)
        try:
            yield
        finally:
            self.ledger.operations = known

    def reopen(self) -> None:
        self.ledger.close()
        self.ledger = open_ledger(self.settings, simulated=True)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = settings_module.load({}, home=tmp_path / "home")
    Keyring(found).ensure_demo()
    ensure_demo_token(found)
    return found


@pytest.fixture
def older_after_newer(monkeypatch: pytest.MonkeyPatch) -> None:
    """`verify` lets an older template book after a newer one: for entries of before that a test
    makes in a ledger of today."""
    monkeypatch.setattr(Log, "_older", lambda *_: None)


@pytest.fixture
def currencies(monkeypatch: pytest.MonkeyPatch) -> None:
    """The chart keeps those of :data:`SCALES`; to be asked for before the world."""
    kept = dataclasses.replace(load_chart(), currencies=SCALES)
    for place in ("ledger.entrypoints.operations", "ledger.adapters.export"):
        monkeypatch.setattr(f"{place}.load_chart", lambda: kept)


@pytest.fixture
def world(settings: Settings):
    made = World(settings)
    made.start()
    yield made
    made.ledger.close()


@pytest.fixture
def sent_at() -> datetime:
    return datetime(2026, 9, 13, 1, 0, tzinfo=SHANGHAI)
