"""One key, one effect; and a batch is the same as its commands one by one."""

from __future__ import annotations

import pytest

from ledger.entrypoints.operations import verify
from ledger.service.faults import RequestRefused
from paylake.errors import PermanentFailure
from tests.ledger.conftest import ANN, SYSTEM
from tests.ledger.rules.words import PLAIN


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
    assert world.ledger.head.journal == 1


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
    ]  # the refund took all that rested, so nothing is there


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
    known = len(world.ledger.history)
    world.ledger.store.db.execute(
        "create trigger fault before insert on entry when new.content like '%M2%' "
        "begin select raise(abort, 'disk fault'); end"
    )
    batch = [world.command("payment"), world.command("payment", merchant_id="M2")]
    with pytest.raises(PermanentFailure):
        world.ledger.apply(batch)
    assert world.balances() == before and world.ledger.head.sequence == head
    assert len(world.ledger.history) == known
    world.ledger.store.db.execute("drop trigger fault")
    assert [r["status"] for r in world.ledger.apply(batch)] == ["posted", "posted"]
    assert [r["replayed"] for r in world.ledger.apply(batch)] == [True, True]


def test_a_full_disk_undoes_the_batch_and_is_named(world):
    from paylake.errors import DiskFull

    world.do("payment")
    before, head = world.balances(), world.ledger.head.sequence
    pages = world.ledger.store.db.execute("pragma page_count").fetchone()[0]
    world.ledger.store.db.execute(f"pragma max_page_count = {pages}")
    batch = [world.command("payment") for _ in range(1000)]
    with pytest.raises(DiskFull, match="nothing of the batch was written"):
        world.ledger.apply(batch)
    assert world.balances() == before and world.ledger.head.sequence == head
    world.ledger.store.db.execute("pragma max_page_count = 1000000")
    assert {r["status"] for r in world.ledger.apply(batch)} == {"posted"}


def test_a_dry_run_answers_the_same_and_writes_nothing(world):
    batch = [
        world.command("payment", transaction_id="P"), world.command("settlement"),
        world.command("dispute", original_transaction_id="P", amount_minor=100), "rubbish",
    ]
    before, head = world.balances(), world.ledger.head.sequence
    tried = world.ledger.dry_run(batch)
    assert world.balances() == before and world.ledger.head.sequence == head
    assert world.ledger.store.last_entry()[0] == head
    assert tried == [{**result, "dry_run": True} for result in world.ledger.apply(batch)]


def test_what_waits_and_what_was_approved_keep_their_keys(world):
    held = {"hold_id": "H", "hold_kind": "evidence", "account_id": "2201:M1",
            "amount_minor": 5, "currency_code": "CNY", "case_number": "N"}
    waits = {"type": "hold", "idempotency_key": "w", "occurred_at": "2026-09-12T10:00:00+08:00",
             **held}
    first = world.ledger.apply([waits], ANN)[0]
    approves = {
        "type": "approve", "idempotency_key": "a", "occurred_at": "2026-09-12T10:00:00+08:00",
        "pending": first["sequence"], "operator_id": "ben",
        "signature": world.signature(first["sequence"]),
    }
    done = world.ledger.apply([approves], SYSTEM)[0]
    assert (first["status"], done["status"]) == ("pending", "posted")
    world.reopen()
    assert world.ledger.apply([waits], ANN)[0] == {**first, "replayed": True}
    assert world.ledger.apply([approves], SYSTEM)[0] == {**done, "replayed": True}
    other = world.ledger.apply([{**approves, "pending": 1}], SYSTEM)[0]
    assert (other["reason"], other["field"]) == ("idempotency_key_reused", "pending")
    assert world.ledger.state.holds["H"]["placed"] == 5


def test_a_sensitive_value_is_compared_though_only_its_commitment_is_kept(world):
    bind = {
        "type": "bind_account", "idempotency_key": "b", "destination_id": "D7",
        "party_id": "U1", "bound_account": "6222000000000001", "bound_name": "Zhang",
        "bank_code": "ICBC", "occurred_at": "2026-09-12T10:00:00+08:00",
    }
    first = world.ledger.apply([bind])[0]
    assert world.ledger.apply([bind])[0] == {**first, "replayed": True}
    changed = world.ledger.apply([{**bind, "bound_account": "6222000000000002"}])[0]
    assert (changed["reason"], changed["field"]) == ("idempotency_key_reused", "bound_account")
    entry = str(world.row(first))
    assert bind["bound_account"] not in entry and "Zhang" not in entry
    commitment = world.ledger.state.get("destination", "D7")["bound_account"]
    sealed = world.ledger.store.secret(commitment)
    assert world.ledger.vault.reveal(commitment, *sealed) == "6222000000000001"


def _said(results: list[dict]) -> list[str]:
    return [r.get("reason", r["status"]) for r in results]


