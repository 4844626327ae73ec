"""Feeds: their layouts parse, their rows are the world's."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from decimal import Decimal

import pyarrow.parquet as pq
import pytest
from stdnum import luhn

from paylake import contracts
from simulator import feeds
from simulator.outbox import outbox
from simulator.plan import MALFORMED
from tests.simulator.conftest import SMALL


def read_csv(raw: bytes, encoding: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(raw.decode(encoding), newline="")))


def sendings(world, day, feed):
    return [s for s in outbox(world, day).sendings if s.feed == feed]


@pytest.mark.parametrize("feed", ["transaction", "merchant"])
def test_columns_are_the_contract_s(feed):
    columns = {"transaction": feeds.TRANSACTION_COLUMNS, "merchant": feeds.MERCHANT_COLUMNS}
    assert tuple(c.name for c in contracts.load(feed).columns) == columns[feed]


def test_transactions_parse_and_add_up(world):
    day = SMALL.start
    (sending,) = sendings(world, day, "transaction")
    header, *rows = read_csv(sending.content, "gb18030")
    assert tuple(header) == feeds.TRANSACTION_COLUMNS
    assert len(rows) == sending.rows > 200
    amount, status = header.index("amount"), header.index("status")
    kind, card = header.index("transaction_type"), header.index("card_number")
    assert sum(Decimal(row[amount]) for row in rows) == sending.totals["CNY"]
    made = world.day(day)
    paid = [row for row in rows if row[status] == "success" and row[kind] == "payment"]
    assert len(paid) == int(made.attempts.ok.sum())
    total = sum(Decimal(row[amount]) for row in paid)
    assert total == Decimal(int(made.attempts.amount[made.attempts.ok].sum())).scaleb(-2)
    cards = {row[card] for row in rows} - {""}
    assert len(cards) > 50 and all(luhn.is_valid(number) for number in cards)
    assert any("\n" in row[-1] for day_ in SMALL.dates()[:10]
               for row in read_csv(sendings(world, day_, "transaction")[-1].content, "gb18030"))


def test_verification_numbers_only_on_line(world):
    (sending,) = sendings(world, SMALL.start, "transaction")
    header, *rows = read_csv(sending.content, "gb18030")
    cvn2, mode = header.index("cvn2"), header.index("entry_mode")
    carried = [row for row in rows if row[cvn2]]
    assert carried and all(row[mode] == "online" and len(row[cvn2]) == 3 for row in carried)


def test_statement_is_fixed_width_and_foots(world):
    widths = [int(c.properties["width"]) for c in contracts.load("custodian_statement").columns]
    assert tuple(widths) == feeds.STATEMENT_WIDTHS
    before = None
    lines_seen = 0
    for day in SMALL.dates():
        sending = sendings(world, day, "custodian_statement")[-1]
        lines = sending.content.split(b"\n")[:-1]
        assert len(lines) == sending.rows and {len(line) for line in lines} == {sum(widths)}
        balance, total = Decimal(0), Decimal(0)
        for line in lines:
            fields, at = [], 0
            for width in widths:
                fields.append(line[at:at + width].decode("gb18030").strip())
                at += width
            signed = Decimal(fields[4]) if fields[3] == "C" else -Decimal(fields[4])
            total += abs(signed)
            if fields[1] == "OPENING":
                assert before is None or signed == before
                balance = signed
            elif fields[1] == "MOVEMENT":
                assert fields[2]
                balance += signed
            else:
                assert fields[1] == "CLOSING" and signed == balance
                before = signed
        assert total == sending.totals["CNY"]
        lines_seen += len(lines)
    assert lines_seen > 1_000


def test_registers_follow_their_changes(world):
    people = world.people
    assert {c.field for c in people.changes} >= {"status", "gone"}
    gone = next(c for c in people.changes if c.field == "gone")
    merchant_id = people.merchants[gone.index].merchant_id
    for day, listed in ((gone.day - timedelta(days=1), True), (gone.day, False)):
        raw, rows = feeds.merchant_file(people, day)
        header, *lines = read_csv(raw, "utf-8")
        assert tuple(header) == feeds.MERCHANT_COLUMNS and len(lines) == rows
        assert (merchant_id in {line[0] for line in lines}) is listed
        table = pq.read_table(io.BytesIO(feeds.terminal_file(people, day)[0]))
        assert (merchant_id in set(table["merchant_id"].to_pylist())) is listed
    suspended = next(c for c in people.changes if c.value == "suspended")
    assert not (world.attempts(suspended.day).merchant == suspended.index).any()


def test_malformed_rows_stand_where_they_are_said_to(world):
    seen = set()
    for day in SMALL.dates():
        box = outbox(world, day)
        for row, delivery_id, line in box.bad_rows:
            sending = next(s for s in box.sendings if s.delivery_id == delivery_id)
            physical = sending.content.decode("gb18030").split("\n")
            assert physical[line - 1].startswith(f"P{day:%Y%m%d}{row.index + 1:08d},")
            rest = io.StringIO("\n".join(physical[line - 1:]), newline="")
            fields = next(csv.reader(rest))
            if row.rule == "wrong_column_count":
                assert len(fields) == 19
            else:
                position = feeds.TRANSACTION_COLUMNS.index(row.column)
                assert fields[position] != row.correct
            seen.add(row.rule)
    assert seen == set(MALFORMED)


def test_new_column_carries_card_numbers(world):
    day = world.plan.on("new_column")
    (sending,) = sendings(world, day, "transaction")
    header, *rows = read_csv(sending.content, "gb18030")
    assert header[-1] == "payer_card_full" and header[:-1] == list(feeds.TRANSACTION_COLUMNS)
    assert sum(luhn.is_valid(row[-1]) for row in rows if row[-1]) > 100


def test_held_rows_come_in_the_supplement(world):
    day = world.plan.on("held")
    first, second = sendings(world, day, "transaction")
    whole = feeds.rows_of(
        feeds.transaction_table(world.people, world.day(day), world.recent(day))
    )
    parts = read_csv(first.content, "gb18030")[1:] + read_csv(second.content, "gb18030")[1:]
    assert sorted(parts) == sorted(whole) and second.rows >= 3
    assert second.sent_at > first.sent_at
    assert first.totals["CNY"] + second.totals["CNY"] == sum(Decimal(r[11]) for r in whole)
