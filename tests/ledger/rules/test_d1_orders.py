"""Rules D1.10, D1.19: what somebody outside answers later or never. The hold stays until the
answer, or until two people decide; each answer counts once."""

from __future__ import annotations

import pytest

from ledger.domain.actors import Actor
from ledger.entrypoints.operations import verify
from ledger.service.deadlines import deadlines
from ledger.service.events import events
from ledger.service.statements import Asked, statement
from tests.ledger.conftest import ANN, DAY, SYSTEM
from tests.ledger.rules.words import CNY, PLAIN, days, on, posted, refused

BEN = Actor("operator", "ben")
#: order -> (its result, account, what is held of 10,000 minor units)
ORDERS = {
    "wealth_purchase_order": ("wealth_purchase_result", "2101:U1", 10_000),
    "prepaid_redeem_order": ("prepaid_redeem_result", "2501:K1", 10_000),
    "merchant_spend_order": ("merchant_spend_result", "2211:M1", 10_030),
}


@pytest.fixture
def stocked(world):
    """20,000 in the book of a user, on a card, in a merchant balance."""
    world.register("party", party_id="K1", party_kind="card", identity_check="ID")
    world.register("bind_account", destination_id="DK", party_id="K1", bound_account="6",
                   bound_name="K", bank_code="B")
    world.open([("2501", "K1")])
    posted(world.do("top_up", amount_minor=20_000))
    posted(world.send("prepaid_load", transaction_id="L", card_id="K1", amount_minor=20_000,
                      **CNY))
    posted(world.send("receipt", receipt_id="R", amount_minor=20_000, **CNY))
    world.approved("merchant_top_up", application_id="A", merchant_id="M1", receipt_id="R",
                   amount_minor=20_000, **CNY)
    return world


def _values(world, type_, amount):
    if type_ == "wealth_purchase_order":
        return {"user_id": "U1", "product_id": "F", "authorisation":
                world.authorise("U1", "F", amount)}
    if type_ == "prepaid_redeem_order":
        return {"card_id": "K1", "destination_id": "DK", "authorisation":
                world.authorise("K1", "DK", amount)}
    return {"merchant_id": "M1", "fee_minor": 30}


def _order(world, type_, number="O", amount=10_000, actor=SYSTEM, **more):
    return world.send(type_, actor, transaction_id=number, amount_minor=amount,
                      **_values(world, type_, amount), **CNY, **more)


def _result(world, type_, result, number, actor=SYSTEM, of="O", **more):
    if type_ == "wealth_redemption_result":
        more = {"user_id": "U1", **more}
    return world.send(type_, actor, result_id=number, original_transaction_id=of, result=result,
                      **more)


@pytest.mark.parametrize("type_", ORDERS)
def test_d1_10_an_order_holds_and_a_success_books_it_once(stocked, type_):
    """Nothing moves before the answer; what is held is nobody's to spend."""
    result, name, held = ORDERS[type_]
    account, before = stocked.ledger.state.account(name, "CNY"), stocked.balances()
    posted(_order(stocked, type_))
    assert stocked.balances() == before and (account.held, account.available) == (
        held, 20_000 - held)
    assert refused(_order(stocked, type_, "O2", 10_001), "below_floor")
    posted(_result(stocked, result, "unknown", "R1"))
    assert account.held == held and stocked.balances() == before
    done = posted(_result(stocked, result, "succeeded", "R2"))
    legs = stocked.legs(done)
    assert legs[0][:3] == (name, "D", held)
    assert ("1001", "C", 10_000, "payout", "O") in legs
    assert (account.held, account.balance) == (0, 20_000 - held)
    for again in ("succeeded", "failed", "unknown"):
        assert refused(_result(stocked, result, again, f"R-{again}"), "already_decided")
    assert verify(stocked.settings).broken is None


@pytest.mark.parametrize("type_", ORDERS)
def test_d1_10_a_refused_order_gives_back_all_that_it_held(stocked, type_):
    result, name, _ = ORDERS[type_]
    account, before = stocked.ledger.state.account(name, "CNY"), stocked.balances()
    posted(_order(stocked, type_))
    assert posted(_result(stocked, result, "failed", "R1"))["journal_id"] is None
    assert stocked.balances() == before and account.held == 0
    assert refused(_result(stocked, result, "succeeded", "R2"), "already_decided")
    posted(_order(stocked, type_, "O2", amount=10_000))


