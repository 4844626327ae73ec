"""The day's export: formats of design.md section 3, totals, equal bytes when a day is resumed."""

from __future__ import annotations

import csv
import json
import re
from decimal import Decimal
from pathlib import Path

import pytest

import ingestion
from ledger.adapters.export import export_day
from ledger.adapters.tokens import ensure_demo_token
from paylake import contracts
from paylake import settings as settings_module
from paylake.crypto import sm3_file
from paylake.deliveries import CONTROL_NAME, read_control
from paylake.errors import PermanentFailure
from paylake.keys import Keyring
from tests.ledger.conftest import DAY, World, at


def _trade(world) -> list[dict]:
    authorisation = world.authorise("U1", "M2", 1000)
    return [
        world.command("payment", transaction_id="P"),
        world.command("top_up", amount_minor=3000, occurred_at=at(DAY, "11:00:00")),
        world.command("settlement", amount_minor=10**9),  # refused
        world.command("payment", merchant_id="M2", channel="internal", user_id="U1",
                      amount_minor=1000, issuer_fee_minor=0, network_fee_minor=0,
                      acquirer_fee_minor=2, authorisation=authorisation),
        world.command("refund", original_transaction_id="P", amount_minor=5000,
                      issuer_fee_minor=18, network_fee_minor=2, acquirer_fee_minor=11),
    ]


def test_formats_and_totals(world, settings, sent_at):
    world.ledger.apply(_trade(world))
    world.close()
    done = export_day(settings, DAY, sent_at=sent_at)

    control = read_control(done.journal_path)
    lines = (done.journal_path / control.files[0].name).read_bytes().splitlines()
    rows = [json.loads(line) for line in lines]
    contract = contracts.load("ledger_journal")
    assert list(rows[0]) == [column.name for column in contract.columns]
    assert len(rows) == control.rows == done.journal_rows == 18
    assert control.files[0].sm3 == sm3_file(done.journal_path / control.files[0].name)
    assert control.amount_totals == {"CNY": Decimal(sum(r["amount_minor"] for r in rows)) / 100}
    assert str(control.sent_at) == "2026-09-13 01:00:00+08:00"
    assert rows[0]["booked_at"] == "2026-09-12T02:00:00Z"
    assert rows[-1]["chain_digest"] == world.ledger.head.digest.hex()
    signed = sum(r["amount_minor"] * (1 if r["direction"] == "D" else -1) for r in rows)
    assert signed == 0

    control = read_control(done.balance_path)
    with (done.balance_path / control.files[0].name).open(encoding="utf-8", newline="") as file:
        balances = list(csv.DictReader(file))
    assert list(balances[0]) == [c.name for c in contracts.load("ledger_balance").columns]
    assert len(balances) == control.rows == len(world.balances())
    by_id = {row["account_id"]: row for row in balances}
    assert by_id["1001"]["closing_minor"] == str(9962 + 3000 - 4980)
    assert by_id["1001"]["party_id"] == ""
    assert {row["account_kind"] for row in balances} == {
        "asset", "liability", "equity", "income", "expense",
    }
    total = sum(int(row["closing_minor"]) for row in balances)
    assert control.amount_totals == {"CNY": Decimal(total) / 100}
    for row in balances:
        sign = 1 if row["account_kind"] in ("asset", "expense") else -1
        assert int(row["closing_minor"]) == int(row["opening_minor"]) + sign * (
            int(row["debit_minor"]) - int(row["credit_minor"])
        )


def test_the_lake_takes_a_date_of_books_with_accounts_of_every_kind(world, settings, sent_at):
    """Own funds among them, whether they moved or not."""
    world.do("payment")
    world.do("top_up", amount_minor=100_000)
    world.close()
    export_day(settings, DAY, sent_at=sent_at)
    taken = {o["feed"]: o["state"] for o in ingestion.ingest(settings, DAY, DAY).outcomes}
    assert taken == dict.fromkeys(
        ("ledger_journal", "ledger_balance", "ledger_head", "ledger_event"), "accepted"
    )
    kinds = {line.kind for line in world.ledger.chart.classes.values()}
    assert kinds == set(contracts.load("ledger_balance").column("account_kind").valid_values)


