"""The ledger's own run of a date: penalties on advances, shortfalls carried as receivables, what
is taken back from later cycles, payouts. Every booking is a command with a key made from date and
merchant, so that a run repeated, or taken up after a crash, books nothing twice. Anybody can guess
such a key: while somebody else holds it, the run takes a further one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from ledger.domain.account import Account
from ledger.domain.actors import LEDGER
from ledger.domain.chain import sm3
from ledger.domain.chart import MODE_OF_BOOKS
from ledger.domain.payouts import delay, owes
from ledger.domain.settling import Due, due_on, minimum, penalty
from ledger.service.faults import RequestRefused
from ledger.service.history import shown

if TYPE_CHECKING:
    from ledger.service.ledger import Ledger

_BATCH = 1000


@dataclass(slots=True)
class Ran:
    """What the run of a date did: counts by kind of booking, amounts in minor units, and the
    merchants that got nothing, each with the reason; with `type`: the booking that was left out,
    and the reason why it would have been refused."""

    date: str
    booked: dict[str, int] = field(default_factory=dict)
    amounts: dict[str, int] = field(default_factory=dict)
    not_paid: list[dict[str, Any]] = field(default_factory=list)
    old: list[dict[str, Any]] = field(default_factory=list)


def run_key(type_: str, day: date, merchant: str, currency: str) -> str:
    """The first key of what the run of a date books for a merchant: it can be booked once."""
    return f"{type_}-{day.isoformat()}-{merchant}-{currency}"


def unbooked(ledger: Ledger, wanted: Sequence[tuple[str, str]]) -> list[str | None]:
    """The key under which a run can book each; None of what a run has booked.

    A key that somebody else's entry has, as idempotency key or as business key, or that waits for
    a checker, is no booking; nor is a refusal. The next one is made from the first, and the number
    of those that are passed over: a run that is repeated finds the same. Each of these costs who
    takes it an entry of the log, and two look-ups here.

    :param wanted: type and first key of each
    """
    ledger.settle()
    store, reserved = ledger.store, ledger.state.table("reserved")
    found: list[str | None] = [None] * len(wanted)
    places, passed = list(range(len(wanted))), 0
    while places:
        keys = [_further(*wanted[place], passed) for place in places]
        rows = store.find_by_key(keys)
        taken = store.find_business_keys([key for key in keys if key not in rows])
        held = []
        for place, key in zip(places, keys, strict=True):
            row = rows.get(key)
            if row is None and key not in taken and key not in reserved:
                found[place] = key
            elif row is None or (row[2], row[4], row[7]) != (
                wanted[place][0], "posted", LEDGER.name
            ):
                held.append(place)
        places, passed = held, passed + 1
    return found


def _further(type_: str, first: str, passed: int) -> str:
    """The key after so many that are not the run's: of a length that a key may have."""
    return first if not passed else f"{type_}-{sm3(f'{first}/{passed}'.encode()).hex()[:40]}"


def _left_books(account: Account, contract: Mapping[str, Any]) -> dict[str, str]:
    """The mode of an account whose books the merchant has left: something came back to them."""
    mode = MODE_OF_BOOKS[account.line.books]
    return {} if mode == contract["settlement_mode"] else {"settlement_mode": mode}


