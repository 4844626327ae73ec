"""D0.17: a freeze or stop between an instruction and the files for the banks."""

from __future__ import annotations

import json

import pytest

from ledger.adapters.instructions import write_instructions
from ledger.entrypoints.operations import verify
from tests.ledger.conftest import ANN, DAY
from tests.ledger.rules.test_d0_books import _bank_managed, _said
from tests.ledger.rules.words import CNY, PLAIN, days, ended, on, posted, refused, run
from tests.ledger.test_instructions import read_files

FROZEN = {
    "hold": ("hold", {"hold_id": "H", "hold_kind": "authority", "case_number": "O", **CNY}),
    "status": ("account_status", {"status": "frozen", "reason": "x", **CNY}),
    "account": ("stop", {"stop_id": "S", "stop_scope": "account"}),
    "merchant": ("stop", {"stop_id": "S", "stop_scope": "merchant"}),
    "rail": ("stop", {"stop_id": "S", "stop_scope": "rail", "stop_target": "bank"}),
    "all": ("stop", {"stop_id": "S", "stop_scope": "all"}),
}
ENDED = {
    "hold": ("hold_release", {"result_id": "R", "hold_id": "H", "case_number": "O"}),
    "status": ("account_status", {"status": "normal", "reason": "x", **CNY}),
    "stop": ("stop_lift", {"stop_id": "S", "reason": "x"}),
}


@pytest.mark.parametrize("lifted", [False, True])
@pytest.mark.parametrize("account", ["9201:MB", "2101:U1", "2201:M1"])
@pytest.mark.parametrize("name", FROZEN)
def test_d0_17_what_was_frozen_or_stopped_since_is_not_in_the_files_for_the_banks(
    world, name, account, lifted
):
    """They are written after the close: the money, of a merchant or of a user's withdrawal, has
    not left, also where the payout was booked when it was made. The bank was told nothing, so the
    payout failed, or comes back, and is due again later."""
    number = _bank_managed(world)
    posted(world.do("payment", amount_minor=4_000, **PLAIN))
    posted(world.do("settlement", payout_id="SO", amount_minor=4_000))
    posted(world.do("top_up", amount_minor=20_000))
    posted(world.do("withdrawal", withdrawal_id="W", amount_minor=5_000, fee_minor=25))
    mine = {"9201:MB": number, "2101:U1": "W", "2201:M1": "SO"}
    type_, values = FROZEN[name]
    given = dict(values)
    if type_ == "stop":
        given.update(stop_mode="everything", reason="x")
    if name == "merchant":
        given["stop_target"] = account.partition(":")[2]
    elif name == "account":
        given["stop_target"] = account
    elif name in ("hold", "status"):
        given["account_id"] = account
    posted(world.send(type_, **given))
    if lifted:
        type_, values = ENDED.get(name, ENDED["stop"])
        world.approved(type_, **values, **(
            {"account_id": account} if name == "status" else {}))
    world.close()
    files = write_instructions(world.settings, DAY)
    wide = name in ("rail", "all")
    kept = set() if lifted else (set(mine.values()) if wide else {mine[account]})
    assert sum(file.rows for file in files) == 3 - len(kept)
    told = [json.loads(file.path.with_suffix(".control.json").read_bytes()) for file in files]
    assert {one for control in told for one in control.get("kept_back", ())} == kept


def test_d0_17_what_was_kept_back_is_answered_as_failed_and_is_due_again(world):
    number = _bank_managed(world)
    posted(world.send("hold", account_id="9201:MB", **FROZEN["hold"][1]))
    world.close()
    when = on(world, 1)
    waits = world.send("hold_release", ANN, **ENDED["hold"][1], **when)
    posted(world.approve(waits["sequence"], **when))
    assert run(world, 1).amounts == {}  # it is instructed
    posted(_said(world, number, "failed", **when))
    assert run(world, 1).amounts == {"settlement": 3_000}
    world.close(days(1))
    assert [file.rows for file in write_instructions(world.settings, days(1))] == [1, 0, 0]


def test_d0_17_a_booked_payout_that_was_kept_back_comes_back_and_is_due_again(world):
    """No bank has it, so nobody answers it: it is booked back once the stop is lifted."""
    posted(world.do("payment", amount_minor=4_000, **PLAIN))
    posted(world.do("settlement", payout_id="SO", amount_minor=4_000))
    posted(world.send("stop", stop_id="S", stop_scope="merchant", stop_target="M1", reason="x",
                      stop_mode="everything"))
    world.close()
    assert [file.rows for file in write_instructions(world.settings, DAY)] == [0, 0, 0]
    when = on(world, 1)
    waits = world.send("stop_lift", ANN, stop_id="S", reason="x", **when)
    posted(world.approve(waits["sequence"], **when))
    posted(world.send("settlement_returned", return_id="B", payout_id="SO", **when))
    assert run(world, 1).amounts == {"settlement": 4_000}
    world.close(days(1))
    assert [file.rows for file in write_instructions(world.settings, days(1))] == [0, 1, 0]


