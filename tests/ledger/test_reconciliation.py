"""Reconciliation of an account with a bank's statement, over the ledger itself."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta

import orjson
import pytest

from ledger.adapters.data_files import load_reconciliation_rules
from ledger.adapters.reconciliation_files import ReconciliationFiles
from ledger.domain.actors import Actor
from ledger.domain.bank_statement import StatementFault, statement_of
from ledger.domain.reconciliations import open_items
from ledger.entrypoints.operations import export_log, verify, verify_export
from ledger.requests import signed_bytes
from ledger.service import reconciliation_views, reconciling
from ledger.service.events import events
from ledger.service.faults import RequestRefused
from ledger.service.reconciling import Reconciling, reconcile
from paylake.errors import NotVerified
from tests.ledger.conftest import ANN, BEN, DAY, SYSTEM, at

NEXT = DAY + timedelta(1)
TREASURY = Actor("system", "treasury")


def line(line_id, amount, reference=None, day=DAY, **more):
    return {
        "line_id": line_id, "value_date": day.isoformat(), "amount_minor": amount,
        "reference": reference, **more,
    }


class Bank:
    """Statements of 1001 one after another."""

    def __init__(self, world, account="1001") -> None:
        self.world, self.account = world, account
        self.files = ReconciliationFiles(world.settings)

    def run(self, lines, opening=0, first=DAY, last=None, closing=None, sender=TREASURY,
            **more):
        moved = sum(
            one["amount_minor"] * {"C": 1, "D": -1, None: 1}[one.get("direction")]
            for one in lines
        )
        statement = statement_of(
            self.account, "CNY", first.isoformat(), (last or first).isoformat(), opening,
            opening + moved if closing is None else closing, lines,
        )
        return Reconciling(
            self.world.ledger, statement, load_reconciliation_rules(), self.files.keep, sender,
            **more,
        )

    def send(self, lines, opening=0, first=DAY, last=None, **more):
        return reconcile(self.run(lines, opening, first, last, **more))

    def open(self):
        return dict(open_items(self.world.ledger.state, self.account, "CNY"))

    def classes(self, done):
        return {name: of["items"] for name, of in done["classes"].items() if of["items"]}

    def rows(self, done):
        return self.files.rows(done["last_date"], done["reconciliation_id"], done["items_sm3"])


@pytest.fixture
def bank(world):
    return Bank(world)


def top_up(world, amount, **values):
    result = world.do("top_up", amount_minor=amount, **values)
    assert result["status"] == "posted", result
    return orjson.loads(world.row(result)[12])["top_up_id"]


def refused(reason, call, *arguments, **values):
    with pytest.raises((RequestRefused, StatementFault)) as found:
        call(*arguments, **values)
    assert found.value.reason == reason, found.value
    return found.value


def close(world, items, person=ANN, journal_id=None, reason="agreed with the bank"):
    """Ann enters, Ben approves."""
    world.number += 1
    waits = world.send(
        "reconciliation_close", person, closing_id=f"CL{world.number}", open_items=list(items),
        journal_id=journal_id, reason=reason, occurred_at=world.ledger.clock.now(),
    )
    if waits["status"] != "pending":
        return waits
    return world.approve(waits["sequence"], occurred_at=world.ledger.clock.now())


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
    found = {item["class"]: reconciling.shown_item(item) for item in bank.open().values()}
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


def settle_next_day(world):
    world.ledger.set_clock(at(NEXT, "10:00:00"))


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
    replayed = bank.send([line("2", 20000, b, NEXT), line("3", 5, "x", NEXT)], 10000, NEXT)
    assert replayed["superseded_by"] == right["reconciliation_id"]
    verify(world.settings)


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


# closing


def test_two_people_close_items_that_explain_one_another(world, bank):
    top_up(world, 10000)
    bank.send([line("1", 10000, "typing-error")])
    items = list(bank.open())
    assert len(items) == 2
    assert close(world, items)["status"] == "posted"
    assert not bank.open()
    (closing,) = world.ledger.state.table("reconciliation_closing").values()
    assert {item["item_id"] for item in closing["items"]} == set(items)
    settle_next_day(world)
    done = bank.send([], opening=10000, first=NEXT)
    assert done["difference_minor"] == 0 and done["open_items"] == 0
    verify(world.settings)


def test_what_does_not_come_to_zero_is_not_closed(world, bank):
    top_up(world, 10000)
    bank.send([line("1", 9999, "typing-error")])
    result = close(world, bank.open())
    assert (result["status"], result["reason"]) == ("refused", "difference_left")
    assert "1 minor units" in result["detail"]
    assert len(bank.open()) == 2


def adjust(world, amount, number="AD1"):
    direction, other = ("C", "D") if amount < 0 else ("D", "C")
    waits = world.send(
        "adjustment", ANN, adjustment_id=number, incident_number="I1", reason="bank fee",
        occurred_at=world.ledger.clock.now(), legs=[
            {"account_id": account, "currency_code": "CNY", "direction": side,
             "amount_minor": abs(amount), "component": "correction"}
            for account, side in (("1001", direction), ("2301", other))
        ],
    )
    result = world.approve(waits["sequence"], occurred_at=world.ledger.clock.now())
    assert result["status"] == "posted", result
    return result["journal_id"]


def test_a_correcting_journal_closes_what_it_corrects_once_it_is_seen(world, bank):
    reference = top_up(world, 10000)
    bank.send([line("1", 10000, reference), line("2", 500, "interest")])
    settle_next_day(world)
    journal = adjust(world, 500)
    (item,) = bank.open()
    assert close(world, [item], journal_id=journal)["status"] == "posted"
    (waiting,) = bank.open().values()
    assert waiting["key"] == ["journal", journal]
    done = bank.send([], opening=10500, first=NEXT)
    assert bank.classes(done) == {"matched": 1} and not bank.open()
    assert done["difference_minor"] == 0
    verify(world.settings)


def test_a_journal_that_was_seen_already_is_named_as_one_of_the_items(world, bank):
    reference = top_up(world, 10000)
    bank.send([line("1", 10000, reference), line("2", 500, "interest")])
    settle_next_day(world)
    journal = adjust(world, 500)
    bank.send([], opening=10500, first=NEXT)
    assert len(bank.open()) == 2
    assert close(world, bank.open(), journal_id=journal)["status"] == "posted"
    assert not bank.open()
    verify(world.settings)


def test_a_closing_names_a_journal_that_fits(world, bank):
    bank.send([line("2", 500, "interest")])
    (item,) = bank.open()
    settle_next_day(world)
    journal = adjust(world, 400)
    assert close(world, [item], journal_id=journal)["reason"] == "difference_left"
    assert close(world, [item], journal_id="J000000009999")["reason"] == "original_unknown"
    elsewhere = world.do("fee", occurred_at=at(NEXT, "10:00:00"))
    found = close(world, [item], journal_id=elsewhere["journal_id"])
    assert (found["reason"], found["field"]) == ("register_differs", "journal_id")
    waits = world.send("reversal", ANN, adjustment_id="RV1", journal_id=journal,
                       incident_number="I1", reason="wrong", occurred_at=at(NEXT, "10:00:00"))
    assert world.approve(waits["sequence"], occurred_at=at(NEXT, "10:00:00"))["status"] == "posted"
    assert close(world, [item], journal_id=journal)["reason"] == "already_reversed"


@pytest.mark.parametrize("items", [[], ["nothing"], [1], "twice", ["x"] * 101])
def test_a_closing_names_open_items_each_once(world, bank, items):
    top_up(world, 10000)
    bank.send([])
    if items == "twice":
        items = list(bank.open()) * 2
    found = close(world, items)
    assert (found["reason"], found["field"]) == ("register_differs", "open_items")


def test_items_of_two_accounts_are_not_closed_together(world, bank):
    top_up(world, 10000)
    bank.send([])
    world.register("own_funds", movement_id="OF1", amount_minor=5000, currency_code="CNY")
    own = Bank(world, "1101")
    own.send([])
    found = close(world, [*bank.open(), *own.open()])
    assert found["reason"] == "register_differs"
    assert "one account" in found["detail"]


def test_one_person_closes_nothing(world, bank):
    top_up(world, 10000)
    bank.send([line("1", 10000, "typing-error")])
    waits = world.send("reconciliation_close", ANN, closing_id="C1",
                       open_items=list(bank.open()), reason="x")
    assert waits["status"] == "pending" and len(bank.open()) == 2
    assert world.approve(waits["sequence"], "ann")["reason"] == "maker_is_checker"
    assert world.send(
        "reconciliation_close", SYSTEM, closing_id="C2", open_items=list(bank.open()), reason="x"
    )["reason"] == "no_right"


# refused


def test_what_a_statement_is_refused_for(world, bank):
    good = line("1", 100)
    refused("statement_differs", bank.run, [good], closing=101)
    refused("line_repeated", bank.run, [good, {**good, "amount_minor": 5}])
    said = ("1001", "CNY", "2026-09-12", "2026-09-12", 0, 100)
    for wrong in (
        {**good, "line_id": ""}, {**good, "line_id": "x" * 65}, {**good, "line_id": 7},
        {**good, "reference": "a\nb"}, {**good, "reference": "x" * 129},
        {**good, "value_date": "2026-09-13"}, {**good, "value_date": "12.9.2026"},
        {**good, "direction": "X"}, {**good, "bank": "ICBC"}, "line", None,
    ):
        refused("invalid_field", statement_of, *said, [wrong])
    for amount in (0, 1.5, "100", True, 10**15 + 1, None):
        refused("amount_out_of_range", statement_of, *said, [{**good, "amount_minor": amount}])
    minus = {**good, "amount_minor": -100, "direction": "D"}
    refused("amount_out_of_range", statement_of, *said, [minus])
    refused("amount_out_of_range", statement_of, *said[:4], "0", 100, [good])
    refused("invalid_field", statement_of, "1001", "CNY", "2026-09-13", "2026-09-12", 0, 0, [])
    refused("invalid_field", statement_of, "1001", "CNY", "2026-9-12", "2026-09-12", 0, 0, [])


def test_a_statement_has_no_more_lines_than_the_most(monkeypatch):
    monkeypatch.setattr("ledger.domain.bank_statement.MOST_LINES", 1)
    refused("too_many_lines", statement_of, "1001", "CNY", "2026-09-12", "2026-09-12", 0, 2,
            [line("1", 1), line("2", 1)])


def test_what_a_reconciliation_is_refused_for(world, bank):
    head = world.ledger.head.sequence
    refused("account_not_open", Bank(world, "9001").send, [])
    refused("not_reconciled", Bank(world, "2301").send, [])
    refused("not_due", bank.send, [], first=NEXT)
    assert world.ledger.head.sequence == head
    bank.send([line("1", 700, "x")])
    settle_next_day(world)
    refused("range_differs", bank.send, [], 0, DAY, NEXT)
    refused("opening_differs", bank.send, [], 701, NEXT)
    bank.send([line("2", -700, "y", NEXT)], 700, NEXT)
    assert close(world, bank.open())["status"] == "posted"
    refused("items_closed", bank.send, [], 700, NEXT)


def test_more_open_items_than_the_most_are_refused(world, bank, monkeypatch):
    monkeypatch.setattr(reconciling, "MOST_OPEN", 1)
    for _ in range(2):
        top_up(world, 10000)
    refused("too_many_open_items", bank.send, [])
    assert not bank.open()


def test_a_clock_that_was_never_set_reconciles_nothing(world, bank, monkeypatch):
    monkeypatch.setattr(world.ledger.clock, "now", lambda: None)
    refused("clock_not_set", bank.send, [])


def test_a_person_needs_the_right_and_a_caller_has_none(world, bank):
    bank.send([], sender=ANN)
    world.joins("cara", "others")
    settle_next_day(world)
    refused("no_right", bank.send, [], first=NEXT, sender=Actor("operator", "cara"))
    refused("no_right", bank.send, [], first=NEXT, sender=Actor("caller", "C1"))


@pytest.mark.parametrize("actor", [SYSTEM, ANN])
def test_nobody_but_the_ledger_writes_the_entry(world, actor):
    values = {
        "reconciliation_id": "R1", "account_id": "1001", "currency_code": "CNY",
        "first_date": "2026-09-12", "last_date": "2026-09-12", "statement_sm3": "00",
        "items_sm3": "00", "totals": {"revision": 0}, "item_changes": [], "asked_by": "x",
    }
    assert world.send("reconciliation", actor, **values)["reason"] == "no_right"


# beside the writer


def test_what_is_posted_meanwhile_to_its_dates_is_matched_too(world, bank):
    reference = top_up(world, 10000)
    run = bank.run([line("1", 10000, reference)])
    assert run.begin() is None
    run.read_beside()
    late = top_up(world, 20000)
    assert run.finish() is None  # once more
    done = reconcile(run)
    assert bank.classes(done) == {"matched": 1, "missing_in_statement": 1}
    assert [item["key"] for item in bank.open().values()] == [["reference", late]]


def test_who_goes_on_posting_to_its_dates_does_not_keep_it_from_its_end(world, bank):
    run = bank.run([])
    done = None
    for _ in range(10):
        done = run.begin()
        if done is None:
            run.read_beside()
            top_up(world, 10000)
            done = run.finish()
        if done is not None:
            break
    assert done is not None and done["ledger_closing_minor"] == world.balance("1001")
    assert done["postings"] == 3
    verify(world.settings)


def test_items_closed_meanwhile_are_seen(world, bank):
    top_up(world, 10000)
    bank.send([line("1", 10000, "typing-error")])
    items = list(bank.open())
    settle_next_day(world)
    run = bank.run([], 10000, NEXT)
    run.begin()
    run.read_beside()
    close(world, items)
    assert run.finish() is None
    assert reconcile(run)["open_items"] == 0


def test_a_dry_run_records_nothing_and_lists_what_would_be_open(world, bank):
    reference = top_up(world, 10000)
    head = world.ledger.head.sequence
    tried = bank.send([line("1", 9000, reference)], dry_run=True)
    assert world.ledger.head.sequence == head and not bank.open()
    assert not world.settings.path("ledger", "reconciliations").exists()
    assert [item["class"] for item in tried["items"]] == ["amount_differs"]
    done = bank.send([line("1", 9000, reference)])
    assert {**tried, "dry_run": False, "booked_on": "2026-09-12"} == {
        **done, "items": tried["items"]
    }


# evidence


def test_the_file_is_signed_and_one_that_was_changed_is_told(world, bank, settings):
    done = bank.send([line("1", 500, "x")])
    folder = settings.path("ledger", "reconciliations", "2026-09-12")
    path = folder / f"{done['reconciliation_id']}.csv"
    control = json.loads(path.with_suffix(".control.json").read_bytes())
    assert control["sm3"] == done["items_sm3"] and control["reconciliation_id"] in path.name
    assert path.with_suffix(".control.json.sig").is_file()
    path.write_bytes(path.read_bytes().replace(b"500", b"501"))
    refused("file_differs", bank.rows, done)
    path.unlink()
    refused("file_missing", bank.rows, done)


def test_a_reference_with_the_form_of_an_identifier_is_masked_and_still_matched(world, bank):
    number = "13812345678"
    top_up(world, 10000, top_up_id=number)
    done = bank.send([line("1", 10000, number), line("2", 5, "11010519491231002X")])
    assert bank.classes(done) == {"matched": 1, "missing_in_ledger": 1}
    (row,) = world.ledger.store.entries(world.ledger.head.sequence)
    assert "11010519491231002X" not in str(row) and number not in str(row)
    text = bank.files.settings.path(
        "ledger", "reconciliations", "2026-09-12", f"{done['reconciliation_id']}.csv"
    ).read_text()
    assert "11010519491231002X" not in text and number not in text
    settle_next_day(world)
    done = bank.send([line("3", -5, "11010519491231002X", NEXT)], 10005, NEXT)
    assert done["open_items"] == 0  # the bank took it back


def test_the_outbox_says_what_does_not_agree(world, bank):
    bank.send([line("1", 500, "x")])
    found = [e for e in events(world.ledger.store, None, 10_000)["events"]
             if e["event"] == "open_items"]
    assert [(e["account_id"], e["open_items"], e["difference_minor"]) for e in found] == [
        ("1001", 1, -500)
    ]


def test_pages_of_rows_and_items(world, bank):
    references = [top_up(world, 10000) for _ in range(5)]
    done = bank.send([line("1", 10000, references[0])])
    rows = bank.rows(done)
    seen, after = [], 0
    while True:
        page = reconciliation_views.rows_page(rows, "missing_in_statement", after, 3)
        seen += page["rows"]
        if page["next"] is None:
            break
        after = int(page["next"])
    assert [row["reference"] for row in seen] == references[1:]
    first = reconciliation_views.open_now(world.ledger, "1001", None, 3)
    second = reconciliation_views.open_now(world.ledger, "1001", first["next"], 3)
    assert [item["reference"] for item in first["items"] + second["items"]] == references[1:]
    assert second["next"] is None
    assert reconciliation_views.open_sums(world.ledger.state) == {("1001", "CNY"): (4, 40000)}


@pytest.mark.parametrize(("name", "value", "why"), [
    ("ledger_closing_minor", 1, "the ledger closed"),
    ("closing_minor", 1, "not what the balances differ by"),
    ("open_items", 5, "left 1 items open"),
    ("classes", {}, "its classes"),
])
def test_verify_holds_an_entry_against_the_log(world, bank, monkeypatch, name, value, why):
    """A service that writes something else than what is there is found out."""
    totals = Reconciling._totals
    monkeypatch.setattr(Reconciling, "_totals", lambda self: {**totals(self), name: value})
    bank.send([line("1", 500, "x")])
    with pytest.raises(NotVerified, match=why):
        verify(world.settings)


def test_verify_holds_the_signature_against_who_sent_the_statement(world, bank, settings):
    key = world.keys["ben"]
    said = {
        "signer": "operator:ben", "public_key": key.public.point, "method": "POST",
        "path": "/v1/reconciliations", "timestamp": "2026-09-12T02:00:00Z", "nonce": "0" * 32,
        "digest": "5f" * 32,
    }
    said["signature"] = key.sign(signed_bytes(said)).hex()
    bank.send([line("1", 500, "x")], sender=BEN, evidence=orjson.dumps(said).decode())
    verify(settings)
    bank.send([line("1", 600, "x")], sender=ANN, evidence=orjson.dumps(said).decode())
    with pytest.raises(NotVerified, match="signed by operator:ben, not by operator:ann"):
        verify(settings)


def test_an_export_of_the_log_verifies(world, bank, settings, tmp_path):
    top_up(world, 10000)
    bank.send([line("1", 500, "x")])
    export_log(settings, tmp_path / "log")
    verify_export(settings, tmp_path / "log")


def test_the_file_lists_everything_once(world, bank):
    for _ in range(3):
        world.do("payment")
    done = bank.send([line("1", 5, "x"), line("2", 5, "x")])
    text = "".join(f"{row['side']},{row['entry']}\n" for row in bank.rows(done))
    listed = list(csv.reader(io.StringIO(text)))
    assert len(listed) == len({tuple(row) for row in listed}) == 5
