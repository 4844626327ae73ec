"""Both storages behave alike: one suite for SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import asyncpg
import orjson
import pytest

from ledger.adapters import log_export
from ledger.adapters.chain_check import check_chain
from ledger.adapters.data_files import load_reconciliation_rules
from ledger.adapters.instructions import write_instructions
from ledger.adapters.reconciliation_files import ReconciliationFiles
from ledger.adapters.storage import open_reader, open_store
from ledger.domain.actors import Actor
from ledger.domain.bank_statement import statement_of
from ledger.domain.chain import linked_digest, rest_of
from ledger.domain.operations import Operations
from ledger.entrypoints.operations import (
    backup,
    export_log,
    migrate,
    open_ledger,
    reseal,
    state,
    verify,
    verify_chain,
    verify_since,
)
from ledger.entrypoints.routes.house import LogLines
from ledger.service import queries
from ledger.service.reconciling import Reconciling, reconcile
from ledger.service.statements import Asked
from ledger.service.statements import statement as movements_of
from ledger.service.steps import status
from ledger.service.written import CHART, ROW
from paylake.errors import LeaseHeld, PaylakeError, PermanentFailure, TransientFault
from tests.ledger.conftest import ANN, DAY, World, at
from tests.ledger.postgres import Server

NEXT = DAY + timedelta(1)


@pytest.fixture(scope="module")
def server():
    made = Server()
    yield made
    made.stop()


@pytest.fixture
def empty(settings, server):
    """Settings of an empty PostgreSQL database."""
    return replace(settings, ledger_database=server.database())


@pytest.fixture(params=["sqlite", "postgres"])
def world(request, settings):
    if request.param == "postgres":
        server = request.getfixturevalue("server")
        settings = replace(settings, ledger_database=server.database())
    made = World(settings)
    made.start()
    yield made
    made.ledger.close()


def trade(world) -> None:
    """A little of everything."""
    world.do("payment", transaction_id="P")
    world.do("top_up", amount_minor=100_000)
    world.do("settlement", amount_minor=10**9)
    world.do("refund", original_transaction_id="P", amount_minor=5000, issuer_fee_minor=18,
             network_fee_minor=2, acquirer_fee_minor=11)
    world.do("dispute", transaction_id="X", original_transaction_id="P", amount_minor=1000)
    paid = world.do("withdrawal", withdrawal_id="W", amount_minor=5000, fee_minor=25)
    assert paid["status"] == "posted", paid
    world.do("withdrawal_result", withdrawal_id="W")
    world.do("payment", merchant_id="M2", value_date=(DAY - timedelta(3)).isoformat())


def test_a_day_and_the_next_after_a_restart(world):
    trade(world)
    before = world.balances()
    head = world.close()
    assert head["journals"] == 6
    world.reopen()
    assert world.balances() == before
    found = verify(world.settings)
    assert (found.journals, found.refusals, found.closed_dates) == (6, 1, 1)
    assert state(world.settings).journals == 6
    world.ledger.set_clock(at(DAY + timedelta(1), "12:00:00"))
    when = {"occurred_at": at(DAY + timedelta(1), "11:00:00")}
    refund = world.do("refund", original_transaction_id="P", amount_minor=4001, **when)
    assert refund["detail"] == "4000 of 10000 minor units are left"
    assert world.do("payment", transaction_id="P", **when)["reason"] == "business_key_taken"


def test_an_amount_frozen_since_is_kept_out_of_the_files_for_the_banks(world):
    """The holds of an account are looked for in the log by the storage's own means."""
    world.do("top_up", amount_minor=11_000)
    for name in ("W1", "W2"):
        world.do("withdrawal", withdrawal_id=name, amount_minor=5_000, fee_minor=25)
    world.send("hold", hold_id="H", hold_kind="authority", account_id="2101:U1",
               amount_minor=5_000, currency_code="CNY", case_number="O")
    world.close()
    assert [file.rows for file in write_instructions(world.settings, DAY)] == [0, 1, 0]


def test_a_checkpoint_over_two_dates_of_a_month(world):
    """What was used of a month's limit is one row, whichever dates used it: a close behind midnight
    has entries of the next date before it."""
    world.do("payment", amount_minor=10_000)
    world.ledger.set_clock(at(NEXT, "00:30:00"))
    world.do("payment", amount_minor=5_000, occurred_at=at(NEXT, "00:20:00"))
    world.ledger.close_day(DAY)
    world.reopen()
    (used,) = [
        periods for (scene, *_), periods in world.ledger.state.usage.items() if scene == "payment"
    ]
    assert {period: used[period].amount for period in used} == {
        DAY.isoformat(): 10_000, NEXT.isoformat(): 5_000, f"{DAY:%Y-%m}": 15_000,
    }
    assert verify(world.settings).broken is None


