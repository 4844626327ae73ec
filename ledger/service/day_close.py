"""Day close: everything foots, and a signed head says so. Once a date.

The reasons for refusing, in the order in which they are tested: `clock_not_set`,
`before_cut_off` (the clock stands at or before the date's cut-off), `date_closed` (a later date
was closed before), `earlier_date_open`, `chain_broken`, `journals_unbalanced`,
`balance_differs`, `trial_balance_differs`. A date that is closed answers with its head again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ledger.domain.books import Account
from ledger.domain.chain import GENESIS, sm3
from ledger.service.checks import ChainCheck
from ledger.service.faults import RequestRefused

if TYPE_CHECKING:
    from ledger.service.ledger import Ledger

HEAD_FORMAT = "paylake-ledger-head/1"


def head_bytes(document: dict[str, Any]) -> bytes:
    """The exact bytes that are signed."""
    return (json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()


class DayClose:
    """One close, in one transaction; later dates may already have postings."""

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
        with self.store.transaction():
            earlier = self.store.earlier_open_date(day, last)
            if earlier is not None:
                raise _refused("earlier_date_open", f"close {earlier} first")
            document, rows = self._foot(day, now, last)
            raw = head_bytes(document)
            signature = ledger.signer.sign(day, raw)
            self.store.insert_close(
                {
                    "booking_date": day, "closed_at": now,
                    "chain_sequence": document["chain_sequence"],
                    "chain_digest": bytes.fromhex(document["chain_digest"]),
                    "journals": document["journals"], "legs": document["legs"],
                    "key_id": ledger.signer.key_id, "document": raw, "signature": signature,
                },
                rows,
            )
        ledger.head.closed = day
        ledger.signer.keep(day, raw, signature)
        return document, False

    def _foot(self, day: str, now: str, last: str | None) -> tuple[dict[str, Any], list[tuple]]:
        before = self.store.find_close(last) if last is not None else None
        head = json.loads(before["document"]) if before is not None else None
        first = 1 + (head["chain_sequence"] if head else 0)
        check = ChainCheck(bytes.fromhex(head["chain_digest"]) if head else GENESIS, first)
        broken = check.run(self.store.journals(first))
        if broken is not None:
            raise _refused("chain_broken", broken.sentence())
        if check.next - 1 != self.ledger.head.sequence or (
            check.digest != self.ledger.head.digest
        ):
            raise _refused("chain_broken", "the chain's end is not where the service left it")

        movements = self.store.movements(day)
        later = self.store.later_movements(day)
        opening = self.store.closing_before(day)
        rows: list[tuple] = []
        trial: dict[tuple[str, str], list[int]] = {}
        sides: dict[str, list[int]] = {}
        net: dict[str, int] = {}
        for account in self.ledger.books.all():
            debit, credit = movements.get(account.ref, (0, 0))
            if account.opened_date > day and not (debit or credit):
                continue
            start = opening.get(account.ref, 0)
            closing = start + account.debit_sign * (debit - credit)
            self._same_balance(account, closing, later.get(account.ref, (0, 0)))
            rows.append((day, account.ref, start, debit, credit, closing))
            line = trial.setdefault((account.code, account.currency_code), [0, 0, 0, 0])
            for place, value in enumerate((start, debit, credit, closing)):
                line[place] += value
            side = sides.setdefault(account.currency_code, [0, 0])
            side[0] += debit
            side[1] += credit
            signed = account.debit_sign * closing
            net[account.currency_code] = net.get(account.currency_code, 0) + signed
        for currency, (debit, credit) in sides.items():
            if debit != credit:
                raise _refused(
                    "journals_unbalanced",
                    f"{currency} of {day}: debit {debit} and credit {credit} minor units",
                )
            if net[currency]:
                raise _refused(
                    "trial_balance_differs",
                    f"{currency} at {day}: assets less liabilities is {net[currency]}",
                )
        journals, legs = self.store.day_totals(day)
        document = {
            "format": HEAD_FORMAT,
            "booking_date": day,
            "closed_at": now,
            "key_id": self.ledger.signer.key_id,
            "previous_date": last,
            "previous_head": sm3(before["document"]).hex() if before is not None else None,
            "chain_sequence": self.ledger.head.sequence,
            "chain_digest": self.ledger.head.digest.hex(),
            "journals": journals,
            "legs": legs,
            "accounts": len(rows),
            "chart_version": self.ledger.chart.version,
            "trial_balance": [
                {
                    "account_code": code, "currency_code": currency, "opening_minor": line[0],
                    "debit_minor": line[1], "credit_minor": line[2], "closing_minor": line[3],
                }
                for (code, currency), line in sorted(trial.items())
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


def _refused(reason: str, detail: str) -> RequestRefused:
    return RequestRefused(reason, detail, http_status=409)
