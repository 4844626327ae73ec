"""The feeds of a date written directly, the ledger bypassed: for benchmarks at a million a day.

`python -m simulator.bulk --home H --start 2026-09-12 --days 2 --txns 1000000`. The world is the
same as elsewhere, without planted problems; what the ledger would export is made from the world,
with a chain of digests that no ledger can verify. The home's marker says so. Events of the outbox
(`ledger_event`) are not made: nothing waits for them and no figure reads them.
"""

from __future__ import annotations

import argparse
import codecs
import hashlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from paylake import settings as settings_module
from paylake.dates import parse_date
from paylake.deliveries import DeliveryFile, inbox_path, write_delivery
from paylake.errors import PaylakeError
from paylake.keys import Keyring
from paylake.settings import Settings
from simulator import feeds
from simulator import legs as journal
from simulator.commands import utc_texts
from simulator.heads import ChainEnd, head_line
from simulator.outbox import CUSTODIAN_TIME, LEDGER_TIME, REGISTRY_TIME, SWITCH_TIME, at
from simulator.params import Params
from simulator.plan import Plan
from simulator.records import KINDS, WITHDRAWAL, Day
from simulator.world import World

FEEDS = (
    "transaction", "ledger_journal", "ledger_balance", "ledger_head", "merchant", "terminal",
    "custodian_statement",
)
_CHUNK = 1 << 24


@dataclass
class Written:
    """Rows and bytes by feed, over all dates."""

    rows: dict[str, int] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)

    def add(self, feed: str, rows: int, size: int) -> None:
        self.rows[feed] = self.rows.get(feed, 0) + rows
        self.bytes[feed] = self.bytes.get(feed, 0) + size


@dataclass
class _Books:
    """What goes on from date to date: chain end, last head, accounts opened, their balances."""

    sequence: int = 0
    digest: bytes = bytes(32)
    head_sm3: str | None = None
    balances: dict[int, np.ndarray] = field(default_factory=dict)
    opened: dict[int, np.ndarray] = field(default_factory=dict)


def write_feeds(
    settings: Settings,
    first: date,
    days: int,
    txns: int,
    *,
    merchants: int = 3_000,
    terminals: int = 9_000,
    seed: int = 20260912,
    only: Sequence[str] = FEEDS,
) -> Written:
    """Write the deliveries of `days` dates from `first` into the home's inbox.

    :param txns: payment attempts of an ordinary day.
    :param only: feeds to write; the others are left out (the world is the same).
    """
    params = Params(first, days, merchants, terminals, txns, seed)
    *_, (_, written) = write_days(settings, params, only=only)
    return written


def write_days(
    settings: Settings,
    params: Params,
    *,
    only: Sequence[str] = FEEDS,
    summarised: Sequence[date] = (),
) -> Iterator[tuple[date, Written]]:
    """Write one date after the other; each is in the inbox when it is given, with what so far.

    :param summarised: dates whose journal is short: the legs of the institution's own accounts
        (reserve deposit, fees), added up by reference and component. The reserve check and the
        fee income of later dates need no more of a date's history; settlement of that date and
        its tie do.
    """
    world = World(params, Plan({}, {"all": "written without planted problems"}))
    Keyring(settings).ensure_demo()
    written, books = Written(), _Books()
    with tempfile.TemporaryDirectory(dir=_scratch(settings)) as folder:
        for day in params.dates():
            made = world.day(day)
            _write_day(
                settings, world, made, books, set(only), Path(folder), written, day in summarised
            )
            yield day, written
    marker = settings.path("simulator", "bulk.json")
    marker.write_bytes(orjson.dumps({
        "ledger": "bypassed: journal and balances were written by the simulator, their chain "
                  "cannot be verified",
        "params": params.document(), "feeds": sorted(only), "rows": written.rows,
        "summarised_journals": [day.isoformat() for day in summarised],
    }, option=orjson.OPT_INDENT_2) + b"\n")