class DayRun:
    """One run over an open ledger."""

    def __init__(self, ledger: Ledger, day: date) -> None:
        self.ledger = ledger
        self.day = day
        self.calendar = ledger.clock.calendar
        self.ran = Ran(day.isoformat())

    def run(self) -> Ran:
        """Book what is to book.

        :raises RequestRefused: `clock_not_set`, `date_closed`, `before_date`
        """
        now = self.ledger.clock.now()
        if now is None:
            raise RequestRefused("clock_not_set", "the simulated clock was never set", 409)
        today = self.ledger.clock.booking_date(now)
        if today < self.day.isoformat():
            raise RequestRefused("before_date", f"the ledger's clock is {now}", 409)
        closed = self.ledger.head.closed
        if closed is not None and self.day.isoformat() <= closed:
            raise RequestRefused("date_closed", f"{self.day} is closed", 409)
        self.ledger.end_holds_before_today()
        self._book(self._penalties(now))
        self._book(self._recovered(now))
        self._book(self._shortfalls(now))
        self._book(self._payouts(now))
        return self.ran

    def _command(self, type_: str, now: str, account: Account, amount: int, id_field: str,
                 **values: Any) -> dict[str, Any]:
        merchant, currency = account.party_id, account.currency_code
        assert merchant is not None
        key = run_key(type_, self.day, merchant, currency)
        if "settlement_mode" in values:  # beside the run of the books that the contract names
            key = f"{key}-{values['settlement_mode'][0]}"
        command = {
            "type": type_, "idempotency_key": key, id_field: key, "merchant_id": merchant,
            "amount_minor": amount, "currency_code": currency, **values,
        }
        if self.ledger.clock.simulated:
            command["occurred_at"] = now
        return command

    def _book(self, commands: Iterator[dict[str, Any]]) -> None:
        listed = list(commands)
        for start in range(0, len(listed), _BATCH):
            part = self._bookable(listed[start : start + _BATCH])
            for command, result in zip(part, self.ledger.apply(part) if part else (), strict=True):
                if result["status"] == "refused":
                    self._left_out(command, result)
                    continue
                name = command["type"]
                self.ran.booked[name] = self.ran.booked.get(name, 0) + 1
                self.ran.amounts[name] = self.ran.amounts.get(name, 0) + command["amount_minor"]

    def _bookable(self, commands: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """What this run books. What would be refused (a stop, an account's status, its floor) is
        listed and not sent: its refusal would keep the key, and a run after the cause is gone would
        have to take a further one. The others go on (rule D2.10)."""
        keys = unbooked(self.ledger, [(c["type"], c["idempotency_key"]) for c in commands])
        wanted = []
        for command, key in zip(commands, keys, strict=True):
            if key is not None:  # idempotency key and business key are the same
                first = command["idempotency_key"]
                wanted.append({
                    name: key if value == first else value for name, value in command.items()
                })
        kept = []
        for command, result in zip(
            wanted, self.ledger.dry_run(wanted) if wanted else (), strict=True
        ):
            if result["status"] == "refused":
                self._left_out(command, result)
            else:
                kept.append(command)
        return kept

    def _left_out(self, command: Mapping[str, Any], result: Mapping[str, Any]) -> None:
        self.ran.not_paid.append({
            "merchant_id": command["merchant_id"], "type": command["type"],
            "due_minor": command["amount_minor"], "reason": result["reason"],
        })

    def _accounts(self, code: str | None) -> list[Account]:
        return [
            account for account in self.ledger.state.all_accounts()
            if (account.line.settles if code is None else account.code == code)
            and account.party_id is not None
        ]

    def _penalties(self, now: str) -> Iterator[dict[str, Any]]:
        """1 % a calendar day on what is unpaid at its start, from the day after the advance
        (rule D0.21)."""
        before = (self.day - timedelta(1)).isoformat()
        for account in self._accounts("1202"):
            at_start = shown(
                self.ledger.history.balance(
                    self.ledger.store, account.account_id, account.currency_code, before, now
                ), account.line.normal_side,
            )
            amount = penalty(at_start) if at_start > 0 else 0
            if amount:
                yield self._command("penalty", now, account, amount, "movement_id")

    def _due(self, account: Account, contract: Mapping[str, Any], least: int) -> Due:
        return due_on(
            account, contract["settlement_cycle"], least, self.day, self.calendar,
            delay(self.ledger.state, account, self.day.isoformat()),
            self.ledger.state.instructed.get((account.account_id, account.currency_code), 0),
        )

    def _recovered(self, now: str) -> Iterator[dict[str, Any]]:
        """A receivable of a negative net is taken first from the next cycles (rule D0.9)."""
        for account in self._accounts("2201"):
            assert account.party_id is not None
            owed = owes(self.ledger.state, account)
            contract = self.ledger.state.contract(account.party_id, self.day.isoformat())
            if not owed or contract is None:
                continue
            found = self._due(account, contract, 0)
            amount = min(found.payable, owed)
            if amount > 0:
                yield self._command(
                    "offset", now, account, amount, "movement_id", claim="1201",
                    notice_number=f"N-{self.day.isoformat()}", **_left_books(account, contract),
                )

    def _shortfalls(self, now: str) -> Iterator[dict[str, Any]]:
        """Refunds, fees and deductions above gross: nothing is paid, the shortfall becomes a
        receivable, with a notice (rule D0.9)."""
        for account in self._accounts("2201"):
            if account.balance < 0:
                yield self._command(
                    "shortfall", now, account, -account.balance, "movement_id",
                    notice_number=f"N-{self.day.isoformat()}",
                )

    def _payouts(self, now: str) -> Iterator[dict[str, Any]]:
        """What is due goes to the merchant's bound account; without one it stays pending and is
        listed (rule D0.42). Of self-managed money the books alone move (rule D0.5)."""
        bound = {
            document["party_id"]: {"destination_id": name}
            for name, document in self.ledger.state.table("destination").items()
        }
        for account in self._accounts(None):
            assert account.party_id is not None
            contract = self.ledger.state.contract(account.party_id, self.day.isoformat())
            if contract is None:
                continue
            least = minimum(
                contract, self.ledger.state.get("party", account.party_id),
                account.currency_code, self.ledger.chart.base_currency,
            )
            found = self._due(account, contract, least)
            if found.old:
                self.ran.old.append({
                    "account_id": account.account_id, "dates": list(found.old),
                })
            reason = found.reason
            if found.payable and owes(self.ledger.state, account):
                reason = "owed"
            elif found.payable and account.party_id not in bound and (
                contract["settlement_mode"] != "self"
            ):
                reason = "destination_unknown"
            if reason is None:
                yield self._command(
                    "settlement", now, account, found.payable, "payout_id",
                    **bound.get(account.party_id, {}), **_left_books(account, contract),
                )
            elif reason != "nothing_due":
                self.ran.not_paid.append({
                    "account_id": account.account_id, "due_minor": found.due, "reason": reason,
                })
