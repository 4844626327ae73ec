"""Deciding on a command: what it books, whether a checker has to see it, or why it is refused.

Nothing is changed here. The reasons are tested in the order of `ledger/domain/refusals.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ledger.domain import grades, guards, shards, tariffs
from ledger.domain.actors import RECORDED, Actor, may_act_for, may_enter, may_know, may_report
from ledger.domain.conditions import CONDITIONS
from ledger.domain.operations import OF_JOURNAL, Context, Operation, Plan
from ledger.domain.refusals import Refusal
from ledger.domain.registers import HANDLERS
from ledger.domain.state import State
from ledger.service import products
from ledger.service.approvals import leaves_purpose
from ledger.service.booking import Booked
from ledger.service.guarding import Guard
from ledger.service.originals import Originals

if TYPE_CHECKING:
    from ledger.service.ledger import Ledger

_EMPTY: Mapping[str, Any] = {}
#: Whose command it is that a caller had no right to send: nobody's, of those that it names.
NOBODY = (None, None, None, None)
#: What a dispute has of its payment.
_INHERITED = ("merchant_id", "user_id", "card_id", "channel")


def original_of(
    originals: Originals, number: str
) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """The original that a command names, with what it has of its own original, and that one."""
    original, above = originals.get(number), None
    parent = None if original is None else original.get("original_transaction_id")
    if original is not None and parent is not None:
        above = originals.get(parent)
        for name in _INHERITED:
            original.setdefault(name, (above or _EMPTY).get(name))
    return original, above


def books_of(
    state: State, owner: str | None, merchant: str | None, day: str, mode: str | None
) -> tuple[str, Mapping[str, str], Mapping[str, Any], str | None]:
    """The settlement mode whose books a command is in, with its account codes; the contract of the
    merchant, or of the one whose user or card moves, and who that is.

    :param owner: whose books move; a user's or a card's are of its merchant's mode
    :param mode: of the original that the command refers to: its books are those in which it was
        booked, whatever the contract says since (rules D0.2, D0.6)
    """
    above = owner
    if owner is not None and owner != merchant:
        party = state.get("party", owner)
        above = owner if party is None or party["owner_id"] is None else party["owner_id"]
    whose = above if merchant is None else merchant
    contract = None if whose is None else state.contract(whose, day)
    if mode is None:
        found = contract
        if above is not None and above != whose:
            found = state.contract(above, day)
        mode = "institution" if found is None else found["settlement_mode"]
    return (
        mode, state.chart.modes[mode], _EMPTY if contract is None else contract,
        None if contract is None else whose,
    )


def parties_may(
    state: State, operation: Operation, values: Mapping[str, Any], actor: Actor,
    merchant: str | None, user: str | None, rail: str | None, day: str,
) -> Refusal | None:
    """The first reason why those whom a command names may not do this: the state of each, terminal,
    channel, grade, stops. `verify` asks it of what was booked."""
    refusal = (
        guards.party(state, operation, merchant, "merchant_id")
        or guards.party(state, operation, user, "user_id")
    )
    if refusal is not None:
        return refusal
    for name in operation.parties:
        if name in values:
            refusal = refusal or guards.party(state, operation, values[name], name)
    if "terminal_id" in values:
        refusal = refusal or guards.terminal(state, values["terminal_id"], merchant)
    if refusal is None and merchant is not None and operation.needs_channel:
        refusal = guards.channel(state, merchant, rail)
    if refusal is not None:
        return refusal
    parties = [
        merchant, user, values.get("terminal_id"),
        *(values.get(name) for name in operation.parties),
    ]
    if state.tables.get("grade_terms"):
        refusal = grades.barred(state, operation, parties, day)
    if refusal is None and state.tables.get("stop"):
        caller = actor.id if actor.kind == "caller" else None
        if caller is not None:
            parties.append((state.get("caller", caller) or _EMPTY).get("party_id"))
        refusal = guards.stopped(state, operation, parties, rail, caller)
    return refusal


class Decider:
    """Decides for one batch.

    :param actor: who sends the batch
    :param originals: what its commands refer to
    :param booked: the batch so far
    """

    def __init__(
        self, ledger: Ledger, actor: Actor, originals: Originals, booked: Booked
    ) -> None:
        self._booked = booked
        self._guard = Guard(ledger, booked.rows, booked.number)
        self.ledger = ledger
        self.state = ledger.state
        self.actor = actor
        self.originals = originals
        chart = ledger.chart
        self._institution = chart.modes["institution"]
        self._currencies = chart.currencies
        self._standing = ledger.state.standing(actor.name)
        self.watches = bool(ledger.state.tables.get("breaker"))
        #: of the last command, when a breaker watches: merchant, user, rail, original; NOBODY when
        #: its sender might not ask for it
        self.seen: tuple[str | None, str | None, str | None, Mapping[str, Any] | None] | None
        self.seen = None

    def decide(
        self, operation: Operation, values: Mapping[str, Any], actor: Actor, day: str,
        sequence: int, waiting: Mapping[str, Any] | None = None,
    ) -> tuple[Plan, Context, bool] | Refusal:
        """The plan of a command and whether it waits for a checker; or the first reason, in the
        order of `refusals.py`, why it cannot be.

        :param day: its booking date
        :param sequence: of the last entry before it
        :param waiting: what a checker approves, as it waited: it does not wait again, and what it
            holds already is not held twice
        """
        state = self.state
        value_date = values.get("value_date")
        if value_date is not None and value_date != day:
            refusal = self._value_date(value_date, day)
            if refusal is not None:
                return refusal
        if actor.kind != "system":
            refusal = may_enter(state, actor, operation)
            if refusal is not None:
                return refusal
        currency = values.get("currency_code")
        if currency is not None and currency not in self._currencies:
            return Refusal(
                "unknown_currency", "the chart of accounts does not keep this currency",
                "currency_code",
            )
        for name in operation.further_currencies:
            if name in values and values[name] not in self._currencies:
                return Refusal(
                    "unknown_currency", "the chart of accounts does not keep this currency", name
                )
        if operation.business_key is not None:
            business_key = values[operation.business_key]
            reserved = state.tables.get("reserved")
            if business_key in self._booked.taken or (
                reserved and waiting is None and business_key in reserved
            ):
                return Refusal(
                    "business_key_taken", "another entry carries this business key",
                    operation.business_key,
                )
        context = Context(
            day, "institution", self._institution, _EMPTY, tariffs.in_force(state, currency),
            actor.name, scales=self._currencies,
        )
        mode = None if operation.mode_field is None else values.get(operation.mode_field)
        if operation.refers:
            refusal = self._references(operation, values, context, actor)
            if refusal is not None:
                return refusal
            if context.original is not None:
                mode = context.original.get("mode")
        merchant, user = operation.merchant(values, context), operation.user(values, context)
        rail = operation.rail(values, context)
        if self.watches:
            self.seen = merchant, user, rail, context.original
        standing: tuple[Any, ...] = (
            operation.type, day, merchant, user, rail, values.get("terminal_id"), mode,
        )
        if operation.parties:
            standing += tuple([values.get(name) for name in operation.parties])
        if operation.books_apart:
            standing += (operation.books(values, context),)
        known = self._standing.get(standing) if actor is self.actor else None
        if known is None:
            refusal = self._parties(operation, values, actor, merchant, user, rail, day)
            if refusal is not None:
                return refusal
            owner = operation.books(values, context) or merchant or user
            known = books_of(state, owner, merchant, day, mode)
            if actor is self.actor:
                self._standing[standing] = known
        context.mode, context.codes, context.contract, context.owner = known
        if operation.check is not None:
            refusal = operation.check(values, context)
            if refusal is not None:
                return refusal
        plan = self._plan(operation, values, context, sequence)
        if isinstance(plan, Refusal):
            return plan
        held = waiting.get("holds", ()) if waiting else ()
        refusal = self._guard.refusal(
            operation, values, context, plan, currency, day, held
        )
        if refusal is not None:
            return refusal
        waits = waiting is None and (
            (
                operation.approval is not None and (
                    operation.approval(values, context) or self._by_register(operation, values)
                ) and not self.ledger.bootstrapping(operation, actor)
            ) or (state.dedicates and self._dedicated(plan))
        )
        if waits and actor.kind == "system":
            return Refusal("no_right", "what needs a checker is entered by a person", "type")
        return plan, context, waits

    def _by_register(self, operation: Operation, values: Mapping[str, Any]) -> bool:
        """Whether a checker is asked for because of what the registers say now."""
        found = operation.approval_register
        return found is not None and CONDITIONS[found[0]](self.state, values)

    def _parties(
        self, operation: Operation, values: Mapping[str, Any], actor: Actor,
        merchant: str | None, user: str | None, rail: str | None, day: str,
    ) -> Refusal | None:
        """Whether the sender may act for them, and whether all of them may do this: what depends
        on registers alone, so that it is asked once as long as these are the same."""
        state = self.state
        if actor.kind == "caller" and operation.module not in RECORDED:
            refusal = self._caller(operation, values, actor, merchant, user, rail)
            if refusal is not None:
                self.seen = NOBODY
                return refusal
        return parties_may(state, operation, values, actor, merchant, user, rail, day)

    def _caller(
        self, operation: Operation, values: Mapping[str, Any], actor: Actor,
        merchant: str | None, user: str | None, rail: str | None,
    ) -> Refusal | None:
        """Whether a caller may do this for them, and is itself such that it may do anything: one
        that was suspended or cancelled starts nothing new (rule D0.38)."""
        state = self.state
        caller = state.get("caller", actor.id)
        return (
            may_act_for(state, actor, merchant, values.get("card_id") if user is None else user)
            or guards.party(state, operation, caller["party_id"], "party_id")
            or may_report(state, actor, operation, rail)
        )

    def _dedicated(self, plan: Plan) -> bool:
        """Whether money leaves an account of the institution that has a purpose: its use is
        reviewed (rule D4b.13)."""
        return any(leaves_purpose(self.state, *leg[:3]) for leg in plan.legs)

    def _value_date(self, value_date: str, day: str) -> Refusal | None:
        through = self.state.get("period", "closed")
        if value_date > day:
            return Refusal("value_date_closed", f"it lies after {day}", "value_date")
        if through is not None and value_date <= through:
            return Refusal(
                "value_date_closed", f"the period through {through} is closed", "value_date"
            )
        return None

    def _references(
        self, operation: Operation, values: Mapping[str, Any], context: Context, actor: Actor
    ) -> Refusal | None:
        """Look up the original and the hold that a command refers to. A caller is told the same of
        another tenant's original as of one that is not there (rule D0.53)."""
        field = operation.original_field
        if field is not None:
            number = values.get(field)
            if number is None:  # this template's original may be left out
                return None
            original, parent = original_of(self.originals, number)
            if original is None or original["type"] not in operation.original_types or (
                actor.kind == "caller" and not may_know(self.state, actor, original)
            ):
                return Refusal("original_unknown", operation.original_missing, field)
            context.original, context.parent = original, parent
        elif operation.type in OF_JOURNAL and "journal_id" in values:
            context.original = self.originals.journal(values["journal_id"])
            if context.original is None:
                return Refusal("original_unknown", "there is no such journal", "journal_id")
        if operation.hold_field is not None:
            context.hold = self.state.holds.get(values[operation.hold_field])
            if context.hold is None:
                return Refusal(
                    "hold_unknown", "there is no such hold, or it is used up", "hold_id"
                )
            if "original" in context.hold:
                context.original = self.originals.get(context.hold["original"])
        return None

    def _plan(
        self, operation: Operation, values: Mapping[str, Any], context: Context, sequence: int
    ) -> Plan | Refusal:
        if operation.plan is not None:
            plan = operation.plan(values, context)
        else:
            assert operation.handler is not None
            handler = HANDLERS.get(operation.handler) or getattr(
                self.ledger.movements, operation.handler
            )
            if operation.original_field is not None and context.original is not None and (
                context.original["reversed"]
            ):
                return Refusal("already_reversed", "the original was reversed")
            plan = handler(self.state, values, context)
            if operation.type == "account_status" and isinstance(plan, Plan):
                refusal = products.closing(self.ledger, self._booked.rows, values)
                if refusal is not None:
                    return refusal
        if self.state.tables.get(shards.TABLE) and isinstance(plan, Plan):
            plan.legs = shards.spread(self.state, plan.legs, sequence)
        return plan
