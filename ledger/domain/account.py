"""What the state keeps of an account: its balance and what is held of it, and what was used of its
limits."""

from __future__ import annotations

from ledger.domain.chart import AccountClass


class Account:
    """One account. `balance` and `held` are signed to the normal side, in minor units; `frozen`
    counts the holds on the whole account. `buckets` of a pending-settlement account: what each
    business date still has to be paid out, of a claim what is still owed of each; `taken`: what
    was paid out of a date. `noted`: the mark since which the balance before is known."""

    __slots__ = (
        "account_id", "balance", "buckets", "code", "currency_code", "dated", "debit_sign",
        "floor", "frozen", "held", "line", "noted", "opened_date", "parent", "party_id", "purpose",
        "settles", "status", "sum_key", "taken", "tenant",
    )

    def __init__(
        self, account_id: str, line: AccountClass, party_id: str | None, currency_code: str,
        opened_date: str, balance: int = 0,
    ) -> None:
        self.account_id = account_id
        self.line = line
        self.floor = line.floor  # its class's, or a higher one of its own
        self.code = line.code
        self.debit_sign = 1 if line.normal_side == "D" else -1
        self.settles = line.settles
        self.dated = line.settles or line.ages or line.accrues  # it has buckets by date
        self.party_id = party_id
        self.currency_code = currency_code
        self.opened_date = opened_date
        self.balance = balance
        self.noted = -1
        self.held = 0
        self.frozen = 0
        self.status = "normal"
        self.parent: str | None = None
        self.tenant: str | None = None
        self.purpose: frozenset[str] | None = None
        self.sum_key = f"{currency_code}/{line.books}"
        self.buckets: dict[str, int] = {}
        self.taken: dict[str, int] = {}

    @property
    def available(self) -> int:
        """Balance less open holds."""
        return self.balance - self.held


class Used:
    """What a period has used of a limited scene, minor units and times. `noted`: the mark since
    which this is a copy of what was before."""

    __slots__ = ("amount", "noted", "times")

    def __init__(self, before: Used | None, noted: int) -> None:
        self.amount: int = 0 if before is None else before.amount
        self.times: int = 0 if before is None else before.times
        self.noted = noted
