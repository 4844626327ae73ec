"""D0, rules 21 to 33 and 61: advances, offset, fees, deposit, compensation."""

from __future__ import annotations

import pytest

from ledger.domain import billing
from ledger.domain.actors import Actor
from ledger.domain.money import half_up
from ledger.entrypoints.operations import verify
from ledger.service.deadlines import deadlines
from paylake.crypto import PrivateKey
from tests.ledger.conftest import ANN
from tests.ledger.rules.words import CNY, PLAIN, days, ended, funds, on, posted, refused, run

ITEMS = {  # the printed items, by the rule's own words
    "系统接入费": "access", "系统使用费": "use", "支付手续费": "payment", "入金": "data_in",
    "出金": "data_out", "外部渠道": "data_external_channel", "余额交易": "data_balance",
    "实名认证": "verify_person", "企业认证": "verify_firm", "三要素": "verify_card_3",
    "四要素": "verify_card_4", "四要素+SMS": "verify_card_4_sms", "人脸低": "verify_face_low",
    "人脸高": "verify_face_high", "提现": "withdrawal",
}


def _charge(world, merchant="M1", item="service", amount=500, **values):
    return world.send("fee_charge", fee_id=f"F{world.number}", merchant_id=merchant,
                      fee_item=item, amount_minor=amount, **CNY, **values)


def _offset(world, claim, amount, **values):
    return world.send("offset", movement_id=f"O{world.number}", merchant_id="M1", claim=claim,
                      amount_minor=amount, **{**CNY, "notice_number": "N-1", **values})


def _contract(world, merchant, number, **values):
    world.approved("contract", **{
        "contract_id": f"C{number}-{merchant}", "merchant_id": merchant, "minimum_minor": 0,
        "settlement_mode": "institution", "settlement_cycle": "D+1", "fee_choice": "bill",
        "valid_from": days(number).isoformat(), **values,
    })


def _prepaid(world, amount, **contract):
    world.merchant("M3", fee_choice="prepaid", **contract)
    world.open([("2201", "M3"), ("2601", "M3"), ("1205", "M3")])
    if amount:
        posted(world.send("fee_prepayment", movement_id="FP", merchant_id="M3",
                          amount_minor=amount, **CNY))


def test_d0_21_a_part_repaid_lowers_the_penalty_of_the_days_after(world):
    """1,000.00 advanced, half repaid on day 1: 10.00, then 5.00 a day."""
    funds(world)
    world.send("advance", movement_id="A", merchant_id="M1", amount_minor=100_000,
               case_number="C1", **CNY)
    found = []
    for number in (1, 2, 3):
        when = on(world, number)
        if number == 1:
            world.send("claim_payment", movement_id="CP", merchant_id="M1", claim="1202",
                       amount_minor=50_000, **CNY, **when)
        found.append(run(world, number).amounts["penalty"])
    assert found == [1_000, 500, 500]


def test_d0_23_an_offset_carries_its_notice_and_takes_the_oldest_due_first(world):
    """Never from users' books; one without a notice, or of a younger claim, is refused."""
    funds(world)
    posted(_charge(world, amount=300))  # owed since day 0
    when = on(world, 1)
    posted(world.send("advance", movement_id="A", merchant_id="M1", amount_minor=400,
                      case_number="C", **CNY, **when))
    world.do("top_up", amount_minor=9_000, **when)
    world.do("payment", amount_minor=1_000, **PLAIN, **when)
    bare = _offset(world, "1205", 1, notice_number=None, **when)
    assert (bare["reason"], bare["field"]) == ("missing_field", "notice_number")
    assert refused(_offset(world, "1202", 400, **when), "older_due", "claim")
    posted(_offset(world, "1205", 299, **when))
    assert refused(_offset(world, "1202", 400, **when), "older_due")  # 0.01 is still older
    posted(_offset(world, "1205", 1, **when))
    done = posted(_offset(world, "1202", 400, **when))
    assert [leg[0] for leg in world.legs(done)] == ["2201:M1", "1001", "1101", "1202:M1"]
    assert (world.balance("2201:M1"), world.balance("2101:U1")) == (300, 9_000)
    assert refused(_offset(world, "1202", 1, **when), "below_floor")  # nothing more is due


