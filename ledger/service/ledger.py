"""The ledger as a whole: what is in memory, and every use case that writes.

Not safe for several threads: the entry points call it from one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import Any

from ledger.domain.books import Account, Books
from ledger.domain.chart import Chart, account_id
from ledger.domain.commands import PATTERNS, parse_moment
from ledger.service.clock import Clock
from ledger.service.day_close import DayClose
from ledger.service.faults import RequestRefused
from ledger.service.ports import HeadSigner, Store, StoredAccount
from ledger.service.posting import Batch, Head

BATCH_LIMIT = 1000
_PARTY = re.compile(PATTERNS["party"] + r"\Z")


class Ledger:
    """One open ledger.

    :param store: storage, of which this is the only writer
    :param chart: the chart of accounts
    :param clock: the one clock; a simulated one is set to its stored time
    :param signer: signs day heads
    """

    def __init__(self, store: Store, chart: Chart, clock: Clock, signer: HeadSigner) -> None:
        self.store = store
        self.chart = chart
        self.clock = clock
        self.signer = signer
        self._load()

    def _load(self) -> None:
        state = self.store.load()
        if state.clock is not None and self.clock.simulated:
            self.clock.set(state.clock)
        self.books = Books(self._account(row) for row in state.accounts)
        self.head = Head(state)

    def _account(self, row: StoredAccount) -> Account:
        return Account(
            row.ref, row.account_id, self.chart.classes[row.code], row.party_id,
            row.currency_code, row.opened_date, row.balance,
        )

    def apply(self, raws: Sequence[Any]) -> list[dict[str, Any]]:
        """Post up to `BATCH_LIMIT` commands in one transaction; one result each.

        :raises RequestRefused: `batch_too_large`, `batch_empty`
        """
        if not raws:
            raise RequestRefused("batch_empty", "the batch has no commands")
        if len(raws) > BATCH_LIMIT:
            raise RequestRefused(
                "batch_too_large", f"the batch has {len(raws)} commands, more than {BATCH_LIMIT}"
            )
        batch = Batch(self.store, self.chart, self.books, self.clock, self.head)
        try:
            with self.store.transaction():
                results = batch.run(raws)
        except BaseException:
            self.books.drop()
            raise
        self.books.keep()
        self.head.sequence, self.head.digest = batch.sequence, batch.digest
        self.head.command_number, self.head.booked_at = batch.command_number, batch.booked_at
        return results

    def open_accounts(self, raws: Sequence[Any]) -> list[dict[str, Any]]:
        """Open accounts in one transaction; `opened`, `already_open` or `refused` each.

        An account of the institution itself opens with `party_id` null.
        """
        if len(raws) > BATCH_LIMIT:
            raise RequestRefused(
                "batch_too_large", f"{len(raws)} accounts, more than {BATCH_LIMIT}"
            )
        now = self.clock.now()
        if now is None:
            raise RequestRefused("clock_not_set", "the simulated clock was never set")
        day = self.clock.booking_date(now)
        if self.head.closed is not None and day <= self.head.closed:
            raise RequestRefused("date_closed", f"{day} is closed")
        next_ref = 1 + max((a.ref for a in self.books.all()), default=0)
        rows: dict[tuple[str, str], StoredAccount] = {}
        results = []
        for raw in raws:
            fault = self._account_fault(raw)
            if fault is not None:
                results.append({"status": "refused", **fault})
                continue
            code, party, currency = raw["account_code"], raw["party_id"], raw["currency_code"]
            name = account_id(code, party)
            status = "already_open"
            if self.books.get(name, currency) is None and (name, currency) not in rows:
                rows[name, currency] = StoredAccount(
                    next_ref, name, code, party, currency, day, 0
                )
                next_ref += 1
                status = "opened"
            results.append({"status": status, "account_id": name, "currency_code": currency})
        if rows:
            with self.store.transaction():
                self.store.insert_accounts(list(rows.values()))
            for row in rows.values():
                self.books.add(self._account(row))
        return results

    def _account_fault(self, raw: Any) -> dict[str, str] | None:
        def fault(reason: str, detail: str, field: str) -> dict[str, str]:
            return {"reason": reason, "detail": detail, "field": field}

        if not isinstance(raw, dict):
            return fault("not_an_object", "an account is a JSON object", "")
        for name in ("account_code", "party_id", "currency_code"):
            if name not in raw:
                return fault("missing_field", f"an account needs {name}", name)
        for name in raw:
            if name not in ("account_code", "party_id", "currency_code"):
                return fault("unknown_field", "an account takes no such field", name[:64])
        code = raw["account_code"]
        line = self.chart.classes.get(code) if isinstance(code, str) else None
        if line is None:
            return fault("unknown_account_code", "not in the chart of accounts", "account_code")
        currency = raw["currency_code"]
        if not isinstance(currency, str) or currency not in self.chart.currencies:
            return fault("unknown_currency", "not in the chart of accounts", "currency_code")
        party = raw["party_id"]
        if line.party == "none":
            if party is not None:
                return fault("invalid_field", f"{code} has no party", "party_id")
        elif not isinstance(party, str) or not _PARTY.match(party):
            return fault(
                "invalid_field", f"party_id must match {PATTERNS['party']}", "party_id"
            )
        return None

    def set_clock(self, now: Any) -> str:
        """Set the clock of a simulated ledger; returns it as UTC text.

        It may go back (a day is resumed), but not into a closed date.

        :raises RequestRefused: `not_simulated`, `invalid_field`, `date_closed`
        """
        if not self.clock.simulated:
            raise RequestRefused(
                "not_simulated", "the clock of a ledger that is not simulated cannot be set",
                http_status=403,
            )
        moment = parse_moment(now)
        if moment is None:
            raise RequestRefused(
                "invalid_field", "now must be an ISO 8601 time with zone and whole seconds"
            )
        day = self.clock.booking_date(moment)
        if self.head.closed is not None and day <= self.head.closed:
            raise RequestRefused("date_closed", f"{day} is closed", http_status=409)
        with self.store.transaction():
            self.store.set_clock(moment)
        self.clock.set(moment)
        return moment

    def close_day(self, day: date) -> dict[str, Any]:
        """Close a business date; see :class:`DayClose`."""
        document, replayed = DayClose(self).run(day.isoformat())
        return {**document, "replayed": replayed}
