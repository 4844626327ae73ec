"""What is signed: day closes with their balances, heads, and the heads' files."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from ledger.domain import format1
from ledger.domain.chain import sm3
from ledger.service.day_close import trial_balance_sm3
from ledger.service.day_statements import in_head
from ledger.service.verify.found import UNREADABLE, Broken, not_of_its_form
from ledger.service.verify.log import Day, Log

#: name -> (document, signature) as kept in files
HeadFiles = Mapping[str, tuple[bytes, bytes]]
#: (key id, name, document, signature) -> whether the signature verifies with the key that the
#: trust file holds for that id and day
Trusted = Callable[[str, str, bytes, bytes], bool]
FILES_WAIT_SECONDS = 0.5


class Signed:
    """Signed documents, held against the replay."""

    def __init__(self, reader: Any, log: Log, trusted: Trusted) -> None:
        self.reader = reader
        self.log = log
        self.trusted = trusted
        self.first_heads: dict[str, tuple[bytes, bytes]] = {}  # of the first format

    def closes(self) -> Broken | None:
        previous: dict | None = None
        closing: dict[tuple[str, str], int] = {}
        days = self.reader.closed_dates()
        for day in days:
            close = self.reader.find_close(day)
            try:
                reason = self._close_reason(close, previous) or self._balances(close, closing)
            except UNREADABLE as error:
                reason = not_of_its_form(error)
            if reason is not None:
                return Broken(f"day close {day}", reason)
            previous = close
            self.log.found.closed_dates += 1
        for head in self.log.heads:
            if not head["name"].startswith("hour-") and head["name"] not in days:
                return Broken(f"day close {head['name']}", "it is missing")
        for day in self.reader.balance_dates():
            if day not in days:
                return Broken(f"day balances of {day}", "the date is not closed")
        return None

    def periods(self) -> Broken | None:
        """What closed a period names the trial balance of its last date."""
        for sequence, content in self.log.periods:
            try:
                said = json.loads(content)
                close = self.reader.find_close(said["valid_to"])
                same = close is not None and said["trial_balance_sm3"] == trial_balance_sm3(
                    json.loads(close["document"])
                )
            except UNREADABLE as error:
                return Broken(f"entry {sequence}", not_of_its_form(error))
            if not same:
                return Broken(
                    f"entry {sequence}", "it closed a period with another trial balance than "
                    "that of its last date"
                )
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
        digests = self.log.first.digests if is_first else self.log.digests
        if close["chain_sequence"] and (
            digests.get(close["chain_sequence"]) != close["chain_digest"]
        ):
            return "the chain at its sequence has another digest"
        return None

    def _balances(self, close: dict, closing: dict[tuple[str, str], int]) -> str | None:
        """Day balances against the replay, and their sums against the signed trial balance."""
        day = close["booking_date"]
        moved = self.log.days.get(day, Day())
        movements = moved.movements
        listed: list[tuple] = []
        trial: dict[tuple[str, str], list[int]] = {}
        seen = set()
        for account_id, currency, opening, debit, credit, after in self.reader.day_balances(day):
            name = (account_id, currency)
            seen.add(name)
            listed.append((day, account_id, currency, opening, debit, credit, after))
            account = self.log.state.account(*name)
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

    def heads(self) -> Broken | None:
        previous: dict | None = None
        for head in self.log.heads:
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
                    row, not_of_its_form(error)
                )
            if self.log.digests.get(head["sequence"]) != head["digest"]:
                return Broken(row, "the chain at its sequence has another digest")
            previous = head
            self.log.found.heads += 1
        return None

    def files(self, files: HeadFiles, again: Callable[[], HeadFiles]) -> Broken | None:
        """The files of the heads.

        :param files: as read before the database was
        :param again: reads them once more
        """
        inside = {
            **{name: {"document": document, "key_id": json.loads(document)["key_id"]}
               for name, (document, _) in self.first_heads.items()},
            **{head["name"]: head for head in self.log.heads},
        }
        if set(inside) - set(files):
            time.sleep(FILES_WAIT_SECONDS)  # a close under way writes its files after its commit
            late = {name: file for name, file in again().items() if name in inside}
            files = {**late, **files}
        for name in sorted({*inside, *files}):
            head, file = inside.get(name), files.get(name)
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
