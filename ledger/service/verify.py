"""`verify`: read the whole log, recompute every digest, replay every entry, and compare with all
that is derived or signed. Trusts nothing of the running service.

The first broken row is named, in this order: entries (digest, numbering, legs, limits, approvals
given and lacking, holds, callers' signatures), documents of the checkpoint, segments, day closes
with their balances, heads, head files.
"""

from __future__ import annotations

import json
import secrets
import time
from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from ledger.domain import format1, guards
from ledger.domain.chain import GENESIS, entry_digest, journal_id, sm3
from ledger.domain.chart import Chart
from ledger.domain.operations import Operations
from ledger.domain.state import State
from ledger.requests import signed_bytes
from ledger.service import folding
from ledger.service.approvals import lacks_approval, no_right
from ledger.service.authority import Verifier
from ledger.service.day_statements import FEE_CODES, Fees, in_head
from ledger.service.history import seconds
from ledger.sessions import cover_bytes

#: name -> (document, signature) as kept in files
HeadFiles = Mapping[str, tuple[bytes, bytes]]
FILES_WAIT_SECONDS = 0.5
#: What reading a hand-edited row may raise; it is a broken row, not a fault of the program.
UNREADABLE = (TypeError, ValueError, KeyError, AttributeError, IndexError, AssertionError)
_PRIME = 2**61 - 1


@dataclass(frozen=True, slots=True)
class Broken:
    """The first row that does not hold: which, and why."""

    row: str
    reason: str

    def sentence(self) -> str:
        return f"{self.row}: {self.reason}"


@dataclass(slots=True)
class Verified:
    """What was checked, and the first broken row if there is one."""

    entries: int = 0
    journals: int = 0
    legs: int = 0
    refusals: int = 0
    approvals: int = 0
    requests: int = 0
    uncovered_requests: int = 0
    accounts: int = 0
    closed_dates: int = 0
    heads: int = 0
    chain_digest: str = ""
    broken: Broken | None = None


def verify(
    reader: Any, chart: Chart, operations: Operations,
    trusted: Callable[[str, str, bytes, bytes], bool], files: Callable[[], HeadFiles],
    signature: Verifier,
) -> Verified:
    """Check everything in one read snapshot.

    :param trusted: (key id, name, document, signature) -> whether the signature verifies with
        the key that the trust file holds for that id and day
    :param files: reads the head files
    :param signature: checks an SM2 signature of a person or caller
    """
    # Files first: a close is committed before its files are written, so a file seen now that the
    # snapshot lacks cannot come from a close under way.
    before = files()
    with reader.snapshot():
        return _Verification(
            reader, chart, operations, trusted, before, files, signature
        ).run()


def verify_export(
    reader: Any, chart: Chart, operations: Operations,
    trusted: Callable[[str, str, bytes, bytes], bool], signature: Verifier,
) -> Verified:
    """Check an export of the log: every entry, every signature in it, every head. Needs neither
    the database nor the key that seals sensitive values."""
    return _Verification(
        reader, chart, operations, trusted, {}, dict, signature, derived=False
    ).run()


@dataclass(slots=True)
class _Day:
    """What a booking date moved: [debit, credit, fingerprint of the postings of that value date]
    by account and currency; fingerprints of other value dates beside it; fees by item."""

    movements: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    other: dict[tuple[str, str, str], int] = field(default_factory=dict)
    fees: Fees = field(default_factory=Fees)


