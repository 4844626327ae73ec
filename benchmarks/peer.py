"""The peer: one DuckDB program that makes a day's tables from the same delivery files.

`python -m benchmarks.peer --inbox DIR --out DIR --home HOME --date D [--to D] [--summary]`: what a
competent person writes who needs these tables and nothing else. It checks signatures, digests, row
counts, amount totals and the contracts' value rules, and stops at the first thing that is wrong.
Tables are Parquet files `<out>/<table>/<date>.parquet`; earlier dates are read from there.

It does not do: quarantine and replay, sealed copies of files, the vault, resent or superseding
deliveries, ranges, releases, open items, Delta. Tokens and masks are the product's own functions,
because the tables could not be equal otherwise.
"""

from __future__ import annotations

import argparse
import codecs
import sys
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from benchmarks import peer_checks, peer_sql
from benchmarks.parts import part
from paylake import contracts, dbt_project, keys
from paylake import settings as settings_module
from paylake.crypto import sm3_file
from paylake.dates import date_range, parse_date
from paylake.deliveries import CONTROL_NAME, SIGNATURE_NAME, Control, read_control
from paylake.errors import PaylakeError, PermanentFailure
from paylake.masking import mask
from paylake.settings import ROOT

#: Tables of the product that the peer makes as well, and which must come out equal.
TABLES = (
    "silver.transaction", "silver.ledger_entry", "silver.ledger_balance",
    "state.merchant_day", "state.terminal_day", "state.merchant_card_day",
    "state.terminal_card_day", "work.merchant_profile", "work.terminal_profile",
    "work.mart_settlement__merchant_day", "work.mart_settlement__reserve_fund_day",
    "work.mart_kpi__institution_day", "work.mart_kpi__region_day", "work.mart_kpi__mcc_day",
    "work.mart_kpi__payment_way_day",
)
_CHUNK = 1 << 24
_JOURNAL = {
    "journal_id": "varchar", "leg_number": "integer", "journal_type": "varchar",
    "business_key": "varchar", "account_id": "varchar", "account_code": "varchar",
    "party_id": "varchar", "direction": "varchar", "amount_minor": "bigint",
    "currency_code": "varchar", "component": "varchar", "booking_date": "date",
    "booked_at": "timestamptz", "custodian_reference": "varchar", "chain_sequence": "bigint",
    "chain_digest": "varchar",
}


def columns_of(table: str) -> list[tuple[str, str]]:
    """(name, SQL type) of a table of the product, from its contract or its model."""
    name = table.rpartition(".")[2]
    if name in dbt_project.models():
        schema = dbt_project.models()[name].schema
    else:
        schema = contracts.load(table).arrow_schema
    kinds = {
        "string": "varchar", "double": "double", "int64": "bigint", "int32": "integer",
        "bool": "boolean", "date32[day]": "date", "timestamp[us, tz=UTC]": "timestamptz",
        "decimal128(18, 4)": "decimal(18,4)",
    }
    return [(field.name, kinds[str(field.type)]) for field in schema]


