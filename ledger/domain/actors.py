"""Who sends a command, and what it may touch. Who sent it stands in the entry (rule D2.17)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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
#: Ends a caller's id within its keys: no id of a party contains it.
KEY_END = "."
#: Modules of what the service itself records in a caller's name: they touch no book, so that the
#: caller acts for no merchant in them; and how the keys begin that the service gives them.
RECORDED = {"reads": "foreign-", "sessions": "cover-"}
#: Modules of what the ledger alone records, by itself or in the name of who asked it something.
#: Nobody sends these: what the service asked before is not asked again of what is posted.
LEDGERS_OWN = frozenset({"system", *RECORDED})

#: Whom an original may be of.
_PARTIES = ("merchant_id", "user_id", "card_id", "payee_id", "party_id")
#: Register and key of what says that two people could review people and rights. Logs from before
#: version 2 of `operator`, `membership` and `right` lack it.
FOUNDED = ("authority", "founded")


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


def those_with_right(
    state: State, module: str, duty: str, change: tuple[str, str, Any] | None = None
) -> set[str]:
    """Every operator that has the right.

    :param change: table, key and document of a register, as if that stood there already
    """
    registers = {name: state.table(name) for name in ("operator", "membership", "right")}
    if change is not None:
        table, key, document = change
        registers[table] = {**registers[table], key: document}
    rights = registers["right"]
    return {
        name for name, document in registers["operator"].items()
        if document["enabled"] and any(
            rights.get(f"{group}/{module}/{duty}") is not None
            for group in registers["membership"].get(name) or ()
        )
    }


def bootstrapping(state: State) -> bool:
    """Whether there never were two people who could review people and rights: until then the
    first of them are set by the house's own system alone."""
    return state.get(*FOUNDED) is None and (
        len(those_with_right(state, "authority", "review")) < 2
    )


def may_enter(state: State, actor: Actor, operation: Operation) -> Refusal | None:
    """Whether the sender may send this type at all."""
    if actor.kind == "system":
        return None
    if actor.kind == "caller":
        if operation.callers is None:
            return Refusal("no_right", f"a caller does not send a {operation.type}", "type")
        return None
    if operation.module in ("approvals", "reads") or has_right(
        state, actor.id, operation.module, "enter"
    ):
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


def may_know(state: State, actor: Actor, original: Mapping[str, Any]) -> bool:
    """Whether a caller may know that there is such an original: one of its parties is its own
    (rule D0.53)."""
    return any(
        original.get(name) is not None and may_read(state, actor, original[name], None)
        for name in _PARTIES
    )


def own_prefix(actor: Actor) -> str:
    """How a caller's keys begin."""
    return actor.id + KEY_END


def foreign_key(actor: Actor, module: str, *keys: str | None) -> Refusal | None:
    """Whatever number a caller gives begins with its id, so that no tenant can take, guess or see
    another's (rule D0.53). The house's own systems and people number as they like."""
    own = RECORDED.get(module) or own_prefix(actor)
    for key in keys:
        if key is not None and not key.startswith(own):
            return Refusal("key_not_yours", f"keys and numbers of {actor.id} begin with {own}")
    return None


def may_report(
    state: State, actor: Actor, operation: Operation, rail: str | None
) -> Refusal | None:
    """What happened outside (money that came by a card scheme or a bank, a bank's result) is said
    by the house, or by a caller that was given this rail by maker and checker: a merchant does not
    book its own takings. Payments from account to account (`internal`) come from any caller."""
    if operation.callers != "rail" or rail == "internal":
        return None
    if rail is not None and rail in (state.get("caller", actor.id).get("rails") or ()):
        return None
    return Refusal("channel_not_open", f"{actor.id} does not report for {rail or 'the bank'}")


def may_act_for(
    state: State, actor: Actor, merchant_id: str | None, user_id: str | None
) -> Refusal | None:
    """Whether a caller may touch this merchant's books, or this user's (rules D0.37, D0.38,
    D0.53)."""
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
