"""The answer file: what happens, what is planted, and to what every figure must come.

Written before anything is posted. No pipeline code may read it. Amounts are yuan as text.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from paylake import durable
from paylake.crypto import sm3_hex
from paylake.settings import Settings
from simulator import reference as ref
from simulator.feeds import yuan
from simulator.outbox import Outbox, Sending, outbox
from simulator.problems import problems
from simulator.records import (
    DISPUTE,
    FEE,
    KINDS,
    PAYMENT,
    REFUND,
    SETTLEMENT,
    WITHDRAWAL,
    Day,
)
from simulator.world import World

FORMAT = "paylake-answers/1"


def answers_path(settings: Settings) -> Path:
    """`<home>/simulator/answers.json`."""
    return settings.path("simulator", "answers.json")


def answers(world: World, boxes: Callable[[date], Outbox] | None = None) -> dict[str, Any]:
    """Run the whole world in memory and note everything.

    :param boxes: gives a date's deliveries; they are made here when left out.
    """
    days: dict[str, Any] = {}
    planted: list[dict[str, Any]] = []
    for day in world.params.dates():
        made = world.day(day)
        box = outbox(world, day) if boxes is None else boxes(day)
        planted += problems(world, made, box)
        days[day.isoformat()] = _date(world, made, box)
    _settle_silver(days, planted)
    kinds = {problem["kind"] for problem in planted}
    without = {
        kind: f"{day} gave no occasion for it"
        for kind, day in world.plan.when.items() if kind not in kinds
    }
    return {
        "format": FORMAT,
        "params": world.params.document(),
        "held_date": _iso(world.plan.on("held")),
        "waived_date": _iso(world.plan.on("waived")),
        "left_out": world.plan.left_out | without,
        "problems": planted,
        "dates": days,
        "totals": _grand_totals(days),
    }


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def encode(document: dict[str, Any]) -> bytes:
    """The answer file's bytes: the same world gives the same."""
    return orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n"


def write_answers(
    settings: Settings, world: World, boxes: Callable[[date], Outbox] | None = None
) -> str:
    """Write the answer file and return its SM3 digest."""
    raw = encode(answers(world, boxes))
    path = answers_path(settings)
    durable.write(path, raw)
    return sm3_hex(raw)


def _date(world: World, made: Day, box: Outbox) -> dict[str, Any]:
    return {
        "deliveries": [_delivery(sending) for sending in box.sendings],
        "traded": _traded(world, made),
        "ledger": _ledger(made),
        "reserve": _reserve(made),
        "merchants": _merchants(world, made),
        "release": _release(world, made.day),
    }


def _delivery(sending: Sending) -> dict[str, Any]:
    return {
        "delivery_id": sending.delivery_id,
        "sent_at": sending.sent_at.isoformat(),
        "key_id": sending.key_id,
        "rows": sending.rows,
        "expected_state": sending.expected,
        "reason_code": sending.reason_code,
        "planted": sending.planted,
    }


def _traded(world: World, made: Day) -> dict[str, Any]:
    """What the switch saw: the amounts that KPI figures count."""
    today, ok = made.attempts, made.attempts.ok
    refunded = made.refunds.plan.amount[made.refunds.accepted]
    people = world.people

    def grouped(labels: list[str], index: np.ndarray) -> dict[str, Any]:
        attempts = np.bincount(index, minlength=len(labels))
        count = np.bincount(index[ok], minlength=len(labels))
        amount = np.zeros(len(labels), np.int64)
        np.add.at(amount, index[ok], today.amount[ok])
        return {
            label: {
                "attempt_count": int(attempts[n]), "payment_count": int(count[n]),
                "payment_amount": yuan(int(amount[n])),
            }
            for n, label in enumerate(labels) if attempts[n]
        }

    regions = sorted({m.region_code for m in people.merchants})
    region_of = np.array([regions.index(m.region_code) for m in people.merchants])
    ways = [f"{way}/{funding}" for way in ref.WAYS for funding in ref.FUNDINGS]
    return {
        "row_count": len(today) + len(made.refunds.accepted) + (made.dispute is not None),
        "attempt_count": len(today),
        "payment_count": int(ok.sum()),
        "payment_amount": yuan(int(today.amount[ok].sum())),
        "failed_count": int((~ok).sum()),
        "refund_count": len(refunded),
        "refund_amount": yuan(int(refunded.sum())),
        "refund_refused_count": int((~made.refunds.accepted).sum()),
        "dispute_count": int(made.dispute is not None),
        "dispute_amount": yuan(made.dispute.amount if made.dispute else 0),
        "active_merchant_count": len(np.unique(today.merchant[ok])),
        "by_region": grouped(regions, region_of[today.merchant]),
        "by_mcc": grouped([t.mcc for t in ref.TRADES], people.trade_of[today.merchant]),
        "by_payment_way": grouped(ways, today.way * len(ref.FUNDINGS) + today.funding),
    }


def _ledger(made: Day) -> dict[str, Any]:
    """What the ledger must show at the close of the date."""
    operations, closing = made.operations, made.closing
    journals: dict[str, Any] = {}
    for kind, name in enumerate(KINDS):
        part = operations.only(kind)
        journals[name] = {"count": len(part), "amount": yuan(int(part.amount.sum()))}
    paid, back = operations.only(PAYMENT), operations.only(REFUND)
    rent = int(operations.only(FEE).amount.sum())
    withdrawal_fee = int(operations.only(WITHDRAWAL).acquirer_fee.sum())
    fees = {
        name: int(getattr(paid, name).sum()) - int(getattr(back, name).sum())
        for name in ("issuer_fee", "network_fee", "acquirer_fee")
    }
    return {
        "journals": journals,
        "journal_count": len(operations),
        **{f"{name}_amount": yuan(value) for name, value in fees.items()},
        "merchant_service_fee_amount": yuan(rent),
        "withdrawal_fee_amount": yuan(withdrawal_fee),
        "fee_income_amount": yuan(fees["acquirer_fee"] + rent + withdrawal_fee),
        "payout_count": len(operations.only(SETTLEMENT)),
        "payout_amount": journals["settlement"]["amount"],
        "balances": {
            "1001": yuan(closing.book),
            "2101": yuan(int(closing.users.sum())),
            "2201": yuan(int(closing.pending.sum())),
            "2202": yuan(int(closing.disputed.sum())),
            "2301": yuan(closing.fee_pending),
            "2401": yuan(0),
        },
    }


