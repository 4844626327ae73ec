"""The client's calls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import Any
from urllib.parse import quote

import orjson

from ledger.client.documents import BATCH_LIMIT, Account, Command, Result
from ledger.client.reconciliations import ReconciliationCalls
from ledger.client.session import LedgerSession
from ledger.client.signers import SessionSigner, Signer
from ledger.sessions import COVER_COUNT
from paylake.errors import UsageFault


def _quoted(account_id: str) -> str:
    """An account's id in an address: that of a shard has a `#`."""
    return quote(account_id, safe=":")


def _currency(code: str | None) -> dict[str, Any]:
    return {} if code is None else {"currency_code": code}


class LedgerClient(ReconciliationCalls):
    """Talks to one ledger service; made as :class:`~ledger.client.connection.Connection` says."""

    def session(self, cover_count: int = COVER_COUNT // 2) -> LedgerSession:
        """Open a session (the client must sign as a caller).

        :param cover_count: requests after which the running digest is signed; the caller's
            contract says how many may wait
        """
        if not isinstance(self._signer, Signer):
            raise UsageFault("a session is opened by a signing client", "give it a Signer")
        return LedgerSession(self, self._signer, cover_count)

    def as_signer(self, signer: Signer | SessionSigner) -> LedgerClient:
        """Another client to the same service, which signs its requests."""
        return LedgerClient(str(self._http.base_url), signer, **self._made)

    def health(self) -> dict[str, Any]:
        """Mode, clock, last sequence, last closed date. No retry: it is asked while waiting."""
        return self._answer(self._http.get("/healthz"))

    def ready(self) -> dict[str, Any]:
        """Whether the service can post now.

        :raises LedgerRefusal: `clock_not_set`, `writer_busy`, `storage_unavailable`
        """
        return self._answer(self._http.get("/readyz"))

    def clock(self) -> str | None:
        """The ledger's time as UTC text; None in a simulated one that was never set."""
        return self._call("GET", "/v1/clock")["now"]

    def set_clock(self, now: datetime) -> dict[str, Any]:
        """Set the clock of a service started as simulated (refused by any other)."""
        if now.tzinfo is None:
            raise ValueError("the clock needs a time with a zone")
        return self._call("PUT", "/v1/clock", {"now": now.isoformat()})

    def open_accounts(self, accounts: Sequence[Account]) -> list[dict[str, Any]]:
        """Open accounts; one that is open already answers `already_open`."""
        results: list[dict[str, Any]] = []
        for first in range(0, len(accounts), BATCH_LIMIT):
            body = {"accounts": list(accounts[first : first + BATCH_LIMIT])}
            results += self._call("POST", "/v1/accounts", body)["results"]
        return results

    def command(self, command: Command) -> Result:
        """Post one command. A refusal is a result, not an error."""
        return self._call("POST", "/v1/commands", command, results=True)

    def batch(self, commands: Sequence[Command]) -> list[Result]:
        """Post commands in order, each thousand in one transaction; one result a command.

        A refused command does not stop the others. When this raises, the batch that failed was
        not posted or its answer was lost: send the same commands again.
        """
        results: list[Result] = []
        for first in range(0, len(commands), BATCH_LIMIT):
            body = {"commands": list(commands[first : first + BATCH_LIMIT])}
            results += self._call("POST", "/v1/batches", body)["results"]
        return results

    def run_day(self, day: date) -> dict[str, Any]:
        """The ledger's own bookings of a date (penalties, shortfalls, payouts), each once: counts
        and amounts by kind, and who got nothing, with the reason."""
        return self._call("POST", f"/v1/days/{day.isoformat()}/run", {})

    def anchor(self) -> dict[str, Any]:
        """Sign the end of the log now; the last head again when nothing came since."""
        return self._call("POST", "/v1/heads", {})

    def close_day(self, day: date) -> dict[str, Any]:
        """Close a business date: trial balance and signed chain head. Closes once."""
        return self._call("POST", f"/v1/days/{day.isoformat()}/close", {})

    def export_day(self, day: date, sent_at: datetime, sequence: int = 1) -> dict[str, Any]:
        """Write the date's deliveries into the inbox: journal, balances, heads, events."""
        if sent_at.tzinfo is None:
            raise ValueError("sent_at needs a time zone")
        body = {"sent_at": sent_at.isoformat(), "sequence": sequence}
        return self._call("POST", f"/v1/days/{day.isoformat()}/export", body)

    def day(self, day: date) -> dict[str, Any]:
        """A closed date: chain head, trial balance by account code, counts."""
        return self._call("GET", f"/v1/days/{day.isoformat()}")

    def balances(
        self,
        account_code: str | None = None,
        party_ids: Iterable[str] | None = None,
        currency_code: str | None = None,
    ) -> list[dict[str, Any]]:
        """Balances now, `balance_minor` signed to the account's normal side, by account id."""
        query: dict[str, Any] = {"limit": BATCH_LIMIT}
        if account_code is not None:
            query["account_code"] = account_code
        if currency_code is not None:
            query["currency_code"] = currency_code
        wanted = None if party_ids is None else set(party_ids)
        return [
            row for row in self._pages("/v1/balances", "balances", query)
            if wanted is None or row["party_id"] in wanted
        ]

    def balance_at(
        self, account_id: str, currency_code: str | None = None, *,
        value_date: date | None = None, known_at: datetime | None = None,
    ) -> dict[str, Any]:
        """A balance as of a value date and as known at a time; default both now. The currency may
        be left out, here and in the next reads, where the account is open in one alone."""
        query = _currency(currency_code)
        if value_date is not None:
            query["value_date"] = value_date.isoformat()
        if known_at is not None:
            query["known_at"] = known_at.isoformat()
        return self._call("GET", f"/v1/accounts/{_quoted(account_id)}/balance", query=query)

    def standing(self, account_id: str, currency_code: str | None = None) -> dict[str, Any]:
        """What an account's owner is shown: balance, frozen amount, `normal`, `frozen` or
        `abnormal`."""
        query = _currency(currency_code)
        return self._call("GET", f"/v1/accounts/{_quoted(account_id)}/standing", query=query)

    def movements(
        self, account_id: str, currency_code: str | None = None, **filters: str | int | None
    ) -> Iterator[dict[str, Any]]:
        """Movements of an account in the last three calendar months, oldest first, and orders
        (withdrawals and others) that are under way or failed: those have no `journal_id`.

        :param filters: `first`, `last` (business dates as text), `type`, `least_minor`,
            `most_minor`, `number` (the customer's own or the result's), `counterparty`
        """
        query: dict[str, Any] = {
            **_currency(currency_code), "limit": BATCH_LIMIT,
            **{name: value for name, value in filters.items() if value is not None},
        }
        path = f"/v1/accounts/{_quoted(account_id)}/movements"
        return self._pages(path, "movements", query)

    def day_statement(self, party_id: str, day: date) -> dict[str, Any]:
        """A closed date of one party: its accounts' balances, and its fees by item."""
        return self._call("GET", f"/v1/parties/{party_id}/days/{day.isoformat()}")

    def write_statements(self, day: date) -> list[dict[str, Any]]:
        """Write a closed date's balances of every account and fees by item as files."""
        return self._call("POST", f"/v1/days/{day.isoformat()}/statements", {})["files"]

    def write_instructions(self, day: date) -> list[dict[str, Any]]:
        """Write a closed date's files for the banks: path, rows and totals of each."""
        return self._call("POST", f"/v1/days/{day.isoformat()}/instructions", {})["files"]

    def tree(self, account_id: str, currency_code: str | None = None) -> dict[str, Any]:
        """An account with all accounts below it: `balance_minor` its own, `total_minor` with
        them."""
        query = _currency(currency_code)
        return self._call("GET", f"/v1/accounts/{_quoted(account_id)}/tree", query=query)

    def positions(self) -> list[dict[str, Any]]:
        """What is open of exchanges, by the currency sold and the one bought."""
        return list(self._pages("/v1/positions", "positions", {"limit": BATCH_LIMIT}))

    def steps(self, idempotency_key: str) -> list[dict[str, Any]]:
        """The five steps of a command, as far as it came: step, time, actor, result, next."""
        return self._call("GET", f"/v1/commands/{idempotency_key}/steps")["steps"]

    def deadlines(self, day: date | None = None) -> list[dict[str, Any]]:
        """What is open, by the day it is due, as seen on a date (default: the ledger's)."""
        query: dict[str, Any] = {"limit": BATCH_LIMIT}
        if day is not None:
            query["date"] = day.isoformat()
        return list(self._pages("/v1/deadlines", "deadlines", query))

    def pending(self) -> list[dict[str, Any]]:
        """What waits for a checker: sequence, type, maker, content, digest to sign."""
        return list(self._pages("/v1/pending", "pending", {"limit": BATCH_LIMIT}))

    def pending_values(self, sequence: int) -> dict[str, Any]:
        """The sensitive values of what waits; for a person who may review it, and recorded."""
        return self._call("GET", f"/v1/pending/{sequence}/values")["values"]

    def destination(self, destination_id: str) -> dict[str, str]:
        """A bound account with its number and name; for a person who may review those, and
        recorded."""
        return self._call("GET", f"/v1/destinations/{destination_id}")

    def holds(self, account_id: str | None = None) -> list[dict[str, Any]]:
        """Open holds, of one account or of all."""
        query: dict[str, Any] = {"limit": BATCH_LIMIT}
        if account_id is not None:
            query["account_id"] = account_id
        return list(self._pages("/v1/holds", "holds", query))

    def dry_run(self, commands: Sequence[Command]) -> list[Result]:
        """What a batch would give; nothing is written."""
        return self._call("POST", "/v1/dry-runs", {"commands": list(commands)})["results"]

    def journal(self, journal_id: str) -> dict[str, Any]:
        """One journal with its legs and chain digest."""
        return self._call("GET", f"/v1/journals/{journal_id}")

    def journals(
        self, booking_date: date | None = None, business_key: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """Journals in chain order, of a date or with a business key, or all."""
        query: dict[str, Any] = {"limit": BATCH_LIMIT}
        if booking_date is not None:
            query["booking_date"] = booking_date.isoformat()
        if business_key is not None:
            query["business_key"] = business_key
        return self._pages("/v1/journals", "journals", query)

    def events(self, after: str | None = None) -> Iterator[dict[str, Any]]:
        """What happened after an event (its `key`, which the consumer keeps), to be taken once."""
        query: dict[str, Any] = {"limit": BATCH_LIMIT}
        if after is not None:
            query["after"] = after
        return self._pages("/v1/events", "events", query)

    def log(self, after: int = 0) -> Iterator[list[Any]]:
        """Entries of the log after a sequence: the columns that `ledger/domain/chain.py` names.

        A stream is not tried again; ask once more after the last sequence that came.
        """
        request = self._http.build_request("GET", "/v1/log", params={"after": after})
        if self._signer is not None:
            request.headers.update(
                self._signer.headers("GET", request.url.raw_path.decode("ascii"), b"")
            )
        answer = self._http.send(request, stream=True)
        try:
            if answer.status_code >= 400:
                answer.read()
                self._answer(answer)
            for line in answer.iter_lines():
                yield orjson.loads(line)
        finally:
            answer.close()
