"""Files for the banks: instructions in the second mode, no movement of funds in the third."""

from __future__ import annotations

import csv
import io
import json

import pytest

from ledger.adapters.instructions import unsealed, write_instructions
from ledger.entrypoints.operations import open_ledger, reseal
from ledger.service.day_run import DayRun
from paylake.crypto import sm3_file, unseal
from paylake.errors import NotVerified, PermanentFailure, UsageFault
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


def read_files(world, day=DAY):
    """The files of a date by name, and of each its rows and its control file."""
    written = {file.path.name: file for file in write_instructions(world.settings, day)}
    read = {}
    for name, file in written.items():
        data = file.path.read_bytes()
        if file.path.suffix == ".sealed":
            data = unseal(Keyring(world.settings).seal_key(), data, name.encode())
        rows = list(csv.DictReader(io.StringIO(data.decode("utf-8"), newline="")))
        control = json.loads(file.path.with_suffix(".control.json").read_bytes())
        read[name] = (rows, control)
    return written, read


def test_d0_03_a_payout_of_bank_managed_money_is_an_instruction_to_the_bank(modes):
    modes.close()
    _, read = read_files(modes)
    rows, control = read["bank_instructions_20260912.sealed"]
    assert [(row["party_id"], row["amount_minor"]) for row in rows] == [("MB", "3000")]
    assert [(row["payee_account"], row["payee_name"], row["bank_code"]) for row in rows] == [
        ("account of MB", "name of MB", "ICBC")
    ]
    assert (control["rows"], control["amount_totals_minor"]) == (1, {"CNY": 3000})


def test_d0_03_a_withdrawal_of_a_users_bank_managed_book_is_an_instruction_too(modes):
    """On the day that it was asked for; one that the bank answered within the day is past."""
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
    _, read = read_files(modes)
    rows, control = read["bank_instructions_20260912.sealed"]
    assert [(row["payout_id"], row["party_id"], row["amount_minor"]) for row in rows][1:] == [
        ("W-UB", "UB", "5000")]
    reserve = [row["payout_id"] for row in read["reserve_payouts_20260912.sealed"][0]]
    assert "W-UI" in reserve and "W-US" not in reserve
    assert (control["rows"], control["amount_totals_minor"]) == (2, {"CNY": 8000})
    assert read["fund_movements_20260912.csv"][0] == []


def test_d0_05_the_fund_movement_file_of_self_managed_money_is_empty(modes):
    modes.close()
    _, read = read_files(modes)
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
    written, _ = read_files(modes)
    kept = {path: path.read_bytes() for path in
            modes.settings.path("ledger", "instructions").rglob("*") if path.is_file()}
    assert len(kept) == 9
    read_files(modes)
    assert kept == {path: path.read_bytes() for path in kept}
    for file in written.values():
        control = file.path.with_suffix(".control.json")
        said = json.loads(control.read_bytes())
        assert said["sm3"] == sm3_file(file.path)
        signature = control.with_name(control.name + ".sig").read_bytes()
        assert Keyring(modes.settings).trust()[said["key_id"]].public.verify(
            control.read_bytes(), signature
        )


def test_d0_42_what_leaves_the_reserve_names_its_payees(modes):
    """Payouts to merchants and withdrawals of users that the bank has not answered yet."""
    modes.do("top_up", amount_minor=100_000)
    for name in ("W1", "W2", "W3"):
        modes.do("withdrawal", withdrawal_id=name, amount_minor=10_000)
    modes.do("withdrawal_result", withdrawal_id="W2")
    modes.do("withdrawal_result", withdrawal_id="W3", result="unknown")
    modes.close()
    _, read = read_files(modes)
    rows, control = read["reserve_payouts_20260912.sealed"]
    assert [(row["kind"], row["party_id"], row["payee_account"], row["amount_minor"])
            for row in rows] == [
        ("settlement", "MI", "account of MI", "4000"), ("withdrawal", "U1", "card of U1", "10000"),
    ]
    assert control["amount_totals_minor"] == {"CNY": 14_000}


@pytest.mark.parametrize(("merchant", "code", "name"), [
    ("MB", "9101", "bank_instructions_20260912.sealed"),
    ("MI", "2101", "reserve_payouts_20260912.sealed"), ("MS", "9111", None),
])
def test_d1_10_a_withdrawal_that_its_checker_approved_is_sent_to_the_bank(
    modes, merchant, code, name
):
    """Its money was held when it began to wait, not when it was approved."""
    modes.register("party", party_id="U9", party_kind="user", owner_id=merchant,
                   identity_check="ID")
    modes.open([(code, "U9")])
    modes.register("bind_account", destination_id="D9", party_id="U9", bound_account="6222",
                   bound_name="T", bank_code="ICBC")
    modes.do("top_up", user_id="U9", amount_minor=20_000)
    modes.approved("tariff", tariff_id="T", bank_ppm=0, third_party_ppm=0, least_minor=0,
                   approval_above_minor=5_000)
    modes.approved("withdrawal", withdrawal_id="W9", user_id="U9", amount_minor=10_000,
                   currency_code="CNY", fee_minor=0, destination_id="D9",
                   authorisation=modes.authorise("U9", "D9", 10_000))
    modes.close()
    _, read = read_files(modes)
    found = [
        (file, row["payee_account"], row["amount_minor"])
        for file, (rows, _) in read.items() for row in rows if row["payout_id"] == "W9"
    ]
    assert found == ([] if name is None else [(name, "6222", "10000")])