def test_postings_of_a_busy_account_are_packed_the_quick_way(server, settings):
    """PostgreSQL's own compression kept what followed waiting for a quarter of a second."""
    world = World(replace(settings, ledger_database=server.database()))
    world.start()
    world.ledger.apply([
        world.command("payment", transaction_id=f"P{n}") for n in range(200)
    ])
    world.ledger.checkpoint()
    packed = set(world.ledger.store._all(
        "select pg_column_compression(postings) from segment where length(postings) > 4000"
    ))
    (offered,) = world.ledger.store._one(
        "select 'lz4' = any(enumvals) from pg_settings where name = 'default_toast_compression'"
    )
    assert packed == {("lz4" if offered else "pglz",)}
    world.ledger.close()


def test_the_chain_alone_and_since_a_head(world):
    """On every core, whichever storage."""
    trade(world)
    world.do("payment", transaction_id="E", metadata={"note": "退货 ¥ 😀", "n": 7})
    world.close()
    closed = world.ledger.head.sequence
    world.ledger.set_clock(at(DAY + timedelta(1), "12:00:00"))
    found = verify_chain(world.settings)
    assert found["entries"] == closed and found["chain_digest"] == world.ledger.head.digest.hex()
    for _ in range(3):
        world.do("payment", occurred_at=at(DAY + timedelta(1), "11:00:00"))
    since = verify_since(world.settings, DAY.isoformat())
    assert (since["entries"], since["journals"]) == (3, 3)
    assert since["chain_digest"] == world.ledger.head.digest.hex()
    split = check_chain(world.settings, cores=2, least=5)
    assert (split.entries, split.broken) == (closed + 3, None)
    reader = open_reader(world.settings)
    try:
        (row,) = reader.entries(closed, closed)
        (before,) = reader.entries(closed - 1, closed - 1)
        assert linked_digest(before[16], rest_of(row)) == row[16]
    finally:
        reader.close()


def test_a_stream_of_the_log_that_nobody_takes_gives_its_connection_back(world, monkeypatch):
    """In the thread of an event loop, which the client that hangs up leaves it to."""
    world.do("payment")
    monkeypatch.setattr(log_export, "_LINES", 2)
    made = []

    def opening(*given, **named):
        made.append(open_reader(*given, **named))
        return made[-1]

    monkeypatch.setattr(log_export, "open_reader", opening)

    async def hang_up() -> None:
        parts = log_export.stream(world.settings, 0)
        first = await asyncio.to_thread(next, parts)
        answer, sent = LogLines(first, parts), asyncio.Event()

        async def send(message) -> None:
            sent.set()

        async def receive():
            await sent.wait()
            return {"type": "http.disconnect"}

        await answer({"type": "http"}, receive, send)

    asyncio.run(hang_up())
    (reader,) = made
    if world.settings.ledger_database:
        assert reader.connection.is_closed()
    else:
        with pytest.raises(PaylakeError, match="closed"):
            reader.last_entry()


def test_a_slow_reader_of_the_log_holds_no_snapshot_open(world, monkeypatch):
    """Between two parts nothing of the database is kept for it, however long it takes; it gets the
    log as it was when it asked."""
    world.do("payment")
    monkeypatch.setattr(log_export, "_LINES", 2)
    last, parts = world.ledger.head.sequence, log_export.stream(world.settings, 0)
    taken = [next(parts)]
    for _ in range(3):
        world.do("payment")
        if world.settings.ledger_database:
            held = _sql(world.settings, "select pid from pg_stat_activity where datname = "
                        "current_database() and pid <> pg_backend_pid() and "
                        "(backend_xmin is not null or state like 'idle in transaction%')")
            assert held == []
        else:
            busy, *_ = world.ledger.store.db.execute("pragma wal_checkpoint(truncate)").fetchone()
            assert busy == 0
        taken.append(next(parts))
    lines = b"".join([*taken, *parts]).splitlines()
    assert [orjson.loads(one)[0] for one in lines] == list(range(1, last + 1))