def test_d0_17_an_account_that_closed_after_its_last_payout_keeps_nothing_back(world):
    """Rule D4a.10: the final payout goes out, whatever becomes of its account."""
    posted(world.do("payment", amount_minor=4_000, **PLAIN))
    posted(world.do("settlement", payout_id="SO", amount_minor=4_000))
    ended(world, "M1")
    posted(world.send("account_status", account_id="2201:M1", status="closed", reason="x", **CNY))
    world.close()
    assert [file.rows for file in write_instructions(world.settings, DAY)] == [0, 1, 0]


def test_d0_17_a_stop_of_new_business_keeps_nothing_back(world):
    """What is under way goes on."""
    _bank_managed(world)
    posted(world.send("stop", stop_id="S", stop_scope="all", stop_mode="new_business", reason="x"))
    world.close()
    assert [file.rows for file in write_instructions(world.settings, DAY)] == [1, 0, 0]


def _sent(world, number=0):
    """Numbers in a date's files, and those that are kept back."""
    world.close(days(number))
    _, read = read_files(world, days(number))
    return ({row["payout_id"] for rows, _ in read.values() for row in rows},
            {one for _, control in read.values() for one in control.get("kept_back", ())})


def _freeze(world, account="2101:U1", amount=5_000, name="H", kind="authority", **more):
    posted(world.send("hold", hold_id=name, hold_kind=kind, account_id=account,
                      amount_minor=amount, case_number="O", **CNY, **more))


def _withdrawn(world, *names, stock=10_000):
    posted(world.do("top_up", amount_minor=stock))
    for name in names:
        posted(world.do("withdrawal", withdrawal_id=name, amount_minor=5_000, fee_minor=25))


@pytest.mark.parametrize("account", ["9201:MB", "2101:U1"])
def test_d0_17_an_amount_frozen_since_keeps_back_what_it_lacks(world, account):
    """3,000 instructed, 3,500 asked for by an authority: without the payout they are not there."""
    number = _bank_managed(world)
    _withdrawn(world, "W")
    mine = {"9201:MB": number, "2101:U1": "W"}
    _freeze(world, account, 5_500)
    assert _sent(world) == ({number, "W"} - {mine[account]}, {mine[account]})


@pytest.mark.parametrize("amount", [1, 4_975])
def test_d0_17_an_amount_that_is_there_beside_the_payout_keeps_nothing_back(world, amount):
    """10,000 less a withdrawal of 5,000 with its fee of 25."""
    _withdrawn(world, "W")
    _freeze(world, amount=amount)
    assert _sent(world) == ({"W"}, set())


def test_d0_17_the_newest_payouts_are_kept_back_as_far_as_the_amount_needs(world):
    """Each whole. 15,100 less two withdrawals leave 5,050; 5,051 lack one unit."""
    _withdrawn(world, "W1", "W2", stock=15_100)
    _freeze(world, amount=5_051)
    assert _sent(world) == ({"W1"}, {"W2"})


def test_d0_17_all_are_kept_back_by_more_than_there_is(world):
    _withdrawn(world, "W1", "W2", stock=15_100)
    _freeze(world, amount=1_000_000)
    assert _sent(world) == (set(), {"W1", "W2"})


@pytest.mark.parametrize("how", ["released", "filled"])
def test_d0_17_what_is_there_at_the_end_of_the_date_counts(world, how):
    _withdrawn(world, "W")
    _freeze(world, amount=5_000)
    if how == "filled":
        posted(world.do("top_up", amount_minor=1_000))
    else:
        world.approved("hold_release", result_id="R", hold_id="H", case_number="O",
                       amount_minor=25)
    assert _sent(world) == ({"W"}, set())


def test_d0_17_what_the_bank_was_told_on_an_earlier_date_is_not_called_back(world):
    """It is held until the bank's answer, and counts as gone: what came after it stays."""
    _withdrawn(world, "W1", stock=20_000)
    assert _sent(world) == ({"W1"}, set())
    when = on(world, 1)
    posted(world.do("withdrawal", withdrawal_id="W2", amount_minor=5_000, fee_minor=25, **when,
                    authorisation=world.authorise("U1", "D1", 5_000, **when)))
    _freeze(world, amount=9_951, **when)
    assert _sent(world, 1) == (set(), {"W2"})
    later = on(world, 2)
    posted(world.do("withdrawal_result", withdrawal_id="W2", result="failed", **later))
    account = world.ledger.state.account("2101:U1", "CNY")
    assert account.available == 5_024  # 20,000 less W1 with its fee, and the freeze