@pytest.mark.parametrize("name", ITEMS)
def test_d0_24_each_fee_item_of_the_contract_can_be_charged(world, name):
    """With the price that the contract says, since none is printed."""
    when = {}
    if ITEMS[name] in billing.START_FEES:
        _contract(world, "M1", 1, **{f"{ITEMS[name]}_fee_minor": 123})
        when = on(world, 1)
    posted(_charge(world, item=ITEMS[name], amount=123, **when))
    waits = ITEMS[name].startswith(("data_", "verify_"))  # for the bill, rule D0.27
    assert (world.balance("1204:M1"), world.balance("1205:M1"), world.balance("6001")) == (
        123 if waits else 0, 0 if waits else 123, 123)


def test_d0_24_an_item_costs_what_the_contract_says_times_its_number(world):
    """Whoever sends it; an item without a price costs what its command says."""
    world.merchant("M3", prices={"verify_person": 150, "withdrawal": 200})
    world.open([("1204", "M3"), ("1205", "M3")])
    for wrong in (149, 151, 450):
        assert refused(_charge(world, "M3", "verify_person", wrong), "fee_differs",
                       "amount_minor")
    posted(_charge(world, "M3", "verify_person", 150))
    posted(_charge(world, "M3", "verify_person", 450, quantity=3))
    assert refused(_charge(world, "M3", "withdrawal", 150), "fee_differs", "amount_minor")
    posted(_charge(world, "M3", "withdrawal", 200))
    posted(_charge(world, "M3", "verify_firm", 7))
    assert (world.balance("1204:M3"), world.balance("1205:M3")) == (607, 200)


@pytest.mark.parametrize("item", billing.START_FEES)
def test_d0_24_access_and_use_fee_are_charged_to_the_contracts_price_and_not_beyond(world, item):
    """In parts too; what a version does not ask is not charged, and the next one asks its own."""
    assert refused(_charge(world, item=item, amount=1), "fee_differs", "amount_minor")
    _contract(world, "M1", 1, **{f"{item}_fee_minor": 300})
    when = on(world, 1)
    assert refused(_charge(world, item=item, amount=301, **when), "fee_differs", "amount_minor")
    posted(_charge(world, item=item, amount=299, **when))
    assert refused(_charge(world, item=item, amount=2, **when), "fee_differs")
    posted(_charge(world, item=item, amount=1, **when))
    assert refused(_charge(world, item=item, amount=1, **when), "fee_differs")
    assert world.balance("1205:M1") == 300


def test_d0_31_a_new_price_holds_from_its_contract_version_on(world):
    world.merchant("M3", prices={"data_in": 10})
    world.open([("1204", "M3")])
    _contract(world, "M3", 1, prices={"data_in": 12})
    posted(_charge(world, "M3", "data_in", 10))
    when = on(world, 1)
    assert refused(_charge(world, "M3", "data_in", 10, **when), "fee_differs", "amount_minor")
    posted(_charge(world, "M3", "data_in", 12, **when))
    assert world.balance("1204:M3") == 22


@pytest.mark.parametrize("prices", [
    {"verify_persons": 1}, {"access": 1}, {"data_in": -1}, {"data_in": "1"}, {"data_in": True}, {},
])
def test_d0_24_a_price_is_a_whole_number_of_a_fee_item_that_there_is(world, prices):
    """The fees of the start have fields of their own in the contract."""
    assert refused(world.send(
        "contract", ANN, contract_id="C-9", merchant_id="M1", minimum_minor=0,
        settlement_mode="institution", settlement_cycle="D+1", fee_choice="bill",
        valid_from=days(1).isoformat(), prices=prices), "register_differs", "prices")


