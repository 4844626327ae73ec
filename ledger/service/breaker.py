"""The circuit breaker: many refusals or failed results of a merchant, or over a rail, in a short
time stop its new business.

Works on times and outcomes of entries. Whose they are is known as they are decided: a refund names
its payment alone, a withdrawal its user, and a bank's result comes later, under a number of its
own. The stop is an ordinary emergency stop, placed by the ledger, with a record of why, who, how
much; two people lift it. Rules D0.66, D2.10.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ledger.domain.actors import Actor
from ledger.domain.state import State
from ledger.service.history import seconds

if TYPE_CHECKING:
    from ledger.service.ledger import Ledger


class Noted(NamedTuple):
    """What one command counts for: `amount` minor units, `failed` when it was refused or is the
    failed result of an earlier one."""

    at: str
    merchant: str | None
    rail: str | None
    failed: bool
    amount: int


def noted(
    state: State, actor: Actor, values: Mapping[str, Any],
    seen: tuple[str | None, str | None, str | None, Mapping[str, Any] | None] | None, done: bool,
    at: str,
) -> Noted:
    """What a decided command counts for. What a caller names counts only for those for whom it
    acts: it does not stop another tenant by refusals that it provokes.

    :param actor: who sent it
    :param seen: merchant, user, rail and original as decided; None: it was refused before these
        were known
    """
    merchant, user, rail, original = seen or (
        values.get("merchant_id"), values.get("user_id"), None, None
    )
    if merchant is None and user is not None:  # a member's business is its merchant's
        merchant = (state.get("party", user) or {}).get("owner_id")
    if merchant not in state.table("party"):  # a stop names something that there is
        merchant = None
    if actor.kind == "caller" and merchant not in state.acts_for(actor.id):
        merchant = None
    amount = values.get("amount_minor") or (original or {}).get("amount_minor") or 0
    return Noted(at, merchant, rail, not done, amount)


class Breaker:
    """Counts by merchant and by rail over one open ledger; starts empty with the service."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._seen: dict[tuple[str, str], deque[tuple[int, bool, int]]] = {}

    def watch(self, commands: Iterable[Noted]) -> Iterator[dict[str, Any]]:
        """Take in what was committed; the commands that stop who crosses a rule, each to be posted
        before the next is asked for."""
        rules = self.ledger.state.tables.get("breaker")
        if not rules:
            return
        touched: dict[tuple[str, str], str] = {}
        for command in commands:
            for scope, target in (("merchant", command.merchant), ("rail", command.rail)):
                if target is not None and scope in rules:
                    self._seen.setdefault((scope, target), deque()).append((
                        seconds(command.at), command.failed,
                        command.amount if command.failed else 0,
                    ))
                    touched[scope, target] = command.at
        for (scope, target), at in touched.items():
            stop = self._judge(scope, target, at, rules[scope])
            if stop is not None:
                yield stop
                self._seen[scope, target].clear()

    def _judge(
        self, scope: str, target: str, at: str, rule: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        seen = self._seen[scope, target]
        oldest = seconds(at) - rule["window_seconds"]
        while seen and seen[0][0] < oldest:
            seen.popleft()
        failed = sum(entry[1] for entry in seen)
        if len(seen) < rule["least_count"] or failed * 100 < rule["refused_percent"] * len(seen):
            return None
        if any(
            stop["scope"] == scope and stop["target"] == target
            for stop in self.ledger.state.table("stop").values()
        ):
            return None
        amount = sum(entry[2] for entry in seen)
        reason = (
            f"{failed} of {len(seen)} commands {'over' if scope == 'rail' else 'of'} {target} "
            f"refused or failed within {rule['window_seconds']} seconds, {amount} minor units in "
            "all"
        )
        # a number that nobody can have used before
        name = f"breaker-{self.ledger.head.sequence + 1}-{secrets.token_hex(8)}"
        command = {
            "type": "stop", "idempotency_key": name, "stop_id": name,
            "stop_scope": scope, "stop_target": target, "stop_mode": "new_business",
            "reason": reason,
        }
        if self.ledger.clock.simulated:
            command["occurred_at"] = at
        return command
