"""What has to be done by a date: the arrival of withdrawals, the review of refunds. Nothing here
decides by itself; the list is for the desk. Rules D1.12, D1.17."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING, Any

import orjson

from ledger.domain.settling import WorkingDay, arrives_on

if TYPE_CHECKING:
    from ledger.service.ledger import Ledger

REVIEW_DAYS = 3


def deadlines(ledger: Ledger, today: date, working_day: WorkingDay) -> list[dict[str, Any]]:
    """What is open, by the day it is due; `overdue` from the day after."""
    found = [*_withdrawals(ledger, working_day), *_reviews(ledger, working_day)]
    for line in found:
        line["overdue"] = line["due_on"] < today.isoformat()
    return sorted(found, key=lambda line: (line["due_on"], line["kind"], line["number"]))


def _withdrawals(ledger: Ledger, working_day: WorkingDay) -> Iterator[dict[str, Any]]:
    names = [n for n, hold in ledger.state.holds.items() if hold["kind"] == "withdrawal"]
    for name, row in ledger.store.find_by_business_key(names).items():
        asked = date.fromisoformat(row[10])
        via = orjson.loads(row[12]).get("via", "bank")
        due, latest = arrives_on(asked, via, working_day)
        yield {"kind": "withdrawal", "number": name, "due_on": due.isoformat(),
               "latest_on": latest.isoformat()}


def _reviews(ledger: Ledger, working_day: WorkingDay) -> Iterator[dict[str, Any]]:
    """A user's refund is reviewed within three working days; the money goes back with it."""
    for sequence, document in ledger.state.table("pending").items():
        if document["type"] == "refund":
            entered = date.fromisoformat(ledger.clock.booking_date(document["booked_at"]))
            yield {"kind": "refund_review", "number": sequence,
                   "due_on": working_day(entered, REVIEW_DAYS).isoformat()}
