"""Products that a user bought: what comes back for them goes to the account that paid, so it stays
open until then (rules D1.19, D4a.10). Asked of the log, since the purchase may be of long ago."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from ledger.domain.account import Account
from ledger.domain.documents import differs
from ledger.domain.refusals import Refusal

if TYPE_CHECKING:
    from ledger.service.ledger import Ledger

#: Whose accounts buy products, and the component of the legs that pay for one or bring it back.
_BUYER, _COMPONENT = "user", "wealth"


def closing(
    ledger: Ledger, rows: Sequence[tuple], values: Mapping[str, Any]
) -> Refusal | None:
    """Why an account is not closed yet: a product that was bought out of it is neither redeemed nor
    its purchase reversed.

    :param rows: entries of the batch so far
    :param values: of a change of its status that its register allows
    """
    account = ledger.state.account(values["account_id"], values["currency_code"])
    assert account is not None
    if values["status"] != "closed" or account.line.party != _BUYER:
        return None
    out = 0
    for row in _entries(ledger, rows, account):
        for leg in orjson.loads(row[13]):
            if leg[0] == account.account_id and leg[1] == account.currency_code and (
                leg[4] == _COMPONENT
            ):
                out += 1 if leg[2] == "D" else -1  # a product comes back whole
    return differs(
        f"products that account {account.account_id} paid for are to be redeemed: {out}", "status"
    ) if out > 0 else None


def _entries(ledger: Ledger, rows: Sequence[tuple], account: Account) -> Iterator[tuple]:
    """The entries that moved an account: committed, planned, and of the batch."""
    pipeline, history = ledger.pipeline, ledger.history
    reader = pipeline.reads.reader
    for segment in history.committed(
        reader, account.account_id, account.currency_code,
        taken=not pipeline.fold_is_written(),
    ):
        for sequence in history.postings(reader, segment)[0::3]:
            yield from reader.entries(sequence, sequence)
    yield from pipeline.reads.planned()
    yield from rows