@pytest.mark.parametrize("type_", ORDERS)
def test_d1_10_without_an_answer_two_people_decide_with_evidence(stocked, type_):
    """One alone releases nothing, and takes nothing; the hold has no end of its own."""
    result, name, held = ORDERS[type_]
    account = stocked.ledger.state.account(name, "CNY")
    posted(_order(stocked, type_))
    when = on(stocked, 40)
    stocked.ledger.close_day(DAY)
    assert account.held == held
    assert refused(_result(stocked, result, "failed", "R1", ANN, **when), "result_incomplete",
                   "evidence")
    waits = _result(stocked, result, "failed", "R2", ANN, evidence="LETTER-7", **when)
    assert waits["status"] == "pending" and account.held == held
    assert refused(stocked.approve(waits["sequence"], "ann", **when), "maker_is_checker")
    posted(stocked.approve(waits["sequence"], **when))
    assert (account.held, account.balance) == (0, 20_000)
    assert verify(stocked.settings).broken is None


@pytest.mark.parametrize("type_", ORDERS)
def test_d1_10_an_answer_that_came_before_the_checker_stands(stocked, type_):
    result, name, held = ORDERS[type_]
    posted(_order(stocked, type_))
    waits = _result(stocked, result, "failed", "R1", ANN, evidence="E")
    posted(_result(stocked, result, "succeeded", "R2"))
    assert refused(stocked.approve(waits["sequence"]), "already_decided")
    assert stocked.balance(name) == 20_000 - held


@pytest.mark.parametrize("type_", ORDERS)
def test_d0_73_the_result_of_an_order_that_was_reversed_holds_it_again(stocked, type_):
    result, name, held = ORDERS[type_]
    account = stocked.ledger.state.account(name, "CNY")
    posted(_order(stocked, type_))
    done = posted(_result(stocked, result, "succeeded", "R1"))
    stocked.approved("reversal", adjustment_id="J", incident_number="N", reason="x",
                     journal_id=done["journal_id"])
    assert (account.balance, account.held) == (20_000, held)
    posted(_result(stocked, result, "failed", "R2"))
    assert (account.balance, account.held) == (20_000, 0)
    assert verify(stocked.settings).broken is None


def _lines(world, account, **asked):
    found = statement(world.ledger, account, "CNY", Asked(**asked), 0, 100)["movements"]
    return [(line["type"], line["number"], line["result_number"], line["amount_minor"],
             line["status"]) for line in found]


@pytest.mark.parametrize("checkpoint", [False, True])
@pytest.mark.parametrize("type_", ORDERS)
def test_d1_14_an_order_is_found_by_its_own_number_in_every_state(stocked, type_, checkpoint):
    """As the business that it is, whatever came of it, in memory and from a checkpoint."""
    result, account, held = ORDERS[type_]
    kind = type_.removesuffix("_order")
    for number in ("OK", "NO", "OPEN", "ASKED"):
        posted(_order(stocked, type_, number, 1_000))
    for number, said in (("OK", "succeeded"), ("NO", "failed"), ("ASKED", "unknown")):
        posted(_result(stocked, result, said, f"R-{number}", of=number))
    if checkpoint:
        stocked.reopen()
    amount = 10_000 - held - 1_000
    whole = [
        (kind, "NO", "R-NO", amount, "failed"), (kind, "OPEN", None, amount, "under_way"),
        (kind, "ASKED", "R-ASKED", amount, "under_way"), (kind, "OK", "R-OK", amount, "posted"),
    ]
    assert _lines(stocked, account, type=kind) == whole == _lines(stocked, account, type=type_)
    for line in whole:
        assert _lines(stocked, account, number=line[1]) == [line]


def test_d1_14_a_redemption_names_its_purchase_and_has_no_amount_before_it_is_known(stocked):
    posted(_order(stocked, "wealth_purchase_order"))
    posted(_result(stocked, "wealth_purchase_result", "succeeded", "R1"))
    posted(stocked.do("wealth_redemption_order", transaction_id="Q", original_transaction_id="O"))
    asked = {"type": "wealth_redemption"}
    assert _lines(stocked, "2101:U1", **asked) == [
        ("wealth_redemption", "Q", None, None, "under_way")]
    assert _lines(stocked, "2101:U1", least=1, **asked) == []  # nobody knows yet
    assert _lines(stocked, "2702:U1") == []
    posted(_result(stocked, "wealth_redemption_result", "succeeded", "R2", of="Q",
                   amount_minor=10_100))
    assert _lines(stocked, "2101:U1", **asked) == [
        ("wealth_redemption", "Q", "R2", 10_100, "posted")]
    (line,) = statement(stocked.ledger, "2101:U1", "CNY", Asked(number="Q"), 0, 9)["movements"]
    assert line["original"] == "O"


