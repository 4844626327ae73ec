"""What the console's pages show of one entry of the log: a journal, or what was refused or changed
a register. Like :mod:`ledger.service.views`, plain values of one state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from ledger.domain.chain import GENESIS, journal_id, journal_of
from ledger.domain.chart import parts_of
from ledger.domain.fields import COMMON
from ledger.service.faults import RequestRefused

if TYPE_CHECKING:
    from ledger.service.ledger import Ledger

_COMMON = {field.name: field for field in COMMON}


def listed(row: tuple) -> dict[str, Any]:
    """An entry as a line of a list."""
    return {
        "sequence": row[0], "journal_id": None if row[1] is None else journal_id(row[1]),
        "type": row[2], "outcome": row[4], "business_key": row[6], "actor": row[7],
        "booked_at": row[9], "booking_date": row[10], "value_date": row[11],
    }


def journal(ledger: Ledger, name: str) -> dict[str, Any]:
    """One journal.

    :raises RequestRefused: 404 `journal_unknown`
    """
    number = journal_of(name)
    row = ledger.store.find_by_journal(number) if number else None
    if row is None:
        raise RequestRefused("journal_unknown", "there is no such journal", 404)
    return _entry(ledger, row)


def entry(ledger: Ledger, sequence: int) -> dict[str, Any]:
    """One entry of the log, with or without legs.

    :raises RequestRefused: 404 `entry_unknown`
    """
    if 1 <= sequence <= ledger.head.sequence:
        for row in ledger.store.entries(sequence, sequence):
            return _entry(ledger, row)
    raise RequestRefused("entry_unknown", "there is no such entry", 404)


def _entry(ledger: Ledger, row: tuple) -> dict[str, Any]:
    content, legs = orjson.loads(row[12]), orjson.loads(row[13])
    totals: dict[str, dict[str, int]] = {}
    shown_legs = []
    for number, (account_id, currency, side, amount, component, reference) in enumerate(legs, 1):
        both = totals.setdefault(currency, {"D": 0, "C": 0})
        both[side] += amount
        line = ledger.chart.classes.get(parts_of(account_id)[0])
        shown_legs.append({
            "number": number, "account_id": account_id, "currency": currency, "side": side,
            "amount": amount, "component": component, "reference": reference,
            "zh": line.name_zh if line else "", "en": line.name_en if line else "",
        })
    previous = GENESIS if row[0] == 1 else next(
        (other[16] for other in ledger.store.entries(row[0] - 1, row[0] - 1)), None
    )
    return {
        **listed(row), "idempotency_key": row[5], "version": row[3],
        "who": who(ledger, row[7]), "content": content_of(ledger, row[2], content),
        "legs": shown_legs, "totals": totals, "digest": row[16].hex(),
        "previous_digest": None if previous is None else previous.hex(),
        "original": _original(ledger, row[2], content),
        "approval": _approval(ledger, row[15]), "evidence": _loaded(row[8]),
        "refusal": orjson.loads(row[14]) if row[4] == "refused" else None,
        "last": row[0] == ledger.head.sequence,
        "waiting": row[4] == "pending"
        and ledger.state.get("pending", str(row[0])) is not None,
    }


def _loaded(text: str) -> Any:
    return orjson.loads(text) if text else None


def _approval(ledger: Ledger, text: str) -> dict[str, Any] | None:
    found = _loaded(text)
    if found is None:
        return None
    return {
        **found, "checker": who(ledger, f"operator:{found['operator_id']}"),
        "maker": who(ledger, found["maker"]),
    }


def who(ledger: Ledger, actor: str) -> dict[str, Any]:
    """A sender: kind, id, and the name of a person."""
    kind, _, name = actor.partition(":")
    person = ledger.state.get("operator", name) if kind == "operator" else None
    return {"kind": kind, "id": name, "name": person["name"] if person else None}


def content_of(
    ledger: Ledger, type_: str, content: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The fields of a command in their order, with kind and whether they are commitments."""
    operation = ledger.operations.by_type.get(type_)
    known = dict(_COMMON)
    if operation is not None:
        known.update((field.name, field) for field in operation.form.fields)
    base = content.get("currency_code", ledger.chart.base_currency)
    return [
        {
            "name": name, "value": value, "kind": known[name].kind if name in known else "other",
            "currency": content.get(name.replace("_minor", "_currency_code"), base),
            "sensitive": name in known and known[name].sensitive,
        }
        for name, value in content.items()
    ]


def _original(
    ledger: Ledger, type_: str, content: Mapping[str, Any]
) -> dict[str, Any] | None:
    """What a command refers back to."""
    operation = ledger.operations.by_type.get(type_)
    if operation is None:
        return None
    if "journal_id" in content:  # a reversal names the journal itself
        name = content["journal_id"]
        number = journal_of(name)
        row = ledger.store.find_by_journal(number) if number else None
    elif operation.original_field in content:
        name = content[operation.original_field]
        row = ledger.store.find_by_business_key([name]).get(name)
    else:
        return None
    return None if row is None else {"name": name, **listed(row)}
