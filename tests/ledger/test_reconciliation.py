"""An account held against a bank's statement: what belongs together, and from date to date."""

from __future__ import annotations

from ledger.domain.reconciling import match
from ledger.entrypoints.operations import verify
from ledger.service import reconciling
from ledger.service.reconciliation_results import shown_item
from tests.ledger.banks import (
    NEXT,
    Bank,
    bank,
    line,
    refused,
    settle_next_day,
    top_up,
)
from tests.ledger.conftest import ANN, DAY, at

__all__ = ["bank"]


# what belongs together


def test_each_posting_and_line_ends_in_one_class_and_both_sides_foot(world, bank):
    same, differs, ours = (top_up(world, amount) for amount in (10000, 20000, 30000))
    for _ in range(2):
        world.do("payment")  # two legs of one clearing sum
    clearing = 2 * (10000 - 38)
    done = bank.send([
        line("1", 10000, same), line("2", 20100, differs), line("3", 500, "unknown-1"),
        line("4", clearing, "CLR-unionpay-20260912"), line("5", 10000, same),
    ])
    assert bank.classes(done) == {
        "matched": 2, "amount_differs": 1, "missing_in_statement": 1, "missing_in_ledger": 1,
        "duplicate": 1,
    }
    classes = done["classes"]
    assert classes["matched"]["ledger_count"] == 3
    assert classes["matched"]["statement_count"] == 2
    assert sum(of["ledger_minor"] for of in classes.values()) == 60000 + clearing
    assert sum(of["statement_minor"] for of in classes.values()) == done["closing_minor"]
    assert done["ledger_closing_minor"] == world.balance("1001")
    assert done["difference_minor"] == world.balance("1001") - done["closing_minor"]
    found = {item["class"]: shown_item(item) for item in bank.open().values()}
    assert found["missing_in_statement"]["reference"] == ours
    assert found["missing_in_statement"]["side"] == "short"
    assert {n: i["side"] for n, i in found.items()}["missing_in_ledger"] == "long"
    assert found["duplicate"]["statement_entry"] == "5"
    rows = bank.rows(done)
    assert len(rows) == 5 + 5
    assert {(row["side"], row["entry"]) for row in rows} >= {
        ("statement", str(n)) for n in range(1, 6)
    }
    verify(world.settings)


def test_the_order_of_lines_changes_nothing_and_a_statement_sent_again_is_answered(world, bank):
    a, b = top_up(world, 10000), top_up(world, 20000)
    lines = [line("1", 10000, a), line("2", 20000, b)]
    done = bank.send(lines)
    assert done["open_items"] == 0 and done["replayed"] is False
    entries = world.ledger.head.sequence
    again = bank.send(lines[::-1])
    assert again == {**done, "replayed": True}
    assert world.ledger.head.sequence == entries


def test_several_lines_of_one_reference_are_held_against_one_posting(world, bank):
    reference = top_up(world, 30000)
    done = bank.send([line("1", 10000, reference), line("2", 20000, reference)])
    assert bank.classes(done) == {"matched": 1}


def test_a_booking_and_its_reversal_that_the_bank_never_saw_cancel_out(world, bank):
    result = world.do("top_up", amount_minor=10000)
    waits = world.send("reversal", ANN, adjustment_id="RV1", journal_id=result["journal_id"],
                       incident_number="I1", reason="wrong user")
    assert world.approve(waits["sequence"])["status"] == "posted"
    assert bank.classes(bank.send([])) == {"matched": 1}


def test_amounts_match_lines_without_a_reference_and_ambiguous_ones_are_not_guessed(world, bank):
    for amount in (10000, 20000, 20000):
        top_up(world, amount)
    done = bank.send([line("1", 10000), line("2", 20000)])
    assert bank.classes(done) == {"matched": 1, "ambiguous": 3}
    assert {row["rule"] for row in bank.rows(done) if row["class"] == "matched"} == {
        "amount_of_unreferenced_line"
    }


