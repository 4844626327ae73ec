"""What the models of money share: a ledger, and beside it a list of movements and of holds that is
written by hand. A model says of each command what it would move, hold and free; here stand the
rules that all of them are under (floors, freezes, both time axes), and what must hold at each step.

Amounts of the model are credit less debit by account; an account in another currency than renminbi
has that behind a stroke (`1901/USD`).
"""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from ledger.adapters.data_files import load_operations
from ledger.adapters.tokens import ensure_demo_token
from ledger.domain.fields import utc_text
from ledger.entrypoints.operations import verify
from ledger.service import queries
from paylake import settings as settings_module
from paylake.keys import Keyring
from tests.ledger.conftest import ANN, DAY, SHANGHAI, SYSTEM, World

DEBIT_SIDE = {
    "1001", "1101", "1102", "1201", "1202", "1203", "1204", "1205", "1901", "6401", "6402",
}
#: Without a floor.
BOTTOMLESS = {"1901", "2302", "3001", "6001", "6002", "6003", "6004", "6401", "6402"}
#: Freezes whose money not even what may take pending settlement below zero takes.
KEEPS = {"authority", "banned", "evidence", "suspicious"}
#: Holds of which the money may have left already: an outsider's answer ends them, nobody else.
UNDER_WAY = {"outgoing"}

MERCHANTS = st.sampled_from(["M1", "M2"])
USERS = st.sampled_from(["U1", "U2"])
AMOUNTS = st.sampled_from([1, 50, 99, 700, 12_345]) | st.integers(1, 20_000)
FEES = st.sampled_from([0, 0, 1, 22])
#: Which of the things that there are; of none, something that is not there.
WHICH = st.integers(0, 20)
RESULTS = st.sampled_from(["succeeded", "succeeded", "failed", "unknown"])


@dataclass(frozen=True)
class Moved:
    """One journal: when it became known, its booking and value date, what it moved."""

    at: str
    day: date
    value: date
    moves: dict[str, int]


@dataclass
class Held:
    """What is left of one hold; None: the whole account."""

    kind: str
    account: str
    left: int | None
    case: str = ""
    ends: date | None = None