class Peer:
    """One date."""

    def __init__(self, inbox: Path, out: Path, home: Path, day: date) -> None:
        self.inbox, self.out, self.day = inbox, out, day
        self.keyring = keys.Keyring(settings_module.load({}, home=home))
        self.trust = self.keyring.trust()
        scratch = out / ".scratch"
        scratch.mkdir(parents=True, exist_ok=True)
        self.scratch = scratch
        self.db = duckdb.connect()
        self.db.execute("set timezone = 'UTC'")
        self.db.execute(f"set temp_directory = '{scratch}'")
        self.db.execute(f"create macro day() as date '{day}'")

    # -- reading -------------------------------------------------------------------------------

    def delivery(self, feed: str) -> tuple[Control, Path]:
        """The delivery's control file and its one data file, signature and digest checked."""
        folder = self.inbox / feed / str(self.day) / "1"
        control = read_control(folder)
        key = self.trust[control.key_id]
        signed = (folder / CONTROL_NAME).read_bytes(), (folder / SIGNATURE_NAME).read_bytes()
        if not (key.may_sign(feed) and key.is_valid_on(self.day) and key.public.verify(*signed)):
            raise PermanentFailure(f"{feed} of {self.day} is not signed", "Ask the sender.")
        file = folder / control.files[0].name
        if file.stat().st_size != control.files[0].bytes or (
            sm3_file(file) != control.files[0].sm3
        ):
            raise PermanentFailure(f"{file.name} is not the file that was signed", "Ask for it.")
        return control, file

    def accept(self, feed: str, control: Control, amount: str | None, typed: bool = False) -> None:
        """Row count, totals and value rules of what was read into `raw_<feed>`."""
        rows = self.db.sql(f"select count(*) from raw_{feed}").fetchone()
        if rows is None or rows[0] != control.rows:
            raise PermanentFailure(f"{feed}: {rows} rows, announced {control.rows}", "Ask for it.")
        found: dict[str, Decimal] = {}
        if amount is not None:
            found = dict(self.db.sql(
                f"select currency_code, sum({amount}) from raw_{feed} group by currency_code"
            ).fetchall())
        announced = dict(control.amount_totals)
        if any(found.get(c, 0) != announced.get(c, 0) for c in {*found, *announced}):
            raise PermanentFailure(f"{feed}: {found} is not {announced}", "Ask the sender.")
        peer_checks.values(self.db, contracts.load(feed), f"raw_{feed}", typed)

    def read(self) -> None:
        """All six deliveries into tables of texts `raw_<feed>`."""
        control, file = self.delivery("transaction")
        text = self.scratch / "transaction.csv"
        decode = codecs.getincrementaldecoder("gb18030")().decode
        with file.open("rb") as source, text.open("wb") as sink:
            while piece := source.read(_CHUNK):
                sink.write(decode(piece).encode())
            sink.write(decode(b"", True).encode())
        self.db.execute(
            f"create table raw_transaction as select * from read_csv('{text}', all_varchar = true,"
            " header = true, quote = '\"', delim = ',')"
        )
        text.unlink()
        self.accept("transaction", control, "amount::decimal(18,2)")

        control, file = self.delivery("ledger_journal")
        columns = ", ".join(f"{name}: '{kind}'" for name, kind in _JOURNAL.items())
        self.db.execute(
            f"create table raw_ledger_journal as select * from read_json('{file}',"
            f" format = 'newline_delimited', columns = {{{columns}}})"
        )
        self.accept("ledger_journal", control, "amount_minor::decimal(18,0) * 0.01", typed=True)

        for feed, amount in (("ledger_balance", "closing_minor::decimal(18,0) * 0.01"),
                             ("merchant", None)):
            control, file = self.delivery(feed)
            self.db.execute(
                f"create table raw_{feed} as select * from read_csv('{file}', all_varchar = true,"
                " header = true)"
            )
            self.accept(feed, control, amount)

        control, file = self.delivery("terminal")
        self.db.execute(f"create table raw_terminal as select * from read_parquet('{file}')")
        self.accept("terminal", control, None)

        control, file = self.delivery("custodian_statement")
        self._fixed_width(file)
        self.accept("custodian_statement", control, "amount::decimal(18,2)")

    def _fixed_width(self, file: Path) -> None:
        """Lines of fixed widths in bytes, GB18030."""
        columns = contracts.load("custodian_statement").columns
        lines = file.read_bytes().split(b"\n")
        lines = [line.rstrip(b"\r") for line in lines if line]
        arrays, start = {}, 0
        for column in columns:
            end = start + int(column.properties["width"])
            values = [line[start:end].decode("gb18030").strip() or None for line in lines]
            arrays[column.name] = pa.array(values, pa.string())
            start = end
        self.db.register("fixed", pa.table(arrays))
        self.db.execute("create table raw_custodian_statement as select * from fixed")

    def tokenise(self) -> None:
        """Token and display value of every distinct card."""
        cards = [row[0] for row in self.db.sql(
            "select distinct card_number from raw_transaction where card_number is not null"
        ).fetchall()]
        tokens = self.keyring.tokeniser().tokens(cards)
        self.db.register("made", pa.table({
            "card_number": pa.array(cards, pa.string()),
            "card_token": pa.array(tokens, pa.string()),
            "card_masked": pa.array([mask("card", card) for card in cards], pa.string()),
        }))
        self.db.execute("create table cards as select * from made")

    # -- tables --------------------------------------------------------------------------------

    def path(self, table: str, day: date) -> Path:
        return self.out / table / f"{day}.parquet"

    def offer(self, table: str, days: int, name: str) -> None:
        """A view over the files of the `days` dates before today that are there."""
        before = [self.path(table, self.day - timedelta(days=n)) for n in range(1, days + 1)]
        files = [str(path) for path in before if path.exists()]
        if files:
            self.db.execute(f"create view {name} as select * from read_parquet({files})")
        else:
            empty = peer_sql.EMPTY[table]
            self.db.execute(f"create view {name} as select * from ({empty}) limit 0")

    def store(self, table: str, sql: str, columns: list[tuple[str, str]] | None = None) -> None:
        """Compute a table, keep it as a table of this connection, write today's file."""
        name = table.rpartition(".")[2]
        if columns is not None:
            casts = ", ".join(f"cast({n} as {kind}) as {n}" for n, kind in columns)
            sql = f"select {casts} from ({sql})"
        self.db.execute(f"create table {name} as {sql}")
        target = self.path(table, self.day)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(".partial")
        self.db.execute(f"copy {name} to '{partial}' (format parquet, compression zstd)")
        partial.replace(target)

    def make(self, tables: dict[str, str]) -> None:
        for table, sql in tables.items():
            self.store(table, sql, columns_of(table) if table in TABLES else None)

    def run(self, is_summary: bool) -> None:
        """The day. A summarised journal (history) has no settlement and no tie."""
        day = self.day
        with part("ingest"):
            self.read()
            self.tokenise()
        with part("conform"):
            self.db.execute(peer_sql.MERCHANT_TODAY)
            self.offer("merchant_known", 1, "merchant_before")
            self.offer("silver.transaction", 2, "transaction_before")
            self.make(peer_sql.silver(day))
            self.db.execute("drop table raw_transaction; drop table raw_ledger_journal")
        with part("states"):
            self.make(peer_sql.states())
        with part("profiles"):
            for entity in ("merchant", "terminal"):
                for kind in ("day", "card_day"):
                    self.offer(f"state.{entity}_{kind}", 29, f"{entity}_{kind}_before")
            self.make(peer_sql.profiles())
        with part("marts"):
            self.offer("open_reference", 1, "open_reference_before")
            self.offer("institution_day", 30, "institution_day_before")
            self.offer("way_day", 7, "way_day_before")
            for seed in ("mcc", "region", "calendar_working_day"):
                file = ROOT / "dbt" / "seeds" / f"{seed}.csv"
                self.db.execute(
                    f"create table {seed} as select * from read_csv('{file}', all_varchar = true)"
                )
            self.make(peer_sql.carried())
            if not is_summary:
                self.make(peer_sql.marts())
        with part("gate"):
            self.offer("silver.ledger_balance", 1, "ledger_balance_before")
            peer_checks.tables(self.db, peer_checks.ALWAYS)
            if not is_summary:
                peer_checks.tables(self.db, peer_checks.WHOLE)
        self.db.close()


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peer", description=__doc__)
    for name in ("inbox", "out", "home"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--date", required=True)
    parser.add_argument("--to", help="last date, when there are several")
    parser.add_argument("--summary", action="store_true", help="the journal is summarised")
    given: Any = parser.parse_args(arguments)
    try:
        first = parse_date(given.date)
        for day in date_range(first, parse_date(given.to) if given.to else first):
            Peer(given.inbox, given.out, given.home, day).run(given.summary)
    except (PaylakeError, duckdb.Error) as error:
        print(f"peer: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
