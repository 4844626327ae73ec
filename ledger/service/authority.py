"""Maker and checker: who may review what waits, and whether the signature proves it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ledger.domain.actors import Actor, has_right
from ledger.domain.refusals import Refusal

if TYPE_CHECKING:
    from ledger.service.ledger import Ledger

#: (public key hex, message, signature) -> whether it verifies
Verifier = Callable[[str, bytes, bytes], bool]


class Authority:
    """Reviews over one ledger."""

    def __init__(self, ledger: Ledger, verify: Verifier) -> None:
        self.ledger = ledger
        self.verify = verify

    def may_review(
        self, actor: Actor, waiting: Mapping[str, Any] | None, values: Mapping[str, Any], *,
        approves: bool,
    ) -> Refusal | None:
        """Why an approval or rejection is not one; None when it is.

        The checker is another person than the maker, has the right to review in the operation's
        module, and signs (SM2) the digest of the entry that waits: exactly what is approved. That
        signature may come by a system of the house. A rejection has none of its own, so nobody but
        the checker sends it: his request is what he signs.
        """
        checker = values["operator_id"]
        himself = actor.kind == "operator" and actor.id == checker
        if not himself and not (approves and actor.kind == "system"):
            return Refusal("no_right", "a review is sent by the checker", "operator_id")
        if waiting is None:
            return Refusal(
                "pending_unknown", f"no entry {values['pending']} waits for approval", "pending"
            )
        operation = self.ledger.operations.by_type[waiting["type"]]
        if waiting["actor"] == f"operator:{checker}":
            return Refusal("maker_is_checker", f"{checker} entered it", "operator_id")
        if not has_right(self.ledger.state, checker, operation.module, "review"):
            return Refusal(
                "no_right", f"{checker} has not the right to review in {operation.module}",
                "operator_id",
            )
        if not approves:
            return None
        digest = self.digest(values["pending"])
        key = self.ledger.state.get("operator", checker)["public_key"]
        if not self.verify(key, digest, bytes.fromhex(values["signature"])):
            return Refusal(
                "signature_wrong", f"it is not {checker}'s signature over entry "
                f"{values['pending']}", "signature",
            )
        return None

    def digest(self, sequence: int) -> bytes:
        """What a checker signs: the digest of the entry that waits."""
        row = self.ledger.pipeline.reads.entry(sequence)
        if row is None:
            raise KeyError(sequence)
        return row[16]
