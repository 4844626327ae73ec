"""Reads: health, balances, journals, heads. Called in the writer's thread, so they see commits."""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Iterable
from datetime import date
from typing import TYPE_CHECKING, Any

import orjson

from ledger.domain.chain import journal_id, journal_of
from ledger.domain.fields import parse_day, parse_moment
from ledger.domain.holds import left
from ledger.domain.shards import shards_of
from ledger.service.day_close import shown_head
from ledger.service.deadlines import deadlines
from ledger.service.faults import RequestRefused
from ledger.service.history import shown

if TYPE_CHECKING:
    from ledger.domain.account import Account
    from ledger.service.ledger import Ledger

#: The longest page of a list.
PAGE_LIMIT = 1000
_POSITION = re.compile(r"[A-Z]{3}/[A-Z]{3}\Z")
_DEADLINE = re.compile(r"\d{4}-\d{2}-\d{2}/[a-z_]+/")


def _page(keys: Iterable[Any], after: Any, limit: int) -> tuple[list[Any], Any]:
    """The keys of a page in their order, and the last of them when more follow. A page begins
    after a key, whether that is still there or not, so what comes and goes in between neither
    repeats nor hides anything else."""
    later = keys if after is None else (key for key in keys if key > after)
    found = heapq.nsmallest(limit + 1, later)
    return found[:limit], found[limit - 1] if len(found) > limit else None


def health(ledger: Ledger) -> dict[str, Any]:
    """That the service is there and how far the log is, from memory: it waits for nobody."""
    return {
        "status": "ok",
        "simulated": ledger.clock.simulated,
        "clock": ledger.clock.now(),
        "last_sequence": ledger.head.sequence,
        "last_closed": ledger.head.closed,
    }


def today(ledger: Ledger) -> date:
    """The business date by the ledger's clock.

    :raises RequestRefused: `clock_not_set`
    """
    now = ledger.clock.now()
    if now is None:
        raise RequestRefused("clock_not_set", "the simulated clock was never set", 409)
    return date.fromisoformat(ledger.clock.booking_date(now))


def _account(ledger: Ledger, account: Account) -> dict[str, Any]:
    return {
        "account_id": account.account_id, "account_code": account.code,
        "account_kind": account.line.kind, "books": account.line.books,
        "party_id": account.party_id, "currency_code": account.currency_code,
        "scale": ledger.chart.currencies[account.currency_code],
        "balance_minor": account.balance, "held_minor": account.held,
        "available_minor": account.available, "status": account.status,
        "parent_account_id": account.parent,
    }


def balances(
    ledger: Ledger, account_code: str | None, party_id: str | None, currency_code: str | None,
    after: str | None, limit: int, readable: Callable[[Account], bool] = lambda _: True,
) -> dict[str, Any]:
    """A page of balances by account id and currency, of the accounts that are `readable`; `next`
    continues it."""
    start = None
    if after is not None:
        name, _, currency = after.rpartition("/")
        start = (name, currency)
    found = [
        account for account in ledger.state.all_accounts()
        if (account_code is None or account.code == account_code)
        and (party_id is None or account.party_id == party_id)
        and (currency_code is None or account.currency_code == currency_code)
        and readable(account)
        and (start is None or (account.account_id, account.currency_code) > start)
    ]
    page = found[:limit]
    return {
        "balances": [_account(ledger, account) for account in page],
        "next": (
            f"{page[-1].account_id}/{page[-1].currency_code}" if len(found) > limit else None
        ),
    }


def open_account(ledger: Ledger, account_id: str, currency_code: str | None) -> Account:
    """The account that a read is about. A currency may be left out where the account is open in one
    alone: nobody is told a balance in a currency that was not asked for.

    :raises RequestRefused: `account_not_open`, `invalid_field` when it is open in several
    """
    found = [
        accounts[account_id] for currency, accounts in ledger.state.accounts.items()
        if account_id in accounts and currency_code in (None, currency)
    ]
    if not found:
        raise RequestRefused("account_not_open", f"account {account_id} is not open", 404)
    if len(found) > 1:
        several = ", ".join(sorted(account.currency_code for account in found))
        raise RequestRefused(
            "invalid_field", f"account {account_id} is open in {several}: name a currency_code"
        )
    return found[0]


