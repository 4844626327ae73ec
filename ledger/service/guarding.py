"""What must hold before a plan may be booked: payouts, the payer's consent, bound accounts, holds,
accounts, limits, in that order of reasons. What a consent or a hold costs is added to the plan's
effects; nothing else is changed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ledger.domain import guards, mandates, payouts
from ledger.domain.holds import left, reduced
from ledger.domain.movements import Movements
from ledger.domain.operations import Context, Operation, Plan
from ledger.domain.refusals import Refusal
from ledger.domain.state import AUTHORITY, FREEZES, State
from ledger.service.backdating import Past

if TYPE_CHECKING:
    from ledger.service.ledger import Ledger


class Guard:
    """The guards of one batch.

    :param rows: entries of the batch so far, to be filled by it
    :param number: of the batch: the sequence of its first entry
    """

    def __init__(self, ledger: Ledger, rows: Sequence[tuple], number: int) -> None:
        self.ledger = ledger
        self.state = ledger.state
        self.number = number
        self.past = Past(ledger, rows)

    def refusal(
        self, operation: Operation, values: Mapping[str, Any], context: Context, plan: Plan,
        currency: str | None, day: str, held: Collection[str],
    ) -> Refusal | None:
        """The first reason why a plan cannot be booked.

        :param held: holds that were placed when the command began to wait for its checker
        """
        state = self.state
        if operation.type == "settlement":
            leaving = [(leg[0], leg[1], leg[3]) for leg in plan.legs]
            leaving += [(hold[3], currency or "", hold[4]) for hold in plan.holds or ()]
            refusal = payouts.payout(
                state, leaving, context.contract, day, self.ledger.clock.calendar
            )
            if refusal is not None:
                return refusal
        elif operation.type in payouts.MOVES_PENDING:
            account_id, of, _, amount = plan.legs[0][:4]
            refusal = payouts.MOVES_PENDING[operation.type](state, account_id, of, amount, day)
            if refusal is not None:
                return refusal
        if plan.authorisation is not None:
            refusal = self._consent(operation, plan, values, currency or "", day)
            if refusal is not None:
                return refusal
        elif operation.handler is None and (
            "destination_id" in values or operation.type == "settlement"
        ):
            # Self-managed money is paid out by the acquirer: here the books alone move.
            refusal = guards.destination(
                state, operation.merchant(values, context), values.get("destination_id"),
                needed=context.mode != "self",
            )
            if refusal is not None:
                return refusal
        if operation.oldest_first is not None:
            refusal = guards.oldest_first(
                state, operation.merchant(values, context), values[operation.oldest_first],
                currency or "",
            )
            if refusal is not None:
                return refusal
        refusal = moves(
            state, self.ledger.movements, operation, context, plan, currency or "", held
        )
        if refusal is not None:
            return refusal
        if plan.legs:
            value_date = values.get("value_date")
            if value_date is not None and value_date < day:
                refusal = self.past.refusal(operation, plan.legs, value_date, day)
                if refusal is not None:
                    return refusal
        if plan.uses:
            return guards.limits(state, plan.uses, currency or "", day, self.number)
        return None

    def _consent(
        self, operation: Operation, plan: Plan, values: Mapping[str, Any], currency: str, day: str
    ) -> Refusal | None:
        """The payer's authorisation, used up by this, or mandate, which counts it."""
        state = self.state
        assert plan.authorisation is not None
        refusal = guards.authorisation(
            state, plan.authorisation, currency, day, values, operation.version
        )
        if refusal is None:
            refusal = guards.destination(
                state, plan.authorisation[1], values.get("destination_id")
            )
        if refusal is not None:
            return refusal
        if plan.authorisation[4] == "authorisation":
            plan.effects = [
                *(plan.effects or ()), ["put", "authorisation", plan.authorisation[0], None],
            ]
        else:
            reference, _, _, amount, _ = plan.authorisation
            mandate = state.tables["mandate"][reference]
            plan.effects = [
                *(plan.effects or ()),
                *mandates.collected(state, reference, mandate, amount, day, operation.version),
            ]
        return None


def moves(
    state: State, movements: Movements, operation: Operation, context: Context, plan: Plan,
    currency: str, held: Collection[str],
) -> Refusal | None:
    """The first reason why what a plan holds and moves may not be: holds, stops of accounts, their
    status, books and floors. `verify` asks it of what was booked. What the holds come to is added
    to the plan's effects.

    :param held: holds that were placed when the command began to wait for its checker
    """
    releases: dict[str, int] = {}
    gone: set[str] = set()
    under_way: dict[str, int] = {}
    keeps: dict[str, int] = {}
    if plan.holds is not None:
        refusal = _hold_effects(
            state, movements, operation, plan, context, currency, held, releases, gone, under_way
        )
        if refusal is not None:
            return refusal
        for account_id in releases.keys() - gone:  # nothing has left yet
            frozen = state.kept_frozen.get((account_id, currency))
            if frozen:
                keeps[account_id] = frozen + _under_way(state, movements, account_id, currency)
    elif context.hold is not None and plan.effects:
        hold = context.hold
        account_id = hold["account_id"]
        releases[account_id] = sum(leg[3] for leg in plan.legs if leg[2] == "D")
        gone.add(account_id)
        if plan.legs:
            outside = _under_way(state, movements, account_id, hold["currency_code"])
            under_way[account_id] = outside
            frozen = _frozen_beside(state, hold)
            if frozen:
                keeps[account_id] = frozen + outside
    if not plan.legs:
        return None
    if state.tables.get("stop"):
        refusal = guards.stopped_account(state, operation, [leg[0] for leg in plan.legs])
        if refusal is not None:
            return refusal
    return guards.accounts(state, operation, plan.legs, releases, gone, under_way, keeps)


