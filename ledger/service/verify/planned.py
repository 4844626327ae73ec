"""What an entry booked, and what it changed beside balances, planned again: it is what its template
makes of its content, of its original and of the registers as the log had made them by then, and its
template's checks let it through, and neither a stop, nor the state of a party, the status of an
account or a floor kept it back. So nobody who can write the database books a refund above its
payment, a result of an order twice, another amount than was exchanged, a debit without the payer's
consent, out of a frozen account or below a floor, or a limit that its checker did not sign, and
only computes the digests anew.

Of the current version of a template alone: what another one asked is not known any more. So a
change of what a template, a handler, a function of the templates or a guard makes of the same
content needs another version. The cycles of the calendar, past floors under what is dated back, and
what is in :data:`APART` are not judged here, of the latter only what such an entry may hold
(`apart.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import orjson

from ledger.domain import guards, payouts, shards, tariffs
from ledger.domain.actors import Actor
from ledger.domain.chart import SHARD
from ledger.domain.movements import Movements
from ledger.domain.operations import Context, Operation, Operations, Plan
from ledger.domain.refusals import Refusal
from ledger.domain.registers import HANDLERS
from ledger.domain.state import State
from ledger.service.basis import basis
from ledger.service.deciding import books_of, original_of, parties_may
from ledger.service.guarding import moves
from ledger.service.originals import Originals
from ledger.service.ports import Reader
from ledger.service.unwritten import Unwritten
from ledger.service.verify.apart import APART, apart_fault
from ledger.service.verify.reversals import TYPE as REVERSAL

_NOTHING: Mapping[str, Any] = {}
#: Registers that a money operation may change: what it uses up (mandates: `verify/log.py`), and
#: what was kept for it while it waited (`forms.py`).
_USED_UP = frozenset({
    "authorisation", "collected", "collected_last", "collected_until", "pending", "reserved",
})
_WAITED = ("pending", "reserved")
_KINDS = ("use", "item", "quiet", "position")

class _Before:
    """The log before an entry, for look-ups of originals; their counters are in the state."""

    def __init__(self, reader: Reader, sequence: int) -> None:
        self.reader = reader
        self.sequence = sequence

    def find_by_business_key(self, keys: Sequence[str]) -> dict[str, tuple]:
        found = self.reader.find_by_business_key(keys)
        return {key: row for key, row in found.items() if row[0] < self.sequence}

    def find_by_journal(self, journal: int) -> tuple | None:
        row = self.reader.find_by_journal(journal)
        return row if row is not None and row[0] < self.sequence else None

    def items(self, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        return {}


def plan_fault(
    reader: Reader, operations: Operations, movements: Movements, state: State, row: tuple,
    legs: list[list], effects: list[list],
) -> str | None:
    """Why a posted entry is not what its template books.

    :param movements: the handlers of holds, limits and rights
    :param state: as it was before the entry
    """
    fault = apart_fault(movements.kinds, state, row, legs, effects)
    operation = operations.by_type.get(row[2])
    if fault is not None or operation is None or operation.type in APART or (
        row[3] != operation.version
    ):
        return fault
    values = orjson.loads(row[12])
    if operation.business_key is not None and row[6] != values[operation.business_key]:
        return "its business key is not that of its content"
    if row[11] != values.get("value_date", row[10]):
        return "its value date is not that of its content"
    asked = _asked(reader, operations, state, operation, values, row)
    if isinstance(asked, str):
        return asked
    context, originals, merchant, user, rail = asked
    plan = _planned(operation, movements, state, values, context)
    if isinstance(plan, Refusal):
        return f"its template refuses it: {plan.code}, {plan.detail}"
    fault = _legs_fault(state, plan, legs)
    if operation.plan is None:
        fault = (
            fault or _register_fault(originals, context, plan, row, effects)
            or _basis_fault(state, operation, plan, row)
            or _due_fault(state, operation, plan, merchant, values, row[10])
        )
    else:
        fault = (
            fault or _effects_fault(originals, context, plan, values, effects)
            or _consent_fault(state, operation, plan, context, merchant, values, row, effects)
            or _due_fault(state, operation, plan, merchant, values, row[10])
        )
    kind, _, name = context.actor.partition(":")
    return (
        fault
        or _refused(parties_may(
            state, operation, values, Actor(kind, name), merchant, user, rail, row[10]
        ))
        or _moves_fault(
            state, movements, operation, context, plan, values, row, legs, effects
        )
        or _waited_fault(state, row, effects)
    )


def held_fault(
    reader: Reader, operations: Operations, movements: Movements, state: State, row: tuple,
    effects: list[list],
) -> str | None:
    """Why what waits for a checker holds something else than its template places meanwhile: a
    handler's command holds nothing before it is approved.

    :param state: as it was before the entry
    """
    operation = operations.by_type.get(row[2])
    if operation is None or row[3] != operation.version:
        return None
    values, wanted = orjson.loads(row[12]), []
    if operation.plan is not None:
        asked = _asked(reader, operations, state, operation, values, row)
        if isinstance(asked, str):
            return asked
        context = asked[0]
        plan = operation.plan(values, context)
        if isinstance(plan, Refusal):
            return f"its template refuses it: {plan.code}, {plan.detail}"
        for action, kind, hold_id, account_id, amount, case in plan.holds or ():
            if action != "place":
                continue
            document = movements.place(
                state, kind, hold_id, account_id, values["currency_code"], amount, case, context
            )
            if isinstance(document, Refusal):
                return _refused(document)
            wanted.append(["hold", hold_id, document])
    if orjson.loads(orjson.dumps(wanted)) != [e for e in effects if e[0] == "hold"]:
        return "what it holds is not what its template places"
    key = None if operation.business_key is None else values[operation.business_key]
    if any(e[2] != key for e in effects if e[:2] == ["put", "reserved"]):
        return "it keeps another business key than its own"
    return None


def _asked(
    reader: Reader, operations: Operations, state: State, operation: Operation,
    values: Mapping[str, Any], row: tuple,
) -> str | tuple[Context, Originals, str | None, str | None, str | None]:
    """What an entry was decided by, with merchant, user and rail; or what it refers to in vain."""
    originals = Originals(
        Unwritten(cast(Reader, _Before(reader, row[0]))), operations, state
    )
    actor = orjson.loads(row[15])["maker"] if row[15] else row[7]
    context = Context(
        row[10], "institution", state.chart.modes["institution"], _NOTHING,
        tariffs.in_force(state, values.get("currency_code")), actor,
        scales=state.chart.currencies,
    )
    mode = None if operation.mode_field is None else values.get(operation.mode_field)
    number = values.get(operation.original_field)
    if number is not None:
        context.original, context.parent = original_of(originals, number)
        if context.original is None or context.original["type"] not in operation.original_types:
            return f"it refers to {number}: {operation.original_missing}"
        mode = context.original.get("mode")
    if operation.type == REVERSAL:
        context.original = originals.journal(values["journal_id"])
    if operation.hold_field is not None:
        context.hold = state.holds.get(values[operation.hold_field])
        if context.hold is None:
            return f"there was no hold {values[operation.hold_field]}"
        if "original" in context.hold:
            context.original = originals.get(context.hold["original"])
            mode = None if context.original is None else context.original.get("mode")
    merchant, user = operation.merchant(values, context), operation.user(values, context)
    rail = operation.rail(values, context)
    owner = operation.books(values, context) or merchant or user
    context.mode, context.codes, context.contract, context.owner = books_of(
        state, owner, merchant, row[10], mode
    )
    return context, originals, merchant, user, rail


def _planned(
    operation: Operation, movements: Movements, state: State, values: Mapping[str, Any],
    context: Context,
) -> Plan | Refusal:
    if operation.plan is not None:
        return operation.plan(values, context)
    assert operation.handler is not None
    refusal = None if operation.check is None else operation.check(values, context)
    if refusal is not None:
        return refusal
    if operation.original_field is not None and context.original is not None and (
        context.original["reversed"]
    ):
        return Refusal("already_reversed", "the original was reversed")
    handler = HANDLERS.get(operation.handler) or getattr(movements, operation.handler)
    return cast("Plan | Refusal", handler(state, values, context))


def _register_fault(
    originals: Originals, context: Context, plan: Plan, row: tuple, effects: list[list]
) -> str | None:
    """What a handler changes is all that the entry changes, but that what waited waits no more."""
    wanted = list(plan.effects or ())
    if plan.counters is not None or plan.parent_counters is not None:
        assert context.original is not None
        wanted += originals.changed(context.original, plan)
    there = [e for e in effects if not (row[15] and e[0] == "put" and e[1] in _WAITED)]
    if orjson.loads(orjson.dumps(wanted)) != there:
        return "what it changes is not what its content says"
    return None


def _basis_fault(state: State, operation: Operation, plan: Plan, row: tuple) -> str | None:
    """What a checker approved replaces what was there when it was entered. A refused approval has
    the checker's signature, too."""
    if not row[15]:
        return None
    waited = state.get("pending", str(orjson.loads(row[15])["pending"]))
    if "basis" in waited and waited["basis"] != basis(state, operation.type, plan.effects):
        return "what it replaces is not what was there when it was entered"
    return None