def test_keys_of_the_log_are_found_among_many_others(world):
    """Grown with time, so that few lie between them, or drawn, so that many do; at either end."""
    there = [f"k{number:03d}" for number in (0, 1, *range(100, 130))]
    for key in there:
        world.do("payment", transaction_id=key.replace("k", "T"), idempotency_key=key)
    reader = world.ledger.store
    for asked in (
        [f"k{n:03d}" for n in range(2, 99)],  # none between
        [f"k{n:03d}" for n in range(131)],  # some between, the first is there
        [f"k{n:03d}" for n in range(60, 120)],
        [*there, "a", "z"],  # all of them between
        [f"k{n:03d}" for n in range(100, 130)],  # exactly as many as are asked for
        ["k129", *(f"z{n}" for n in range(40))],
    ):
        for keys in (asked, asked[::-1]):
            assert set(reader.find_by_key(keys)) == set(there) & set(keys)
            business = [key.replace("k", "T") for key in keys]
            assert reader.find_business_keys(business) == {
                key.replace("k", "T") for key in set(there) & set(keys)
            }


def test_both_time_axes(world):
    world.do("payment", amount_minor=1000, occurred_at=at(DAY, "10:00:00"),
             issuer_fee_minor=0, network_fee_minor=0, acquirer_fee_minor=0)
    world.ledger.checkpoint()
    world.do("payment", amount_minor=200, occurred_at=at(DAY, "11:00:00"),
             issuer_fee_minor=0, network_fee_minor=0, acquirer_fee_minor=0,
             value_date=(DAY - timedelta(5)).isoformat())
    world.do("payment", amount_minor=30, occurred_at=at(DAY, "12:00:00"),
             issuer_fee_minor=0, network_fee_minor=0, acquirer_fee_minor=0)
    for checkpoint in (False, True):
        if checkpoint:
            world.ledger.checkpoint()

        def asked(value_date, known_at):
            return queries.balance_at(
                world.ledger, "2201:M1", "CNY", value_date.isoformat(), at(DAY, known_at)
            )["balance_minor"]

        earlier = DAY - timedelta(1)
        assert asked(DAY, "12:00:00") == 1230
        assert asked(DAY, "11:30:00") == 1200
        assert asked(DAY, "10:59:59") == 1000
        assert asked(DAY, "09:59:59") == 0
        assert asked(earlier, "12:00:00") == 200
        assert asked(earlier, "10:30:00") == 0
        assert asked(DAY - timedelta(6), "23:00:00") == 0


def test_one_writer(world):
    with pytest.raises(LeaseHeld, match=r"open"):
        open_ledger(world.settings, simulated=True)


def test_the_other_kind_is_refused(world):
    world.ledger.close()
    try:
        with pytest.raises(PermanentFailure, match="cannot be served as real"):
            open_ledger(world.settings, simulated=False)
    finally:
        world.ledger = open_ledger(world.settings, simulated=True)


def test_the_storage_itself_refuses_changes_and_unbalanced_legs(world):
    world.do("payment")
    store = world.ledger.store
    statements = [
        f"{verb} {table}{rest}" for table in ("entry", "head", "day_close", "day_balance")
        for verb, rest in (("delete from", ""),)
    ] + ["update entry set actor = 'x'", "update day_close set legs = 0",
         "delete from secret", "update secret set key_number = 9"]
    world.close()
    for statement in statements:
        with pytest.raises(PaylakeError, match="append-only"), store.transaction():
            store._many(statement, [()])
    row = list(next(iter(store.entries(world.ledger.head.sequence))))
    row[0], row[1], row[5], row[6] = 10**6, 10**6, "new", "new"
    row[13] = '[["1001","CNY","D",5,"gross",null],["2201:M1","CNY","C",4,"gross",null]]'
    with pytest.raises(PermanentFailure, match="do not balance"), store.transaction():
        store.append([tuple(row)])


def _leg(side: str, amount: int, currency: str = "CNY") -> list:
    return ["1001", currency, side, amount, "gross", None]


def _split(parts: int, short: int = 0) -> list[list]:
    """One debit, and credits of it, of which the last lacks so much."""
    return [_leg("D", 10 * parts), *(_leg("C", 10) for _ in range(parts - 1)),
            _leg("C", 10 - short)]


LEGS = [
    *((_split(parts), True) for parts in range(1, 10)),
    *((_split(parts, short=1), False) for parts in range(1, 10)),
    *(([*_split(parts)[:-1], _leg("C", 10, "USD")], False) for parts in range(1, 10)),
    ([_leg("D", 5), _leg("C", 5), _leg("D", 7, "USD"), _leg("C", 7, "USD")], True),
    ([_leg("D", 5), _leg("C", 7), _leg("D", 7, "USD"), _leg("C", 5, "USD")], False),
    ([_leg("D", 0)], False), ([], False),
]