def test_a_linked_group_posts_together_or_not_at_all(world):
    group = [
        world.command("payment", transaction_id="P", linked=True),
        world.command("dispute", original_transaction_id="P", amount_minor=1, linked=True),
        world.command("settlement", amount_minor=9000),
    ]
    assert _said(world.ledger.apply(group)) == ["posted"] * 3
    assert [r["replayed"] for r in world.ledger.apply(group)] == [True] * 3
    before, journal = world.balances(), world.ledger.head.journal
    failing = [
        world.command("top_up"),
        world.command("payment", transaction_id="Q", linked=True),
        world.command("settlement", amount_minor=10**9, linked=True),
        world.command("dispute", original_transaction_id="Q", amount_minor=1),
        world.command("top_up"),
    ]
    results = world.ledger.apply(failing)
    assert _said(results) == ["posted", "linked_failed", "below_floor", "linked_failed", "posted"]
    assert world.ledger.head.journal == journal + 2
    assert {k: v for k, v in world.balances().items() if before[k] != v} == {
        "1001": before["1001"] + 20000, "2101:U1": before["2101:U1"] + 20000,
    }
    again = world.ledger.apply(failing)
    assert again == [{**result, "replayed": True} for result in results]
    # the business keys of the group are free
    assert world.do("payment", transaction_id="Q")["status"] == "posted"


@pytest.mark.parametrize("place", [0, 1])
def test_what_waits_for_a_checker_posts_together_with_nothing(world, place):
    """It may be rejected later, when the others of the group would have posted. Alone, or as the
    last of a batch, it waits."""
    world.do("payment", transaction_id="P", amount_minor=5_000, **PLAIN)
    refund = {"original_transaction_id": "P", "amount_minor": 100}
    asked = {"request": "user", "ground": "wrong_amount"}
    group = [world.command("refund", **refund, **(asked if n == place else {}),
                           linked=True if n == 0 else None) for n in (0, 1)]
    before = world.balances()
    results = world.ledger.apply(group, ANN)
    assert [r["reason"] for r in results] == ["linked_failed"] * 2
    assert "waits for a checker" in results[place]["detail"]
    assert f"command {place}" in results[1 - place]["detail"]
    assert world.balances() == before and not world.ledger.state.table("pending")
    last = world.command("refund", **refund, **asked, linked=True)
    (waits,) = world.ledger.apply([last], ANN)
    assert waits["status"] == "pending"
    again = world.ledger.apply([last, world.command("refund", **refund)], ANN)
    assert [(r["status"], r["replayed"]) for r in again] == [("pending", True), ("posted", False)]
    assert verify(world.settings).broken is None


@pytest.mark.parametrize("rubbish", ["rubbish", {"type": "gift", "linked": True}])
def test_a_malformed_command_fails_its_linked_group(world, rubbish):
    group = [world.command("payment", linked=True), rubbish, world.command("payment")]
    after = "posted" if rubbish == "rubbish" else "linked_failed"
    assert _said(world.ledger.apply(group))[::2] == ["linked_failed", after]


def test_a_linked_group_with_a_key_used_before(world):
    used = world.command("payment")
    world.ledger.apply([used])
    group = [world.command("settlement", amount_minor=10**9, linked=True),
             {**used, "amount_minor": 5}]
    assert _said(world.ledger.apply(group)) == ["below_floor", "idempotency_key_reused"]
    twice = world.command("payment", linked=True)
    other = {**twice, "amount_minor": 5}
    assert _said(world.ledger.apply([twice, other])) == [
        "linked_failed", "idempotency_key_reused",
    ]


def test_an_account_refused_once_can_be_opened_when_its_party_is_there(world):
    account = {"account_code": "2101", "party_id": "U7", "currency_code": "CNY"}
    refused = {"status": "refused", "reason": "party_unknown", "field": "party_id",
               "detail": "U7 is not registered"}
    assert world.ledger.open_accounts([account, account]) == [refused, refused]
    world.register("party", party_id="U7", party_kind="user", identity_check="ID")
    said = [r["status"] for r in world.ledger.open_accounts([account, account])]
    assert said == ["opened", "already_open"]
    assert world.ledger.open_accounts([account])[0]["status"] == "already_open"
    bad = world.ledger.open_accounts([{**account, "party_id": "bad id"}])[0]
    assert (bad["reason"], bad["field"]) == ("invalid_field", "party_id")


def test_a_group_taken_back_leaves_what_the_batch_posted_before_it(world):
    results = world.ledger.apply([
        world.command("payment", transaction_id="P"),
        world.command("payment", transaction_id="Q", linked=True),
        world.command("settlement", amount_minor=10**9),
        world.command("refund", original_transaction_id="P", issuer_fee_minor=35,
                      network_fee_minor=3, acquirer_fee_minor=22),
        world.command("refund", original_transaction_id="Q", issuer_fee_minor=35,
                      network_fee_minor=3, acquirer_fee_minor=22),
    ])
    assert [r.get("reason", r["status"]) for r in results] == [
        "posted", "linked_failed", "below_floor", "posted", "original_unknown",
    ]
