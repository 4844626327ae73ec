"""Writing a ledger: the statements that every storage understands."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

from ledger.adapters.sql_reader import CLOSE, HEAD, SqlReader
from ledger.service.ports import Checkpoint, Row, Secret, Segment


def _places(count: int) -> str:
    return ", ".join("?" * count)


class SqlStore(SqlReader):
    """The one writer's statements. A storage adds its connection and its transaction."""

    uncertain = False

    @abstractmethod
    def _many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement for each row."""

    def _add(self, table: str, rows: Sequence[Sequence[Any]], otherwise: str = "") -> None:
        """Insert many rows of all columns.

        :param otherwise: what becomes of a row that is there (`on conflict …`)
        """
        if rows:
            self._many(f"insert into {table} values ({_places(len(rows[0]))}) {otherwise}", rows)

    def append(self, rows: Sequence[Row]) -> None:
        """Add entries to the log."""
        self._add("entry", rows)

    def keep_secrets(self, secrets: Iterable[Secret]) -> None:
        """Add sealed values by commitment and key."""
        self._many(
            "insert into secret values (?, ?, ?) on conflict (commitment, key_number) do nothing",
            secrets,
        )

    def replace_secrets(self, added: Iterable[Secret], dropped: Iterable[Secret]) -> None:
        """Add values that a newer key sealed, and drop those of older keys: the storage drops none
        without a newer one in its place."""
        self.keep_secrets(added)
        self._many(
            "delete from secret where commitment = ? and key_number = ?",
            [(commitment, number) for commitment, _, number in dropped],
        )

    def write_checkpoint(
        self, at: Checkpoint, documents: Iterable[tuple[str, str, str | None]],
        segments: Iterable[Segment],
    ) -> None:
        """Replace documents (JSON text; None drops one), add segments, move the checkpoint."""
        items: list[tuple] = []
        put: list[tuple] = []
        dropped: list[tuple[str, str]] = []
        for kind, key, document in documents:
            if document is None:
                dropped.append((kind, key))
            elif kind == "item":
                items.append((key, document))
            else:
                put.append((kind, key, document))
        changed = "do update set document = excluded.document"
        self._add("document", put, f"on conflict (kind, key) {changed}")
        self._add("item", items, f"on conflict (business_key) {changed}")
        self._many("delete from document where kind = ? and key = ?", dropped)
        self._add("segment", [
            (s.account_id, s.currency_code, s.first_sequence, s.last_sequence,
             s.booking_date, s.value_date, s.last_booked, s.debit, s.credit, s.postings)
            for s in segments
        ])
        self._many(
            "insert into checkpoint values (1, ?, ?, ?, ?) on conflict (one) do update set "
            "sequence = excluded.sequence, digest = excluded.digest, "
            "journal = excluded.journal, booked_at = excluded.booked_at",
            [(at.sequence, at.digest, at.journal, at.booked_at)],
        )

    def set_meta(self, name: str, value: str) -> None:
        """Set one entry of the meta table."""
        self._many(
            "insert into meta values (?, ?) on conflict (name) "
            "do update set value = excluded.value", [(name, value)],
        )

    def set_clock(self, now: str) -> None:
        """Keep the simulated time."""
        self.set_meta("clock", now)

    def add_queries(self, rows: Sequence[tuple[str, str, str, str]]) -> None:
        """Keep who asked for the status of a command: key, time, actor, what was told."""
        self._many("insert into status_query values (?, ?, ?, ?) on conflict do nothing", rows)

    def insert_head(self, head: dict[str, Any]) -> None:
        """Keep a signed head."""
        number = self._single("select coalesce(max(number), 0) + 1 from head")[0]
        self._many(
            f"insert into head values ({_places(len(HEAD))})",
            [[number, *(head[name] for name in HEAD[1:])]],
        )

    def insert_close(self, close: dict[str, Any], balances: Sequence[tuple]) -> None:
        """Keep a close with its day balances."""
        self._many(
            f"insert into day_close values ({_places(len(CLOSE))})",
            [[close[name] for name in CLOSE]],
        )
        self._many(f"insert into day_balance values ({_places(7)})", balances)