def _on(state: State, account_id: str, currency: str) -> Iterator[Mapping[str, Any]]:
    """The open holds of amounts on an account."""
    return (
        hold for hold in state.holds.values() if hold["account_id"] == account_id
        and hold["currency_code"] == currency and hold["scope"] == "amount"
    )


def _under_way(state: State, movements: Movements, account_id: str, currency: str) -> int:
    """What of an account waits for an outsider's answer, minor units: it may have left, so no
    hold takes it (rules D0.3, D1.10)."""
    return sum(
        left(hold) for hold in _on(state, account_id, currency)
        if movements.kinds[hold["kind"]].released_by == "operation"
    )


def _frozen_beside(state: State, captured: Mapping[str, Any]) -> int:
    """What the other freezes on an account keep from the capture of a hold, minor units (rule
    D0.16). An authority's own order takes what it holds but for orders of earlier dates: were each
    kept back by the other, neither could be carried out."""
    account_id, currency = captured["account_id"], captured["currency_code"]
    frozen = state.kept_frozen.get((account_id, currency), 0)
    if not frozen or captured["kind"] not in FREEZES:
        return frozen
    if captured["kind"] != AUTHORITY:
        return frozen - left(captured)
    return sum(
        left(hold) for hold in _on(state, account_id, currency)
        if hold["kind"] == AUTHORITY and hold["placed_on"] < captured["placed_on"]
    )


def _hold_effects(
    state: State, movements: Movements, operation: Operation, plan: Plan, context: Context,
    currency: str, held: Collection[str], releases: dict[str, int], gone: set[str],
    under_way: dict[str, int],
) -> Refusal | None:
    """Turn the template's holds into effects.

    :param held: holds that were placed when the command began to wait for its checker
    :param releases: what of each account's holds ends here, to be filled
    :param gone: accounts whose held money may have left already, to be filled
    :param under_way: of accounts whose hold takes money that has not, what waits for an outsider's
        answer, to be filled where more is held than there is
    """
    changed: dict[str, dict[str, Any]] = {}
    effects = plan.effects = list(plan.effects or ())
    assert plan.holds is not None
    for action, kind, hold_id, account_id, amount, case in plan.holds:
        if action == "place":
            refusal = guards.lowered_later(state, operation, account_id, currency)
            if refusal is not None:
                return refusal
            if hold_id in held:  # since the request; the entry says it as any other does
                there = state.holds.get(hold_id) or {}
                if (there.get("kind"), there.get("account_id"), there.get("placed")) != (
                    kind, account_id, amount
                ):
                    return Refusal(
                        "hold_not_allowed", f"hold {hold_id} is not as it was asked for"
                    )
                effects.append(["hold", hold_id, there])
                continue
            document = movements.place(
                state, kind, hold_id, account_id, currency, amount, case, context
            )
            if isinstance(document, Refusal):
                return document
            effects.append(["hold", hold_id, document])
            continue
        hold = changed.get(hold_id) or state.holds.get(hold_id)
        if hold is None:
            return Refusal("hold_unknown", f"hold {hold_id} is used up")
        if kind is not None and hold["kind"] != kind:  # an authority took it over
            return Refusal("hold_not_allowed", f"hold {hold_id} is of kind {hold['kind']}")
        amount = left(hold) if action == "free" else amount
        if amount > left(hold):
            return Refusal("exceeds_hold", f"{left(hold)} minor units are left of the hold")
        name = "captured" if action == "capture" else "released"
        changed[hold_id] = reduced(hold, name, amount)
        account_id = hold["account_id"]
        releases[account_id] = releases.get(account_id, 0) + amount
        if movements.kinds[hold["kind"]].released_by == "operation":
            gone.add(account_id)
        elif action == "capture":
            account = state.account(account_id, currency)
            if account is not None and account.available < (account.floor or 0):
                under_way[account_id] = _under_way(state, movements, account_id, currency)
    lost = sorted(set(held) - {hold[2] for hold in plan.holds if hold[0] == "place"})
    if lost:  # nothing would ever end it
        return Refusal(
            "hold_not_allowed", f"hold {lost[0]} was asked for, and is not any more"
        )
    effects += [["hold", hold_id, document] for hold_id, document in changed.items()]
    return None