def test_an_open_date_is_not_exported(world, settings, sent_at):
    world.do("payment")
    with pytest.raises(PermanentFailure, match="has not closed"):
        export_day(settings, DAY, sent_at=sent_at)


def test_exporting_again_is_harmless_and_other_content_is_refused(world, settings, sent_at):
    world.do("payment")
    world.close()
    first = export_day(settings, DAY, sent_at=sent_at)
    assert export_day(settings, DAY, sent_at=sent_at) == first
    with pytest.raises(PermanentFailure, match="other content"):
        export_day(settings, DAY, sent_at=sent_at.replace(hour=2))


def test_registers_and_refusals_are_no_journals_but_have_their_place(world, settings, sent_at):
    world.do("payment")
    world.do("settlement", amount_minor=10**9)
    world.register("party", party_id="U9", party_kind="user")
    world.do("payment", merchant_id="M2")
    world.close()
    path = export_day(settings, DAY, sent_at=sent_at).journal_path
    (file,) = read_control(path).files
    rows = [json.loads(line) for line in (path / file.name).read_bytes().splitlines()]
    assert {row["journal_id"] for row in rows} == {"J000000000001", "J000000000002"}
    first, last = rows[0], rows[-1]
    assert last["chain_sequence"] == first["chain_sequence"] + 3
    assert {row["journal_type"] for row in rows} == {"payment"}


def test_a_resumed_day_exports_the_same_but_for_the_chain(tmp_path: Path, sent_at):
    """Keys and signatures of the two ledgers differ, and so do the digests of their chains, and
    with them the digest of the journal file in its control file; nothing else does."""
    exported = []
    for name in ("straight", "resumed"):
        settings = settings_module.load({}, home=tmp_path / name)
        Keyring(settings).ensure_demo()
        ensure_demo_token(settings)
        world = World(settings)
        world.start()
        commands = _trade(world)
        if name == "straight":
            world.ledger.apply(commands)
        else:
            world.ledger.apply(commands[:3])
            world.reopen()
            world.ledger.apply(commands[1:2])
            world.ledger.apply(commands)
        world.close()
        world.reopen()
        done = export_day(settings, DAY, sent_at=sent_at)
        again = {path: path.read_bytes() for path in _files(done)}
        assert export_day(settings, DAY, sent_at=sent_at) == done
        assert {path: path.read_bytes() for path in _files(done)} == again
        world.ledger.close()
        exported.append({
            (feed.parts[-3], path.name): masked(path)
            for feed in _folders(done) for path in feed.iterdir()
            if not path.name.endswith(".sig")
        })
    assert exported[0] == exported[1]
    assert sum(name[1] == CONTROL_NAME for name in exported[0]) == 4


def _folders(done) -> list[Path]:
    return [done.journal_path, done.balance_path, done.head_path, done.event_path]


def _files(done) -> list[Path]:
    return [path for feed in _folders(done) for path in feed.iterdir()]


def masked(path: Path) -> bytes:
    """A file's bytes without the digests that follow from people's keys: that of the chain in
    each leg and in the heads with what signs them, and those of these files in their control
    files."""
    raw = path.read_bytes()
    if "ledger_head" in path.parts:
        return re.sub(rb'[0-9a-f]{64,}|"bytes": [0-9]+', b"-", raw)
    if path.suffix == ".jsonl":
        return re.sub(rb'"chain_digest":"[0-9a-f]{64}"', b'"chain_digest":"-"', raw)
    if path.name == CONTROL_NAME and b".jsonl" in raw:
        return re.sub(rb"[0-9a-f]{64}", b"-", raw)
    return raw
