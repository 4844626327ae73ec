"""Planted problems as entries of the answer file: where, what should be found, what resolves it."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from simulator.feeds import yuan
from simulator.outbox import REPLAY_TIME, Outbox, Sending, at
from simulator.plan import MALFORMED
from simulator.records import Day
from simulator.trade import transaction_ids
from simulator.world import World


def problems(world: World, made: Day, box: Outbox) -> list[dict[str, Any]]:
    """The problems that begin on a date."""
    found: list[dict[str, Any]] = []
    for kind in world.plan.kinds_on(made.day):
        if kind in MALFORMED:
            found += _malformed(world, made, box, kind)
        elif kind in _BUILDERS:
            found += _BUILDERS[kind](world, made, box)
        else:
            found += _sent_wrong(made, box, kind)
    return found


def _entry(kind: str, day: date, number: int = 1, **more: Any) -> dict[str, Any]:
    entry = {
        "id": f"{day:%Y%m%d}-{kind}-{number}", "kind": kind, "date": day.isoformat(),
        "feed": None, "where": {}, "expected": {}, "amounts": {}, "resolution": {},
    }
    return {**entry, **more}


def _malformed(world: World, made: Day, box: Outbox, kind: str) -> list[dict[str, Any]]:
    found = []
    today = made.attempts
    for row, delivery_id, line in box.bad_rows:
        if row.rule != kind:
            continue
        key = str(today.ids()[row.index])
        amount, ok = yuan(int(today.amount[row.index])), bool(today.ok[row.index])
        has_key = kind != "wrong_column_count"
        resolution: dict[str, Any] = {"how": "stays_open"}
        open_date = world.plan.on("held")
        if row.is_replayed and open_date is not None:
            resolution = {
                "how": "replay",
                "replay": {
                    "delivery_id": delivery_id, "line_number": line,
                    "corrected": {row.column: row.correct},
                    # Asked for once the dates before the last three are out.
                    "before_run_of": open_date.isoformat(),
                    "sent_at": at(open_date, REPLAY_TIME).isoformat(),
                    "business_date": open_date.isoformat(),
                },
            }
        found.append(_entry(
            kind, made.day, len(found) + 1, feed="transaction",
            where={
                "delivery_id": delivery_id, "line_number": line,
                "record_key": key if has_key else None, "transaction_id": key,
                "column": row.column,
            },
            expected={
                "state": "quarantined", "rule_code": kind,
                "open_item_class": "quarantined" if ok else None,
            },
            amounts={"amount": amount, "is_success": ok},
            resolution=resolution,
        ))
    return found


def _sendings(box: Outbox, kind: str) -> list[Sending]:
    return [sending for sending in box.sendings if sending.planted == kind]


def _sent_wrong(made: Day, box: Outbox, kind: str) -> list[dict[str, Any]]:
    """A delivery that ingestion refuses or ignores."""
    found = []
    for sending in _sendings(box, kind):
        again = next(
            (s for s in box.sendings if s.feed == sending.feed and s.sequence > sending.sequence),
            None,
        )
        found.append(_entry(
            kind, made.day, len(found) + 1, feed=sending.feed,
            where={"delivery_id": sending.delivery_id, "key_id": sending.key_id},
            expected={"state": sending.expected, "reason_code": sending.reason_code},
            amounts={"announced": {k: str(v) for k, v in sending.totals.items()}},
            resolution=(
                {"how": "nothing_to_do"} if again is None else {
                    "how": "sent_again", "delivery_id": again.delivery_id,
                    "sent_at": again.sent_at.isoformat(),
                }
            ),
        ))
    return found


def _new_column(world: World, made: Day, box: Outbox) -> list[dict[str, Any]]:
    (sending,) = _sendings(box, "new_column")
    return [_entry(
        "new_column", made.day, feed=sending.feed,
        where={"delivery_id": sending.delivery_id, "column": "payer_card_full"},
        expected={"state": "accepted", "unclassed_columns": ["payer_card_full"]},
        amounts={"values": int((made.attempts.card >= 0).sum())},
        resolution={"how": "stays_unclassed"},
    )]


def _late_row(world: World, made: Day, box: Outbox) -> list[dict[str, Any]]:
    index = int(made.attempts.late_days.nonzero()[0][0])
    days = int(made.attempts.late_days[index])
    return [_entry(
        "late_row", made.day, feed="transaction",
        where={"transaction_id": str(made.attempts.ids()[index])},
        expected={
            "state": "accepted", "adjusts_date": (made.day - timedelta(days=days)).isoformat(),
        },
        amounts={"amount": yuan(int(made.attempts.amount[index]))},
        resolution={"how": "counts_as_adjustment"},
    )]


def _dispute(world: World, made: Day, box: Outbox) -> list[dict[str, Any]]:
    dispute = made.dispute
    if dispute is None:
        return []
    return [_entry(
        "dispute", made.day, feed="transaction",
        where={
            "transaction_id": dispute.transaction_id,
            "original_transaction_id": str(transaction_ids(
                "P", dispute.origin_day, made.attempts.second[:1] * 0 + dispute.origin_index
            )[0]),
            "merchant_id": world.people.merchants[dispute.merchant].merchant_id,
        },
        expected={"state": "accepted", "settlement_status": "disputed"},
        amounts={"disputed_amount": yuan(dispute.amount)},
        resolution={"how": "stays_open"},
    )]


def _transit(kind: str, cause: str, days: int | None):
    """An item that book and custodian see on different dates."""
    def build(world: World, made: Day, box: Outbox) -> list[dict[str, Any]]:
        found = []
        for reference, (amount, why, first) in sorted(made.closing.transit.items()):
            if why != cause or first != made.day.isoformat() or not _is_of(kind, reference):
                continue
            clears = None if days is None else (made.day + timedelta(days=days)).isoformat()
            found.append(_entry(
                kind, made.day, feed="custodian_statement", where={"reference": reference},
                expected={"state": "open_item", "cause": cause},
                amounts={"amount": yuan(amount)},
                resolution=(
                    {"how": "stays_open"} if clears is None
                    else {"how": "arrives", "business_date": clears}
                ),
            ))
        return found

    def _is_of(name: str, reference: str) -> bool:
        return (name == "receipt_unknown") == reference.startswith("B")

    return build


def _held(world: World, made: Day, box: Outbox) -> list[dict[str, Any]]:
    assert box.missing is not None
    first, stop = box.missing
    ids = made.attempts.ids()[first:stop]
    ok = made.attempts.ok[first:stop]
    (supplement,) = _sendings(box, "held")
    return [_entry(
        "held", made.day, feed="transaction",
        where={"transaction_ids": ids[ok].tolist(), "row_count": stop - first},
        expected={
            "state": "held", "check_code": "tie_not_received", "side": "ledger_only",
            "open_item_class": "not_received", "item_count": int(ok.sum()),
        },
        amounts={"amount": yuan(int(made.attempts.amount[first:stop][ok].sum()))},
        resolution={
            "how": "sent_later", "delivery_id": supplement.delivery_id,
            "sent_at": supplement.sent_at.isoformat(),
            "released_at_run_of": (made.day + timedelta(days=1)).isoformat(),
        },
    )]


def _waived(world: World, made: Day, box: Outbox) -> list[dict[str, Any]]:
    rate = round(float(made.attempts.ok.mean()), 6)
    return [_entry(
        "waived", made.day, feed="transaction",
        where={"cause": "outage of one issuing bank", "response_code": "91"},
        expected={"state": "held", "check_code": "kpi_success_rate_band", "below": "0.80"},
        amounts={"success_rate": f"{rate:.6f}"},
        resolution={"how": "waiver", "person": "operations"},
    )]


_BUILDERS = {
    "new_column": _new_column,
    "late_row": _late_row,
    "dispute": _dispute,
    "clearing_late": _transit("clearing_late", "book_in_bank_not", 1),
    "payout_late": _transit("payout_late", "book_out_bank_not", 2),
    "receipt_booked_later": _transit("receipt_booked_later", "bank_in_book_not", 2),
    "receipt_unknown": _transit("receipt_unknown", "bank_in_book_not", None),
    "held": _held,
    "waived": _waived,
}

