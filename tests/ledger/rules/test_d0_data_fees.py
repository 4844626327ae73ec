"""D0, rules 24, 28 and 30: the fee for data processing of each kind of order (入金, 出金, 外部渠道,
余额交易), in one journal with the order, from the merchant's prepaid account or on its bill."""

from __future__ import annotations

import pytest

from ledger.domain.actors import Actor
from ledger.entrypoints.operations import verify
from tests.ledger.conftest import ANN
from tests.ledger.rules.words import CNY, PLAIN, days, on, posted, refused, tenant

AMOUNT = 10_000


def _scene(world, fee_choice, **contract):
    """TM with a user, a payee and a card of its own, and 1.00 on its prepaid account."""
    tenant(world, fee_choice=fee_choice, **contract)
    world.register("party", party_id="TK", party_kind="card", owner_id="TM",
                   identity_check="ID")
    world.open([("2201", "TM"), ("2101", "TU1"), ("2101", "TU2"), ("2501", "TK"),
                ("2601", "TM"), ("1204", "TM")])
    if fee_choice == "prepaid":
        posted(world.send("fee_prepayment", movement_id="PRE", merchant_id="TM",
                          amount_minor=100, **CNY))


def _funded(world, fee=None):
    posted(world.send("top_up", top_up_id="IN", user_id="TU1", amount_minor=5 * AMOUNT,
                      data_fee_minor=fee, **CNY))
    posted(world.send("prepaid_load", transaction_id="CARD", card_id="TK", amount_minor=AMOUNT,
                      **CNY))


def _orders(world):
    """Each order as (type, values); what they need stands in the registers."""
    posted(world.send("pre_authorisation", transaction_id="PA", user_id="TU1", merchant_id="TM",
                      amount_minor=AMOUNT, authorisation=world.authorise("TU1", "TM", AMOUNT),
                      **CNY))
    world.register("mandate", mandate_id="MD", payer_id="TU1", payee="TM", amount_minor=AMOUNT,
                   method="signature", valid_from="2026-09-12", valid_to="2026-12-31", **CNY)
    paid = {"merchant_id": "TM", "user_id": "TU1", "acquirer_fee_minor": 0}
    return {
        "top_up": {"top_up_id": "N-top_up", "user_id": "TU1"},
        "transfer": {"user_id": "TU1", "payee_id": "TU2",
                     "authorisation": world.authorise("TU1", "TU2", AMOUNT)},
        "payment": {"merchant_id": "TM", "channel": "unionpay", **PLAIN},
        "collection": {**paid, "authorisation": "MD"},
        "agreement_payment": {**paid, "authorisation": "MD"},
        "pre_authorisation_completion": {**paid, "original_transaction_id": "PA"},
        "prepaid_spend": {"card_id": "TK", "merchant_id": "TM", "acquirer_fee_minor": 0,
                          "authorisation": world.authorise("TK", "TM", AMOUNT)},
    }


ORDERS = ("top_up", "transfer", "payment", "collection", "agreement_payment",
          "pre_authorisation_completion", "prepaid_spend")


def _send(world, type_, values, **more):
    key = {} if type_ == "top_up" else {"transaction_id": f"N-{type_}"}
    return world.send(type_, amount_minor=AMOUNT, **{**CNY, **key, **values, **more})


@pytest.mark.parametrize("type_", ORDERS)
def test_d0_28_every_order_and_its_fee_are_one_journal_or_nothing(world, type_):
    """From the prepaid account of the merchant whose user or card moves; short, nothing posts."""
    _scene(world, "prepaid")
    _funded(world)
    values = _orders(world)[type_]
    before = world.balances()
    assert refused(_send(world, type_, values, data_fee_minor=101), "below_floor")
    assert world.balances() == before
    done = posted(_send(world, type_, values, data_fee_minor=100))
    assert [leg[:3] for leg in world.legs(done)[-2:]] == [
        ("2601:TM", "D", 100), ("6001", "C", 100)]


@pytest.mark.parametrize("type_", ORDERS)
def test_d0_30_the_contracts_rate_is_kept_by_every_order_half_up(world, type_):
    """0.45 % of 100.00 is 0.45, on the bill; another fee, or none, is refused."""
    _scene(world, "bill", data_ppm=4_550)
    _funded(world, fee=228)  # 500.00 × 0.455 % = 2.275
    values = _orders(world)[type_]
    for wrong in (45, None):
        assert refused(_send(world, type_, values, data_fee_minor=wrong), "fee_differs",
                       "data_fee_minor")
    done = posted(_send(world, type_, values, data_fee_minor=46))
    assert [leg[:3] for leg in world.legs(done)[-2:]] == [
        ("1204:TM", "D", 46), ("6001", "C", 46)]


