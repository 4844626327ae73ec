"""The institution's own corrections: an adjustment, and the reversal of a wrong journal (rules
D2.8, D0.73). A customer's undoing of a payment is a void or a refund."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ledger.domain import mandates, positions
from ledger.domain.billing import ACCRUED
from ledger.domain.buckets import quiet_through
from ledger.domain.chart import account_id
from ledger.domain.documents import Handler, Values
from ledger.domain.money import AMOUNT_LIMIT
from ledger.domain.operations import Context, Leg, Plan
from ledger.domain.refusals import Refusal
from ledger.domain.splitting import given_again
from ledger.domain.state import State

_COMPONENT = re.compile(r"[a-z_]{1,32}\Z")


def adjustment(state: State, v: Values, c: Context) -> Plan | Refusal:
    """Legs as given, by maker and checker, with the incident's number (rule D0.73)."""
    legs: list[Leg] = []
    names = {"account_id", "currency_code", "direction", "amount_minor", "component"}
    for leg in v["legs"]:
        if not isinstance(leg, dict) or set(leg) != names or (
            leg["direction"] not in ("D", "C")
        ) or type(leg["amount_minor"]) is not int or not (
            1 <= leg["amount_minor"] <= AMOUNT_LIMIT
        ) or not all(
            isinstance(leg[n], str) for n in ("account_id", "currency_code", "component")
        ) or not _COMPONENT.match(leg["component"]):
            return Refusal(
                "legs_unbalanced", f"a leg is an object with {', '.join(sorted(names))}",
                "legs",
            )
        reference = v["adjustment_id"] if leg["account_id"] == "1001" else None
        legs.append([
            leg["account_id"], leg["currency_code"], leg["direction"], leg["amount_minor"],
            leg["component"], reference,
        ])
    if not legs:
        return Refusal("legs_unbalanced", "there are no legs", "legs")
    return Plan(legs)


def reversal(state: State, v: Values, c: Context) -> Plan | Refusal:
    """The legs of a journal with sides changed, once. What refers to it is refused from then on,
    so nothing may have been done to it since; and what it did itself to an original (refunded,
    disputed, returned …) is taken back (rules D2.8, D0.73)."""
    journal = c.original
    assert journal is not None
    name, operation, entry = v["journal_id"], journal["operation"], journal["entry"]
    if journal["reversed"]:
        return Refusal("already_reversed", f"{name} was reversed before")
    if operation is not None and operation.type == "reversal":
        return Refusal("already_reversed", f"{name} is a reversal itself: book anew")
    done = [] if operation is None else [n for n in operation.counters if entry.get(n)]
    if entry["key"] is not None and state.frozen.get(entry["key"]):
        done.append("frozen")
    if done:
        return Refusal("exceeds_original", f"{name} was {', '.join(done)} since: undo that first")
    counters: dict[str, Any] = {journal["key"]: {"reversed": 1}}
    original, parent = journal["original"], journal["parent"]
    if operation is not None and operation.undo is not None and original is not None:
        before = operation.undo(entry, Context(  # of the date that the journal was booked on
            entry["booking_date"], c.mode, c.codes, c.contract, c.tariff, c.actor, original, parent,
        ))
        if isinstance(before, Refusal):
            return before
        for of, values in zip((original, parent), before, strict=True):
            if values:
                counters[of["key"]] = values
        if operation.type in ("refund", "void") and original["parts"]:
            if not _knew_parts(journal):
                return Refusal(
                    "exceeds_original", f"the payment was split since {name}: undo that first"
                )
            counters[original["key"]]["parts"] = given_again(original["parts"], journal["legs"])
    elif operation is not None and operation.type == "hold_capture" and original is not None:
        amount = sum(leg[3] for leg in journal["legs"] if leg[2] == "D")
        counters[original["key"]] = {"charged_back": original["charged_back"] - amount}
    effects = _effects(state, journal)
    if any(e[0] == "position" and positions.torn(state.table(positions.TABLE), e)
           for e in effects):
        return Refusal(
            "exceeds_original", f"what {name} exchanged was squared since: undo that first"
        )
    return Plan(
        [
            [account, currency, "C" if direction == "D" else "D", amount, component, reference]
            for account, currency, direction, amount, component, reference in journal["legs"]
        ],
        counters, effects=effects,
    )