def test_d0_24_what_may_be_priced_are_the_fee_items(world):
    form = world.ledger.operations.by_type["fee_charge"].form
    (items,) = [field.of for field in form.fields if field.name == "fee_item"]
    assert billing.PRICED | set(billing.START_FEES) == set(items)


def test_d0_25_a_providers_access_and_use_fee_is_not_booked_here(world):
    """By the contract version; the institution's other fees are."""
    _contract(world, "M1", 1)
    _contract(world, "M1", 2, fee_payee="provider")
    posted(_charge(world, item="access", **on(world, 1)))  # the older version
    when = on(world, 2)
    for item in ("access", "use"):
        assert refused(_charge(world, item=item, **when), "fee_not_allowed", "fee_item")
    posted(_charge(world, item="payment", **when))
    assert world.balance("6001") == 1_000


def _due(world, number):
    return [(line["number"], line["due_on"], line["overdue"])
            for line in deadlines(world.ledger, days(number))]


def test_d0_26_access_and_use_fee_are_due_three_working_days_after_signing_and_renewal(world):
    """Signed on Saturday 12 September: Wednesday 16; renewed on 30 September: 10 October, a day
    that makes up for the holidays. What nobody has charged yet is due too; what is paid, oldest
    first, is due no more."""
    world.approved("party", party_id="M3", party_kind="merchant")
    world.open([("1205", "M3")])
    _contract(world, "M3", 0, access_fee_minor=300, use_fee_minor=0)
    assert _due(world, 0) == _due(world, 4) == [("C0-M3/access", "2026-09-16", False)]
    posted(_charge(world, "M3", amount=70))
    posted(_charge(world, "M3", "access", amount=300))
    access = world.ledger.store.last_entry()[6]
    posted(_charge(world, "M3", amount=5))
    assert _due(world, 0) == _due(world, 4) == [(access, "2026-09-16", False)]
    assert _due(world, 5) == [(access, "2026-09-16", True)]
    pay = {"merchant_id": "M3", **CNY}
    world.register("bill_payment", movement_id="B1", amount_minor=369, **pay)
    assert _due(world, 0) == [(access, "2026-09-16", False)]  # 0.01 is left of it
    world.register("bill_payment", movement_id="B2", amount_minor=1, **pay)
    assert _due(world, 0) == [] and world.balance("1205:M3") == 5
    _contract(world, "M3", 18, use_fee_minor=300)
    assert _due(world, 17) == [] and _due(world, 18) == [("C18-M3/use", "2026-10-10", False)]
    when = on(world, 18)
    posted(_charge(world, "M3", "use", amount=300, **when))
    use = world.ledger.store.last_entry()[6]
    assert _due(world, 18) == [(use, "2026-10-10", False)]


def test_d0_27_prepaid_fees_are_own_funds_taken_item_by_item(world):
    """One choice per contract version: prepaid account or bill; neither is reserve."""
    _prepaid(world, 700)
    world.open([("1205", "M3")])
    charged = posted(_charge(world, "M3", amount=200))
    assert [leg[0] for leg in world.legs(charged)] == ["2601:M3", "6001"]
    assert (world.balance("2601:M3"), world.balance("1205:M3"), world.balance("1001")) == (
        500, 0, 0)
    _contract(world, "M3", 1, fee_choice="bill")
    when = on(world, 1)
    billed = posted(_charge(world, "M3", amount=200, **when))
    assert [leg[0] for leg in world.legs(billed)] == ["1205:M3", "6001"]
    posted(world.send("bill_payment", movement_id="B", merchant_id="M3", amount_minor=200,
                      **CNY, **when))
    books = {world.ledger.chart.classes[code].books for code in ("2601", "1205", "1101", "6001")}
    assert books == {"own"} and world.balance("1205:M3") == 0


def _billed(world, months=1):
    """M3 is billed by the month, with items of 0.70 and 0.05 in the first and 0.09 in the
    second: from 12 September, from 12 October."""
    world.merchant("M3", bill_months=months)
    world.open([("2201", "M3"), ("1204", "M3"), ("1205", "M3")])
    posted(_charge(world, "M3", "data_in", 70))
    posted(world.do("payment", merchant_id="M3", data_fee_minor=5, amount_minor=100, **PLAIN))
    posted(_charge(world, "M3", "verify_person", 9, **on(world, 30)))