def test_a_line_of_the_reserve_with_a_foreign_reference_is_not_matched_by_its_amount(world, bank):
    top_up(world, 10000)
    done = bank.send([line("1", 10000, "something-else")])
    assert bank.classes(done) == {"missing_in_statement": 1, "missing_in_ledger": 1}


def test_own_funds_are_matched_by_business_key_or_amount(world):
    bank = Bank(world, "1101")
    for number, amount in (("OF1", 5000), ("OF2", 7000)):
        world.register("own_funds", movement_id=number, amount_minor=amount, currency_code="CNY")
    done = bank.send([line("1", 5000, "OF1"), line("2", 7000, "bank-77")])
    assert bank.classes(done) == {"matched": 2}


def test_direction_says_the_sign(world, bank):
    reference = top_up(world, 10000)
    done = bank.send([line("1", 10000, reference, direction="C")])
    assert done["open_items"] == 0


def test_a_sharded_account_is_reconciled_as_a_whole(world, bank):
    world.approved("account_shards", account_id="1001", currency_code="CNY", shards=3)
    references = [top_up(world, 10000) for _ in range(4)]
    done = bank.send([line(r, 10000, r) for r in references])
    assert done["open_items"] == 0 and done["postings"] == 4
    verify(world.settings)
    refused("not_reconciled", Bank(world, "1001#1").send, [])


# from date to date


def test_what_the_bank_books_a_day_later_is_matched_then(world, bank):
    world.do("payment")
    reference = top_up(world, 10000)
    first = bank.send([line("1", 10000, reference)])
    (item,) = bank.open().values()
    assert item["class"] == "missing_in_statement"
    assert item["key"] == ["reference", "CLR-unionpay-20260912"]
    settle_next_day(world)
    done = bank.send(
        [line("9", 9962, "CLR-unionpay-20260912", NEXT)], opening=10000, first=NEXT
    )
    assert done["carried_items"] == 1 and done["previous"] == first["reconciliation_id"]
    assert bank.classes(done) == {"matched": 1} and not bank.open()
    assert {row["side"] for row in bank.rows(done)} == {"carried_ledger", "statement"}
    verify(world.settings)


def test_what_is_posted_later_with_an_earlier_value_date_is_seen_next(world, bank):
    bank.send([line("1", 700, "late")])
    settle_next_day(world)
    world.do("top_up", top_up_id="late", amount_minor=1000, value_date=DAY.isoformat(),
             occurred_at=at(NEXT, "09:00:00"))
    done = bank.send([], opening=700, first=NEXT)
    assert bank.classes(done) == {"amount_differs": 1}
    assert done["ledger_opening_minor"] == 0
    assert done["ledger_closing_minor"] == 1000
    verify(world.settings)


def test_postings_of_the_next_date_stay_out_and_come_with_its_statement(world, bank):
    reference = top_up(world, 10000)
    settle_next_day(world)
    tomorrow = top_up(world, 5000, occurred_at=at(NEXT, "09:00:00"))
    first = bank.send([line("1", 10000, reference)])
    assert (first["postings"], first["ledger_closing_minor"]) == (1, 10000)
    assert first["open_items"] == 0
    done = bank.send([line("2", 5000, tomorrow, NEXT)], opening=10000, first=NEXT)
    assert (done["postings"], done["open_items"]) == (1, 0)
    verify(world.settings)


def test_a_first_statement_with_another_opening_balance_leaves_that_open(world, bank):
    top_up(world, 10000)
    settle_next_day(world)
    done = bank.send([], opening=9000, first=NEXT)
    (item,) = bank.open().values()
    assert item["key"] == ["opening", "balance"]
    assert (item["ledger_minor"], item["statement_minor"]) == (10000, 9000)
    assert done["difference_minor"] == 1000
    verify(world.settings)