def test_d1_14_a_payout_that_the_bank_was_told_to_make_is_under_way(world):
    """Of bank-managed money; of another it is booked when it is made."""
    world.merchant("MB", settlement_mode="bank")
    world.open([("9001", None), ("9201", "MB")])
    for merchant, account, number, before in (
        ("MB", "9201:MB", "S", "under_way"), ("M1", "2201:M1", "T", "posted"),
    ):
        posted(world.do("payment", merchant_id=merchant, **PLAIN))
        posted(world.do("settlement", payout_id=number, merchant_id=merchant))
        assert _lines(world, account, type="settlement") == [
            ("settlement", number, None, -10_000, before)]
    posted(world.send("settlement_result", result_id="R", payout_id="S", result="succeeded"))
    line = ("settlement", "S", "R", -10_000, "posted")
    assert _lines(world, "9201:MB", type="settlement") == [line]
    assert _lines(world, "9201:MB", number="S") == _lines(world, "9201:MB", number="R") == [line]
    posted(world.send("settlement_returned", return_id="B", payout_id="T"))
    assert _lines(world, "2201:M1", number="T") == [
        ("settlement", "T", None, -10_000, "returned")]


@pytest.mark.parametrize("type_", ORDERS)
def test_d1_12_an_order_without_an_answer_is_on_the_desks_list(stocked, type_):
    result = ORDERS[type_][0]
    posted(_order(stocked, type_))
    posted(_result(stocked, result, "unknown", "R1"))
    (line,) = deadlines(stocked.ledger, DAY)
    assert (line["kind"], line["number"], line["due_on"], line["overdue"]) == (
        "order", "O", "2026-09-16", False)
    posted(_result(stocked, result, "failed", "R2"))
    assert deadlines(stocked.ledger, DAY) == []


def test_d1_10_a_banks_result_that_a_person_enters_needs_a_checker_too(world):
    """Of a withdrawal, and of a payout that the bank was instructed to make."""
    world.merchant("MB", settlement_mode="bank")
    world.open([("9001", None), ("9201", "MB")])
    posted(world.do("payment", merchant_id="MB", **PLAIN))
    posted(world.do("settlement", payout_id="S", merchant_id="MB"))
    posted(world.do("top_up", amount_minor=20_000))
    posted(world.do("withdrawal", withdrawal_id="W"))
    for type_, asked, account, held in (
        ("withdrawal_result", {"withdrawal_id": "W"}, "2101:U1", 10_050),
        ("settlement_result", {"payout_id": "S"}, "9201:MB", 10_000),
    ):
        said = {"result": "failed", **asked}
        assert refused(world.send(type_, ANN, result_id=f"R-{type_}", **said),
                       "result_incomplete", "evidence")
        waits = world.send(type_, ANN, result_id=f"R2-{type_}", evidence="E", **said)
        found = world.ledger.state.account(account, "CNY")
        assert waits["status"] == "pending" and found.held == held
        posted(world.approve(waits["sequence"]))
        assert found.held == 0


def test_d1_10_nobody_else_frees_or_takes_what_an_order_holds(stocked):
    """Neither two people past its result, nor an authority: it may have left already."""
    posted(_order(stocked, "wealth_purchase_order"))
    for type_, more in (
        ("hold_release", {}), ("hold_capture", {"to_account_id": "2201:M1"}),
        ("hold_takeover", {}),
    ):
        assert refused(stocked.send(type_, ANN, result_id="X", hold_id="O", case_number="C",
                                    **more), "hold_not_allowed")
    assert refused(stocked.send("hold", hold_id="H", hold_kind="outgoing", account_id="2101:U1",
                                amount_minor=1, case_number="C", **CNY), "hold_not_allowed")


@pytest.mark.parametrize("type_", ORDERS)
def test_d2_09_an_order_counts_against_the_limits_when_it_is_given(stocked, type_):
    result, account, _ = ORDERS[type_]
    stocked.approved("limit", limit_id="L1", scene=type_.removesuffix("_order"),
                     account_code=account.partition(":")[0], grade="standard",
                     valid_from=DAY.isoformat(), day_minor=15_000, **CNY)
    posted(_order(stocked, type_))
    posted(_result(stocked, result, "failed", "R1"))
    assert refused(_order(stocked, type_, "O2", 5_001), "limit_exceeded")
    posted(_order(stocked, type_, "O3", 5_000))
    posted(_result(stocked, result, "succeeded", "R2", of="O3"))  # its result counts no more
    assert verify(stocked.settings).broken is None


