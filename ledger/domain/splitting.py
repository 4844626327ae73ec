"""A payment that is split among several merchants, and what its refunds take back of each: in the
same proportions, to the minor unit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ledger.domain.chart import parts_of
from ledger.domain.documents import Handler, Values
from ledger.domain.money import largest_remainder
from ledger.domain.operations import Context, Leg, Plan
from ledger.domain.refusals import Refusal
from ledger.domain.state import State

_FAULT = (
    "parts is a list of objects with merchant_id and amount_minor, or merchant_id and weight, the "
    "same in all, each a whole number from 1"
)


def split(state: State, v: Values, c: Context) -> Plan | Refusal:
    """One sum to several merchants; the parts add up to it (largest remainder). When it names the
    payment that is split, the payment keeps what each has of it, the merchant itself with what it
    did not give away."""
    shares = _shares(v["parts"], v["amount_minor"])
    if isinstance(shares, Refusal):
        return shares
    for merchant, _ in shares:
        owner = state.get("party", merchant)
        if owner is None or owner["state"] != "active":
            return Refusal("party_not_active", f"{merchant} is not active", "parts")
        contract = state.contract(merchant, c.booking_date)
        if contract is not None and contract["settlement_mode"] != c.mode:
            return Refusal(
                "mode_differs", f"the money of {merchant} is managed by another", "parts"
            )
    counters = None
    if c.original is not None:
        counters = _of_payment(v, c.original, shares)
        if isinstance(counters, Refusal):
            return counters
    pending, currency = c.codes["2201"], v["currency_code"]
    legs: list[Leg] = [
        [f"{pending}:{v['merchant_id']}", currency, "D", v["amount_minor"], "split", None]
    ]
    legs += [
        [f"{pending}:{merchant}", currency, "C", amount, "split", None]
        for merchant, amount in shares if amount
    ]
    return Plan(legs, counters)


def _shares(parts: list[Any], total: int) -> list[tuple[str, int]] | Refusal:
    """Receiver and amount of each part, in the order given."""
    if not parts or not all(isinstance(p, dict) for p in parts):
        return Refusal("parts_differ", _FAULT, "parts")
    name = "amount_minor" if "amount_minor" in parts[0] else "weight"
    for part in parts:
        if set(part) != {"merchant_id", name} or type(part[name]) is not int or (
            part[name] < 1
        ) or not isinstance(part["merchant_id"], str):
            return Refusal("parts_differ", _FAULT, "parts")
    values = [part[name] for part in parts]
    amounts = values if name == "amount_minor" else largest_remainder(total, values)
    if sum(amounts) != total:
        return Refusal("parts_differ", f"the parts add up to {sum(amounts)} minor units", "parts")
    return [(part["merchant_id"], n) for part, n in zip(parts, amounts, strict=True)]


def _of_payment(
    v: Values, original: Mapping[str, Any], shares: list[tuple[str, int]]
) -> dict[str, Any] | Refusal:
    """What the payment keeps of its split: `parts`, what is left of each, and `split_at`, what was
    refunded before."""
    merchant, total = original["merchant_id"], v["amount_minor"]
    for name in ("merchant_id", "currency_code"):
        if v[name] != original[name]:
            return Refusal("original_differs", f"the payment has {name} {original[name]}", name)
    if original["parts"]:
        return Refusal("already_decided", "the payment was split before")
    unrefunded = original["amount_minor"] - original["refunded"]
    there = unrefunded - original["disputed"] - original["charged_back"]
    if total > there:
        return Refusal("exceeds_original", f"{there} minor units are left", "amount_minor")
    left = {merchant: unrefunded - total}
    for receiver, amount in shares:
        left[receiver] = left.get(receiver, 0) + amount
    return {"parts": [list(part) for part in left.items()], "split_at": original["refunded"]}


def given_again(parts: list[list[Any]], legs: Iterable[Leg]) -> list[list[Any]]:
    """What is left of each part once a refund or void, whose legs these are, was reversed."""
    left: dict[str, int] = dict(parts)  # type: ignore[arg-type]
    for account_id, _, direction, amount, component, _ in legs:
        merchant = parts_of(account_id)[1]
        if direction == "D" and component == "gross" and merchant in left:
            left[merchant] += amount
    return [list(part) for part in left.items()]


HANDLERS: dict[str, Handler] = {"split": split}