def _legs_fault(state: State, plan: Plan, legs: list[list]) -> str | None:
    same = (
        _joined(plan.legs) == _joined(legs) if state.tables.get(shards.TABLE)
        else plan.legs == legs
    )
    return None if same else "its legs are not those of its template"


def _joined(legs: Iterable[list]) -> Counter[tuple[Any, ...]]:
    """Amounts of legs, those of an account's shards together."""
    found: Counter[tuple[Any, ...]] = Counter()
    for account, currency, direction, amount, component, reference in legs:
        found[account.partition(SHARD)[0], currency, direction, component, reference] += amount
    return found


def _effects_fault(
    originals: Originals, context: Context, plan: Plan, values: Mapping[str, Any],
    effects: list[list],
) -> str | None:
    wanted: list[list] = [
        effect for effect in plan.effects or () if effect[0] in _KINDS
    ]
    if plan.counters is not None or plan.parent_counters is not None:
        assert context.original is not None
        wanted += originals.changed(context.original, plan)
    wanted += [["use", scene, account, values.get("currency_code"), amount]
               for scene, account, amount in plan.uses or ()]
    there = [effect[:5] if effect[0] == "use" else effect
             for effect in effects if effect[0] in _KINDS]
    if orjson.loads(orjson.dumps(wanted)) != there:
        return "what it changes beside its legs is not what its template says"
    for effect in effects:
        if effect[0] not in (*_KINDS, "put", "hold") or (
            effect[0] == "put" and effect[1] not in _USED_UP
        ):
            return f"it changes {effect[1]}, which its template does not"
    return None


