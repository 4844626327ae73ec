"""A typed client of the ledger service.

Every call may be repeated without harm: commands carry an idempotency key, opening an account
twice opens it once, a day closes once, an export writes the same bytes. So transient faults (no
connection, time-out, 429, 502, 503, 504) are retried with growing pauses; everything else fails
at once.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Literal, TypedDict, TypeVar
from urllib.parse import quote

import httpx
import orjson

from ledger.client_reconciliations import ReconciliationCalls
from ledger.requests import signed_bytes
from ledger.sessions import COVER_COUNT, CallerHalf, RequestMac, cover_bytes
from paylake.crypto import PrivateKey, sm3_hex
from paylake.errors import PermanentFailure, TransientFault, UsageFault

T = TypeVar("T")
#: Commands in one transaction, at most; the service refuses a larger batch.
BATCH_LIMIT = 1000
_TRANSIENT_STATUS = frozenset({429, 502, 503, 504})

#: One command: `type`, `idempotency_key`, in a simulated service `occurred_at` (ISO 8601 with
#: zone, whole seconds), and the fields of its type. `/openapi.json` of the service and
#: docs/reference/ledger-operations.md list every type; amounts are whole minor units (fen).
Command = dict[str, Any]


class Result(TypedDict, total=False):
    """What became of a command. `status` is `posted`, `pending` (waits for a checker) or
    `refused`.

    posted: `journal_id`, `sequence`, `booking_date`, `booked_at`; refused: `reason` (a code of
    docs/explanation/ledger.md), `detail`, and `field` where one is to blame. `replayed` is true
    when the answer is that of an earlier command with this key and content.
    """

    idempotency_key: str
    status: Literal["posted", "pending", "refused"]
    replayed: bool
    journal_id: str | None
    sequence: int
    booking_date: str
    booked_at: str
    reason: str
    detail: str
    field: str
    first_index: int


class Account(TypedDict):
    """An account to open: `2101` for a user, `2201` and `2202` for a merchant."""

    account_code: str
    party_id: str | None
    currency_code: str


class Signer:
    """Signs requests with SM2 for a person (`operator:<id>`) or a caller (`caller:<id>`).

    :param now: wall clock, seconds since 1970
    """

    def __init__(
        self, name: str, key: PrivateKey, now: Callable[[], float] = time.time
    ) -> None:
        self.name = name
        self.key = key
        self.now = now

    def headers(self, method: str, path: str, body: bytes) -> dict[str, str]:
        """The headers of one request; `path` with its query."""
        stamp = datetime.fromtimestamp(int(self.now()), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        said = {
            "signer": self.name, "method": method, "path": path, "timestamp": stamp,
            "nonce": secrets.token_hex(16), "digest": sm3_hex(body),
        }
        return {
            "x-paylake-signer": self.name, "x-paylake-timestamp": stamp,
            "x-paylake-nonce": said["nonce"], "x-paylake-digest": said["digest"],
            "x-paylake-signature": self.key.sign(signed_bytes(said)).hex(),
        }


class SessionSigner:
    """The requests of one open session: an HMAC-SM3 each; it remembers what is to be covered."""

    def __init__(self, session_id: str, key: bytes, cover_count: int) -> None:
        self.session_id = session_id
        self.mac = RequestMac(key, session_id)
        self.cover_count = cover_count
        self.number = 0
        self.covered = 0
        self.digests: list[str] = []

    def headers(self, method: str, path: str, body: bytes) -> dict[str, str]:
        """The headers of the next request; `path` with its query."""
        digest = sm3_hex(body)
        self.number += 1
        self.digests.append(digest)
        return {
            "x-paylake-session": self.session_id, "x-paylake-number": str(self.number),
            "x-paylake-mac": self.mac.of(self.number, method, path, digest),
        }


class LedgerSession:
    """A client whose requests go through one session. Close it: that covers what is not yet."""

    def __init__(self, opener: LedgerClient, signer: Signer, cover_count: int) -> None:
        half = CallerHalf()
        opened = opener._call("POST", "/v1/sessions", {"key_half": half.public})
        key = half.key(opened["session_id"], opened["sealed_key"])
        self._opener = opener
        self._signer = signer
        self.session = SessionSigner(opened["session_id"], key, cover_count)
        self._client = opener.as_signer(self.session)

    def command(self, command: Command) -> Result:
        """Post one command; covers first when the contract's number is reached.

        A request that got no answer ends the session, for whether it was counted is not known:
        open another and send the command again, its key makes that safe.
        """
        if len(self.session.digests) >= self.session.cover_count:
            self.cover()
        return self._client.command(command)

    def read(self, ask: Callable[[LedgerClient], T]) -> T:
        """Ask something of the service in this session, such as
        `session.read(lambda client: client.standing("2101:U000001"))`."""
        if len(self.session.digests) >= self.session.cover_count:
            self.cover()
        return ask(self._client)

    def cover(self) -> None:
        """Sign the running digest of what was sent so far; a service that was started again since
        is given the digests, for it has only those of what stands in its log."""
        session = self.session
        if not session.digests:
            return
        last = session.number
        signature = self._signer.key.sign(
            cover_bytes(session.session_id, session.covered + 1, session.digests)
        ).hex()
        path = f"/v1/sessions/{session.session_id}/cover"
        order = {"last_number": last, "signature": signature}
        try:
            self._opener._call("POST", path, order)
        except LedgerRefusal as refusal:
            if refusal.reason != "invalid_field":
                raise
            self._opener._call("POST", path, {**order, "digests": session.digests})
        session.covered = last
        session.digests.clear()

    def __enter__(self) -> LedgerSession:
        return self

    def __exit__(self, *_: object) -> None:
        self.cover()
        self._client.close()


class LedgerRefusal(PermanentFailure):
    """The service refused a whole request (not one command of it); `reason` is its code."""

    def __init__(self, reason: str, what: str, next_step: str, *, where: str | None = None):
        self.reason = reason
        super().__init__(what, next_step, where=where)


def _quoted(account_id: str) -> str:
    """An account's id in an address: that of a shard has a `#`."""
    return quote(account_id, safe=":")


