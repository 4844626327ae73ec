"""Signed heads at the door: each signature is verified, each column held against its document."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

import ingestion
from paylake.crypto import sm3_hex
from paylake.keys import Keyring
from paylake.lake import Lake
from tests.ingestion.heads import head
from tests.ingestion.world import DAY, send


def take(settings, *days):
    days = days or (DAY,)
    return ingestion.ingest(settings, min(days), max(days))


def held(settings) -> list[dict]:
    lake = Lake(settings)
    if not lake.exists("bronze", "raw_ledger__head"):
        return []
    return lake.query(
        "select * from bronze.raw_ledger__head order by business_date, head_number::int"
    ).to_pylist()


def test_signed_heads_are_stored_to_the_byte(settings):
    rows = [head(settings, 2, DAY), head(settings, 3, DAY), head(settings, 1, DAY)]
    send(settings, "ledger_head", rows)
    assert [o["state"] for o in take(settings).outcomes] == ["accepted"]
    stored = held(settings)
    assert [row["head_kind"] for row in stored] == ["day_close", "anchor", "anchor"]
    public = Keyring(settings).trust()["ledger-1"].public
    for row in stored:
        document = row["document"].encode()
        assert sm3_hex(document) == row["document_sm3"]
        assert public.verify(document, bytes.fromhex(row["signature"]))


def tampered_document(settings, row):
    row["document"] = row["document"].replace('"legs": 8', '"legs": 9')
    row["document_sm3"] = sm3_hex(row["document"].encode())
    row["leg_count"] = "9"


def other_signature(settings, row):
    row["signature"] = head(settings, 2, DAY)["signature"]


def no_hex(settings, row):
    row["signature"] = "no signature"


def unknown_key(settings, row):
    row["key_id"] = "ledger-9"


def other_sender(settings, row):
    row |= head(settings, 1, DAY, key="switch-1", key_id="switch-1")


def forged(settings, row):
    row |= head(settings, 1, DAY, key="switch-1")


def expired(settings, row):
    path = settings.path("keys", "trust.json")
    entries = json.loads(path.read_text("utf-8"))
    entries["ledger-1"]["valid_from"] = str(DAY + timedelta(days=1))
    path.write_text(json.dumps(entries), "utf-8")


@pytest.mark.parametrize(
    "spoil",
    [tampered_document, other_signature, no_hex, unknown_key, other_sender, forged, expired],
)
def test_a_head_that_the_ledger_did_not_sign_is_refused_by_name(settings, spoil):
    row = head(settings, 1, DAY)
    spoil(settings, row)
    # sent on the day after, when the key of the control file is valid in every case
    send(
        settings, "ledger_head", [head(settings, 2, DAY + timedelta(days=1)), row],
        sent_at=sent_after(),
    )
    (outcome,) = take(settings).outcomes
    assert (outcome["state"], outcome["reason_code"]) == ("refused", "bad_row_in_book")
    assert "line 2, not_signed (signature: " in outcome["reason"]
    assert held(settings) == []
    assert "ledger_head" in ingestion.missing_feeds(settings, DAY, DAY)[DAY]  # the date waits


def sent_after():
    from datetime import UTC, datetime

    day = DAY + timedelta(days=1)
    return datetime(day.year, day.month, day.day, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("head_name", "2026-01-01"), ("chain_digest", "cd" * 32), ("chain_sequence", "40"),
        ("leg_count", "9"),
        ("journal_count", None), ("account_count", "7"), ("previous_anchor", "ef" * 32),
        ("signed_at", f"{DAY}T15:06:00Z"), ("head_format", "paylake-ledger-head/1"),
        ("head_date", str(DAY - timedelta(days=1))), ("document_sm3", "00" * 32),
        ("head_name", str(DAY - timedelta(days=1))),
    ],
)
def test_a_column_that_says_what_was_not_signed_refuses_the_delivery(settings, column, value):
    send(settings, "ledger_head", [head(settings, 1, DAY) | {column: value}])
    (outcome,) = take(settings).outcomes
    assert (outcome["state"], outcome["reason_code"]) == ("refused", "bad_row_in_book")
    assert f"line 1, not_as_signed ({column}: " in outcome["reason"]
    assert held(settings) == []


def test_a_head_does_not_come_again_under_another_name(settings):
    """Nor may what was signed before a close pass for one."""
    anchor = head(settings, 2, DAY)
    send(settings, "ledger_head", [anchor, anchor | {"head_name": str(DAY)}])
    (outcome,) = take(settings).outcomes
    assert "line 2, not_as_signed (head_name: " in outcome["reason"]


@pytest.mark.parametrize("text", ["[]", "no JSON", '"text"', "[" * 100_000])
def test_a_signed_document_that_is_no_object_says_nothing(settings, text):
    row = head(settings, 1, DAY) | {"document": text, "document_sm3": sm3_hex(text.encode())}
    row["signature"] = Keyring(settings).private("ledger-1").sign(text.encode()).hex()
    send(settings, "ledger_head", [row])
    (outcome,) = take(settings).outcomes
    assert "line 1, not_as_signed (document: " in outcome["reason"]


def test_a_delivery_without_a_head_is_refused(settings):
    send(settings, "ledger_head", [])
    (outcome,) = take(settings).outcomes
    assert (outcome["state"], outcome["reason_code"]) == ("refused", "too_few_rows")


def test_a_refused_head_may_be_sent_again_as_it_was_signed(settings):
    good = head(settings, 1, DAY)
    send(settings, "ledger_head", [good | {"leg_count": "9"}])
    take(settings)
    send(settings, "ledger_head", [good], sequence=2)
    (outcome,) = take(settings).outcomes
    assert outcome["state"] == "accepted" and len(held(settings)) == 1


def test_heads_that_came_are_verified_again_when_they_are_judged_again(settings):
    """A second delivery of the date has the first one judged beside it."""
    send(settings, "ledger_head", [head(settings, 1, DAY)])
    take(settings)
    send(settings, "ledger_head", [head(settings, 2, DAY)], sequence=2)
    assert [o["state"] for o in take(settings).outcomes] == ["accepted"]
    assert len(held(settings)) == 2