def test_d2_09_a_card_paid_back_at_once_or_by_order_counts_as_one(stocked):
    stocked.approved("limit", limit_id="L1", scene="prepaid_redeem", account_code="2501",
                     valid_from=DAY.isoformat(), day_minor=15_000, **CNY)
    posted(_order(stocked, "prepaid_redeem_order"))
    for number, amount in (("B1", 5_001), ("B2", 5_000)):
        done = stocked.send("prepaid_redeem", transaction_id=number, amount_minor=amount,
                            **_values(stocked, "prepaid_redeem_order", amount), **CNY)
        assert refused(done, "limit_exceeded") if amount > 5_000 else posted(done)


def test_d2_10_an_order_counts_for_the_breaker_by_its_result(stocked):
    stocked.approved("breaker", breaker_scope="rail", window_seconds=60, least_count=2,
                     refused_percent=60)
    for number in range(3):
        posted(_order(stocked, "wealth_purchase_order", f"O{number}", 1_000))
    assert not stocked.ledger.state.table("stop")
    posted(_result(stocked, "wealth_purchase_result", "unknown", "R0", of="O0"))
    posted(_result(stocked, "wealth_purchase_result", "failed", "R1", of="O1"))
    assert not stocked.ledger.state.table("stop")
    posted(_result(stocked, "wealth_purchase_result", "failed", "R2", of="O2"))
    (stop,) = stocked.ledger.state.table("stop").values()
    assert (stop["scope"], stop["target"], stop["mode"]) == ("rail", "bank", "new_business")
    posted(_result(stocked, "wealth_purchase_result", "failed", "R3", of="O0"))


def test_d1_10_an_account_that_is_not_normal_orders_nothing_and_is_answered(stocked):
    """What was ordered before may have left: its result is booked whatever came since."""
    posted(_order(stocked, "wealth_purchase_order"))
    stocked.register("account_status", account_id="2101:U1", status="frozen", reason="x", **CNY)
    assert refused(_order(stocked, "wealth_purchase_order", "O2", 1_000), "account_status")
    posted(_result(stocked, "wealth_purchase_result", "succeeded", "R1"))
    assert stocked.balance("2101:U1") == 10_000


def _bought(world, type_, **more):
    """A purchase of 10,000, booked; its journal."""
    if type_ == "wealth_purchase":
        return posted(world.send(type_, transaction_id="O", user_id="U1", product_id="F",
                                 amount_minor=10_000, authorisation=world.authorise(
                                     "U1", "F", 10_000), **CNY, **more))
    posted(_order(world, "wealth_purchase_order", **more))
    return posted(_result(world, "wealth_purchase_result", "succeeded", "RO"))


PURCHASES = ("wealth_purchase", "wealth_purchase_order")


@pytest.mark.parametrize("type_", PURCHASES)
def test_d1_19_an_order_to_redeem_binds_the_purchase_until_its_result(stocked, type_):
    """Nothing else redeems it, and it is not reversed; refused, it is free again."""
    bought = _bought(stocked, type_)
    ask = {"original_transaction_id": "O"}
    wants = {"user_id": "U1", **ask}
    posted(stocked.send("wealth_redemption_order", transaction_id="Q", **wants))
    posted(_result(stocked, "wealth_redemption_result", "unknown", "R1", of="Q"))
    for other in (
        stocked.send("wealth_redemption_order", transaction_id="Q2", **wants),
        stocked.send("wealth_redemption", transaction_id="Q3", amount_minor=1, **ask, **CNY),
    ):
        assert refused(other, "already_decided")
    reversal = {"incident_number": "N", "reason": "x", "journal_id": bought["journal_id"]}
    assert refused(
        stocked.send("reversal", ANN, adjustment_id="J1", **reversal),
        "exceeds_original" if type_ == "wealth_purchase" else "already_decided",
    )
    posted(_result(stocked, "wealth_redemption_result", "failed", "R2", of="Q"))
    assert refused(_result(stocked, "wealth_redemption_result", "succeeded", "R3", of="Q",
                           amount_minor=1), "already_decided")
    posted(stocked.send("wealth_redemption_order", transaction_id="Q4", **wants))
    done = posted(_result(stocked, "wealth_redemption_result", "succeeded", "R4", of="Q4",
                          amount_minor=10_050))
    assert stocked.legs(done) == [
        ("1001", "D", 10_050, "deposit", "Q4"), ("2101:U1", "C", 10_050, "wealth", None),
    ]
    assert stocked.balance("2101:U1") == 20_050
    assert refused(stocked.send("wealth_redemption_order", transaction_id="Q5", **wants),
                   "already_decided")
    stocked.approved("reversal", adjustment_id="J2", incident_number="N", reason="x",
                     journal_id=done["journal_id"])
    assert refused(stocked.send("wealth_redemption_order", transaction_id="Q6", **wants),
                   "already_decided")  # nobody knows what became of Q4 again
    posted(_result(stocked, "wealth_redemption_result", "failed", "R5", of="Q4"))
    stocked.approved("reversal", adjustment_id="J3", **reversal)
    assert verify(stocked.settings).broken is None