def _scratch(settings: Settings) -> Path:
    folder = settings.path("simulator")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _write_day(
    settings: Settings, world: World, made: Day, books: _Books, only: set[str], folder: Path,
    written: Written, is_summarised: bool,
) -> None:
    day = made.day

    def send(feed: str, name: str, content: bytes | Path, rows: int, clock: Any, key: str,
             minor: int | None) -> None:
        write_delivery(
            settings, feed, day, 1, [DeliveryFile(name, content, rows)], at(day, clock), key,
            {} if minor is None else feeds.total(minor),
        )
        if isinstance(content, Path):
            written.add(feed, rows, content.stat().st_size)
            content.unlink()
        else:
            written.add(feed, rows, len(content))

    stamp = f"{day:%Y%m%d}"
    if "transaction" in only:
        table = feeds.transaction_table(world.people, made, world.recent(day))
        path = folder / f"transaction_{stamp}.csv"
        write_csv(table, path, "gb18030")
        total = int(
            made.attempts.amount.sum() + made.refunds.plan.amount.sum()
            + (made.dispute.amount if made.dispute else 0)
        )
        send("transaction", path.name, path, table.num_rows, SWITCH_TIME, "switch-1", total)
    if only & {"ledger_journal", "ledger_balance", "ledger_head"}:
        lines = journal.legs(made.operations)
        entries = (
            summary_table(made, lines) if is_summarised
            else journal_table(world, made, lines, books)
        )
        if "ledger_journal" in only:
            path = folder / f"ledger_journal_{stamp}.jsonl"
            _write_json(entries, path)
            send("ledger_journal", path.name, path, entries.num_rows, LEDGER_TIME, "ledger-1",
                 int(pc.sum(entries["amount_minor"]).as_py()))
        table = balance_table(world, lines, books)
        path = folder / f"ledger_balance_{stamp}.csv"
        write_csv(table, path, "utf-8")
        if "ledger_balance" in only:
            send("ledger_balance", path.name, path, table.num_rows, LEDGER_TIME, "ledger-1",
                 int(pc.sum(pc.cast(table["closing_minor"], pa.int64())).as_py()))
        if "ledger_head" in only:
            name = f"ledger_head_{stamp}.jsonl"
            end = ChainEnd(books.sequence, books.digest, books.head_sm3)
            line, books.head_sm3 = head_line(
                settings, day, end, entries, table,
                inbox_path(settings, "ledger_head", day, 1) / name,
            )
            send("ledger_head", name, line, 1, LEDGER_TIME, "ledger-1", None)
    for feed, make, ending in (
        ("merchant", feeds.merchant_file, "csv"), ("terminal", feeds.terminal_file, "parquet"),
    ):
        if feed in only:
            content, rows = make(world.people, day)
            send(feed, f"{feed}_{stamp}.{ending}", content, rows, REGISTRY_TIME, "registry-1", None)
    if "custodian_statement" in only:
        content, rows, total = feeds.custodian_file(
            world.people, day, made.movements, made.opening, made.closing
        )
        send("custodian_statement", f"custodian_{stamp}.txt", content, rows, CUSTODIAN_TIME,
             "custodian-1", total)


def write_csv(table: pa.Table, path: Path, encoding: str) -> None:
    """Write a table of texts as CSV, quoting only where needed, "" as nothing."""
    with duckdb.connect() as connection:
        connection.register("rows", table)
        columns = ", ".join(f"nullif({name}, '') as {name}" for name in table.column_names)
        target = path if encoding == "utf-8" else path.with_suffix(".utf8")
        # One thread keeps the rows in order.
        connection.execute("set threads = 1")
        connection.execute(
            f"copy (select {columns} from rows) to '{target}' (format csv, header true)"
        )
    if target != path:
        decode = codecs.getincrementaldecoder("utf-8")().decode
        with target.open("rb") as source, path.open("wb") as sink:
            while piece := source.read(_CHUNK):
                sink.write(decode(piece).encode(encoding))
        target.unlink()