@pytest.mark.parametrize(("legs", "balanced"), LEGS)
def test_the_storage_adds_up_any_number_of_legs_by_currency(world, legs, balanced):
    world.do("payment")
    store = world.ledger.store
    world.close()
    row = list(next(iter(store.entries(world.ledger.head.sequence))))
    row[0], row[1], row[5], row[6] = 10**6, 10**6, "new", "new"
    row[13] = orjson.dumps(legs).decode()
    if balanced:
        with store.transaction():
            store.append([tuple(row)])
    else:
        with pytest.raises(PermanentFailure, match="do not balance"), store.transaction():
            store.append([tuple(row)])


def test_a_batch_whose_storage_fails_leaves_no_trace(world, monkeypatch):
    before, head = world.balances(), world.ledger.head.sequence
    append = world.ledger.store.append

    def failing(rows):
        append(rows)
        raise TransientFault("cut", "send it again")

    monkeypatch.setattr(world.ledger.store, "append", failing)
    command = world.command("payment")
    with pytest.raises(TransientFault):
        world.ledger.apply([command])
    monkeypatch.undo()
    assert (world.balances(), world.ledger.head.sequence) == (before, head)
    assert world.ledger.apply([command])[0]["replayed"] is False


def test_a_reader_sees_one_state_while_the_writer_goes_on(world):
    world.do("payment")
    reader = open_reader(world.settings)
    try:
        with reader.snapshot():
            first = reader.counts()
            world.do("payment")
            assert reader.counts() == first
        assert reader.counts()[1] == first[1] + 1
    finally:
        reader.close()


def _sql(settings, *statements: str) -> list[tuple]:
    async def run() -> list[tuple]:
        connection = await asyncpg.connect(settings.ledger_database)
        try:
            for statement in statements[:-1]:
                await connection.execute(statement)
            return [tuple(row) for row in await connection.fetch(statements[-1])]
        finally:
            await connection.close()

    return asyncio.run(run())


VERSION = "select version_num from alembic_version"


def test_a_database_is_stamped_with_its_revision(empty):
    with pytest.raises(PermanentFailure, match="there is no ledger here"):
        open_reader(empty)
    with pytest.raises(PermanentFailure, match="there is no ledger here"):
        migrate(empty)
    open_ledger(empty, simulated=True).close()
    assert _sql(empty, VERSION) == [("0003",)]
    assert migrate(empty)["schema_before"] == 3
    # made before revisions were kept: the next writer, or `migrate`, writes it down
    _sql(empty, "drop table alembic_version", "select 1")
    assert verify(empty).entries == 0
    assert migrate(empty) == {"schema_before": 3, "schema_after": 3, "kept": None}
    assert _sql(empty, VERSION) == [("0003",)]
    _sql(empty, "drop table alembic_version", "select 1")
    open_ledger(empty, simulated=True).close()
    assert _sql(empty, VERSION) == [("0003",)]


ADDED = "select relname from pg_class where relname in ('status_query', 'entry_by_original_2', " \
    "'entry_by_pending', 'entry_by_order') order by 1"


@pytest.mark.parametrize("older", [
    ["drop index entry_by_pending"], ["drop index entry_by_original_2"],
    ["drop index entry_by_order"],
    ["drop index entry_by_original_2", "drop index entry_by_pending"],
    ["drop table status_query"],
    ["drop table status_query", "drop index entry_by_original_2", "drop index entry_by_pending"],
])
def test_what_was_added_since_is_made_where_it_is_missing(empty, older):
    open_ledger(empty, simulated=True).close()
    whole = _sql(empty, ADDED)
    assert len(whole) == 4
    triggers = "select tgname from pg_trigger where tgrelid = 'status_query'::regclass order by 1"
    guarded = _sql(empty, triggers)
    assert len(_sql(empty, *older, ADDED)) == 4 - len(older)
    for _ in range(2):
        open_ledger(empty, simulated=True).close()
        assert (_sql(empty, ADDED), _sql(empty, triggers)) == (whole, guarded)