def test_another_statement_for_the_same_dates_takes_the_place_of_the_first(world, bank):
    a, b = top_up(world, 10000), top_up(world, 20000)
    carried = bank.send([line("1", 10000, a)])
    before = bank.open()
    settle_next_day(world)
    wrong = bank.send([line("2", 20000, b, NEXT), line("3", 5, "x", NEXT)], 10000, NEXT)
    assert bank.classes(wrong) == {"matched": 1, "missing_in_ledger": 1}
    right = bank.send([line("3", 7, "x", NEXT)], 10000, NEXT)
    assert right["supersedes"] == wrong["reconciliation_id"]
    assert right["previous"] == carried["reconciliation_id"]
    table = world.ledger.state.table("reconciliation")
    assert table[wrong["reconciliation_id"]]["superseded_by"] == right["reconciliation_id"]
    assert bank.classes(right) == {"missing_in_statement": 1, "missing_in_ledger": 1}
    assert set(before) < set(bank.open())
    verify(world.settings)


def test_a_statement_that_was_replaced_and_is_sent_again_is_in_force_again(world, bank):
    """The bank took its correction back: what was sent last counts, however often it was sent."""
    a = top_up(world, 10000)
    first = ([line("1", 10000, a)], 0, DAY)
    second = ([line("1", 10000, a), line("2", 5, "x")], 0, DAY)
    done = bank.send(*first)
    wrong = bank.send(*second)
    assert len(bank.open()) == 1
    last = wrong
    for once, now in ((first, 0), (second, 1), (first, 0)):
        before, last = last, bank.send(*once)
        assert last["replayed"] is False and last["supersedes"] == before["reconciliation_id"]
        assert len(bank.open()) == now
        assert bank.send(*once) == {**last, "replayed": True}
    assert last["statement_sm3"] == done["statement_sm3"]
    assert len({r["reconciliation_id"] for r in (done, wrong, last)}) == 3
    assert [{**row, "item": ""} for row in bank.rows(last)] == [
        {**row, "item": ""} for row in bank.rows(done)]
    verify(world.settings)


def test_a_statement_that_another_date_stands_on_is_not_put_in_force_again(world, bank):
    """It is answered as it was; so it is told which one took its place."""
    a = top_up(world, 10000)
    first = ([line("1", 10000, a)], 0, DAY)
    bank.send(*first)
    wrong = bank.send([line("1", 10000, a), line("2", 5, "x")])
    last = bank.send(*first)
    right = bank.send([line("1", 10000, a), line("2", 7, "y")])
    settle_next_day(world)
    bank.send([], 10007, NEXT)
    for told, once in ((last, first), (wrong, ([line("1", 10000, a), line("2", 5, "x")],))):
        again = bank.send(*once)
        assert (again["reconciliation_id"], again["replayed"]) == (
            told["reconciliation_id"], True)
    assert bank.send(*first)["superseded_by"] == right["reconciliation_id"]
    verify(world.settings)


def test_a_matching_that_does_not_foot_is_refused_by_name(world, bank, monkeypatch):
    """Whatever lost a unit: nothing is recorded, also where assertions are left out."""
    a = top_up(world, 10000)
    lines = [line("1", 10000, a), line("2", 5, "x")]

    def losing(side):
        def matched(*given):
            found = match(*given)
            item = found.items[0]
            setattr(item, side, getattr(item, side) - 1)
            return found
        return matched

    before = world.ledger.head.sequence
    for side in ("ledger", "statement"):
        monkeypatch.setattr(reconciling, "match", losing(side))
        refused("matching_differs", bank.send, lines)
    assert world.ledger.head.sequence == before
    monkeypatch.setattr(reconciling, "match", match)
    assert bank.send(lines)["open_items"] == 1


def test_a_range_gives_what_its_dates_give(world, bank):
    a = top_up(world, 10000)
    settle_next_day(world)
    b = top_up(world, 20000, occurred_at=at(NEXT, "09:00:00"))
    done = bank.send([line("1", 10000, a), line("2", 20000, b, NEXT)], 0, DAY, NEXT)
    assert (done["postings"], done["open_items"]) == (2, 0)


def test_the_fold_keeps_what_is_open_over_a_start_and_a_checkpoint(world, bank):
    top_up(world, 10000)
    bank.send([])
    before = bank.open()
    world.ledger.checkpoint()
    world.reopen()
    assert bank.open() == before
    verify(world.settings)
