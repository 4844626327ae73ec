"""The clients of the bank test: each sends until it is answered, again after every kill, and writes
down what it sent, what that moves if it is posted, and what it had an answer for."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ledger.client import LedgerClient, LedgerRefusal, Signer
from ledger.client.session import LedgerSession
from paylake.crypto import PrivateKey
from paylake.errors import PaylakeError
from tests.ledger.test_service_process import CHECKER, MAKER

FEE = 7
#: What a request may be refused with as a whole, because the service was killed: its session is
#: gone, or its number was counted before the answer was lost.
OF_A_KILL = {"session_unknown", "request_replayed"}


@dataclass
class Made:
    """A command, and what it moves: credit less debit by account, and what is left of a hold."""

    command: dict[str, Any]
    moves: dict[str, int]
    hold: tuple[str, int] | None = None


@dataclass
class Payment:
    merchant: str
    amount: int
    refunded: int = 0
    fee_back: int = 0


class Client(threading.Thread):
    """One client with merchants that nobody else pays, and the house's token.

    :param prefix: of its keys
    """

    def __init__(
        self, prefix: str, merchants: list[str], url: str, token: str, seed: str,
        stop: threading.Event,
    ) -> None:
        super().__init__(name=prefix)
        self.prefix, self.merchants, self.url = prefix, merchants, url
        self.stop_event = stop
        self.drawn = random.Random(seed + prefix)
        self.house = LedgerClient(url, token, retries=0, timeout=10)
        self.made: dict[str, Made] = {}
        self.acknowledged: dict[str, int] = {}
        self.payments: dict[str, Payment] = {}
        self.sent: list[list[dict[str, Any]]] = []
        self.did: Counter[str] = Counter()
        self.failed: BaseException | None = None
        self.number = 0

    def run(self) -> None:
        try:
            while not self.stop_event.is_set():
                self.step()
        except BaseException as error:  # a thread's own would be lost
            self.failed = error

    def step(self) -> None:
        """One batch: payments, refunds of parts of earlier ones, or a batch sent again."""
        if self.sent and self.drawn.random() < 0.1:
            self.did["sent again"] += 1
            batch = self.drawn.choice(self.sent)
        else:
            batch = [self.next() for _ in range(self.drawn.randint(1, 20))]
            self.sent.append(batch)
        self.deliver(lambda: self.house.batch(batch), batch)

    # what is sent

    def make(
        self, type_: str, moves: dict[str, int], hold: tuple[str, int] | None = None,
        **values: Any,
    ) -> dict[str, Any]:
        self.number += 1
        command = {
            "type": type_, "idempotency_key": f"{self.prefix}.k{self.number}",
            "occurred_at": "2026-09-12T02:00:00Z", **values,
        }
        self.made[command["idempotency_key"]] = Made(command, moves, hold)
        return command

    def next(self) -> dict[str, Any]:
        """A payment; one time in three a refund of a part of one that has its answer."""
        answered = [
            name for name, payment in self.payments.items()
            if f"{name}/paid" in self.acknowledged and payment.refunded < payment.amount
        ] if self.drawn.random() < 0.33 else []
        return self.refund(self.drawn.choice(answered)) if answered else self.payment()

    def payment(self) -> dict[str, Any]:
        merchant, amount = self.drawn.choice(self.merchants), self.drawn.randint(100, 10_000)
        name = f"{self.prefix}.P{self.number + 1}"
        self.payments[name] = Payment(merchant, amount)
        return self.make(
            "payment", {"1001": -amount, f"2201:{merchant}": amount - FEE, "2301": FEE},
            transaction_id=name, merchant_id=merchant, currency_code="CNY", amount_minor=amount,
            channel="unionpay", issuer_fee_minor=0, network_fee_minor=0, acquirer_fee_minor=FEE,
        )

    def refund(self, name: str) -> dict[str, Any]:
        payment = self.payments[name]
        left = payment.amount - payment.refunded
        amount = left if self.drawn.random() < 0.2 else self.drawn.randint(1, left)
        payment.refunded += amount
        back = (2 * FEE * payment.refunded + payment.amount) // (2 * payment.amount)
        back -= payment.fee_back
        payment.fee_back += back
        return self.make(
            "refund",
            {"1001": amount, f"2201:{payment.merchant}": back - amount, "2301": -back},
            transaction_id=f"{self.prefix}.R{self.number + 1}", original_transaction_id=name,
            currency_code="CNY", amount_minor=amount, issuer_fee_minor=0, network_fee_minor=0,
            acquirer_fee_minor=back,
        )

    # until it is answered

    def until_answered(self, ask: Callable[[], Any]) -> Any:
        """None when the test is over before."""
        while not self.stop_event.is_set():
            try:
                return ask()
            except LedgerRefusal as refusal:
                if refusal.reason not in OF_A_KILL:
                    raise
                self.lost()
            except PaylakeError:
                self.lost()
                time.sleep(0.02)
        return None

    def lost(self) -> None:
        """A request had no answer."""

    def deliver(
        self, ask: Callable[[], list[Any]], commands: list[dict[str, Any]],
        status: str = "posted",
    ) -> list[Any] | None:
        results = self.until_answered(ask)
        for command, result in zip(commands, results or (), strict=bool(results)):
            key = command["idempotency_key"]
            assert result["status"] == status, (command, result)
            before = self.acknowledged.setdefault(key, result["sequence"])
            assert before == result["sequence"], (command, result)
            self.did[command["type"]] += 1
            if command["type"] == "payment":
                self.acknowledged[f"{command['transaction_id']}/paid"] = before
        return results

    def deliver_one(self, client: LedgerClient, command: dict[str, Any], status: str = "posted"):
        found = self.deliver(lambda: [client.command(command)], [command], status)
        return found and found[0]


class Desk(Client):
    """Freezes money of its merchants, and by two people releases or captures parts of it."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.maker = self.house.as_signer(MAKER.signer())
        self.checker = self.house.as_signer(CHECKER.signer())

    def step(self) -> None:
        payment = self.payment()
        self.deliver_one(self.house, payment)
        merchant = payment["merchant_id"]
        amount = payment["amount_minor"] - FEE
        name = f"{self.prefix}.H{self.number}"
        self.deliver_one(self.house, self.make(
            "hold", {}, (name, amount), hold_id=name, hold_kind="suspicious", case_number=name,
            account_id=f"2201:{merchant}", currency_code="CNY", amount_minor=amount,
        ))
        for part in (self.drawn.randint(1, amount // 2), self.drawn.randint(1, amount // 3)):
            self.ends(name, f"2201:{merchant}", part, self.drawn.random() < 0.5)

    def ends(self, hold: str, account: str, part: int, captured: bool) -> None:
        """What waits moves nothing: its approval does."""
        entered = self.make(
            "hold_capture" if captured else "hold_release", {},
            result_id=f"{self.prefix}.E{self.number}", hold_id=hold, case_number=hold,
            amount_minor=part, **({"to_account_id": "1001"} if captured else {}),
        )
        waits = self.deliver_one(self.maker, entered, "pending")
        listed = self.until_answered(self.house.pending)
        if not waits or not listed:
            return
        (digest,) = (row["digest"] for row in listed if row["sequence"] == waits["sequence"])
        approval = self.make(
            "approve", {account: -part, "1001": part} if captured else {}, (hold, -part),
            pending=waits["sequence"], operator_id=CHECKER.operator_id,
            signature=CHECKER.key.sign(bytes.fromhex(digest)).hex(),
        )
        self.deliver_one(self.checker, approval)


class Caller(Client):
    """A merchant's own system: single commands, each signed by SM2."""

    def __init__(self, key: PrivateKey, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.signed = self.house.as_signer(Signer(f"caller:{self.prefix}", key))

    def step(self) -> None:
        self.deliver_one(self.signed, self.next())


class InSessions(Caller):
    """The same in sessions: an HMAC each, covered every so often. One that a kill ended is covered
    as far as its requests had answers; whether the last was counted is not known, so it stays
    uncovered."""

    session: LedgerSession | None = None
    ended: LedgerSession | None = None

    def step(self) -> None:
        command = self.next()
        self.deliver(lambda: [self.in_session(command)], [command])

    def in_session(self, command: dict[str, Any]) -> Any:
        if self.session is None:
            self.cover_what_ended()
            self.session = self.signed.session(cover_count=10)
            self.did["sessions"] += 1
        covered = self.session.session.covered
        result = self.session.command(command)
        self.did["covers"] += self.session.session.covered > covered
        return result

    def cover_what_ended(self) -> None:
        if self.ended is not None and self.ended.session.digests:
            try:
                self.ended.cover()  # without an answer it is tried again
                self.did["covers afterwards"] += 1
            except LedgerRefusal as refusal:
                self.did[f"{refusal.reason} of a cover"] += 1
        self.ended = None

    def lost(self) -> None:
        if self.session is not None and self.session.session.digests:
            self.session.session.digests.pop()
            self.session.session.number -= 1
            self.ended = self.session
        self.session = None
