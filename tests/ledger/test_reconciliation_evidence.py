"""What a reconciliation is refused for, what goes on beside it, and what stays as evidence."""

from __future__ import annotations

import csv
import io
import json
import random
from datetime import timedelta

import orjson
import pytest

from ledger.domain.actors import Actor
from ledger.domain.bank_statement import statement_of
from ledger.entrypoints.operations import export_log, verify, verify_export
from ledger.requests import signed_bytes
from ledger.service import reconciliation_views, reconciling
from ledger.service.clock import Clock
from ledger.service.events import events
from ledger.service.reconciling import Reconciling, reconcile
from paylake.errors import NotVerified, TransientFault
from tests.ledger.banks import (
    NEXT,
    Bank,
    bank,
    close,
    line,
    refused,
    settle_next_day,
    top_up,
)
from tests.ledger.conftest import ANN, BEN, DAY, SYSTEM, at

__all__ = ["bank"]


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
        {**good, "direction": "X"}, {**good, "direction": []}, {**good, "direction": {}},
        {**good, "bank": "ICBC"}, "line", None,
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


def test_the_bank_corrects_a_statement_of_which_people_closed_items(world, bank):
    """It takes no other place any more, so the next one opens with the corrected balance: the gap
    is an open item, which what was missing explains."""
    reference = top_up(world, 10000)
    bank.send([line("1", 7, "x"), line("2", -7, "y")])
    closed = [name for name, item in bank.open().items() if item["class"] == "missing_in_ledger"]
    assert close(world, closed)["status"] == "posted"
    settle_next_day(world)
    corrected = [line("1", 7, "x"), line("2", -7, "y"), line("3", 10000, reference)]
    refused("items_closed", bank.send, corrected)
    for closing in (300, 200):  # the second takes the place of the first
        done = bank.send([line("9", closing, "z", NEXT)], 10000, NEXT)
        assert done["opening_minor"] == 10000 and done["difference_minor"] == -closing
        assert bank.classes(done) == {
            "missing_in_statement": 1, "missing_in_ledger": 1, "amount_differs": 1,
        }
        rows = [row for row in bank.rows(done) if row["class"] == "amount_differs"]
        assert {row["side"]: row["amount_minor"] for row in rows} == {
            "opening_ledger": "0", "opening_statement": "10000",
        }
    verify(world.settings)
    gap = [name for name, item in bank.open().items() if item["key"][0] != "reference"]
    missing = [name for name, item in bank.open().items() if item["key"][1] == reference]
    assert refused_closing(world, gap) == "difference_left"
    assert close(world, gap + missing)["status"] == "posted"
    last = NEXT + timedelta(1)
    world.ledger.set_clock(at(last, "10:00:00"))
    done = bank.send([], 10200, last)
    assert bank.classes(done) == {"missing_in_ledger": 1}
    last += timedelta(1)
    world.ledger.set_clock(at(last, "10:00:00"))
    refused("opening_differs", bank.send, [], 10100, last)  # nobody closed anything since
    verify(world.settings)


def refused_closing(world, items):
    result = close(world, items)
    assert result["status"] == "refused"
    return result["reason"]


def test_a_ledger_that_does_not_open_as_it_closed_is_told(world, bank):
    done = bank.send([line("1", 700, "x")])
    world.ledger.state.get("reconciliation", done["reconciliation_id"])["ledger_closing_minor"] = 1
    settle_next_day(world)
    refused("balance_differs", bank.send, [], 700, NEXT)


def test_more_open_items_than_the_most_are_refused(world, bank, monkeypatch):
    monkeypatch.setattr(reconciling, "MOST_OPEN", 1)
    for _ in range(2):
        top_up(world, 10000)
    refused("too_many_open_items", bank.send, [])
    assert not bank.open()


def test_a_clock_that_was_never_set_reconciles_nothing(world, bank):
    clock = world.ledger.clock
    world.ledger.clock = Clock(True, clock.booking_date, clock.working_day, clock.calendar)
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
    assert world.send("reconciliation", actor, **values)["reason"] == "ledger_only"


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
    rows = list(enumerate(bank.rows(done), 1))
    seen, after = [], 0
    while True:
        page = reconciliation_views.rows_page(rows[after:], "missing_in_statement", 3)
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


@pytest.mark.parametrize("seed", range(4))
def test_days_of_a_careless_bank(world, bank, seed):
    """Statements that come late, lack lines, have some twice or wrong, are sent anew or closed by
    people: after each, what is open is what the balances differ by, and at the end `verify`
    agrees."""
    chance = random.Random(seed)
    balance, late, day, sent = 0, [], DAY, 0
    for _ in range(5):
        world.ledger.set_clock(at(day, "22:00:00"))
        lines, late = late, []
        for _ in range(chance.randrange(6)):
            amount, when = 1000 * chance.randrange(1, 4), at(day, "10:00:00")
            reference = top_up(world, amount, occurred_at=when)
            if chance.random() < 0.3:
                late.append((reference, amount))
                continue
            lines.append((reference, amount))
            if chance.random() < 0.2:
                lines.append((reference, amount))
            if chance.random() < 0.2:
                lines[-1] = (chance.choice([None, "typing-error", reference]), amount + 1)
        said = [line(f"{day}-{n}", amount, reference, day)
                for n, (reference, amount) in enumerate(lines)]
        if chance.random() < 0.4:  # first without a line, then again
            bank.send(said[:-1], balance, day)
        done = bank.send(said, balance, day)
        sent += 1
        balance = done["closing_minor"]
        opened = bank.open()
        assert done["ledger_closing_minor"] == world.balance("1001")
        assert done["open_items"] == len(opened)
        assert done["difference_minor"] == sum(
            i["ledger_minor"] - i["statement_minor"] for i in opened.values()
        )
        differences = {n: i["ledger_minor"] - i["statement_minor"] for n, i in opened.items()}
        pair = next(((a, b) for a in differences for b in differences
                     if a < b and differences[a] == -differences[b]), None)
        if pair is not None:
            assert close(world, pair)["status"] == "posted"
        day += timedelta(1)
    assert sent == 5
    world.ledger.checkpoint()
    verify(world.settings)


def test_a_fault_of_the_storage_leaves_nothing_and_it_is_sent_again(world, bank, monkeypatch):
    reference = top_up(world, 10000)
    head, apply = world.ledger.head.sequence, world.ledger.apply

    def fails(*_):
        raise TransientFault("the disk is full", "free some")

    monkeypatch.setattr(world.ledger, "apply", fails)
    with pytest.raises(TransientFault):
        bank.send([line("1", 9000, reference)])
    assert world.ledger.head.sequence == head and not bank.open()
    monkeypatch.setattr(world.ledger, "apply", apply)
    done = bank.send([line("1", 9100, reference)])  # its file takes the place of the other
    assert done["open_items"] == 1 and len(bank.rows(done)) == 2
