"""Posting: a batch of commands as one unit of work.

A batch gives the same results as its commands one by one: each is posted whole or refused whole,
in order, and sees what those before it did; commands linked to one another post together or not
at all (rule D1.22). Only a fault of the storage undoes the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from ledger.domain.actors import Actor, foreign_key, own_prefix
from ledger.domain.holds import given_back
from ledger.domain.operations import Context, Operation, Plan
from ledger.domain.refusals import BY_CODE, Refusal
from ledger.service import hold_end
from ledger.service.basis import basis
from ledger.service.booking import Booked, text
from ledger.service.breaker import Noted, noted
from ledger.service.command import Command
from ledger.service.deciding import Decider
from ledger.service.originals import Originals
from ledger.service.ports import Secret
from ledger.service.results import committed, posted, refused, replay
from ledger.service.turns import give_way

if TYPE_CHECKING:
    from ledger.service.ledger import Head, Ledger

#: Refusals that say nothing of those whom a command names.
_UNCOUNTED = frozenset({"stopped", "no_right"})


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
        self.secrets: list[Secret] = []
        self.originals = Originals(self.reads, ledger.operations, self.state)
        self.booked = Booked(ledger, actor, evidence, head, self.originals)
        self.decider = Decider(ledger, actor, self.originals, self.booked)
        self._by_type = ledger.operations.by_type
        self._own = own_prefix(actor) if actor.kind == "caller" else None
        self.noted: list[Noted] = []

    # the batch

    def run(
        self, raws: Sequence[Any], forms: Sequence[Command | Refusal]
    ) -> list[dict[str, Any]]:
        """Results, one a command. Nothing is written: the entries stand in `booked`.

        :param forms: what :func:`ledger.service.command.read` gives of each
        """
        results: list[Any] = [None] * len(raws)
        commands: list[Command | None] = []
        for index, form in enumerate(forms):
            if isinstance(form, Command):
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
        self.booked.taken.update(self.reads.find_business_keys(keys))
        if originals:
            self.originals.prefetch(originals)

    def _one(
        self, index: int, command: Command, known: Mapping[str, tuple],
        here: dict[str, tuple[int, tuple]],
    ) -> dict[str, Any]:
        give_way()
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
        rows = self.booked.rows
        before = len(rows)
        result = self._apply(command)
        if len(rows) > before and rows[-1][5] == command.key:
            here[command.key] = (index, rows[-1])
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
        booked = self.booked
        mark, notes, before = booked.mark(), len(self.noted), dict(here)
        failed = malformed
        if failed is None:
            for index, command in group:
                results[index] = self._one(index, command, known, here)
            if len(group) > 1:
                self._none_waits(group, results)
            failed = next((i for i, _ in group if results[i]["status"] == "refused"), None)
            if failed is None or all(results[i].get("replayed") for i, _ in group):
                return
        first = results[failed]
        booked.back(mark)
        self.noted[notes:] = [note for note in self.noted[notes:] if note.failed][:1]
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
                command.values.get("occurred_at"), booked.closed, booked.booked_at
            )
            if BY_CODE[refusal.code].recorded and not isinstance(times, Refusal):
                booked.refuse(command, refusal, *times)
                here[command.key] = (index, booked.rows[-1])
            results[index] = refused(command.key, refusal)

    @staticmethod
    def _none_waits(group: list[tuple[int, Command]], results: list[Any]) -> None:
        """What waits for a checker is decided by itself, later, so it posts together with nothing:
        the first such command of a group fails it, unless it has waited since an earlier request.
        """
        for index, command in group:
            result = results[index]
            if result["status"] == "pending" and not result["replayed"]:
                results[index] = refused(command.key, Refusal(
                    "linked_failed", "it waits for a checker: send it without a link", "linked"
                ))
                return

    # one command

    def _apply(self, command: Command) -> dict[str, Any]:
        values, booked = command.values, self.booked
        times = self.clock.time_of(values.get("occurred_at"), booked.closed, booked.booked_at)
        if isinstance(times, Refusal):
            return refused(command.key, times)
        booked_at, day = times
        if day > self.state.holds_ended:  # the first command of a date
            booked.end_holds(hold_end.before(day), booked_at)
        if command.operation.form.sensitive:
            self._commit_sensitive(command)
        if command.operation.type in ("approve", "reject"):
            return self._review(command, booked_at, day)
        outcome = self.decider.decide(
            command.operation, values, self.actor, day, booked.sequence
        )
        if self.decider.watches:
            self._note(command.operation, values, outcome, booked_at)
        if isinstance(outcome, Refusal):
            if not BY_CODE[outcome.code].recorded:
                return refused(command.key, outcome)
            booked.refuse(command, outcome, booked_at, day)
            return refused(command.key, outcome)
        plan, context, waits = outcome
        if waits:
            return posted(command.key, booked.wait(command, plan, booked_at, day))
        return posted(command.key, booked.record(
            command.operation, command.key, values, text(values), plan, context, booked_at, day,
        ))

    def _note(
        self, operation: Operation, values: Mapping[str, Any],
        outcome: tuple[Plan, Context, bool] | Refusal, booked_at: str,
    ) -> None:
        """What the breaker counts of a command. Not what a stop refused, which says nothing of
        whom it stops, nor what its sender had no right to send, nor what has no result yet."""
        seen, self.decider.seen = self.decider.seen, None
        if isinstance(outcome, Refusal):
            done: bool | None = None if outcome.code in _UNCOUNTED else False
        else:
            _, context, waits = outcome
            done = None if waits else (
                True if operation.outcome is None else operation.outcome(values, context)
            )
        if done is not None:
            self.noted.append(noted(self.state, self.actor, values, seen, done, booked_at))

    def _commit_sensitive(self, command: Command) -> None:
        """Sensitive values leave the command here; only their commitments go on."""
        for name in command.operation.form.sensitive:
            value = command.values.get(name)
            if value is not None:
                command.values[name], made = committed(
                    self.ledger.vault, command.key, name, value
                )
                self.secrets += made

    # approvals

    def _review(self, command: Command, booked_at: str, day: str) -> dict[str, Any]:
        """A checker approves or rejects what waits (rules D4a.9, D4a.12, D4a.15)."""
        values, booked = command.values, self.booked
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
                done += given_back(self.ledger.hold_kinds, self.state.holds, waiting)
                return posted(command.key, booked.record(
                    command.operation, command.key, values, text(values),
                    Plan([], effects=done), None, booked_at, day,
                ))
            kind, _, name = waiting["actor"].partition(":")
            outcome = self.decider.decide(
                operation, content, Actor(kind, name), day, booked.sequence, waiting
            )
            if self.decider.watches:
                self._note(operation, content, outcome, booked_at)
            if "basis" in waiting and not isinstance(outcome, Refusal) and (
                waiting["basis"] != basis(self.state, operation.type, outcome[0].effects)
            ):
                outcome = Refusal(
                    "register_differs", "what it changes is not what it was when it was entered"
                )
            if not isinstance(outcome, Refusal):
                plan, context, _ = outcome
                return posted(command.key, booked.record(
                    operation, command.key, content, waiting["content"], plan, context,
                    booked_at, day, text({**values, "maker": waiting["actor"]}), done,
                ))
            refusal = outcome
        if BY_CODE[refusal.code].recorded:
            booked.refuse(command, refusal, booked_at, day)
        return refused(command.key, refusal)
