"""Who sends a command, and what it may touch. Who sent it stands in the entry (rule D2.17)."""

from __future__ import annotations

from dataclasses import dataclass, field

from ledger.domain.operations import Operation
from ledger.domain.refusals import Refusal
from ledger.domain.state import State


@dataclass(frozen=True, slots=True)
class Actor:
    """A sender, authenticated by the entry point.

    `kind` is `system` (the house's own: a bearer token, or the ledger itself), `operator` (a
    person, by signature) or `caller` (a merchant or a provider on its behalf, by signature).
    `name` is how it stands in an entry: `operator:zhang`.
    """

    kind: str
    id: str
    name: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", f"{self.kind}:{self.id}")


LEDGER = Actor("system", "ledger")
#: What a caller may send: everything else is the institution's own.
CALLER_MODULES = frozenset({
    "acquiring", "accounts", "authorisations", "bills", "merchant_balance", "prepaid",
    "wealth", "points", "reads", "sessions",
})


def has_right(state: State, operator_id: str, module: str, duty: str) -> bool:
    """Whether a group of the operator has the right (rule D4a.6: group x module)."""
    operator = state.get("operator", operator_id)
    if operator is None or not operator["enabled"]:
        return False
    rights = state.table("right")
    return any(
        f"{group}/{module}/{duty}" in rights
        for group in state.get("membership", operator_id) or ()
    )


def bootstrapping(state: State) -> bool:
    """Whether the ledger has no two people yet who could enter and review: until then the first
    operators, groups and rights are set by the house's own system."""
    reviewers = {
        operator for operator in state.table("operator")
        if has_right(state, operator, "authority", "review")
    }
    return len(reviewers) < 2


def may_enter(state: State, actor: Actor, operation: Operation) -> Refusal | None:
    """Whether the sender may send this type at all."""
    if operation.module == "system" and actor != LEDGER:
        return Refusal("no_right", f"the ledger itself sends a {operation.type}", "type")
    if actor.kind == "system":
        return None
    if actor.kind == "caller":
        if operation.module not in CALLER_MODULES or operation.approval is not None:
            return Refusal("no_right", f"a caller does not send a {operation.type}", "type")
        return None
    if operation.module == "approvals" or has_right(state, actor.id, operation.module, "enter"):
        return None
    return Refusal(
        "no_right", f"{actor.id} has not the right to enter in {operation.module}", "type"
    )


def may_read(state: State, actor: Actor, party_id: str | None, tenant_id: str | None) -> bool:
    """Whether the sender may read what belongs to this party: a caller that of its merchants and
    of their users (rules D0.1, D0.53). What has no party belongs to its tenant, if to any."""
    if actor.kind != "caller":
        return True
    allowed = state.acts_for(actor.id)
    if party_id is None:
        return tenant_id in allowed
    if party_id in allowed:
        return True
    party = state.get("party", party_id) or {}
    return party.get("kind") in ("user", "card") and party.get("owner_id") in allowed


def may_act_for(
    state: State, actor: Actor, merchant_id: str | None, user_id: str | None
) -> Refusal | None:
    """Whether a caller may touch this merchant's books, or this user's (rules D0.37, D0.38,
    D0.53). The house's own systems and people may touch all."""
    if actor.kind != "caller":
        return None
    allowed = state.acts_for(actor.id)
    if merchant_id is not None and merchant_id not in allowed:
        return Refusal("not_your_merchant", f"{actor.id} does not act for {merchant_id}")
    if user_id is not None:
        user = state.get("party", user_id)
        owner = None if user is None else user.get("owner_id")
        if owner not in allowed and not (owner is None and merchant_id is not None):
            return Refusal("not_your_merchant", f"{actor.id} does not act for {user_id}")
    if merchant_id is None and user_id is None:
        return Refusal("not_your_merchant", "a caller acts for its merchant and its users")
    return None