def positions(
    ledger: Ledger, after: str | None = None, limit: int = PAGE_LIMIT
) -> dict[str, Any]:
    """What is open of exchanges, by the currency sold and the one bought: what customers gave and
    got, minor units of each, and is not squared with a bank yet.

    :raises RequestRefused: `invalid_field`
    """
    if after is not None and not _POSITION.match(after):
        raise RequestRefused("invalid_field", "after is two currencies, like USD/CNY")
    scales, found = ledger.chart.currencies, ledger.state.tables.get("position", {})
    names, following = _page(found, after, limit)
    rows = []
    for name in names:
        sold, _, bought = name.partition("/")
        rows.append({
            "currency_code": sold, "scale": scales[sold], "sold_minor": found[name]["sold"],
            "bought_currency_code": bought, "bought_scale": scales[bought],
            "bought_minor": found[name]["bought"],
        })
    return {"positions": rows, "next": following}


def balance_at(
    ledger: Ledger, account_id: str, currency_code: str | None, value_date: str | None,
    known_at: str | None,
) -> dict[str, Any]:
    """One account's balance, its shards included, as of a value date and as known at a time.

    :raises RequestRefused: `account_not_open`, `invalid_field`
    """
    account = open_account(ledger, account_id, currency_code)
    currency_code = account.currency_code
    now = ledger.clock.now()
    moment = now if known_at is None else parse_moment(known_at)
    if moment is None:
        raise RequestRefused("invalid_field", "known_at is an ISO 8601 time with zone")
    day = ledger.clock.booking_date(moment) if value_date is None else parse_day(value_date)
    if day is None:
        raise RequestRefused("invalid_field", "value_date is a date like 2026-09-12")
    sum_ = sum(
        ledger.history.balance(ledger.store, part.account_id, currency_code, day, moment)
        for part in (account, *shards_of(ledger.state, account))
    )
    return {
        "account_id": account_id, "currency_code": currency_code,
        "scale": ledger.chart.currencies[currency_code], "value_date": day, "known_at": moment,
        "balance_minor": shown(sum_, account.line.normal_side),
    }


def standing(ledger: Ledger, account_id: str, currency_code: str | None) -> dict[str, Any]:
    """What an account's owner is shown, after the identity check of who asks: balance, what is
    available and frozen, bound accounts, and `normal`, `frozen` or `abnormal`, which follow from
    the account's status, its party's state and its holds (rule D1.7).

    :raises RequestRefused: `account_not_open`
    """
    account = open_account(ledger, account_id, currency_code)
    currency_code = account.currency_code
    party = ledger.state.get("party", account.party_id or "") or {}
    if account.status == "frozen" or account.frozen or any(
        hold["account_id"] == account_id and hold["currency_code"] == currency_code
        and ledger.hold_kinds[hold["kind"]].released_by != "operation"
        for hold in ledger.state.holds.values()
    ):
        shows = "frozen"
    elif account.status != "normal" or party.get("state", "active") != "active":
        shows = "abnormal"
    else:
        shows = "normal"
    below = sum(shard.balance for shard in shards_of(ledger.state, account))
    return {
        **_account(ledger, account), "balance_minor": account.balance + below,
        "available_minor": account.available + below,
        "frozen_minor": account.balance if account.frozen else account.held,
        "shows": shows, "party_state": party.get("state"), "grade": party.get("grade"),
        "destinations": sorted(
            name for name, bound in ledger.state.table("destination").items()
            if bound["party_id"] == account.party_id
        ),
    }


def tree(ledger: Ledger, account_id: str, currency_code: str | None) -> dict[str, Any]:
    """An account with all below it, and their totals (parent = own balance and the sum of its
    children). A flat list, so that any depth can be sent and read: the account first, at level 0,
    each other one behind its parent, by account id.

    :raises RequestRefused: `account_not_open`
    """
    account = open_account(ledger, account_id, currency_code)
    currency_code = account.currency_code
    below: dict[str | None, list[Account]] = {}
    for other in ledger.state.accounts[currency_code].values():
        below.setdefault(other.parent, []).append(other)
    listed: list[tuple[Account, int]] = []
    waiting = [(account, 0)]
    while waiting:
        top, level = waiting.pop()
        listed.append((top, level))
        children = sorted(below.get(top.account_id, ()), key=lambda a: a.account_id, reverse=True)
        waiting += [(child, level + 1) for child in children]
    totals = {one.account_id: one.balance * one.debit_sign for one, _ in listed}
    for one, level in reversed(listed):  # children before their parents
        if level and one.parent is not None:
            totals[one.parent] += totals[one.account_id]
    return {
        "account_id": account_id, "currency_code": currency_code,
        "scale": ledger.chart.currencies[currency_code],
        "accounts": [
            {
                **_account(ledger, one), "level": level,
                "total_debit_minor": totals[one.account_id],
                "total_minor": shown(totals[one.account_id], one.line.normal_side),
            }
            for one, level in listed
        ],
    }


