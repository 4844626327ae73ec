"""Reading one ledger: what the service, `verify` and the export ask for, in plain SQL that every
storage understands. A storage says how a statement is run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import orjson

from ledger.adapters.schema import DECIDED, DECIDES, OF_ORDER, OF_ORIGINAL, ORIGINAL, PARTY
from ledger.adapters.schema import as_json as as_json_in
from ledger.domain.chain import rest_of
from ledger.service.ports import Checkpoint, Row, Secret, Segment

_ENTRY = (
    "sequence, journal, type, version, outcome, idempotency_key, business_key, actor, evidence, "
    "booked_at, booking_date, value_date, content, legs, effects, approval, digest"
)
CLOSE = (
    "booking_date", "closed_at", "chain_sequence", "chain_digest", "journals", "legs", "key_id",
    "document", "signature",
)
HEAD = ("number", "name", "sequence", "digest", "key_id", "document", "signature")
_CHUNK = 1000
#: Texts that are looked for in one pass through the log.
_NAMES = 50


class SqlReader(ABC):
    """Reads of one ledger. Statements have `?` for values."""

    lost = False
    _postgres = False

    @abstractmethod
    def has_table(self, name: str) -> bool:
        """Whether there is a table of this name."""

    @abstractmethod
    def _all(self, sql: str, values: Sequence[Any] = ()) -> Iterator[tuple]:
        """Rows, as they come."""

    @abstractmethod
    def snapshot(self) -> AbstractContextManager[None]:
        """Several reads of one state."""

    @abstractmethod
    def close(self) -> None:
        """Give the connection back."""

    @abstractmethod
    def look(self) -> None:
        """Notice a connection that was lost since the last statement; call it when none runs."""

    def _stream(self, sql: str, values: Sequence[Any] = ()) -> Iterator[tuple]:
        """Rows of what may be too much for memory."""
        return self._all(sql, values)

    def _one(self, sql: str, values: Sequence[Any] = ()) -> tuple | None:
        """The first row, or None."""
        return next(iter(list(self._all(sql, values))), None)

    def _single(self, sql: str, values: Sequence[Any] = ()) -> tuple:
        """The one row that is always there."""
        row = self._one(sql, values)
        assert row is not None
        return row

    def meta(self, name: str) -> str | None:
        """One entry of the meta table."""
        row = self._one("select value from meta where name = ?", (name,))
        return row[0] if row else None

    def _select(self, sql: str, keys: Iterable[Any]) -> Iterator[tuple]:
        """Rows of `sql` with `{}` replaced by a list of keys, a thousand at a time."""
        listed = list(dict.fromkeys(keys))
        for start in range(0, len(listed), _CHUNK):
            part = listed[start : start + _CHUNK]
            yield from self._all(sql.format(",".join("?" * len(part))), part)

    # the log

    def entries(self, first: int, last: int | None = None) -> Iterator[Row]:
        """Entries in sequence."""
        return self._stream(
            f"select {_ENTRY} from entry where sequence between ? and ? order by sequence",
            (first, 2**62 if last is None else last),
        )

    def signed_entries(self, first: int) -> Iterator[Row]:
        """Entries from one on that carry a signature or somebody's key, in sequence."""
        return self._stream(
            f"select {_ENTRY} from entry where sequence >= ? and (evidence <> '' or "
            "approval <> '' or type in ('operator', 'caller', 'session_cover')) order by sequence",
            (first,),
        )

    def entries_of(self, types: Sequence[str], last: int) -> Iterator[Row]:
        """Entries of some types up to one; goes through the log."""
        return self._stream(
            f"select {_ENTRY} from entry where sequence <= ? and outcome <> 'refused' "
            f"and type in ({','.join('?' * len(types))}) order by sequence", (last, *types),
        )

    def of_session(self, session_id: str, after: int) -> Iterator[str]:
        """The evidence of a session's requests in the entries after one; goes through them."""
        start = f'{{"session":"{session_id}",'
        return (row[0] for row in self._stream(
            "select evidence from entry where sequence > ? and substr(evidence, 1, ?) = ? "
            "order by sequence", (after, len(start), start),
        ))

    def later_of(self, business_key: str) -> list[Row]:
        """Entries that did something to an original, in sequence: no refusals, 100 at most."""
        of = as_json_in(ORIGINAL, postgres=self._postgres)
        return list(self._all(
            f"select {_ENTRY} from entry where {of} = ? and {OF_ORIGINAL} and "
            "outcome <> 'refused' and business_key is distinct from ? order by sequence limit 100",
            (business_key, business_key),
        ))

    def decision(self, pending: int) -> Row | None:
        """The entry by which what waited was posted or rejected."""
        of = as_json_in(DECIDED, postgres=self._postgres)
        return self._one(
            f"select {_ENTRY} from entry where {of} = ? and {DECIDES} and outcome <> 'refused'",
            (pending,),
        )

    def orders_of(self, party_id: str, first: str, last: str) -> list[tuple[int, str | None]]:
        """Sequence and business key of a party's orders that moved nothing by themselves, booked
        on dates from first to last; no refusals. Without a key: it waits for a checker, or did."""
        of = as_json_in(PARTY, postgres=self._postgres)
        rows = self._all(
            f"select sequence, business_key from entry where {of} = ? and {OF_ORDER} "
            "and booking_date between ? and ? order by sequence", (party_id, first, last),
        )
        return [(row[0], row[1]) for row in rows]

    def queries_of(self, idempotency_key: str) -> list[tuple[str, str, str]]:
        """Time, actor and what was told, of the newest hundred queries of a command."""
        rows = self._all(
            "select asked_at, actor, told from status_query where idempotency_key = ? "
            "order by asked_at desc, actor limit 100", (idempotency_key,),
        )
        return [(row[0], row[1], row[2]) for row in rows][::-1]

    def last_entry(self) -> Row | None:
        """The end of the log."""
        return self._one(f"select {_ENTRY} from entry order by sequence desc limit 1")

    def find_by_key(self, keys: Sequence[str]) -> dict[str, Row]:
        """Entries by idempotency key."""
        there = self._there("idempotency_key", keys)
        rows = self._select(f"select {_ENTRY} from entry where idempotency_key in ({{}})", there)
        return {row[5]: row for row in rows}

    def find_by_business_key(self, keys: Sequence[str]) -> dict[str, Row]:
        """Entries by business key."""
        rows = self._select(f"select {_ENTRY} from entry where business_key in ({{}})", keys)
        return {row[6]: row for row in rows}

    def find_business_keys(self, keys: Sequence[str]) -> set[str]:
        """Those of the business keys that an entry carries."""
        return {
            row[0] for row in self._select(
                "select business_key from entry where business_key in ({})",
                self._there("business_key", keys),
            )
        }

    def _there(self, column: str, keys: Sequence[str]) -> Collection[str]:
        """Those of the keys that may be found in a column of the log. A storage that knows how to
        tell this of many at once does."""
        return keys

    def find_by_journal(self, journal: int) -> Row | None:
        """The entry of a journal number."""
        return self._one(f"select {_ENTRY} from entry where journal = ?", (journal,))

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
        return list(self._all(
            f"select {_ENTRY} from entry where {' and '.join(conditions)} "
            "order by journal limit ?", (*values, limit),
        ))

    def day_entries(self, day: str) -> Iterator[Row]:
        """Entries with legs booked on a date, in sequence."""
        return self._stream(
            f"select {_ENTRY} from entry where booking_date = ? and journal is not null "
            "order by sequence", (day,),
        )

    def booked_on(self, day: str) -> Iterator[Row]:
        """Every entry booked on a date, in sequence."""
        return self._stream(
            f"select {_ENTRY} from entry where booking_date = ? order by sequence", (day,),
        )

    def posted_of(self, day: str, types: Sequence[str]) -> Iterator[Row]:
        """Posted entries of some types booked on a date, with legs or without, in sequence."""
        return self._stream(
            f"select {_ENTRY} from entry where booking_date = ? and outcome = 'posted' "
            f"and type in ({', '.join('?' * len(types))}) order by sequence", (day, *types),
        )

    def hold_effects(self, last_day: str, account_ids: Collection[str]) -> Iterator[str]:
        """Effects of entries booked up to a date that touch a hold on one of the accounts, in
        sequence; goes through the log."""
        for start in range(0, len(account_ids), _NAMES):
            part = sorted(account_ids)[start : start + _NAMES]
            touches = " or ".join(["effects like ?"] * len(part))
            for row in self._stream(
                f"select effects from entry where booking_date <= ? and outcome <> 'refused' and "
                f"({touches}) order by sequence",
                (last_day, *(f'%["hold",%"account_id":"{name}"%' for name in part)),
            ):
                yield row[0]

    def earlier_open_date(self, day: str, after: str | None) -> str | None:
        """The first date before `day` and after `after` that has journals."""
        return self._single(
            "select min(booking_date) from entry where booking_date < ? and booking_date > ? "
            "and journal is not null", (day, after or ""),
        )[0]

    def rows(self, table: str, order: str) -> Iterator[tuple]:
        """A table's rows as they are, for a backup.

        :param table, order: names of this program's, never of a request
        """
        return self._stream(f"select * from {table} order by {order}")

    def hashed(self, first: int, last: int) -> Iterator[tuple[int, int | None, bytes, bytes]]:
        """Entries as sequence, journal, canonical bytes after the digest before, and digest."""
        for row in self.entries(first, last):
            yield row[0], row[1], rest_of(row), row[16]

    def counts(self) -> tuple[int, int]:
        """Entries and journals."""
        row = self._single(
            "select coalesce(max(sequence), 0), coalesce(max(journal), 0) from entry"
        )
        return row[0], row[1]

    # what is derived from it

    def checkpoint(self) -> Checkpoint | None:
        """Where the fold kept in the database reaches."""
        row = self._one("select sequence, digest, journal, booked_at from checkpoint")
        return Checkpoint(*row) if row else None

    def documents(self, kinds: Sequence[str] | None = None) -> Iterator[tuple[str, str, Any]]:
        """Documents of the checkpoint by kind and key."""
        where = "" if kinds is None else f" where kind in ({','.join('?' * len(kinds))})"
        rows = self._all(
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
        for key, document in self._all("select business_key, document from item"):
            yield key, as_json(document)

    def segments(
        self, account_id: str, currency_code: str, beyond: int = -1
    ) -> Iterator[Segment]:
        """Segments of an account in order of their first sequence, without their postings.

        :param beyond: those alone that were booked into after that second since 1970
        """
        rows = self._all(
            "select account_id, currency_code, booking_date, value_date, first_sequence, "
            "last_sequence, last_booked, debit_minor, credit_minor from segment "
            "where account_id = ? and currency_code = ? and last_booked > ? "
            "order by first_sequence", (account_id, currency_code, beyond),
        )
        return (Segment(*row, b"") for row in rows)

    def settled(
        self, account_id: str, currency_code: str, value_date: str, until: int
    ) -> int:
        """Debit less credit of an account's segments whose postings were all booked by a second
        since 1970, with that value date or an earlier one."""
        return self._single(
            "select coalesce(cast(sum(debit_minor - credit_minor) as bigint), 0) from segment "
            "where account_id = ? and currency_code = ? and value_date <= ? and last_booked <= ?",
            (account_id, currency_code, value_date, until),
        )[0]

    def postings(self, segment: Segment) -> bytes:
        """The postings of a segment."""
        return self._single(
            "select postings from segment where account_id = ? and currency_code = ? and "
            "first_sequence = ? and booking_date = ? and value_date = ?",
            (segment.account_id, segment.currency_code, segment.first_sequence,
             segment.booking_date, segment.value_date),
        )[0]

    def all_segments(self) -> Iterator[Segment]:
        """Every segment by account, currency and dates, for `verify`."""
        rows = self._stream(
            "select account_id, currency_code, booking_date, value_date, first_sequence, "
            "last_sequence, last_booked, debit_minor, credit_minor, postings from segment "
            "order by account_id, currency_code, booking_date, value_date, first_sequence"
        )
        return (Segment(*row) for row in rows)

    def has_documents(self) -> bool:
        """Whether a checkpoint ever wrote something down."""
        return bool(self._single(
            "select exists (select 1 from document) or exists (select 1 from segment)"
        )[0])

    def storage_fault(self) -> str | None:
        """What the storage finds wrong with its tables and indices; None where it cannot say."""
        return None

    def balance_dates(self) -> list[str]:
        """Dates that have balances."""
        return [r[0] for r in self._all("select distinct booking_date from day_balance")]

    def movements(self, day: str) -> dict[tuple[str, str], tuple[int, int]]:
        """Debit and credit totals booked on a date, by account and currency; as of the
        checkpoint."""
        rows = self._all(
            "select account_id, currency_code, "
            "cast(sum(debit_minor) as bigint), cast(sum(credit_minor) as bigint) "
            "from segment where booking_date = ? group by 1, 2", (day,),
        )
        return {(row[0], row[1]): (row[2], row[3]) for row in rows}

    def later_movements(self, day: str) -> dict[tuple[str, str], tuple[int, int]]:
        """The same for all later dates together."""
        rows = self._all(
            "select account_id, currency_code, "
            "cast(sum(debit_minor) as bigint), cast(sum(credit_minor) as bigint) "
            "from segment where booking_date > ? group by 1, 2", (day,),
        )
        return {(row[0], row[1]): (row[2], row[3]) for row in rows}

    def secret(self, commitment: str) -> tuple[bytes, int] | None:
        """The sealed value behind a commitment, and the number of the key that sealed it."""
        row = self._one(
            "select sealed, key_number from secret where commitment = ? "
            "order by key_number desc limit 1", (commitment,),
        )
        return None if row is None else (row[0], row[1])

    def secrets_sealed_before(self, number: int, after: str, limit: int) -> list[Secret]:
        """What keys of a lower number sealed, from a commitment on."""
        return [
            (row[0], row[1], row[2]) for row in self._all(
                "select commitment, sealed, key_number from secret "
                "where key_number < ? and commitment >= ? order by commitment, key_number limit ?",
                (number, after, limit),
            )
        ]

    # closes and heads

    def find_close(self, day: str) -> dict[str, Any] | None:
        """The close of a date: its columns by name, or None while it is open."""
        row = self._one(f"select {', '.join(CLOSE)} from day_close where booking_date = ?", (day,))
        return dict(zip(CLOSE, row, strict=True)) if row else None

    def closed_dates(self) -> list[str]:
        """Closed dates in order."""
        return [r[0] for r in self._all("select booking_date from day_close order by 1")]

    def last_head(self) -> dict[str, Any] | None:
        """The newest signed head."""
        row = self._one(f"select {', '.join(HEAD)} from head order by number desc limit 1")
        return dict(zip(HEAD, row, strict=True)) if row else None

    def head_names(self) -> list[str]:
        """Names of the signed heads in the order of signing."""
        return [row[0] for row in self._all("select name from head order by number")]

    def head(self, name: str) -> dict[str, Any] | None:
        """A signed head."""
        row = self._one(f"select {', '.join(HEAD)} from head where name = ?", (name,))
        return dict(zip(HEAD, row, strict=True)) if row else None

    def heads(self) -> Iterator[dict[str, Any]]:
        """Every signed head in the order of signing."""
        for row in self._all(f"select {', '.join(HEAD)} from head order by number"):
            yield dict(zip(HEAD, row, strict=True))

    def heads_of(self, day: str) -> list[dict[str, Any]]:
        """The heads signed after the head of the close before a date, up to that of its own close,
        in order; none while it is open, or when the first program closed it."""
        rows = self._all(
            f"select {', '.join(HEAD)} from head "
            "where number <= (select number from head where name = ?) and number > coalesce(("
            "select max(number) from head where number < (select number from head where name = ?) "
            "and name in (select booking_date from day_close)), 0) order by number", (day, day),
        )
        return [dict(zip(HEAD, row, strict=True)) for row in rows]

    def closing_before(self, day: str) -> dict[tuple[str, str], int]:
        """Closing balances at the last close before `day`, by account and currency."""
        return {
            (row[0], row[1]): row[2] for row in self._all(
                "select account_id, currency_code, closing_minor from day_balance "
                "where booking_date = "
                "(select max(booking_date) from day_close where booking_date < ?)", (day,),
            )
        }

    def day_balances(self, day: str) -> Iterator[tuple[str, str, int, int, int, int]]:
        """A closed date's balances by account id: account id, currency, opening, debit, credit,
        closing."""
        return self._all(
            "select account_id, currency_code, opening_minor, debit_minor, credit_minor, "
            "closing_minor from day_balance where booking_date = ? "
            "order by account_id, currency_code", (day,),
        )

    def day_balance(
        self, day: str, account_id: str, currency_code: str
    ) -> tuple[str, str, int, int, int, int] | None:
        """One account's row of :meth:`day_balances`."""
        return self._one(
            "select account_id, currency_code, opening_minor, debit_minor, credit_minor, "
            "closing_minor from day_balance where booking_date = ? and account_id = ? "
            "and currency_code = ?", (day, account_id, currency_code),
        )


def as_json(text: Any) -> Any:
    """A stored text's document; an edited one that is not JSON shows as None, so that `verify`
    names the row."""
    try:
        return orjson.loads(text)
    except (TypeError, ValueError):
        return None
