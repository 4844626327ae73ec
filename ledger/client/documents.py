"""What a client sends and is answered."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

#: Commands in one transaction, at most; the service refuses a larger batch.
BATCH_LIMIT = 1000

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
