"""D0, rules 35 to 38 and 53: what a merchant's or provider's own system may send, for whom, under
which numbers, and what it may not say."""

from __future__ import annotations

import orjson
import pytest

from ledger.domain.actors import Actor
from tests.ledger.conftest import ANN
from tests.ledger.rules.words import CNY, INTERNAL, PLAIN, on, posted, refused, tenant

MERCHANT = Actor("caller", "C1")
OTHER = Actor("caller", "C2")


def _registered(world, name="C1", party="M1", on_behalf=(), **values):
    world.approved("caller", **{
        "caller_id": name, "party_id": party, "on_behalf": list(on_behalf), "rates": {},
        "public_key": name.encode().hex().ljust(128, "0"), "enabled": True, **values,
    })


def _user_of(world, merchant="M1", user="MU", amount=20_000):
    """A user of the merchant's system with money on the account."""
    world.register("party", party_id=user, party_kind="user", owner_id=merchant,
                   identity_check="ID")
    world.open([("2101", user)])
    world.do("top_up", user_id=user, amount_minor=amount)


def _sent(world, command, actor=MERCHANT):
    return world.ledger.apply([world.of(actor.id, command)], actor)[0]


def test_d0_37_a_merchant_does_not_book_its_own_card_takings(world):
    """What a scheme or a bank says comes from the house, or from a caller that was given the
    rail; payments from its users' accounts are its own to send."""
    _registered(world)
    said = _sent(world, world.command("payment", **PLAIN))
    assert refused(said, "channel_not_open") and world.balance("2201:M1") == 0
    _registered(world, rails=["unionpay"])
    posted(_sent(world, world.command("payment", **PLAIN)))
    assert refused(_sent(world, world.command("payment", channel="netsunion", **{
        **PLAIN, "merchant_id": "M1"})), "channel_not_open")
    _user_of(world)
    pay = world.command("payment", **{**INTERNAL, "user_id": "MU", "amount_minor": 2_000})
    posted(_sent(world, {**pay, "authorisation": world.authorise("MU", "M1", 2_000)}))


def test_d0_37_a_banks_result_and_own_money_are_not_a_callers_to_say(world):
    """Top-ups, results and returns of withdrawals, redemptions, points: refused without the rail,
    or altogether."""
    _registered(world)
    _user_of(world)
    posted(_withdraw(world, 5_000))
    for type_, values in (
        ("top_up", {"top_up_id": "T", "user_id": "MU", "amount_minor": 10_000, **CNY}),
        ("withdrawal_result", {"result_id": "R", "withdrawal_id": "C1.W5000",
                               "result": "failed"}),
        ("withdrawal_returned", {"return_id": "R", "withdrawal_id": "C1.W5000"}),
    ):
        early = world.send(type_, MERCHANT, **values)
        assert early["reason"] in ("channel_not_open", "not_paid"), early
    for type_, values in (
        ("points_issue", {"movement_id": "P", "user_id": "MU", "amount_minor": 100, **CNY}),
        ("wealth_redemption", {"transaction_id": "W", "original_transaction_id": "B",
                               "amount_minor": 100, **CNY}),
        ("wealth_purchase_result", {"result_id": "W", "original_transaction_id": "B",
                                    "result": "succeeded"}),
        ("wealth_redemption_result", {"result_id": "W", "original_transaction_id": "B",
                                      "user_id": "MU", "result": "failed"}),
        ("authorise", {"authorisation_id": "A", "payer_id": "MU", "payee": "M1",
                       "amount_minor": 1, "method": "password", **CNY}),
        ("mandate_end", {"mandate_id": "M"}),
        ("open_account", {"account_code": "2101", "party_id": "MU", **CNY}),
    ):
        assert refused(world.send(type_, MERCHANT, **values), "no_right", "type"), type_
    _registered(world, rails=["bank"])
    posted(world.send("withdrawal_result", MERCHANT, result_id="R2", withdrawal_id="C1.W5000",
                      result="failed"))


def test_d0_37_a_caller_orders_for_its_own_users_and_says_a_result_on_its_rail_alone(world):
    """Products, their redemption, what is paid from its merchant balance."""
    _registered(world)
    _user_of(world)
    posted(world.send("receipt", receipt_id="R", amount_minor=500, **CNY))
    world.approved("merchant_top_up", application_id="A", merchant_id="M1", receipt_id="R",
                   amount_minor=500, **CNY)
    buy = {"product_id": "F", "amount_minor": 100, **CNY}
    posted(world.send("wealth_purchase_order", MERCHANT, transaction_id="B", user_id="MU",
                      authorisation=world.authorise("MU", "F", 100), **buy))
    posted(world.send("wealth_purchase_result", result_id="RB", result="succeeded",
                      original_transaction_id="C1.B"))
    posted(world.send("wealth_redemption_order", MERCHANT, transaction_id="Q", user_id="MU",
                      original_transaction_id="C1.B"))
    other = world.send("wealth_purchase_order", MERCHANT, transaction_id="B2", user_id="U1",
                       authorisation=world.authorise("U1", "F", 100), **buy)
    assert refused(other, "not_your_merchant")
    posted(world.send("merchant_spend_order", MERCHANT, transaction_id="S", merchant_id="M1",
                      amount_minor=100, fee_minor=0, **CNY))
    said = {"original_transaction_id": "C1.S", "result": "failed"}
    assert refused(world.send("merchant_spend_result", MERCHANT, result_id="X", **said),
                   "channel_not_open")
    _registered(world, rails=["bank"])
    posted(world.send("merchant_spend_result", MERCHANT, result_id="Y", **said))


