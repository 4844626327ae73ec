"""Logs of a service that let things pass which need a checker: `verify` names the first of them,
though chain, legs and signatures are in order."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from ledger.adapters.data_files import DATA, load_operations
from ledger.domain import people
from ledger.domain.conditions import CONDITIONS
from ledger.domain.documents import put
from ledger.domain.operations import Operations
from ledger.entrypoints.operations import verify
from paylake.crypto import PrivateKey
from paylake.errors import PermanentFailure
from tests.ledger.conftest import ANN, BEN, DAY, World, at
from tests.ledger.rules.words import CNY, PLAIN, ended
from tests.ledger.test_verify import _broken, _entry, _forge, _terms


def careless(world: World, *types: str) -> None:
    """The service no longer sends these operations to a checker."""
    known = world.ledger.operations
    world.ledger.operations = Operations({
        **known.by_type, **{t: replace(known.by_type[t], approval=None) for t in types},
    }, known.versions)


def blind(world: World, monkeypatch) -> None:
    """The service no longer asks whether the checker may review."""
    monkeypatch.setattr(world.ledger.authority, "may_review", lambda *_, **__: None)


def take_right(world: World, module: str) -> None:
    world.approved("right", group_id="staff", module=module, duty="review", allowed=False)


CONTRACT = {"contract_id": "K1", "merchant_id": "M1", "settlement_mode": "institution",
            "settlement_cycle": "D+1", "fee_choice": "bill", "valid_from": "2026-10-01",
            "minimum_minor": 5}


def test_d4a_06_an_operation_without_its_approval_is_named(world):
    careless(world, "contract")
    done = world.register("contract", ANN, **CONTRACT)
    assert _broken(world) == (
        f"entry {done['sequence']}: contract needs a checker, and it has no approval"
    )


def test_d4a_06_a_condition_is_judged_on_the_content(world):
    """A merchant's refund needs none, a user's does."""
    world.do("payment", transaction_id="P")
    careless(world, "refund")
    fee = {"issuer_fee_minor": 4, "network_fee_minor": 0, "acquirer_fee_minor": 2}
    world.register("refund", original_transaction_id="P", transaction_id="R1", amount_minor=1000,
                   **CNY, **fee)
    assert verify(world.settings).approvals == 6
    done = world.register(
        "refund", original_transaction_id="P", transaction_id="R2", amount_minor=1000,
        request="user", ground="wrong_amount", **CNY,
        **{**fee, "issuer_fee_minor": 3, "network_fee_minor": 1},
    )
    assert _broken(world).startswith(f"entry {done['sequence']} (")
    assert _broken(world).endswith("refund needs a checker, and it has no approval")


def test_d4a_06_a_condition_is_judged_on_the_registers_of_that_time(world):
    """A withdrawal above the tariff's bound: before the tariff was set it needed none."""
    world.do("top_up", amount_minor=100_000)
    first = world.do("withdrawal", amount_minor=5_000, fee_minor=25)
    world.approved("tariff", tariff_id="T", bank_ppm=5000, third_party_ppm=10000, least_minor=0,
                   approval_above_minor=4_000)
    assert verify(world.settings).entries == world.ledger.head.sequence
    careless(world, "withdrawal")
    second = world.do("withdrawal", amount_minor=5_000, fee_minor=25)
    assert first["status"] == second["status"] == "posted", second
    assert _broken(world).startswith(f"entry {second['sequence']}:")


@pytest.mark.usefixtures("older_after_newer")
def test_d0_16_a_status_that_permits_more_needs_a_checker_by_the_status_of_that_time(
    world, monkeypatch
):
    """Judged again by what the log had made of the account; an older version asked for less."""
    status = {"account_id": "2101:U1", "reason": "x", **CNY}
    for name in ("no_debit", "frozen"):
        world.register("account_status", status=name, **status)
    known = world.ledger.operations
    old = replace(known.by_type["account_status"], version=1)
    world.ledger.operations = Operations(
        {**known.by_type, "account_status": old}, known.versions)
    with monkeypatch.context() as forgetful:
        forgetful.setitem(CONDITIONS, "loosens", lambda *_: False)
        world.register("account_status", status="no_credit", **status)
    assert verify(world.settings).broken is None
    world.ledger.operations = known
    with monkeypatch.context() as forgetful:
        forgetful.setitem(CONDITIONS, "loosens", lambda *_: False)
        done = world.register("account_status", status="no_debit", **status)
    assert _broken(world) == (
        f"entry {done['sequence']}: account_status needs a checker, and it has no approval"
    )


@pytest.mark.parametrize(("old", "new"), [
    ("condition: loosens", "condition: tightens"), ("    approval: status == 'normal'\n", ""),
])
def test_a_template_with_a_condition_that_there_is_not_does_not_load(tmp_path, old, new):
    """Nor with one beside no approval, which nothing would ask."""
    folder = Path(shutil.copytree(DATA, tmp_path / "data"))
    path = folder / "operations" / "registers.yml"
    path.write_text(path.read_text("utf-8").replace(old, new), "utf-8")
    with pytest.raises(PermanentFailure, match="account_status"):
        load_operations(folder)