def _currency(code: str | None) -> dict[str, Any]:
    return {} if code is None else {"currency_code": code}


class LedgerClient(ReconciliationCalls):
    """Talks to one ledger service.

    :param base_url: such as `http://127.0.0.1:18701`
    :param token: bearer token (`<home>/keys/ledger.token` in a demo home), or a :class:`Signer`
    :param retries: how often a transient fault is tried again before :class:`TransientFault`
    """

    def __init__(
        self,
        base_url: str,
        token: str | Signer | SessionSigner,
        *,
        timeout: float = 60.0,
        retries: int = 6,
        transport: httpx.BaseTransport | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._retries = retries
        self._pause = pause
        self._made: dict[str, Any] = {
            "timeout": timeout, "retries": retries, "transport": transport, "pause": pause,
        }
        self._http = httpx.Client(
            base_url=base_url,
            timeout=timeout,
            transport=transport,
            trust_env=False,
            headers={"content-type": "application/json"},
        )
        self._signer = None if isinstance(token, str) else token
        if isinstance(token, SessionSigner):
            self._retries = 0  # a number serves once
        if self._signer is None:
            self._http.headers["authorization"] = f"Bearer {token}"

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

    def __enter__(self) -> LedgerClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

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
        """Movements of an account in the last three calendar months, oldest first.

        :param filters: `first`, `last` (business dates as text), `type`, `least_minor`,
            `most_minor`, `number`, `counterparty`
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
        return self._call("GET", "/v1/positions")["positions"]

    def steps(self, idempotency_key: str) -> list[dict[str, Any]]:
        """The five steps of a command, as far as it came: step, time, actor, result, next."""
        return self._call("GET", f"/v1/commands/{idempotency_key}/steps")["steps"]

    def deadlines(self, day: date | None = None) -> list[dict[str, Any]]:
        """What is open, by the day it is due, as seen on a date (default: the ledger's)."""
        query = {} if day is None else {"date": day.isoformat()}
        return self._call("GET", "/v1/deadlines", query=query)["deadlines"]

    def pending(self) -> list[dict[str, Any]]:
        """What waits for a checker: sequence, type, maker, content, digest to sign."""
        return self._call("GET", "/v1/pending")["pending"]

    def pending_values(self, sequence: int) -> dict[str, Any]:
        """The sensitive values of what waits; for a person who may review it, and recorded."""
        return self._call("GET", f"/v1/pending/{sequence}/values")["values"]

    def destination(self, destination_id: str) -> dict[str, str]:
        """A bound account with its number and name; for a person who may review those, and
        recorded."""
        return self._call("GET", f"/v1/destinations/{destination_id}")

    def holds(self, account_id: str | None = None) -> list[dict[str, Any]]:
        """Open holds, of one account or of all."""
        query = {} if account_id is None else {"account_id": account_id}
        return self._call("GET", "/v1/holds", query=query)["holds"]

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

    def _pages(self, path: str, name: str, query: dict[str, Any]) -> Iterator[dict[str, Any]]:
        while True:
            page = self._call("GET", path, query=query)
            yield from page[name]
            if page["next"] is None or not page[name]:  # the outbox says where to go on later
                return
            query = {**query, "after": page["next"]}

    def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
        *,
        results: bool = False,
    ) -> Any:
        """:param results: whether a refusal of the command is an answer, not an error"""
        content = None if body is None else orjson.dumps(body)
        request = self._http.build_request(method, path, content=content, params=query)
        fault = "no answer"
        for attempt in range(self._retries + 1):
            if attempt:
                self._pause(min(0.1 * 2**attempt, 5.0))
            try:
                if self._signer is not None:  # anew each time: a nonce serves once
                    request.headers.update(self._signer.headers(
                        method, request.url.raw_path.decode("ascii"), content or b""
                    ))
                answer = self._http.send(request)
            except httpx.TransportError as error:
                fault = f"{type(error).__name__}: {error}"
                continue
            if answer.status_code in _TRANSIENT_STATUS:
                fault = f"answer {answer.status_code}"
                continue
            return self._answer(answer, results=results)
        raise TransientFault(
            f"the ledger service did not answer {method} {path} ({fault})",
            "see that it runs (`bin/paylake status`), then repeat the command",
            where=str(self._http.base_url),
        )

    @staticmethod
    def _answer(answer: httpx.Response, *, results: bool = False) -> Any:
        try:
            document = orjson.loads(answer.content)
        except orjson.JSONDecodeError as error:
            raise PermanentFailure(
                f"the ledger service answered {answer.status_code} with something not JSON",
                "see that the address is that of a paylake ledger",
                where=str(answer.url),
            ) from error
        if answer.status_code >= 400 and not (results and "status" in document):
            problem = document.get("error", {})
            raise LedgerRefusal(
                problem.get("reason", f"http_{answer.status_code}"),
                problem.get("what", f"the ledger service answered {answer.status_code}"),
                problem.get("next_step", "read the ledger's log"),
                where=str(answer.url),
            )
        return document
