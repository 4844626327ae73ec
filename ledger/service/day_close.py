"""Day close: everything foots, and a signed head says so. Once a date.

The reasons for refusing, in the order in which they are tested: `clock_not_set`,
`before_cut_off` (the clock stands at or before the date's cut-off), `date_closed` (a later date
was closed before), `earlier_date_open`, `fee_not_accrued` (a day's penalty on an advance is not
booked: run the date), `chain_broken`, `balance_differs`, `trial_balance_differs`,
`sub_ledger_differs` (a class's accounts do not add up to its line of the general ledger, which is
the line that was signed last and the date's postings), `fees_differ` (the fees by item are not what
their accounts moved). A date that is closed answers with its head again. Postings of later
dates may stand in the log already, and go on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from ledger.domain.account import Account
from ledger.domain.chain import GENESIS, sm3
from ledger.domain.chart import BOOKS, parts_of
from ledger.domain.settling import penalty
from ledger.service.day_reading import DayReading
from ledger.service.day_run import run_key, unbooked
from ledger.service.day_statements import FEE_CODES, in_head
from ledger.service.faults import RequestRefused
from ledger.service.history import shown

if TYPE_CHECKING:
    from ledger.service.ledger import Ledger

HEAD_FORMAT = "paylake-ledger-head/2"
#: Entries that are left to the writer to read at the end of a close, and rounds to come there.
_LITTLE, _ROUNDS = 1000, 10
_PLACES = ("opening_minor", "debit_minor", "credit_minor", "closing_minor")


def head_bytes(document: Any) -> bytes:
    """The exact bytes that are signed."""
    return (json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()


def shown_head(close: Mapping[str, Any], *, replayed: bool) -> dict[str, Any]:
    """What is answered of a close: its document, and beside it what is not signed."""
    document = json.loads(close["document"])
    return {
        **document, "trial_balance_sm3": trial_balance_sm3(document), "replayed": replayed,
    }


def trial_balance_sm3(head: Mapping[str, Any]) -> str:
    """Digest of the trial balance of a head, hexadecimal: what closes a period names it, so that
    two people sign it. Of its lines' text as it stands in the head."""
    return sm3(head_bytes(head["trial_balance"])).hex()