def test_d4b_13_money_that_left_its_purpose_without_a_checker_is_named(settings):
    """What comes in needs none."""
    world = World(settings)
    world.ledger.set_clock(at(DAY, "22:59:59"))
    world.people()
    world.merchant("M1")
    world.open([("2602", "M1")])
    world.register("open_account", account_code="1102", purpose=["deposit_returned"], **CNY)
    world.register("deposit_received", movement_id="D", merchant_id="M1", amount_minor=900, **CNY)
    assert verify(settings).journals == 1
    careless(world, "deposit_returned")
    ended(world, "M1")
    world.ledger.state.dedicates = False  # it forgot that some accounts have a purpose
    world.register("deposit_returned", movement_id="X", merchant_id="M1", amount_minor=100, **CNY)
    assert _broken(world).endswith("money left 1102, which has a purpose, without an approval")
    world.ledger.close()


def test_d4a_09_a_checker_without_the_right_is_named(world, monkeypatch):
    """Though the signature is the checker's own."""
    waits = _terms(world, 1)
    take_right(world, "contracts")
    blind(world, monkeypatch)
    done = world.approve(waits)
    assert done["status"] == "posted"
    assert _broken(world) == (
        f"entry {done['sequence']}: ben had not the right to review in contracts"
    )
    world.approved("right", group_id="staff", module="contracts", duty="review", allowed=True)
    assert _broken(world).startswith(f"entry {done['sequence']}:")  # later is too late


def test_d4a_09_a_checker_that_was_switched_off_is_named(world, monkeypatch):
    world.joins("eve")
    waits = _terms(world, 1)
    world.approved("operator", operator_id="ben", operator_name="Ben", enabled=False,
                   public_key=world.keys["ben"].public.point)
    blind(world, monkeypatch)
    done = world.approve(waits)
    assert _broken(world) == (
        f"entry {done['sequence']}: ben had not the right to review in contracts"
    )


def test_d4a_09_an_approval_stays_valid_when_the_right_is_taken_later(world):
    assert world.approve(_terms(world, 1))["status"] == "posted"
    take_right(world, "contracts")
    assert verify(world.settings).approvals == 8


def test_d4a_09_a_rejection_by_the_maker_or_without_the_right_is_named(world, monkeypatch):
    waits = _terms(world, 1)
    blind(world, monkeypatch)
    done = world.send("reject", ANN, pending=waits, operator_id="ann", reason="no")
    assert done["status"] == "posted", done
    assert _broken(world) == f"entry {done['sequence']}: its maker approved it"


def test_d4a_06_the_first_people_need_no_checker_the_next_ones_do(world):
    """As long as fewer than two may review; then the exception is over."""
    careless(world, "operator")
    done = world.register("operator", **_eve())
    assert _broken(world) == (
        f"entry {done['sequence']}: operator needs a checker, and it has no approval"
    )


def _eve() -> dict:
    return {"operator_id": "eve", "operator_name": "Eve", "enabled": True,
            "public_key": PrivateKey.generate().public.point}


def _before_it_was_kept(world: World, monkeypatch, version: int) -> None:
    """The service lets people go until one reviewer is left, and says nothing of the first two."""
    monkeypatch.setattr(people, "_kept", lambda state, change, *_: put(*change))
    known = world.ledger.operations
    world.ledger.operations = Operations({**known.by_type, **{
        t: replace(known.by_type[t], version=version)
        for t in ("operator", "membership", "right")
    }}, known.versions)


@pytest.mark.usefixtures("older_after_newer")
def test_d4a_06_a_change_that_leaves_one_reviewer_is_named(world, monkeypatch):
    with monkeypatch.context() as older:
        _before_it_was_kept(world, older, 2)
        done = world.approved("operator", operator_id="ben", operator_name="Ben", enabled=False,
                              public_key=world.keys["ben"].public.point)
    assert _broken(world) == (
        f"entry {done['sequence']}: it leaves fewer than two who may review in authority"
    )


def test_d4a_06_two_reviewers_that_the_log_does_not_speak_of_are_named(settings, monkeypatch):
    world = World(settings)
    world.ledger.set_clock(at(DAY, "22:59:59"))
    _before_it_was_kept(world, monkeypatch, 2)
    world.people()
    assert _broken(world).endswith("it does not say that two may review in authority")
    world.ledger.close()


def test_d4a_06_a_log_from_before_two_reviewers_were_kept_verifies(settings, monkeypatch):
    """There the house's own system could enter people again; from now on it cannot."""
    world = World(settings)
    world.ledger.set_clock(at(DAY, "22:59:59"))
    known = world.ledger.operations
    with monkeypatch.context() as older:
        _before_it_was_kept(world, older, 1)
        world.people()
        world.approved("operator", operator_id="ben", operator_name="Ben", enabled=False,
                       public_key=world.keys["ben"].public.point)
        world.register("operator", **_eve())
        world.reopen()
    world.ledger.operations = known
    world.register("membership", operator_id="eve", group_id="staff", member=True)
    assert world.send("operator", **{**_eve(), "operator_id": "max"})["reason"] == "no_right"
    world.reopen()
    assert verify(settings).broken is None
    world.ledger.close()


