"""What was signed since a head: requests of callers and people, approvals, sessions. The digests
are recomputed by `ledger/adapters/chain_check.py`; only entries that carry a signature, or a key,
are read here.

What stands before the head is taken as the head vouches for it: the keys that signers had by then,
and commands that waited for their checker.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from ledger.domain.chart import Chart
from ledger.domain.holds import HoldKind
from ledger.domain.operations import Operations
from ledger.service.authority import Verifier
from ledger.service.verify.found import UNREADABLE, Broken, Verified, not_of_its_form
from ledger.service.verify.log import Log

SIGNERS = ("operator", "caller")


class Since(Log):
    """The signatures of the entries after one.

    :param after: the sequence that the head names
    """

    def __init__(
        self, reader: Any, chart: Chart, operations: Operations, kinds: Mapping[str, HoldKind],
        signature: Verifier, after: int,
    ) -> None:
        super().__init__(reader, chart, operations, kinds, signature)
        self.after = after
        self._searched = False
        for kind, key, document in reader.documents([f"table.{name}" for name in SIGNERS]):
            self._learn(f"{kind.removeprefix('table.')}:{key}", document)

    def check(self) -> Verified:
        """Counts of what was checked, and the first broken row."""
        for row in self.reader.signed_entries(self.after + 1):
            try:
                reason = self._signatures(row)
            except UNREADABLE as error:
                reason = not_of_its_form(error)
            if reason is not None:
                return self.done(Broken(f"entry {row[0]}", reason))
        return self.done(None)

    def _learn(self, signer: str, document: Any) -> None:
        if document:
            self._keys.setdefault(signer, set()).add(document["public_key"])

    def _signatures(self, row: tuple) -> str | None:
        if row[4] != "refused":
            for effect in orjson.loads(row[14]):
                if effect[0] == "put" and effect[1] in SIGNERS:
                    self._learn(f"{effect[1]}:{effect[2]}", effect[3])
        if row[15]:
            reason = self._checked(row)
            if reason is not None:
                return reason
        if not row[8] and row[2] != "session_cover":
            return None
        said = orjson.loads(row[8] or "{}")
        if "format1" in said:
            return None
        if "public_key" in said and said["public_key"] not in self._keys.get(said["signer"], ()):
            self._search()
        reason = self._evidence(row)
        if reason is not None and row[2] == "session_cover" and not self._searched:
            self._search()  # a session may have been covered with a key that was changed since
            reason = self._evidence(row)
        return reason

    def _search(self) -> None:
        """The keys that signers had before the head and have no more: seldom, for it goes through
        the log."""
        if self._searched:
            return
        self._searched = True
        for row in self.reader.entries_of(SIGNERS, self.after):
            for effect in orjson.loads(row[14]):
                if effect[0] == "put" and effect[1] in SIGNERS:
                    self._learn(f"{effect[1]}:{effect[2]}", effect[3])

    def _checked(self, row: tuple) -> str | None:
        """The checker's signature over what waited."""
        said = orjson.loads(row[15])
        self.found.approvals += 1
        waited = next(iter(self.reader.entries(said["pending"], said["pending"])), None)
        if waited is None or waited[4] != "pending":
            return "its approval names what is not there"
        if waited[7] != said["maker"]:
            return "its approval names another maker"
        if waited[12] != row[12] or waited[2] != row[2]:
            return "it is not what was approved"
        signer = f"operator:{said['operator_id']}"
        signature = bytes.fromhex(said["signature"])
        for again in (False, True):
            if again:
                self._search()
            if any(
                self.signature(key, waited[16], signature) for key in self._keys.get(signer, ())
            ):
                return None
        return f"the signature of {said['operator_id']} does not verify"
