"""Reading one ledger database: what the service, `verify` and the export ask for."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ledger.adapters.schema import SCHEMA_VERSION
from ledger.service.checks import JournalRow
from ledger.service.ports import StoredAccount
from paylake.errors import DiskFull, EnvironmentFault, PermanentFailure, TransientFault


@contextmanager
def named_faults(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into the kernel's, with what to do next."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise PermanentFailure(
            f"the ledger's storage refused a row ({error})",
            "run `python -m ledger verify`; nothing of the batch was written",
            where=str(path),
        ) from error
    except sqlite3.DatabaseError as error:
        text = str(error)
        if "full" in text:
            raise DiskFull(
                "the disk is full; nothing of the batch was written",
                "make room, then send it again", where=str(path),
            ) from error
        if "locked" in text or "busy" in text:
            raise TransientFault(
                "the ledger's database is locked", "send it again", where=str(path)
            ) from error
        raise EnvironmentFault(
            f"the ledger's database cannot be used ({text})",
            "check the disk, then restore a backup and run `python -m ledger verify`",
            where=str(path),
        ) from error


class SqliteReader:
    """Reads of one ledger database. Opens its own connection, read-only unless told."""

    def __init__(self, path: Path, *, writable: bool = False, any_thread: bool = False) -> None:
        if not writable and not path.is_file():
            raise PermanentFailure(
                "there is no ledger here", "start it with `python -m ledger serve`",
                where=str(path),
            )
        self.path = path
        self._names: dict[int, str] = {}
        with named_faults(path):
            self.db = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode={'rwc' if writable else 'ro'}",
                uri=True, isolation_level=None, timeout=30, cached_statements=256,
                check_same_thread=not any_thread,
            )
            if not writable:
                self._check_version()

    def _check_version(self) -> None:
        found = self.db.execute("pragma user_version").fetchone()[0]
        if found != SCHEMA_VERSION:
            raise PermanentFailure(
                f"the ledger's database has schema {found}, this program writes {SCHEMA_VERSION}",
                "use the program version that made it, or migrate it", where=str(self.path),
            )

    def close(self) -> None:
        """Close the connection."""
        self.db.close()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Several reads of one state."""
        with named_faults(self.path):
            self.db.execute("begin")
            try:
                yield
            finally:
                self.db.execute("rollback")

    def meta(self, name: str) -> str | None:
        """One entry of the meta table."""
        row = self.db.execute("select value from meta where name = ?", (name,)).fetchone()
        return row[0] if row else None

    def accounts(self) -> list[StoredAccount]:
        """Every account, in the order in which they were opened."""
        rows = self.db.execute(
            "select ref, account_id, account_code, party_id, currency_code, opened_date, "
            "balance_minor from account order by ref"
        )
        return [StoredAccount(*row) for row in rows]

    def _count_accounts(self) -> int:
        return self.db.execute("select coalesce(max(ref), 0) from account").fetchone()[0]

    def journals(self, first: int, last: int | None = None) -> Iterator[JournalRow]:
        """Journals with legs and command, in sequence."""
        last = 2**62 if last is None else last
        names = self._names if first == last else {}
        if not names or len(names) != self._count_accounts():
            names = dict(self.db.execute("select ref, account_id from account"))
            self._names = names
        legs = self.db.execute(
            "select sequence, leg_number, account, direction, amount_minor, component, "
            "custodian_reference from leg where sequence between ? and ? "
            "order by sequence, leg_number", (first, last),
        )
        leg = legs.fetchone()
        rows = self.db.execute(
            "select j.sequence, j.journal_type, j.business_key, j.original_sequence, "
            "j.currency_code, j.booking_date, j.booked_at, j.leg_count, j.chain_digest, "
            "c.idempotency_key, c.command_type, c.digest, c.content, c.sequence "
            "from journal j left join command c on c.command_number = j.command_number "
            "where j.sequence between ? and ? order by j.sequence", (first, last),
        )
        for row in rows:
            found: list[tuple] = []
            while leg is not None and leg[0] <= row[0]:
                if leg[0] == row[0]:
                    found.append(leg)
                leg = legs.fetchone()
            yield JournalRow(
                *row[:9], row[9] or "", row[10] or "", row[11] or b"", _json(row[12]), row[13],
                [x[1] for x in found], [x[2] for x in found],
                [(names.get(x[2], "?"), x[3], x[4], x[5], x[6]) for x in found],
            )

    def movements(self, day: str) -> dict[int, tuple[int, int]]:
        """Debit and credit booked on a date, by account ref."""
        return self._movements("j.booking_date = ?", day)

    def later_movements(self, day: str) -> dict[int, tuple[int, int]]:
        """Debit and credit booked on all later dates, by account ref."""
        return self._movements("j.booking_date > ?", day)

    def _movements(self, condition: str, day: str) -> dict[int, tuple[int, int]]:
        rows = self.db.execute(
            "select l.account, sum(iif(l.direction = 'D', l.amount_minor, 0)), "
            "sum(iif(l.direction = 'C', l.amount_minor, 0)) "
            f"from journal j join leg l on l.sequence = j.sequence where {condition} "
            "group by l.account", (day,),
        )
        return {row[0]: (row[1], row[2]) for row in rows}

    def find_sequences(
        self, booking_date: str | None, business_key: str | None, after: int, limit: int
    ) -> list[int]:
        """Sequences of journals after one, by date or business key, in order."""
        conditions, values = ["sequence > ?"], [after]
        if booking_date is not None:
            conditions.append("booking_date = ?")
            values.append(booking_date)
        if business_key is not None:
            conditions.append("business_key = ?")
            values.append(business_key)
        rows = self.db.execute(
            f"select sequence from journal where {' and '.join(conditions)} "
            "order by sequence limit ?", (*values, limit),
        )
        return [row[0] for row in rows]

    def find_close(self, day: str) -> dict[str, Any] | None:
        """The close of a date: its columns by name, or None while it is open."""
        cursor = self.db.execute("select * from day_close where booking_date = ?", (day,))
        row = cursor.fetchone()
        return dict(zip([c[0] for c in cursor.description], row, strict=True)) if row else None

    def closed_dates(self) -> list[str]:
        """Closed dates in order."""
        return [r[0] for r in self.db.execute("select booking_date from day_close order by 1")]

    def count_journals(self) -> int:
        """Number of journals."""
        return self.db.execute("select count(*) from journal").fetchone()[0]

    def commands(self) -> Iterator[tuple[int, str, bytes, Any, int | None]]:
        """Recorded commands in order: number, type, digest, content, journal's sequence."""
        rows = self.db.execute(
            "select command_number, command_type, digest, content, sequence from command "
            "order by command_number"
        )
        for number, type_, digest, content, sequence in rows:
            yield number, type_, digest, _json(content), sequence

    def stray_leg(self) -> tuple[int, int] | None:
        """The first leg without a journal: sequence and leg number."""
        return self.db.execute(
            "select sequence, leg_number from leg where sequence not in "
            "(select sequence from journal) order by 1, 2 limit 1"
        ).fetchone()

    def wrong_payment(self) -> tuple[int, int, int, int, int] | None:
        """The first payment whose counters are not what its refunds and open disputes give:
        sequence, refunded, from refunds, disputed, from open disputes."""
        return self.db.execute(
            """
            with refunds as (
                select j.original_sequence as payment, sum(l.amount_minor) as refunded
                from journal j join leg l on l.sequence = j.sequence
                join account a on a.ref = l.account
                where j.journal_type = 'refund' and l.component = 'gross'
                    and a.account_code = '2201'
                group by 1
            ), disputes as (
                select payment_sequence as payment, sum(amount_minor) as disputed
                from dispute where released_by is null group by 1
            )
            select p.sequence, p.refunded_minor, coalesce(r.refunded, 0),
                p.disputed_minor, coalesce(d.disputed, 0)
            from payment p
            left join refunds r on r.payment = p.sequence
            left join disputes d on d.payment = p.sequence
            where p.refunded_minor <> coalesce(r.refunded, 0)
                or p.disputed_minor <> coalesce(d.disputed, 0)
            order by 1 limit 1
            """
        ).fetchone()

    def trial_of(self, day: str) -> list[tuple[str, str, int, int, int, int]]:
        """Sums of a closed date's balances by account code and currency: opening, debit, credit,
        closing."""
        return self.db.execute(
            "select a.account_code, a.currency_code, sum(b.opening_minor), "
            "sum(b.debit_minor), sum(b.credit_minor), sum(b.closing_minor) "
            "from day_balance b join account a on a.ref = b.account "
            "where b.booking_date = ? group by 1, 2 order by 1, 2", (day,),
        ).fetchall()

    def day_balances(self, day: str) -> Iterator[tuple[StoredAccount, int, int, int, int]]:
        """A closed date's balances by account id: account, opening, debit, credit, closing."""
        rows = self.db.execute(
            "select a.ref, a.account_id, a.account_code, a.party_id, a.currency_code, "
            "a.opened_date, a.balance_minor, b.opening_minor, b.debit_minor, b.credit_minor, "
            "b.closing_minor from day_balance b join account a on a.ref = b.account "
            "where b.booking_date = ? order by a.account_id, a.currency_code", (day,),
        )
        for row in rows:
            yield StoredAccount(*row[:7]), row[7], row[8], row[9], row[10]

    def day_legs(self, day: str) -> Iterator[tuple]:
        """A date's legs in chain order: sequence, leg number, journal type, business key,
        account ref, direction, amount, currency, component, booking date, booked at, custodian
        reference, chain digest."""
        return self.db.execute(
            "select j.sequence, l.leg_number, j.journal_type, j.business_key, l.account, "
            "l.direction, l.amount_minor, j.currency_code, l.component, j.booking_date, "
            "j.booked_at, l.custodian_reference, j.chain_digest from journal j "
            "join leg l on l.sequence = j.sequence where j.booking_date = ? order by 1, 2",
            (day,),
        )


def _json(text: Any) -> dict[str, Any]:
    """A stored command's content; an edited one that is not JSON shows as empty, so that
    `verify` names the row."""
    try:
        values = json.loads(text)
    except (TypeError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