def test_d1_19_an_order_that_is_not_confirmed_is_not_redeemed(stocked):
    posted(_order(stocked, "wealth_purchase_order"))
    for result in (None, "unknown", "failed"):
        if result is not None:
            posted(_result(stocked, "wealth_purchase_result", result, f"R-{result}"))
        ask = {"original_transaction_id": "O"}
        assert refused(stocked.send("wealth_redemption_order", transaction_id="Q", user_id="U1",
                                    **ask), "not_paid")
        assert refused(stocked.send("wealth_redemption", transaction_id="Q", amount_minor=1,
                                    **ask, **CNY), "not_paid")


def test_d1_19_a_redemption_posts_on_the_settlement_date_and_says_what_arrived(stocked):
    _bought(stocked, "wealth_purchase_order", settles_on=days(2).isoformat())
    ask = {"transaction_id": "Q", "original_transaction_id": "O"}
    assert refused(stocked.send("wealth_redemption_order", user_id="U2", **ask),
                   "original_differs", "user_id")
    posted(stocked.send("wealth_redemption_order", user_id="U1", **ask))

    def said(result, number, **more):
        return _result(stocked, "wealth_redemption_result", result, number, of="Q", **more)

    assert refused(said("failed", "R0", user_id="U2"), "original_differs", "user_id")
    assert refused(said("succeeded", "R1", amount_minor=10_050), "not_due")
    posted(said("unknown", "R2"))
    when = on(stocked, 2)
    assert refused(said("succeeded", "R3", **when), "result_incomplete", "amount_minor")
    assert refused(said("failed", "R4", amount_minor=1, **when), "result_incomplete",
                   "amount_minor")
    assert refused(said("succeeded", "R5", actor=ANN, amount_minor=1, **when),
                   "result_incomplete", "evidence")
    waits = said("succeeded", "R6", actor=ANN, amount_minor=10_050, evidence="E", **when)
    assert stocked.balance("2101:U1") == 10_000
    posted(stocked.approve(waits["sequence"], **when))
    assert stocked.balance("2101:U1") == 20_050


@pytest.mark.parametrize("type_", ORDERS)
@pytest.mark.parametrize("result", ["succeeded", "failed"])
def test_d2_06_whose_order_it_is_hears_of_it_and_of_its_result(stocked, type_, result):
    """Each by one event, also where nothing moved."""
    role, party = {"2101": ("user", "U1"), "2501": ("user", "K1"), "2211": ("merchant", "M1")}[
        ORDERS[type_][1].partition(":")[0]]
    last = events(stocked.ledger.store, None, 1000)["next"]
    posted(_order(stocked, type_))
    posted(_result(stocked, ORDERS[type_][0], result, "R1"))
    told = [
        (e["operation"], e["to"], e["party_id"])
        for e in events(stocked.ledger.store, last, 1000)["events"]
        if e["event"] == "result" and e["operation"] != "authorise"
    ]
    assert told == [(type_, role, party), (ORDERS[type_][0], role, party)]


def test_d2_06_a_user_hears_that_a_redemption_was_refused(stocked):
    _bought(stocked, "wealth_purchase")
    last = events(stocked.ledger.store, None, 1000)["next"]
    posted(stocked.send("wealth_redemption_order", transaction_id="Q", user_id="U1",
                        original_transaction_id="O"))
    posted(_result(stocked, "wealth_redemption_result", "failed", "R1", of="Q"))
    told = [(e["event"], e["to"], e["party_id"])
            for e in events(stocked.ledger.store, last, 1000)["events"]]
    assert told == [("result", "user", "U1")] * 2
