"""One log of entries in place of commands, journals and legs.

Each command becomes an entry, in the order of the commands; an entry that carries a journal of
the first format says so in its evidence, so that `verify` recomputes the first chain from it and
the old signed heads keep their meaning. Journal numbers stay. Accounts and parties come first, in
an entry of their own: whoever had an account is taken over as active.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import Any

from alembic import op
from sqlalchemy.engine import Connection

from ledger.adapters.schema import SCHEMA_VERSION, statements
from ledger.domain.chain import GENESIS, entry_digest

revision = "0002"
down_revision = "0001"

_OLD = ("meta", "account", "command", "journal", "leg", "payment", "dispute", "day_close",
        "day_balance")
_ACTOR = "system:format-1"
_RETURNED = ("issuer", "network", "acquirer")


def upgrade() -> None:
    """Make the new tables, fill them, drop the old ones."""
    connection = op.get_bind()
    sqlite = connection.connection.driver_connection
    assert sqlite is not None
    for (name,) in sqlite.execute("select name from sqlite_master where type = 'trigger'"):
        sqlite.execute(f"drop trigger {name}")
    for (name,) in sqlite.execute(
        "select name from sqlite_master where type = 'index' and sql is not null"
    ).fetchall():
        sqlite.execute(f"drop index {name}")
    for table in _OLD:
        sqlite.execute(f"alter table {table} rename to old_{table}")
    for statement in split(statements()):
        sqlite.execute(statement)
    sqlite.execute(
        "insert into meta select name, value from old_meta where name in ('kind', 'clock')"
    )
    rows = _Entries(connection).rows()
    sqlite.executemany(f"insert into entry values ({','.join('?' * 17)})", rows)
    sqlite.execute(
        "insert into day_close select booking_date, closed_at, chain_sequence, chain_digest, "
        "journals, legs, key_id, document, signature from old_day_close"
    )
    sqlite.execute(
        "insert into day_balance select b.booking_date, a.account_id, a.currency_code, "
        "b.opening_minor, b.debit_minor, b.credit_minor, b.closing_minor "
        "from old_day_balance b join old_account a on a.ref = b.account"
    )
    for table in reversed(_OLD):
        sqlite.execute(f"drop table old_{table}")
    sqlite.execute(f"pragma user_version = {SCHEMA_VERSION}")


def split(script: str) -> Iterator[str]:
    """Single statements of a script; a trigger's own `;` stay inside it."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


class _Entries:
    """The entries that the old rows become."""

    def __init__(self, connection: Connection) -> None:
        self.db: Any = connection.connection.driver_connection
        self.sequence = 0
        self.digest = GENESIS
        self.counters: dict[str, dict[str, Any]] = {}
        self.made: dict[int, tuple[str, str, dict[str, Any]]] = {}

    def _entry(self, *columns: Any) -> tuple:
        self.sequence += 1
        row = (self.sequence, *columns)
        self.digest = entry_digest(self.digest, row)
        return (*row, self.digest)

    def rows(self) -> Iterator[tuple]:
        """Accounts first, then every command."""
        first = self.db.execute(
            "select booking_date, booked_at from old_journal order by sequence limit 1"
        ).fetchone()
        opened = self.db.execute("select min(opened_date) from old_account").fetchone()[0]
        day = (first[0] if first else opened) or "2000-01-01"
        booked_at = first[1] if first else f"{day}T00:00:00Z"
        yield self._entry(
            None, "taken_over", 1, "posted", "migration-0002", None, _ACTOR, "", booked_at, day,
            day, json.dumps({"schema": 1}), "[]", json.dumps(self._accounts()), "",
        )
        legs = self.db.execute(
            "select l.sequence, a.account_id, a.currency_code, l.direction, l.amount_minor, "
            "l.component, l.custodian_reference from old_leg l "
            "join old_account a on a.ref = l.account order by l.sequence, l.leg_number"
        ).fetchall()
        by_journal: dict[int, list[list]] = {}
        for sequence, *leg in legs:
            by_journal.setdefault(sequence, []).append(leg)
        for row in self.db.execute(
            "select c.idempotency_key, c.command_type, c.content, c.reason, c.field, c.detail, "
            "j.sequence, j.journal_type, j.business_key, j.original_sequence, j.booking_date, "
            "j.booked_at, j.chain_digest from old_command c "
            "left join old_journal j on j.sequence = c.sequence order by c.command_number"
        ).fetchall():
            yield self._command(row, by_journal)
            booked_at, day = row[11] or booked_at, row[10] or day

    def _accounts(self) -> list[list]:
        effects: list[list] = []
        parties: dict[str, str] = {}
        for account_id, code, party, currency, opened in self.db.execute(
            "select account_id, account_code, party_id, currency_code, opened_date "
            "from old_account order by ref"
        ):
            if party is not None:
                parties.setdefault(party, "user" if code == "2101" else "merchant")
            effects.append(["open", account_id, currency, {
                "code": code, "party_id": party, "opened_date": opened, "parent": None,
                "tenant": None, "purpose": None,
            }])
        return [
            *(["put", "party", party, {
                "kind": kind, "state": "active", "owner_id": None, "grade": "standard",
                "identity_check": "taken-over", "ground": None, "details": None,
                "since": "taken over",
            }] for party, kind in parties.items()),
            *effects,
        ]

    def _command(self, row: tuple, by_journal: dict[int, list[list]]) -> tuple:
        (key, type_, content, reason, field, detail, journal, journal_type, business_key,
         original, day, booked_at, digest) = row
        values = json.loads(content)
        values.pop("idempotency_key")
        occurred = values.get("occurred_at", booked_at) or "2000-01-01T00:00:00Z"
        if reason is not None:
            why = json.dumps({"reason": reason, "detail": detail, "field": field})
            return self._entry(
                None, type_, 1, "refused", key, None, _ACTOR, "", occurred, occurred[:10],
                occurred[:10], json.dumps(values), "[]", why, "",
            )
        evidence = json.dumps({"format1": {
            "journal_type": journal_type, "original": original, "digest": digest.hex(),
        }})
        effects = self._effects(type_, values, journal, business_key, original)
        return self._entry(
            journal, type_, 1, "posted", key, business_key, _ACTOR, evidence, booked_at, day,
            day, json.dumps(values), json.dumps(by_journal[journal]), json.dumps(effects), "",
        )

    def _effects(
        self, type_: str, values: dict[str, Any], journal: int, business_key: str,
        original: int | None,
    ) -> list[list]:
        """What the command did to its original: the counters that refunds and disputes need."""
        self.made[journal] = (type_, business_key, values)
        if type_ == "withdrawal":  # the first schema paid at once
            return [["item", business_key, {"result": "succeeded"}]]
        if original is None:
            return []
        amount = values["amount_minor"]
        original_type, key, said = self.made[original]
        counters = self.counters.setdefault(key, {})
        if type_ == "refund":
            counters["refunded"] = counters.get("refunded", 0) + amount
            for fee in _RETURNED:
                name = f"returned_{fee}"
                counters[name] = counters.get(name, 0) + values[f"{fee}_fee_minor"]
        elif type_ == "dispute":
            counters["disputed"] = counters.get("disputed", 0) + amount
            counters["dispute_ended"] = None
        elif original_type == "dispute":
            counters["released"] = 1
            payment = said["original_transaction_id"]
            above = self.counters[payment]
            above["disputed"] -= amount
            return [["item", key, dict(counters)], ["item", payment, dict(above)]]
        return [["item", key, dict(counters)]]

