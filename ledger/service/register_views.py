"""What the console's pages show of the registers: holds, approvals, limits, stops, parties, bills.
Like :mod:`ledger.service.views`, plain values of one state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import orjson

from ledger.domain.billing import ACCRUED, DUE, PREPAID
from ledger.domain.holds import left
from ledger.service.entry_views import content_of, who
from ledger.service.faults import RequestRefused
from ledger.service.views import account_of, frame, in_force

if TYPE_CHECKING:
    from ledger.service.ledger import Ledger


def _page(rows: Sequence[Any], page: int, size: int) -> dict[str, Any]:
    start = (page - 1) * size
    return {
        "rows": rows[start : start + size], "number": len(rows), "page": page,
        "more": start + size < len(rows),
    }


def holds(ledger: Ledger, account_id: str | None, page: int, size: int) -> dict[str, Any]:
    """Open holds, the oldest first."""
    today = frame(ledger)["booking_date"]
    found = _page(sorted(
        (
            (name, hold) for name, hold in ledger.state.holds.items()
            if account_id is None or hold["account_id"] == account_id
        ),
        key=lambda item: (item[1]["placed_on"], item[0]),
    ), page, size)
    rows = []
    for name, hold in found["rows"]:
        kind = ledger.hold_kinds.get(hold["kind"])
        rows.append({
            "hold_id": name, "kind": hold["kind"], "scope": hold["scope"],
            "zh": kind.zh if kind else hold["kind"], "en": kind.en if kind else hold["kind"],
            "rule": kind.rule if kind else None, "account_id": hold["account_id"],
            "currency": hold["currency_code"], "placed": hold["placed"],
            "captured": hold["captured"], "released": hold["released"], "left": left(hold),
            "case": hold["case"], "placed_on": hold["placed_on"],
            "expires_on": hold["expires_on"], "days": _days(hold["placed_on"], today),
            "days_left": _days(today, hold["expires_on"]),
        })
    return {**found, "rows": rows, "account_id": account_id}


def _days(first: str | None, last: str | None) -> int | None:
    if first is None or last is None:
        return None
    return (date.fromisoformat(last) - date.fromisoformat(first)).days


def waiting(ledger: Ledger, page: int, size: int) -> dict[str, Any]:
    """What waits for a checker, the oldest first, with the digest that the checker signs."""
    found = _page(sorted(
        ((int(key), document) for key, document in ledger.state.table("pending").items()),
        key=lambda item: item[0],
    ), page, size)
    return {**found, "rows": [
        {
            "sequence": sequence, "type": document["type"],
            "who": who(ledger, document["actor"]), "booked_at": document["booked_at"],
            "content": content_of(
                ledger, document["type"], orjson.loads(document["content"])
            ),
            "digest": ledger.authority.digest(sequence).hex(),
        }
        for sequence, document in found["rows"]
    ]}


def limits(ledger: Ledger, page: int, size: int) -> dict[str, Any]:
    """Limits in force on the current date, and those that begin later."""
    today = frame(ledger)["booking_date"]
    rows = sorted(
        ledger.state.table("limit").values(),
        key=lambda row: (row["scene"], row["account_code"], row.get("grade", ""), row["id"]),
    )

    def told(listed: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        found = []
        for row in listed:
            line = ledger.chart.classes[row["account_code"]]
            found.append({
                # a limit of an older program has no class of its own, its scene has
                "interface_class": ledger.operations.scenes.get(row["scene"]), **row,
                "zh": line.name_zh, "en": line.name_en,
            })
        return found

    found = _page([row for row in rows if in_force(row, today)], page, size)
    later = [row for row in rows if today is not None and row["valid_from"] > today]
    return {**found, "rows": told(found["rows"]), "later": told(later[:size])}


def stops(ledger: Ledger, page: int, size: int) -> dict[str, Any]:
    """Emergency stops in force by their number. One of an older log does not say since when."""
    found = [
        {"since": None, **document, "who": who(ledger, document["placed_by"])}
        for _, document in sorted(ledger.state.table("stop").items())
    ]
    return _page(found, page, size)


def parties(
    ledger: Ledger, kind: str | None, state: str | None, page: int, size: int
) -> dict[str, Any]:
    """Parties by id, of one kind or in one state when asked for, and how many there are of
    each."""
    counts: dict[tuple[str, str], int] = {}
    names = []
    for name, document in ledger.state.table("party").items():
        key = (document["kind"], document["state"])
        counts[key] = counts.get(key, 0) + 1
        if (kind is None or key[0] == kind) and (state is None or key[1] == state):
            names.append(name)
    found = _page(sorted(names), page, size)
    return {
        **found, "kind": kind, "state": state,
        "rows": [
            {"party_id": name, **ledger.state.get("party", name)} for name in found["rows"]
        ],
        "kinds": sorted({key[0] for key in counts}),
        "states": sorted({key[1] for key in counts}),
    }


def party(ledger: Ledger, name: str) -> dict[str, Any]:
    """One party with its accounts and contract versions.

    :raises RequestRefused: 404 `party_unknown`
    """
    document = ledger.state.get("party", name)
    if document is None:
        raise RequestRefused("party_unknown", "there is no such party", 404)
    accounts = [
        account_of(found)
        for code in ledger.chart.classes for currency in sorted(ledger.state.accounts)
        if (found := ledger.state.account(f"{code}:{name}", currency)) is not None
    ]
    today = frame(ledger)["booking_date"]
    current = None if today is None else ledger.state.contract(name, today)
    return {
        "party_id": name, **document, "accounts": accounts,
        "contracts": [
            {**version, "in_force": version is current}
            for version in ledger.state.get("contract", name) or ()
        ],
    }


def bills(ledger: Ledger, merchant: str | None, page: int, size: int) -> dict[str, Any]:
    """Bills (rule D0.27): those that wait for the merchant, the oldest first, then those that both
    confirmed, the newest first; and what stands of each billed merchant beside them.

    :param merchant: of this one alone
    """
    state, today = ledger.state, frame(ledger)["booking_date"]
    listed = [
        {"bill_id": bill_id, **bill} for bill_id, bill in state.table("bill").items()
        if merchant in (None, bill["merchant_id"])
    ]
    waiting = sorted(
        (bill for bill in listed if bill["confirmed_on"] is None),
        key=lambda bill: (bill["issued_on"], bill["bill_id"]),
    )
    confirmed = sorted(
        (bill for bill in listed if bill["confirmed_on"] is not None),
        key=lambda bill: (bill["confirmed_on"], bill["bill_id"]), reverse=True,
    )
    found = _page([*waiting, *confirmed], page, size)
    return {
        **found, "merchant_id": merchant, "waiting": len(waiting),
        "rows": [{**row, "days": _days(row["issued_on"], today)} for row in found["rows"]],
        "open": _open_fees(ledger, merchant, waiting),
    }


def _open_fees(
    ledger: Ledger, merchant: str | None, waiting: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Fees of merchants that are on no bill yet, wait on one, are due, or were paid before."""
    asked: dict[tuple[str, str], int] = {}
    for bill in waiting:
        key = bill["merchant_id"], bill["currency_code"]
        asked[key] = asked.get(key, 0) + bill["amount_minor"]
    found: dict[tuple[str, str], dict[str, int]] = {}
    for currency, accounts in ledger.state.accounts.items():
        for account in accounts.values():
            if account.code in (ACCRUED, DUE, PREPAID) and account.party_id is not None and (
                account.balance and merchant in (None, account.party_id)
            ):
                key = account.party_id, currency
                found.setdefault(key, {})[account.code] = account.balance
    return [
        {
            "merchant_id": key[0], "currency": key[1], "waiting": asked.get(key, 0),
            "accrued": sums.get(ACCRUED, 0) - asked.get(key, 0), "due": sums.get(DUE, 0),
            "prepaid": sums.get(PREPAID, 0),
        }
        for key, sums in sorted(found.items())
    ]
