"""What belongs together, over random postings and lines: both sides stay whole, every entry ends in
one class, the order of entries changes nothing, and the time does not grow with the square."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.adapters.data_files import load_reconciliation_rules
from ledger.domain.reconciling import (
    CLASSES,
    LINE,
    MATCHED,
    OPEN,
    REFERENCE,
    Entry,
    Rule,
    match,
    rules_of,
)

RULES = load_reconciliation_rules()
DAYS = [(date(2026, 9, 1) + timedelta(n)).isoformat() for n in range(8)]
AMOUNTS = st.sampled_from([-500, -100, 100, 200, 300, 500, 700])


@dataclass(frozen=True)
class Given:
    postings: list[Entry]
    lines: list[Entry]


@st.composite
def sides(draw) -> Given:
    references = st.sampled_from([f"R{n}" for n in range(6)])
    postings = [
        Entry(f"J{n}/1", draw(st.sampled_from(DAYS)), draw(AMOUNTS),
              (REFERENCE, draw(references)))
        for n in range(draw(st.integers(0, 10)))
    ]
    lines = []
    for n in range(draw(st.integers(0, 10))):
        day, reference = draw(st.sampled_from(DAYS)), draw(st.none() | references)
        key = (LINE, day, f"L{n}") if reference is None else (REFERENCE, reference)
        lines.append(Entry(f"L{n}", day, draw(AMOUNTS), key))
    return Given(postings, lines)


def told(given_, code="1001"):
    """What became of every entry, by its name, and the items without their order."""
    found = match(given_.postings, given_.lines, [], RULES, code)
    entries = {
        entry.name: found.items[place].class_
        for entries, places in (
            (given_.postings, found.of_posting), (given_.lines, found.of_line),
        )
        for entry, place in zip(entries, places, strict=True)
    }
    items = sorted(
        (i.key, i.class_, i.rule or "", i.ledger, i.ledger_count, i.statement, i.statement_count,
         i.first_date, i.ledger_entry or (), i.statement_entry or ())
        for i in found.items
    )
    return entries, items, found


@settings(max_examples=400, deadline=None)
@given(sides(), st.sampled_from(["1001", "1101"]))
def test_both_sides_are_whole_and_each_entry_is_in_one_class(given_, code):
    entries, _, found = told(given_, code)
    assert set(entries.values()) <= set(CLASSES)
    assert len(entries) == len(given_.postings) + len(given_.lines)
    sums = found.sums()
    assert sum(of["ledger_minor"] for of in sums.values()) == sum(
        p.amount for p in given_.postings)
    assert sum(of["statement_minor"] for of in sums.values()) == sum(
        line.amount for line in given_.lines)
    assert sum(of["ledger_count"] for of in sums.values()) == len(given_.postings)
    assert sum(of["statement_count"] for of in sums.values()) == len(given_.lines)
    assert sums[MATCHED]["ledger_minor"] == sums[MATCHED]["statement_minor"]
    for item in found.items:
        # an item is what its entries make of it
        at = found.items.index(item)
        own = [p for p, place in zip(given_.postings, found.of_posting, strict=True)
               if place == at]
        bank = [n for n, place in zip(given_.lines, found.of_line, strict=True) if place == at]
        assert (item.ledger, item.ledger_count) == (sum(p.amount for p in own), len(own))
        assert (item.statement, item.statement_count) == (sum(n.amount for n in bank), len(bank))
        assert (item.class_ == MATCHED) == (item.difference == 0), item.class_
        if item.class_ == "missing_in_statement":
            assert own and not bank
        if item.class_ in ("missing_in_ledger", "duplicate"):
            assert bank and not own


@settings(max_examples=200, deadline=None)
@given(sides(), st.randoms(use_true_random=False), st.sampled_from(["1001", "1101"]))
def test_the_order_changes_nothing(given_, chance, code):
    shuffled = Given(
        chance.sample(given_.postings, len(given_.postings)),
        chance.sample(given_.lines, len(given_.lines)),
    )
    assert told(given_, code)[:2] == told(shuffled, code)[:2]


@settings(max_examples=200, deadline=None)
@given(sides(), st.sampled_from(["1001", "1101"]))
def test_no_pair_by_amount_had_another_candidate(given_, code):
    _, _, found = told(given_, code)
    rule = next(rule for rule in RULES[1:] if code in rule.accounts)
    for item in found.items:
        if item.rule != rule.code:
            continue
        rivals = [
            other for other in found.items
            if other is not item and other.statement_count and not other.ledger_count
            and other.statement == item.statement
            and (rule.lines == "all" or other.key[0] == LINE)
            and other.class_ in ("", "ambiguous")
            and abs((date.fromisoformat(other.statement_date)
                     - date.fromisoformat(item.ledger_date)).days) <= rule.days
        ]
        assert not rivals


@settings(max_examples=150, deadline=None)
@given(sides())
def test_what_stays_open_is_not_lost_by_the_next_time(given_):
    """Two statements one after the other give the difference that one for all gives."""
    early = Given([p for p in given_.postings if p.value_date < DAYS[4]],
                  [n for n in given_.lines if n.value_date < DAYS[4]])
    late = Given([p for p in given_.postings if p.value_date >= DAYS[4]],
                 [n for n in given_.lines if n.value_date >= DAYS[4]])
    first = match(early.postings, early.lines, [], RULES, "1001")
    carried = [(f"I{n}", item) for n, item in enumerate(first.items) if item.class_ in OPEN]
    before = sum(item.difference for _, item in carried)
    second = match(late.postings, late.lines, carried, RULES, "1001")
    left = sum(item.difference for item in second.items)
    assert left == before + sum(p.amount for p in late.postings) - sum(
        n.amount for n in late.lines)
    assert sorted(name for item in second.items for name in item.carried) == sorted(
        name for name, _ in carried)


@pytest.mark.parametrize("alike", [False, True])
def test_a_hundred_thousand_of_each_take_seconds(alike):
    chance = random.Random(7)
    postings = [
        Entry(f"J{n}/1", DAYS[0], 5 if alike else chance.randrange(1, 10**6),
              (REFERENCE, f"T{n}"))
        for n in range(100_000)
    ]
    lines = [
        Entry(f"L{n}", DAYS[0], p.amount, (LINE, DAYS[0], f"L{n}") if alike else p.key)
        for n, p in enumerate(postings)
    ]
    begun = time.process_time()
    found = match(postings, lines, [], RULES, "1001")
    assert time.process_time() - begun < 20
    assert found.sums()["ambiguous" if alike else MATCHED]["items"] == (
        200_000 if alike else 100_000
    )


@pytest.mark.parametrize(("change", "why"), [
    ({"format": "x"}, "format"),
    ({"rules": []}, "first rule"),
    ({"rules": [{"code": "a", "zh": "", "en": "", "by": "reference"},
                {"code": "b", "zh": "", "en": "", "by": "amount"}]}, "b: by amount"),
    ({"rules": [{"code": "a", "zh": "", "en": "", "by": "reference"},
                {"code": "b", "zh": "", "en": "", "by": "amount", "accounts": ["1001"],
                 "days": 99}]}, "b: days"),
])
def test_rules_that_cannot_be_are_named(change, why):
    good = {"format": "paylake-reconciliation-rules/1",
            "rules": [{"code": "a", "zh": "", "en": "", "by": "reference"}]}
    assert rules_of(good) == (Rule("a", "", "", "reference"),)
    with pytest.raises(ValueError, match=why):
        rules_of({**good, **change})
