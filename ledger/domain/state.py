"""Everything that the ledger knows, in memory: what the entries of the log have made of it.

The log is the truth; this is its fold. Live posting and replay at start change it by the same two
functions, :meth:`State.post` (legs) and :meth:`State.change` (effects), and each change can be
taken back until :meth:`State.keep` is called, so that a linked group or a batch whose storage
failed leaves no trace.

Effects are lists, as they stand in an entry:

- `["put", table, key, document]`: a register's document; null drops it
- `["open", account id, currency, document]`, `["account", account id, currency, changes]`
- `["hold", hold id, document]`
- `["item", business key, counters]`: what later commands did to an original, all counters
- `["use", scene, account id, currency, amount]`: counts against limits; a sixth item, where a
  limit bounds batches, is the batch that it is of: the sequence of the batch's first entry
- `["dated", account id, currency, date, amount]`: that much of what the entry brought to a claim is
  of another date;
- `["quiet", account id, currency, payment, amount]`: that much of a settlement account rests for
  the quiet days of a payment; a negative amount ends the rest; a sixth item, since version 4 of
  `dispute`, is how all that rests of the payment goes on: `open` while a dispute on it is, `ended`
  from now on for the quiet days, a date: through it, as before
- `["position", sold currency, bought currency, sold, bought]`: :mod:`ledger.domain.positions`
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from typing import Any, Final

from ledger.domain import buckets
from ledger.domain.account import Account, Used
from ledger.domain.chart import Chart
from ledger.domain.holds import left
from ledger.domain.limits import Limit, bounds_batch, in_force
from ledger.domain.positions import TABLE as POSITIONS
from ledger.domain.positions import after, pair
from ledger.domain.undo import MISSING, Undo

#: Registers of what is used up: whether a party may do something does not depend on them.
_USED_UP: Final = frozenset({
    "authorisation", "collected", "collected_last", "collected_until", "pending", "reconciled",
    "reconciliation", "reconciliation_closing", "reconciliation_item", "reserved",
})
_MOST_STANDING = 50_000
#: Component of the legs that pay pending settlement out.
PAYOUT: Final = "payout"
#: Kind of the holds that wait for a bank's result of such a payout (rule D0.3).
INSTRUCTED: Final = "payout"
AUTHORITY: Final = "authority"
#: Kinds of the freezes of rule D0.16: two people or the authority itself end them, and nothing that
#: may take an account below its floor, nor what captures another hold, takes what they keep.
FREEZES: Final = frozenset({AUTHORITY, "banned", "evidence", "suspicious"})


def _bounds_batches(state: State) -> bool:
    return any(bounds_batch(row) for row in state.table("limit").values())


def _no_close(_: str) -> str | None:
    return None


class State:
    """Accounts, registers, holds, originals' counters, usage of limits."""

    def __init__(self, chart: Chart) -> None:
        self.chart = chart
        self.accounts: dict[str, dict[str, Account]] = {}
        self.tables: dict[str, dict[str, Any]] = {}
        self.holds: dict[str, dict[str, Any]] = {}
        #: Minor units that banks were instructed to pay out and have not answered, by account.
        self.instructed: dict[tuple[str, str], int] = {}
        #: Minor units that the freezes of rule D0.16 keep, those of whole accounts left out.
        self.kept_frozen: dict[tuple[str, str], int] = {}
        #: Minor units that open holds keep for a denied payment, whoever took them over, by key.
        self.frozen: dict[str, int] = {}
        self.items: dict[str, dict[str, Any]] = {}
        #: What counts against limits, by scene, account and currency, then by period.
        self.usage: dict[tuple[str, str, str], dict[str, Used]] = {}
        self.closed: str | None = None  # the last closed date; not a matter of the log
        #: No hold is left that had to end before this date, as far as is known.
        self.holds_ended = ""
        #: Digest of a closed date's trial balance, hexadecimal, None without a close; set by the
        #: service, as the dates themselves are.
        self.trial_balance: Callable[[str], str | None] = _no_close
        self._undo = Undo()
        self._marks = 0  # raised with each point to which changes may be taken back
        # Looked up for every command, so kept as they are asked for; dropped when one changes.
        self._limits: dict[tuple[str, str, str, str], tuple[Limit, ...]] = {}
        self._limits_of_kind: dict[tuple[str, str, str, str, str], tuple[Limit, ...]] = {}
        self._acts_for: dict[str, frozenset[str]] = {}
        self._standing: dict[str, dict[tuple, Any]] = {}
        self._derived: dict[str, Any] = {}
        #: Whether an account of the institution ever had a purpose: most ledgers have none.
        self.dedicates = False
        #: What the last batch of an account used, by scene, account and currency: batch, minor
        #: units, times. Batches follow one another in the log, so no more is needed, and after a
        #: start nothing.
        self._batches: dict[tuple[str, str, str], tuple[int, int, int]] = {}

    # reading

    def account(self, account_id: str, currency_code: str) -> Account | None:
        """The account, or None when it is not open."""
        accounts = self.accounts.get(currency_code)
        return None if accounts is None else accounts.get(account_id)

    def all_accounts(self) -> list[Account]:
        """Every account in a fixed order: by account id, then currency."""
        found = [a for accounts in self.accounts.values() for a in accounts.values()]
        return sorted(found, key=lambda a: (a.account_id, a.currency_code))

    def table(self, name: str) -> dict[str, Any]:
        """One register: documents by key."""
        return self.tables.setdefault(name, {})

    def get(self, table: str, key: str) -> Any:
        """A document of a register, or None."""
        return self.tables.get(table, {}).get(key)

    def contract(self, merchant_id: str, day: str) -> Mapping[str, Any] | None:
        """The contract version in force on a date."""
        for version in reversed(self.get("contract", merchant_id) or ()):
            if version["valid_from"] <= day:
                return version
        return None

    def acts_for(self, caller_id: str) -> frozenset[str]:
        """The merchants that a caller acts for: its own and those on behalf of which it sends."""
        found = self._acts_for.get(caller_id)
        if found is None:
            caller = self.get("caller", caller_id)
            found = self._acts_for[caller_id] = frozenset(
                () if caller is None else (caller["party_id"], *caller["on_behalf"])
            )
        return found

    def standing(self, actor: str) -> dict[tuple, Any]:
        """What was found of parties for a sender, to be filled; empty again once a register
        changes."""
        found = self._standing.setdefault(actor, {})
        if len(found) > _MOST_STANDING:
            found.clear()
        return found

    def derived(self, name: str, read: Callable[[State], Any]) -> Any:
        """What `read` finds in the registers, kept by name until one changes; for the writer's
        thread alone, since what another one keeps might be of before a change."""
        try:
            return self._derived[name]
        except KeyError:
            found = self._derived[name] = read(self)
            return found

    @property
    def bounds_batches(self) -> bool:
        """Whether a limit bounds batches."""
        return self.derived("bounds_batches", _bounds_batches)

    def _registers_change(self) -> None:
        """What was looked up is looked up again. The dictionaries stay: a batch has them."""
        self._derived.clear()
        self._limits.clear()
        self._limits_of_kind.clear()
        self._acts_for.clear()
        for found in self._standing.values():
            found.clear()

    def limits(
        self, scene: str, account_id: str, currency: str, day: str
    ) -> tuple[Limit, ...]:
        """The limits of a scene that are in force for an account on a date."""
        key = (scene, account_id, currency, day)
        found = self._limits.get(key)
        if found is not None:
            return found
        account = self.account(account_id, currency)
        if account is None:
            return ()
        owner = self.get("party", account.party_id or "") or {}
        kind = (scene, account.code, owner.get("grade", "standard"), currency, day)
        found = self._limits_of_kind.get(kind)
        if found is None:
            found = self._limits_of_kind[kind] = in_force(self.table("limit").values(), *kind)
        if len(self._limits) > _MOST_STANDING:
            self._limits.clear()
        self._limits[key] = found
        return found

    def used_in(
        self, batch: int, scene: str, account_id: str, currency: str
    ) -> tuple[int, int]:
        """Minor units and times that a batch has used of an account in a scene."""
        last, used, count = self._batches.get((scene, account_id, currency), (0, 0, 0))
        return (used, count) if last == batch else (0, 0)

    # changing

    def post(self, legs: Iterable[list[Any]], booking_date: str) -> None:
        """Apply the legs of a journal to balances and settlement buckets."""
        undo, marks = self._undo, self._marks
        made = undo.made
        accounts: dict[str, Account] = {}
        of = ""
        for leg in legs:
            currency: str = leg[1]
            amount: int = leg[3]
            if currency != of:
                of, accounts = currency, self.accounts[currency]
            account = accounts[leg[0]]
            if account.noted != marks:
                account.noted = marks
                made.append((account, "balance", account.balance))
            signed = amount if (leg[2] == "D") == (account.debit_sign > 0) else -amount
            account.balance += signed
            if not account.dated:
                continue
            if not account.settles:
                buckets.age(undo, account, signed, booking_date)
            elif signed < 0 and leg[4] == PAYOUT:
                buckets.pay_out(undo, account, amount, booking_date)
            else:
                dates = account.buckets
                old = dates.get(booking_date, MISSING)
                made.append((dates, booking_date, old))
                dates[booking_date] = signed if old is MISSING else old + signed

    def change(self, effects: Iterable[list], booking_date: str) -> None:
        """Apply the effects of an entry."""
        for effect in effects:
            kind = effect[0]
            if kind == "use":
                self._use(booking_date, *effect[1:])
            elif kind == "item":
                self._undo.set(self.items, effect[1], effect[2])
            elif kind == "put":
                _, table, key, document = effect
                self._undo.set(self.table(table), key, document)
                if table not in _USED_UP:
                    self._registers_change()
            elif kind == "quiet":
                buckets.quiet(
                    self._undo, self.accounts[effect[2]][effect[1]], booking_date, *effect[3:]
                )
            elif kind == "dated":
                buckets.of_date(
                    self._undo, self.accounts[effect[2]][effect[1]], booking_date, *effect[3:]
                )
            elif kind == "position":
                open_ = self.table(POSITIONS)
                self._undo.set(open_, pair(effect[1], effect[2]), after(open_, effect))
            elif kind == "hold":
                self._hold(effect[1], effect[2])
            elif kind == "open":
                self._open(*effect[1:])
            elif kind == "account":
                account = self.accounts[effect[2]][effect[1]]
                for name, value in effect[3].items():
                    if name == "purpose" and value is not None:
                        value = frozenset(value)
                        self.dedicates = True
                    self._undo.attribute(account, name, value)

    def _use(
        self, booking_date: str, scene: str, account_id: str, currency: str, amount: int,
        batch: int | None = None,
    ) -> None:
        if batch is not None:
            before = self.used_in(batch, scene, account_id, currency)
            self._undo.set(
                self._batches, (scene, account_id, currency),
                (batch, before[0] + amount, before[1] + 1),
            )
        key = (scene, account_id, currency)
        periods = self.usage.get(key)
        if periods is None:
            periods = self.usage[key] = {}
        marks = self._marks
        for period in (booking_date, booking_date[:7]):
            used = periods.get(period)
            if used is None or used.noted != marks:
                self._undo.made.append((periods, period, MISSING if used is None else used))
                used = periods[period] = Used(used, marks)
            used.amount += amount
            used.times += 1

    def read_usage(
        self, scene: str, account_id: str, currency: str, period: str, document: list[int]
    ) -> None:
        """What a period has used, as a checkpoint wrote it down: minor units, times."""
        used = self.usage.setdefault((scene, account_id, currency), {})[period] = Used(None, -1)
        used.amount, used.times = document

    def _hold(self, hold_id: str, document: dict[str, Any]) -> None:
        old = self.holds.get(hold_id)
        account = self.accounts[document["currency_code"]][document["account_id"]]
        if document["scope"] == "account":
            if (old is None) != bool(document["ended"]):
                step = -1 if document["ended"] else 1
                self._undo.attribute(account, "frozen", account.frozen + step)
        else:
            before = old["placed"] - old["captured"] - old["released"] if old else 0
            after = document["placed"] - document["captured"] - document["released"]
            self._undo.attribute(account, "held", account.held + after - before)
            if document["kind"] == INSTRUCTED:
                self._instruct(document, after - before)
            if old is not None and old["kind"] in FREEZES:
                self._keep_frozen(old, -before)
            if document["kind"] in FREEZES:
                self._keep_frozen(document, after)
        if old is not None:
            self._freeze(old, -left(old))
        if not document["ended"]:
            self._freeze(document, left(document))
        self._undo.set(self.holds, hold_id, None if document["ended"] else document)
        last = document["expires_on"]
        if not document["ended"] and last is not None and last < self.holds_ended:
            # placed late, on a date that others had come past
            self._undo.attribute(self, "holds_ended", last)

    def ended_holds(self, through: str) -> None:
        """The holds whose last date is a date or earlier were ended."""
        after = (date.fromisoformat(through) + timedelta(1)).isoformat()
        if after > self.holds_ended:
            self._undo.attribute(self, "holds_ended", after)

    def _freeze(self, hold: Mapping[str, Any], change: int) -> None:
        payment = hold.get("original")
        if payment is not None and change:
            self._undo.set(self.frozen, payment, self.frozen.get(payment, 0) + change or None)

    def _instruct(self, hold: Mapping[str, Any], change: int) -> None:
        key = (hold["account_id"], hold["currency_code"])
        self._undo.set(self.instructed, key, self.instructed.get(key, 0) + change or None)

    def _keep_frozen(self, hold: Mapping[str, Any], change: int) -> None:
        key = (hold["account_id"], hold["currency_code"])
        self._undo.set(self.kept_frozen, key, self.kept_frozen.get(key, 0) + change or None)

    def read_hold(self, hold_id: str, document: dict[str, Any]) -> None:
        """A hold as a checkpoint wrote it down; its account knows of it already."""
        self.holds[hold_id] = document
        if document["kind"] == INSTRUCTED:
            key = (document["account_id"], document["currency_code"])
            self.instructed[key] = self.instructed.get(key, 0) + left(document)
        elif document["kind"] in FREEZES and document["scope"] == "amount":
            key = (document["account_id"], document["currency_code"])
            self.kept_frozen[key] = self.kept_frozen.get(key, 0) + left(document)
        payment = document.get("original")
        if payment is not None:
            self.frozen[payment] = self.frozen.get(payment, 0) + left(document)

    def _open(self, account_id: str, currency: str, document: dict[str, Any]) -> None:
        account = Account(
            account_id, self.chart.classes[document["code"]], document["party_id"], currency,
            document["opened_date"],
        )
        account.parent = document.get("parent")
        account.tenant = document.get("tenant")
        purpose = document.get("purpose")
        account.purpose = frozenset(purpose) if purpose else None
        self.dedicates = self.dedicates or account.purpose is not None
        self._undo.set(self.accounts.setdefault(currency, {}), account_id, account)

    # keeping or dropping what was changed

    def mark(self) -> int:
        """A point to which :meth:`back` can return."""
        self._marks += 1
        return self._undo.mark()

    def back(self, mark: int = 0) -> None:
        """Take back every change since the mark."""
        self._marks += 1
        self._undo.back(mark)
        self._registers_change()

    def forget_items(self, written: Mapping[str, dict[str, Any]]) -> None:
        """Originals' counters that the store has, as long as they did not change since."""
        for key, counters in written.items():
            if self.items.get(key) is counters:
                del self.items[key]

    def keep(self, mark: int | None = None) -> None:
        """What was changed, or changed before a mark, stays."""
        self._marks += 1
        self._undo.keep(mark)
