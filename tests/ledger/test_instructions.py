"""Files for the banks: instructions in the second mode, no movement of funds in the third."""

from __future__ import annotations

import csv
import json

import pytest

from ledger.adapters.instructions import write_instructions
from ledger.service.day_run import DayRun
from paylake.crypto import sm3_file
from paylake.errors import PermanentFailure
from paylake.keys import Keyring
from tests.ledger.conftest import DAY

PLAIN = {"issuer_fee_minor": 0, "network_fee_minor": 0, "acquirer_fee_minor": 0}


@pytest.fixture
def modes(world):
    """A bank-managed and a self-managed merchant beside the institution's own."""
    world.open([("9001", None), ("9011", None)])
    for name, mode, code in (("MB", "bank", "9201"), ("MS", "self", "9211")):
        world.merchant(name, settlement_mode=mode, settlement_cycle="T+0")
        world.open([(code, name)])
    world.merchant("MI", settlement_cycle="T+0")
    world.open([("2201", "MI")])
    for number, merchant in enumerate(("MB", "MB", "MS", "MI"), 1):
        world.do("payment", merchant_id=merchant, amount_minor=1000 * number, **PLAIN)
    DayRun(world.ledger, DAY).run()
    return world


def files(world):
    written = {file.path.name: file for file in write_instructions(world.settings, DAY)}
    read = {}
    for name, file in written.items():
        with file.path.open(encoding="utf-8", newline="") as opened:
            rows = list(csv.DictReader(opened))
        control = json.loads(file.path.with_suffix(".control.json").read_bytes())
        read[name] = (rows, control)
    return written, read


def test_d0_03_a_payout_of_bank_managed_money_is_an_instruction_to_the_bank(modes):
    modes.close()
    _, read = files(modes)
    rows, control = read["bank_instructions_20260912.csv"]
    assert [(row["merchant_id"], row["amount_minor"]) for row in rows] == [("MB", "3000")]
    assert (control["rows"], control["amount_totals_minor"]) == (1, {"CNY": 3000})


def test_d0_03_a_withdrawal_of_a_users_bank_managed_book_is_an_instruction_too(modes):
    """Under its merchant; the day that it was asked for, whenever the bank answers."""
    for merchant, user, code in (("MB", "UB", "9101"), ("MS", "US", "9111"), ("MI", "UI", "2101")):
        modes.register("party", party_id=user, party_kind="user", owner_id=merchant,
                       identity_check="ID")
        modes.open([(code, user)])
        modes.register("bind_account", destination_id=f"D{user[1:]}", party_id=user,
                       bound_account="6222", bound_name="T", bank_code="ICBC")
        modes.do("top_up", user_id=user, amount_minor=20_000)
        asked = modes.do("withdrawal", withdrawal_id=f"W-{user}", user_id=user,
                         amount_minor=5_000, fee_minor=25 if merchant == "MI" else 0)
        assert asked["status"] == "posted", asked
    modes.close()
    _, read = files(modes)
    rows, control = read["bank_instructions_20260912.csv"]
    assert [(row["payout_id"], row["merchant_id"], row["amount_minor"]) for row in rows][1:] == [
        ("W-UB", "MB", "5000")]
    assert (control["rows"], control["amount_totals_minor"]) == (2, {"CNY": 8000})
    assert read["fund_movements_20260912.csv"][0] == []


def test_d0_05_the_fund_movement_file_of_self_managed_money_is_empty(modes):
    modes.close()
    _, read = files(modes)
    rows, control = read["fund_movements_20260912.csv"]
    assert rows == [] and (control["rows"], control["amount_totals_minor"]) == (0, {"CNY": 0})
    assert modes.balance("9211:MS") == 0  # the books moved all the same


def test_d0_04_only_institution_managed_money_is_in_the_reserve(modes):
    head = modes.close()
    moved = {line["account_code"]: line["debit_minor"] for line in head["trial_balance"]
             if line["books"] == "reserve"}
    assert (moved["1001"], moved["2201"]) == (4000, 4000)


def test_files_are_signed_and_written_again_the_same(modes):
    modes.close()
    written, _ = files(modes)
    kept = {path: path.read_bytes() for path in
            modes.settings.path("ledger", "instructions").rglob("*") if path.is_file()}
    assert len(kept) == 6
    files(modes)
    assert kept == {path: path.read_bytes() for path in kept}
    for file in written.values():
        control = file.path.with_suffix(".control.json")
        said = json.loads(control.read_bytes())
        assert said["sm3"] == sm3_file(file.path)
        signature = control.with_name(control.name + ".sig").read_bytes()
        assert Keyring(modes.settings).trust()[said["key_id"]].public.verify(
            control.read_bytes(), signature
        )


def test_an_open_date_has_no_instructions(modes):
    with pytest.raises(PermanentFailure, match="has not closed"):
        write_instructions(modes.settings, DAY)