def test_d0_28_a_user_of_no_merchant_has_nobody_who_pays_it(world):
    """The institution's own users."""
    said = world.do("top_up", data_fee_minor=1)
    assert refused(said, "fee_not_allowed", "data_fee_minor")
    said = world.do("withdrawal", data_fee_minor=1)
    assert refused(said, "fee_not_allowed", "data_fee_minor")


def _bound(world):
    world.register("bind_account", destination_id="DT", party_id="TU1",
                   bound_account="6222020000001234", bound_name="T", bank_code="0102")


def _withdraw(world, number, fee, **more):
    return world.send(
        "withdrawal", withdrawal_id=f"W{number}", user_id="TU1", amount_minor=AMOUNT,
        fee_minor=50, destination_id="DT", authorisation=world.authorise("TU1", "DT", AMOUNT),
        data_fee_minor=fee, **CNY, **more,
    )


def _said(world, number, result, **more):
    return posted(world.send("withdrawal_result", result_id=f"R{world.number}",
                             withdrawal_id=f"W{number}", result=result, **more))


def _held(world):
    return tuple(
        world.ledger.state.account(name, "CNY").held for name in ("2101:TU1", "2601:TM")
    )


def test_d0_28_a_withdrawal_holds_its_data_fee_and_books_it_in_the_journal_of_its_result(world):
    """Short, nothing is held; not known, both stay; refused by the bank, both are free."""
    _scene(world, "prepaid")
    _funded(world)
    _bound(world)
    assert refused(_withdraw(world, 1, 101), "below_floor")
    assert _held(world) == (0, 0)
    posted(_withdraw(world, 2, 60))
    assert _held(world) == (AMOUNT + 50, 60)
    assert refused(_withdraw(world, 3, 60), "below_floor")  # 40 are left
    _said(world, 2, "unknown")
    assert _held(world) == (AMOUNT + 50, 60)
    _said(world, 2, "failed")
    assert _held(world) == (0, 0) and world.balance("2601:TM") == 100
    posted(_withdraw(world, 4, 100))
    done = _said(world, 4, "succeeded")
    assert world.legs(done) == [
        ("2101:TU1", "D", AMOUNT + 50, "payout", None), ("1001", "C", AMOUNT, "payout", "W4"),
        ("2301", "C", 50, "service_fee", None), ("2601:TM", "D", 100, "data_fee", None),
        ("6001", "C", 100, "data_fee", None),
    ]
    assert _held(world) == (0, 0) and world.balance("2601:TM") == 0
    world.approved("reversal", adjustment_id="J", incident_number="N", reason="x",
                   journal_id=done["journal_id"])
    assert _held(world) == (AMOUNT + 50, 100) and world.balance("2601:TM") == 100
    _said(world, 4, "succeeded")
    assert _held(world) == (0, 0) and world.balance("2601:TM") == 0
    assert verify(world.settings).broken is None


def test_d0_28_a_withdrawal_that_waits_holds_its_data_fee_too(world):
    """Approved it is not held twice; rejected it is free again."""
    _scene(world, "prepaid")
    _funded(world)
    _bound(world)
    world.approved("tariff", tariff_id="T", bank_ppm=5_000, third_party_ppm=10_000,
                   least_minor=0, approval_above_minor=AMOUNT - 1)

    def waits(number):
        reference = world.authorise("TU1", "DT", AMOUNT)
        found = world.send("withdrawal", ANN, withdrawal_id=f"W{number}", user_id="TU1",
                           amount_minor=AMOUNT, fee_minor=50, destination_id="DT",
                           authorisation=reference, data_fee_minor=60, **CNY)
        assert found["status"] == "pending" and _held(world) == (AMOUNT + 50, 60)
        return found["sequence"]

    posted(world.send("reject", Actor("operator", "ben"), pending=waits(1), operator_id="ben",
                      reason="x"))
    assert _held(world) == (0, 0)
    posted(world.approve(waits(2)))
    assert _held(world) == (AMOUNT + 50, 60)
    assert len(world.legs(_said(world, 2, "succeeded"))) == 5
    assert world.balance("2601:TM") == 40
    assert verify(world.settings).broken is None


