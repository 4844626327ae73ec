"""Posting: a batch of commands as one unit of work.

A batch gives the same results as its commands one by one: each is posted whole or refused whole,
in order, and sees what those before it did; commands linked to one another post together or not
at all (rule D1.22). Only a fault of the storage undoes the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from ledger.domain.actors import LEDGER, Actor, foreign_key, own_prefix
from ledger.domain.chain import entry_digest
from ledger.domain.holds import left, reduced
from ledger.domain.operations import Context, Operation, Plan
from ledger.domain.refusals import BY_CODE, Refusal
from ledger.service import hold_end
from ledger.service.breaker import Noted, noted
from ledger.service.command import Command
from ledger.service.deciding import Decider
from ledger.service.originals import Originals
from ledger.service.ports import Secret
from ledger.service.results import committed, posted, refused, replay

if TYPE_CHECKING:
    from ledger.service.ledger import Head, Ledger


def text(value: Any) -> str:
    """JSON text as it stands in an entry."""
    return orjson.dumps(value).decode()


class Batch:
    """One unit of work over a fixed list of commands. Made, run once, thrown away.

    :param actor: who sends it
    :param evidence: JSON text of the sender's signed request; empty for the house's own systems
    :param head: the end of the log that it follows
    """

    def __init__(self, ledger: Ledger, actor: Actor, evidence: str, head: Head) -> None:
        self.ledger = ledger
        self.state = ledger.state
        self.reads = ledger.pipeline.reads
        self.clock = ledger.clock
        self.actor = actor
        self.evidence = evidence
        self.sequence = head.sequence
        self.journal = head.journal
        self.digest = head.digest
        self.booked_at = head.booked_at
        self.closed = head.closed
        self.rows: list[tuple] = []
        self.postings: list[tuple] = []
        self.secrets: list[Secret] = []
        self.originals = Originals(self.reads, ledger.operations, self.state)
        self.decider = Decider(ledger, actor, self.originals, self.rows, head.sequence + 1)
        self._by_type = ledger.operations.by_type
        self._own = own_prefix(actor) if actor.kind == "caller" else None
        self.noted: list[Noted] = []

    # the batch

    def run(
        self, raws: Sequence[Any], forms: Sequence[Command | Refusal]
    ) -> list[dict[str, Any]]:
        """Results, one a command. Nothing is written: the entries stand in `rows`.

        :param forms: what :func:`ledger.service.command.read` gives of each
        """
        results: list[Any] = [None] * len(raws)
        commands: list[Command | None] = []
        for index, form in enumerate(forms):
            if type(form) is Command:
                commands.append(form)
            else:
                commands.append(None)
                raw = raws[index]
                key = raw.get("idempotency_key") if isinstance(raw, dict) else None
                results[index] = refused(key, form)
        known = self.reads.find_by_key([c.key for c in commands if c is not None])
        self._prefetch([c for c in commands if c is not None and c.key not in known])
        here: dict[str, tuple[int, tuple]] = {}
        group: list[tuple[int, Command]] = []
        malformed: int | None = None
        for index, command in enumerate(commands):
            if command is None:
                linked = isinstance(raws[index], dict) and raws[index].get("linked") is True
                malformed = index if malformed is None else malformed
            else:
                linked = command.linked
                if not linked and not group and malformed is None:
                    results[index] = self._one(index, command, known, here)
                    continue
                group.append((index, command))
            if linked and index + 1 < len(raws):
                continue
            if group:
                self._group(group, malformed, known, here, results)
            group, malformed = [], None
        return results

    def _prefetch(self, commands: list[Command]) -> None:
        """Read at once what the commands will ask for."""
        keys: list[str] = []
        originals: list[str] = []
        for command in commands:
            operation = command.operation
            if command.business_key is not None:
                keys.append(command.business_key)
            if operation.original_field is not None:
                number = command.values.get(operation.original_field)
                if number is not None:
                    originals.append(number)
        self.decider.taken.update(self.reads.find_business_keys(keys))
        if originals:
            self.originals.prefetch(originals)

    def _one(
        self, index: int, command: Command, known: Mapping[str, tuple],
        here: dict[str, tuple[int, tuple]],
    ) -> dict[str, Any]:
        seen = self._seen(command, known, here)
        if seen is not None:
            return seen
        own = self._own
        if own is not None and not (
            command.key.startswith(own) and (command.business_key or own).startswith(own)
        ):
            foreign = foreign_key(
                self.actor, command.operation.module, command.key, command.business_key
            )
            if foreign is not None:
                return refused(command.key, foreign)
        before = len(self.rows)
        result = self._apply(command)
        if len(self.rows) > before and self.rows[-1][5] == command.key:
            here[command.key] = (index, self.rows[-1])
        return result

    def _seen(
        self, command: Command, known: Mapping[str, tuple], here: dict[str, tuple[int, tuple]],
    ) -> dict[str, Any] | None:
        """The answer to a key that the log or this batch has already."""
        row = known.get(command.key)
        if row is not None:
            return replay(self.ledger, self.actor, command, row)
        earlier = here.get(command.key)
        if earlier is None:
            return None
        result = replay(self.ledger, self.actor, command, earlier[1])
        result["first_index"] = earlier[0]
        return result

    def _group(
        self, group: list[tuple[int, Command]], malformed: int | None,
        known: Mapping[str, tuple], here: dict[str, tuple[int, tuple]], results: list[Any],
    ) -> None:
        """Commands linked to one another: all post, or none does.

        :param malformed: place of one linked to them whose form was refused
        """
        mark, rows, postings = self.state.mark(), len(self.rows), len(self.postings)
        at = (self.sequence, self.journal, self.digest, self.booked_at, self.evidence)
        taken, fresh, notes = set(self.decider.taken), self.originals.mark(), len(self.noted)
        before = dict(here)
        failed = malformed
        if failed is None:
            for index, command in group:
                results[index] = self._one(index, command, known, here)
            failed = next((i for i, _ in group if results[i]["status"] == "refused"), None)
            if failed is None or all(results[i].get("replayed") for i, _ in group):
                return
        first = results[failed]
        self.state.back(mark)
        self.noted[notes:] = [note for note in self.noted[notes:] if note.failed][:1]
        del self.rows[rows:], self.postings[postings:]
        self.sequence, self.journal, self.digest, self.booked_at, self.evidence = at
        self.decider.taken = taken
        self.originals.back(fresh)
        here.clear()
        here.update(before)
        for index, command in group:
            seen = self._seen(command, known, here)
            if seen is not None:
                results[index] = seen
                continue
            refusal = (
                Refusal(first["reason"], first["detail"], first.get("field")) if index == failed
                else Refusal("linked_failed", f"command {failed} of the batch was refused")
            )
            times = self.clock.time_of(
                command.values.get("occurred_at"), self.closed, self.booked_at
            )
            if BY_CODE[refusal.code].recorded and not isinstance(times, Refusal):
                self._refuse(command, refusal, *times)
                here[command.key] = (index, self.rows[-1])
            results[index] = refused(command.key, refusal)

    # one command

    def _apply(self, command: Command) -> dict[str, Any]:
        values = command.values
        times = self.clock.time_of(values.get("occurred_at"), self.closed, self.booked_at)
        if type(times) is Refusal:
            return refused(command.key, times)
        booked_at, day = times
        if day > self.state.holds_ended:  # the first command of a date
            self.end_holds(hold_end.before(day), booked_at)
        if command.operation.form.sensitive:
            self._commit_sensitive(command)
        if command.operation.type in ("approve", "reject"):
            return self._review(command, booked_at, day)
        outcome = self.decider.decide(
            command.operation, values, self.actor, day, self.sequence
        )
        if self.decider.watches:
            self._note(command.operation, values, outcome, booked_at)
        if type(outcome) is Refusal:
            if not BY_CODE[outcome.code].recorded:
                return refused(command.key, outcome)
            self._refuse(command, outcome, booked_at, day)
            return refused(command.key, outcome)
        plan, context, waits = outcome
        if waits:
            return self._wait(command, plan, booked_at, day)
        return self._record(
            command.operation, command.key, values, text(values), plan,
            context, booked_at, day, "", (),
        )

    def _note(
        self, operation: Operation, values: Mapping[str, Any],
        outcome: tuple[Plan, Context, bool] | Refusal, booked_at: str,
    ) -> None:
        """What the breaker counts of a command. Not what a stop refused, which says nothing of
        whom it stops, nor what has no result yet."""
        seen, self.decider.seen = self.decider.seen, None
        if type(outcome) is Refusal:
            done: bool | None = None if outcome.code == "stopped" else False
        else:
            _, context, waits = outcome
            done = None if waits else (
                True if operation.outcome is None else operation.outcome(values, context)
            )
        if done is not None:
            self.noted.append(noted(self.state, values, seen, done, booked_at))

    def _commit_sensitive(self, command: Command) -> None:
        """Sensitive values leave the command here; only their commitments go on."""
        for name in command.operation.form.sensitive:
            value = command.values.get(name)
            if value is not None:
                command.values[name], made = committed(
                    self.ledger.vault, command.key, name, value
                )
                self.secrets += made

    # what becomes of it

    def end_holds(self, through: str, booked_at: str) -> None:
        """End the holds whose last date is a date or earlier, booked on their last date (rule
        D0.15).

        :param booked_at: when it happens
        """
        version = self._by_type[hold_end.TYPE].version
        if not self.clock.simulated:
            booked_at = max(booked_at, self.booked_at)
        for key, day, content, effects in list(
            hold_end.entries(self.state, through, self.closed)
        ):
            self.sequence += 1
            self.booked_at = max(self.booked_at, booked_at)
            self.state.change(effects, day)
            self.postings.append((self.sequence, booked_at, day, day, [], effects))
            row = (
                self.sequence, None, hold_end.TYPE, version, "posted", key, None, LEDGER.name, "",
                booked_at, day, day, text(content), "[]", text(effects), "",
            )
            self.digest = entry_digest(self.digest, row)
            self.rows.append((*row, self.digest))
        self.state.ended_holds(through)

    def _append(self, row: tuple) -> None:
        self.digest = entry_digest(self.digest, row)
        self.rows.append((*row, self.digest))
        if self.evidence:
            self._refer(row[0])

    def _refer(self, sequence: int) -> None:
        """The first entry of a request carries its evidence, the others name that entry."""
        if '"request"' not in self.evidence[:12]:
            self.evidence = text({"request": sequence})

    def _refuse(self, command: Command, refusal: Refusal, booked_at: str, day: str) -> None:
        self.sequence += 1
        self.booked_at = max(self.booked_at, booked_at)
        effects = text({
            "reason": refusal.code, "detail": refusal.detail, "field": refusal.field
        })
        self._append((
            self.sequence, None, command.operation.type, command.operation.version, "refused",
            command.key, None, self.actor.name, self.evidence, booked_at, day, day,
            text(command.values), "[]", effects, "",
        ))

    def _wait(
        self, command: Command, plan: Plan, booked_at: str, day: str
    ) -> dict[str, Any]:
        """The command waits for a checker; its business key is kept for it, and so is the money
        that its template holds (rule D1.10)."""
        self.sequence += 1
        self.booked_at = max(self.booked_at, booked_at)
        operation, values = command.operation, command.values
        content = text(values)
        placed = {hold[2] for hold in plan.holds or () if hold[0] == "place"}
        waiting = {
            "type": operation.type, "content": content, "actor": self.actor.name,
            "booked_at": booked_at,
        }
        if placed:
            waiting["holds"] = sorted(placed)
        effects: list[list] = [["put", "pending", str(self.sequence), waiting]]
        effects += [e for e in plan.effects or () if e[0] == "hold" and e[1] in placed]
        if operation.business_key is not None:
            effects.append(
                ["put", "reserved", values[operation.business_key], self.sequence]
            )
        self.state.change(effects, day)
        self.postings.append((self.sequence, booked_at, day, day, [], effects))
        self._append((
            self.sequence, None, operation.type, operation.version, "pending", command.key, None,
            self.actor.name, self.evidence, booked_at, day, day, content, "[]", text(effects),
            "",
        ))
        return {**posted(command.key, self.rows[-1]), "status": "pending"}

    def _record(
        self, operation: Operation, key: str, values: Mapping[str, Any], content: str,
        plan: Plan, context: Context, booked_at: str, day: str, approval: str,
        more: Sequence[list],
    ) -> dict[str, Any]:
        state = self.state
        effects: list[list] = list(plan.effects or ())
        currency = values.get("currency_code")
        if plan.counters is not None or plan.parent_counters is not None:
            assert context.original is not None
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
            self.decider.taken.add(business_key)
        value_date = values.get("value_date", day)
        row = (
            sequence, journal, operation.type, operation.version, "posted", key, business_key,
            self.actor.name, self.evidence, booked_at, day, value_date, content, text(legs),
            text(effects) if effects else "[]", approval,
        )
        self.digest = digest = entry_digest(self.digest, row)
        self.rows.append((*row, digest))
        if self.evidence:
            self._refer(sequence)
        self.postings.append((sequence, booked_at, day, value_date, legs, effects))
        if business_key is not None:
            self.originals.posted(business_key, self.rows[-1])
        return posted(key, self.rows[-1])

    def _of_batch(self, effects: list[list], day: str) -> None:
        """What counts against a limit of batches says which batch it is of, so that `verify` can
        judge it again."""
        for effect in effects:
            if effect[0] == "use" and any(
                limit.batch is not None for limit in self.state.limits(*effect[1:4], day)
            ):
                effect.append(self.decider.number)

    # approvals

    def _given_back(self, waiting: Mapping[str, Any]) -> list[list]:
        """What a rejected request held is free again, unless somebody took the hold over."""
        found = [(name, self.state.holds.get(name)) for name in waiting.get("holds", ())]
        kinds = self.ledger.hold_kinds
        return [
            ["hold", name, reduced(hold, "released", left(hold))] for name, hold in found
            if hold is not None and kinds[hold["kind"]].released_by == "operation"
        ]

    def _review(self, command: Command, booked_at: str, day: str) -> dict[str, Any]:
        """A checker approves or rejects what waits (rules D4a.9, D4a.12, D4a.15)."""
        values = command.values
        approves = command.operation.type == "approve"
        waiting = self.state.get("pending", str(values["pending"]))
        refusal = self.ledger.authority.may_review(
            self.actor, waiting, values, approves=approves
        )
        if refusal is None:
            assert waiting is not None
            operation = self._by_type[waiting["type"]]
            content = orjson.loads(waiting["content"])
            key = None if operation.business_key is None else content[operation.business_key]
            done: list[list] = [["put", "pending", str(values["pending"]), None]]
            if key is not None:
                done.append(["put", "reserved", key, None])
            if not approves:
                done += self._given_back(waiting)
                return self._record(
                    command.operation, command.key, values, text(values),
                    Plan([], effects=done), None, booked_at, day, "", (),  # type: ignore[arg-type]
                )
            kind, _, name = waiting["actor"].partition(":")
            outcome = self.decider.decide(
                operation, content, Actor(kind, name), day, self.sequence, waiting
            )
            if self.decider.watches:
                self._note(operation, content, outcome, booked_at)
            if type(outcome) is not Refusal:
                plan, context, _ = outcome
                return self._record(
                    operation, command.key, content, waiting["content"], plan, context,
                    booked_at, day, text({**values, "maker": waiting["actor"]}), done,
                )
            refusal = outcome
        if BY_CODE[refusal.code].recorded:
            self._refuse(command, refusal, booked_at, day)
        return refused(command.key, refusal)
