"""Accounts and balances in memory, with the floors; the storage follows them."""

from __future__ import annotations

from collections.abc import Iterable

from ledger.domain.chain import Leg
from ledger.domain.chart import AccountClass
from ledger.domain.money import BALANCE_LIMIT
from ledger.domain.refusals import Refusal


class Account:
    """One account. `balance` is signed to the normal side, in minor units.

    `pending` is the balance with the postings of the transaction in progress.
    """

    __slots__ = (
        "account_id", "balance", "below_floor_by", "code", "currency_code", "debit_sign",
        "floor", "kind", "normal_side", "opened_date", "party_id", "pending", "ref",
    )

    def __init__(
        self, ref: int, account_id: str, line: AccountClass, party_id: str | None,
        currency_code: str, opened_date: str, balance: int,
    ) -> None:
        self.ref = ref
        self.account_id = account_id
        self.code = line.code
        self.kind = line.kind
        self.normal_side = line.normal_side
        self.debit_sign = 1 if line.normal_side == "D" else -1
        self.floor = line.floor
        self.below_floor_by = line.below_floor_by
        self.party_id = party_id
        self.currency_code = currency_code
        self.opened_date = opened_date
        self.balance = balance
        self.pending = balance


class Books:
    """All accounts, by currency and account id; postings are kept or dropped as a whole."""

    def __init__(self, accounts: Iterable[Account] = ()) -> None:
        self._by_currency: dict[str, dict[str, Account]] = {}
        self.touched: dict[int, Account] = {}
        for account in accounts:
            self.add(account)

    def add(self, account: Account) -> None:
        """Add an open account."""
        self._by_currency.setdefault(account.currency_code, {})[account.account_id] = account

    def get(self, account_id: str, currency_code: str) -> Account | None:
        """The account, or None when it is not open."""
        return self._by_currency.get(currency_code, {}).get(account_id)

    def all(self) -> list[Account]:
        """Every account in a fixed order: by account id, then currency."""
        found = [a for accounts in self._by_currency.values() for a in accounts.values()]
        return sorted(found, key=lambda a: (a.account_id, a.currency_code))

    def post(self, legs: list[Leg], currency_code: str, journal_type: str) -> Refusal | None:
        """Apply the legs to the pending balances, or refuse and change nothing.

        A journal may not lower a balance below its floor; one that raises a balance which is
        still below it may post, and so may the journal types that the chart excepts.
        """
        accounts = self._by_currency.get(currency_code, {})
        changes: dict[str, int] = {}
        for account_id, direction, amount, _, _ in legs:
            signed = amount if direction == "D" else -amount
            changes[account_id] = changes.get(account_id, 0) + signed
        if sum(changes.values()):
            raise AssertionError(f"legs of a {journal_type} do not balance")
        moves: list[tuple[Account, int]] = []
        for account_id, debit in changes.items():
            account = accounts.get(account_id)
            if account is None:
                return Refusal(
                    "account_not_open", f"account {account_id} in {currency_code} is not open"
                )
            moves.append((account, account.pending + debit * account.debit_sign))
        for account, after in moves:
            if not -BALANCE_LIMIT < after < BALANCE_LIMIT:
                return Refusal(
                    "balance_out_of_range", f"account {account.account_id} would leave 18 digits"
                )
        for account, after in moves:
            if (
                account.floor is not None
                and after < account.floor
                and after < account.pending
                and journal_type not in account.below_floor_by
            ):
                return Refusal(
                    "below_floor",
                    f"account {account.account_id} may not go below {account.floor} minor units",
                )
        for account, after in moves:
            account.pending = after
            self.touched[account.ref] = account
        return None

    def keep(self) -> None:
        """The transaction was committed: pending balances are the balances."""
        for account in self.touched.values():
            account.balance = account.pending
        self.touched.clear()

    def drop(self) -> None:
        """The transaction was rolled back."""
        for account in self.touched.values():
            account.pending = account.balance
        self.touched.clear()
