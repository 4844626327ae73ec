"""Reads of reconciliations: what was reconciled, what is open since when, what people closed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

from ledger.domain.reconciliations import CLOSINGS, DONE, LAST, open_items
from ledger.service import views
from ledger.service.reconciliation_results import shown, shown_item

if TYPE_CHECKING:
    from ledger.domain.state import State
    from ledger.service.ledger import Ledger


def reconciliations(
    ledger: Ledger, account_id: str | None, after: str | None, limit: int
) -> dict[str, Any]:
    """A page of reconciliations, in the order in which they were recorded."""
    names = [
        name for name, done in sorted(
            ledger.state.table(DONE).items(), key=lambda item: _place(*item)
        )
        if account_id in (None, done["account_id"])
    ]
    page, next_ = _page(names, after, limit)
    return {
        "reconciliations": [shown(ledger, name, replayed=False) for name in page], "next": next_,
    }


def _place(name: str, done: Mapping[str, Any]) -> tuple[int, str]:
    return done["through_sequence"], name


def _page(names: list[str], after: str | None, limit: int) -> tuple[list[str], str | None]:
    """A page of names after one of them, and the last of it if there are more."""
    start = 0
    if after is not None:
        start = names.index(after) + 1 if after in names else len(names)
    page = names[start:start + limit]
    return page, page[-1] if start + limit < len(names) else None


def open_now(
    ledger: Ledger, account_id: str | None, after: str | None, limit: int
) -> dict[str, Any]:
    """A page of what is open now, the oldest first."""
    found = dict(_by_age(ledger.state, account_id))
    page, next_ = _page(list(found), after, limit)
    return {
        "items": [{"item_id": name, **shown_item(found[name])} for name in page], "next": next_,
    }


def _by_age(state: State, account_id: str | None) -> list[tuple[str, dict[str, Any]]]:
    return sorted(
        open_items(state, account_id), key=lambda item: (item[1]["first_date"], item[0])
    )


def rows_page(
    rows: Iterable[tuple[int, Mapping[str, str]]], class_: str | None, limit: int
) -> dict[str, Any]:
    """A page of the postings and lines of a reconciliation's file, of one class or of all; `next`
    is the number of the row to go on after.

    :param rows: with their numbers, from the first that the page may have
    """
    found: list[dict[str, Any]] = []
    for number, row in rows:
        if class_ not in (None, row["class"]):
            continue
        if len(found) == limit:
            return {"rows": found, "next": str(found[-1]["row"])}
        found.append({
            "row": number, "item_id": row["item"], "class": row["class"],
            "rule": row["rule"] or None, "side": row["side"], "entry": row["entry"],
            "value_date": row["value_date"], "amount_minor": int(row["amount_minor"]),
            "reference": row["reference"] or None,
        })
    return {"rows": found, "next": None}


def open_sums(state: State) -> dict[tuple[str, str], tuple[int, int]]:
    """By account and currency of which there was a statement: open items, and by how many minor
    units the ledger and the statement differ, each item counted with its sign taken off."""
    found = {
        tuple(key.rsplit("/", 1)): (0, 0) for key in list(state.tables.get(LAST, ()))
    }
    for _, document in open_items(state):
        key = (document["account_id"], document["currency_code"])
        number, total = found.get(key, (0, 0))
        found[key] = (
            number + 1, total + abs(document["ledger_minor"] - document["statement_minor"])
        )
    return found  # type: ignore[return-value]


# the console's pages


def home(ledger: Ledger) -> dict[str, Any]:
    """How much there is of everything, and what does not agree with the banks."""
    found = [document["first_date"] for _, document in open_items(ledger.state)]
    return {
        **views.overview(ledger), "open_items": len(found),
        "open_since": min(found, default=None),
    }


def overview(ledger: Ledger, item_page: int, size: int) -> dict[str, Any]:
    """The last reconciliation of each account, then open items by age, then closings."""
    state, now = ledger.state, ledger.clock.now()
    today = None if now is None else ledger.clock.booking_date(now)
    sums = open_sums(state)
    accounts = []
    for key, last in sorted(state.table(LAST).items()):
        account_id, currency = key.rsplit("/", 1)
        done = state.get(DONE, last["last"])
        number, total = sums[account_id, currency]
        accounts.append({
            **done, "reconciliation_id": last["last"], "currency": currency,
            "open_now": number, "open_minor": total,
        })
    items = _by_age(state, None)
    start = (item_page - 1) * size
    return {
        "accounts": accounts, "number": len(items), "page": item_page,
        "more": start + size < len(items),
        "rows": [
            {
                "item_id": name, **shown_item(document),
                "days": _days(document["first_date"], today),
            }
            for name, document in items[start:start + size]
        ],
        "closings": [
            {"closing_id": name, **closing} for name, closing in sorted(
                state.table(CLOSINGS).items(),
                key=lambda item: (item[1]["closed_on"], item[0]), reverse=True,
            )[:size]
        ],
    }


def _days(first: str, today: str | None) -> int | None:
    if today is None:
        return None
    return (date.fromisoformat(today) - date.fromisoformat(first)).days
