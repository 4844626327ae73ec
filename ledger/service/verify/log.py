"""The log: every digest recomputed, every entry replayed, every signature in it checked."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from ledger.domain import format1, guards, mandates, positions
from ledger.domain.chain import GENESIS, entry_digest, journal_id
from ledger.domain.chart import Chart
from ledger.domain.holds import HoldKind
from ledger.domain.movements import Movements
from ledger.domain.operations import Operations
from ledger.domain.state import State
from ledger.requests import signed_bytes
from ledger.service import folding, hold_end
from ledger.service.approvals import TAKEN_OVER, lacks_approval, no_right, people_fault
from ledger.service.authority import Verifier
from ledger.service.day_statements import FEE_CODES, Fees
from ledger.service.history import seconds
from ledger.service.verify.forms import form_fault
from ledger.service.verify.found import UNREADABLE, Broken, Verified, not_of_its_form
from ledger.service.verify.planned import held_fault, plan_fault
from ledger.service.verify.reconciled import TYPE as RECONCILIATION
from ledger.service.verify.reconciled import Reconciled
from ledger.service.verify.reversals import reversal_fault
from ledger.sessions import cover_bytes

_PRIME = 2**61 - 1
_COVER = "session_cover"
#: Who signs each request; the service takes none of theirs without. An entry that has none came
#: past it, or by a program of before that did not keep it: counted, as nobody can tell which.
_SIGN = ("operator:", "caller:")


@dataclass(slots=True)
class Day:
    """What a booking date moved: [debit, credit, fingerprint of the postings of that value date]
    by account and currency; fingerprints of other value dates beside it; fees by item."""

    movements: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    other: dict[tuple[str, str, str], int] = field(default_factory=dict)
    fees: Fees = field(default_factory=Fees)


class Log:
    """The replay of the log as far as it has come, and what the rest is held against.

    :param kinds: of holds
    :param signature: checks an SM2 signature of a person or caller
    """

    def __init__(
        self, reader: Any, chart: Chart, operations: Operations, kinds: Mapping[str, HoldKind],
        signature: Verifier,
    ) -> None:
        self.reader = reader
        self.operations = operations
        self.movements = Movements(
            kinds, operations.scenes, operations.modules, operations.scene_codes
        )
        self.signature = signature
        self.state = State(chart)
        self.found = Verified()
        self.days: dict[str, Day] = {}
        self.digest = GENESIS
        self.heads = list(reader.heads())
        self.digests: dict[int, bytes] = {0: GENESIS}  # at the entries that something signed names
        self.first = format1.Replay()
        self.sessions: dict[str, dict[int, str]] = {}  # digests of requests not covered yet
        # Digests that a cover named of requests without an entry: one may come behind its cover.
        self._ahead: dict[str, dict[int, bytes]] = {}
        self.periods: list[tuple[int, str]] = []  # entries that closed one, with their content
        self.booked_at = ""
        self._reconciled = Reconciled()
        self._named = {head["sequence"] for head in self.heads} | {
            reader.find_close(day)["chain_sequence"] for day in reader.closed_dates()
        }
        self._waiting: dict[int, bytes] = {}
        self._keys: dict[str, set[str]] = {}  # the public keys that each signer has had
        self._request: tuple[int, str] = (0, "")
        # A sender, the least number that its batch may have, and its first entry of those in a row.
        self._sent: tuple[str, int, int] = ("", 0, 0)
        self._ended = 0  # the first of the ends of holds that stand directly before an entry
        self._batch = 0  # the last batch that an entry named
        self._versions: dict[str, int] = {}  # of the template that booked the last of each type
        # Fingerprints of postings are values of a polynomial at a point drawn for this run, so
        # that no edit can be made to fit.
        self._point = secrets.randbelow(_PRIME - 2**40) + 2**40

    def run(self, at: int | None, then: Callable[[], Broken | None]) -> Broken | None:
        """Go through all entries.

        :param at: an entry after which `then` is asked (0: before the first; None: never)
        """
        if at == 0:
            broken = then()
            if broken is not None:
                return broken
        for row in self.reader.entries(1):
            try:
                reason = self._entry(row)
            except UNREADABLE as error:
                reason = not_of_its_form(error)
            if reason is not None:
                name = f"entry {row[0]}"
                if isinstance(row[1], int):
                    name += f" ({journal_id(row[1])})"
                return Broken(name, reason)
            if row[0] == at:
                broken = then()
                if broken is not None:
                    return broken
        return None

    def done(self, broken: Broken | None) -> Verified:
        """What was checked in all, with the first broken row."""
        found = self.found
        found.broken = broken
        found.uncovered_requests = sum(len(waiting) for waiting in self.sessions.values())
        found.accounts = len(self.state.all_accounts())
        found.chain_digest = self.digest.hex()
        return found

    def _entry(self, row: tuple) -> str | None:
        found, state = self.found, self.state
        if row[0] != found.entries + 1:
            return f"expected entry {found.entries + 1}: entries are missing"
        digest = entry_digest(self.digest, row)
        if digest != row[16]:
            return "its digest does not match its content and the digest before it"
        legs = orjson.loads(row[13])
        if row[1] is not None and row[1] != found.journals + 1:
            return f"expected journal {found.journals + 1}"
        if (row[1] is None) == bool(legs):
            return "it has legs and no journal number, or the other way round"
        reason = self._unknown(row) or self._older(row)
        if reason is not None:
            return reason
        self._sender(row)
        if row[4] == "refused":
            found.refusals += 1
            reason = form_fault(state, row, orjson.loads(row[14]))
        else:
            reason = self._effects(row, legs)
        if reason is not None:
            return reason
        state.keep()
        found.entries += 1
        found.journals += row[1] is not None
        found.legs += len(legs)
        self.digest = digest
        self.booked_at = max(self.booked_at, row[9])
        if row[0] in self._named:
            self.digests[row[0]] = digest
        if row[4] == "pending":
            self._waiting[row[0]] = digest
        if row[8] or row[2] == _COVER:
            return self._evidence(row)
        found.unsigned_entries += row[7].startswith(_SIGN)
        return None

    def _unknown(self, row: tuple) -> str | None:
        """Why nothing can be said of an entry: what newer templates ask is not known."""
        if row[3] > self.operations.versions.get(row[2], 0) and (
            (row[2], row[7]) != TAKEN_OVER or row[0] != 1
        ):
            return (
                f"no template {row[2]} of version {row[3]} is known; if a newer program wrote it, "
                "verify with that"
            )
        return None

    def _older(self, row: tuple) -> str | None:
        """Why an entry cannot come after those before it: what an older template did not ask for is
        not missed, so none comes back once a newer one has booked."""
        newest = self._versions.get(row[2], 0)
        if row[3] < newest:
            return f"it is by version {row[3]} of {row[2]}, after one by version {newest}"
        self._versions[row[2]] = row[3]
        return None

    def _sender(self, row: tuple) -> None:
        """Whether a sender's entries in a row begin here. The ends of holds neither begin nor
        break them: the ledger books these itself, before a command of the batch, and the batch is
        then numbered by the first of them."""
        if row[2] == hold_end.TYPE:
            self._ended = self._ended or row[0]
            return
        if row[7] != self._sent[0] or (row[8] and '"request"' not in row[8][:12]):
            self._sent = (row[7], self._ended or row[0], row[0])
        self._ended = 0

    def _effects(self, row: tuple, legs: list[list]) -> str | None:
        state, day = self.state, row[10]
        effects = orjson.loads(row[14])
        sums: dict[str, int] = {}
        of = self.days.setdefault(day, Day()) if legs else Day()
        moment = seconds(row[9])
        has_fees = False
        for account_id, currency, direction, amount, _, _ in legs:
            account = state.account(account_id, currency)
            if account is None:
                return f"account {account_id} in {currency} was not open"
            if type(amount) is not int or amount <= 0:
                return "a leg is not a whole number of minor units"
            signed = amount if direction == "D" else -amount
            has_fees = has_fees or account.code in FEE_CODES
            sums[account.sum_key] = sums.get(account.sum_key, 0) + signed
            moved = of.movements.setdefault((account_id, currency), [0, 0, 0])
            moved[direction != "D"] += amount
            if account.line.reconciled:
                self._reconciled.add(account_id, currency, row[11], signed)
            if row[11] == day:
                moved[2] = self.print_on(moved[2], row[0], moment, signed)
            else:
                name = (account_id, currency, row[11])
                of.other[name] = self.print_on(of.other.get(name, 0), row[0], moment, signed)
        for key, total in sums.items():
            if total:
                return f"its legs do not balance in {key}: {total} minor units"
        if has_fees:
            of.fees.add(row[12], legs)
        reason = self._limits(row, [effect for effect in effects if effect[0] == "use"])
        if reason is None and row[4] == "posted":
            reason = self._mandate(row, effects)
        if reason is not None:
            return reason
        if row[15]:
            reason = self._approval(row)
        elif row[4] == "posted":
            reason = lacks_approval(self.operations, state, row, legs)
        if reason is None:
            reason = form_fault(state, row, effects)
        if reason is None and row[4] == "posted":
            reason = reversal_fault(self.reader, self.operations, state, row, legs)
        if reason is not None:
            return reason
        exchanged = [effect for effect in effects if effect[0] == "position"]
        if exchanged:
            reason = positions.fault(state.table(positions.TABLE), exchanged, legs)
            if reason is not None:
                return reason
        if row[4] == "posted":
            reason = plan_fault(
                self.reader, self.operations, self.movements, state, row, legs, effects
            )
        else:
            reason = held_fault(
                self.reader, self.operations, self.movements, state, row, effects
            )
        if reason is not None:
            return reason
        folding.replay(state, row)
        if row[4] == "posted":
            reason = people_fault(state, row)
            if reason is None and row[2] == RECONCILIATION:
                reason = self._reconciled.fault(row, state)
            if reason is not None:
                return reason
        for effect in effects:
            if effect[0] == "hold" and (
                effect[2]["captured"] + effect[2]["released"] > effect[2]["placed"]
            ):
                return f"hold {effect[1]} gave more than was placed"
            if effect[:2] == ["put", "period"] and row[3] > 1:
                self.periods.append((row[0], row[12]))
            if effect[0] == "put" and effect[1] in ("operator", "caller") and effect[3]:
                self._keys.setdefault(f"{effect[1]}:{effect[2]}", set()).add(
                    effect[3]["public_key"]
                )
        return None

    def _limits(self, row: tuple, uses: list[list]) -> str | None:
        """Why it crossed a limit. What counts against one of batches names its own: that of the
        request which the entry carries, one for all of its entries; without one (the house's own
        systems) no earlier than its sender's entries that come one after the other."""
        state, day, batch = self.state, row[10], 0
        for _, scene, account, currency, amount, *named in uses:
            if state.bounds_batches and not named and any(
                limit.batch is not None for limit in state.limits(scene, account, currency, day)
            ):
                return "it does not say which batch it is of"
            if named:
                batch, (_, least, own) = named[0], self._sent
                if row[8]:
                    least, most = (least, own) if self._batch < least else (self._batch,) * 2
                else:
                    least, most = max(least, self._batch), row[0]
                if not least <= batch <= most:
                    return f"it is not of batch {batch}"
                self._batch = batch
            refusal = guards.limits(state, [(scene, account, amount)], currency, day, batch)
            if refusal is not None:
                return f"it crossed a limit: {refusal.detail}"
        return None

    def _mandate(self, row: tuple, effects: list[list]) -> str | None:
        """Why a collection crossed a term of its mandate, or does not count against it."""
        operation = self.operations.by_type.get(row[2])
        if operation is None or operation.plan is None:
            return None  # what a handler changes is judged with its plan
        counted = [e for e in effects if e[0] == "put" and e[1] in mandates.COLLECTED]
        if not operation.by_mandate:
            return "it counts against a mandate, which it is not by" if counted else None
        said = orjson.loads(row[12])
        reference, amount = said["authorisation"], said["amount_minor"]
        found = self.state.get("mandate", reference)
        if found is None:
            return f"there was no mandate {reference}"
        crossed = mandates.crossed(self.state, reference, found, amount, row[10], row[3])
        if crossed is not None:
            return f"it crossed mandate {reference}: {crossed}"
        if counted != mandates.collected(
            self.state, reference, found, amount, row[10], row[3]
        ):
            return f"it does not count against mandate {reference}"
        return None

    def print_on(self, before: int, sequence: int, moment: int, amount: int) -> int:
        """The fingerprint of postings with one more."""
        point = self._point
        return (((before * point + sequence) * point + moment) * point + amount) % _PRIME

    def _approval(self, row: tuple) -> str | None:
        """The checker's signature over what waited, with the key and the right that the checker had
        then."""
        said = json.loads(row[15])
        self.found.approvals += 1
        operator = self.state.get("operator", said["operator_id"])
        digest = self._waiting.get(said["pending"])
        waiting = self.state.get("pending", str(said["pending"]))
        if operator is None or digest is None or waiting is None:
            return "its approval names what is not there"
        reason = no_right(self.operations, self.state, waiting, said["operator_id"])
        if reason is not None:
            return reason
        if waiting["actor"] != said["maker"]:
            return "its approval names another maker"
        if waiting["content"] != row[12] or waiting["type"] != row[2]:
            return "it is not what was approved"
        if not self.signature(
            operator["public_key"], digest, bytes.fromhex(said["signature"])
        ):
            return f"the signature of {said['operator_id']} does not verify"
        return None

    def _evidence(self, row: tuple) -> str | None:
        """Who asked for an entry, and of a cover what its caller signed by it, whether the request
        stands beside it or not."""
        reason = self._asked(row) if row[8] else None
        return self._covered(row) if reason is None and row[2] == _COVER else reason

    def _asked(self, row: tuple) -> str | None:
        """The caller's own signature over the request, by a key that the caller has had. The
        other entries of a request name the first."""
        said = json.loads(row[8])
        if "format1" in said:
            return self.first.entry(row, said["format1"])
        if "session" in said:
            self._request = (row[0], row[7])
            return self._in_session(said["session"], said["number"], said["digest"])
        if "signature" not in said:
            if self._request != (said["request"], row[7]):
                return f"entry {said['request']} does not carry a request of {row[7]}"
            return None
        sender = row[7]
        if row[2] == "session_open":  # the service books it for the caller that asked
            sender = f"caller:{json.loads(row[12])['caller_id']}"
        elif row[2] == RECONCILIATION:  # and for whoever sent the statement
            sender = json.loads(row[12])["asked_by"]
        if said["signer"] != sender:
            return f"its request was signed by {said['signer']}, not by {sender}"
        if said["public_key"] not in self._keys.get(sender, ()):
            return f"its request was signed with a key that {sender} never had"
        self._request = (row[0], row[7])
        self.found.requests += 1
        message = signed_bytes(said)
        if not self.signature(said["public_key"], message, bytes.fromhex(said["signature"])):
            return f"the signature of {said['signer']} over its request does not verify"
        return None

    def _in_session(self, session_id: str, number: int, digest: str) -> str | None:
        """A request of a session: it waits for its cover, or is what that covered already."""
        early = self._ahead.get(session_id, {}).pop(number, None)
        if early is None:
            self.sessions.setdefault(session_id, {})[number] = digest
        elif early.hex() != digest:
            return f"request {number} of {session_id} has another digest"
        return None

    def _covered(self, row: tuple) -> str | None:
        """The caller's signature over the running digest of requests of its session, and that
        what those requests caused carries their digests."""
        if row[4] != "posted":
            return None
        said = json.loads(row[12])
        waiting = self.sessions.setdefault(said["session_id"], {})
        ahead = self._ahead.setdefault(said["session_id"], {})
        for number, digest in enumerate(said["digests"], said["first_number"]):
            found = waiting.pop(number, None)
            if found is None:
                ahead[number] = bytes.fromhex(digest)
            elif found != digest:
                return f"request {number} of {said['session_id']} has another digest"
        message = cover_bytes(said["session_id"], said["first_number"], said["digests"])
        signature = bytes.fromhex(said["signature"])
        if not any(self.signature(key, message, signature) for key in self._keys.get(row[7], ())):
            return f"the signature of {row[7]} over its session does not verify"
        return None
