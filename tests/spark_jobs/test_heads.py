"""Signed heads beside what came of the journal."""

from __future__ import annotations

from datetime import date

import pytest

from spark_jobs.conform import ledger_head
from tests.spark_jobs.helpers import assert_contract, bronze, day, records
from tests.spark_jobs.test_books import leg

pytestmark = pytest.mark.engine
ONE, TWO, OTHER = "1" * 64, "2" * 64, "f" * 64


def head(number: int, sequence: int, digest: str, kind: str = "day_close", **changed):
    name = day(number).isoformat() if kind == "day_close" else f"hour-{day(number)}T05-{sequence}"
    base = {
        "business_date": day(number), "head_name": name, "head_kind": kind, "head_number": "1",
        "head_date": day(number).isoformat(), "signed_at": f"{day(number)}T15:05:00Z",
        "key_id": "ledger-1", "head_format": "paylake-ledger-head/2",
        "chain_sequence": str(sequence), "chain_digest": digest, "previous_anchor": None,
        "document": '{\n "legs": 3,\n "format": "x"\n}\n', "document_sm3": "d" * 64,
        "signature": "30", "_line_number": 1,
    }
    if kind == "day_close":
        base |= {"journal_count": "2", "leg_count": "3", "account_count": "2"}
    return {**base, **changed}


def legs(number: int) -> list[dict]:
    return [
        leg(number, 1, journal_id="J1", chain_sequence="10", chain_digest=ONE),
        leg(number, 2, journal_id="J1", chain_sequence="10", chain_digest=ONE),
        leg(number, 1, journal_id="J2", chain_sequence="12", chain_digest=TWO),
    ]


def build(spark, heads, journal, first: int = 0, last: int = 0):
    return ledger_head.build(
        bronze(spark, "ledger_head", heads), bronze(spark, "ledger_journal", journal),
        day(first), day(last),
    )


def received(row) -> tuple:
    return (
        row["received_journal_count"], row["received_leg_count"], row["received_later_count"],
        row["received_digest"],
    )


def test_a_close_and_an_anchor_see_what_came(spark):
    anchor = head(0, 10, ONE, "anchor")
    result = build(spark, [anchor, head(0, 12, TWO)], legs(0))
    assert_contract(result, "silver.ledger_head")
    found = records(result, "head_kind")
    assert received(found["day_close"]) == (2, 3, 0, TWO)
    assert received(found["anchor"]) == (None, None, None, ONE)
    row = found["day_close"]
    assert (row["chain_sequence"], row["leg_count"]) == (12, 3)
    assert row["document"] == anchor["document"]  # to the byte
    assert row["head_date"] == day(0) and isinstance(row["head_date"], date)


def test_a_head_at_an_entry_without_legs_has_nothing_to_compare(spark):
    found = records(build(spark, [head(0, 11, OTHER)], legs(0)), "head_kind")
    assert received(found["day_close"]) == (2, 3, 1, None)


def test_legs_that_differ_at_a_heads_sequence_show_both_digests(spark):
    journal = legs(0)
    journal[1]["chain_digest"] = OTHER
    found = records(build(spark, [head(0, 10, ONE, "anchor")], journal), "head_kind")
    assert found["anchor"]["received_digest"] == f"{ONE} {OTHER}"


def test_a_close_without_a_leg_counts_none(spark):
    found = records(build(spark, [head(0, 12, TWO)], legs(1), 0, 1), "head_kind")
    assert received(found["day_close"]) == (0, 0, 0, None)


def test_legs_of_another_date_are_not_of_this_head(spark):
    found = records(build(spark, [head(0, 12, TWO), head(1, 12, TWO)], legs(1), 0, 1), "head_name")
    assert received(found[day(0).isoformat()]) == (0, 0, 0, None)
    assert received(found[day(1).isoformat()]) == (2, 3, 0, TWO)


def test_a_head_of_the_first_format_numbers_another_chain(spark):
    """Its counts stand; its sequence is one of journals, not of the log that the feed names."""
    first = head(0, 2, OTHER, head_format="paylake-ledger-head/1")
    found = records(build(spark, [first], legs(0)), "head_kind")
    assert received(found["day_close"]) == (2, 3, 0, None)
