"""`verify`: the whole ledger from its rows, naming the first that does not hold.

In order: every journal in the chain; recorded commands; balances; derived rows of payments; day
closes with their signatures; head files outside the database (a database put back to an earlier
state lacks a day that has a head file).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ledger.domain.chain import GENESIS, sm3
from ledger.domain.chart import Chart
from ledger.domain.commands import TYPES, content_digest
from ledger.service.checks import UNREADABLE, Broken, ChainCheck
from ledger.service.ports import Reader

#: day -> (document, signature) as kept in files
HeadFiles = Mapping[str, tuple[bytes, bytes]]
FILES_WAIT_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Verified:
    """What was checked, and the first broken row if there is one."""

    journals: int
    legs: int
    commands: int
    accounts: int
    closed_dates: int
    chain_digest: str
    broken: Broken | None


def verify(
    reader: Reader, chart: Chart, trusted: Callable[[str, str, bytes, bytes], bool],
    files: Callable[[], HeadFiles],
) -> Verified:
    """Check everything in one read snapshot.

    :param trusted: (key id, day, document, signature) -> whether the signature verifies with
        the key that the trust file holds for that id and day
    :param files: reads the head files
    """
    # Files first: a close is committed before its files are written, so a file seen now that the
    # snapshot lacks cannot come from a close under way.
    before = files()
    with reader.snapshot():
        return _Verification(reader, chart, trusted, before, files).run()


class _Verification:
    def __init__(
        self, reader: Reader, chart: Chart,
        trusted: Callable[[str, str, bytes, bytes], bool], files: HeadFiles,
        again: Callable[[], HeadFiles],
    ) -> None:
        self.reader, self.chart, self.trusted, self.files = reader, chart, trusted, files
        self.again = again
        self.closes = [reader.find_close(day) for day in reader.closed_dates()]
        self.check = ChainCheck(GENESIS, 1, (close["chain_sequence"] for close in self.closes))
        self.commands = 0

    def run(self) -> Verified:
        broken = (
            self.check.run(self.reader.journals(1)) or self._commands() or self._stray()
            or self._balances() or self._payments() or self._closes() or self._files()
        )
        return Verified(
            self.check.journals, self.check.legs, self.commands,
            len(self.reader.accounts()), len(self.closes), self.check.digest.hex(), broken,
        )

    def _commands(self) -> Broken | None:
        for number, type_, digest, values, sequence in self.reader.commands():
            self.commands += 1
            row = f"command {number}"
            if number != self.commands:
                return Broken(row, f"expected command {self.commands}: commands are missing")
            if sequence is not None:
                if sequence > self.check.journals:
                    return Broken(row, f"its journal {sequence} is missing")
                continue  # checked with its journal
            if type_ not in TYPES or content_digest(type_, values) != digest:
                return Broken(row, "its content does not match its digest")
        return None

    def _stray(self) -> Broken | None:
        stray = self.reader.stray_leg()
        return Broken(f"leg {stray[0]}/{stray[1]}", "it has no journal") if stray else None

    def _balances(self) -> Broken | None:
        for account in self.reader.accounts():
            line = self.chart.classes.get(account.code)
            row = f"account {account.account_id} in {account.currency_code}"
            if line is None:
                return Broken(row, f"the chart of accounts has no {account.code}")
            net = self.check.debits.get(account.ref, 0)
            expected = net if line.normal_side == "D" else -net
            if account.balance != expected:
                return Broken(
                    row, f"its balance is {account.balance}, its postings give {expected} "
                    "minor units",
                )
        return None

    def _payments(self) -> Broken | None:
        """Refunded and disputed sums of payments against the journals that made them."""
        row = self.reader.wrong_payment()
        if row is None:
            return None
        return Broken(
            f"payment of journal {row[0]}",
            f"refunded {row[1]} where its refunds give {row[2]}, disputed {row[3]} where its "
            f"open disputes give {row[4]} minor units",
        )

    def _closes(self) -> Broken | None:
        previous: dict | None = None
        for close in self.closes:
            row = f"day close {close['booking_date']}"
            try:
                reason = self._close_reason(close, previous)
            except UNREADABLE:
                reason = "one of its values is not of its type"
            if reason is not None:
                return Broken(row, reason)
            broken = self._day_balances(close["booking_date"], json.loads(close["document"]))
            if broken is not None:
                return broken
            previous = close
        return None

    def _close_reason(self, close: dict, previous: dict | None) -> str | None:
        document = close["document"]
        if not self.trusted(
            close["key_id"], close["booking_date"], document, close["signature"]
        ):
            return f"its signature does not verify with key {close['key_id']}"
        said = json.loads(document)
        for name in ("booking_date", "closed_at", "chain_sequence", "journals", "legs"):
            if said[name] != close[name]:
                return f"{name} is not what the signed head says"
        if said["chain_digest"] != close["chain_digest"].hex():
            return "chain_digest is not what the signed head says"
        if said["previous_head"] != (sm3(previous["document"]).hex() if previous else None):
            return "it does not follow the head before it"
        at = self.check.digests.get(close["chain_sequence"])
        if close["chain_sequence"] and at != close["chain_digest"]:
            return "the chain at its sequence has another digest"
        return None

    def _day_balances(self, day: str, said: dict) -> Broken | None:
        names = (
            "account_code", "currency_code", "opening_minor", "debit_minor", "credit_minor",
            "closing_minor",
        )
        trial = [dict(zip(names, row, strict=True)) for row in self.reader.trial_of(day)]
        if trial != said["trial_balance"]:
            return Broken(f"day balances of {day}", "they do not add up to the signed head")
        movements = self.reader.movements(day)
        for account, _, debit, credit, _ in self.reader.day_balances(day):
            if movements.get(account.ref, (0, 0)) != (debit, credit):
                return Broken(
                    f"day balance {day} of account {account.account_id}",
                    "its journals give other totals",
                )
        return None

    def _files(self) -> Broken | None:
        inside = {close["booking_date"]: close for close in self.closes}
        if set(inside) - set(self.files):
            time.sleep(FILES_WAIT_SECONDS)  # a close under way writes its files after its commit
            late = {day: file for day, file in self.again().items() if day in inside}
            self.files = {**late, **self.files}
        for day in sorted({*inside, *self.files}):
            close, file = inside.get(day), self.files.get(day)
            if close is None:
                return Broken(
                    f"day close {day}", "a signed head file names it, the database does not: "
                    "the database is older than its heads",
                )
            if file is None:
                return Broken(f"head file {day}", "it is missing")
            if file[0] != close["document"]:
                return Broken(f"head file {day}", "it is not the head in the database")
            if not self.trusted(close["key_id"], day, *file):
                return Broken(f"head file {day}", "its signature does not verify")
        return None