def _consent_fault(
    state: State, operation: Operation, plan: Plan, context: Context, merchant: str | None,
    values: Mapping[str, Any], row: tuple, effects: list[list],
) -> str | None:
    """The payer's consent is there, and used up; money leaves to a bound account."""
    currency, destination = values.get("currency_code"), values.get("destination_id")
    refusal: Refusal | None = None
    used: list[list] = []
    if plan.authorisation is not None:
        refusal = guards.authorisation(
            state, plan.authorisation, currency or "", row[10], values, row[3]
        ) or guards.destination(state, plan.authorisation[1], destination)
        if plan.authorisation[4] == "authorisation":
            used = [["put", "authorisation", plan.authorisation[0], None]]
    elif destination is not None or operation.type == "settlement":
        refusal = guards.destination(
            state, merchant, destination, needed=context.mode != "self"
        )
    if refusal is not None:
        return _refused(refusal)
    if [effect for effect in effects if effect[:2] == ["put", "authorisation"]] != used:
        return "it does not use up the authorisation that it names, and no other"
    return None


def _due_fault(
    state: State, operation: Operation, plan: Plan, merchant: str | None,
    values: Mapping[str, Any], day: str,
) -> str | None:
    """Nothing that rests for a disputed payment leaves, nor anything before a negative net is taken
    back; the oldest claim is taken first. What a cycle has due depends on the calendar."""
    currency, refusal = values.get("currency_code") or "", None
    if operation.type == "settlement" or operation.type in payouts.MOVES_PENDING:
        keeps = payouts.MOVES_PENDING.get(operation.type, payouts.exchange)
        leaving = [(leg[0], leg[1], leg[3]) for leg in plan.legs if leg[2] == "D"]
        leaving += [(hold[3], currency, hold[4]) for hold in plan.holds or ()]
        for account_id, of, amount in leaving:
            account = state.account(account_id, of)
            if account is not None and account.line.settles:
                refusal = refusal or keeps(state, account_id, of, amount, day)
    if operation.oldest_first is not None:
        refusal = guards.oldest_first(state, merchant, values[operation.oldest_first], currency)
    return _refused(refusal)


def _refused(refusal: Refusal | None) -> str | None:
    return None if refusal is None else (
        f"it should have been refused: {refusal.code}, {refusal.detail}"
    )


def _moves_fault(
    state: State, movements: Movements, operation: Operation, context: Context, plan: Plan,
    values: Mapping[str, Any], row: tuple, legs: list[list], effects: list[list],
) -> str | None:
    """No stop, status or purpose of an account kept it back, no floor either, and the holds that it
    places, captures and frees are those of its template."""
    held: Sequence[str] = ()
    if row[15]:
        waited = state.get("pending", str(orjson.loads(row[15])["pending"]))
        held = waited.get("holds", ())
    plan.legs = legs  # spread over shards as they were then
    refusal = moves(
        state, movements, operation, context, plan, values.get("currency_code") or "", held
    )
    if refusal is not None:
        return _refused(refusal)
    wanted = [effect for effect in plan.effects or () if effect[0] == "hold"]
    if orjson.loads(orjson.dumps(wanted)) != [e for e in effects if e[0] == "hold"]:
        return "the holds that it places or ends are not those of its template"
    return None


def _waited_fault(state: State, row: tuple, effects: list[list]) -> str | None:
    """What was held while it waited for its checker is held for it: nothing else would end it."""
    if not row[15]:
        return None
    waited = state.get("pending", str(orjson.loads(row[15])["pending"]))
    lost = set(waited.get("holds", ())) - {e[1] for e in effects if e[0] == "hold"}
    return f"it leaves hold {min(lost)}, which was placed for it" if lost else None