def test_d0_35_points_are_spent_by_their_owner_alone(world):
    """They are a debit of a customer like any other."""
    world.send("own_funds", movement_id="O", amount_minor=100, **CNY)
    world.send("points_issue", movement_id="I", user_id="U1", amount_minor=100, **CNY)
    spend = {"user_id": "U1", "merchant_id": "M1", "amount_minor": 60, **CNY}
    other = world.authorise("U1", "M2", 60)
    assert refused(world.send("points_spend", movement_id="S1", authorisation=other, **spend),
                   "authorisation_differs", "payee")
    own = world.authorise("U1", "M1", 60)
    posted(world.send("points_spend", movement_id="S2", authorisation=own, **spend))
    assert refused(world.send("points_spend", movement_id="S3", authorisation=own, **spend),
                   "authorisation_unknown")


def _withdraw(world, amount, actor=MERCHANT):
    world.register("bind_account", destination_id=f"D{amount}", party_id="MU",
                   bound_account="6222020000001234", bound_name="A", bank_code="0102")
    return world.send(
        "withdrawal", actor, withdrawal_id=f"W{amount}", user_id="MU", amount_minor=amount,
        fee_minor=amount // 200, destination_id=f"D{amount}",
        authorisation=world.authorise("MU", f"D{amount}", amount), **CNY,
    )


def test_d0_1_a_caller_refunds_and_withdraws(world):
    """On the merchant's request at once; on the user's it waits for a person."""
    _registered(world)
    _user_of(world)
    posted(_withdraw(world, 5_000))
    posted(world.do("payment", transaction_id="P", amount_minor=6_000, **PLAIN))
    part = {"original_transaction_id": "P", **PLAIN, "amount_minor": 1_000}
    posted(_sent(world, world.command("refund", **part)))
    waits = _sent(world, world.command("refund", request="user", ground="wrong_amount", **part))
    assert waits["status"] == "pending"
    posted(world.approve(waits["sequence"]))
    assert world.balance("2201:M1") == 4_000


def test_d1_10_what_waits_for_its_checker_is_held_from_the_request_on(world):
    """Approved it is not held twice; rejected it is free again."""
    world.approved("tariff", tariff_id="T", bank_ppm=5_000, third_party_ppm=10_000,
                   least_minor=0, approval_above_minor=6_000)
    _registered(world)
    _user_of(world)
    account = world.ledger.state.account("2101:MU", "CNY")
    first, second = _withdraw(world, 7_000), None
    assert first["status"] == "pending" and account.held == 7_035
    assert refused(_withdraw(world, 13_000), "below_floor")
    posted(world.approve(first["sequence"]))
    assert account.held == 7_035
    second = _withdraw(world, 8_000)
    assert account.held == 15_075
    posted(world.send("reject", Actor("operator", "ben"), pending=second["sequence"],
                      operator_id="ben", reason="x"))
    assert account.held == 7_035
    posted(world.send("withdrawal_result", result_id="R", withdrawal_id="C1.W7000",
                      result="succeeded"))
    assert (account.held, account.balance) == (0, 20_000 - 7_035)


def test_d0_38_a_suspended_or_cancelled_provider_starts_nothing_new(world):
    """Its merchants' own callers go on; what was begun is ended."""
    world.approved("party", party_id="PR", party_kind="provider")
    _registered(world, "PV", "PR", ["M1"], rails=["unionpay"])
    provider = Actor("caller", "PV")
    paid = posted(_sent(world, world.command("payment", transaction_id="P", **PLAIN), provider))
    world.approved("party_state", party_id="PR", state="suspended",
                   suspension_ground="4", evidence="E")
    assert paid and refused(_sent(world, world.command("payment", **PLAIN), provider),
                            "party_not_active", "party_id")
    back = {"original_transaction_id": "PV.P", **PLAIN}
    posted(_sent(world, world.command("refund", **back), provider))
    _registered(world, rails=["unionpay"])
    posted(_sent(world, world.command("payment", **PLAIN)))