def _write_json(table: pa.Table, path: Path) -> None:
    with duckdb.connect() as connection:
        connection.register("rows", table)
        connection.execute("set threads = 1")
        connection.execute(f"copy (select * from rows) to '{path}' (format json)")


def _digests(start: bytes, count: int, first: int) -> tuple[list[str], bytes]:
    """A chain of SM3 digests over the journal numbers: of the ledger's form, not its content."""
    found, digest = [], start
    for number in range(first, first + count):
        digest = hashlib.new("sm3", digest + number.to_bytes(8, "big")).digest()
        found.append(digest.hex())
    return found, digest


def _account_column(made: journal.Legs, names: dict[int, np.ndarray]) -> tuple[pa.Array, pa.Array]:
    """Account ids and party ids (null for the institution's own) of legs."""
    ids: list[str] = ["1001", "2301"]
    parties: list[str | None] = [None, None]
    offset = {journal.RESERVE: 0, journal.FEES: 1}
    for code, texts in names.items():
        offset[code] = len(ids)
        ids += [f"{journal.ACCOUNT_CODES[code]}:{text}" for text in texts.tolist()]
        parties += texts.tolist()
    start = np.array([offset[code] for code in range(len(journal.ACCOUNT_CODES))])
    position = pa.array(start[made.account] + np.maximum(made.party, 0))
    return pa.array(ids).take(position), pa.array(parties, pa.string()).take(position)


def journal_table(world: World, made: Day, lines: journal.Legs, books: _Books) -> pa.Table:
    """The ledger's journal feed of a date as a table, in its column order."""
    operations, count = made.operations, len(made.operations)
    digests, books.digest = _digests(books.digest, count, books.sequence + 1)
    number = pa.array(books.sequence + 1 + lines.operation)
    books.sequence += count
    of = pa.array(lines.operation)
    account_ids, party_ids = _account_column(lines, journal.party_names(world.people))
    references = pa.array(journal.custodian_references(operations, lines, made.day), pa.string())
    return pa.table({
        "journal_id": pc.binary_join_element_wise(
            "J", pc.utf8_lpad(pc.cast(number, pa.string()), 12, "0"), ""
        ),
        "leg_number": pa.array(lines.number, pa.int32()),
        "journal_type": pa.array(KINDS).take(pa.array(operations.kind)).take(of),
        # A withdrawal is booked by its result, which has a number of its own.
        "business_key": pa.array(
            np.where(operations.kind == WITHDRAWAL, np.char.add("R-", operations.key.astype(str)),
                     operations.key), pa.string(),
        ).take(of),
        "account_id": account_ids,
        "account_code": pa.array(journal.ACCOUNT_CODES).take(pa.array(lines.account)),
        "party_id": party_ids,
        "direction": pa.array(["D", "C"]).take(pa.array(lines.side)),
        "amount_minor": pa.array(lines.amount),
        "currency_code": pa.array([feeds.CURRENCY]).take(pa.array(lines.operation * 0)),
        "component": pa.array(journal.COMPONENTS).take(pa.array(lines.component)),
        "booking_date": pa.array([made.day.isoformat()]).take(pa.array(lines.operation * 0)),
        "booked_at": pa.array(utc_texts(made.day, operations.second)).take(of),
        "custodian_reference": pc.if_else(pc.equal(references, ""), None, references),
        "chain_sequence": number,
        "chain_digest": pa.array(digests).take(of),
    })