def _reserve(made: Day) -> dict[str, Any]:
    """Book against custodian, with every item that stands between them."""
    closing = made.closing
    return {
        "book_amount": yuan(closing.book),
        "custodian_opening_amount": yuan(made.opening.custodian),
        "custodian_amount": yuan(closing.custodian),
        "movement_count": len(made.movements),
        "difference_amount": yuan(closing.book - closing.custodian),
        "unexplained_amount": yuan(0),
        "items": [
            {
                "reference": reference, "cause": cause, "amount": yuan(amount),
                "first_date": first,
                "age_days": (made.day - date.fromisoformat(first)).days,
            }
            for reference, (amount, cause, first) in sorted(closing.transit.items())
        ],
    }


def _merchants(world: World, made: Day) -> dict[str, dict[str, str]]:
    """Settlement of each merchant that moved or has a balance."""
    operations, count = made.operations, len(world.people.merchants)

    def summed(kind: int, name: str) -> np.ndarray:
        part = operations.only(kind)
        found = np.zeros(count, np.int64)
        np.add.at(found, part.party, getattr(part, name))
        return found

    columns = {
        "gross_amount": summed(PAYMENT, "amount"),
        "refund_amount": summed(REFUND, "amount"),
        **{
            f"{name}_amount": summed(PAYMENT, name) - summed(REFUND, name)
            for name in ("issuer_fee", "network_fee", "acquirer_fee")
        },
        "service_fee_amount": summed(FEE, "amount"),
        "disputed_amount": summed(DISPUTE, "amount"),
    }
    columns["net_amount"] = columns["gross_amount"] - sum(
        values for name, values in columns.items() if name != "gross_amount"
    )
    columns["payout_amount"] = summed(SETTLEMENT, "amount")
    columns["opening_pending_amount"] = made.opening.pending
    columns["closing_pending_amount"] = made.closing.pending
    assert (
        made.opening.pending + columns["net_amount"] - columns["payout_amount"]
        == made.closing.pending
    ).all()
    moved = np.flatnonzero(sum(np.abs(values) for values in columns.values()))
    lists = {name: values.tolist() for name, values in columns.items()}
    return {
        world.people.merchants[n].merchant_id: {
            name: yuan(values[n]) for name, values in lists.items()
        }
        for n in moved.tolist()
    }


def _release(world: World, day: date) -> dict[str, Any]:
    """At which date's run it goes out, and what happens before."""
    plan = world.plan
    first_state, goes_out, reason = "released", day, None
    if plan.on("wrong_control_total") == day:
        first_state, goes_out, reason = "waiting", day + timedelta(days=1), "wrong_control_total"
    elif plan.on("held") == day:
        first_state, goes_out, reason = "held", day + timedelta(days=1), "held"
    elif plan.on("waived") == day:
        first_state, reason = "held", "waived"
    return {"first_run": first_state, "released_at_run_of": goes_out.isoformat(), "why": reason}


_COUNTED = ("row_count", "attempt_count", "payment_count", "refund_count")


def _settle_silver(days: dict[str, Any], planted: list[dict[str, Any]]) -> None:
    """Note what `silver.transaction` holds of each date after all deliveries and replays.

    Traded less the rows that stay in quarantine there, plus what is replayed onto the date.
    """
    for entry in days.values():
        entry["silver"] = {name: entry["traded"][name] for name in _COUNTED} | {
            "payment_amount": entry["traded"]["payment_amount"],
            "refund_amount": entry["traded"]["refund_amount"],
            "quarantined_count": 0,
        }
    for problem in planted:
        if problem["expected"].get("state") != "quarantined":
            continue
        _move(days[problem["date"]]["silver"], problem, -1)
        days[problem["date"]]["silver"]["quarantined_count"] += 1
        replay = problem["resolution"].get("replay")
        if replay is not None:
            _move(days[replay["business_date"]]["silver"], problem, 1)


def _move(silver: dict[str, Any], problem: dict[str, Any], sign: int) -> None:
    silver["row_count"] += sign
    silver["attempt_count"] += sign
    if problem["amounts"]["is_success"]:
        silver["payment_count"] += sign
        silver["payment_amount"] = yuan(
            _minor(silver["payment_amount"]) + sign * _minor(problem["amounts"]["amount"])
        )


def _minor(text: str) -> int:
    return int(text.replace(".", ""))


def _grand_totals(days: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for section, names in (
        ("traded", ("attempt_count", "payment_count", "payment_amount", "refund_count",
                    "refund_amount")),
        ("ledger", ("journal_count", "issuer_fee_amount", "network_fee_amount",
                    "acquirer_fee_amount", "merchant_service_fee_amount",
                    "withdrawal_fee_amount", "fee_income_amount", "payout_count",
                    "payout_amount")),
    ):
        for name in names:
            values = [entry[section][name] for entry in days.values()]
            found[name] = (
                sum(values) if isinstance(values[0], int)
                else yuan(sum(_minor(value) for value in values))
            )
    return found