class Modelled(RuleBasedStateMachine):
    """A history over several dates; `set_up` opens what a model needs beside the world's."""

    #: Types that were posted, in all histories of a run.
    posted: ClassVar[set[str]] = set()

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        found = settings_module.load({}, home=Path(self.folder.name) / "home")
        Keyring(found).ensure_demo()
        ensure_demo_token(found)
        self.world = World(found)
        self.world.start()
        self.today, self.minutes = DAY, 0
        self.moved: list[Moved] = []
        self.net: Counter[str] = Counter()
        self.holds: dict[str, Held] = {}
        self.ended = 0  # holds, by their date
        self.sent: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self.set_up()

    def set_up(self) -> None:
        """Registers and accounts of the model."""

    def teardown(self) -> None:
        try:
            self.world.reopen()
            found = verify(self.world.settings)
            assert found.entries == self.world.ledger.head.sequence
            assert found.journals == len(self.moved)  # what was refused posted nothing
            rows = self.world.ledger.store.entries(1, self.world.ledger.head.sequence)
            assert sum(row[2] == "hold_expiry" for row in rows) == self.ended
            self.posted |= {"hold_expiry"} if self.ended else set()
            for account in sorted(self.net):
                self.agrees_at(account, self.today, self.moved[-1].at)
                self.agrees_at(account, DAY, self.moved[len(self.moved) // 2].at)
        finally:
            self.world.ledger.close()
            self.folder.cleanup()

    # sending

    def now(self) -> datetime:
        """The time of the next command; the clock stands there."""
        self.minutes += 1
        moment = datetime(self.today.year, self.today.month, self.today.day, 8, tzinfo=SHANGHAI)
        moment += timedelta(minutes=self.minutes)
        self.world.ledger.set_clock(moment.isoformat())
        return moment

    def name(self, of: str) -> str:
        """A new business key."""
        self.world.number += 1
        return f"{of}{self.world.number}"

    def register(self, type_: str, **values: Any) -> None:
        """What moves no money and must succeed."""
        self.posted.add(type_)
        self.world.register(type_, occurred_at=self.now().isoformat(), **values)

    def reviewed(self, type_: str, **values: Any) -> None:
        """The same, entered by Ann and approved by Ben."""
        self.posted |= {type_, "approve"}
        waits = self.world.send(type_, ANN, occurred_at=self.now().isoformat(), **values)
        done = self.world.approve(waits["sequence"], occurred_at=self.now().isoformat())
        assert done["status"] == "posted", done

    def consent(
        self, payer: str, payee: str, amount: int, currency: str = "CNY", **gets: Any
    ) -> str:
        """A payer's authorisation."""
        name = self.name("A")
        self.register(
            "authorise", authorisation_id=name, payer_id=payer, payee=payee, amount_minor=amount,
            currency_code=currency, method="password", **gets,
        )
        return name

    def post(
        self, type_: str, moves: dict[str, int] | None = None, may: bool = True, *,
        below: str = "", ends: str | None = None, part: int | None = None, answered: bool = False,
        leaves: set[str] | None = None, normal: bool = False, thawed: bool = False,
        checked: bool = False,
        back: int = 0, currency: str | None = "CNY", **values: Any,
    ) -> bool:
        """Send a command; whether the model says that it may must be what the ledger says.

        :param may: what the model says, floors and freezes apart
        :param below: code of the account that it may take below its floor
        :param ends: the hold of its own that it ends, `part` of it or the whole
        :param answered: its own hold's money may have left already, so it is booked
        :param leaves: accounts that something leaves, where a fee comes back at once
        :param normal: it wants every account that it moves to be under no freeze
        :param thawed: it is about holds itself, so no freeze of the whole account keeps it
        :param checked: Ann enters it, Ben approves
        :param back: days by which its value date is before today
        """
        moves = {account: change for account, change in (moves or {}).items() if change}
        own = self.holds.get(ends or "")
        freed = {} if own is None else {own.account: own.left if part is None else part}
        frozen = not thawed and self._frozen(
            moves if normal else (leaves or set()) | self._lowered(moves),
            freed if answered else (),
        )
        may = may and not frozen and self._floors(moves, below, freed, answered, back)
        value = self.today - timedelta(back)
        command = {
            "type": type_, "idempotency_key": self.name("k"), "occurred_at": self.now().isoformat(),
            "currency_code": currency, "value_date": value.isoformat() if back else None, **values,
        }
        command = {name: value for name, value in command.items() if value is not None}
        result = self.world.ledger.apply([command], ANN if checked else SYSTEM)[0]
        wanted = "refused" if not may else "pending" if checked else "posted"
        assert result["status"] == wanted, (command, result, may)
        assert may or result.get("journal_id") is None
        if not checked:
            self.sent.append((command, result))
        elif may:
            done = self.world.approve(result["sequence"], occurred_at=self.now().isoformat())
            assert done["status"] == "posted", (command, done)
        if may:
            self.posted.add(type_)
            self.book(moves, value)
        if may and own is not None:
            if own.left is not None:
                own.left -= freed[own.account] or 0
            if not own.left:
                del self.holds[ends]
        return may

    def book(self, moves: dict[str, int], value: date | None = None) -> None:
        """One journal of the model, at the time of the last command."""
        if moves:
            moment = datetime.fromisoformat(self.world.ledger.clock.now())
            self.moved.append(Moved(utc_text(moment), self.today, value or self.today, moves))
            self.net.update(moves)

    # the rules

    def pick(self, things: dict[str, Any] | list[str], which: int) -> str:
        """One of the things that there are."""
        return [*things][which % len(things)] if things else "nothing"

    def balance(self, account: str) -> int:
        """On its normal side."""
        return -self.net[account] if account[:4] in DEBIT_SIDE else self.net[account]

    def held(self, account: str, *kinds: str) -> int:
        """What holds keep of an account."""
        return sum(
            hold.left or 0 for hold in self.holds.values()
            if hold.account == account and (not kinds or hold.kind in kinds)
        )

    def available(self, account: str) -> int:
        return self.balance(account) - self.held(account)

    def may_hold(self, account: str, amount: int) -> bool:
        """Whether an order of a customer may keep so much."""
        return self.available(account) >= amount and not self._frozen({account}, ())

    def _lowered(self, moves: dict[str, int]) -> set[str]:
        return {a for a, change in moves.items() if (change > 0) == (a[:4] in DEBIT_SIDE)}

    def _frozen(self, accounts: Any, but: Any) -> bool:
        """Whether one of these accounts is frozen as a whole."""
        frozen = {hold.account for hold in self.holds.values() if hold.left is None}
        return bool(frozen & set(accounts) - set(but))

    def _floors(
        self, moves: dict[str, int], below: str, freed: dict[str, int], answered: bool, back: int
    ) -> bool:
        """Whether no account falls below zero, on the value date or any date since."""
        for account in self._lowered(moves):
            change, own = -abs(moves[account]), freed.get(account, 0)
            balance, held = self.balance(account), self.held(account)
            after = balance + change
            if account[:4] in BOTTOMLESS or account[:4] == below:
                kept = self.held(account, *KEEPS)
                if kept and balance > 0 and after < min(kept, balance):
                    return False
                continue
            takes_only_its_own = own + change >= 0 and (
                answered or after >= self.held(account, *UNDER_WAY)
            )
            if not takes_only_its_own and after - held + own < 0:
                return False
            side = -1 if account[:4] in DEBIT_SIDE else 1
            past = [side * self.as_of(account, self.today - timedelta(n), "9")
                    for n in range(1, back + 1)]
            if min(past, default=0) + change < 0 and back:
                return False
        return True

    def as_of(self, account: str, value: date, known: str) -> int:
        """Credit less debit on a value date, as known at a time."""
        return sum(
            m.moves.get(account, 0) for m in self.moved if m.value <= value and m.at <= known
        )

    # what happens in every history

    @rule(days=st.sampled_from([1, 1, 2, 7, 31]))
    def days_go_by(self, days):
        if self.today + timedelta(days) > date(2026, 12, 20):
            return  # the calendar of holidays ends with the year
        self.today += timedelta(days)
        self.minutes = 0
        self.consent("U1", "U2", 1)  # holds that ended since are ended by whatever comes first
        over = [n for n, hold in self.holds.items() if hold.ends and hold.ends < self.today]
        self.ended += len(over)
        for name in over:
            del self.holds[name]

    @rule()
    def checkpoint(self):
        self.world.ledger.checkpoint()

    @rule()
    def restart(self):
        self.world.reopen()

    @rule(data=st.data())
    def replay(self, data):
        if self.sent:
            command, result = data.draw(st.sampled_from(self.sent))
            assert self.world.ledger.apply([command])[0] == {**result, "replayed": True}

    @rule(data=st.data(), back=st.integers(-1, 100))
    def a_balance_on_both_axes(self, data, back):
        if self.moved:
            account = data.draw(st.sampled_from(sorted(self.net)))
            known = data.draw(st.sampled_from([m.at for m in self.moved]))
            self.agrees_at(account, self.today - timedelta(back), known)

    def agrees_at(self, account: str, value: date, known: str) -> None:
        name, _, currency = account.partition("/")
        found = queries.balance_at(
            self.world.ledger, name, currency or "CNY", value.isoformat(), known
        )
        net = self.as_of(account, value, known)
        assert found["balance_minor"] == (-net if account[:4] in DEBIT_SIDE else net), found

    @invariant()
    def accounts_agree(self):
        """Balances, holds and what is available; no floor is crossed but where it may be."""
        sums: Counter[str] = Counter()
        for account in self.world.ledger.state.all_accounts():
            name = account.account_id
            if account.currency_code != "CNY":
                name += f"/{account.currency_code}"
            assert account.balance == self.balance(name), name
            assert (account.held, account.available) == (self.held(name), self.available(name))
            if name[:4] not in (*BOTTOMLESS, "2201"):
                assert account.balance >= 0, name
            sums[account.sum_key] += account.balance * account.debit_sign
        assert set(sums.values()) == {0}  # by currency and kind of books

    @invariant()
    def holds_are_never_over(self):
        """Of each no more was captured and released than placed."""
        found = {}
        for name, hold in self.world.ledger.state.holds.items():
            left = hold["placed"] - hold["captured"] - hold["released"]
            assert left > 0 or hold["scope"] == "account"
            found[name] = (hold["kind"], None if hold["scope"] == "account" else left)
        assert found == {name: (hold.kind, hold.left) for name, hold in self.holds.items()}


def histories(model: type[Modelled], examples: int, steps: int) -> set[str]:
    """Run a model.

    :returns: the types of operations that were posted
    """
    model.posted = set()
    run_state_machine_as_test(model, settings=settings(
        max_examples=examples, stateful_step_count=steps, deadline=None,
        suppress_health_check=list(HealthCheck),
    ))
    return model.posted


def named(file: str) -> set[str]:
    """The types of operations that a model names, as texts."""
    text = Path(file).read_text("utf-8")
    return {type_ for type_ in load_operations().by_type if f'"{type_}"' in text}
