"""The ledger's store on SQLite: WAL, `synchronous=full`, one writer, plain SQL."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ledger.adapters.schema import SCHEMA_VERSION, statements
from ledger.adapters.sqlite_reader import SqliteReader, named_faults
from ledger.domain.chain import GENESIS
from ledger.domain.templates import Payment
from ledger.service.ports import Draft, State, StoredAccount, StoredCommand
from paylake.errors import LeaseHeld, PermanentFailure

_PAYMENT = (
    "sequence, merchant_id, user_id, channel, currency_code, gross_minor, issuer_fee_minor, "
    "network_fee_minor, acquirer_fee_minor, refunded_minor, returned_issuer_fee_minor, "
    "returned_network_fee_minor, returned_acquirer_fee_minor, disputed_minor"
)
_CHUNK = 1000


class SqliteStore(SqliteReader):
    """The one writer. Holds a lock file while it is open.

    :param path: `<home>/ledger/ledger.db`
    :param simulated: what kind of ledger to make, or what an existing one must be
    :raises LeaseHeld: when another process has it open
    :raises PermanentFailure: when the ledger is of the other kind
    """

    def __init__(self, path: Path, *, simulated: bool, chart_version: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = _take_lock(path.with_suffix(".lock"))
        # Made here so that database, WAL and shared memory are the owner's alone.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        try:
            super().__init__(path, writable=True, any_thread=True)
            with named_faults(path):
                self._prepare(simulated, chart_version)
        except BaseException:
            os.close(self._lock)
            raise

    def _prepare(self, simulated: bool, chart_version: int) -> None:
        db = self.db
        db.execute("pragma journal_mode = wal")
        db.execute("pragma synchronous = full")
        db.execute("pragma foreign_keys = off")  # checked by `verify`; a look-up a leg otherwise
        db.execute("pragma cache_size = -65536")
        db.execute("pragma wal_autocheckpoint = 4000")
        kind = "simulated" if simulated else "real"
        if db.execute("select count(*) from sqlite_master").fetchone()[0] == 0:
            db.executescript(
                "begin;" + statements()
                + f"insert into meta values ('kind', '{kind}'), "
                  f"('chart_version', '{int(chart_version)}');"
                + f"pragma user_version = {SCHEMA_VERSION}; commit;"
            )
        self._check_version()
        found = self.meta("kind")
        if found != kind:
            raise PermanentFailure(
                f"this ledger is {found}, it cannot be served as {kind}",
                "start it as what it is, or use another home", where=str(self.path),
            )
        if self.meta("chart_version") != str(chart_version):
            raise PermanentFailure(
                f"this ledger was made with chart of accounts {self.meta('chart_version')}, "
                f"the program has version {chart_version}",
                "use the chart that it was made with", where=str(self.path),
            )

    def close(self) -> None:
        """Checkpoint, close and give up the lock."""
        with named_faults(self.path):
            self.db.execute("pragma wal_checkpoint(truncate)")
        super().close()
        os.close(self._lock)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what is written inside, flushed to disk, or roll all of it back."""
        with named_faults(self.path):
            self.db.execute("begin immediate")
            try:
                yield
                self.db.execute("commit")
            except BaseException:
                if self.db.in_transaction:
                    self.db.execute("rollback")
                raise

    def load(self) -> State:
        """What the service keeps in memory."""
        with self.snapshot():
            one = self.db.execute
            last = one(
                "select sequence, chain_digest from journal order by sequence desc limit 1"
            ).fetchone()
            return State(
                accounts=self.accounts(),
                last_sequence=last[0] if last else 0,
                last_digest=last[1] if last else GENESIS,
                last_command_number=one("select max(command_number) from command").fetchone()[0]
                or 0,
                last_booked_at=self.meta("last_booked_at") or "",
                last_closed=one("select max(booking_date) from day_close").fetchone()[0],
                clock=self.meta("clock"),
            )

    def _select(self, sql: str, keys: Iterable[Any]) -> Iterator[tuple]:
        """Rows of `sql` with `{}` replaced by a list of keys, a thousand at a time."""
        listed = list(dict.fromkeys(keys))
        for start in range(0, len(listed), _CHUNK):
            part = listed[start : start + _CHUNK]
            yield from self.db.execute(sql.format(",".join("?" * len(part))), part)

    def find_commands(self, keys: Sequence[str]) -> dict[str, StoredCommand]:
        """Recorded commands by idempotency key."""
        rows = self._select(
            "select c.idempotency_key, c.command_type, c.digest, c.content, c.sequence, "
            "c.reason, c.field, c.detail, j.booking_date, j.booked_at from command c "
            "left join journal j on j.sequence = c.sequence where c.idempotency_key in ({})",
            keys,
        )
        return {
            row[0]: StoredCommand(row[1], row[2], json.loads(row[3]), *row[4:]) for row in rows
        }

    def taken(self, business_keys: Sequence[str]) -> set[str]:
        """Those of the business keys that a journal carries."""
        return {
            row[0] for row in self._select(
                "select business_key from journal where business_key in ({})", business_keys
            )
        }

    def find_payments(self, transaction_ids: Sequence[str]) -> dict[str, Payment]:
        """Payments by transaction id."""
        rows = self._select(
            "select j.business_key, " + ", ".join(f"p.{c}" for c in _PAYMENT.split(", "))
            + " from journal j join payment p on p.sequence = j.sequence "
            "where j.business_key in ({})", transaction_ids,
        )
        return {row[0]: Payment(*row[1:]) for row in rows}

    def payments_at(self, sequences: Sequence[int]) -> dict[int, Payment]:
        """Payments by journal sequence."""
        rows = self._select(f"select {_PAYMENT} from payment where sequence in ({{}})", sequences)
        return {row[0]: Payment(*row) for row in rows}

    def find_disputes(
        self, transaction_ids: Sequence[str]
    ) -> dict[str, tuple[int, int, int, int | None]]:
        """Disputes by transaction id: sequence, payment's sequence, amount, release's sequence."""
        rows = self._select(
            "select j.business_key, d.sequence, d.payment_sequence, d.amount_minor, "
            "d.released_by from journal j join dispute d on d.sequence = j.sequence "
            "where j.business_key in ({})", transaction_ids,
        )
        return {row[0]: (row[1], row[2], row[3], row[4]) for row in rows}

    def write(self, draft: Draft, balances: Iterable[tuple[int, int]]) -> None:
        """Insert the draft's rows and set balances."""
        many = self.db.executemany
        many("insert into command values (?,?,?,?,?,?,?,?,?)", draft.commands)
        if not draft.journals:
            return
        many("insert into journal values (?,?,?,?,?,?,?,?,?,?)", draft.journals)
        many("insert into leg values (?,?,?,?,?,?,?)", draft.legs)
        if draft.payments:
            many(
                "insert into payment (sequence, merchant_id, user_id, channel, currency_code, "
                "gross_minor, issuer_fee_minor, network_fee_minor, acquirer_fee_minor) "
                "values (?,?,?,?,?,?,?,?,?)", draft.payments,
            )
        if draft.disputes:
            many(
                "insert into dispute (sequence, payment_sequence, amount_minor) values (?,?,?)",
                draft.disputes,
            )
        if draft.changed_payments:
            many(
                "update payment set refunded_minor = ?, returned_issuer_fee_minor = ?, "
                "returned_network_fee_minor = ?, returned_acquirer_fee_minor = ?, "
                "disputed_minor = ? where sequence = ?",
                [
                    (p.refunded, p.returned_issuer_fee, p.returned_network_fee,
                     p.returned_acquirer_fee, p.disputed, p.sequence)
                    for p in draft.changed_payments.values()
                ],
            )
        if draft.changed_disputes:
            many(
                "update dispute set released_by = ? where sequence = ?",
                [(d.released_by, d.sequence) for d in draft.changed_disputes.values()],
            )
        many("update account set balance_minor = ? where ref = ?", balances)
        self.set_meta("last_booked_at", max(row[7] for row in draft.journals), greatest=True)

    def set_meta(self, name: str, value: str, *, greatest: bool = False) -> None:
        """Set one entry of the meta table; `greatest` keeps the larger text."""
        new = "max(value, excluded.value)" if greatest else "excluded.value"
        self.db.execute(
            f"insert into meta values (?, ?) on conflict (name) do update set value = {new}",
            (name, value),
        )

    def set_clock(self, now: str) -> None:
        """Keep the simulated time."""
        self.set_meta("clock", now)

    def insert_accounts(self, rows: Sequence[StoredAccount]) -> None:
        """Open accounts."""
        self.db.executemany(
            "insert into account values (?,?,?,?,?,?,?)",
            [
                (r.ref, r.account_id, r.code, r.party_id, r.currency_code, r.opened_date,
                 r.balance)
                for r in rows
            ],
        )

    def earlier_open_date(self, day: str, after: str | None) -> str | None:
        """The first date before `day` and after `after` that has journals."""
        return self.db.execute(
            "select min(booking_date) from journal where booking_date < ? and booking_date > ?",
            (day, after or ""),
        ).fetchone()[0]

    def day_totals(self, day: str) -> tuple[int, int]:
        """Journals and legs booked on a date."""
        row = self.db.execute(
            "select count(*), coalesce(sum(leg_count), 0) from journal where booking_date = ?",
            (day,),
        ).fetchone()
        return row[0], row[1]

    def closing_before(self, day: str) -> dict[int, int]:
        """Closing balances at the last close before `day`, by account ref."""
        return dict(self.db.execute(
            "select account, closing_minor from day_balance where booking_date = "
            "(select max(booking_date) from day_close where booking_date < ?)", (day,),
        ))

    def insert_close(self, close: dict[str, Any], balances: Sequence[tuple]) -> None:
        """Record a close and the balances of its date."""
        self.db.execute(
            f"insert into day_close ({', '.join(close)}) "
            f"values ({', '.join('?' * len(close))})", list(close.values()),
        )
        self.db.executemany("insert into day_balance values (?,?,?,?,?,?)", balances)


def _take_lock(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = os.read(descriptor, 20).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise LeaseHeld(
            f"process {owner or 'unknown'} has this ledger open",
            "stop it first, or talk to it over HTTP", where=str(path),
        ) from error
    os.ftruncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())
    return descriptor