def show(row: tuple) -> dict[str, Any]:
    """A journal as the interfaces give it."""
    legs = orjson.loads(row[13])
    content = orjson.loads(row[12])
    return {
        "journal_id": journal_id(row[1]),
        "sequence": row[0],
        "journal_type": row[2],
        "business_key": row[6],
        "idempotency_key": row[5],
        "actor": row[7],
        "booking_date": row[10],
        "value_date": row[11],
        "booked_at": row[9],
        "content": content,
        "chain_digest": row[16].hex(),
        "legs": [
            {
                "leg_number": number, "account_id": leg[0], "currency_code": leg[1],
                "direction": leg[2], "amount_minor": leg[3], "component": leg[4],
                "custodian_reference": leg[5],
            }
            for number, leg in enumerate(legs, 1)
        ],
    }


def journal(ledger: Ledger, name: str) -> dict[str, Any]:
    """One journal by its number."""
    number = journal_of(name)
    row = ledger.store.find_by_journal(number) if number else None
    if row is None:
        raise RequestRefused("journal_unknown", "there is no such journal", 404)
    return show(row)


def journals(
    ledger: Ledger, booking_date: str | None, business_key: str | None, after: str | None,
    limit: int,
) -> dict[str, Any]:
    """A page of journals in chain order; `next` continues it."""
    start = 0
    if after is not None:
        found = journal_of(after)
        if found is None:
            raise RequestRefused("invalid_field", "after is a journal number")
        start = found
    rows = ledger.store.find_journals(booking_date, business_key, start, limit + 1)
    page = [show(row) for row in rows[:limit]]
    return {
        "journals": page,
        "next": page[-1]["journal_id"] if len(rows) > limit else None,
    }


def waiting(ledger: Ledger, after: int = 0, limit: int = PAGE_LIMIT) -> dict[str, Any]:
    """A page of what waits for a checker, the oldest first, with the digest that the checker
    signs; `next` continues it."""
    documents = ledger.state.table("pending")
    sequences, following = _page(map(int, documents), after, limit)
    pending = []
    for sequence in sequences:
        document = documents[str(sequence)]
        pending.append({
            "sequence": sequence, "type": document["type"], "maker": document["actor"],
            "entered_at": document["booked_at"], "content": orjson.loads(document["content"]),
            "digest": ledger.authority.digest(sequence).hex(),
        })
    return {"pending": pending, "next": following}


def due(
    ledger: Ledger, day: date, after: str | None = None, limit: int = PAGE_LIMIT
) -> dict[str, Any]:
    """A page of what is open by the day it is due, as seen on a date; `next` continues it.

    :raises RequestRefused: `invalid_field`
    """
    if after is not None and not _DEADLINE.match(after):
        raise RequestRefused("invalid_field", "after is like 2026-09-14/withdrawal/W0001")
    lines = {
        (line["due_on"], line["kind"], line["number"] or ""): line
        for line in deadlines(ledger, day)
    }
    start = None if after is None else tuple(after.split("/", 2))
    keys, following = _page(lines, start, limit)
    return {
        "date": day.isoformat(), "deadlines": [lines[key] for key in keys],
        "next": None if following is None else "/".join(following),
    }


def holds(
    ledger: Ledger, account_id: str | None, after: str | None = None, limit: int = PAGE_LIMIT,
    readable: Callable[[Account], bool] = lambda _: True,
) -> dict[str, Any]:
    """A page of open holds by their numbers, of one account or of all that are `readable`; `next`
    continues it."""
    accounts, found = ledger.state.accounts, ledger.state.holds
    names, following = _page((
        name for name, hold in found.items()
        if (account_id is None or hold["account_id"] == account_id)
        and readable(accounts[hold["currency_code"]][hold["account_id"]])
    ), after, limit)
    shown_holds = []
    for name in names:
        hold = found[name]
        shown_holds.append({
            "hold_id": name, "kind": hold["kind"], "scope": hold["scope"],
            "account_id": hold["account_id"], "currency_code": hold["currency_code"],
            "scale": ledger.chart.currencies[hold["currency_code"]],
            "placed_minor": hold["placed"], "captured_minor": hold["captured"],
            "released_minor": hold["released"], "left_minor": left(hold),
            "case_number": hold["case"], "placed_on": hold["placed_on"],
            "expires_on": hold["expires_on"],
        })
    return {"holds": shown_holds, "next": following}


def head(ledger: Ledger, day: date) -> dict[str, Any]:
    """The head of a closed date."""
    close = ledger.store.find_close(day.isoformat())
    if close is None:
        raise RequestRefused("date_open", f"{day} is not closed", 404)
    return shown_head(close, replayed=True)
