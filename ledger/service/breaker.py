"""The circuit breaker: many refusals of a merchant in a short time stop its new business.

Works on what the log says (times and outcomes of entries), so that a replay finds the same. The
stop is an ordinary emergency stop, placed by the ledger, with a record of why, who, how much; two
people lift it. Rules D0.66, D2.10.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import orjson

from ledger.service.history import seconds

if TYPE_CHECKING:
    from ledger.service.ledger import Ledger


class Breaker:
    """Counts per merchant over one open ledger; starts empty with the service."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._seen: dict[str, deque[tuple[int, bool, int]]] = {}

    def watch(self, rows: Iterable[tuple]) -> Iterator[dict[str, Any]]:
        """Take committed entries in; the commands that stop who crosses the rule, each to be
        posted before the next is asked for."""
        rule = self.ledger.state.get("breaker", "merchant")
        if rule is None:
            return
        touched: dict[str, str] = {}
        for row in rows:
            content = orjson.loads(row[12])
            merchant = content.get("merchant_id")
            if merchant is None or row[4] == "pending":
                continue
            refused = row[4] == "refused"
            self._seen.setdefault(merchant, deque()).append(
                (seconds(row[9]), refused, content.get("amount_minor", 0) if refused else 0)
            )
            touched[merchant] = row[9]
        for merchant, at in touched.items():
            command = self._judge(merchant, at, rule)
            if command is not None:
                yield command
                self._seen[merchant].clear()

    def _judge(self, merchant: str, at: str, rule: dict[str, Any]) -> dict[str, Any] | None:
        seen = self._seen[merchant]
        oldest = seconds(at) - rule["window_seconds"]
        while seen and seen[0][0] < oldest:
            seen.popleft()
        refused = sum(entry[1] for entry in seen)
        if len(seen) < rule["least_count"] or (
            refused * 100 < rule["refused_percent"] * len(seen)
        ):
            return None
        if any(
            stop["scope"] == "merchant" and stop["target"] == merchant
            for stop in self.ledger.state.table("stop").values()
        ):
            return None
        amount = sum(entry[2] for entry in seen)
        reason = (
            f"{refused} of {len(seen)} commands of {merchant} refused within "
            f"{rule['window_seconds']} seconds, {amount} minor units in all"
        )
        number = self.ledger.head.sequence + 1
        command = {
            "type": "stop", "idempotency_key": f"breaker-{number}", "stop_id": f"breaker-{number}",
            "stop_scope": "merchant", "stop_target": merchant, "stop_mode": "new_business",
            "reason": reason,
        }
        if self.ledger.clock.simulated:
            command["occurred_at"] = at
        return command
