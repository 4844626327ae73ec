"""Handlers of reconciliations: what one found is taken into the registers, and open items are
closed by two people. What belongs together is found by :mod:`ledger.domain.reconciling`.

Registers: `reconciliation` by id; `reconciled` by account and currency (the last one, and how
often something changed); `reconciliation_item`: what is open, and what the last reconciliation
matched, so that another statement for its dates can take its place; `reconciliation_closing`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ledger.domain.chart import SHARD
from ledger.domain.documents import Handler, Values, differs
from ledger.domain.operations import Context, Plan
from ledger.domain.reconciling import JOURNAL, MATCHED, REFERENCE, Item
from ledger.domain.refusals import Refusal
from ledger.domain.state import State

ITEMS, DONE, LAST, CLOSINGS = (
    "reconciliation_item", "reconciliation", "reconciled", "reconciliation_closing",
)
#: Open items of one account, and items closed together, at most.
MOST_OPEN, MOST_TOGETHER = 10_000, 100
#: What stands in place of a reference that has the form of a person's identifier (rule D1.23).
MASK = "***"


def is_of(account_id: str, leg_account: str) -> bool:
    """Whether a leg moves an account, or a shard of it."""
    return leg_account == account_id or leg_account.startswith(account_id + SHARD)


def shown_key(key: tuple[str, ...] | list[str]) -> str | None:
    """The reference of an item, for people; None where it has none."""
    if key[0] == REFERENCE:
        return key[1] or MASK
    return key[1] if key[0] == JOURNAL else None


def document_of(item: Item, account_id: str, currency: str, opened_by: str) -> dict[str, Any]:
    """An open item as it stands in its register."""
    return {
        "account_id": account_id, "currency_code": currency, "class": item.class_,
        "key": list(item.key), "ledger_minor": item.ledger, "ledger_count": item.ledger_count,
        "statement_minor": item.statement, "statement_count": item.statement_count,
        "first_date": item.first_date, "ledger_date": item.ledger_date,
        "statement_date": item.statement_date,
        "ledger_entry": None if item.ledger_entry is None else list(item.ledger_entry),
        "statement_entry": None if item.statement_entry is None else list(item.statement_entry),
        "opened_by": opened_by,
    }


def item_of(document: Mapping[str, Any]) -> Item:
    """The item that a document is of."""
    item = Item(tuple(document["key"]))
    item.class_ = document["class"]
    item.ledger, item.ledger_count = document["ledger_minor"], document["ledger_count"]
    item.statement = document["statement_minor"]
    item.statement_count = document["statement_count"]
    item.first_date = document["first_date"]
    item.ledger_date, item.statement_date = document["ledger_date"], document["statement_date"]
    for name in ("ledger_entry", "statement_entry"):
        setattr(item, name, None if document[name] is None else tuple(document[name]))
    return item


def open_items(
    state: State, account_id: str | None = None, currency: str | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Open items, of one account in one currency or of all, by id."""
    # asked by other threads too (metrics): no register is made here
    for name, document in list(state.tables.get(ITEMS, {}).items()):
        if document["class"] != MATCHED and (
            account_id in (None, document["account_id"])
            and currency in (None, document["currency_code"])
        ):
            yield name, document


def answered(
    state: State, statement_sm3: str, first_date: str, last_date: str, last: str | None
) -> str | None:
    """The reconciliation that answers a statement which was sent before, or None. One that another
    replaced answers none while the last one is still of its dates: what was sent last counts.

    :param last: the last reconciliation of the account
    """
    done = state.tables.get(DONE, {})
    same = [name for name, of in done.items() if of["statement_sm3"] == statement_sm3]
    in_force = [name for name in same if done[name]["superseded_by"] is None]
    if in_force or not same:
        return next(iter(in_force), None)
    of = done[last or ""]
    if (of["first_date"], of["last_date"]) == (first_date, last_date):
        return None
    return max(same, key=lambda name: done[name]["revision"])