@pytest.mark.parametrize(("change", "named"), [
    ("update alembic_version set version_num = '0099'", "schema 0099, which this program"),
    ("update alembic_version set version_num = 'abc'", "schema abc, which this program"),
    ("delete from alembic_version", r"schema \(none\), which this program"),
    ("update alembic_version set version_num = '0001'", "schema 0001, this program writes 0003"),
])
def test_another_revision_is_refused_by_name(empty, change, named):
    """By the writer and by every reader."""
    open_ledger(empty, simulated=True).close()
    _sql(empty, change, "select 1")
    with pytest.raises(PermanentFailure, match=named):
        open_ledger(empty, simulated=True)
    with pytest.raises(PermanentFailure, match=named):
        verify(empty)
    if "0001" not in change:
        with pytest.raises(PermanentFailure, match=named):
            migrate(empty)


def test_a_database_that_is_served_is_not_migrated(empty):
    ledger = open_ledger(empty, simulated=True)
    try:
        with pytest.raises(LeaseHeld):
            migrate(empty)
    finally:
        ledger.close()


def test_d2_03_the_status_log_is_alike_on_both(world):
    """Later results, a decision, and queries that outlive the service."""
    world.do("payment", transaction_id="P", idempotency_key="paid")
    command = world.command("refund", original_transaction_id="P", request="user",
                            amount_minor=100, ground="not_arrived")
    waits = world.ledger.apply([command], ANN)[0]
    done = world.approve(waits["sequence"])
    for _ in range(2):
        steps = status(world.ledger, "paid", "caller:C1")["steps"]
    world.reopen()
    assert steps == status(world.ledger, "paid")["steps"]
    assert [(s["step"], s["result"]) for s in steps][-5:] == [
        ("notify", "merchant M1"),
        ("process", f"refund {command['idempotency_key']} pending"),
        ("process", f"refund {command['transaction_id']} {done['journal_id']}"),
        ("notify", "merchant M1"), ("query", "posted"),
    ]
    assert status(world.ledger, waits["idempotency_key"])["status"] == "posted"
    assert verify(world.settings).approvals > 0


def test_d1_14_orders_are_found_by_their_party_on_both(world):
    """Booked or waiting, of the dates that were asked for; no refusals, nobody else's."""
    world.do("top_up", amount_minor=100_000)
    for number in ("W1", "W2"):
        world.do("withdrawal", withdrawal_id=number)
    world.do("withdrawal", withdrawal_id="W3", user_id="U2")  # refused: it has nothing
    world.do("withdrawal_result", withdrawal_id="W1", result="failed")
    world.do("settlement", amount_minor=1)  # booked when it is made
    day, store = DAY.isoformat(), world.ledger.store
    assert [number for _, number in store.orders_of("U1", day, day)] == ["W1", "W2"]
    assert store.orders_of("U1", "2026-09-13", "2026-12-31") == []
    assert store.orders_of("U2", day, day) == store.orders_of("M1", day, day) == []
    page = movements_of(world.ledger, "2101:U1", "CNY", Asked(type="withdrawal"), 0, 9)
    assert [(line["number"], line["status"]) for line in page["movements"]] == [
        ("W1", "failed"), ("W2", "under_way")]


def test_signed_entries_and_those_of_a_session_are_found_on_both(world):
    evidence = '{"session":"S-1","number":1,"digest":"00"}'
    world.approved("caller", caller_id="C1", party_id="M1", on_behalf=[], rates={}, enabled=True,
                   public_key="ab" * 64)
    before = world.ledger.head.sequence
    payment = world.of("C1", world.command("payment"))
    world.ledger.apply([payment], Actor("caller", "C1"), evidence)  # refused, and in the log
    assert world.ledger.head.sequence == before + 1
    beside = world.ledger.store.beside()
    try:
        assert list(beside.of_session("S-1", 0)) == [evidence]
        assert list(beside.of_session("S-1", before + 1)) == list(beside.of_session("S-", 0)) == []
        signers = list(beside.entries_of(("operator", "caller"), before))
        assert [row[2] for row in signers] == ["operator"] * 2 + ["caller"] * 2
        signed = {row[0] for row in beside.signed_entries(1)}
        assert {before + 1, *(row[0] for row in signers)} <= signed
        assert all(row[8] or row[15] or row in signers for row in beside.signed_entries(1))
    finally:
        beside.close()