def _paid(world, merchant):
    """A payout of a further day's takings: its number and the journal, if there is one."""
    world.merchant(merchant, settlement_cycle="T+0",
                   settlement_mode="bank" if merchant[1] == "B" else "institution")
    world.open([("9201" if merchant[1] == "B" else "2201", merchant)])
    world.do("payment", merchant_id=merchant, amount_minor=700, **PLAIN)
    done = world.do("settlement", payout_id=f"P-{merchant}", merchant_id=merchant,
                    amount_minor=700)
    assert done["status"] == "posted", done
    return f"P-{merchant}", done.get("journal_id")


def _sent(world):
    _, read = read_files(world)
    return {row["payout_id"] for rows, _ in read.values() for row in rows}


@pytest.mark.parametrize("result", ["succeeded", "failed", "unknown"])
def test_d0_03_a_payout_that_the_bank_has_answered_is_not_sent_again(modes, result):
    """Within the date; what another payout's result says changes nothing of it."""
    (one, _), (two, _) = _paid(modes, "MB1"), _paid(modes, "MB2")
    done = modes.send("settlement_result", result_id="R1", payout_id=one, result=result)
    assert done["status"] == "posted", done
    modes.close()
    sent = _sent(modes)
    assert one not in sent and two in sent


def test_d0_73_a_payout_that_was_reversed_or_came_back_on_its_date_is_not_sent(modes):
    """Neither moves money any more; one whose coming back was itself a wrong booking does."""
    (wrong, journal), (back, _), (stays, _), (plain, _) = (
        _paid(modes, name) for name in ("MI1", "MI2", "MI3", "MI4")
    )
    modes.approved("reversal", adjustment_id="R1", journal_id=journal, incident_number="I1",
                   reason="paid twice")
    _, mistaken = (
        modes.send("settlement_returned", return_id=f"B-{payout}", payout_id=payout)
        for payout in (back, stays)
    )
    modes.approved("reversal", adjustment_id="R2", journal_id=mistaken["journal_id"],
                   incident_number="I2", reason="another payout came back")
    modes.close()
    sent = _sent(modes)
    assert {wrong, back, stays, plain} & sent == {stays, plain}


def test_d0_42_a_payout_goes_where_it_was_booked_to(modes):
    """An account that is bound later is for later payouts."""
    modes.approved("destination", destination_id="LATER", party_id="MB", bound_account="9999",
                   bound_name="later", bank_code="B2")
    modes.close()
    _, read = read_files(modes)
    (row,) = read["bank_instructions_20260912.sealed"][0]
    assert row["payee_account"] == "account of MB"


def test_d1_23_payees_are_in_no_file_in_clear(modes, tmp_path):
    """Sealed in the home, for the owner alone; opened for the bank where it is asked for."""
    modes.close()
    read_files(modes)
    for path in modes.settings.home.rglob("*"):
        assert not path.is_file() or b"account of MB" not in path.read_bytes(), path
    folder = modes.settings.path("ledger", "instructions", "2026-09-12")
    for path in folder.glob("*.sealed"):
        assert path.stat().st_mode & 0o077 == 0
    written = unsealed(modes.settings, DAY, tmp_path / "bank")
    assert [path.name for path in written] == [
        "bank_instructions_20260912.csv", "reserve_payouts_20260912.csv",
    ]
    assert b"account of MB" in written[0].read_bytes()
    assert written[0].stat().st_mode & 0o077 == 0
    with pytest.raises(UsageFault):
        unsealed(modes.settings, DAY, tmp_path / "bank")
    with pytest.raises(PermanentFailure, match="no instruction files"):
        unsealed(modes.settings, DAY.replace(day=1), tmp_path / "other")
    sealed = folder / "bank_instructions_20260912.sealed"
    sealed.write_bytes(sealed.read_bytes()[:-1] + b"x")
    with pytest.raises(NotVerified):
        unsealed(modes.settings, DAY, tmp_path / "third")
    assert not (tmp_path / "third").exists()


def test_d1_23_the_files_are_sealed_with_the_newest_key(modes, tmp_path):
    """What an older key sealed opens as long as it is there, and is sealed anew when written."""
    modes.close()
    read_files(modes)
    modes.ledger.store.close()
    reseal(modes.settings, new_key=True)
    before = unsealed(modes.settings, DAY, tmp_path / "before")
    written = {file.path for file in write_instructions(modes.settings, DAY)}
    kept = {path: path.read_bytes() for path in written}
    first = modes.settings.path("keys", "seal.key")
    first.rename(tmp_path / "seal.key")
    after = unsealed(modes.settings, DAY, tmp_path / "after")
    assert [path.read_bytes() for path in after] == [path.read_bytes() for path in before]
    assert b"account of MB" in after[0].read_bytes()
    assert {file.path for file in write_instructions(modes.settings, DAY)} == written
    assert kept == {path: path.read_bytes() for path in written}  # the same: left as it is
    (tmp_path / "seal.key").rename(first)
    modes.ledger = open_ledger(modes.settings, simulated=True)


def test_an_open_date_has_no_instructions(modes):
    with pytest.raises(PermanentFailure, match="has not closed"):
        write_instructions(modes.settings, DAY)
