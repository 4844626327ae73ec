"""The day's signed heads and events as feeds: which belong to a date, and that they can be checked
by whoever has the public key alone."""

from __future__ import annotations

import json
import subprocess
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

import ingestion
from ledger.adapters import evidence_feeds
from ledger.adapters.export import export_day
from ledger.service.events import events
from paylake import contracts
from paylake.crypto import sm3_hex
from paylake.deliveries import read_control
from paylake.errors import PermanentFailure
from paylake.keys import Keyring
from paylake.settings import ROOT
from tests.ledger.banks import Bank, line
from tests.ledger.conftest import DAY, at

NEXT = DAY + timedelta(days=1)


def lines(path: Path) -> list[dict[str, Any]]:
    (file,) = read_control(path).files
    return [json.loads(line) for line in (path / file.name).read_bytes().splitlines()]


def names(path: Path) -> list[str]:
    return [row["head_name"] for row in lines(path)]


def export(settings, sent_at, day: date = DAY):
    return export_day(settings, day, sent_at=sent_at + (day - DAY))


def test_a_head_is_in_the_delivery_of_the_close_that_is_signed_next(world, settings, sent_at):
    """Also one that was signed behind the cut-off with entries of the next date in it, and one of
    the next date's morning while the date was still open."""
    world.do("payment")
    first = world.ledger.anchor()
    world.do("payment")
    second = world.ledger.anchor()
    world.ledger.set_clock(at(NEXT, "09:00:00"))
    world.do("payment", occurred_at=at(NEXT, "08:00:00"))
    third = world.ledger.anchor()  # before the close of DAY: behind its cut-off
    world.ledger.close_day(DAY)
    world.do("payment", occurred_at=at(NEXT, "08:30:00"))
    fourth = world.ledger.anchor()
    world.close(NEXT)
    after = world.ledger.anchor()  # nothing new: the close's head again

    done = export(settings, sent_at)
    assert names(done.head_path) == [
        first["name"], second["name"], third["name"], DAY.isoformat(),
    ]
    assert done.head_rows == 4
    assert names(export(settings, sent_at, NEXT).head_path) == [fourth["name"], NEXT.isoformat()]
    assert after["booking_date"] == NEXT.isoformat()
    rows = lines(done.head_path)
    assert [row["head_kind"] for row in rows] == ["anchor"] * 3 + ["day_close"]
    assert [row["head_number"] for row in rows] == [1, 2, 3, 4]
    before = None
    for row in [*rows, *lines(export(settings, sent_at, NEXT).head_path)]:
        assert row["previous_anchor"] == before  # one chain over the dates
        before = row["document_sm3"]


def test_a_head_is_checked_with_the_public_key_alone(world, settings, sent_at, tmp_path):
    world.do("payment")
    world.ledger.anchor()
    world.close()
    rows = lines(export(settings, sent_at).head_path)
    assert list(rows[0]) == [column.name for column in contracts.load("ledger_head").columns]
    files = settings.path("ledger", "heads")
    for row in rows:
        document, signature = tmp_path / "head.json", tmp_path / "head.sig"
        document.write_bytes(row["document"].encode())
        signature.write_bytes(bytes.fromhex(row["signature"]))
        assert document.read_bytes() == (files / f"{row['head_name']}.json").read_bytes()
        assert signature.read_bytes() == (files / f"{row['head_name']}.json.sig").read_bytes()
        command = [
            "openssl", "pkeyutl", "-verify", "-pubin", "-inkey",
            settings.path("keys", "ledger-1.pub.pem"), "-rawin", "-in", document, "-digest",
            "sm3", "-sigfile", signature, "-pkeyopt", "distid:1234567812345678",
        ]
        assert b"Success" in subprocess.run(command, capture_output=True).stdout
        assert sm3_hex(document.read_bytes()) == row["document_sm3"]
        said = json.loads(row["document"])
        assert (row["chain_sequence"], row["chain_digest"]) == (
            said["chain_sequence"], said["chain_digest"]
        )
    close, journal = rows[-1], lines(export(settings, sent_at).journal_path)
    assert close["leg_count"] == len(journal)
    assert close["journal_count"] == len({leg["journal_id"] for leg in journal})
    assert journal[-1]["chain_digest"] == close["chain_digest"]


def test_the_same_heads_are_exported_whatever_came_later(world, settings, sent_at):
    world.do("payment")
    world.close()
    done = export(settings, sent_at)
    before = {path.name: path.read_bytes() for path in done.head_path.iterdir()}
    world.ledger.set_clock(at(NEXT, "09:00:00"))
    world.do("payment", occurred_at=at(NEXT, "08:00:00"))
    world.ledger.anchor()
    world.reopen()
    assert export(settings, sent_at) == done  # left alone, because nothing differs
    assert {path.name: path.read_bytes() for path in done.head_path.iterdir()} == before


def test_a_head_that_is_not_its_file_is_not_sent(world, settings, sent_at):
    world.do("payment")
    world.close()
    path = settings.path("ledger", "heads", f"{DAY}.json")
    path.write_bytes(path.read_bytes().replace(b'"legs": ', b'"legs": 1'))
    with pytest.raises(PermanentFailure, match="not the one in its file"):
        export(settings, sent_at)
    assert not settings.path("landing", "inbox").exists()  # none of the four


