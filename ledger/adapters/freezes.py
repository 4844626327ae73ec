"""What a date's freezes and stops keep back of the payouts that were instructed before them: the
files for the banks are written after the close, so that money has not left yet (rules D0.17,
D2.10). A freeze of an amount keeps back as much as it lacks: see :func:`_short`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

import orjson

from ledger.adapters.data_files import load_hold_kinds
from ledger.adapters.instructed import Payout
from ledger.adapters.sql_reader import SqlReader
from ledger.domain.chart import parts_of
from ledger.domain.holds import left

#: Operations that place or end a freeze of a whole account, or a stop.
FREEZING = (
    "account_status", "hold", "hold_expiry", "hold_release", "hold_takeover", "stop", "stop_lift",
)
#: Operations that place a freeze, of an amount too.
_PLACING = ("denied_payment", "hold")
_NOTHING_OUT = frozenset({"closed", "frozen", "no_debit"})
#: After a payout that was booked when it was made the account may close; that freezes nothing.
_BOOKED_STAYS = frozenset({"frozen", "no_debit"})


def kept_back(reader: SqlReader, day: date, payouts: list[Payout]) -> set[str]:
    """Numbers of the payouts that stay: of those that hold their money, and of those of the
    institution's own books, which were booked when they were made and are booked back
    (`settlement_returned`). Self-managed money is no bank's to keep back: its books alone have
    moved."""
    freezes = Freezes(reader.posted_of(day.isoformat(), FREEZING))
    held = [payout for payout in payouts if payout.held_minor is not None]
    kept = {
        payout.number for payout in payouts
        if payout.mode != "self" and (payout.held_minor is not None or payout.kind == "settlement")
        and freezes.keep(
            payout.sequence, payout.account_id, payout.currency_code, payout.rail,
            booked=payout.held_minor is None,
        )
    }
    return kept | _for_amounts(reader, day, held, kept)


def _for_amounts(
    reader: SqlReader, day: date, held: list[Payout], kept: set[str]
) -> set[str]:
    """Numbers of the payouts that stay since an account lacks what is frozen on it: the newest
    first, each whole, until it is there.

    :param held: payouts that hold their money, in the order of the log
    :param kept: those of them that stay anyway
    """
    first = min((date.fromisoformat(payout.began_on) for payout in held), default=day)
    frozen = _frozen(reader, first, day)
    accounts = {
        (payout.account_id, payout.currency_code) for payout in held
        if frozen.get((payout.account_id, payout.currency_code), 0) > payout.began
    }
    stay = set()
    for (account_id, currency), lacks in _short(reader, day, accounts).items():
        there = [p for p in held if (p.account_id, p.currency_code) == (account_id, currency)]
        lacks -= sum(p.held_minor or 0 for p in there if p.number in kept)
        for payout in reversed(there):
            if lacks > 0 and payout.number not in kept:
                stay.add(payout.number)
                lacks -= payout.held_minor or 0
    return stay


def _frozen(reader: SqlReader, first: date, last: date) -> dict[tuple[str, str], int]:
    """The last entry of these dates that placed a freeze of an amount, by account and currency."""
    found = {}
    for number in range((last - first).days + 1):
        for row in reader.posted_of((first + timedelta(number)).isoformat(), _PLACING):
            for effect in orjson.loads(row[14]):
                if effect[0] == "hold" and effect[2]["scope"] == "amount":
                    found[effect[2]["account_id"], effect[2]["currency_code"]] = row[0]
    return found


def _short(
    reader: SqlReader, day: date, accounts: set[tuple[str, str]]
) -> dict[tuple[str, str], int]:
    """What accounts lack, at a date's close, of the amounts that are frozen on them: all that is
    held there less the balance, at most those freezes. Of accounts alone that lack something.

    Only such kinds of holds can lack it as may be larger than what is there (an authority's order,
    a denied payment …); all others were tested when they were placed. Goes through the log, where
    all holds stand; it is asked for accounts with a freeze between an instruction and its file.
    """
    holds: dict[tuple[str, str], dict[str, dict[str, Any]]] = {one: {} for one in accounts}
    for effects in reader.hold_effects(day.isoformat(), {one[0] for one in accounts}):
        for effect in orjson.loads(effects):
            if effect[0] == "hold":
                of = holds.get((effect[2]["account_id"], effect[2]["currency_code"]))
                if of is not None:
                    of[effect[1]] = effect[2]
    kinds = load_hold_kinds()
    short = {}
    for one, by_id in holds.items():
        balance = reader.day_balance(day.isoformat(), *one)
        open_ = [hold for hold in by_id.values() if not hold["ended"]]
        freezes = sum(left(hold) for hold in open_ if kinds[hold["kind"]].exceeds)
        lacks = sum(left(hold) for hold in open_) - (balance[5] if balance else 0)
        if min(freezes, lacks) > 0:
            short[one] = min(freezes, lacks)
    return short


class Freezes:
    """Those of a date.

    :param rows: its posted entries of :data:`FREEZING`, in the order of the log
    """

    def __init__(self, rows: Iterable[tuple]) -> None:
        self._changes = [
            (row[0], effect) for row in rows for effect in orjson.loads(row[14])
            if effect[0] in ("hold", "account") or effect[:2] == ["put", "stop"]
        ]

    def keep(
        self, sequence: int, account_id: str, currency: str, rail: str, *, booked: bool
    ) -> bool:
        """Whether money of an account that an entry holds for the bank, or has booked out, stays:
        at the end of the date the whole account was frozen, let nothing out or was under a stop of
        everything that came after the entry. What was there before has refused it.

        :param rail: over which the money leaves
        :param booked: the entry is the payout itself, whose result nobody says
        """
        stays = _BOOKED_STAYS if booked else _NOTHING_OUT
        frozen: dict[str, bool] = {}
        for at, effect in self._changes:
            if at < sequence:
                continue
            if effect[0] == "hold":
                if _same(effect[2], account_id, currency) and effect[2]["scope"] == "account":
                    frozen[effect[1]] = not effect[2]["ended"]
            elif effect[0] == "account":
                if effect[1:3] == [account_id, currency] and "status" in effect[3]:
                    frozen["status of the account"] = effect[3]["status"] in stays
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
