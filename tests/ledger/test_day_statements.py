"""Accrued fees, statements and sub-ledgers of a close: they foot, or the close is refused."""

from __future__ import annotations

import csv
import json

import pytest

from ledger.adapters.statement_files import write_statements
from ledger.entrypoints.operations import verify
from ledger.service.day_close import DayClose
from ledger.service.day_statements import Fees
from ledger.service.faults import RequestRefused
from paylake.crypto import sm3_file
from paylake.errors import NotVerified, PermanentFailure
from paylake.keys import Keyring
from tests.ledger.conftest import DAY, at
from tests.ledger.rules.words import CNY, PLAIN, days, funds, on, posted, run
from tests.ledger.test_http import client, http, token
from tests.ledger.test_verify import _edit

__all__ = ["client", "http", "token"]


@pytest.fixture
def billed(world):
    """Fees of several items: on the bill, from a prepaid account, a part paid, one offset."""
    funds(world)
    world.merchant("M3", data_ppm=15_000, fee_choice="prepaid")
    world.open([(code, "M3") for code in ("2201", "2601", "1205")])
    world.register("fee_prepayment", movement_id="FP", merchant_id="M3", amount_minor=700, **CNY)
    for number in range(3):
        world.do("payment", merchant_id="M3", amount_minor=3_300, data_fee_minor=50,
                 transaction_id=f"Q{number}", **PLAIN)
    for item, amount in (("service", 300), ("verify_person", 5), ("verify_person", 5)):
        world.register("fee_charge", fee_id=f"F{world.number}", merchant_id="M1", fee_item=item,
                       amount_minor=amount, **CNY)
    world.register("bill_payment", movement_id="B", merchant_id="M1", amount_minor=200, **CNY)
    world.do("payment", amount_minor=1_000, **PLAIN)
    world.register("offset", movement_id="O", merchant_id="M1", claim="1205", amount_minor=60,
                   notice_number="N-1", **CNY)
    return world