@pytest.mark.usefixtures("older_after_newer")
def test_what_an_older_template_did_not_ask_for_is_not_missed(world):
    """An entry says under which version of its template it was booked."""
    known = world.ledger.operations
    old = replace(known.by_type["party_state"], approval=None, version=1)
    world.ledger.operations = Operations({**known.by_type, "party_state": old}, known.versions)
    done = world.send("party_state", ANN, party_id="M1", state="cancelled",
                      suspension_ground="7", evidence="E-1")
    assert done["status"] == "posted", done
    assert verify(world.settings).broken is None


@pytest.mark.usefixtures("older_after_newer")
@pytest.mark.parametrize(("type_", "asked", "free"), [
    ("party", {"party_id": "M9", "party_kind": "merchant"},
     {"party_id": "U9", "party_kind": "user", "grade": "high_risk"}),
    ("party", {"party_id": "T9", "party_kind": "terminal", "owner_id": "M1"},
     {"party_id": "U9", "party_kind": "user"}),
    ("party_state",
     {"party_id": "M1", "state": "suspended", "suspension_ground": "7", "evidence": "E"},
     {"party_id": "U1", "state": "cancelled"}),
])
def test_d4a_09_what_the_first_template_asked_for_is_missed(world, type_, asked, free):
    """Though a later one asks for more."""
    known = world.ledger.operations
    old = replace(known.by_type[type_], approval=None, version=1)
    world.ledger.operations = Operations({**known.by_type, type_: old}, known.versions)
    world.register(type_, ANN, **free)
    assert verify(world.settings).broken is None
    done = world.register(type_, ANN, **asked)
    assert _broken(world) == (
        f"entry {done['sequence']}: {type_} needs a checker, and it has no approval"
    )


@pytest.mark.usefixtures("older_after_newer")
@pytest.mark.parametrize(("type_", "version", "values"), [
    ("payment", 4, {**PLAIN, "channel": "netsunion"}),
    ("pre_authorisation", 1, {"user_id": "U1"}),
])
def test_an_entry_says_whether_its_template_asked_for_a_channel(world, type_, version, values):
    """A template that refuses more has another version, and what the one before booked verifies."""
    known = world.ledger.operations
    world.do("top_up", amount_minor=10_000)
    world.approved("party", party_id="M3", party_kind="merchant")
    world.approved("contract", contract_id="C3", merchant_id="M3", settlement_mode="institution",
                   settlement_cycle="T+0", minimum_minor=0, fee_choice="bill", access_fee_minor=0,
                   use_fee_minor=0, valid_from=DAY.isoformat())
    world.onboard("M3", "unionpay")
    world.bind("M3")
    world.register("party_state", party_id="M3", state="active")
    world.open([("2201", "M3")])
    order = {"merchant_id": "M3", "amount_minor": 100, "currency_code": "CNY", **values}
    if "user_id" in values:
        order["authorisation"] = world.authorise("U1", "M3", 100)
    late = world.send(type_, transaction_id="LATE", **order)
    assert late["reason"] == "channel_not_open"
    old = replace(known.by_type[type_], needs_channel=False, version=version)
    world.ledger.operations = Operations({**known.by_type, type_: old}, known.versions)
    early = world.send(type_, transaction_id="EARLY", **order)
    world.ledger.operations = known
    assert (early["status"], world.row(early)[3]) == ("posted", version)
    assert known.by_type[type_].version > version
    world.reopen()
    assert verify(world.settings).broken is None


_NEWER = "; if a newer program wrote it, verify with that"


@pytest.mark.parametrize(("statement", "reason"), [
    ("approval = ''", "contract needs a checker, and it has no approval"),
    ("approval = '', type = 'approve', version = 1",
     "an approval stands by itself, without what it approved"),
    ("approval = '', type = 'gift', version = 4",
     f"no template gift of version 4 is known{_NEWER}"),
    ("approval = '', type = 'taken_over', version = 4, actor = 'system:format-1'",
     f"no template taken_over of version 4 is known{_NEWER}"),
    ("approval = '', version = 99", f"no template contract of version 99 is known{_NEWER}"),
])
def test_an_approval_taken_out_by_hand_is_named(world, statement, reason):
    done = world.approve(_terms(world, 1))
    where = f"sequence = {done['sequence']}"
    row = _entry(world, where)
    _forge(world, f"update entry set {statement} where {where}")
    assert _broken(world) == f"{row} {reason}"


def test_a_day_with_everything_needs_no_more_than_it_has(world):
    """Nothing that was booked by the rules is named."""
    world.do("top_up", amount_minor=100_000)
    world.do("payment", transaction_id="P")
    world.register("hold", hold_id="H", hold_kind="suspicious", account_id="2101:U1",
                   amount_minor=500, case_number="C1", **CNY)
    world.approved("hold_release", result_id="HR", hold_id="H", case_number="C1")
    waits = _terms(world, 1)
    world.register("reject", BEN, pending=waits, operator_id="ben", reason="no")
    world.close()
    assert verify(world.settings).approvals == 7
