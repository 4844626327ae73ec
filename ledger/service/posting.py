"""Posting: a batch of commands as one unit of work.

A batch gives the same results as its commands one by one: each is posted whole or refused whole,
in order, and sees what those before it did. Only storage faults undo the batch.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ledger.domain import templates
from ledger.domain.books import Books
from ledger.domain.chain import Leg, journal_digest, journal_id
from ledger.domain.chart import Chart
from ledger.domain.commands import Command, first_difference, parse
from ledger.domain.refusals import BY_CODE, Refusal
from ledger.domain.templates import JOURNAL_TYPE, Dispute, Payment
from ledger.service.clock import Clock
from ledger.service.ports import Draft, State, Store, StoredCommand

_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


class Head:
    """The ends of the chain and of the command log, as committed."""

    __slots__ = ("booked_at", "closed", "command_number", "digest", "sequence")

    def __init__(self, state: State) -> None:
        self.sequence = state.last_sequence
        self.digest = state.last_digest
        self.command_number = state.last_command_number
        self.booked_at = state.last_booked_at
        self.closed = state.last_closed


def posted(key: str, sequence: int, booking_date: str, booked_at: str) -> dict[str, Any]:
    """The result of a posted command."""
    return {
        "idempotency_key": key,
        "status": "posted",
        "replayed": False,
        "journal_id": journal_id(sequence),
        "sequence": sequence,
        "booking_date": booking_date,
        "booked_at": booked_at,
    }


def refused(key: Any, refusal: Refusal) -> dict[str, Any]:
    """The result of a refused command. A key that is not a short text is not shown back."""
    result = {
        "idempotency_key": key if isinstance(key, str) and len(key) <= 64 else None,
        "status": "refused",
        "replayed": False,
        "reason": refusal.code,
        "detail": refusal.detail,
    }
    if refusal.field is not None:
        result["field"] = refusal.field
    return result


def replay(command: Command, first: StoredCommand) -> dict[str, Any]:
    """The answer to a key seen before: the first result, or which field differs."""
    if command.digest != first.digest:
        name = first_difference(command.type, command.values, first.type, first.values)
        return refused(
            command.key,
            Refusal("idempotency_key_reused", f"the first command had another {name}", name),
        )
    if first.sequence is not None:
        assert first.booking_date is not None and first.booked_at is not None
        result = posted(command.key, first.sequence, first.booking_date, first.booked_at)
    else:
        assert first.reason is not None and first.detail is not None
        result = refused(command.key, Refusal(first.reason, first.detail, first.field))
    result["replayed"] = True
    return result


class Batch:
    """One unit of work over a fixed list of commands. Made, run once, thrown away."""

    def __init__(
        self, store: Store, chart: Chart, books: Books, clock: Clock, head: Head
    ) -> None:
        self.store = store
        self.chart = chart
        self.books = books
        self.clock = clock
        self.sequence = head.sequence
        self.digest = head.digest
        self.command_number = head.command_number
        self.booked_at = head.booked_at
        self.closed = head.closed
        self.draft = Draft()

    def run(self, raws: Sequence[Any]) -> list[dict[str, Any]]:
        """Results, one a command. Called inside the store's transaction."""
        results: list[Any] = [None] * len(raws)
        commands: list[tuple[int, Command]] = []
        for index, raw in enumerate(raws):
            parsed = parse(raw, self.clock.simulated)
            if isinstance(parsed, Command):
                commands.append((index, parsed))
            else:
                key = raw.get("idempotency_key") if isinstance(raw, dict) else None
                results[index] = refused(key, parsed)
        known = self.store.find_commands([command.key for _, command in commands])
        self._prefetch([command for _, command in commands if command.key not in known])
        here: dict[str, tuple[int, StoredCommand]] = {}
        for index, command in commands:
            first = known.get(command.key)
            if first is not None:
                results[index] = replay(command, first)
            elif command.key in here:
                first_index, stored = here[command.key]
                results[index] = replay(command, stored)
                results[index]["first_index"] = first_index
            else:
                result, stored_now = self._apply(command)
                results[index] = result
                if stored_now is not None:
                    here[command.key] = (index, stored_now)
        if self.draft.commands:
            balances = [(a.pending, a.ref) for a in self.books.touched.values()]
            self.store.write(self.draft, balances)
        return results

    def _prefetch(self, commands: list[Command]) -> None:
        """Read at once what the commands will ask for."""
        self.taken = self.store.taken([command.business_key for command in commands])
        originals, disputes = [], []
        for command in commands:
            if command.type in ("refund", "dispute"):
                originals.append(command.values["original_transaction_id"])
            elif command.type == "dispute_release":
                disputes.append(command.values["original_transaction_id"])
        self.wanted = {*originals, *disputes}
        self.payments = self.store.find_payments(originals) if originals else {}
        self.disputes: dict[str, Dispute] = {}
        if disputes:
            rows = self.store.find_disputes(disputes)
            at = {payment.sequence: payment for payment in self.payments.values()}
            missing = [row[1] for row in rows.values() if row[1] not in at]
            at.update(self.store.payments_at(missing))
            for transaction_id, (sequence, payment, amount, released_by) in rows.items():
                self.disputes[transaction_id] = Dispute(
                    sequence, at[payment], amount, released_by
                )

    def _apply(self, command: Command) -> tuple[dict[str, Any], StoredCommand | None]:
        times = self.clock.time_of(command.occurred_at, self.closed, self.booked_at)
        if isinstance(times, Refusal):
            return refused(command.key, times), None
        booked_at, booking_date = times
        outcome = self._legs(command, booking_date)
        values = command.values
        if not isinstance(outcome, Refusal):
            legs, payment, dispute = outcome
            refusal = self.books.post(
                legs, values["currency_code"], JOURNAL_TYPE[command.type]
            )
            if refusal is None:
                return self._record(command, booked_at, booking_date, legs, payment, dispute)
            outcome = refusal
        assert BY_CODE[outcome.code].recorded
        self.command_number += 1
        self.draft.commands.append((
            self.command_number, command.key, command.type, command.digest, _encode(values),
            None, outcome.code, outcome.field, outcome.detail,
        ))
        return refused(command.key, outcome), StoredCommand(
            command.type, command.digest, values, None, outcome.code, outcome.field,
            outcome.detail, None, None,
        )

    def _legs(
        self, command: Command, booking_date: str
    ) -> tuple[list[Leg], Payment | None, Dispute | None] | Refusal:
        """Legs and what they refer to, or the first reason that holds."""
        values = command.values
        if values["currency_code"] not in self.chart.currencies:
            return Refusal(
                "unknown_currency", "the chart of accounts does not keep this currency",
                "currency_code",
            )
        type_ = command.type
        payment: Payment | None = None
        dispute: Dispute | None = None
        legs: list[Leg] | Refusal
        if type_ == "payment":
            legs = templates.payment_legs(command, booking_date)
            if isinstance(legs, Refusal):
                return legs
        if command.business_key in self.taken:
            return Refusal(
                "business_key_taken", "another journal carries this business key",
            )
        if type_ in ("refund", "dispute"):
            payment = self.payments.get(values["original_transaction_id"])
            if payment is None:
                return Refusal(
                    "original_unknown", "no such payment", "original_transaction_id"
                )
            legs = (
                templates.refund_legs(command, booking_date, payment)
                if type_ == "refund" else templates.dispute_legs(command, payment)
            )
        elif type_ == "dispute_release":
            dispute = self.disputes.get(values["original_transaction_id"])
            if dispute is None:
                return Refusal(
                    "original_unknown", "no such dispute", "original_transaction_id"
                )
            payment = dispute.payment
            legs = templates.release_legs(command, dispute)
        elif type_ != "payment":
            legs = templates.simple_legs(command)
        return legs if isinstance(legs, Refusal) else (legs, payment, dispute)

    def _record(
        self, command: Command, booked_at: str, booking_date: str, legs: list[Leg],
        payment: Payment | None, dispute: Dispute | None,
    ) -> tuple[dict[str, Any], StoredCommand]:
        values, key, type_ = command.values, command.key, command.type
        currency = values["currency_code"]
        sequence = self.sequence = self.sequence + 1
        self.command_number += 1
        self.booked_at = max(self.booked_at, booked_at)
        self.taken.add(command.business_key)
        original = dispute.sequence if dispute else payment.sequence if payment else None
        journal_type = JOURNAL_TYPE[type_]
        self.digest = journal_digest(
            self.digest, sequence, journal_type, command.business_key, original, key,
            command.digest, currency, booking_date, booked_at, legs,
        )
        draft = self.draft
        draft.commands.append((
            self.command_number, key, type_, command.digest, _encode(values), sequence,
            None, None, None,
        ))
        draft.journals.append((
            sequence, self.command_number, journal_type, command.business_key, original,
            currency, booking_date, booked_at, len(legs), self.digest,
        ))
        get = self.books.get
        for number, (account_id, direction, amount, component, reference) in enumerate(legs, 1):
            draft.legs.append((
                sequence, number, get(account_id, currency).ref, direction, amount, component,
                reference,
            ))
        if type_ == "payment":
            self._payment_made(command, sequence)
        elif type_ == "refund":
            payment.refunded += values["amount_minor"]
            payment.returned_issuer_fee += values["issuer_fee_minor"]
            payment.returned_network_fee += values["network_fee_minor"]
            payment.returned_acquirer_fee += values["acquirer_fee_minor"]
            draft.changed_payments[payment.sequence] = payment
        elif type_ == "dispute":
            amount = values["amount_minor"]
            payment.disputed += amount
            draft.changed_payments[payment.sequence] = payment
            draft.disputes.append((sequence, payment.sequence, amount))
            if command.business_key in self.wanted:
                self.disputes[command.business_key] = Dispute(sequence, payment, amount)
        elif type_ == "dispute_release":
            payment.disputed -= dispute.amount
            dispute.released_by = sequence
            draft.changed_payments[payment.sequence] = payment
            draft.changed_disputes[dispute.sequence] = dispute
        return posted(key, sequence, booking_date, booked_at), StoredCommand(
            type_, command.digest, values, sequence, None, None, None, booking_date, booked_at
        )

    def _payment_made(self, command: Command, sequence: int) -> None:
        values = command.values
        row = (
            sequence, values["merchant_id"], values.get("user_id"), values["channel"],
            values["currency_code"], values["amount_minor"], values["issuer_fee_minor"],
            values["network_fee_minor"], values["acquirer_fee_minor"],
        )
        self.draft.payments.append(row)
        if command.business_key in self.wanted:
            self.payments[command.business_key] = Payment(*row)