def _knew_parts(journal: dict[str, Any]) -> bool:
    """Whether a refund took back of the parts of a split payment. One from before the split was
    its merchant's alone, and the split shared out what it had left."""
    return any(
        effect[0] == "item" and effect[1] == journal["original"]["key"] and effect[2].get("parts")
        for effect in journal["effects"]
    )


def _effects(state: State, journal: dict[str, Any]) -> list[list]:
    """What else it did and is taken back: money that it let rest is as before, what it captured of
    a hold that it decided on is held again, what it used of a mandate may be collected, its months
    bind no other mandate, as those of other collections still do, a position is as it was, a fee
    of the start is not charged, and a bill not confirmed."""
    found: list[list] = []
    operation, entry = journal["operation"], journal["entry"]
    if operation is not None and operation.by_mandate:
        found += mandates.given_back(state, entry["authorisation"], entry["amount_minor"])
    for effect in journal["effects"]:
        if effect[0] == "quiet" and len(effect) > 5:
            found.append(_rest_undone(journal, effect))
        elif effect[0] == "quiet" and effect[4] > 0:
            found.append([*effect[:4], -effect[4]])
        elif effect[0] == "position":
            found.append([*effect[:3], -effect[3], -effect[4]])
        elif effect[:2] == ["put", "collected_until"]:
            found += mandates.months_given_back(state, effect)
        elif effect[:2] == ["put", "charged"]:
            left = (state.get("charged", effect[2]) or 0) - entry["amount_minor"]
            found.append(["put", "charged", effect[2], left or None])
        elif effect[:2] == ["put", "bill"]:
            bill = effect[3]
            found.append([*effect[:3], {**bill, "confirmed_on": None}])
            # its items are of its period again: else they count as some of a later one
            found.append([
                "dated", account_id(ACCRUED, bill["merchant_id"]), bill["currency_code"],
                bill["through"], bill["amount_minor"],
            ])
        elif effect[0] == "hold" and operation is not None and operation.undo_holds:
            found.append(["hold", effect[1], {**effect[2], "captured": 0, "ended": False}])
    return found


def _rest_undone(journal: dict[str, Any], effect: list) -> list:
    """How what rests of a payment goes on when a dispute of it was no dispute, or its end none. A
    dispute that was none leaves the count to begin anew, unless another one is open. What it took
    out of a rest rests again; other money is pending as before, for a payment that was never
    disputed has no end from which to count (rule D0.11). What a refund took of it rests again, as
    long as it would have."""
    type_, payment = journal["operation"].type, journal["original"]
    if type_ in ("dispute_release", "dispute_capture"):  # it is open again
        return [*effect[:4], -effect[4], "open"]
    if type_ != "dispute":  # what was given back of it rests as the rest of it does
        ended = payment.get("dispute_ended")
        until = "open" if payment["disputed"] else payment["rests_until"] or (
            quiet_through(ended) if ended else "ended"
        )
        return [*effect[:4], -effect[4], until]
    others = payment["disputed"] - journal["entry"]["amount_minor"]
    took = -effect[4] if _took_of_rest(payment, journal["entry"]) else 0
    return [*effect[:4], took, "open" if others else "ended"]


def _took_of_rest(payment: Mapping[str, Any], dispute: Mapping[str, Any]) -> bool:
    """Whether money of disputes that ended before rested when a dispute was placed. Disputes of
    templates before version 6 did not keep that date, and took more than there was: False."""
    ended = payment.get("dispute_ended")
    return ended is not None and ended <= dispute["booking_date"] <= quiet_through(ended)


HANDLERS: dict[str, Handler] = {f.__name__: f for f in (adjustment, reversal)}
