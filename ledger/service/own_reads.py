"""A caller reads what is its own: the books of its merchants and of their users, and what became
of its own commands. Anything else is refused, and the try stands in the log, with the caller's
signed request beside it. Rules D0.1, D0.53."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.domain.actors import Actor, may_read, own_prefix
from ledger.domain.chart import parts_of
from ledger.service.faults import RequestRefused

if TYPE_CHECKING:
    from ledger.domain.account import Account
    from ledger.service.ledger import Ledger

#: What an id looks like. Nothing can be there under another name, so such a request is refused
#: and leaves no record: free text of a caller does not come into the log.
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:#\-]{0,63}\Z")


@dataclass(frozen=True, slots=True)
class OwnReads:
    """One request's reads. The house's own systems and people may read everything.

    :param evidence: of the request, as it will stand beside a refusal
    """

    ledger: Ledger
    actor: Actor
    evidence: str

    def owns(self, account: Account) -> bool:
        """Whether an account is the sender's to read."""
        return may_read(self.ledger.state, self.actor, account.party_id, account.tenant)

    def account(self, interface: str, account_id: str) -> None:
        """Refuse an account that is not the sender's, whether it is open or not: a foreign one
        must not be told from one that is not there.

        :raises RequestRefused: 403 `not_your_merchant`
        """
        found = [
            accounts[account_id] for accounts in self.ledger.state.accounts.values()
            if account_id in accounts
        ]
        if found:
            own = all(self.owns(account) for account in found)
        else:
            party = parts_of(account_id)[1]
            own = may_read(self.ledger.state, self.actor, party, None)
        self._only_if(own, interface, account_id)

    def party(self, interface: str, party_id: str) -> None:
        """Refuse a party that is not the sender's.

        :raises RequestRefused: 403 `not_your_merchant`
        """
        self._only_if(
            may_read(self.ledger.state, self.actor, party_id, None), interface, party_id
        )

    def command(self, interface: str, idempotency_key: str) -> None:
        """Refuse a command that another sent, or that another could have sent: a key of nobody is
        told apart from a foreign one only where it begins as the caller's own do.

        :raises RequestRefused: 403 `not_your_merchant`
        """
        if self.actor.kind != "caller":
            return
        row = self.ledger.store.find_by_key([idempotency_key]).get(idempotency_key)
        own = (
            idempotency_key.startswith(own_prefix(self.actor)) if row is None
            else row[7] == self.actor.name
        )
        self._only_if(own, interface, idempotency_key)

    def _only_if(self, own: bool, interface: str, asked: str) -> None:
        if own:
            return
        if not _ID.match(asked):
            raise RequestRefused(
                "not_your_merchant", f"what was asked for is not of {self.actor.name}", 403
            )
        command = {
            "type": "foreign_read", "idempotency_key": f"foreign-{secrets.token_hex(16)}",
            "interface": interface, "asked": asked,
        }
        if self.ledger.clock.simulated:
            command["occurred_at"] = self.ledger.clock.now() or ""
        result = self.ledger.record(command, self.actor, self.evidence)
        raise RequestRefused(
            result["reason"], result["detail"],
            403 if result["reason"] == "not_your_merchant" else 409,
        )