def _issue(world, number, name, **values):
    return world.send("bill_issued", bill_id=name, merchant_id="M3",
                      **{**CNY, **on(world, number), **values})


def _confirm(world, name, amount, when, **values):
    return world.send("bill_confirmed", **{
        "confirmation_id": f"K{world.number}", "bill_id": name, "amount_minor": amount,
        "evidence": "LETTER-1", **when, **values})


def test_d0_27_a_confirmation_that_was_none_leaves_the_bill_to_be_confirmed(world):
    """Its items wait on it again, and come on no other bill."""
    _billed(world)
    posted(_issue(world, 30, "B1"))
    when = on(world, 31)
    done = posted(_confirm(world, "B1", 75, when))
    waits = world.send("reversal", ANN, adjustment_id="A", journal_id=done["journal_id"],
                       incident_number="I", reason="x", **when)
    posted(world.approve(waits["sequence"], **when))
    assert world.ledger.state.get("bill", "B1")["confirmed_on"] is None
    assert (world.balance("1204:M3"), world.balance("1205:M3")) == (84, 0)
    posted(_issue(world, 61, "B2"))
    assert world.ledger.state.get("bill", "B2")["amount_minor"] == 9
    when = on(world, 62)
    for name, amount in (("B1", 75), ("B2", 9)):
        posted(_confirm(world, name, amount, when))
    assert (world.balance("1204:M3"), world.balance("1205:M3")) == (0, 84)
    assert verify(world.settings).broken is None


@pytest.mark.parametrize("again", ["before", "after", "never"])
@pytest.mark.parametrize(("first", "second"), [(300, 1_000), (1_000, 300)])
def test_d0_27_a_bill_after_a_confirmation_that_was_none_is_the_sum_of_its_own_items(
    world, first, second, again
):
    """The confirmation of the first period is reversed once the second has ended. Confirmed again
    before the bill of the second, or after it, or not yet: each bill keeps its items."""
    world.merchant("M3", bill_months=1)
    world.open([("1204", "M3"), ("1205", "M3")])
    posted(_charge(world, "M3", "verify_person", first))
    posted(_issue(world, 33, "B1"))
    when = on(world, 33)
    done = posted(_confirm(world, "B1", first, when))
    posted(_charge(world, "M3", "verify_person", second, **on(world, 38)))
    when = on(world, 62)
    waits = world.send("reversal", ANN, adjustment_id="A", journal_id=done["journal_id"],
                       incident_number="I", reason="x", **when)
    posted(world.approve(waits["sequence"], **when))
    posted(_charge(world, "M3", "verify_person", 7, **when))
    when = on(world, 63)
    if again == "before":
        posted(_confirm(world, "B1", first, when))
    posted(_issue(world, 63, "B2"))
    bill = world.ledger.state.get("bill", "B2")
    assert (bill["amount_minor"], bill["through"]) == (second, "2026-11-11")
    if again == "after":
        posted(_confirm(world, "B1", first, when))
        posted(_confirm(world, "B2", second, when))
    world.reopen()
    posted(_issue(world, 93, "B3"))
    bill = world.ledger.state.get("bill", "B3")
    assert (bill["amount_minor"], bill["from"], bill["through"]) == (
        7, "2026-11-12", "2026-12-11")
    assert verify(world.settings).broken is None


def test_d0_27_what_was_billed_and_confirmed_in_error_is_billed_anew(world):
    """Its bill is withdrawn: the items come on one of the same period."""
    _billed(world)
    posted(_issue(world, 30, "B1"))
    when = on(world, 31)
    done = posted(_confirm(world, "B1", 75, when))
    when = on(world, 40)
    waits = world.send("reversal", ANN, adjustment_id="A", journal_id=done["journal_id"],
                       incident_number="I", reason="x", **when)
    posted(world.approve(waits["sequence"], **when))
    posted(world.send("bill_withdrawn", bill_id="B1", reason="objection", **when))
    posted(_issue(world, 40, "B2"))
    bill = world.ledger.state.get("bill", "B2")
    assert (bill["amount_minor"], bill["through"]) == (75, "2026-10-11")
    assert verify(world.settings).broken is None