def reconciliation(state: State, v: Values, c: Context) -> Plan | Refusal:
    """What the service found; unless something changed since it looked."""
    key = f"{v['account_id']}/{v['currency_code']}"
    known = state.get(LAST, key) or {"last": None, "revision": 0}
    totals = v["totals"]
    if totals["revision"] != known["revision"]:
        return differs(f"items of {v['account_id']} changed meanwhile", "totals")
    name, supersedes = v["reconciliation_id"], v.get("supersedes")
    effects: list[list] = [
        ["put", DONE, name, {
            **{field: v[field] for field in (
                "account_id", "currency_code", "first_date", "last_date", "statement_sm3",
                "items_sm3", "asked_by",
            )},
            **totals, "booked_on": c.booking_date, "supersedes": supersedes,
            "superseded_by": None,
        }],
        ["put", LAST, key, {
            "last": name, "revision": known["revision"] + 1, "closings": 0,
            # of the one that it follows: whether that one could still have been put right
            "closings_before": known.get("closings_before" if supersedes else "closings", 0),
        }],
    ]
    if supersedes is not None:
        effects.append(
            ["put", DONE, supersedes, {**state.get(DONE, supersedes), "superseded_by": name}]
        )
    effects += [
        ["put", ITEMS, item, document] for page in v["item_changes"] for item, document in page
    ]
    return Plan([], effects=effects)


def reconciliation_close(state: State, v: Values, c: Context) -> Plan | Refusal:
    """Items that people close together. Nothing disappears that does not come to zero: a difference
    stays open until the ledger, or the bank, has corrected it. A journal that no reconciliation has
    seen yet makes of them one item that waits for it."""
    names = v["open_items"]
    if not 0 < len(names) <= MOST_TOGETHER or not all(isinstance(n, str) for n in names) or (
        len(set(names)) != len(names)
    ):
        return differs(f"open_items are 1 to {MOST_TOGETHER} ids, each once", "open_items")
    found = {name: state.get(ITEMS, name) for name in names}
    for name, document in found.items():
        if document is None or document["class"] == MATCHED:
            return differs(f"there is no open item {name}", "open_items")
    account_id, currency = next(
        (d["account_id"], d["currency_code"]) for d in found.values()
    )
    key = f"{account_id}/{currency}"
    if any(f"{d['account_id']}/{d['currency_code']}" != key for d in found.values()):
        return differs("items closed together are of one account and currency", "open_items")
    left = sum(d["ledger_minor"] - d["statement_minor"] for d in found.values())
    last, effects = state.get(LAST, key), []
    journal, waits = v.get("journal_id"), False
    if journal is not None:
        moved = _moved(state, c, account_id, currency)
        if type(moved) is Refusal:
            return moved
        assert c.original is not None
        entry, seen = c.original["entry"], state.get(DONE, last["last"])
        day = entry.get("value_date", entry["booking_date"])
        waits = c.original["sequence"] > seen["through_sequence"] or day > seen["last_date"]
        if waits:
            left += moved
            if any(d["key"] == [JOURNAL, journal] for _, d in open_items(state)):
                return differs(f"{journal} corrects other items", "journal_id")
    if left:
        return Refusal(
            "difference_left", f"together they leave {left} minor units", "open_items"
        )
    if waits:
        closing = v["closing_id"]
        if state.get(ITEMS, closing) is not None:
            return differs(f"{closing} is the id of an item", "closing_id")
        whole = Item((JOURNAL, journal))
        for document in found.values():
            whole.join(item_of(document))
        whole.class_ = "amount_differs"
        effects.append(["put", ITEMS, closing, {
            **document_of(whole, account_id, currency, closing),
            "changed_by": closing, "before": None,
        }])
    effects += [["put", ITEMS, name, None] for name in names]
    effects += [
        ["put", CLOSINGS, v["closing_id"], {
            "account_id": account_id, "currency_code": currency, "journal_id": journal,
            "reason": v["reason"], "closed_on": c.booking_date, "items": [
                {"item_id": name, **{field: document[field] for field in (
                    "class", "key", "ledger_minor", "statement_minor", "first_date",
                )}}
                for name, document in found.items()
            ],
        }],
        ["put", LAST, key, {
            **last, "revision": last["revision"] + 1, "closings": last["closings"] + 1,
        }],
    ]
    return Plan([], effects=effects)


def _moved(state: State, c: Context, account_id: str, currency: str) -> int | Refusal:
    """What the journal named by a closing moved on the account, minor units on its normal side."""
    account = state.account(account_id, currency)
    assert account is not None and c.original is not None
    if c.original["reversed"]:
        return Refusal("already_reversed", "the journal was reversed", "journal_id")
    moved = 0
    for leg_account, leg_currency, direction, amount, _, _ in c.original["legs"]:
        if leg_currency == currency and is_of(account_id, leg_account):
            moved += account.debit_sign * (amount if direction == "D" else -amount)
    return moved or differs(f"the journal does not move {account_id}", "journal_id")


HANDLERS: dict[str, Handler] = {f.__name__: f for f in (reconciliation, reconciliation_close)}
