"""What the console's pages show: plain values, put together in one call each. Called in the
writer's thread, like :mod:`ledger.service.queries`, so every page is of one state."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from ledger.domain.chain import journal_id, journal_of
from ledger.domain.chart import BOOKS
from ledger.service.entry_views import listed
from ledger.service.faults import RequestRefused
from ledger.service.history import shown

if TYPE_CHECKING:
    from ledger.domain.account import Account
    from ledger.service.ledger import Ledger

#: Accounts below one account that its page shows.
BELOW_LIMIT = 200
_KINDS = ("asset", "expense", "liability", "equity", "income")


def frame(ledger: Ledger) -> dict[str, Any]:
    """The state of the ledger that every page names at its top."""
    now = ledger.clock.now()
    return {
        "simulated": ledger.clock.simulated, "clock": now,
        "booking_date": None if now is None else ledger.clock.booking_date(now),
        "last_closed": ledger.head.closed, "last_sequence": ledger.head.sequence,
    }


def overview(ledger: Ledger) -> dict[str, Any]:
    """How much there is of everything."""
    state, today = ledger.state, frame(ledger)["booking_date"]
    waiting = state.table("pending")
    bills = [b["issued_on"] for b in state.table("bill").values() if b["confirmed_on"] is None]
    return {
        "accounts": sum(len(accounts) for accounts in state.accounts.values()),
        "journals": ledger.head.journal, "holds": len(state.holds), "waiting": len(waiting),
        "waiting_since": min((w["booked_at"] for w in waiting.values()), default=None),
        "bills": len(bills), "billed_since": min(bills, default=None),
        "held_since": min((h["placed_on"] for h in state.holds.values()), default=None),
        "stops": len(state.table("stop")),
        "stopped": [stop for _, stop in sorted(state.table("stop").items())][:3],
        "parties": len(state.table("party")),
        "limits": sum(in_force(row, today) for row in state.table("limit").values()),
    }


def find(ledger: Ledger, text: str) -> tuple[str, str] | None:
    """What carries this number: (`journal`, `account`, `party` or `entry`, its own number)."""
    number = journal_of(text)
    if number is not None and ledger.store.find_by_journal(number) is not None:
        return "journal", text
    if any(text in accounts for accounts in ledger.state.accounts.values()):
        return "account", text
    row = ledger.store.find_by_business_key([text]).get(text)
    if row is not None:
        return ("entry", str(row[0])) if row[1] is None else ("journal", journal_id(row[1]))
    if ledger.state.get("party", text) is not None:
        return "party", text
    return None


def in_force(row: Mapping[str, Any], today: str | None) -> bool:
    """Whether a row of a register with validity is in force on a date."""
    until = row.get("valid_to")
    return today is None or (row["valid_from"] <= today and (until is None or today <= until))


# accounts


def chart(ledger: Ledger) -> list[dict[str, Any]]:
    """The tree down to the lines of the chart: books, kinds, lines, each the sum of what stands
    below it, on its normal side."""
    found: dict[tuple[str, str], list[int]] = {}
    for currency, accounts in ledger.state.accounts.items():
        for account in accounts.values():
            line = found.setdefault((currency, account.code), [0, 0])
            line[0] += 1
            line[1] += account.balance
    classes = ledger.chart.classes
    tree = []
    for currency in sorted(ledger.state.accounts):
        for books in BOOKS:
            kinds = []
            for kind in _KINDS:
                lines = [
                    {
                        "code": code, "zh": line.name_zh, "en": line.name_en,
                        "party": line.party, "accounts": found[currency, code][0],
                        "balance": found[currency, code][1],
                    }
                    for code, line in classes.items()
                    if (line.books, line.kind) == (books, kind) and (currency, code) in found
                ]
                if lines:
                    kinds.append({
                        "kind": kind, "side": classes[lines[0]["code"]].normal_side,
                        "lines": lines, "accounts": sum(x["accounts"] for x in lines),
                        "balance": sum(x["balance"] for x in lines),
                    })
            if kinds:
                sides = {
                    side: sum(k["balance"] for k in kinds if k["side"] == side) for side in "DC"
                }
                tree.append({
                    "currency": currency, "books": books, "kinds": kinds,
                    "debit": sides["D"], "credit": sides["C"],
                })
    return tree


def account_of(account: Account) -> dict[str, Any]:
    return {
        "account_id": account.account_id, "code": account.code, "zh": account.line.name_zh,
        "en": account.line.name_en, "kind": account.line.kind, "books": account.line.books,
        "side": account.line.normal_side, "party_id": account.party_id,
        "currency": account.currency_code, "balance": account.balance, "held": account.held,
        "available": account.available, "status": account.status, "frozen": account.frozen,
        "parent": account.parent, "tenant": account.tenant,
        "opened_date": account.opened_date, "floor": account.floor,
        "purpose": sorted(account.purpose) if account.purpose else None,
    }


def line_accounts(
    ledger: Ledger, code: str, currency: str, after: str, limit: int
) -> dict[str, Any]:
    """The accounts of one line of the chart by account id, and the line's sum.

    :raises RequestRefused: 404 `unknown_account_code`
    """
    line = ledger.chart.classes.get(code)
    if line is None:
        raise RequestRefused("unknown_account_code", "it is not in the chart of accounts", 404)
    total = number = 0
    later = []
    for account in ledger.state.accounts.get(currency, {}).values():
        if account.code == code:
            total += account.balance
            number += 1
            if account.account_id > after:
                later.append(account)
    page = heapq.nsmallest(limit + 1, later, key=lambda a: a.account_id)
    return {
        "code": code, "zh": line.name_zh, "en": line.name_en, "books": line.books,
        "kind": line.kind, "party": line.party, "currency": currency, "total": total,
        "number": number, "rows": [account_of(a) for a in page[:limit]],
        "next": page[limit - 1].account_id if len(page) > limit else None,
    }


def account(
    ledger: Ledger, account_id: str, currency: str | None, value_date: str | None,
    known_at: str | None, before: int | None, limit: int,
) -> dict[str, Any]:
    """One account: now, at the dates asked for, what stands below it, its newest journals.

    :param currency: None: the first in which it is open
    :param value_date: with `known_at` (UTC text), which balance is asked for; None: neither
    :param before: sequence; journals older than that one
    :raises RequestRefused: 404 `account_not_open`
    """
    currencies = sorted(c for c, a in ledger.state.accounts.items() if account_id in a)
    found = None
    if currencies:
        found = ledger.state.account(account_id, currency or currencies[0])
    if found is None:
        raise RequestRefused("account_not_open", "there is no such open account", 404)
    currency = found.currency_code
    now = ledger.clock.now()
    day = value_date or (None if now is None else ledger.clock.booking_date(now))
    moment = known_at or now
    then = None
    if day is not None and moment is not None:
        sum_ = ledger.history.balance(ledger.store, account_id, currency, day, moment)
        then = {
            "value_date": day, "known_at": moment,
            "balance": shown(sum_, found.line.normal_side),
        }
    sequences = newest(ledger, account_id, currency, before, limit + 1)
    return {
        **account_of(found), "currencies": currencies, "then": then,
        "holds": sum(
            (h["account_id"], h["currency_code"]) == (account_id, currency)
            for h in ledger.state.holds.values()
        ),
        "below": _below(ledger, found),
        "journals": [
            _moved(row, account_id, currency)
            for number in sequences[:limit] for row in ledger.store.entries(number, number)
        ],
        "older": sequences[limit - 1] if len(sequences) > limit else None,
    }


def _below(ledger: Ledger, top: Account) -> dict[str, Any] | None:
    """What hangs under an account, depth first, each with its own balance and its total; totals
    on the side of the account itself. None when nothing does."""
    children: dict[str, list[Account]] = {}
    for other in ledger.state.accounts[top.currency_code].values():
        if other.parent is not None:
            children.setdefault(other.parent, []).append(other)
    if top.account_id not in children:
        return None
    totals: dict[str, int] = {}
    order: list[tuple[Account, int]] = []
    stack = [(top, 0)]
    while stack:
        account, depth = stack.pop()
        order.append((account, depth))
        listed = sorted(
            children.get(account.account_id, ()), key=lambda a: a.account_id, reverse=True
        )
        stack += [(child, depth + 1) for child in listed]
    for account, _ in reversed(order):
        totals[account.account_id] = account.balance * account.debit_sign + sum(
            totals[child.account_id] for child in children.get(account.account_id, ())
        )
    rows = [
        {
            **account_of(account), "depth": depth,
            "own": account.balance,
            "total": shown(totals[account.account_id], account.line.normal_side),
        }
        for account, depth in order[1 : BELOW_LIMIT + 1]
    ]
    total = shown(totals[top.account_id], top.line.normal_side)
    return {
        "rows": rows, "number": len(order) - 1, "children": total - top.balance, "total": total,
    }


def newest(
    ledger: Ledger, account_id: str, currency: str, before: int | None, limit: int
) -> list[int]:
    """Sequences of the newest entries that moved an account, newest first.

    Looks no further back than it has to: a busy account has millions.
    """
    segments = sorted(
        (
            segment for segment in ledger.history.segments(ledger.store, account_id, currency)
            if before is None or segment.first_sequence < before
        ),
        key=lambda segment: segment.last_sequence, reverse=True,
    )
    found: set[int] = set()
    for segment in segments:
        if len(found) >= limit and min(heapq.nlargest(limit, found)) > segment.last_sequence:
            break
        postings = ledger.history.postings(ledger.store, segment)
        found.update(s for s in postings[0::3] if before is None or s < before)
    return heapq.nlargest(limit, found)


def _moved(row: tuple, account_id: str, currency: str) -> dict[str, Any]:
    sides = {"D": 0, "C": 0}
    for leg in orjson.loads(row[13]):
        if (leg[0], leg[1]) == (account_id, currency):
            sides[leg[2]] += leg[3]
    return {**listed(row), "debit": sides["D"], "credit": sides["C"]}


def day(ledger: Ledger, booking_date: str, after: int, limit: int) -> dict[str, Any]:
    """The journals of a date in their order, and its signed head when it is closed."""
    rows = ledger.store.find_journals(booking_date, None, after, limit + 1)
    close = ledger.store.find_close(booking_date)
    head = None
    if close is not None:
        head = orjson.loads(close["document"])
        for line in head["trial_balance"]:
            known = ledger.chart.classes.get(line["account_code"])
            line["zh"], line["en"] = (known.name_zh, known.name_en) if known else ("", "")
    closed = ledger.store.closed_dates()
    return {
        "day": booking_date, "head": head,
        "rows": [{**listed(row), "totals": _totals(row)} for row in rows[:limit]],
        "next": rows[limit - 1][1] if len(rows) > limit else None,
        "last_closed": closed[-1] if closed else None,
    }


def _totals(row: tuple) -> dict[str, int]:
    totals: dict[str, int] = {}
    for leg in orjson.loads(row[13]):
        if leg[2] == "D":
            totals[leg[1]] = totals.get(leg[1], 0) + leg[3]
    return totals


# the chain


def closed_days(ledger: Ledger, before: str | None, limit: int) -> dict[str, Any]:
    """Closed dates, newest first."""
    dates = [
        day for day in reversed(ledger.store.closed_dates()) if before is None or day < before
    ]
    rows = []
    for closed in dates[:limit]:
        close = ledger.store.find_close(closed)
        assert close is not None
        rows.append({
            "day": closed, "closed_at": close["closed_at"], "journals": close["journals"],
            "legs": close["legs"],
        })
    return {"rows": rows, "older": dates[limit - 1] if len(dates) > limit else None}


def chain(ledger: Ledger, before: int | None, limit: int) -> dict[str, Any]:
    """The end of the log and the signed heads, newest first.

    Each head comes with the document that was signed, to compare its file with.

    :param before: number of a head in the order of signing; heads before that one
    """
    last = ledger.store.last_entry()
    number = signed_through = 0
    shown_heads: deque[tuple[int, dict[str, Any]]] = deque(maxlen=limit)
    for number, head in enumerate(ledger.store.heads(), 1):
        signed_through = head["sequence"]
        if before is None or number < before:
            shown_heads.append((number, head))
    heads = []
    for place, head in reversed(shown_heads):
        document = orjson.loads(head["document"])
        heads.append({
            "number": place, "name": head["name"], "day": document.get("booking_date"),
            "signed_at": document.get("closed_at") or document.get("signed_at"),
            "sequence": head["sequence"], "digest": head["digest"].hex(),
            "key_id": head["key_id"], "document": head["document"],
            "signature": head["signature"],
        })
    oldest = heads[-1]["number"] if heads else 1
    return {
        "last": None if last is None else {**listed(last), "digest": last[16].hex()},
        "journals": ledger.head.journal, "last_closed": ledger.head.closed,
        "closed": len(ledger.store.closed_dates()), "signed": number,
        "key_id": ledger.signer.key_id, "heads": heads,
        "older": oldest if oldest > 1 else None, "paged": before is not None,
        "since_head": ledger.head.sequence - signed_through,
    }