def test_d0_53_every_key_of_a_caller_is_its_own(world):
    """None takes another's numbers, and none is told what stands under them."""
    _registered(world, rails=["unionpay"])
    _registered(world, "C2", "M2", rails=["unionpay"])
    mine = world.command("payment", **PLAIN)
    for changed in ({}, {"idempotency_key": "C1.k"}, {"idempotency_key": "C2.k"},
                    {"transaction_id": "C1.t"}, {"idempotency_key": "C1k"}):
        assert refused(world.ledger.apply([{**mine, **changed}], MERCHANT)[0], "key_not_yours")
    assert world.ledger.store.find_by_key(["C2.k", "C1.k"]) == {}  # nothing holds the key
    done = _sent(world, mine)
    stolen = world.ledger.apply([world.of("C1", mine)], OTHER)[0]
    assert refused(stolen, "key_not_yours") and "field" not in stolen
    assert _sent(world, mine)["sequence"] == done["sequence"]
    other = {**mine, "merchant_id": "M2"}
    posted(_sent(world, other, OTHER))  # the same numbers of its own


@pytest.mark.parametrize(("type_", "values"), [
    ("refund", {"amount_minor": 1, **CNY, **PLAIN}), ("void", {}),
    ("split", {"merchant_id": "M1", "amount_minor": 1, **CNY,
               "parts": [{"merchant_id": "M1", "amount_minor": 1}]}),
    ("pre_authorisation_completion", {"merchant_id": "M1", "user_id": "U1", "amount_minor": 1,
                                      "acquirer_fee_minor": 0, **CNY}),
    ("pre_authorisation_cancel", {}),
])
def test_d0_53_a_caller_is_not_told_whether_another_has_such_a_number(world, type_, values):
    """Nor whose it is: the answer is that for one that is not there."""
    _registered(world)
    _user_of(world, "M2")
    _user_of(world, "M2", "MV")
    for business_key, of, more in (
        ("C2.payment", "payment", {"merchant_id": "M2", **PLAIN}),
        ("C2.held", "pre_authorisation", {"merchant_id": "M2", "user_id": "MU",
                                          "authorisation": world.authorise("MU", "M2", 500)}),
        ("C2.moved", "transfer", {"user_id": "MU", "payee_id": "MV",
                                  "authorisation": world.authorise("MU", "MV", 500)}),
    ):
        command = {"transaction_id": business_key, "amount_minor": 500, **CNY, **more}
        if of == "payment":
            command["channel"] = "unionpay"
        posted(world.send(of, **command))
    said = [
        {name: result[name] for name in ("reason", "detail", "field")} for result in (
            world.send(type_, MERCHANT, transaction_id=f"X{number}",
                       original_transaction_id=number, **values)
            for number in ("C2.none", "C2.payment", "C2.held", "C2.moved")
        )
    ]
    assert said[0]["reason"] == "original_unknown"
    assert all(one == said[0] for one in said)


@pytest.mark.parametrize("reserved", ["cover-x", "foreign-x"])
def test_d0_53_the_services_own_numbers_are_no_callers(world, reserved):
    """A caller cannot take a house's number by way of what the service records for it."""
    _registered(world)
    sent = {"type": "foreign_read", "interface": "holds", "asked": "M2",
            "idempotency_key": "k1", "occurred_at": "2026-09-12T10:00:00+08:00"}
    assert refused(world.ledger.apply([sent], MERCHANT)[0], "ledger_only")
    assert refused(world.ledger.record(sent, MERCHANT), "key_not_yours")
    assert refused(world.ledger.apply([{**world.command("payment"), "idempotency_key": reserved}],
                                      MERCHANT)[0], "key_not_yours")


def test_d0_06_what_waited_stays_in_its_books_as_any_other(world):
    """A withdrawal that a checker approved comes back to the books that it left, whatever the
    contract says since."""
    tenant(world, settlement_cycle="T+0")
    world.register("party", party_id="MU", party_kind="user", owner_id="TM", identity_check="ID")
    world.open([("2101", "MU"), ("9101", "MU"), ("9001", None), ("2201", "TM"), ("9201", "TM")])
    world.do("top_up", user_id="MU", amount_minor=20_100)
    world.approved("tariff", tariff_id="T", bank_ppm=5_000, third_party_ppm=10_000,
                   least_minor=0, approval_above_minor=6_000)
    waits = _withdraw(world, 20_000, ANN)
    done = posted(world.approve(waits["sequence"]))
    assert [e[1] for e in orjson.loads(world.row(done)[14]) if e[0] == "hold"] == ["W20000"]
    posted(world.send("withdrawal_result", result_id="R", withdrawal_id="W20000",
                      result="succeeded"))
    assert world.balance("2101:MU") == 0
    when = on(world, 1)
    world.send("contract", ANN, contract_id="C2", merchant_id="TM", settlement_mode="bank",
               settlement_cycle="T+0", minimum_minor=0, fee_choice="bill",
               valid_from=when["occurred_at"][:10], **when)
    posted(world.approve(world.ledger.head.sequence, **when))
    posted(world.send("withdrawal_returned", return_id="B", withdrawal_id="W20000", **when))
    assert (world.balance("2101:MU"), world.balance("9101:MU")) == (20_100, 0)