class _Verification:
    def __init__(
        self, reader: Any, chart: Chart, operations: Operations,
        trusted: Callable[[str, str, bytes, bytes], bool], files: HeadFiles,
        again: Callable[[], HeadFiles], signature: Verifier, derived: bool = True,
    ) -> None:
        """:param derived: whether what is derived and the files are there, too"""
        self.derived = derived
        self.reader: Any = reader
        self.operations = operations
        self.trusted, self.files, self.again = trusted, files, again
        self.signature = signature
        self.state = State(chart)
        self.found = Verified()
        self.days: dict[str, _Day] = {}
        self.digest = GENESIS
        self.heads = list(reader.heads())
        self.keep = {head["sequence"] for head in self.heads} | {
            reader.find_close(day)["chain_sequence"] for day in reader.closed_dates()
        }
        self.digests: dict[int, bytes] = {0: GENESIS}
        self.checkpoint = reader.checkpoint()
        self.waiting: dict[int, bytes] = {}
        self.first = format1.Replay()
        self.sessions: dict[str, dict[int, str]] = {}
        self.first_heads: dict[str, tuple[bytes, bytes]] = {}
        self.booked_at = ""
        self.keys: dict[str, set[str]] = {}  # the public keys that each signer has had
        self.request: tuple[int, str] = (0, "")
        # Fingerprints of postings are values of a polynomial at a point drawn for this run, so
        # that no edit can be made to fit.
        self.point = secrets.randbelow(_PRIME - 2**40) + 2**40

    def run(self) -> Verified:
        found = self.found
        found.broken = self._entries()
        if self.derived:
            found.broken = found.broken or self._beyond_checkpoint() or self._closes()
        found.broken = found.broken or self._heads()
        if self.derived:
            found.broken = found.broken or self._files()
        found.uncovered_requests = sum(len(waiting) for waiting in self.sessions.values())
        found.accounts = len(self.state.all_accounts())
        found.chain_digest = self.digest.hex()
        return found

    # the log

    def _entries(self) -> Broken | None:
        at = self.checkpoint.sequence if self.checkpoint else 0
        if at == 0 and self.derived:
            broken = self._at_checkpoint()
            if broken is not None:
                return broken
        for row in self.reader.entries(1):
            try:
                reason = self._entry(row)
            except UNREADABLE as error:
                reason = f"one of its values is not of its form ({type(error).__name__})"
            if reason is not None:
                name = f"entry {row[0]}"
                if isinstance(row[1], int):
                    name += f" ({journal_id(row[1])})"
                return Broken(name, reason)
            if row[0] == at:
                broken = self._at_checkpoint()
                if broken is not None:
                    return broken
        return None

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
        if row[4] == "refused":
            found.refusals += 1
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
        if row[0] in self.keep:
            self.digests[row[0]] = digest
        if row[4] == "pending":
            self.waiting[row[0]] = digest
        if row[8]:
            return self._evidence(row)
        return None

    def _effects(self, row: tuple, legs: list[list]) -> str | None:
        state, day = self.state, row[10]
        effects = orjson.loads(row[14])
        sums: dict[str, int] = {}
        of = self.days.setdefault(day, _Day()) if legs else _Day()
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
            if row[11] == day:
                moved[2] = self._print(moved[2], row[0], moment, signed)
            else:
                name = (account_id, currency, row[11])
                of.other[name] = self._print(of.other.get(name, 0), row[0], moment, signed)
        for key, total in sums.items():
            if total:
                return f"its legs do not balance in {key}: {total} minor units"
        if has_fees:
            of.fees.add(row[12], legs)
        uses = [(e[1], e[2], e[4]) for e in effects if e[0] == "use"]
        if uses:
            currency = next(e[3] for e in effects if e[0] == "use")
            refusal = guards.limits(state, uses, currency, day)
            if refusal is not None:
                return f"it crossed a limit: {refusal.detail}"
        reason = None
        if row[15]:
            reason = self._approval(row)
        elif row[4] == "posted":
            reason = lacks_approval(self.operations, state, row, legs)
        if reason is not None:
            return reason
        folding.replay(state, row)
        for effect in effects:
            if effect[0] == "hold" and (
                effect[2]["captured"] + effect[2]["released"] > effect[2]["placed"]
            ):
                return f"hold {effect[1]} gave more than was placed"
            if effect[0] == "put" and effect[1] in ("operator", "caller") and effect[3]:
                self.keys.setdefault(f"{effect[1]}:{effect[2]}", set()).add(
                    effect[3]["public_key"]
                )
        return None

    def _print(self, before: int, sequence: int, moment: int, amount: int) -> int:
        """The fingerprint of postings with one more."""
        point = self.point
        return (((before * point + sequence) * point + moment) * point + amount) % _PRIME

    def _approval(self, row: tuple) -> str | None:
        """The checker's signature over what waited, with the key and the right that the checker had
        then."""
        said = json.loads(row[15])
        self.found.approvals += 1
        operator = self.state.get("operator", said["operator_id"])
        digest = self.waiting.get(said["pending"])
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
        """The caller's own signature over the request, by a key that the caller has had. The
        other entries of a request name the first."""
        said = json.loads(row[8])
        if "format1" in said:
            return self.first.entry(row, said["format1"])
        if "session" in said:
            self.request = (row[0], row[7])
            self.sessions.setdefault(said["session"], {})[said["number"]] = said["digest"]
            return self._covered(row) if row[2] == "session_cover" else None
        if "signature" not in said:
            if self.request != (said["request"], row[7]):
                return f"entry {said['request']} does not carry a request of {row[7]}"
            return None
        sender = row[7]
        if row[2] == "session_open":  # the service books it for the caller that asked
            sender = f"caller:{json.loads(row[12])['caller_id']}"
        if said["signer"] != sender:
            return f"its request was signed by {said['signer']}, not by {sender}"
        if said["public_key"] not in self.keys.get(sender, ()):
            return f"its request was signed with a key that {sender} never had"
        self.request = (row[0], row[7])
        self.found.requests += 1
        message = signed_bytes(said)
        if not self.signature(said["public_key"], message, bytes.fromhex(said["signature"])):
            return f"the signature of {said['signer']} over its request does not verify"
        return self._covered(row) if row[2] == "session_cover" else None

    def _covered(self, row: tuple) -> str | None:
        """The caller's signature over the running digest of requests of its session, and that
        what those requests caused carries their digests."""
        if row[4] != "posted":
            return None
        said = json.loads(row[12])
        waiting = self.sessions.setdefault(said["session_id"], {})
        for number, digest in enumerate(said["digests"], said["first_number"]):
            if waiting.pop(number, digest) != digest:
                return f"request {number} of {said['session_id']} has another digest"
        message = cover_bytes(said["session_id"], said["first_number"], said["digests"])
        signature = bytes.fromhex(said["signature"])
        if not any(self.signature(key, message, signature) for key in self.keys.get(row[7], ())):
            return f"the signature of {row[7]} over its session does not verify"
        return None

    # what is derived

    def _documents(self) -> Broken | None:
        """The checkpoint's documents against the replay up to its entry."""
        expected = {(kind, key): doc for kind, key, doc in folding.every(self.state)}
        stored: Iterator[tuple[str, str, Any]] = self.reader.documents()
        seen = set()
        for kind, key, document in stored:
            seen.add((kind, key))
            if expected.get((kind, key)) != document:
                return Broken(f"document {kind} {key}", "the log gives another one")
        for key, document in self.reader.all_items():
            seen.add(("item", key))
            if expected.get(("item", key)) != document:
                return Broken(f"item {key}", "the log gives another one")
        for kind, key in expected:
            if (kind, key) not in seen:
                return Broken(f"document {kind} {key}", "it is missing")
        return None

    def _at_checkpoint(self) -> Broken | None:
        """The checkpoint and all that it wrote down, at its entry."""
        at = self.checkpoint
        if at is not None and (at.sequence, at.digest, at.journal, at.booked_at) != (
            self.found.entries, self.digest, self.found.journals, self.booked_at
        ):
            return Broken("checkpoint", "the log gives another one")
        if at is None and self.reader.has_documents():
            return Broken("checkpoint", "it is missing")
        return self._documents() or self._segments()

    def _beyond_checkpoint(self) -> Broken | None:
        if self.checkpoint is None:
            return None
        if self.checkpoint.sequence > self.found.entries:
            return Broken(
                "checkpoint", f"it reaches to entry {self.checkpoint.sequence}, the log to "
                f"{self.found.entries}: the end of the log is missing",
            )
        return None

    def _segments(self) -> Broken | None:
        """Every posting by account and dates, up to the checkpoint."""
        last: tuple[str, ...] = ()
        found = mark = 0
        for segment in self.reader.all_segments():
            name = (segment.account_id, segment.currency_code, segment.booking_date,
                    segment.value_date)
            if name != last:
                if last and mark != self._expected(*last):
                    return Broken(_segments_of(last), "the log gives other postings")
                found, mark, last = found + 1, 0, name
            postings = array("q")
            try:
                postings.frombytes(segment.postings)
                amounts = postings[2::3]
                debit = sum(amount for amount in amounts if amount > 0)
                says = (
                    postings[0], postings[-3], max(postings[1::3]), debit, debit - sum(amounts),
                )
                for sequence, moment, amount in zip(*[iter(postings)] * 3, strict=True):
                    mark = self._print(mark, sequence, moment, amount)
            except UNREADABLE as error:
                return Broken(
                    _segments_of(name),
                    f"one of its values is not of its form ({type(error).__name__})",
                )
            if says != (
                segment.first_sequence, segment.last_sequence, segment.last_booked,
                segment.debit, segment.credit,
            ):
                return Broken(_segments_of(name), "its totals are not those of its postings")
        if last and mark != self._expected(*last):
            return Broken(_segments_of(last), "the log gives other postings")
        wanted = self._printed()
        if found != len(wanted):
            there = {
                (s.account_id, s.currency_code, s.booking_date, s.value_date)
                for s in self.reader.all_segments()
            }
            missing = min(set(wanted) - there)
            return Broken(_segments_of(missing), "they are missing")
        return None

    def _expected(self, account: str, currency: str, day: str, value_date: str) -> int | None:
        of = self.days.get(day, _Day())
        if value_date != day:
            return of.other.get((account, currency, value_date))
        moved = of.movements.get((account, currency))
        return moved[2] or None if moved else None

    def _printed(self) -> list[tuple[str, str, str, str]]:
        """What has segments."""
        names = [
            (account, currency, day, day) for day, of in self.days.items()
            for (account, currency), moved in of.movements.items() if moved[2]
        ]
        return names + [
            (account, currency, day, value_date) for day, of in self.days.items()
            for account, currency, value_date in of.other
        ]

    # what is signed

    def _closes(self) -> Broken | None:
        previous: dict | None = None
        closing: dict[tuple[str, str], int] = {}
        days = self.reader.closed_dates()
        for day in days:
            close = self.reader.find_close(day)
            try:
                reason = self._close_reason(close, previous) or self._balances(close, closing)
            except UNREADABLE as error:
                reason = f"one of its values is not of its form ({type(error).__name__})"
            if reason is not None:
                return Broken(f"day close {day}", reason)
            previous = close
            self.found.closed_dates += 1
        for head in self.heads:
            if not head["name"].startswith("hour-") and head["name"] not in days:
                return Broken(f"day close {head['name']}", "it is missing")
        for day in self.reader.balance_dates():
            if day not in days:
                return Broken(f"day balances of {day}", "the date is not closed")
        return None

    def _close_reason(self, close: dict, previous: dict | None) -> str | None:
        document = close["document"]
        day = close["booking_date"]
        if not self.trusted(close["key_id"], day, document, close["signature"]):
            return f"its signature does not verify with key {close['key_id']}"
        said = json.loads(document)
        for name in ("booking_date", "closed_at", "chain_sequence", "journals", "legs"):
            if said[name] != close[name]:
                return f"{name} is not what the signed head says"
        if said["chain_digest"] != close["chain_digest"].hex():
            return "chain_digest is not what the signed head says"
        if said["previous_head"] != (sm3(previous["document"]).hex() if previous else None):
            return "it does not follow the head before it"
        is_first = said["format"] == format1.HEAD_FORMAT
        if is_first:  # its chain is recomputed from the entries that its journals became
            self.first_heads[day] = (document, close["signature"])
        digests = self.first.digests if is_first else self.digests
        if close["chain_sequence"] and (
            digests.get(close["chain_sequence"]) != close["chain_digest"]
        ):
            return "the chain at its sequence has another digest"
        return None

    def _balances(self, close: dict, closing: dict[tuple[str, str], int]) -> str | None:
        """Day balances against the replay, and their sums against the signed trial balance."""
        day = close["booking_date"]
        moved = self.days.get(day, _Day())
        movements = moved.movements
        listed: list[tuple] = []
        trial: dict[tuple[str, str], list[int]] = {}
        seen = set()
        for account_id, currency, opening, debit, credit, after in self.reader.day_balances(day):
            name = (account_id, currency)
            seen.add(name)
            listed.append((day, account_id, currency, opening, debit, credit, after))
            account = self.state.account(*name)
            if account is None:
                return f"account {account_id} is not in the log"
            if tuple(movements.get(name, (0, 0))[:2]) != (debit, credit):
                return f"account {account_id}: its journals give other totals"
            if opening != closing.get(name, 0):
                return f"account {account_id}: it does not open as it closed"
            if after != opening + account.debit_sign * (debit - credit):
                return f"account {account_id}: its closing balance does not foot"
            closing[name] = after
            line = trial.setdefault((account.code, currency), [0, 0, 0, 0])
            for place, value in enumerate((opening, debit, credit, after)):
                line[place] += value
        if set(movements) - seen:
            return f"the balance of {min(set(movements) - seen)[0]} is missing"
        document = json.loads(close["document"])
        if document["accounts"] != len(seen):
            return f"the signed head says {document['accounts']} balances, there are {len(seen)}"
        said = {
            (row["account_code"], row["currency_code"]): [
                row["opening_minor"], row["debit_minor"], row["credit_minor"],
                row["closing_minor"],
            ]
            for row in document["trial_balance"]
        }
        if said != trial:
            return "the balances do not add up to the signed head"
        if "statements" not in document:  # closed by an older program
            return None
        if document["statements"] != in_head(listed, moved.fees.rows(day)):
            return "its statements are not those of the signed head"
        for line in document["sub_ledgers"]:
            total = trial[line["account_code"], line["currency_code"]][3]
            if not line["sub_ledger_minor"] == line["general_ledger_minor"] == total:
                return f"the sub-ledger of {line['account_code']} is not its general ledger"
        return None

    def _heads(self) -> Broken | None:
        previous: dict | None = None
        for head in self.heads:
            row = f"head {head['name']}"
            try:
                said = json.loads(head["document"])
                if not self.trusted(
                    head["key_id"], head["name"], head["document"], head["signature"]
                ):
                    return Broken(row, f"its signature does not verify with {head['key_id']}")
                if (said["chain_sequence"], said["chain_digest"]) != (
                    head["sequence"], head["digest"].hex()
                ):
                    return Broken(row, "it is not what was signed")
                if said["previous_anchor"] != (
                    sm3(previous["document"]).hex() if previous else None
                ):
                    return Broken(row, "it does not follow the head before it")
            except UNREADABLE as error:
                return Broken(
                    row, f"one of its values is not of its form ({type(error).__name__})"
                )
            if self.digests.get(head["sequence"]) != head["digest"]:
                return Broken(row, "the chain at its sequence has another digest")
            previous = head
            self.found.heads += 1
        return None

    def _files(self) -> Broken | None:
        inside = {
            **{name: {"document": document, "key_id": json.loads(document)["key_id"]}
               for name, (document, _) in self.first_heads.items()},
            **{head["name"]: head for head in self.heads},
        }
        if set(inside) - set(self.files):
            time.sleep(FILES_WAIT_SECONDS)  # a close under way writes its files after its commit
            late = {name: file for name, file in self.again().items() if name in inside}
            self.files = {**late, **self.files}
        for name in sorted({*inside, *self.files}):
            head, file = inside.get(name), self.files.get(name)
            if head is None:
                return Broken(
                    f"head {name}", "a signed head file names it, the database does not: "
                    "the database is older than its heads",
                )
            if file is None:
                return Broken(f"head file {name}", "it is missing")
            if file[0] != head["document"]:
                return Broken(f"head file {name}", "it is not the head in the database")
            if not self.trusted(head["key_id"], name, *file):
                return Broken(f"head file {name}", "its signature does not verify")
        return None


def _segments_of(name: tuple[str, ...]) -> str:
    account, _, day, value_date = name
    shown = f"segments of {account} on {day}"
    return shown if value_date == day else f"{shown}, value date {value_date}"
