"""What a date's freezes and stops keep back of the payouts that were instructed before them: the
files for the banks are written after the close, so that money has not left yet (rules D0.17,
D2.10)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any

import orjson

from ledger.adapters.instructed import Payout
from ledger.adapters.sql_reader import SqlReader
from ledger.domain.chart import parts_of

#: Operations that place or end a freeze of a whole account, or a stop.
FREEZING = (
    "account_status", "hold", "hold_expiry", "hold_release", "hold_takeover", "stop", "stop_lift",
)
_NOTHING_OUT = frozenset({"closed", "frozen", "no_debit"})


def kept_back(reader: SqlReader, day: date, payouts: list[Payout]) -> set[str]:
    """Numbers of the payouts that hold their money and keep it. What was booked has left its
    account."""
    freezes = Freezes(reader.posted_of(day.isoformat(), FREEZING))
    return {
        payout.number for payout in payouts if payout.held_minor is not None and freezes.keep(
            payout.sequence, payout.account_id, payout.currency_code, payout.rail
        )
    }


class Freezes:
    """Those of a date.

    :param rows: its posted entries of :data:`FREEZING`, in the order of the log
    """

    def __init__(self, rows: Iterable[tuple]) -> None:
        self._changes = [
            (row[0], effect) for row in rows for effect in orjson.loads(row[14])
            if effect[0] in ("hold", "account") or effect[:2] == ["put", "stop"]
        ]

    def keep(self, sequence: int, account_id: str, currency: str, rail: str) -> bool:
        """Whether money of an account that an entry holds for the bank stays: at the end of the
        date the whole account was frozen, let nothing out or was under a stop of everything that
        came after the entry. What was there before has refused it.

        :param rail: over which the money leaves
        """
        frozen: dict[str, bool] = {}
        for at, effect in self._changes:
            if at < sequence:
                continue
            if effect[0] == "hold":
                if _same(effect[2], account_id, currency) and effect[2]["scope"] == "account":
                    frozen[effect[1]] = not effect[2]["ended"]
            elif effect[0] == "account":
                if effect[1:3] == [account_id, currency] and "status" in effect[3]:
                    frozen["status of the account"] = effect[3]["status"] in _NOTHING_OUT
            else:
                frozen[f"stop {effect[2]}"] = _covers(effect[3], account_id, rail)
        return any(frozen.values())


def _same(hold: dict[str, Any], account_id: str, currency: str) -> bool:
    return (hold["account_id"], hold["currency_code"]) == (account_id, currency)


def _covers(stop: dict[str, Any] | None, account_id: str, rail: str) -> bool:
    """Whether a stop that is there covers everything of an account or of the rail."""
    if stop is None or stop["mode"] != "everything":
        return False
    return stop["scope"] == "all" or (stop["scope"], stop["target"]) in (
        ("account", account_id), ("merchant", parts_of(account_id)[1]), ("rail", rail),
    )