def test_a_statement_is_reconciled_and_what_is_open_is_matched_after_a_start(world):
    def send(day, opening, *lines):
        said = [{"line_id": str(n), "value_date": day.isoformat(), "amount_minor": amount,
                 "reference": reference} for n, (amount, reference) in enumerate(lines)]
        statement = statement_of(
            "1001", "CNY", day.isoformat(), day.isoformat(), opening,
            opening + sum(amount for amount, _ in lines), said,
        )
        return reconcile(Reconciling(
            world.ledger, statement, load_reconciliation_rules(),
            ReconciliationFiles(world.settings).keep, Actor("system", "treasury"),
        ))

    before = (DAY - timedelta(1)).isoformat()
    world.do("top_up", top_up_id="I-0", amount_minor=5000, value_date=before)
    for number in range(40):
        world.do("top_up", top_up_id=f"I{number}", amount_minor=10000 + 100 * number)
    world.ledger.checkpoint()
    world.do("payment")
    first = send(DAY, 5000, *((10000 + 100 * n, f"I{n}") for n in range(1, 40)))
    assert (first["postings"], first["open_items"]) == (41, 2)
    assert (first["ledger_opening_minor"], first["difference_minor"]) == (5000, 10000 + 9962)
    world.reopen()
    later = DAY + timedelta(1)
    world.ledger.set_clock(at(later, "12:00:00"))
    done = send(later, first["closing_minor"], (9962, "CLR-unionpay-20260912"), (10000, "I0"))
    assert (done["postings"], done["carried_items"], done["open_items"]) == (0, 2, 0)
    assert verify(world.settings).entries == world.ledger.head.sequence


def test_an_older_program_does_not_go_on_with_a_newer_ones_log(world, monkeypatch, tmp_path):
    """Neither serves nor reads it, from the first entry that a newer template booked, also without
    a checkpoint since; what reads digests alone goes on. A newer program that booked nothing new
    keeps nobody out."""
    settings, known = world.settings, world.ledger.operations
    stands = world.ledger.store.meta(ROW)
    assert json.loads(stands).keys() > {"open_account", "contract", CHART}
    world.do("payment")
    newer = {"payment": known.by_type["payment"].version + 1, "gift": 1}
    later = Operations(
        {**known.by_type,
         "payment": replace(known.by_type["payment"], version=newer["payment"]),
         "gift": replace(known.by_type["fee"], type="gift", version=1)},
        {**known.versions, **newer},
    )
    world.ledger.operations = later
    world.do("top_up")
    assert state(settings).kind == "simulated"
    world.do("payment")
    world.ledger.apply([{**world.command("fee"), "type": "gift"}])
    world.ledger.store.close()  # as a kill would, without the fold

    def refused(call, *arguments, **named):
        with pytest.raises(PermanentFailure, match="a newer program wrote to this ledger") as met:
            call(*arguments, **named)
        assert "gift is of version 1 there, here unknown; payment is of version " in met.value.what
        assert met.value.where is not None

    for call in (state, verify, reseal):
        refused(call, settings, **({"new_key": False} if call is reseal else {}))
    refused(export_log, settings, tmp_path / "log")
    refused(backup, settings, tmp_path / "copy")
    for _ in range(2):  # what was refused left no lock
        refused(open_ledger, settings, simulated=True)
    assert verify_chain(settings)["journals"] == 4
    for name in ("ledger.adapters.storage", "ledger.entrypoints.operations"):
        monkeypatch.setattr(f"{name}.load_operations", lambda: later)
    world.ledger = open_ledger(settings, simulated=True)
    assert verify(settings).journals == 4


def test_a_newer_chart_keeps_an_older_program_out_too(world, monkeypatch):
    newer = replace(world.ledger.chart, version=world.ledger.chart.version + 1)
    for name in ("ledger.adapters.storage", "ledger.entrypoints.operations"):
        monkeypatch.setattr(f"{name}.load_chart", lambda: newer)
    world.reopen()
    world.do("payment")
    monkeypatch.undo()
    with pytest.raises(PermanentFailure, match="chart_of_accounts is of version"):
        state(world.settings)


def test_a_ledger_of_before_versions_were_kept_is_served(world):
    """Each program since then keeps them, so nobody newer wrote to it."""
    world.ledger.close()
    store = open_store(world.settings, simulated=True)
    with store.transaction():
        store._many("delete from meta where name = ?", [(ROW,)])
    store.close()
    world.ledger = open_ledger(world.settings, simulated=True)
    assert world.ledger.store.meta(ROW) is None
    world.do("payment")
    assert json.loads(world.ledger.store.meta(ROW)) == {
        "payment": world.ledger.operations.versions["payment"], CHART: world.ledger.chart.version,
    }
    with world.ledger.store.transaction():
        world.ledger.store.set_meta(ROW, "[]")
    with pytest.raises(PermanentFailure, match=f"the row {ROW} of the ledger's meta table"):
        state(world.settings)
