"""Posting: a batch of commands as one unit of work.

A batch gives the same results as its commands one by one: each is posted whole or refused whole,
in order, and sees what those before it did; commands linked to one another post together or not
at all (rule D1.22). Only a fault of the storage undoes the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from ledger.domain import guards, shards
from ledger.domain.actors import Actor, may_act_for, may_enter
from ledger.domain.chain import entry_digest
from ledger.domain.holds import left
from ledger.domain.movements import reduced
from ledger.domain.operations import Context, Operation, Plan
from ledger.domain.refusals import BY_CODE, Refusal
from ledger.domain.registers import DEFAULT_TARIFF, HANDLERS
from ledger.service.approvals import leaves_purpose
from ledger.service.originals import Originals
from ledger.service.results import posted, refused, replay

if TYPE_CHECKING:
    from ledger.service.ledger import Head, Ledger

_EMPTY: Mapping[str, Any] = {}
#: Modules whose commands touch no book, so that they act for no merchant.
_OF_CALLERS = frozenset({"reads", "sessions"})
#: What a dispute has of its payment.
_INHERITED = ("merchant_id", "user_id", "card_id", "channel")


def text(value: Any) -> str:
    """JSON text as it stands in an entry."""
    return orjson.dumps(value).decode()


class Command:
    """A command of valid form: its operation, key, values (key left out), whether linked."""

    __slots__ = ("content", "key", "linked", "operation", "values")

    def __init__(self, operation: Operation, values: dict[str, Any]) -> None:
        self.operation = operation
        self.key: str = values.pop("idempotency_key")
        self.linked = bool(values.pop("linked", False))
        self.values = values
        self.content = ""

    @property
    def business_key(self) -> str | None:
        """The key that no other entry may carry."""
        name = self.operation.business_key
        return None if name is None else self.values[name]


def read(ledger: Ledger, raw: Any) -> Command | Refusal:
    """Check the form of one command; nothing of the ledger's state is asked."""
    if not isinstance(raw, dict):
        return Refusal("not_an_object", "a command is a JSON object")
    by_type = ledger.operations.by_type
    type_ = raw.get("type")
    operation = by_type.get(type_) if isinstance(type_, str) else None
    if operation is None:
        return Refusal("unknown_type", "type must be one of: " + ", ".join(by_type), "type")
    values = operation.form.parse(raw, ledger.clock.simulated)
    return values if type(values) is Refusal else Command(operation, values)


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
        self.secrets: list[tuple[str, bytes]] = []
        self.originals = Originals(self.reads, ledger.operations, self.state)
        self.taken: set[str] = set()
        chart = ledger.chart
        self._institution = chart.modes["institution"]
        self._currencies = chart.currencies
        self._by_type = ledger.operations.by_type
        self._standing = ledger.state.standing(actor.name)

    # the batch

    def run(
        self, raws: Sequence[Any], forms: Sequence[Command | Refusal]
    ) -> list[dict[str, Any]]:
        """Results, one a command. Nothing is written: the entries stand in `rows`.

        :param forms: what :func:`read` gives of each
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
                originals.append(command.values[operation.original_field])
        self.taken.update(self.reads.find_business_keys(keys))
        if originals:
            self.originals.prefetch(originals)

    def _one(
        self, index: int, command: Command, known: Mapping[str, tuple],
        here: dict[str, tuple[int, tuple]],
    ) -> dict[str, Any]:
        seen = self._seen(command, known, here)
        if seen is not None:
            return seen
        before = len(self.rows)
        result = self._apply(command)
        if len(self.rows) > before:
            here[command.key] = (index, self.rows[-1])
        return result

    def _seen(
        self, command: Command, known: Mapping[str, tuple], here: dict[str, tuple[int, tuple]],
    ) -> dict[str, Any] | None:
        """The answer to a key that the log or this batch has already."""
        row = known.get(command.key)
        if row is not None:
            return replay(self.ledger, command, row)
        earlier = here.get(command.key)
        if earlier is None:
            return None
        result = replay(self.ledger, command, earlier[1])
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
        taken, fresh = set(self.taken), self.originals.mark()
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
        del self.rows[rows:], self.postings[postings:]
        self.sequence, self.journal, self.digest, self.booked_at, self.evidence = at
        self.taken = taken
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
        self._commit_sensitive(command)
        if command.operation.type in ("approve", "reject"):
            return self._review(command, booked_at, day)
        outcome = self._decide(command.operation, values, self.actor, day)
        if type(outcome) is Refusal:
            if not BY_CODE[outcome.code].recorded:
                return refused(command.key, outcome)
            self._refuse(command, outcome, booked_at, day)
            return refused(command.key, outcome)
        plan, context, waits = outcome
        if waits:
            return self._wait(command, booked_at, day)
        return self._record(
            command.operation, command.key, values, command.content or text(values), plan,
            context, booked_at, day, "", (),
        )

    def _commit_sensitive(self, command: Command) -> None:
        """Sensitive values leave the command here; only their commitments go on."""
        for name in command.operation.form.sensitive:
            value = command.values.get(name)
            if value is not None:
                commitment, sealed = self.ledger.vault.commit(command.key, name, value)
                command.values[name] = commitment
                self.secrets.append((commitment, sealed))

    def _decide(
        self, operation: Operation, values: Mapping[str, Any], actor: Actor, day: str,
        approved: bool = False,
    ) -> tuple[Plan, Context, bool] | Refusal:
        """The plan of a command and whether it waits for a checker; or the first reason, in the
        order of `refusals.py`, why it cannot be."""
        state = self.state
        value_date = values.get("value_date")
        if value_date is not None and value_date != day:
            refusal = self._value_date(value_date, day)
            if refusal is not None:
                return refusal
        if actor.kind != "system" or operation.module == "system":
            refusal = may_enter(state, actor, operation)
            if refusal is not None:
                return refusal
        currency = values.get("currency_code")
        if currency is not None and currency not in self._currencies:
            return Refusal(
                "unknown_currency", "the chart of accounts does not keep this currency",
                "currency_code",
            )
        if operation.business_key is not None:
            business_key = values[operation.business_key]
            if business_key in self.taken or (
                not approved and state.get("reserved", business_key) is not None
            ):
                return Refusal(
                    "business_key_taken", "another entry carries this business key",
                    operation.business_key,
                )
        context = Context(day, "institution", self._institution, _EMPTY, self._tariff(),
                          actor.name)
        refusal = self._references(operation, values, context)
        if refusal is not None:
            return refusal
        merchant, user = operation.merchant(values, context), operation.user(values, context)
        rail = operation.rail(values, context)
        standing = (
            operation.type, day, merchant, user, rail, values.get("terminal_id"),
            *[values.get(name) for name in operation.parties],
        )
        known = self._standing.get(standing) if actor is self.actor else None
        if known is None:
            refusal = self._parties(operation, values, actor, merchant, user, rail)
            if refusal is not None:
                return refusal
            known = self._books(merchant, user, day)
            if actor is self.actor:
                self._standing[standing] = known
        context.mode, context.codes, context.contract = known
        if operation.check is not None:
            refusal = operation.check(values, context)
            if refusal is not None:
                return refusal
        plan = self._plan(operation, values, context)
        if type(plan) is Refusal:
            return plan
        refusal = self._guard(operation, values, context, plan, currency, day)
        if refusal is not None:
            return refusal
        waits = not approved and (
            (
                operation.approval is not None and operation.approval(values, context)
                and not (self.ledger.bootstrapping(operation, actor))
            ) or self._dedicated(plan)
        )
        if waits and actor.kind != "operator":
            return Refusal("no_right", "what needs a checker is entered by a person", "type")
        return plan, context, waits

    def _parties(
        self, operation: Operation, values: Mapping[str, Any], actor: Actor,
        merchant: str | None, user: str | None, rail: str | None,
    ) -> Refusal | None:
        """Whether the sender may act for them, and whether all of them may do this: what depends
        on registers alone, so that it is asked once as long as these are the same."""
        state = self.state
        if actor.kind == "caller" and operation.module not in _OF_CALLERS:
            refusal = may_act_for(state, actor, merchant, user)
            if refusal is not None:
                return refusal
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
        if refusal is None and merchant is not None and operation.starts:
            refusal = guards.channel(state, merchant, rail)
        if refusal is None and state.tables.get("stop"):
            refusal = guards.stopped(state, operation, merchant, user, rail)
        return refusal

    def _books(
        self, merchant: str | None, user: str | None, day: str
    ) -> tuple[str, Mapping[str, str], Mapping[str, Any]]:
        """The settlement mode whose books the command is in, with its account codes; and the
        merchant's contract."""
        if merchant is None and user is not None:  # a book belongs to its owner's mode
            owner = self.state.tables["party"][user].get("owner_id")
            contract = None if owner is None else self.state.contract(owner, day)
        else:
            contract = None if merchant is None else self.state.contract(merchant, day)
        mode = "institution" if contract is None else contract["settlement_mode"]
        return (
            mode, self.ledger.chart.modes[mode],
            _EMPTY if merchant is None or contract is None else contract,
        )

    def _dedicated(self, plan: Plan) -> bool:
        """Whether money leaves an account of the institution that has a purpose: its use is
        reviewed (rule D4b.13)."""
        return self.state.dedicates and any(
            leaves_purpose(self.state, *leg[:3]) for leg in plan.legs
        )

    def _value_date(self, value_date: str, day: str) -> Refusal | None:
        through = self.state.get("period", "closed")
        if value_date > day:
            return Refusal("value_date_closed", f"it lies after {day}", "value_date")
        if through is not None and value_date <= through:
            return Refusal(
                "value_date_closed", f"the period through {through} is closed", "value_date"
            )
        return None

    def _tariff(self) -> Mapping[str, Any]:
        return self.state.get("tariff", "withdrawal") or DEFAULT_TARIFF

    def _references(
        self, operation: Operation, values: Mapping[str, Any], context: Context
    ) -> Refusal | None:
        """Look up the original and the hold that a command refers to."""
        field = operation.original_field
        if field is not None:
            original = self.originals.get(values[field])
            if original is None or original["type"] not in operation.original_types:
                return Refusal("original_unknown", operation.original_missing, field)
            context.original = original
            parent = original.get("original_transaction_id")
            if parent is not None:
                context.parent = self.originals.get(parent)
                for name in _INHERITED:
                    original.setdefault(name, (context.parent or _EMPTY).get(name))
        elif operation.type == "reversal":
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
        self, operation: Operation, values: Mapping[str, Any], context: Context
    ) -> Plan | Refusal:
        if operation.plan is not None:
            plan = operation.plan(values, context)
        else:
            assert operation.handler is not None
            handler = HANDLERS.get(operation.handler) or getattr(
                self.ledger.movements, operation.handler
            )
            plan = handler(self.state, values, context)
        if self.state.tables.get(shards.TABLE) and type(plan) is Plan:
            plan.legs = shards.spread(self.state, plan.legs, self.sequence)
        return plan

    def _guard(
        self, operation: Operation, values: Mapping[str, Any], context: Context, plan: Plan,
        currency: str | None, day: str,
    ) -> Refusal | None:
        state = self.state
        if plan.authorisation is not None:
            refusal = guards.authorisation(state, plan.authorisation, currency or "", day)
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
        elif operation.handler is None and "destination_id" in values:
            refusal = guards.destination(
                state, operation.merchant(values, context), values["destination_id"]
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
        releases: dict[str, int] = {}
        gone: set[str] = set()
        if plan.holds is not None:
            refusal = self._hold_effects(operation, plan, context, currency or "", releases, gone)
            if refusal is not None:
                return refusal
        elif context.hold is not None and plan.effects:
            hold = context.hold
            releases[hold["account_id"]] = sum(leg[3] for leg in plan.legs if leg[2] == "D")
            gone.add(hold["account_id"])
        if plan.legs:
            if state.tables.get("stop"):
                refusal = guards.stopped_account(
                    state, operation, [leg[0] for leg in plan.legs]
                )
                if refusal is not None:
                    return refusal
            refusal = guards.accounts(state, operation, plan.legs, releases, gone)
            if refusal is not None:
                return refusal
        if plan.uses:
            return guards.limits(state, plan.uses, currency or "", day)
        return None

    def _hold_effects(
        self, operation: Operation, plan: Plan, context: Context, currency: str,
        releases: dict[str, int], gone: set[str],
    ) -> Refusal | None:
        """Turn the template's holds into effects.

        :param releases: what of each account's holds ends here, to be filled
        :param gone: accounts whose held money may have left already, to be filled
        """
        changed: dict[str, dict[str, Any]] = {}
        effects = plan.effects = list(plan.effects or ())
        assert plan.holds is not None
        for action, kind, hold_id, account_id, amount, case in plan.holds:
            if action == "place":
                refusal = guards.lowered_later(self.state, operation, account_id, currency)
                if refusal is not None:
                    return refusal
                document = self.ledger.movements.place(
                    self.state, kind, hold_id, account_id, currency, amount, case, context
                )
                if type(document) is Refusal:
                    return document
                effects.append(["hold", hold_id, document])
                continue
            hold = changed.get(hold_id) or self.state.holds.get(hold_id)
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
            if self.ledger.movements.kinds[hold["kind"]].released_by == "operation":
                gone.add(account_id)
        effects += [["hold", hold_id, document] for hold_id, document in changed.items()]
        return None

    # what becomes of it

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

    def _wait(self, command: Command, booked_at: str, day: str) -> dict[str, Any]:
        """The command waits for a checker; its business key is kept for it."""
        self.sequence += 1
        self.booked_at = max(self.booked_at, booked_at)
        operation, values = command.operation, command.values
        content = text(values)
        effects: list[list] = [["put", "pending", str(self.sequence), {
            "type": operation.type, "content": content, "actor": self.actor.name,
            "booked_at": booked_at,
        }]]
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

    # approvals

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
                return self._record(
                    command.operation, command.key, values, text(values),
                    Plan([], effects=done), None, booked_at, day, "", (),  # type: ignore[arg-type]
                )
            kind, _, name = waiting["actor"].partition(":")
            outcome = self._decide(operation, content, Actor(kind, name), day, approved=True)
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