class DayClose:
    """One close: begun by the writer, read beside it while later dates are posted, finished by the
    writer in one transaction."""

    def __init__(self, ledger: Ledger, day: str) -> None:
        self.ledger = ledger
        self.store = ledger.store
        self.day = day

    def begin(self) -> dict[str, Any] | None:
        """What has to stand in the log before: holds that end, a checkpoint. The head document of a
        date that is closed already.

        :raises RequestRefused: with one of the reasons above
        """
        ledger, day = self.ledger, self.day
        ledger.pipeline.sure()
        closed = self.store.find_close(day)
        if closed is not None:
            ledger.keep_heads()
            ledger.signer.keep(day, closed["document"], closed["signature"])
            return shown_head(closed, replayed=True)
        _, last = self._in_order()
        self._accrued(day, last)
        ledger.end_holds(day)
        ledger.checkpoint()
        head = self.store.last_head()
        self.reading = DayReading(
            day, head["sequence"] if head else 0, head["digest"] if head else GENESIS,
            lambda: ledger.ending,
        )
        return None

    def read_beside(self) -> None:
        """Read the log in the calling thread, which is not the writer's, until little is left of
        what is posted meanwhile.

        :raises RequestRefused: `chain_broken`
        """
        reader = self.store.beside()
        try:
            for _ in range(_ROUNDS):
                self.reading.read(reader)
                if self.ledger.head.sequence - self.reading.sequence < _LITTLE:
                    break
        finally:
            reader.close()

    def finish(self) -> dict[str, Any]:
        """The head document of the date, closed now.

        :raises RequestRefused: with one of the reasons above
        """
        ledger, day = self.ledger, self.day
        ledger.pipeline.sure()
        now, last = self._in_order()
        self._accrued(day, last)  # what was dated back meanwhile counts too
        self._rest_of_the_chain()
        with self.store.transaction():
            document, rows = self._foot(day, now, last)
            raw = head_bytes(document)
            signature = ledger.signer.sign(day, raw)
            close = {
                "booking_date": day, "closed_at": now,
                "chain_sequence": document["chain_sequence"],
                "chain_digest": bytes.fromhex(document["chain_digest"]),
                "journals": document["journals"], "legs": document["legs"],
                "key_id": ledger.signer.key_id, "document": raw, "signature": signature,
            }
            self.store.insert_close(close, rows)
            head = {
                "name": day, "sequence": close["chain_sequence"],
                "digest": close["chain_digest"], "key_id": close["key_id"],
                "document": raw, "signature": signature,
            }
            self.store.insert_head(head)
        ledger.head.closed = ledger.state.closed = day
        ledger.keep_heads(head)
        return shown_head({"document": raw}, replayed=False)

    def _in_order(self) -> tuple[str, str | None]:
        """The time, and the date closed last. Asked again at the end: a simulated clock may have
        been set, and an earlier date posted to, meanwhile."""
        ledger, day = self.ledger, self.day
        now = ledger.clock.now()
        if now is None:
            raise _refused("clock_not_set", "the simulated clock was never set")
        if ledger.clock.booking_date(now) <= day:
            raise _refused("before_cut_off", f"the ledger's clock is {now}: {day} is not over")
        last = ledger.head.closed
        if last is not None and day < last:
            raise _refused("date_closed", f"{last} was closed before")
        earlier = self.store.earlier_open_date(day, last)
        if earlier is not None:
            raise _refused("earlier_date_open", f"close {earlier} first")
        return now, last

    def _accrued(self, day: str, last: str | None) -> None:
        """The run of every calendar date since the last close has booked its penalties (rule
        D0.21): else the close would sign fees that are short."""
        ledger = self.ledger
        now = ledger.clock.now()
        assert now is not None
        for account in ledger.state.all_accounts():
            if account.code != "1202" or account.party_id is None:
                continue
            on = date.fromisoformat(last or account.opened_date) + timedelta(1)
            while on.isoformat() <= day:
                at_start = shown(
                    ledger.history.balance(
                        self.store, account.account_id, account.currency_code,
                        (on - timedelta(1)).isoformat(), now,
                    ), account.line.normal_side,
                )
                key = run_key("penalty", on, account.party_id, account.currency_code)
                if at_start > 0 and penalty(at_start) and (
                    unbooked(ledger, [("penalty", key)]) != [None]
                ):
                    raise _refused(
                        "fee_not_accrued", f"the penalty of {on} on the advance to "
                        f"{account.party_id} is not booked; run that date",
                    )
                on += timedelta(1)

    def _rest_of_the_chain(self) -> None:
        """What was posted since the last round, and that the log ends where the service is."""
        reading, head = self.reading, self.ledger.head
        reading.follow(self.store.entries(reading.sequence + 1))
        if (reading.sequence, reading.digest) != (head.sequence, head.digest):
            raise _refused("chain_broken", "the chain's end is not where the service left it")

    def _foot(self, day: str, now: str, last: str | None) -> tuple[dict[str, Any], list[tuple]]:
        movements, later = self.reading.movements, self.reading.later
        opening = self.reading.opening
        rows: list[tuple] = []
        trial: dict[tuple[str, str], list[int]] = {}
        net: dict[str, int] = {}
        for account in self.ledger.state.all_accounts():
            name = (account.account_id, account.currency_code)
            debit, credit = movements.get(name, (0, 0))
            if account.opened_date > day and not (debit or credit):
                continue
            start = opening.get(name, 0)
            closing = start + account.debit_sign * (debit - credit)
            self._same_balance(account, closing, later.get(name, (0, 0)))
            rows.append((day, *name, start, debit, credit, closing))
            line = trial.setdefault((account.code, account.currency_code), [0, 0, 0, 0])
            for place, value in enumerate((start, debit, credit, closing)):
                line[place] += value
            for key, value in (
                (f"{account.sum_key} moved", debit - credit),
                (account.sum_key, account.debit_sign * closing),
            ):
                net[key] = net.get(key, 0) + value
        for key, value in sorted(net.items()):
            if value:
                raise _refused(
                    "trial_balance_differs",
                    f"{key} at {day}: debit less credit is {value} minor units",
                )
        before = self.store.find_close(last) if last is not None else None
        sub_ledgers = self._sub_ledgers(rows, movements, before)
        self._fees(movements)
        journals, legs = self.reading.journals, self.reading.legs
        anchor = self.store.last_head()
        classes = self.ledger.chart.classes
        head = self.ledger.head
        document = {
            "format": HEAD_FORMAT,
            "booking_date": day,
            "closed_at": now,
            "key_id": self.ledger.signer.key_id,
            "previous_date": last,
            "previous_head": sm3(before["document"]).hex() if before is not None else None,
            "previous_anchor": sm3(anchor["document"]).hex() if anchor is not None else None,
            "chain_sequence": head.sequence,
            "chain_digest": head.digest.hex(),
            "journals": journals,
            "legs": legs,
            "accounts": len(rows),
            "chart_version": self.ledger.chart.version,
            "open_holds": len(self.ledger.state.holds),
            "waiting_approvals": len(self.ledger.state.table("pending")),
            "sub_ledgers": sub_ledgers,
            "statements": in_head(rows, self.reading.fees.rows(day)),
            "trial_balance": [
                {
                    "account_code": code, "currency_code": currency,
                    "books": classes[code].books, **dict(zip(_PLACES, line, strict=True)),
                }
                for (code, currency), line in sorted(
                    trial.items(),
                    key=lambda item: (BOOKS.index(classes[item[0][0]].books), item[0]),
                )
            ],
        }
        return document, rows

    def _sub_ledgers(
        self, rows: list[tuple], movements: Mapping[tuple[str, str], tuple[int, int]],
        before: dict[str, Any] | None,
    ) -> list[dict[str, Any]]:
        """Of each class that has an account for each party: its accounts' balances together, and
        its line of the general ledger, carried on from the last signed head."""
        classes = self.ledger.chart.classes
        signed = [] if before is None else json.loads(before["document"])["trial_balance"]
        general = {
            (line["account_code"], line["currency_code"]): line["closing_minor"]
            for line in signed
        }
        for (account_id, currency), (debit, credit) in movements.items():
            code = parts_of(account_id)[0]
            sign = 1 if classes[code].normal_side == "D" else -1
            general[code, currency] = general.get((code, currency), 0) + sign * (debit - credit)
        found: dict[tuple[str, str], list[int]] = {}
        for _, account_id, currency, _, _, _, closing in rows:
            line = found.setdefault((parts_of(account_id)[0], currency), [0, 0])
            line[0] += 1
            line[1] += closing
        said = []
        for (code, currency), (accounts, total) in sorted(found.items()):
            if classes[code].party == "none":
                continue
            line_minor = general.get((code, currency), 0)
            if total != line_minor:
                raise _refused(
                    "sub_ledger_differs", f"the accounts of {code} in {currency} hold {total}, "
                    f"the general ledger {line_minor} minor units",
                )
            said.append({
                "account_code": code, "currency_code": currency, "accounts": accounts,
                "sub_ledger_minor": total, "general_ledger_minor": line_minor,
            })
        return said

    def _fees(self, movements: Mapping[tuple[str, str], tuple[int, int]]) -> None:
        """The date's fees by item have to be what their accounts moved."""
        sums = self.reading.fees.sums()
        names = {n for n in movements if parts_of(n[0])[0] in FEE_CODES} | set(sums)
        for name in sorted(names):
            if sums.get(name, (0, 0)) != tuple(movements.get(name, (0, 0))):
                raise _refused(
                    "fees_differ", f"account {name[0]} in {name[1]}: its fees by item are not "
                    "what it moved",
                )

    @staticmethod
    def _same_balance(account: Account, closing: int, later: tuple[int, int]) -> None:
        expected = closing + account.debit_sign * (later[0] - later[1])
        if expected != account.balance:
            raise _refused(
                "balance_differs",
                f"account {account.account_id} in {account.currency_code}: its balance is "
                f"{account.balance}, its postings give {expected} minor units",
            )


def _refused(reason: str, detail: str) -> RequestRefused:
    return RequestRefused(reason, detail, http_status=409)
