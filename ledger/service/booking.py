"""Booking: what becomes of a command that was decided on. Its entry is added to the end of the log
in memory, with what it changes in the state; nothing is written here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from ledger.domain.actors import LEDGER, Actor
from ledger.domain.chain import entry_digest
from ledger.domain.operations import Context, Operation, Plan
from ledger.domain.refusals import Refusal
from ledger.service import hold_end
from ledger.service.basis import basis
from ledger.service.command import Command
from ledger.service.originals import Originals

if TYPE_CHECKING:
    from ledger.service.ledger import Head, Ledger


def text(value: Any) -> str:
    """JSON text as it stands in an entry."""
    return orjson.dumps(value).decode()


class Mark(NamedTuple):
    """A point to which what was booked can be taken back."""

    state: int
    rows: int
    postings: int
    end: tuple[int, int, bytes, str]
    evidence: tuple[str, bool]
    taken: set[str]
    fresh: set[str]


class Booked:
    """The entries of one batch.

    `rows` are they, `postings` what the history keeps of them, `taken` the business keys that
    entries carry, of those that the batch asked for. The other attributes are the end of the log
    as it moves.

    :param actor: who sends the batch
    :param evidence: JSON text of the sender's signed request; empty for the house's own systems
    :param head: the end of the log that it follows
    """

    def __init__(
        self, ledger: Ledger, actor: Actor, evidence: str, head: Head, originals: Originals
    ) -> None:
        self.state = ledger.state
        self.originals = originals
        self.rows: list[tuple] = []
        self.postings: list[tuple] = []
        self.taken: set[str] = set()
        self.sequence = head.sequence
        self.journal = head.journal
        self.digest = head.digest
        self.booked_at = head.booked_at
        self.closed = head.closed
        self.number = head.sequence + 1  # of the batch: the sequence of its first entry
        self._actor = actor.name
        self._evidence = evidence
        self._first = bool(evidence)  # no entry carries it yet
        self._simulated = ledger.clock.simulated
        self._hold_end = ledger.operations.by_type[hold_end.TYPE].version

    def mark(self) -> Mark:
        """Where it stands."""
        return Mark(
            self.state.mark(), len(self.rows), len(self.postings),
            (self.sequence, self.journal, self.digest, self.booked_at),
            (self._evidence, self._first),
            set(self.taken), self.originals.mark(),
        )

    def back(self, mark: Mark) -> None:
        """Take back what was booked since."""
        self.state.back(mark.state)
        del self.rows[mark.rows:], self.postings[mark.postings:]
        self.sequence, self.journal, self.digest, self.booked_at = mark.end
        self._evidence, self._first = mark.evidence
        self.taken = mark.taken
        self.originals.back(mark.fresh)

    def record(
        self, operation: Operation, key: str, values: Mapping[str, Any], content: str,
        plan: Plan, context: Context | None, booked_at: str, day: str, approval: str = "",
        more: Sequence[list] = (),
    ) -> tuple:
        """Book a plan; its entry.

        :param content: the values as JSON text
        :param approval: the checker's command as JSON text, or empty
        :param more: effects beside those of the plan
        """
        state = self.state
        effects: list[list] = list(plan.effects or ())
        currency = values.get("currency_code")
        if plan.counters is not None or plan.parent_counters is not None:
            assert context is not None and context.original is not None
            effects += self.originals.changed(context.original, plan)
        if plan.uses:
            effects += [["use", scene, account, currency, amount]
                        for scene, account, amount in plan.uses]
            if state.bounds_batches:
                self._of_batch(effects, day)
        effects += more
        self.sequence = sequence = self.sequence + 1
        legs = plan.legs
        journal = None
        if legs:
            self.journal = journal = self.journal + 1
            state.post(legs, day)
        if effects:
            state.change(effects, day)
        if booked_at > self.booked_at:
            self.booked_at = booked_at
        business_key = None
        if operation.business_key is not None:
            business_key = values[operation.business_key]
            self.taken.add(business_key)
        value_date = values.get("value_date", day)
        row = self._append((
            sequence, journal, operation.type, operation.version, "posted", key, business_key,
            self._actor, self._evidence, booked_at, day, value_date, content, text(legs),
            text(effects) if effects else "[]", approval,
        ))
        self.postings.append((sequence, booked_at, day, value_date, legs, effects))
        if business_key is not None:
            self.originals.posted(business_key, row)
        return row

    def _of_batch(self, effects: list[list], day: str) -> None:
        """What counts against a limit of batches says which batch it is of, so that `verify` can
        judge it again."""
        for effect in effects:
            if effect[0] == "use" and any(
                limit.batch is not None
                for limit in self.state.limits(effect[1], effect[2], effect[3], day)
            ):
                effect.append(self.number)

    def wait(self, command: Command, plan: Plan, booked_at: str, day: str) -> tuple:
        """The command waits for a checker; its business key is kept for it, and so is the money
        that its template holds (rule D1.10)."""
        self.sequence += 1
        self.booked_at = max(self.booked_at, booked_at)
        operation, values = command.operation, command.values
        content = text(values)
        placed = {hold[2] for hold in plan.holds or () if hold[0] == "place"}
        waiting: dict[str, Any] = {
            "type": operation.type, "content": content, "actor": self._actor,
            "booked_at": booked_at,
        }
        if placed:
            waiting["holds"] = sorted(placed)
        replaces = basis(self.state, operation.type, plan.effects)
        if replaces is not None:
            waiting["basis"] = replaces
        effects: list[list] = [["put", "pending", str(self.sequence), waiting]]
        effects += [e for e in plan.effects or () if e[0] == "hold" and e[1] in placed]
        if operation.business_key is not None:
            effects.append(
                ["put", "reserved", values[operation.business_key], self.sequence]
            )
        self.state.change(effects, day)
        self.postings.append((self.sequence, booked_at, day, day, [], effects))
        return self._append((
            self.sequence, None, operation.type, operation.version, "pending", command.key, None,
            self._actor, self._evidence, booked_at, day, day, content, "[]", text(effects),
            "",
        ))

    def refuse(self, command: Command, refusal: Refusal, booked_at: str, day: str) -> None:
        """A refusal is an entry without postings."""
        self.sequence += 1
        self.booked_at = max(self.booked_at, booked_at)
        effects = text({
            "reason": refusal.code, "detail": refusal.detail, "field": refusal.field
        })
        self._append((
            self.sequence, None, command.operation.type, command.operation.version, "refused",
            command.key, None, self._actor, self._evidence, booked_at, day, day,
            text(command.values), "[]", effects, "",
        ))

    def end_holds(self, through: str, booked_at: str) -> None:
        """End the holds whose last date is a date or earlier, booked on their last date (rule
        D0.15).

        :param booked_at: when it happens
        """
        if not self._simulated:
            booked_at = max(booked_at, self.booked_at)
        for key, day, content, effects in list(
            hold_end.entries(self.state, through, self.closed)
        ):
            self.sequence += 1
            self.booked_at = max(self.booked_at, booked_at)
            self.state.change(effects, day)
            self.postings.append((self.sequence, booked_at, day, day, [], effects))
            row = (
                self.sequence, None, hold_end.TYPE, self._hold_end, "posted", key, None,
                LEDGER.name, "", booked_at, day, day, text(content), "[]", text(effects), "",
            )
            self.digest = entry_digest(self.digest, row)
            self.rows.append((*row, self.digest))
        self.state.ended_holds(through)

    def _append(self, row: tuple) -> tuple:
        """Add an entry; with its digest. The first of a request carries its evidence, the others
        name that entry."""
        self.digest = digest = entry_digest(self.digest, row)
        row = (*row, digest)
        self.rows.append(row)
        if self._first:
            self._first = False
            self._evidence = text({"request": row[0]})
        return row