def test_d0_27_a_bill_is_issued_confirmed_by_both_then_due_in_seven_working_days(world):
    """Nothing of it is due, offset or overdue before; the ledger sums the items itself."""
    _billed(world)
    assert refused(_issue(world, 29, "B0"), "not_due", "merchant_id")  # ends on 11 October
    assert refused(world.send("bill_issued", bill_id="B", merchant_id="M3", amount_minor=75,
                              **CNY), "unknown_field", "amount_minor")
    posted(_issue(world, 30, "B1"))
    bill = world.ledger.state.get("bill", "B1")
    assert (bill["amount_minor"], bill["from"], bill["through"]) == (
        75, "2026-09-12", "2026-10-11")
    when = on(world, 31)
    assert (world.balance("1204:M3"), world.balance("1205:M3")) == (84, 0)
    assert _due(world, 400) == []  # silence confirms nothing
    early = world.send("offset", movement_id="O", merchant_id="M3", claim="1205",
                       amount_minor=1, notice_number="N", **CNY, **when)
    assert refused(early, "below_floor")
    assert refused(_confirm(world, "B1", 74, when), "original_differs", "amount_minor")
    assert refused(_confirm(world, "B1", 75, when, evidence=None), "register_differs", "evidence")
    done = posted(_confirm(world, "B1", 75, when))
    assert [leg[:3] for leg in world.legs(done)] == [("1205:M3", "D", 75), ("1204:M3", "C", 75)]
    assert refused(_confirm(world, "B1", 75, when), "already_decided", "bill_id")
    assert _due(world, 40) == [("B1", "2026-10-22", False)]  # Tuesday 13 October, 7 days
    assert _due(world, 41) == [("B1", "2026-10-22", True)]
    posted(world.send("bill_payment", movement_id="P", merchant_id="M3", amount_minor=75,
                      **CNY, **when))
    assert _due(world, 41) == []


def test_d0_27_the_merchants_own_signed_command_is_its_confirmation(http, caller, world):
    """A caller needs no letter; another merchant's bill is not its to confirm."""
    _billed(world)
    posted(_issue(world, 30, "B1"))
    world.approved("caller", caller_id="C3", party_id="M3", on_behalf=[], enabled=True,
                   rates={"merchant": 10}, public_key=PrivateKey.generate().public.point,
                   **on(world, 30))
    own, other = Actor("caller", "C3"), Actor("caller", "C1")
    when = on(world, 31)
    said = {"bill_id": "B1", "amount_minor": 75, **when}
    assert refused(world.send("bill_confirmed", other, confirmation_id="X", **said),
                   "original_unknown")
    posted(world.send("bill_confirmed", own, confirmation_id="K", **said))
    assert refused(world.send("bill_issued", own, bill_id="B2", merchant_id="M3", **CNY, **when),
                   "no_right")


def test_d0_27_a_bill_objected_to_is_withdrawn_and_issued_anew(world):
    """The last one only; confirmed ones stay."""
    _billed(world)
    posted(_issue(world, 30, "B1"))
    posted(_issue(world, 70, "B2"))
    assert world.ledger.state.get("bill", "B2")["amount_minor"] == 9  # B1 waits, not counted twice
    when = on(world, 71)
    back = {"reason": "objection", **when}
    assert refused(world.send("bill_withdrawn", bill_id="B1", **back), "register_differs")
    posted(world.send("bill_withdrawn", bill_id="B2", **back))
    posted(world.send("bill_withdrawn", bill_id="B1", **back))
    posted(_issue(world, 72, "B3"))
    assert world.ledger.state.get("bill", "B3")["amount_minor"] == 75
    assert refused(_confirm(world, "B1", 75, when), "already_decided")
    assert verify(world.settings).entries == world.ledger.head.sequence