def test_a_close_of_the_first_program_brings_its_head():
    """Its head stands with the close alone, and has no digest of one before it."""
    document = json.dumps({
        "format": "paylake-ledger-head/1", "booking_date": "2026-09-12",
        "closed_at": "2026-09-12T15:05:00Z", "key_id": "ledger-1", "chain_sequence": 2,
        "chain_digest": "ab" * 32, "journals": 2, "legs": 4, "accounts": 3, "trial_balance": [],
    }).encode()

    class Old:
        def heads_of(self, day):
            return []

        def find_close(self, day):
            return {"booking_date": day, "key_id": "ledger-1", "document": document,
                    "signature": b"\x30\x01"}

    file = evidence_feeds.head_file(Old(), DAY, Path("nowhere"))
    (row,) = [json.loads(line) for line in file.content.splitlines()]
    assert (row["head_kind"], row["head_format"]) == ("day_close", "paylake-ledger-head/1")
    assert (row["previous_anchor"], row["leg_count"], row["signature"]) == (None, 4, "3001")


def test_events_are_those_of_the_outbox_in_order_of_key(world, settings, sent_at):
    world.do("payment")
    world.do("settlement", amount_minor=10**9)  # refused
    world.do("top_up", user_id="U1", amount_minor=5000)
    world.close()
    done = export(settings, sent_at)
    rows = lines(done.event_path)
    assert done.event_rows == len(rows) > 5
    found = events(world.ledger.store, None, 10_000)["events"]
    wanted = [event for event in found if event["booking_date"] == DAY.isoformat()]
    assert len(wanted) == len(rows)
    for event, row in zip(wanted, rows, strict=True):
        assert row == {
            evidence_feeds.EVENT_COLUMNS.get(name, name): (
                value if not isinstance(value, bool) else str(value).lower()
            )
            for name, value in event.items() if value is not None
        }
    keys = [(row["entry_sequence"], row["event_number"]) for row in rows]
    assert keys == sorted(set(keys))
    assert {row["event_type"] for row in rows} >= {"result", "refusal", "balance_change"}


def test_the_lake_takes_what_a_reconciliation_left_open(world, settings, sent_at):
    """One event that the contract does not know refuses all of the date."""
    world.do("payment")
    Bank(world).send([line("B1", 4000)])
    world.close()
    (open_items,) = [
        row for row in lines(export(settings, sent_at).event_path)
        if row["event_type"] == "open_items"
    ]
    assert (open_items["open_items"], open_items["difference_minor"]) == (2, 5962)
    taken = {o["feed"]: o["state"] for o in ingestion.ingest(settings, DAY, DAY).outcomes}
    assert taken["ledger_event"] == "accepted"


def test_events_of_a_date_are_those_booked_on_it(world, settings, sent_at):
    world.do("payment")
    world.ledger.set_clock(at(NEXT, "09:00:00"))
    world.do("payment", occurred_at=at(NEXT, "08:00:00"))
    world.ledger.close_day(DAY)
    world.close(NEXT)
    rows = {
        day: lines(export(settings, sent_at, day).event_path) for day in (DAY, NEXT)
    }
    assert {row["booking_date"] for row in rows[DAY]} == {DAY.isoformat()}
    assert {row["booking_date"] for row in rows[NEXT]} == {NEXT.isoformat()}
    assert not {r["event_key"] for r in rows[DAY]} & {r["event_key"] for r in rows[NEXT]}


def test_the_contract_has_every_field_of_every_event_and_no_class_but_c1():
    known = yaml.safe_load((ROOT / "ledger/data/events.yml").read_text("utf-8"))
    fields = {*known["common"], *(f for e in known["events"].values() for f in e["fields"])}
    contract = contracts.load("ledger_event")
    columns = {column.name: column for column in contract.columns}
    assert {evidence_feeds.EVENT_COLUMNS.get(name, name) for name in fields} == set(columns)
    assert set(columns["event_type"].valid_values) == set(known["events"])
    assert {column.classification for column in contract.columns} == {"C1"}


def test_the_demo_key_of_an_older_home_may_sign_the_new_feeds(settings):
    """Its trust file was written when there were two feeds; what somebody wrote stays."""
    path = settings.path("keys", "trust.json")
    entries = json.loads(path.read_text("utf-8"))
    for name in ("ledger-1", "custodian-1"):
        entries[name]["feeds"] = ["ledger_journal", "ledger_balance"]
        del entries[name]["offered"]
    entries["custodian-1"]["demo"] = False
    path.write_text(json.dumps(entries), "utf-8")
    Keyring(settings).ensure_demo()
    trust = Keyring(settings).trust()
    assert trust["ledger-1"].may_sign("ledger_head") and trust["ledger-1"].may_sign("ledger_event")
    assert not trust["custodian-1"].may_sign("custodian_statement")
    before = path.read_bytes()
    Keyring(settings).ensure_demo()
    assert path.read_bytes() == before


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize(("name", "left"), [
    ("ledger-1", ["ledger_journal", "ledger_balance", "ledger_head"]), ("switch-1", []),
    ("paylake-1", ["transaction"]),
])
def test_what_somebody_took_from_a_demo_key_is_not_given_back(settings, name, left, recorded):
    """Nor in a home of a program that did not write down what it had given; there the two newest
    feeds are known as its own by one of them."""
    path = settings.path("keys", "trust.json")
    entries = json.loads(path.read_text("utf-8"))
    entries[name]["feeds"] = left
    if not recorded:
        for entry in entries.values():
            entry.pop("offered", None)
    path.write_text(json.dumps(entries), "utf-8")
    for _ in range(2):
        Keyring(settings).ensure_demo()
        assert list(Keyring(settings).trust()[name].feeds) == left
