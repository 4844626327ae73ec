"""What a reconciliation said of the ledger, held against the log: the account's balance on its last
date, and that what it left open is what the balances differ by."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import orjson

from ledger.domain.chart import SHARD
from ledger.domain.reconciliations import open_items
from ledger.domain.state import State

TYPE = "reconciliation"


class Reconciled:
    """Balances of the accounts of which banks give statements, by value date."""

    def __init__(self) -> None:
        self._moved: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))

    def add(self, account_id: str, currency: str, value_date: str, amount: int) -> None:
        """A posting: debit positive, minor units."""
        account_id, _, _ = account_id.partition(SHARD)
        self._moved[account_id, currency][value_date] += amount

    def fault(self, row: tuple, state: State) -> str | None:
        """Why an entry of a reconciliation cannot be.

        :param state: with what the entry changed
        """
        said: dict[str, Any] = orjson.loads(row[12])
        totals, name = said["totals"], (said["account_id"], said["currency_code"])
        account = state.account(*name)
        if account is None or not account.line.reconciled:
            return f"no bank gives statements of {name[0]}"
        closing = account.debit_sign * sum(
            amount for day, amount in self._moved[name].items() if day <= said["last_date"]
        )
        if closing != totals["ledger_closing_minor"]:
            return f"the ledger closed {said['last_date']} with {closing} minor units"
        difference = closing - totals["closing_minor"]
        left = [d["ledger_minor"] - d["statement_minor"] for _, d in open_items(state, *name)]
        if not sum(left) == totals["difference_minor"] == difference:
            return "its open items are not what the balances differ by"
        if len(left) != totals["open_items"]:
            return f"it left {len(left)} items open"
        classes = totals["classes"].values()
        if sum(of["ledger_minor"] - of["statement_minor"] for of in classes) != difference:
            return "its classes are not what the balances differ by"
        return None