def test_d0_27_without_months_in_the_contract_there_is_no_bill(world):
    """And the last bill ends where the terms change, or where the merchant leaves."""
    world.merchant("M3")
    world.open([("1204", "M3")])
    posted(_charge(world, "M3", "data_in", 70))
    bare = _issue(world, 40, "B0")
    assert refused(bare, "register_differs", "merchant_id") and "no months" in bare["detail"]
    when = on(world, 40)
    none = world.send("contract", ANN, contract_id="CX", merchant_id="M3", minimum_minor=0,
                      settlement_mode="institution", settlement_cycle="D+1", bill_months=1,
                      fee_choice="prepaid", valid_from=days(41).isoformat(), **when)
    assert refused(none, "register_differs", "bill_months")
    waits = world.send("contract", ANN, contract_id="CY", merchant_id="M3", minimum_minor=0,
                       settlement_mode="institution", settlement_cycle="D+1", bill_months=3,
                       fee_choice="bill", valid_from=days(41).isoformat(), **when)
    posted(world.approve(waits["sequence"], **when))
    posted(_charge(world, "M3", "data_in", 7, **on(world, 42)))
    posted(world.send("party_state", party_id="M3", state="leaving", **on(world, 43)))
    posted(_issue(world, 44, "B1"))  # what waited comes on the first bill that there can be
    bill = world.ledger.state.get("bill", "B1")
    assert (bill["amount_minor"], bill["from"], bill["through"]) == (
        77, days(0).isoformat(), days(43).isoformat())


def test_d0_28_operation_and_fee_are_one_journal_or_nothing(world):
    """A prepaid account that is short refuses both, with 0 postings."""
    _prepaid(world, 30)
    pay = {"merchant_id": "M3", "amount_minor": 1_000, **PLAIN}
    before, journal = world.balances(), world.ledger.head.journal
    assert refused(world.do("payment", data_fee_minor=31, **pay), "below_floor")
    assert (world.balances(), world.ledger.head.journal) == (before, journal)
    done = posted(world.do("payment", data_fee_minor=30, **pay))
    assert [leg[:3] for leg in world.legs(done)] == [
        ("1001", "D", 1_000), ("2201:M3", "C", 1_000), ("2601:M3", "D", 30), ("6001", "C", 30)]


def test_d0_28_a_payout_on_behalf_is_not_executed_either(world):
    """出金 with a prepaid account that is short."""
    _prepaid(world, 4)
    world.open([("2211", "M3")])
    world.register("receipt", receipt_id="R", amount_minor=5_000, **CNY)
    world.approved("merchant_top_up", application_id="A", merchant_id="M3", receipt_id="R",
                   amount_minor=5_000, **CNY)
    pay = {"merchant_id": "M3", "user_id": "U1", "amount_minor": 1_000, "fee_minor": 0, **CNY}
    short = world.send("payout_on_behalf", transaction_id="X", data_fee_minor=5, **pay)
    assert refused(short, "below_floor") and world.balance("2101:U1") == 0
    posted(world.send("payout_on_behalf", transaction_id="Y", data_fee_minor=4, **pay))


def test_d0_29_fees_in_arrears_are_withheld_with_a_notice(world):
    """From the merchant's transaction money, by the offset of billed fees."""
    funds(world)
    posted(_charge(world, amount=300))
    world.do("payment", amount_minor=1_000, **PLAIN)
    assert _offset(world, "1205", 300, notice_number=None)["reason"] == "missing_field"
    withheld = posted(_offset(world, "1205", 300))
    assert b"N-1" in world.row(withheld)[12].encode()
    assert (world.balance("2201:M1"), world.balance("1205:M1")) == (700, 0)


