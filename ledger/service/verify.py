"""`verify`: read the whole log, recompute every digest, replay every entry, and compare with all
that is derived or signed. Trusts nothing of the running service.

The first broken row is named, in this order: entries (digest, numbering, legs, limits, holds,
approvals, callers' signatures), documents of the checkpoint, segments, day closes with their
balances, heads, head files.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from ledger.domain import format1, guards
from ledger.domain.chain import GENESIS, entry_digest, journal_id, sm3
from ledger.domain.chart import Chart
from ledger.domain.requests import signed_bytes
from ledger.domain.state import State
from ledger.service import folding
from ledger.service.authority import Verifier

#: name -> (document, signature) as kept in files
HeadFiles = Mapping[str, tuple[bytes, bytes]]
FILES_WAIT_SECONDS = 0.5
#: What reading a hand-edited row may raise; it is a broken row, not a fault of the program.
UNREADABLE = (TypeError, ValueError, KeyError, AttributeError, IndexError, AssertionError)


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
    reader: Any, chart: Chart, trusted: Callable[[str, str, bytes, bytes], bool],
    files: Callable[[], HeadFiles], signature: Verifier,
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
        return _Verification(reader, chart, trusted, before, files, signature).run()


@dataclass(slots=True)
class _Day:
    movements: dict[tuple[str, str], list[int]] = field(default_factory=dict)


class _Verification:
    def __init__(
        self, reader: Any, chart: Chart, trusted: Callable[[str, str, bytes, bytes], bool],
        files: HeadFiles, again: Callable[[], HeadFiles], signature: Verifier,
    ) -> None:
        self.reader: Any = reader
        self.chart = chart
        self.trusted, self.files, self.again = trusted, files, again
        self.signature = signature
        self.state = State(chart)
        self.found = Verified()
        self.days: dict[str, _Day] = {}
        self.digest = GENESIS
        self.heads = list(reader.heads())
        self.keep = {head["sequence"] for head in self.heads}
        self.digests: dict[int, bytes] = {0: GENESIS}
        self.checkpoint = reader.checkpoint()
        self.waiting: dict[int, bytes] = {}
        self.first = format1.Replay()
        self.first_heads: dict[str, tuple[bytes, bytes]] = {}

    def run(self) -> Verified:
        found = self.found
        found.broken = (
            self._entries() or self._at_checkpoint() or self._segments() or self._closes()
            or self._heads() or self._files()
        )
        found.accounts = len(self.state.all_accounts())
        found.chain_digest = self.digest.hex()
        return found

    # the log

    def _entries(self) -> Broken | None:
        at = self.checkpoint.sequence if self.checkpoint else -1
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
                broken = self._documents()
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
        movements = self.days.setdefault(day, _Day()).movements if legs else {}
        for account_id, currency, direction, amount, _, _ in legs:
            account = state.account(account_id, currency)
            if account is None:
                return f"account {account_id} in {currency} was not open"
            if type(amount) is not int or amount <= 0:
                return "a leg is not a whole number of minor units"
            signed = amount if direction == "D" else -amount
            sums[account.sum_key] = sums.get(account.sum_key, 0) + signed
            moved = movements.setdefault((account_id, currency), [0, 0])
            moved[direction != "D"] += amount
        for key, total in sums.items():
            if total:
                return f"its legs do not balance in {key}: {total} minor units"
        uses = [(e[1], e[2], e[4]) for e in effects if e[0] == "use"]
        if uses:
            currency = next(e[3] for e in effects if e[0] == "use")
            refusal = guards.limits(state, uses, currency, day)
            if refusal is not None:
                return f"it crossed a limit: {refusal.detail}"
        if row[15]:
            reason = self._approval(row)
            if reason is not None:
                return reason
        folding.replay(state, row)
        for effect in effects:
            if effect[0] == "hold" and (
                effect[2]["captured"] + effect[2]["released"] > effect[2]["placed"]
            ):
                return f"hold {effect[1]} gave more than was placed"
        return None

    def _approval(self, row: tuple) -> str | None:
        """The checker's signature over what waited, with the key that the checker had then."""
        said = json.loads(row[15])
        self.found.approvals += 1
        operator = self.state.get("operator", said["operator_id"])
        digest = self.waiting.get(said["pending"])
        waiting = self.state.get("pending", str(said["pending"]))
        if operator is None or digest is None or waiting is None:
            return "its approval names what is not there"
        if waiting["actor"] == f"operator:{said['operator_id']}":
            return "its maker approved it"
        if waiting["content"] != row[12] or waiting["type"] != row[2]:
            return "it is not what was approved"
        if not self.signature(
            operator["public_key"], digest, bytes.fromhex(said["signature"])
        ):
            return f"the signature of {said['operator_id']} does not verify"
        return None

    def _evidence(self, row: tuple) -> str | None:
        """The caller's own signature over the request."""
        said = json.loads(row[8])
        if "format1" in said:
            return self.first.entry(row, said["format1"])
        if "signature" not in said:
            self.found.uncovered_requests += "request" not in said
            return None
        self.found.requests += 1
        message = signed_bytes(said)
        if not self.signature(said["public_key"], message, bytes.fromhex(said["signature"])):
            return f"the signature of {said['signer']} over its request does not verify"
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
        if self.checkpoint is None:
            return None
        if self.checkpoint.sequence > self.found.entries:
            return Broken(
                "checkpoint", f"it reaches to entry {self.checkpoint.sequence}, the log to "
                f"{self.found.entries}: the end of the log is missing",
            )
        return None

    def _segments(self) -> Broken | None:
        """Postings by account and date, up to the checkpoint, which every close renews."""
        through = self.checkpoint.sequence if self.checkpoint else 0
        if through != self.found.entries:
            return None  # the tail is not in segments yet; the next checkpoint is checked whole
        expected = {
            (account, currency, day): (moved[0], moved[1])
            for day, of in self.days.items() for (account, currency), moved in
            of.movements.items()
        }
        for account, currency, day, debit, credit in self.reader.segment_sums():
            if expected.pop((account, currency, day), None) != (debit, credit):
                return Broken(f"segments of {account} on {day}", "the log gives other totals")
        for account, _, day in expected:
            return Broken(f"segments of {account} on {day}", "they are missing")
        return None

    # what is signed

    def _closes(self) -> Broken | None:
        previous: dict | None = None
        closing: dict[tuple[str, str], int] = {}
        for day in self.reader.closed_dates():
            close = self.reader.find_close(day)
            try:
                reason = self._close_reason(close, previous) or self._balances(close, closing)
            except UNREADABLE as error:
                reason = f"one of its values is not of its form ({type(error).__name__})"
            if reason is not None:
                return Broken(f"day close {day}", reason)
            previous = close
            self.found.closed_dates += 1
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
        movements = self.days.get(day, _Day()).movements
        trial: dict[tuple[str, str], list[int]] = {}
        seen = set()
        for account_id, currency, opening, debit, credit, after in self.reader.day_balances(day):
            name = (account_id, currency)
            seen.add(name)
            account = self.state.account(*name)
            if account is None:
                return f"account {account_id} is not in the log"
            if tuple(movements.get(name, (0, 0))) != (debit, credit):
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
        said = {
            (row["account_code"], row["currency_code"]): [
                row["opening_minor"], row["debit_minor"], row["credit_minor"],
                row["closing_minor"],
            ]
            for row in json.loads(close["document"])["trial_balance"]
        }
        return None if said == trial else "the balances do not add up to the signed head"

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