@pytest.mark.parametrize("date_of_freeze", [0, 1])
def test_d0_17_an_amount_frozen_while_a_withdrawal_waited_for_its_checker_counts(
    world, date_of_freeze
):
    posted(world.do("top_up", amount_minor=10_000))
    world.approved("tariff", tariff_id="T", bank_ppm=0, third_party_ppm=0, least_minor=0,
                   approval_above_minor=5_000)
    waits = world.send("withdrawal", ANN, withdrawal_id="W", user_id="U1", amount_minor=8_000,
                       fee_minor=0, destination_id="D1", **CNY,
                       authorisation=world.authorise("U1", "D1", 8_000))
    if date_of_freeze == 0:
        _freeze(world)
    world.close()
    when = on(world, 1)
    if date_of_freeze == 1:
        _freeze(world, **when)
    posted(world.approve(waits["sequence"], **when))
    assert _sent(world, 1) == (set(), {"W"})


def test_d0_17_a_denied_payment_counts_as_any_freeze_of_an_amount(world):
    number = _bank_managed(world)
    row = next(row for row in world.ledger.store.entries(1) if row[2] == "payment")
    posted(world.send("denied_payment", hold_id="H", original_transaction_id=row[6],
                      case_number="C"))
    assert _sent(world) == (set(), {number})


def test_d0_17_what_a_frozen_account_keeps_back_fills_the_amount_too(world):
    """Nothing is kept back twice for it."""
    _withdrawn(world, "W1", "W2", stock=15_100)
    _freeze(world, amount=6_000)
    posted(world.send("account_status", account_id="2101:U1", status="frozen", reason="x", **CNY))
    assert _sent(world) == (set(), {"W1", "W2"})


TAKES = ("refund", "void", "chargeback", "dispute", "fee")


def _taken(world, type_, amount):
    if type_ == "fee":
        return world.do("fee", amount_minor=amount)
    if type_ == "chargeback":
        return world.send(type_, transaction_id=f"X{world.number}", case_number="N",
                          original_transaction_id="P", amount_minor=amount, **CNY)
    return world.do(type_, original_transaction_id="P",
                    amount_minor=None if type_ == "void" else amount)


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("taken_over", [False, True])
@pytest.mark.parametrize("type_", TAKES)
def test_d0_16_nothing_that_may_take_an_account_below_its_floor_takes_what_is_frozen(
    world, type_, taken_over, restart
):
    """A merchant's refunds, fees and what else posts without money would take what an order keeps;
    what is there beside it they take, and once it is released all."""
    posted(world.do("payment", transaction_id="P", amount_minor=1_000, **PLAIN))
    posted(world.do("payment", amount_minor=9_000, **PLAIN))
    case = {"case_number": "ORDER"}
    posted(world.send("hold", hold_id="H", hold_kind="suspicious" if taken_over else "authority",
                      account_id="2201:M1", amount_minor=9_500, **case, **CNY))
    if taken_over:
        world.approved("hold_takeover", result_id="T", hold_id="H", **case)
    if restart:
        world.ledger.checkpoint()
        world.reopen()
    assert refused(_taken(world, type_, 501 if type_ != "void" else 1_000), "below_floor")
    if type_ != "void":
        posted(_taken(world, type_, 500))
    world.approved("hold_release", result_id="R", hold_id="H", amount_minor=9_000, **case)
    posted(_taken(world, type_, 500))
    assert world.ledger.state.kept_frozen == {("2201:M1", "CNY"): 500}
    world.approved("hold_release", result_id="R2", hold_id="H", **case)
    assert world.ledger.state.kept_frozen == {}
    assert verify(world.settings).broken is None


def test_d0_16_where_less_is_there_than_is_frozen_nothing_of_it_is_taken(world):
    """What comes in fills the freeze; below zero there is nothing to keep."""
    posted(world.do("payment", transaction_id="P", amount_minor=1_000, **PLAIN))
    posted(world.send("hold", hold_id="H", hold_kind="banned", account_id="2201:M1",
                      amount_minor=5_000, case_number="C", **CNY))
    assert refused(_taken(world, "refund", 1), "below_floor")
    posted(world.do("payment", merchant_id="M2", transaction_id="Q", amount_minor=400, **PLAIN))
    posted(world.do("settlement", merchant_id="M2", amount_minor=400))
    posted(world.send("hold", hold_id="H2", hold_kind="banned", account_id="2201:M2",
                      amount_minor=5_000, case_number="C", **CNY))
    posted(world.do("refund", original_transaction_id="Q", amount_minor=400, **PLAIN))
    assert world.balance("2201:M2") == -400
