"""Day close: everything foots, and a signed head says so. Once a date.

The reasons for refusing, in the order in which they are tested: `clock_not_set`,
`before_cut_off` (the clock stands at or before the date's cut-off), `date_closed` (a later date
was closed before), `earlier_date_open`, `chain_broken`, `balance_differs`,
`trial_balance_differs`. A date that is closed answers with its head again. Postings of later
dates may stand in the log already, and go on.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ledger.domain.chain import GENESIS, entry_digest, sm3
from ledger.domain.chart import BOOKS
from ledger.domain.state import Account
from ledger.service.faults import RequestRefused

if TYPE_CHECKING:
    from ledger.service.ledger import Ledger

HEAD_FORMAT = "paylake-ledger-head/2"
_PLACES = ("opening_minor", "debit_minor", "credit_minor", "closing_minor")


def head_bytes(document: dict[str, Any]) -> bytes:
    """The exact bytes that are signed."""
    return (json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()


class DayClose:
    """One close, in one transaction."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.store = ledger.store

    def run(self, day: str) -> tuple[dict[str, Any], bool]:
        """The head document, and whether the date had been closed before.

        :raises RequestRefused: with one of the reasons above
        """
        ledger = self.ledger
        closed = self.store.find_close(day)
        if closed is not None:
            ledger.signer.keep(day, closed["document"], closed["signature"])
            return json.loads(closed["document"]), True
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
        self._end_holds(day)
        self._chain()
        ledger.checkpoint()
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
            self.store.insert_head({
                "name": day, "sequence": close["chain_sequence"],
                "digest": close["chain_digest"], "key_id": close["key_id"],
                "document": raw, "signature": signature,
            })
        ledger.head.closed = ledger.state.closed = day
        ledger.signer.keep(day, raw, signature)
        return document, False

    def _end_holds(self, day: str) -> None:
        """Holds whose last date this is end by the ledger's own hand (rule D0.15). They are
        booked on the first open date: the one that is being closed may have been booked out by
        its cut-off."""
        ended = sorted(
            name for name, hold in self.ledger.state.holds.items()
            if hold["expires_on"] is not None and hold["expires_on"] <= day
        )
        now = self.ledger.clock.now()
        commands: list[dict[str, Any]] = []
        for name in ended:
            command = {
                "type": "hold_expiry", "idempotency_key": _expiry_key(day, name),
                "hold_id": name,
            }
            if self.ledger.clock.simulated and now is not None:
                command["occurred_at"] = now
            commands.append(command)
        for start in range(0, len(commands), 1000):
            for result in self.ledger.apply(commands[start : start + 1000]):
                if result["status"] == "refused":
                    raise _refused(
                        "balance_differs", f"a hold could not end: {result['detail']}"
                    )

    def _chain(self) -> None:
        """Recompute the chain since the last head."""
        last = self.store.last_head()
        digest = last["digest"] if last else GENESIS
        sequence = last["sequence"] if last else 0
        for row in self.store.entries(sequence + 1):
            sequence += 1
            if row[0] != sequence:
                raise _refused("chain_broken", f"entry {sequence} is missing")
            digest = entry_digest(digest, row)
            if digest != row[16]:
                raise _refused(
                    "chain_broken", f"entry {sequence}: its digest does not match its content"
                )
        if (sequence, digest) != (self.ledger.head.sequence, self.ledger.head.digest):
            raise _refused("chain_broken", "the chain's end is not where the service left it")

    def _foot(self, day: str, now: str, last: str | None) -> tuple[dict[str, Any], list[tuple]]:
        movements = self.store.movements(day)
        later = self.store.later_movements(day)
        opening = self.store.closing_before(day)
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
        journals, legs = self.store.day_totals(day)
        before = self.store.find_close(last) if last is not None else None
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

    @staticmethod
    def _same_balance(account: Account, closing: int, later: tuple[int, int]) -> None:
        expected = closing + account.debit_sign * (later[0] - later[1])
        if expected != account.balance:
            raise _refused(
                "balance_differs",
                f"account {account.account_id} in {account.currency_code}: its balance is "
                f"{account.balance}, its postings give {expected} minor units",
            )


def _expiry_key(day: str, hold_id: str) -> str:
    key = f"expiry-{day}-{hold_id}"
    return key if len(key) <= 64 else f"expiry-{day}-{sm3(hold_id.encode()).hex()[:40]}"


def _refused(reason: str, detail: str) -> RequestRefused:
    return RequestRefused(reason, detail, http_status=409)