def test_d0_30_a_data_processing_fee_is_rounded_half_up_per_order(world):
    """1.5 % of 0.33 three times is 1.50 fen on the bill: the items' sum, not 1.49 of the total."""
    world.merchant("M3", data_ppm=15_000)
    world.open([("2201", "M3"), ("1204", "M3")])
    pay = {"merchant_id": "M3", "amount_minor": 3_300, **PLAIN}  # 49.5 fen
    assert refused(world.do("payment", data_fee_minor=49, **pay), "fee_differs",
                   "data_fee_minor")
    assert refused(world.do("payment", **pay), "fee_differs", "data_fee_minor")
    for _ in range(3):
        posted(world.do("payment", data_fee_minor=50, **pay))
    assert world.balance("1204:M3") == 150
    assert half_up(3 * 3_300 * 15_000, 10**6) == 149  # what a total would have given


def test_d0_31_a_change_of_charges_holds_from_its_version_and_recomputes_nothing(world):
    """1.5 % becomes 2 % on day 1; what was booked stays."""
    world.merchant("M3", data_ppm=15_000)
    world.open([("2201", "M3"), ("1204", "M3")])
    pay = {"merchant_id": "M3", "amount_minor": 10_000, **PLAIN}
    posted(world.do("payment", data_fee_minor=150, **pay))
    _contract(world, "M3", 1, data_ppm=20_000)
    posted(world.do("payment", data_fee_minor=150, **pay))  # still day 0
    assert world.balance("1204:M3") == 300
    when = on(world, 1)
    assert refused(world.do("payment", data_fee_minor=150, **pay, **when), "fee_differs")
    posted(world.do("payment", data_fee_minor=200, **pay, **when))
    assert world.balance("1204:M3") == 500
    back = world.send("contract", ANN, contract_id="CB", merchant_id="M3", minimum_minor=0,
                      settlement_mode="institution", settlement_cycle="D+1", fee_choice="bill",
                      valid_from=days(0).isoformat(), **when)
    assert refused(back, "register_differs", "valid_from")  # not backwards


def test_d0_33_a_deposit_is_an_own_liability_drawn_after_notice_by_two(world):
    """Outside the reserve, on an account of its own; returned at closing."""
    posted(world.send("deposit_received", movement_id="D", merchant_id="M1",
                      amount_minor=5_000, **CNY))
    posted(_charge(world, amount=800))
    assert (world.balance("1102"), world.balance("2602:M1"), world.balance("1001")) == (
        5_000, 5_000, 0)
    draw = {"merchant_id": "M1", "claim": "1205", "amount_minor": 800, **CNY}
    bare = world.send("deposit_drawn", ANN, movement_id="X", **draw)
    assert (bare["reason"], bare["field"]) == ("missing_field", "notice_number")
    alone = world.send("deposit_drawn", movement_id="Y", notice_number="N", **draw)
    assert refused(alone, "no_right")
    world.approved("deposit_drawn", movement_id="Z", notice_number="N", **draw)
    assert (world.balance("2602:M1"), world.balance("1205:M1")) == (4_200, 0)
    back = {"merchant_id": "M1", "amount_minor": 4_200, **CNY}
    for state in ("active", "leaving"):
        if state == "leaving":
            world.register("party_state", party_id="M1", state=state)
        early = world.send("deposit_returned", movement_id=f"E-{state}", **back)
        assert refused(early, "register_differs", "merchant_id") and state in early["detail"]
    ended(world, "M1")
    posted(world.send("deposit_returned", movement_id="R", **back))
    assert (world.balance("2602:M1"), world.balance("1101")) == (0, 0)


def _loss(world, name, amount=500, **values):
    return {"movement_id": name, "user_id": "U1", "amount_minor": amount, "case_number": "C",
            "finding": "merchant", "evidence": "F-1", **CNY, **values}