@pytest.mark.parametrize(("before", "after", "account"), [
    ("bill", "prepaid", "1204:TM"), ("prepaid", "bill", "2601:TM"),
])
def test_d0_31_a_withdrawals_data_fee_is_by_the_terms_of_its_request(
    world, before, after, account
):
    """A contract version that starts before the bank's answer changes nothing of it."""
    _scene(world, before)
    posted(world.send("fee_prepayment", movement_id="PRE2", merchant_id="TM", amount_minor=500,
                      **CNY))
    _funded(world)
    _bound(world)
    posted(_withdraw(world, 1, 60))
    when = on(world, 1)
    world.approved("contract", contract_id="C-TM2", merchant_id="TM",
                   settlement_mode="institution", settlement_cycle="T+0", minimum_minor=0,
                   fee_choice=after, access_fee_minor=0, use_fee_minor=0,
                   valid_from=days(1).isoformat(), **when)
    legs = world.legs(_said(world, 1, "succeeded", **when))
    assert [leg[:3] for leg in legs[-2:]] == [(account, "D", 60), ("6001", "C", 60)]
    assert _held(world) == (0, 0)


def test_d0_30_a_withdrawal_keeps_the_contracts_rate_half_up(world):
    _scene(world, "bill", data_ppm=4_550)
    _funded(world, fee=228)
    _bound(world)
    for wrong in (45, None):
        assert refused(_withdraw(world, 1, wrong), "fee_differs", "data_fee_minor")
    posted(_withdraw(world, 2, 46))
    assert [leg[:3] for leg in world.legs(_said(world, 2, "succeeded"))[-2:]] == [
        ("1204:TM", "D", 46), ("6001", "C", 46)]


def test_d0_28_a_withdrawal_and_its_fee_are_linked(world):
    """Where no contract names a rate, the fee can be a command of its own beside the request:
    both, or neither."""
    _scene(world, "prepaid")
    _funded(world)
    _bound(world)

    def linked(number, fee):
        reference = world.authorise("TU1", "DT", AMOUNT)
        return world.ledger.apply([
            {**world._keyed("withdrawal", {
                "withdrawal_id": f"W{number}", "user_id": "TU1", "amount_minor": AMOUNT,
                "fee_minor": 50, "destination_id": "DT", "authorisation": reference, **CNY,
            }), "linked": True},
            world._keyed("fee_charge", {
                "fee_id": f"F{number}", "merchant_id": "TM", "fee_item": "data_out",
                "amount_minor": fee, **CNY,
            }),
        ])

    account = world.ledger.state.account("2101:TU1", "CNY")
    assert [r["reason"] for r in linked(1, 101)] == ["linked_failed", "below_floor"]
    assert account.held == 0 and world.balance("2601:TM") == 100
    assert [r["status"] for r in linked(2, 100)] == ["posted", "posted"]
    assert account.held == AMOUNT + 50 and world.balance("2601:TM") == 0


def test_d0_28_a_withdrawal_that_waited_while_its_terms_changed_leaves_no_fee_held(world):
    """Its fee was held in the prepaid account and would go on a bill now. Rejected, all is free."""
    _scene(world, "prepaid")
    _funded(world)
    _bound(world)
    world.approved("tariff", tariff_id="T", bank_ppm=5_000, third_party_ppm=10_000,
                   least_minor=0, approval_above_minor=AMOUNT - 1)
    asked = {"withdrawal_id": "W1", "user_id": "TU1", "amount_minor": AMOUNT, "fee_minor": 50,
             "destination_id": "DT", "data_fee_minor": 60, **CNY}
    waits = world.send("withdrawal", ANN, authorisation=world.authorise("TU1", "DT", AMOUNT),
                       **asked)
    when = on(world, 1)
    billed = world.send("contract", ANN, contract_id="C2", merchant_id="TM", minimum_minor=0,
                        settlement_mode="institution", settlement_cycle="T+0", fee_choice="bill",
                        access_fee_minor=0, use_fee_minor=0, valid_from=days(1).isoformat(),
                        **when)
    posted(world.approve(billed["sequence"], **when))
    late = world.approve(waits["sequence"], **when)
    assert refused(late, "hold_not_allowed") and "W1/fee" in late["detail"]
    assert _held(world) == (AMOUNT + 50, 60)
    posted(world.send("reject", Actor("operator", "ben"), pending=waits["sequence"],
                      operator_id="ben", reason="x", **when))
    assert _held(world) == (0, 0)
    anew = world.send("withdrawal", ANN, authorisation=world.authorise("TU1", "DT", AMOUNT),
                      **asked, **when)
    posted(world.approve(anew["sequence"], **when))
    posted(world.send("withdrawal_result", result_id="R1", withdrawal_id="W1",
                      result="succeeded", **when))
    assert (_held(world), world.balance("1204:TM")) == ((0, 0), 60)
    assert verify(world.settings).broken is None
