"""`verify` names the first broken row, whatever was edited by hand."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from contextlib import closing

import pytest

from ledger.adapters.chain_check import check_chain
from ledger.adapters.export import ledger_path
from ledger.domain.chain import GENESIS, entry_digest, journal_id
from ledger.entrypoints.operations import open_ledger, verify, verify_chain
from ledger.requests import signed_bytes
from paylake.crypto import PrivateKey
from paylake.errors import NotVerified
from tests.ledger.conftest import ANN, DAY, World, at

COLUMNS = (
    "sequence, journal, type, version, outcome, idempotency_key, business_key, actor, evidence, "
    "booked_at, booking_date, value_date, content, legs, effects, approval, digest"
)


@pytest.fixture
def closed(world):
    """Four journals, a refusal, a dispute, holds; one closed date; the service stopped."""
    world.do("payment", transaction_id="P")
    world.do("settlement", amount_minor=10**9)
    world.do("refund", original_transaction_id="P", amount_minor=5000, issuer_fee_minor=18,
             network_fee_minor=2, acquirer_fee_minor=11)
    world.do("dispute", original_transaction_id="P", amount_minor=100)
    world.do("top_up", amount_minor=20000, value_date="2026-09-10")
    world.do("withdrawal", withdrawal_id="W")
    world.close()
    world.ledger.store.db.execute("pragma wal_checkpoint(truncate)")
    return world


def _edit(world, *statements: str) -> None:
    db = sqlite3.connect(ledger_path(world.settings))
    for (name,) in db.execute("select name from sqlite_master where type = 'trigger'").fetchall():
        db.execute(f"drop trigger {name}")
    for statement in statements:
        assert db.execute(statement).rowcount > 0, statement
    db.commit()
    db.close()


def _forge(world, *statements: str) -> None:
    """Edit, and recompute the whole chain, as one with the database in hand could."""
    _edit(world, *statements)
    db = sqlite3.connect(ledger_path(world.settings))
    digest = GENESIS
    for row in db.execute(f"select {COLUMNS} from entry order by sequence").fetchall():
        digest = entry_digest(digest, row)
        db.execute("update entry set digest = ? where sequence = ?", (digest, row[0]))
    db.commit()
    db.close()


def _broken(world) -> str:
    with pytest.raises(NotVerified) as caught:
        verify(world.settings)
    assert caught.value.exit_code == 16
    return caught.value.what.partition("first broken row: ")[2]


def _broken_chain(world) -> str:
    """The same of the chain alone, whose bytes other code puts together."""
    with pytest.raises(NotVerified) as caught:
        verify_chain(world.settings)
    return caught.value.what.partition("first broken row: ")[2]


def _entry(world, where: str, later: int = 0) -> str:
    """How an entry is called, or the one after it."""
    db = world.ledger.store.db
    sequence = db.execute(f"select sequence from entry where {where}").fetchone()[0] + later
    row = db.execute("select journal from entry where sequence = ?", (sequence,)).fetchone()
    return f"entry {sequence}" + (f" ({journal_id(row[0])})" if row[0] else "") + ":"


def test_whole(closed):
    found = verify(closed.settings)
    head = closed.ledger.head
    assert (found.journals, found.entries, found.closed_dates) == (4, head.sequence, 1)
    assert (found.refusals, found.heads, found.accounts) == (1, 1, len(closed.balances()))
    assert found.approvals == 6  # two merchants, their contracts and bound accounts
    assert found.chain_digest == head.digest.hex()


def test_the_chain_alone_ends_in_the_same_digest(world):
    world.do("payment", transaction_id="P", metadata={"note": "退货 ¥ 😀", "n": 7})
    world.do("settlement", amount_minor=10**9)
    found, head = verify_chain(world.settings), world.ledger.head
    assert found == {
        "entries": head.sequence, "journals": 1, "chain_digest": head.digest.hex(),
    }


@pytest.mark.parametrize("value", [
    "journal = 99", "type = 'fee'", "version = 9", "outcome = 'pending'",
    "idempotency_key = 'other'", "idempotency_key = null", "business_key = 'X'",
    "actor = 'system:other'", "evidence = '{}'", "booked_at = '2026-09-12T02:00:01Z'",
    "booking_date = '2026-09-13'", "value_date = '2026-09-11'",
    "content = replace(content, '5000', '5001')", "content = 'rubbish'",
    "legs = replace(legs, '4980', '4981')", "legs = replace(legs, 'CLR', 'CLX')",
    "legs = replace(legs, '2201:M1', '2201:M2')", "legs = '[]'", "legs = 'rubbish'",
    "effects = replace(effects, '5000', '4000')", "effects = '[]'", "approval = '{}'",
    "digest = zeroblob(32)", "digest = 'text'",
])
def test_names_an_entry_edited_in_any_column(closed, value):
    number = _entry(closed, "type = 'refund'").split()[1]
    _edit(closed, f"update entry set {value} where type = 'refund'")
    assert _broken(closed).split()[1].strip(":") == number.strip(":")
    assert _broken_chain(closed).split()[1].strip(":") == number.strip(":")


@pytest.mark.parametrize(("statement", "where"), [
    ("update entry set content = replace(content, '1000000000', '1') where outcome = 'refused'",
     "outcome = 'refused'"),
    ("update entry set effects = replace(effects, 'below_floor', 'stopped') "
     "where outcome = 'refused'", "outcome = 'refused'"),
    ("update entry set approval = replace(approval, 'ann', 'eve') where sequence = "
     "(select min(sequence) from entry where approval <> '')", "approval <> ''"),
    ("update entry set effects = replace(effects, '\"kind\":\"user\"', '\"kind\":\"card\"') "
     "where type = 'party' and content like '%U1%'", "type = 'party' and content like '%U1%'"),
])
def test_names_an_edited_refusal_approval_or_register(closed, statement, where):
    row = _entry(closed, where)
    _edit(closed, statement)
    assert _broken(closed).startswith(row)
    assert _broken_chain(closed).split()[1] == row.split()[1]


def test_names_where_an_entry_is_missing(closed):
    after = _entry(closed, "journal = 2", 1)
    _edit(closed, "delete from entry where journal = 2")
    assert _broken(closed).startswith(after)


def test_names_where_entries_were_swapped(closed):
    first = _entry(closed, "journal = 2").split(" (")[0]
    _edit(
        closed, "update entry set sequence = -2 where journal = 2",
        "update entry set sequence = sequence - 1 where journal = 3",
        "update entry set sequence = (select sequence + 1 from entry where journal = 3) "
        "where journal = 2",
    )
    assert _broken(closed).startswith(first)


def test_names_the_checkpoint_when_the_end_of_the_log_is_gone(closed):
    _edit(closed, "delete from entry where sequence = (select max(sequence) from entry)")
    assert _broken(closed).startswith("checkpoint: ")


@pytest.mark.parametrize(("statement", "row"), [
    ("update checkpoint set sequence = sequence - 1", "checkpoint:"),
    ("update checkpoint set sequence = 0", "checkpoint:"),
    ("update checkpoint set digest = zeroblob(32)", "checkpoint:"),
    ("update checkpoint set journal = journal + 1", "checkpoint:"),
    ("update checkpoint set booked_at = '2026-09-12T20:00:00Z'", "checkpoint:"),
    ("delete from checkpoint", "checkpoint:"),
    ("update document set document = replace(document, '\"balance\":20000', '\"balance\":2') "
     "where key = '2101:U1/CNY'", "document account 2101:U1/CNY:"),
    ("update document set document = replace(document, '10050', '50') "
     "where key = '2101:U1/CNY'", "document account 2101:U1/CNY:"),
    ("update document set document = replace(document, 'institution', 'bank') "
     "where kind = 'table.contract' and key = 'M1'", "document table.contract M1:"),
    ("update document set document = replace(document, '10050', '50') where kind = 'hold'",
     "document hold W:"),
    ("update document set document = '[1,1]' where kind = 'use' and key like '2026-09|%2101%'",
     "document use 2026-09|"),
    ("update document set key = '2101:U9/CNY' where key = '2101:U1/CNY'", "document account"),
    ("update document set document = 'rubbish' where key = '2101:U1/CNY'", "document account"),
    ("delete from document where kind = 'hold'", "document hold W:"),
    ("insert into document values ('table.right', 'staff/x/enter', '{}')",
     "document table.right staff/x/enter:"),
    ("update item set document = replace(document, '5000', '0')", "item P:"),
    ("update item set document = 'rubbish'", "item P:"),
    ("delete from item", "document item P:"),
    ("insert into item values ('X', '{}')", "item X:"),
    ("update segment set debit_minor = debit_minor + 1 where account_id = '1001' "
     "and value_date = booking_date", "segments of 1001 on 2026-09-12:"),
    ("update segment set credit_minor = 0 where account_id = '2201:M1'",
     "segments of 2201:M1 on 2026-09-12:"),
    ("update segment set first_sequence = 1 where account_id = '2201:M1'",
     "segments of 2201:M1 on 2026-09-12:"),
    ("update segment set last_sequence = 1 where account_id = '2201:M1'",
     "segments of 2201:M1 on 2026-09-12:"),
    ("update segment set last_booked = 0 where account_id = '2201:M1'",
     "segments of 2201:M1 on 2026-09-12:"),
    ("update segment set booking_date = '2026-09-11' where account_id = '2201:M1'",
     "segments of 2201:M1 on 2026-09-11"),
    ("update segment set value_date = '2026-09-12' where account_id = '2101:U1'",
     "segments of 2101:U1 on 2026-09-12:"),
    ("update segment set account_id = '2201:M2' where account_id = '2201:M1'",
     "segments of 2201:M2 on 2026-09-12:"),
    ("update segment set postings = (select s.postings from segment s where s.account_id = "
     "'1001' and s.value_date < s.booking_date), debit_minor = 20000, credit_minor = 0 "
     "where account_id = '2201:M1'", "segments of 2201:M1 on 2026-09-12:"),
    ("update segment set postings = x'00' where account_id = '2201:M1'",
     "segments of 2201:M1 on 2026-09-12:"),
    ("delete from segment where account_id = '2201:M1'", "segments of 2201:M1 on 2026-09-12:"),
    ("delete from segment where account_id = '1001' and value_date = '2026-09-10'",
     "segments of 1001 on 2026-09-12, value date 2026-09-10:"),
    ("update day_close set booking_date = '2026-09-11'", "day close 2026-09-11:"),
    ("update day_close set closed_at = '2026-09-12T15:30:01Z'", "day close 2026-09-12:"),
    ("update day_close set chain_sequence = 1", "day close 2026-09-12:"),
    ("update day_close set chain_digest = zeroblob(32)", "day close 2026-09-12:"),
    ("update day_close set journals = 9", "day close 2026-09-12:"),
    ("update day_close set legs = 9", "day close 2026-09-12:"),
    ("update day_close set key_id = 'other'", "day close 2026-09-12:"),
    ("update day_close set document = replace(document, '2202', '2203')",
     "day close 2026-09-12:"),
    ("update day_close set document = 'rubbish'", "day close 2026-09-12:"),
    ("update day_close set signature = zeroblob(70)", "day close 2026-09-12:"),
    ("delete from day_close", "day close 2026-09-12:"),
    ("update day_balance set opening_minor = 1 where account_id = '1001'",
     "day close 2026-09-12:"),
    ("update day_balance set debit_minor = 1 where account_id = '1001'",
     "day close 2026-09-12:"),
    ("update day_balance set credit_minor = 1 where account_id = '1001'",
     "day close 2026-09-12:"),
    ("update day_balance set closing_minor = closing_minor + 1 where account_id = '1001'",
     "day close 2026-09-12:"),
    ("update day_balance set account_id = '2201:M9' where account_id = '2201:M2'",
     "day close 2026-09-12:"),
    ("delete from day_balance where account_id = '1001'", "day close 2026-09-12:"),
    ("delete from day_balance where account_id = '2201:M2'", "day close 2026-09-12:"),
    ("insert into day_balance select '2026-09-13', account_id, currency_code, 0, 0, 0, 0 "
     "from day_balance", "day balances of 2026-09-13:"),
    ("update head set name = '2026-09-11'", "day close 2026-09-11:"),
    ("update head set sequence = 1", "head 2026-09-12:"),
    ("update head set digest = zeroblob(32)", "head 2026-09-12:"),
    ("update head set key_id = 'other'", "head 2026-09-12:"),
    ("update head set document = replace(document, '2202', '2203')", "head 2026-09-12:"),
    ("update head set document = 'rubbish'", "head 2026-09-12:"),
    ("update head set signature = zeroblob(70)", "head 2026-09-12:"),
    ("delete from head", "head 2026-09-12:"),
])
def test_names_what_is_derived_or_signed(closed, statement, row):
    _edit(closed, statement)
    assert _broken(closed).startswith(row)


def test_the_tail_after_a_checkpoint_is_not_yet_in_segments(closed):
    closed.ledger.set_clock(at(DAY.replace(day=13), "12:00:00"))
    closed.do("top_up", occurred_at=at(DAY.replace(day=13), "11:00:00"))
    verify(closed.settings)
    _edit(closed, "update segment set debit_minor = 1 where account_id = '2201:M1'")
    assert _broken(closed).startswith("segments of 2201:M1")


def test_segments_of_several_checkpoints_join(world):
    for _ in range(3):
        world.do("payment")
        world.reopen()
    world.do("payment", value_date="2026-09-01")
    world.reopen()
    assert verify(world.settings).journals == 4
    _edit(world, "delete from segment where account_id = '1001' and first_sequence = "
          "(select max(first_sequence) from segment where value_date = booking_date)")
    assert _broken(world).startswith("segments of 1001 on 2026-09-12:")


# with the chain recomputed, what was signed and what the rules say still speaks


def _terms(world: World, number: int) -> int:
    """A contract that waits; its entry."""
    return world.send(
        "contract", ANN, contract_id=f"K{number}", merchant_id="M1", minimum_minor=number,
        settlement_mode="institution", settlement_cycle="D+1", fee_choice="bill",
        valid_from=f"2026-10-0{number}",
    )["sequence"]


def test_a_forged_chain_alone_is_not_seen_without_a_head(world):
    world.do("payment")
    _forge(world, "update entry set booked_at = '2026-09-12T01:00:00Z' where journal = 1")
    assert verify(world.settings).journals == 1


APPROVED = "where type = 'contract' and content like '%K1%' and outcome = 'posted'"


@pytest.mark.parametrize(("statements", "reason"), [
    (["update entry set approval = replace(approval, 'ben', 'ann') " + APPROVED],
     "its maker approved it"),
    (["update entry set approval = replace(approval, 'ben', 'eve') " + APPROVED],
     "its approval names what is not there"),
    (["update entry set approval = replace(approval, 'operator:ann', 'operator:eve') " + APPROVED],
     "its approval names another maker"),
    (["update entry set approval = json_set(approval, '$.signature', (select "
      "json_extract(approval, '$.signature') from entry where content like '%K2%' and "
      "outcome = 'posted')) " + APPROVED], "the signature of ben does not verify"),
    (["update entry set content = replace(content, 'bill', 'prepaid') " + APPROVED],
     "it is not what was approved"),
    (["update entry set content = replace(content, 'bill', 'prepaid'), "
      "effects = replace(effects, 'bill', 'prepaid') where content like '%K1%'"],
     "the signature of ben does not verify"),
])
def test_a_forged_approval_is_named(world, statements, reason):
    for number in (1, 2):
        assert world.approve(_terms(world, number))["status"] == "posted"
    assert verify(world.settings).approvals == 8
    row = _entry(world, APPROVED.removeprefix("where "))
    _forge(world, *statements)
    assert _broken(world) == f"{row} {reason}"


def test_approvals_stay_valid_when_the_checker_has_a_new_key(world):
    world.approve(_terms(world, 1))
    new = PrivateKey.generate()
    world.approved("operator", operator_id="ben", operator_name="Ben", enabled=True,
                   public_key=new.public.point)
    world.keys["ben"] = new
    assert world.approve(_terms(world, 2))["status"] == "posted"
    assert verify(world.settings).approvals == 9


def _request(world: World, signer: str = "ann", **changed: str) -> str:
    """The evidence of a request that ann signed."""
    key = world.keys[signer]
    said = {"signer": f"operator:{signer}", "public_key": key.public.point, "method": "POST",
            "path": "/v1/batches", "timestamp": "2026-09-12T02:00:00Z", "nonce": "00" * 8,
            "digest": "00" * 32}
    return json.dumps({**said, "signature": key.sign(signed_bytes(said)).hex(), **changed})


@pytest.mark.parametrize(("make", "reason"), [
    (lambda w: "update entry set evidence = replace(evidence, 'batches', 'commands') "
     "where journal = 1", "the signature of operator:ann over its request does not verify"),
    (lambda w: "update entry set actor = 'operator:ben' where journal = 1",
     "its request was signed by operator:ann, not by operator:ben"),
    (lambda w: f"update entry set evidence = '{_stranger(w)}' where journal = 1",
     "its request was signed with a key that operator:ann never had"),
    (lambda w: "update entry set evidence = '{\"request\":1}' where journal = 2",
     "entry 1 does not carry a request of operator:ann"),
    (lambda w: "update entry set actor = 'operator:ben' where journal = 2",
     "does not carry a request of operator:ben"),
])
def test_a_forged_request_is_named(world, make, reason):
    batch = [world.command("payment"), world.command("payment")]
    world.ledger.apply(batch, ANN, _request(world))
    found = verify(world.settings)
    assert (found.requests, found.uncovered_requests) == (1, 0)
    statement = make(world)
    row = _entry(world, statement.rpartition("where ")[2])
    _forge(world, statement)
    assert _broken(world).startswith(row) and _broken(world).endswith(reason)


def _stranger(world: World) -> str:
    world.keys = {**world.keys, "ann": PrivateKey.generate()}
    return _request(world)


def test_a_request_keeps_its_evidence_when_its_linked_group_is_taken_back(world):
    batch = [world.command("payment", linked=True), world.command("settlement"),
             world.command("payment")]
    batch[1]["amount_minor"] = 10**9
    world.ledger.apply(batch, ANN, _request(world))
    assert verify(world.settings).requests == 1


@pytest.mark.parametrize(("statement", "reason"), [
    ("legs = replace(legs, '10000', '20000'), effects = replace(effects, '10000', '20000')",
     "it crossed a limit: limit L: 20000 minor units a day of 2101:U1"),
    ("legs = replace(legs, '1001', '1101')", "its legs do not balance in"),
    ("legs = replace(legs, '10000,\"deposit\",null', '9999,\"deposit\",null')",
     "its legs do not balance in"),
    ("legs = replace(legs, '2101:U1', '2101:U9')", "account 2101:U9 in CNY was not open"),
    ("legs = replace(legs, '10000', '-10000')", "a leg is not a whole number of minor units"),
    ("journal = null", "it has legs and no journal number"),
    ("journal = 9", "expected journal 2"),
    ("legs = '[]'", "it has legs and no journal number, or the other way round"),
])
def test_what_the_rules_forbid_is_named_though_the_chain_was_recomputed(
    world, statement, reason
):
    world.approved("limit", limit_id="L", scene="top_up", account_code="2101",
                   currency_code="CNY", valid_from="2026-09-12", day_minor=20000)
    world.do("top_up")
    world.do("top_up")
    row = _entry(world, "journal = 2").split(" (")[0]
    _forge(world, f"update entry set {statement} where journal = 2")
    assert _broken(world).startswith(row) and reason in _broken(world)


def test_a_hold_that_gave_more_than_was_placed_is_named(world):
    """By an older template, too, which is not planned again."""
    world.do("top_up", amount_minor=20000)
    world.do("withdrawal", withdrawal_id="W")
    world.do("withdrawal_result", withdrawal_id="W")
    _forge(world, "update entry set effects = replace(effects, '\"captured\":10050', "
           "'\"captured\":10051'), version = 1 where type = 'withdrawal_result'")
    assert "hold W gave more than was placed" in _broken(world)


def test_a_head_file_changed_or_gone(closed):
    path = closed.settings.path("ledger", "heads", "2026-09-12.json")
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"1001", b"1002"))
    with pytest.raises(NotVerified, match="head file 2026-09-12"):
        verify(closed.settings)
    path.unlink()
    with pytest.raises(NotVerified, match="it is missing"):
        verify(closed.settings)


@pytest.mark.parametrize("head", ["day", "hour"])
def test_a_database_put_back_to_an_earlier_state(world, head):
    world.do("payment")
    path = ledger_path(world.settings)
    world.ledger.store.db.execute("pragma wal_checkpoint(truncate)")
    earlier = path.with_name("earlier.db")
    shutil.copy(path, earlier)
    if head == "day":
        world.close()
    else:  # within the day
        world.ledger.anchor()
    world.ledger.store.close()
    shutil.copy(earlier, path)
    with pytest.raises(NotVerified, match="older than its heads"):
        verify(world.settings)
    with pytest.raises(NotVerified, match="older than its heads"):
        open_ledger(world.settings, simulated=True)
    world.ledger.close = lambda: None  # its storage is closed already


def test_a_damaged_file(closed):
    path = ledger_path(closed.settings)
    closed.ledger.store.close()
    raw = bytearray(path.read_bytes())
    raw[4096 * 3 : 4096 * 12] = bytes(4096 * 9)
    path.write_bytes(raw)
    with pytest.raises(NotVerified):
        verify(closed.settings)
    closed.ledger.store.db = sqlite3.connect(":memory:")  # for the fixture to close
    closed.ledger.store._lock = os.open(os.devnull, os.O_RDONLY)


@pytest.mark.parametrize("cores", [1, 3])
def test_a_damaged_page_of_the_log_is_named_by_whichever_process_meets_it(world, cores):
    for _ in range(3):
        world.ledger.apply([world.command("payment") for _ in range(100)])
    db, last = world.ledger.store.db, world.ledger.head.sequence
    db.execute("pragma wal_checkpoint(truncate)")
    (size,) = db.execute("pragma page_size").fetchone()
    (page,) = db.execute(
        "select pageno from dbstat where name = 'entry' and pagetype = 'leaf' "
        "order by path desc limit 1 offset 3"
    ).fetchone()
    with ledger_path(world.settings).open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    found = check_chain(world.settings, cores=cores, least=10)
    assert found.broken is not None and "cannot be read" in found.broken.reason
    assert last - 30 < int(found.broken.row.split()[1]) < last


def test_rows_are_append_only(closed):
    db = closed.ledger.store.db
    columns = {"entry": "type", "secret": "sealed", "head": "key_id", "day_close": "legs",
               "day_balance": "closing_minor"}
    for table, column in columns.items():
        for statement in (f"delete from {table}", f"update {table} set {column} = {column}"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                db.execute(statement)


def test_postings_after_the_close_are_verified_too(closed):
    closed.ledger.set_clock(at(DAY.replace(day=13), "12:00:00"))
    closed.do("top_up", occurred_at=at(DAY.replace(day=13), "11:00:00"))
    assert verify(closed.settings).journals == 5


def test_the_storage_itself_refuses_a_journal_that_does_not_balance(world):
    row = list(world.row(world.do("payment")))
    row[0], row[1], row[5], row[6] = row[0] + 1, row[1] + 1, "new", "new"
    balanced = row[13]
    wrong = [balanced.replace("9962", "9961"), balanced.replace("9962", "null"),
             balanced.replace('"D"', '"C"'), '[["1001"],["1001"]]']
    for row[13] in wrong:
        with pytest.raises(sqlite3.IntegrityError, match="do not balance"):
            world.ledger.store.append([tuple(row)])


def test_a_database_with_the_older_trigger_gets_the_one_of_now(world):
    world.do("payment")
    world.ledger.close()
    path = ledger_path(world.settings)
    with closing(sqlite3.connect(path)) as db:
        db.execute("drop trigger entry_balanced_2")
        db.execute("create trigger entry_balanced before insert on entry begin "
                   "select raise(abort, 'the older one'); end")
        db.commit()
    world.ledger = open_ledger(world.settings, simulated=True)
    world.do("payment")
    with closing(sqlite3.connect(path)) as db:
        names = {name for (name,) in db.execute(
            "select name from sqlite_master where type = 'trigger' and name like 'entry_bal%'"
        )}
    assert names == {"entry_balanced_2"}
