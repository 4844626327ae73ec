"""The client's calls about reconciliations with statements of banks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any
from urllib.parse import quote

from ledger.client.connection import Connection

PAGE = 1000


class ReconciliationCalls(Connection):
    """Those of :class:`ledger.client.LedgerClient` about them."""

    def reconcile(
        self, account_id: str, currency_code: str, first: date, last: date, opening_minor: int,
        closing_minor: int, lines: Sequence[Mapping[str, Any]], *, dry_run: bool = False,
    ) -> dict[str, Any]:
        """Hold an account against a bank's statement; the same statement gives the same result.

        :param first, last: value dates that the statement covers, both included
        :param lines: `line_id`, `value_date`, `amount_minor` (money in positive, or with a
            `direction` of C or D) and, where the bank gives one, `reference`
        :raises LedgerRefusal: with the reason why it cannot be
        """
        return self._call("POST", "/v1/reconciliations", {
            "account_id": account_id, "currency_code": currency_code,
            "first_date": first.isoformat(), "last_date": last.isoformat(),
            "opening_minor": opening_minor, "closing_minor": closing_minor,
            "lines": list(lines), "dry_run": dry_run,
        })

    def reconciliations(self, account_id: str | None = None) -> Iterator[dict[str, Any]]:
        """Reconciliations in the order of their entries, of one account or of all."""
        query: dict[str, Any] = {"limit": PAGE}
        if account_id is not None:
            query["account_id"] = account_id
        return self._pages("/v1/reconciliations", "reconciliations", query)

    def reconciliation(
        self, reconciliation_id: str, class_: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """The postings and lines of one, each with its class; of one class or of all."""
        query: dict[str, Any] = {"limit": PAGE}
        if class_ is not None:
            query["class"] = class_
        path = f"/v1/reconciliations/{quote(reconciliation_id, safe='')}"
        return self._pages(path, "rows", query)

    def open_items(self, account_id: str | None = None) -> Iterator[dict[str, Any]]:
        """What does not agree with the banks now, the oldest first."""
        query: dict[str, Any] = {"limit": PAGE}
        if account_id is not None:
            query["account_id"] = account_id
        return self._pages("/v1/open-items", "items", query)
