"""Reading one ledger database: what the service, `verify` and the export ask for."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from ledger.adapters.schema import SCHEMA_VERSION
from ledger.service.ports import Checkpoint, Row, Segment
from paylake.errors import DiskFull, EnvironmentFault, PermanentFailure, TransientFault

_ENTRY = (
    "sequence, journal, type, version, outcome, idempotency_key, business_key, actor, evidence, "
    "booked_at, booking_date, value_date, content, legs, effects, approval, digest"
)
_CHUNK = 1000


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
                "use the program version that made it, or migrate it with `python -m ledger "
                "migrate`", where=str(self.path),
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

    def _select(self, sql: str, keys: Iterable[Any]) -> Iterator[tuple]:
        """Rows of `sql` with `{}` replaced by a list of keys, a thousand at a time."""
        listed = list(dict.fromkeys(keys))
        for start in range(0, len(listed), _CHUNK):
            part = listed[start : start + _CHUNK]
            yield from self.db.execute(sql.format(",".join("?" * len(part))), part)

    # the log

    def entries(self, first: int, last: int | None = None) -> Iterator[Row]:
        """Entries in sequence."""
        return self.db.execute(
            f"select {_ENTRY} from entry where sequence between ? and ? order by sequence",
            (first, 2**62 if last is None else last),
        )

    def last_entry(self) -> Row | None:
        """The end of the log."""
        return self.db.execute(
            f"select {_ENTRY} from entry order by sequence desc limit 1"
        ).fetchone()

    def find_by_key(self, keys: Sequence[str]) -> dict[str, Row]:
        """Entries by idempotency key."""
        rows = self._select(f"select {_ENTRY} from entry where idempotency_key in ({{}})", keys)
        return {row[5]: row for row in rows}

    def find_by_business_key(self, keys: Sequence[str]) -> dict[str, Row]:
        """Entries by business key."""
        rows = self._select(f"select {_ENTRY} from entry where business_key in ({{}})", keys)
        return {row[6]: row for row in rows}

    def find_business_keys(self, keys: Sequence[str]) -> set[str]:
        """Those of the business keys that an entry carries."""
        return {
            row[0] for row in self._select(
                "select business_key from entry where business_key in ({})", keys
            )
        }

    def find_by_journal(self, journal: int) -> Row | None:
        """The entry of a journal number."""
        return self.db.execute(
            f"select {_ENTRY} from entry where journal = ?", (journal,)
        ).fetchone()

    def find_journals(
        self, booking_date: str | None, business_key: str | None, after: int, limit: int
    ) -> list[Row]:
        """Entries with legs after a journal number, by date or business key, in order."""
        conditions, values = ["journal > ?"], [after]
        if booking_date is not None:
            conditions.append("booking_date = ?")
            values.append(booking_date)
        if business_key is not None:
            conditions.append("business_key = ?")
            values.append(business_key)
        return self.db.execute(
            f"select {_ENTRY} from entry where {' and '.join(conditions)} "
            "order by journal limit ?", (*values, limit),
        ).fetchall()

    def day_entries(self, day: str) -> Iterator[Row]:
        """Entries with legs booked on a date, in sequence."""
        return self.db.execute(
            f"select {_ENTRY} from entry where booking_date = ? and journal is not null "
            "order by sequence", (day,),
        )

    def earlier_open_date(self, day: str, after: str | None) -> str | None:
        """The first date before `day` and after `after` that has journals."""
        return self.db.execute(
            "select min(booking_date) from entry where booking_date < ? and booking_date > ? "
            "and journal is not null", (day, after or ""),
        ).fetchone()[0]

    def counts(self) -> tuple[int, int]:
        """Entries and journals."""
        row = self.db.execute(
            "select coalesce(max(sequence), 0), coalesce(max(journal), 0) from entry"
        ).fetchone()
        return row[0], row[1]

    # what is derived from it

    def checkpoint(self) -> Checkpoint | None:
        """Where the fold kept in the database reaches."""
        row = self.db.execute(
            "select sequence, digest, journal, booked_at from checkpoint"
        ).fetchone()
        return Checkpoint(*row) if row else None

    def documents(self, kinds: Sequence[str] | None = None) -> Iterator[tuple[str, str, Any]]:
        """Documents of the checkpoint by kind and key."""
        where = "" if kinds is None else f" where kind in ({','.join('?' * len(kinds))})"
        rows = self.db.execute(
            f"select kind, key, document from document{where} order by kind, key", kinds or ()
        )
        for kind, key, document in rows:
            yield kind, key, as_json(document)

    def items(self, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Counters of originals, as of the checkpoint."""
        return {
            row[0]: orjson.loads(row[1]) for row in self._select(
                "select business_key, document from item where business_key in ({})", keys
            )
        }

    def all_items(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every original's counters, for `verify`."""
        for key, document in self.db.execute("select business_key, document from item"):
            yield key, as_json(document)

    def segments(self, account_id: str, currency_code: str) -> Iterator[Segment]:
        """Segments of an account in order of their first sequence, without their postings."""
        rows = self.db.execute(
            "select account_id, currency_code, booking_date, value_date, first_sequence, "
            "last_sequence, last_booked, debit_minor, credit_minor from segment "
            "where account_id = ? and currency_code = ? order by first_sequence",
            (account_id, currency_code),
        )
        return (Segment(*row, b"") for row in rows)

    def postings(self, segment: Segment) -> bytes:
        """The postings of a segment."""
        return self.db.execute(
            "select postings from segment where account_id = ? and currency_code = ? and "
            "first_sequence = ? and booking_date = ? and value_date = ?",
            (segment.account_id, segment.currency_code, segment.first_sequence,
             segment.booking_date, segment.value_date),
        ).fetchone()[0]

    def all_segments(self) -> Iterator[Segment]:
        """Every segment by account, currency and dates, for `verify`."""
        rows = self.db.execute(
            "select account_id, currency_code, booking_date, value_date, first_sequence, "
            "last_sequence, last_booked, debit_minor, credit_minor, postings from segment "
            "order by account_id, currency_code, booking_date, value_date, first_sequence"
        )
        return (Segment(*row) for row in rows)

    def has_documents(self) -> bool:
        """Whether a checkpoint ever wrote something down."""
        return self.db.execute(
            "select exists (select 1 from document) or exists (select 1 from segment)"
        ).fetchone()[0] == 1

    def balance_dates(self) -> list[str]:
        """Dates that have balances."""
        return [r[0] for r in self.db.execute("select distinct booking_date from day_balance")]

    def movements(self, day: str) -> dict[tuple[str, str], tuple[int, int]]:
        """Debit and credit totals booked on a date, by account and currency; as of the
        checkpoint."""
        rows = self.db.execute(
            "select account_id, currency_code, sum(debit_minor), sum(credit_minor) "
            "from segment where booking_date = ? group by 1, 2", (day,),
        )
        return {(row[0], row[1]): (row[2], row[3]) for row in rows}

    def later_movements(self, day: str) -> dict[tuple[str, str], tuple[int, int]]:
        """The same for all later dates together."""
        rows = self.db.execute(
            "select account_id, currency_code, sum(debit_minor), sum(credit_minor) "
            "from segment where booking_date > ? group by 1, 2", (day,),
        )
        return {(row[0], row[1]): (row[2], row[3]) for row in rows}

    def secret(self, commitment: str) -> bytes | None:
        """The sealed value behind a commitment."""
        row = self.db.execute(
            "select sealed from secret where commitment = ?", (commitment,)
        ).fetchone()
        return row[0] if row else None

    # closes and heads

    def find_close(self, day: str) -> dict[str, Any] | None:
        """The close of a date: its columns by name, or None while it is open."""
        cursor = self.db.execute("select * from day_close where booking_date = ?", (day,))
        return _named(cursor, cursor.fetchone())

    def closed_dates(self) -> list[str]:
        """Closed dates in order."""
        return [r[0] for r in self.db.execute("select booking_date from day_close order by 1")]

    def last_head(self) -> dict[str, Any] | None:
        """The newest signed head."""
        cursor = self.db.execute("select * from head order by sequence desc, rowid desc limit 1")
        return _named(cursor, cursor.fetchone())

    def heads(self) -> Iterator[dict[str, Any]]:
        """Every signed head in the order of signing."""
        cursor = self.db.execute("select * from head order by rowid")
        for row in cursor:
            found = _named(cursor, row)
            assert found is not None
            yield found

    def day_totals(self, day: str) -> tuple[int, int]:
        """Journals and legs booked on a date."""
        row = self.db.execute(
            "select count(*), coalesce(sum(json_array_length(legs)), 0) from entry "
            "where booking_date = ? and journal is not null", (day,),
        ).fetchone()
        return row[0], row[1]

    def closing_before(self, day: str) -> dict[tuple[str, str], int]:
        """Closing balances at the last close before `day`, by account and currency."""
        return {
            (row[0], row[1]): row[2] for row in self.db.execute(
                "select account_id, currency_code, closing_minor from day_balance "
                "where booking_date = "
                "(select max(booking_date) from day_close where booking_date < ?)", (day,),
            )
        }

    def day_balances(self, day: str) -> Iterator[tuple[str, str, int, int, int, int]]:
        """A closed date's balances by account id: account id, currency, opening, debit, credit,
        closing."""
        return self.db.execute(
            "select account_id, currency_code, opening_minor, debit_minor, credit_minor, "
            "closing_minor from day_balance where booking_date = ? "
            "order by account_id, currency_code", (day,),
        )


def _named(cursor: sqlite3.Cursor, row: tuple | None) -> dict[str, Any] | None:
    return dict(zip([c[0] for c in cursor.description], row, strict=True)) if row else None


def as_json(text: Any) -> Any:
    """A stored text's document; an edited one that is not JSON shows as None, so that `verify`
    names the row."""
    try:
        return orjson.loads(text)
    except (TypeError, ValueError):
        return None