def summary_table(made: Day, lines: journal.Legs) -> pa.Table:
    """The journal of a date as sums on the institution's own accounts, in the feed's columns."""
    own = (lines.account == journal.RESERVE) | (lines.account == journal.FEES)
    references = journal.custodian_references(made.operations, lines, made.day)[own]
    kinds = pa.array(KINDS).take(pa.array(made.operations.kind[lines.operation[own]]))
    legs = pa.table({
        "reference": pa.array(references, pa.string()),
        "kind": kinds,
        "account": pa.array(journal.ACCOUNT_CODES).take(pa.array(lines.account[own])),
        "side": pa.array(["D", "C"]).take(pa.array(lines.side[own])),
        "component": pa.array(journal.COMPONENTS).take(pa.array(lines.component[own])),
        "amount": pa.array(lines.amount[own]),
    })
    with duckdb.connect() as connection:
        connection.register("legs", legs)
        return connection.execute(
            """
            select
                $prefix || lpad(row_number() over (order by all_columns)::varchar, 8, '0')
                    as journal_id,
                1::integer as leg_number, kind as journal_type,
                coalesce(nullif(reference, ''), 'SUMMARY-' || component) as business_key,
                account as account_id, account as account_code, null::varchar as party_id,
                side as direction, amount_minor, $currency as currency_code, component,
                $day as booking_date, $day || 'T04:00:00Z' as booked_at,
                nullif(reference, '') as custodian_reference,
                0::bigint as chain_sequence, repeat('0', 64) as chain_digest
            from (
                select *, (reference, kind, account, side, component) as all_columns
                from (
                    select reference, kind, account, side, component,
                        sum(amount)::bigint as amount_minor
                    from legs
                    group by all
                )
            )
            order by all_columns
            """,
            {"prefix": f"S{made.day:%Y%m%d}", "currency": feeds.CURRENCY,
             "day": made.day.isoformat()},
        ).to_arrow_table()


def balance_table(world: World, lines: journal.Legs, books: _Books) -> pa.Table:
    """The ledger's balance feed of a date as a table of texts; carries `books` forward."""
    names = journal.party_names(world.people)
    rows: list[pa.Table] = []
    for code, account in enumerate(journal.ACCOUNT_CODES):
        parties = names.get(code)
        size = 1 if parties is None else len(parties)
        here = lines.account == code
        party = np.maximum(lines.party[here], 0)
        side, amount = lines.side[here], lines.amount[here]
        moved = np.zeros((2, size), np.int64)
        np.add.at(moved, (side, party), amount)
        sign = 1 if account == "1001" else -1
        opening = books.balances.get(code, np.zeros(size, np.int64))
        closing = opening + sign * (moved[0] - moved[1])
        opened = books.opened.get(code, np.zeros(size, bool)) | (moved.sum(axis=0) > 0)
        if parties is None:
            opened = np.ones(size, bool)
        books.balances[code], books.opened[code] = closing, opened
        index = np.flatnonzero(opened)
        party_ids = np.full(len(index), "", "U8") if parties is None else parties[index]
        ids = [f"{account}:{p}" if p else account for p in party_ids.tolist()]
        n = len(ids)
        rows.append(pa.table({
            "account_id": pa.array(ids, pa.string()),
            "account_code": pa.array([account] * n, pa.string()),
            "account_kind": pa.array([journal.ACCOUNT_KINDS[code]] * n, pa.string()),
            "party_id": pa.array(party_ids, pa.string()),
            "currency_code": pa.array([feeds.CURRENCY] * n, pa.string()),
            **{
                name: pc.cast(pa.array(values[index]), pa.string())
                for name, values in (
                    ("opening_minor", opening), ("debit_minor", moved[0]),
                    ("credit_minor", moved[1]), ("closing_minor", closing),
                )
            },
        }))
    return pa.concat_tables(rows)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m simulator.bulk", description=__doc__)
    parser.add_argument("--home", required=True)
    parser.add_argument("--start", default="2026-09-12")
    for name, default in (
        ("days", 1), ("txns", 1_000_000), ("merchants", 3_000), ("terminals", 9_000),
        ("seed", 20260912),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--only", nargs="+", choices=FEEDS, default=FEEDS)
    given = parser.parse_args(arguments)
    try:
        written = write_feeds(
            settings_module.load(home=given.home), parse_date(given.start), given.days,
            given.txns, merchants=given.merchants, terminals=given.terminals, seed=given.seed,
            only=given.only,
        )
    except PaylakeError as error:
        print(error.sentence(), file=sys.stderr)
        return error.exit_code
    print(orjson.dumps({"rows": written.rows, "bytes": written.bytes}).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