@pytest.mark.parametrize(("provided", "wanted"), [
    (0, [("6401", "D", 500)]), (400, [("2701", "D", 400), ("6401", "D", 100)]),
    (500, [("2701", "D", 500)]), (900, [("2701", "D", 500)]),
])
def test_d0_61_a_loss_is_paid_from_the_provision_first_the_rest_from_own_funds(
    world, provided, wanted
):
    """In full; computed from the provision's balance, by nobody's choice."""
    funds(world)
    if provided:
        world.register("provision", movement_id="P", amount_minor=provided, **CNY)
    chosen = world.send("compensation", ANN, **_loss(world, "X", fee_minor=100))
    assert (chosen["reason"], chosen["field"]) == ("unknown_field", "fee_minor")
    done = world.approved("compensation", **_loss(world, "Z"))
    assert [leg[:3] for leg in world.legs(done)] == [
        *wanted, ("1101", "C", 500), ("1001", "D", 500), ("2101:U1", "C", 500)]


def test_d0_61_it_needs_a_finding_with_evidence_and_two_people(world):
    """The customer's own fault is no finding that pays."""
    funds(world)
    assert refused(world.send("compensation", **_loss(world, "A")), "no_right")
    for field in ("finding", "evidence", "case_number"):
        bare = world.send("compensation", ANN, **_loss(world, "B", **{field: None}))
        assert (bare["reason"], bare["field"]) == ("missing_field", field)
    own = world.send("compensation", ANN, **_loss(world, "C", finding="customer"))
    assert (own["reason"], own["field"]) == ("invalid_field", "finding")


def test_d0_61_the_provision_counts_as_it_is_when_the_checker_approves(world):
    """Of two that wait the second finds what the first has left."""
    funds(world)
    world.register("provision", movement_id="P", amount_minor=600, **CNY)
    waits = [world.send("compensation", ANN, **_loss(world, name)) for name in ("A", "B")]
    done = [posted(world.approve(w["sequence"])) for w in waits]
    assert [leg[:3] for leg in world.legs(done[1])][:2] == [("2701", "D", 100), ("6401", "D", 400)]
    assert world.balance("2701") == 0


@pytest.mark.parametrize(("floor", "wanted"), [
    (100, [("2701", "D", 300), ("6401", "D", 200)]),
    (400, [("6401", "D", 500)]), (900, [("6401", "D", 500)]),
])
def test_d0_61_what_has_to_stay_on_the_provision_is_borne_by_own_funds(world, floor, wanted):
    """A floor of its own leaves less of it to go as far as it goes."""
    funds(world)
    world.register("provision", movement_id="P", amount_minor=400, **CNY)
    world.approved("account_floor", account_id="2701", floor_minor=floor, reason="r", **CNY)
    done = world.approved("compensation", **_loss(world, "Z"))
    assert [leg[:3] for leg in world.legs(done)][:-3] == wanted


def test_d0_61_what_the_liable_one_owes_is_a_receivable_for_at_most_what_was_paid(world):
    """Linked to its compensation and case, by two; not where the institution is responsible."""
    funds(world)
    world.approved("compensation", **_loss(world, "Z"))
    owes = {"compensation_id": "Z", "merchant_id": "M1", "case_number": "C", **CNY}
    assert refused(world.send("recovery", movement_id="R0", amount_minor=1, **owes), "no_right")
    for values, reason, field in (
        ({"amount_minor": 501}, "exceeds_original", "amount_minor"),
        ({"amount_minor": 1, "case_number": "D"}, "original_differs", "case_number"),
        ({"amount_minor": 1, "compensation_id": "P"}, "original_unknown", "compensation_id"),
    ):
        result = world.send("recovery", ANN, movement_id="R1", **{**owes, **values})
        assert refused(result, reason, field)
    world.approved("recovery", movement_id="R2", amount_minor=300, **owes)
    more = world.send("recovery", ANN, movement_id="R3", amount_minor=201, **owes)
    assert refused(more, "exceeds_original", "amount_minor")
    world.approved("recovery", movement_id="R4", amount_minor=200, **owes)
    assert (world.balance("1201:M1"), world.balance("6401")) == (500, 0)
    world.approved("compensation", **_loss(world, "Y", finding="this_institution"))
    own = world.send("recovery", ANN, movement_id="R5", amount_minor=1,
                     **{**owes, "compensation_id": "Y"})
    assert refused(own, "original_differs", "compensation_id")
