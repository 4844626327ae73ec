"""A bank that gives statements of an account, and people who look into what does not agree."""

from __future__ import annotations

from datetime import timedelta

import orjson
import pytest

from ledger.adapters.data_files import load_reconciliation_rules
from ledger.adapters.reconciliation_files import ReconciliationFiles
from ledger.domain.actors import Actor
from ledger.domain.bank_statement import StatementFault, statement_of
from ledger.domain.reconciliations import open_items
from ledger.service.faults import RequestRefused
from ledger.service.reconciling import Reconciling, reconcile
from tests.ledger.conftest import ANN, DAY, at

NEXT = DAY + timedelta(1)
TREASURY = Actor("system", "treasury")


def line(line_id, amount, reference=None, day=DAY, **more):
    return {
        "line_id": line_id, "value_date": day.isoformat(), "amount_minor": amount,
        "reference": reference, **more,
    }


class Bank:
    """Statements of 1001 one after another."""

    def __init__(self, world, account="1001", currency="CNY") -> None:
        self.world, self.account, self.currency = world, account, currency
        self.files = ReconciliationFiles(world.settings)

    def run(self, lines, opening=0, first=DAY, last=None, closing=None, sender=TREASURY,
            **more):
        moved = sum(
            one["amount_minor"] * {"C": 1, "D": -1, None: 1}[one.get("direction")]
            for one in lines
        )
        statement = statement_of(
            self.account, self.currency, first.isoformat(), (last or first).isoformat(), opening,
            opening + moved if closing is None else closing, lines,
        )
        return Reconciling(
            self.world.ledger, statement, load_reconciliation_rules(), self.files.keep, sender,
            **more,
        )

    def send(self, lines, opening=0, first=DAY, last=None, **more):
        return reconcile(self.run(lines, opening, first, last, **more))

    def open(self):
        return dict(open_items(self.world.ledger.state, self.account, self.currency))

    def classes(self, done):
        return {name: of["items"] for name, of in done["classes"].items() if of["items"]}

    def rows(self, done):
        with self.files.rows(
            done["last_date"], done["reconciliation_id"], done["items_sm3"]
        ) as found:
            return [row for _, row in found]


def top_up(world, amount, **values):
    result = world.do("top_up", amount_minor=amount, **values)
    assert result["status"] == "posted", result
    return orjson.loads(world.row(result)[12])["top_up_id"]


def refused(reason, call, *arguments, **values):
    with pytest.raises((RequestRefused, StatementFault)) as found:
        call(*arguments, **values)
    assert found.value.reason == reason, found.value
    return found.value


def close(world, items, person=ANN, journal_id=None, reason="agreed with the bank"):
    """Ann enters, Ben approves."""
    world.number += 1
    waits = world.send(
        "reconciliation_close", person, closing_id=f"CL{world.number}", open_items=list(items),
        journal_id=journal_id, reason=reason, occurred_at=world.ledger.clock.now(),
    )
    if waits["status"] != "pending":
        return waits
    return world.approve(waits["sequence"], occurred_at=world.ledger.clock.now())


@pytest.fixture
def bank(world):
    return Bank(world)


def settle_next_day(world):
    world.ledger.set_clock(at(NEXT, "10:00:00"))


def adjust(world, amount, number="AD1"):
    direction, other = ("C", "D") if amount < 0 else ("D", "C")
    waits = world.send(
        "adjustment", ANN, adjustment_id=number, incident_number="I1", reason="bank fee",
        occurred_at=world.ledger.clock.now(), legs=[
            {"account_id": account, "currency_code": "CNY", "direction": side,
             "amount_minor": abs(amount), "component": "correction"}
            for account, side in (("1001", direction), ("2301", other))
        ],
    )
    result = world.approve(waits["sequence"], occurred_at=world.ledger.clock.now())
    assert result["status"] == "posted", result
    return result["journal_id"]