def read(path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_d0_30_the_fees_of_a_day_by_item_are_the_sum_of_its_orders(billed):
    head = billed.close()
    written = {file.path.name: file.path for file in write_statements(billed.settings, DAY)}
    fees = {
        (row["merchant_id"], row["account_code"], row["item"]): (
            int(row["charges"]), int(row["charged_minor"]), int(row["paid_minor"])
        ) for row in read(written["fees_20260912.csv"])
    }
    assert fees == {
        ("M1", "1205", "service"): (1, 300, 0), ("M1", "1204", "verify_person"): (2, 10, 0),
        ("M1", "1205", "fee"): (0, 0, 200), ("M1", "1205", "offset"): (0, 0, 60),
        ("M3", "2601", "data_fee"): (3, 150, 0), ("M3", "2601", "prepayment"): (0, 0, 700),
    }
    said = head["statements"]["fees"]
    assert (said["rows"], said["charged_minor"], said["owed_minor"]) == (
        6, {"CNY": 460}, {"CNY": 40}
    )
    accounts = {r["account_id"]: r for r in read(written["accounts_20260912.csv"])}
    assert accounts["1205:M1"]["closing_minor"] == "40"
    assert sum(int(r["debit_minor"]) - int(r["credit_minor"]) for r in accounts.values()) == 0
    for name, path in written.items():
        assert sm3_file(path) == head["statements"][name.partition("_")[0]]["sm3"]
        control = path.with_suffix(".control.json")
        told = json.loads(control.read_bytes())
        assert (told["sm3"], told["rows"]) == (sm3_file(path), len(read(path)))
        key = Keyring(billed.settings).trust()[told["key_id"]].public
        assert key.verify(control.read_bytes(), control.with_name(control.name + ".sig")
                          .read_bytes())


def test_the_head_says_sub_ledgers_and_general_ledger(billed):
    """Two days: the second one's general ledger goes on from what the first one signed."""
    first = billed.close()
    line = next(x for x in first["sub_ledgers"] if x["account_code"] == "1205")
    assert (line["accounts"], line["sub_ledger_minor"], line["general_ledger_minor"]) == (
        3, 40, 40
    )
    assert "1001" not in {x["account_code"] for x in first["sub_ledgers"]}
    when = on(billed, 1)
    billed.register("bill_payment", movement_id="B2", merchant_id="M1", amount_minor=40, **CNY,
                    **when)
    second = billed.close(days(1))
    line = next(x for x in second["sub_ledgers"] if x["account_code"] == "1205")
    assert line["sub_ledger_minor"] == line["general_ledger_minor"] == 0
    assert verify(billed.settings).closed_dates == 2


def test_a_close_whose_sub_ledger_is_not_the_general_ledger_is_refused(billed):
    """A balance of the day before that was edited in the database, past its triggers."""
    billed.close()
    on(billed, 1)
    store = billed.ledger.store
    store.db.execute("drop trigger day_balance_no_update")
    store.db.execute("update day_balance set closing_minor = closing_minor + 5 "
                     "where account_id = '1205:M1'")
    billed.ledger.state.account("1205:M1", "CNY").balance += 5  # the service's memory too
    billed.ledger.state.account("6001", "CNY").balance += 5
    store.db.execute("update day_balance set closing_minor = closing_minor + 5 "
                     "where account_id = '6001'")
    with pytest.raises(RequestRefused) as caught:
        billed.close(days(1))
    assert caught.value.reason == "sub_ledger_differs"
    assert "1205 in CNY hold 45, the general ledger 40" in caught.value.detail


def test_a_close_whose_fees_are_not_what_their_accounts_moved_is_refused(billed, monkeypatch):
    """As if an item had been left out of the list."""
    whole = Fees.add

    def lossy(self, content, legs):
        if "verify_person" not in content:
            whole(self, content, legs)

    monkeypatch.setattr(Fees, "add", lossy)
    with pytest.raises(RequestRefused) as caught:
        billed.close()
    assert (caught.value.reason, caught.value.http_status) == ("fees_differ", 409)
    assert "1204:M1" in caught.value.detail
    monkeypatch.undo()
    assert billed.close()["replayed"] is False


def test_d0_21_a_close_waits_for_the_penalties_of_every_calendar_day(world):
    """An advance on day 0; days 1 and 2 without a run: the close of day 2 is refused until both
    are booked."""
    funds(world)
    world.register("advance", movement_id="A", merchant_id="M1", amount_minor=100_000,
                   case_number="C1", **CNY)
    assert world.close()["replayed"] is False  # nothing was unpaid at its start
    on(world, 2)
    run(world, 2)
    with pytest.raises(RequestRefused) as caught:
        world.close(days(2))
    assert caught.value.reason == "fee_not_accrued"
    assert "2026-09-13" in caught.value.detail and "M1" in caught.value.detail
    world.ledger.set_clock(at(days(2), "22:59:59"))
    run(world, 1)
    head = world.close(days(2))
    assert head["statements"]["fees"]["charged_minor"] == {"CNY": 2_000}
    assert head["statements"]["fees"]["owed_minor"] == {"CNY": 2_000}
    assert verify(world.settings).closed_dates == 2


def test_d0_01_a_partys_statement_of_a_day_can_be_asked(billed, client):
    billed.ledger.set_clock(at(DAY, "23:30:00"))
    client.close_day(DAY)
    found = client.day_statement("M1", DAY)
    assert {row["account_id"] for row in found["accounts"]} >= {"2201:M1", "1205:M1"}
    assert sum(row["charged_minor"] for row in found["fees"]) == 310
    assert {row["merchant_id"] for row in found["fees"]} == {"M1"}
    assert client.day_statement("U1", DAY)["fees"] == []
    assert [file["rows"] for file in client.write_statements(DAY)] == [
        len(billed.balances()), 6,
    ]


def test_statements_that_are_not_those_of_the_head_are_not_written(billed):
    billed.close()
    billed.ledger.set_clock(at(days(1), "01:00:00"))
    posted(billed.do("payment", occurred_at=at(days(1), "00:10:00")))
    write_statements(billed.settings, DAY)  # later postings change nothing
    _edit(billed, "update day_balance set debit_minor = debit_minor + 1, "
          "closing_minor = closing_minor + 1 where account_id = '1205:M1'")
    with pytest.raises(PermanentFailure, match="not those of its signed head"):
        write_statements(billed.settings, DAY)
    with pytest.raises(NotVerified):
        verify(billed.settings)
    with pytest.raises(PermanentFailure, match="has not closed"):
        write_statements(billed.settings, days(1))


def test_verify_recomputes_statements(billed, monkeypatch):
    """A close that signed another list of fees."""
    whole = DayClose._fees

    def other(self, movements):
        whole(self, movements)
        self.reading.fees._found.pop(("M1", "CNY", "1205", "service"))

    monkeypatch.setattr(DayClose, "_fees", other)
    billed.close()
    with pytest.raises(NotVerified, match="its statements are not those of the signed head"):
        verify(billed.settings)
