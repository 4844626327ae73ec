"""The outbox: what happened, as events that a consumer can take exactly once.

The log is the outbox: each entry gives its events, always the same ones, keyed by the entry's
sequence and their number in it. A consumer keeps the last key that it worked on together with its
own work. Events carry no C2 or C3 data: ids, amounts, reasons. Rules D1.6, D2.6.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import orjson

from ledger.domain.chain import journal_id
from ledger.domain.chart import parts_of
from ledger.domain.holds import left

if TYPE_CHECKING:
    from ledger.service.ports import Reader


def events(reader: Reader, after: str | None, limit: int) -> dict[str, Any]:
    """A page of events after a key; `next` is the key to go on with.

    :param after: `<sequence>/<number>`, or None from the beginning
    :raises ValueError: when the key is not one
    """
    sequence, number = 0, 0
    if after is not None:
        first, _, second = after.partition("/")
        sequence, number = int(first), int(second)
    found: list[dict[str, Any]] = []
    for row in reader.entries(max(sequence, 1)):
        for event in of_entry(row):
            if row[0] == sequence and event["number"] <= number:
                continue
            if len(found) == limit:
                return {"events": found, "next": found[-1]["key"]}
            found.append(event)
    return {"events": found, "next": found[-1]["key"] if found else after}


def of_entry(row: tuple) -> list[dict[str, Any]]:
    """The events of one entry."""
    content = orjson.loads(row[12])
    made = list(_made(row, content))
    return [
        {
            "key": f"{row[0]}/{number}", "sequence": row[0], "number": number, "at": row[9],
            "booking_date": row[10], "operation": row[2], **event,
        }
        for number, event in enumerate(made, 1)
    ]


#: Accounts whose party hears of the result as user, or as merchant.
_USERS, _MERCHANTS = ("2101", "2501", "2702", "9101", "9111"), ("2201", "2211", "9201", "9211")


#: What names no user or merchant and may move no account: whose hold it was hears of it.
_BY_HOLD = frozenset({
    "merchant_spend_result", "prepaid_redeem_order", "prepaid_redeem_result",
    "wealth_purchase_result",
})


def _told(content: Mapping[str, Any], accounts: Iterable[str]) -> list[tuple[str, str]]:
    """Who hears of a result: the parties named and those whose accounts moved (rule D2.6)."""
    found = {("user", content.get("user_id")), ("merchant", content.get("merchant_id"))}
    for account_id in accounts:
        code, party = parts_of(account_id)
        if code in _USERS:
            found.add(("user", party))
        elif code in _MERCHANTS:
            found.add(("merchant", party))
    return sorted((role, party) for role, party in found if party)


def _made(row: tuple, content: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    result = {
        "event": "result", "outcome": row[4], "business_key": row[6],
        "idempotency_key": row[5], "merchant_id": content.get("merchant_id"),
        "user_id": content.get("user_id"),
        "journal_id": None if row[1] is None else journal_id(row[1]),
    }
    if row[4] == "refused":
        why = orjson.loads(row[14])
        yield {**result, "event": "refusal", "reason": why["reason"]}
        return
    legs, effects = orjson.loads(row[13]), orjson.loads(row[14])
    accounts = [leg[0] for leg in legs]
    if row[2] in _BY_HOLD:
        accounts += [effect[2]["account_id"] for effect in effects if effect[0] == "hold"]
    told = _told(content, accounts)
    for role, party in told:  # one each, to the user and the merchant
        yield {**result, "to": role, "party_id": party}
    if not told:
        yield {**result, "to": None, "party_id": None}
    changes: dict[tuple[str, str], int] = {}
    for account_id, currency, direction, amount, component, _ in legs:
        if ":" in account_id:
            key = (account_id, currency)
            # customers' and merchants' accounts are liabilities: a credit is theirs
            changes[key] = changes.get(key, 0) + (amount if direction == "C" else -amount)
        if component == "offset" and ":" in account_id and direction == "D":
            yield {
                "event": "offset", "account_id": account_id, "currency_code": currency,
                "amount_minor": amount, "notice_number": content.get("notice_number"),
            }
    for (account_id, currency), amount in changes.items():
        yield {
            "event": "balance_change", "account_id": account_id, "currency_code": currency,
            "credit_minor": amount,
        }
    for effect in effects:
        if effect[:2] == ["put", "bill"] and effect[3] is not None:
            bill = effect[3]
            yield {
                "event": "bill", "bill_id": effect[2], "party_id": bill["merchant_id"],
                "currency_code": bill["currency_code"], "amount_minor": bill["amount_minor"],
                "from": bill["from"], "through": bill["through"],
                "confirmed_on": bill["confirmed_on"],
            }
        if effect[:2] == ["put", "reconciliation"] and effect[3]["open_items"] and (
            effect[3]["superseded_by"] is None
        ):
            done = effect[3]
            yield {
                "event": "open_items", "reconciliation_id": effect[2],
                "account_id": done["account_id"], "currency_code": done["currency_code"],
                "last_date": done["last_date"], "open_items": done["open_items"],
                "difference_minor": done["difference_minor"],
            }
        if effect[0] == "hold":
            hold = effect[2]
            yield {
                "event": "hold", "hold_id": effect[1], "kind": hold["kind"],
                "account_id": hold["account_id"], "currency_code": hold["currency_code"],
                "left_minor": left(hold), "ended": hold["ended"],
            }
