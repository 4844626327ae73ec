"""The peer: the same payments booked by a plain SQLite program, full sync: a journal row, its legs,
two balances; no limits, no holds, no chain, no HTTP, no signature."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import orjson


def run(path: Path, bodies: list[bytes]) -> float:
    """Book all bodies, a transaction each; seconds it took."""
    db = sqlite3.connect(path, isolation_level=None)
    db.executescript(
        "pragma journal_mode = wal; pragma synchronous = full;"
        "create table journal (id text primary key, merchant text, at text) without rowid;"
        "create table leg (journal text, account text, amount integer);"
        "create table balance (account text primary key, amount integer not null) without rowid;"
    )
    started = time.perf_counter()
    for body in bodies:
        db.execute("begin immediate")
        for command in orjson.loads(body)["commands"]:
            gross, fee = command["amount_minor"], command["acquirer_fee_minor"]
            kept = command["issuer_fee_minor"]  # by the issuer, before it pays
            key, merchant = command["transaction_id"], command["merchant_id"]
            legs = [
                (key, "1001", gross - kept), (key, merchant, -gross), (key, merchant, kept + fee),
            ]
            if fee:
                legs.append((key, "2301", -fee))
            db.execute("insert into journal values (?, ?, ?)",
                       (key, merchant, command["occurred_at"]))
            db.executemany("insert into leg values (?, ?, ?)", legs)
            db.executemany(
                "insert into balance values (?, ?) on conflict (account) "
                "do update set amount = amount + excluded.amount",
                [(account, amount) for _, account, amount in legs],
            )
        db.execute("commit")
    seconds = time.perf_counter() - started
    (total,) = db.execute("select sum(amount) from balance").fetchone()
    db.close()
    if total:
        raise RuntimeError(f"the peer's books do not balance: {total}")
    return seconds
