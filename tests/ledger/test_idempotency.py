"""One key, one effect; and a batch is the same as its commands one by one."""

from __future__ import annotations

import pytest

from ledger.service.faults import RequestRefused
from paylake.errors import PermanentFailure


def test_same_content_gives_the_first_result(world):
    command = world.command("payment")
    first = world.ledger.apply([command])[0]
    before = world.balances()
    again = world.ledger.apply([dict(reversed(command.items()))])[0]
    assert again == {**first, "replayed": True}
    assert world.balances() == before
    world.reopen()
    assert world.ledger.apply([command])[0] == again


def test_the_same_moment_in_another_zone_is_the_same_content(world):
    command = world.command("fee", occurred_at="2026-09-12T10:00:00+08:00")
    world.ledger.apply([command])
    same = {**command, "occurred_at": "2026-09-12T02:00:00Z"}
    assert world.ledger.apply([same])[0]["replayed"] is True


@pytest.mark.parametrize(("field", "value"), [
    ("amount_minor", 9999), ("merchant_id", "M2"), ("acquirer_fee_minor", 0),
    ("occurred_at", "2026-09-12T10:00:01+08:00"), ("transaction_id", "other"),
    ("channel", "netsunion"),
])
def test_other_content_names_the_field(world, field, value):
    command = world.command("payment")
    world.ledger.apply([command])
    before = world.balances()
    result = world.ledger.apply([{**command, field: value}])[0]
    assert (result["reason"], result["field"]) == ("idempotency_key_reused", field)
    assert result["replayed"] is False
    assert world.balances() == before


def test_other_type_names_type(world):
    world.ledger.apply([world.command("fee", idempotency_key="same")])
    result = world.ledger.apply([world.command("settlement", idempotency_key="same")])[0]
    assert (result["reason"], result["field"]) == ("idempotency_key_reused", "type")


def test_a_replay_is_answered_after_the_date_is_closed(world):
    command = world.command("payment")
    world.ledger.apply([command])
    world.close()
    assert world.ledger.apply([command])[0]["replayed"] is True


def test_the_same_key_twice_in_one_batch(world):
    command = world.command("payment")
    other = {**command, "amount_minor": 77700}
    first, same, changed = world.ledger.apply([command, command, other])
    assert first["status"] == "posted" and "first_index" not in first
    assert same == {**first, "replayed": True, "first_index": 0}
    assert (changed["reason"], changed["field"]) == ("idempotency_key_reused", "amount_minor")
    assert changed["first_index"] == 0
    assert world.ledger.head.sequence == 1


def test_a_batch_sees_its_own_postings(world):
    results = world.ledger.apply([
        world.command("payment", transaction_id="P"),
        world.command("dispute", transaction_id="D", original_transaction_id="P",
                      amount_minor=5000),
        world.command("dispute_release", original_transaction_id="D", amount_minor=5000),
        world.command("refund", original_transaction_id="P", issuer_fee_minor=35,
                      network_fee_minor=3, acquirer_fee_minor=22),
        world.command("payment", transaction_id="P"),
        world.command("settlement"),
    ])
    assert [r.get("reason", r["status"]) for r in results] == [
        "posted", "posted", "posted", "posted", "business_key_taken", "below_floor",
    ]


def test_refused_commands_do_not_stop_the_others(world):
    results = world.ledger.apply([
        world.command("settlement"), "rubbish", world.command("payment"),
    ])
    assert [r["status"] for r in results] == ["refused", "refused", "posted"]


def test_batch_limits(world):
    with pytest.raises(RequestRefused, match="batch_too_large"):
        world.ledger.apply([{}] * 1001)
    with pytest.raises(RequestRefused, match="batch_empty"):
        world.ledger.apply([])


def test_a_storage_fault_undoes_the_whole_batch(world, monkeypatch):
    world.do("payment")
    before, head = world.balances(), world.ledger.head.sequence
    world.ledger.store.db.execute(
        "create trigger fault before insert on payment when new.merchant_id = 'M2' "
        "begin select raise(abort, 'disk fault'); end"
    )
    batch = [world.command("payment"), world.command("payment", merchant_id="M2")]
    with pytest.raises(PermanentFailure):
        world.ledger.apply(batch)
    assert world.balances() == before and world.ledger.head.sequence == head
    world.ledger.store.db.execute("drop trigger fault")
    assert [r["status"] for r in world.ledger.apply(batch)] == ["posted", "posted"]
    assert [r["replayed"] for r in world.ledger.apply(batch)] == [True, True]


def test_a_full_disk_undoes_the_batch_and_is_named(world):
    from paylake.errors import DiskFull

    world.do("payment")
    before = world.balances()
    pages = world.ledger.store.db.execute("pragma page_count").fetchone()[0]
    world.ledger.store.db.execute(f"pragma max_page_count = {pages}")
    batch = [world.command("payment") for _ in range(1000)]
    with pytest.raises(DiskFull, match="nothing of the batch was written"):
        world.ledger.apply(batch)
    assert world.balances() == before and world.ledger.head.sequence == 1
    world.ledger.store.db.execute("pragma max_page_count = 1000000")
    assert {r["status"] for r in world.ledger.apply(batch)} == {"posted"}
