"""D4a: operations management; D4b 13: use of funds; D4c 4 and 5: the drill."""

from __future__ import annotations

import orjson
import pytest

from ledger.domain.actors import Actor, has_right
from ledger.entrypoints.operations import open_ledger, verify
from ledger.registration import MODULES
from ledger.service import queries
from ledger.service.revealing import opened
from paylake.crypto import PrivateKey
from tests.ledger.conftest import ANN, BEN, DAY, SYSTEM, World, at
from tests.ledger.rules.words import CNY, PLAIN, days, ended, funds, on, posted, refused, run

WHOLE = {"issuer_fee_minor": 35, "network_fee_minor": 3, "acquirer_fee_minor": 22}


def _right(world, group, module, duty, allowed=True):
    world.approved("right", group_id=group, module=module, duty=duty, allowed=allowed)


def test_d4a_06_rights_are_group_by_module_in_one_table_from_either_side(world):
    """What is set for a group is what its members may do in the module, and nothing more."""
    world.joins("eve", "G1")
    eve = Actor("operator", "eve")
    place = {"stop_scope": "merchant", "stop_target": "M1", "stop_mode": "everything",
             "reason": "x"}
    assert refused(world.send("stop", eve, stop_id="S1", **place), "no_right")
    _right(world, "G1", "stops", "enter")
    posted(world.send("stop", eve, stop_id="S1", **place))
    assert [duty for duty in ("enter", "review")
            if has_right(world.ledger.state, "eve", "stops", duty)] == ["enter"]
    by_group = [k for k in world.ledger.state.table("right") if k.startswith("G1/")]
    by_module = [k for k in world.ledger.state.table("right") if "/stops/" in k]
    assert by_group == ["G1/stops/enter"] and set(by_group) < set(by_module)
    world.approved("membership", operator_id="eve", group_id="G1", member=False)
    assert refused(world.send("stop", eve, stop_id="S2", **place), "no_right")


def _person(world, name, enabled=True, key=None):
    key = world.keys.setdefault(name, PrivateKey.generate()) if key is None else key
    return {"operator_id": name, "operator_name": name, "enabled": enabled,
            "public_key": key.public.point}


_REVIEW = {"group_id": "staff", "module": "authority", "duty": "review", "allowed": False}


@pytest.mark.parametrize(("type_", "field", "change"), [
    ("operator", "enabled", None),
    ("membership", "member", {"operator_id": "ben", "group_id": "staff", "member": False}),
    ("right", "allowed", _REVIEW), ("right", "allowed", {**_REVIEW, "duty": "enter"}),
])
def test_d4a_06_two_who_may_review_people_and_rights_always_remain(world, type_, field, change):
    """And one who may enter them: so no change puts the house's own system back in charge."""
    change = change or _person(world, "ben", enabled=False)
    assert refused(world.send(type_, ANN, **change), "register_differs", field)
    if type_ == "right":
        return
    world.joins("eve")
    world.approved(type_, **change)
    last = world.send("operator", ANN, **_person(world, "eve", enabled=False))
    assert refused(last, "register_differs", "enabled") and "fewer than two" in last["detail"]
    for _ in range(2):
        assert refused(world.send("operator", SYSTEM, **_person(world, "max")), "no_right")
        world.reopen()
    assert verify(world.settings).broken is None


def test_d4a_06_what_waited_is_looked_at_again_when_it_is_approved(world):
    """Two changes, each allowed by itself: the second would leave one reviewer."""
    world.joins("eve")
    first, second = (
        world.send("operator", ANN, **_person(world, name, enabled=False))
        for name in ("ben", "eve")
    )
    posted(world.approve(first["sequence"], "eve"))
    assert refused(world.approve(second["sequence"], "eve"), "register_differs", "enabled")


def test_d4a_06_the_right_to_enter_people_comes_before_the_second_reviewer(settings):
    """Else nobody could enter the next ones: the first people are entered by the system alone."""
    world = World(settings)
    world.ledger.set_clock(at(DAY, "22:59:59"))
    for name in ("ann", "ben"):
        world.register("operator", **_person(world, name))
        world.register("membership", operator_id=name, group_id="G", member=True)
    rights = {"group_id": "G", "module": "authority", "allowed": True}
    early = world.send("right", duty="review", **rights)
    assert refused(early, "register_differs", "allowed")
    for duty in ("enter", "review"):
        world.register("right", duty=duty, **rights)
    assert refused(world.send("operator", **_person(world, "max")), "no_right")
    world.ledger.close()


def test_d4a_06_each_person_has_a_key_of_their_own(world):
    """Nobody is maker and checker with one key; neither is a caller's key a person's."""
    ann, free = world.keys["ann"], PrivateKey.generate()
    caller = {"party_id": "M1", "on_behalf": [], "rates": {}, "enabled": True}
    world.approved("caller", caller_id="C1", public_key=free.public.point, **caller)
    for key in (ann, free):
        for name in ("eve", "ben"):  # a new person, another key of an old one
            shared = world.send("operator", ANN, **_person(world, name, key=key))
            assert refused(shared, "register_differs", "public_key")
    shared = world.send("caller", ANN, caller_id="C2", public_key=ann.public.point, **caller)
    assert refused(shared, "register_differs", "public_key")
    world.approved("operator", **_person(world, "ann", key=ann))  # one's own stays


def test_d4a_06_a_right_is_in_a_module_that_there_is(world):
    """Of the templates' modules; `system` and `approvals` ask for none."""
    for name in ("authorty", "system", "approvals"):
        wrong = world.send("right", ANN, group_id="G1", module=name, duty="enter", allowed=True)
        assert refused(wrong, "register_differs", "module")
    for name in MODULES:
        _right(world, "G1", name, "enter")


def test_d4a_08_a_merchant_is_opened_with_its_data_and_works_only_after_review(world):
    """Number, name, bank and account are on file; entered only, it is no party yet."""
    details = {"merchant_name": "商户三", "opening_bank": "ICBC"}
    bank = {"account_name": "商户三", "account_number": "6222021234567890128"}
    entered = {"party_id": "M3", "party_kind": "merchant", "sensitive_details": bank,
               "details": details}
    clear = world.send("party", ANN, **{**entered, "details": bank})
    assert refused(clear, "invalid_field", "details")
    waits = world.send("party", ANN, **entered)
    assert waits["status"] == "pending"
    assert refused(world.do("payment", merchant_id="M3"), "party_unknown", "merchant_id")
    posted(world.approve(waits["sequence"]))
    party = world.ledger.state.get("party", "M3")
    assert party["details"] == details and set(party["sensitive_details"]) == set(bank)
    ledger = world.ledger
    assert opened(ledger, party, ["sensitive_details"])["sensitive_details"] == bank
    log = b"".join(orjson.dumps(row[:16]) for row in ledger.store.entries(waits["sequence"]))
    assert bank["account_number"].encode() not in log and b"account_name" in log
    assert refused(world.do("payment", merchant_id="M3"), "party_not_active", "merchant_id")


def test_d4a_09_the_review_is_by_another_with_the_right_who_may_reject_with_a_reason(world):
    """The maker cannot; a signature over something else cannot; rejected is not opened."""
    waits = world.send("party", ANN, party_id="M3", party_kind="merchant")
    assert refused(world.approve(waits["sequence"], "ann"), "maker_is_checker")
    wrong = world.approve(waits["sequence"], signature=world.signature(1))
    assert refused(wrong, "signature_wrong", "signature")
    review = {"pending": waits["sequence"], "operator_id": "ben"}
    assert world.send("reject", BEN, **review)["reason"] == "missing_field"  # a reason
    posted(world.send("reject", BEN, reason="papers are old", **review))
    assert world.ledger.state.get("party", "M3") is None
    assert refused(world.approve(waits["sequence"]), "pending_unknown")
    waits = world.send("party", ANN, party_id="M3", party_kind="merchant")
    _right(world, "staff", "parties", "review", allowed=False)
    assert refused(world.approve(waits["sequence"]), "no_right", "operator_id")


def test_d4a_09_nobody_rejects_in_a_checkers_name(world):
    """An approval has his signature; a rejection has none of its own, so he sends it himself. A
    system of the house hands on his signed approval, and cannot make up either."""
    waits = world.send("party", ANN, party_id="M3", party_kind="merchant")
    said = {"pending": waits["sequence"], "operator_id": "ben", "reason": "papers are old"}
    for sender in (SYSTEM, ANN, Actor("caller", "C1")):
        assert refused(world.send("reject", sender, **said), "no_right", "operator_id")
    assert world.ledger.state.get("pending", str(waits["sequence"])) is not None
    waits = world.send("party", ANN, party_id="M4", party_kind="merchant")
    posted(world.send("approve", pending=waits["sequence"], operator_id="ben",
                      signature=world.signature(waits["sequence"])))


def test_d4a_10_a_cancelled_merchant_finishes_the_old_and_starts_nothing_new(world):
    """Refund, chargeback, order, payout and fee post; its account closes at zero."""
    world.do("top_up", amount_minor=50_000)
    for name in ("P", "Q", "R", "S"):
        world.do("payment", transaction_id=name)
    world.register("party_state", party_id="M1", state="leaving")  # on its application: at once
    assert refused(world.do("payment"), "party_not_active", "merchant_id")
    ended(world, "M1")
    assert refused(world.do("payment"), "party_not_active", "merchant_id")
    back = world.send("party_state", ANN, party_id="M1", state="active")
    assert refused(back, "register_differs", "state")
    closing = {"account_id": "2201:M1", "status": "closed", "reason": "left", **CNY}
    posted(world.do("refund", original_transaction_id="P", **WHOLE))
    posted(world.send("chargeback", transaction_id="C", original_transaction_id="Q",
                      amount_minor=10_000, case_number="N", **CNY))
    posted(world.send("hold", hold_id="H", hold_kind="authority", account_id="2201:M1",
                      amount_minor=5, case_number="COURT-1", **CNY))
    posted(world.do("fee", amount_minor=20))
    assert refused(world.send("account_status", **closing), "register_differs", "status")
    left = world.balance("2201:M1")
    posted(world.do("settlement", amount_minor=left - 5))
    world.approved("hold_release", result_id="HR", hold_id="H", case_number="COURT-1")
    posted(world.do("settlement", amount_minor=5))
    posted(world.send("account_status", **closing))


def test_d4a_10_a_cancelled_users_money_is_paid_out_to_it(world):
    """The final payout: to an account that it binds even then; a transfer starts something new.
    It is cancelled at once, and its account closes when it is empty."""
    world.do("top_up", amount_minor=20_000)
    early = world.send("party_state", party_id="U1", state="leaving")
    assert refused(early, "register_differs", "state") and "at once" in early["detail"]
    posted(world.send("party_state", party_id="U1", state="cancelled"))
    posted(world.send("bind_account", destination_id="DN", party_id="U1", bound_account="6",
                      bound_name="N", bank_code="B"))
    sent = {"user_id": "U1", "payee_id": "U2", "amount_minor": 100, **CNY}
    moved = world.send("transfer", transaction_id="X", **sent,
                       authorisation=world.authorise("U1", "U2", 100))
    assert refused(moved, "party_not_active", "user_id")
    assert refused(world.do("top_up", amount_minor=1_000), "party_not_active")
    posted(world.do("withdrawal", withdrawal_id="W", amount_minor=19_900, fee_minor=100,
                    destination_id="DN", authorisation=world.authorise("U1", "DN", 19_900)))
    posted(world.do("withdrawal_result", withdrawal_id="W"))
    posted(world.send("account_status", account_id="2101:U1", status="closed", reason="left",
                      **CNY))
    assert verify(world.settings).broken is None


def test_d4a_10_a_suspended_users_money_stays(world):
    """It is no final payout."""
    world.do("top_up", amount_minor=20_000)
    wanted = {"amount_minor": 5_000, "fee_minor": 25,
              "authorisation": world.authorise("U1", "D1", 5_000)}
    world.approved("party_state", party_id="U1", state="suspended", suspension_ground="7",
                   evidence="DOC-1")
    assert refused(world.do("withdrawal", **wanted), "party_not_active", "user_id")


def test_d4a_10_what_is_left_of_a_merchant_balance_is_paid_out(world):
    """By its order, whose result the bank gives; the card of the old business pays nothing."""
    posted(world.send("receipt", receipt_id="R", amount_minor=900, **CNY))
    world.approved("merchant_top_up", application_id="A", merchant_id="M1", receipt_id="R",
                   amount_minor=900, **CNY)
    ended(world, "M1")
    order = {"merchant_id": "M1", "amount_minor": 900, "fee_minor": 0, **CNY}
    assert refused(world.send("merchant_spend", transaction_id="S", **order), "party_not_active")
    posted(world.send("merchant_spend_order", transaction_id="O", **order))
    posted(world.send("merchant_spend_result", result_id="RS", result="succeeded",
                      original_transaction_id="O"))
    assert world.balance("2211:M1") == 0
    posted(world.send("account_status", account_id="2211:M1", status="closed", reason="left",
                      **CNY))
    assert verify(world.settings).broken is None


def test_d4a_10_an_open_dispute_or_hold_keeps_the_account_open(world):
    """Balance 0 is not enough."""
    closing = {"account_id": "2201:M1", "status": "closed", "reason": "left", **CNY}
    world.do("payment", transaction_id="P", amount_minor=900, **PLAIN)
    world.do("dispute", transaction_id="D", original_transaction_id="P", amount_minor=900)
    assert world.balance("2201:M1") == 0
    assert "disputes" in world.send("account_status", **closing)["detail"]
    world.do("dispute_release", original_transaction_id="D", amount_minor=900)
    world.do("refund", original_transaction_id="P", amount_minor=900, **PLAIN)
    assert world.balance("2201:M1") == 0
    world.send("hold", hold_id="H", hold_kind="banned", account_id="2201:M1",
               case_number="C", **CNY)
    assert "holds" in world.send("account_status", **closing)["detail"]


@pytest.mark.parametrize(("mode", "pending", "disputed"), [
    ("bank", "9201", "9202"), ("self", "9211", "9212"),
])
def test_d4a_10_a_dispute_keeps_the_books_of_others_money_open_too(
    world, mode, pending, disputed
):
    """Memo books have a disputed account of their own."""
    world.merchant("M3", settlement_mode=mode)
    world.open([(pending, "M3"), (disputed, "M3"), ("9001" if mode == "bank" else "9011", None)])
    world.do("payment", transaction_id="P", merchant_id="M3", amount_minor=900, **PLAIN)
    world.do("dispute", transaction_id="D", original_transaction_id="P", amount_minor=900)
    assert world.balance(f"{pending}:M3") == 0
    closing = {"account_id": f"{pending}:M3", "status": "closed", "reason": "left", **CNY}
    still = world.send("account_status", **closing)
    assert refused(still, "register_differs", "status") and "disputes" in still["detail"]
    world.do("dispute_release", original_transaction_id="D", amount_minor=900)
    world.do("refund", original_transaction_id="P", amount_minor=900, **PLAIN)
    ended(world, "M3")
    posted(world.send("account_status", **closing))


def _closing(world, account, **values):
    return world.send("account_status", ANN, account_id=account, status="closed", reason="unused",
                      **CNY, **values)


def test_d4a_10_an_account_of_a_merchant_that_trades_stays_open(world):
    """It would stay closed, and one person asks for it; a stop is what one person may place."""
    still = _closing(world, "2211:M1")
    assert refused(still, "register_differs", "status") and "is active" in still["detail"]
    world.register("party_state", party_id="M1", state="leaving")
    posted(_closing(world, "2211:M1"))


@pytest.mark.parametrize("account", ["1001", "2401", "6002"])
def test_d4a_10_the_institutions_own_accounts_stay_open(world, account):
    """Empty as they are: each date may have to book to them."""
    assert refused(_closing(world, account), "register_differs", "status")


@pytest.mark.parametrize(("claim", "source"), [
    ("1201", "2201"), ("1203", "1202"), ("1205", "1204"),
])
def test_d4a_10_a_claim_closes_after_what_makes_it_grow(world, claim, source):
    ended(world, "M1")
    still = _closing(world, f"{claim}:M1")
    assert refused(still, "register_differs", "status") and f"{source}:M1" in still["detail"]
    posted(_closing(world, f"{source}:M1"))
    posted(_closing(world, f"{claim}:M1"))


@pytest.mark.parametrize("status", ["no_credit", "frozen", "closed"])
def test_d0_21_no_status_keeps_a_penalty_back_nor_the_close_that_asks_for_it(
    world, settings, status
):
    """Repaid on the day after, an advance has a penalty of that day, which its run books last: the
    claim may be closed by then. Logs of before may have any of the two accounts closed."""
    funds(world)
    posted(world.send("advance", movement_id="A", merchant_id="M1", amount_minor=100_000,
                      case_number="C1", **CNY))
    world.close()
    posted(world.send("claim_payment", movement_id="B", merchant_id="M1", claim="1202",
                      amount_minor=100_000, **CNY, **on(world, 1)))
    if status == "closed":
        world.register("party_state", party_id="M1", state="leaving", **on(world, 1))
        posted(_closing(world, "1202:M1", **on(world, 1)))
        posted(_closing(world, "1203:M1", **on(world, 1)))
    else:
        for account in ("1203:M1", "6002"):
            posted(world.send("account_status", ANN, account_id=account, status=status,
                              reason="r", **CNY, **on(world, 1)))
    assert run(world, 1).amounts == {"penalty": 1_000}
    assert world.close(days(1))["replayed"] is False
    assert verify(settings).broken is None


def _bought(world, name="WP", amount=4_000):
    posted(world.send("wealth_purchase", transaction_id=name, user_id="U1", product_id="F",
                      amount_minor=amount, authorisation=world.authorise("U1", "F", amount), **CNY))


@pytest.mark.parametrize("written", [False, True])
def test_d1_19_an_account_stays_open_while_a_product_bought_from_it_is_out(
    world, settings, written
):
    """What comes back has to go to it. Before a start or after one."""
    world.do("top_up", amount_minor=10_000)
    _bought(world)
    _bought(world, "WQ", 6_000)
    if written:
        world.reopen()
    still = _closing(world, "2101:U1")
    assert refused(still, "register_differs", "status") and "redeemed: 2" in still["detail"]
    posted(world.send("wealth_redemption", transaction_id="R1", original_transaction_id="WP",
                      amount_minor=4_500, **CNY))
    posted(world.send("transfer", transaction_id="T", user_id="U1", payee_id="U2",
                      amount_minor=4_500, authorisation=world.authorise("U1", "U2", 4_500), **CNY))
    assert "redeemed: 1" in _closing(world, "2101:U1")["detail"]
    posted(world.send("wealth_redemption", transaction_id="R2", original_transaction_id="WQ",
                      amount_minor=6_000, **CNY))
    posted(world.send("transfer", transaction_id="TT", user_id="U1", payee_id="U2",
                      amount_minor=6_000, authorisation=world.authorise("U1", "U2", 6_000), **CNY))
    posted(_closing(world, "2101:U1"))
    assert verify(settings).broken is None


def test_d1_19_a_purchase_that_was_reversed_or_not_confirmed_keeps_nothing_open(world):
    world.do("top_up", amount_minor=10_000)
    number = world.send("wealth_purchase", transaction_id="WP", user_id="U1", product_id="F",
                        amount_minor=10_000, authorisation=world.authorise("U1", "F", 10_000),
                        **CNY)["journal_id"]
    world.approved("reversal", adjustment_id="RV", journal_id=number, incident_number="I",
                   reason="r")
    posted(world.do("wealth_purchase_order", transaction_id="WQ", amount_minor=10_000,
                    authorisation=world.authorise("U1", "F", 10_000)))
    assert "balance" in _closing(world, "2101:U1")["detail"]
    posted(world.do("wealth_purchase_result", original_transaction_id="WQ", result="failed"))
    posted(world.send("transfer", transaction_id="T", user_id="U1", payee_id="U2",
                      amount_minor=10_000, authorisation=world.authorise("U1", "U2", 10_000),
                      **CNY))
    posted(_closing(world, "2101:U1"))


def test_d1_19_what_the_same_request_bought_counts(world):
    world.do("top_up", amount_minor=10_000)
    consent = world.authorise("U1", "F", 10_000)
    results = world.ledger.apply([
        world._keyed("wealth_purchase", {
            "transaction_id": "WP", "user_id": "U1", "product_id": "F", "amount_minor": 10_000,
            "authorisation": consent, **CNY}),
        world._keyed("account_status", {
            "account_id": "2101:U1", "status": "closed", "reason": "r", **CNY}),
    ], ANN)
    assert [result["status"] for result in results] == ["posted", "refused"]


def _terminal(world, name="T1", owner="M1"):
    return world.send("party", ANN, party_id=name, party_kind="terminal", owner_id=owner)


def test_d4a_11_a_terminal_is_entered_only_for_an_opened_merchant(world):
    """Not for one that is reviewed only or unknown; not effective before its review."""
    world.approved("party", party_id="M3", party_kind="merchant")
    assert refused(_terminal(world, owner="M3"), "register_differs", "owner_id")
    assert refused(_terminal(world, owner="M9"), "party_unknown", "owner_id")
    assert _terminal(world)["status"] == "pending"
    assert refused(world.do("payment", terminal_id="T1"), "terminal_not_active", "terminal_id")


def test_d4a_12_only_a_reviewed_terminal_does_online_business(world):
    """Reviewed by another with the right; rejected, it stays out; of its own merchant alone."""
    waits = _terminal(world)
    assert refused(world.approve(waits["sequence"], "ann"), "maker_is_checker")
    posted(world.send("reject", BEN, pending=waits["sequence"], operator_id="ben", reason="no"))
    assert refused(world.do("payment", terminal_id="T1"), "terminal_not_active")
    posted(world.approve(_terminal(world)["sequence"]))
    posted(world.do("payment", terminal_id="T1"))
    other = world.do("payment", terminal_id="T1", merchant_id="M2")
    assert refused(other, "terminal_not_active", "terminal_id")


def test_d4a_13_a_cancelled_terminal_does_no_online_business_of_any_kind(world):
    """At once, and for good; the merchant's usable ones are listed."""
    world.register("receipt", receipt_id="R", amount_minor=5_000, **CNY)
    world.approved("merchant_top_up", application_id="A", merchant_id="M1", receipt_id="R",
                   amount_minor=5_000, **CNY)
    for name in ("T1", "T2"):
        posted(world.approve(_terminal(world, name)["sequence"]))
    posted(world.send("party_state", ANN, party_id="T1", state="cancelled"))
    usable = [name for name, party in world.ledger.state.table("party").items()
              if party["owner_id"] == "M1" and party["state"] == "active"]
    assert usable == ["T2"]
    spend = {"merchant_id": "M1", "amount_minor": 10, "fee_minor": 0, **CNY}
    assert refused(world.do("payment", terminal_id="T1"), "terminal_not_active")
    for type_ in ("merchant_spend", "merchant_spend_order"):
        assert refused(world.send(type_, transaction_id=f"X{type_}", terminal_id="T1", **spend),
                       "terminal_not_active")
        posted(world.send(type_, transaction_id=f"Y{type_}", terminal_id="T2", **spend))
    world.do("top_up", amount_minor=1_000)
    held = {"merchant_id": "M1", "user_id": "U1", "amount_minor": 10, **CNY}
    for name in ("T1", "T2"):
        result = world.send("pre_authorisation", transaction_id=f"P{name}", terminal_id=name,
                            authorisation=world.authorise("U1", "M1", 10), **held)
        assert posted(result) if name == "T2" else refused(result, "terminal_not_active")
    assert {name for name, operation in world.ledger.operations.by_type.items() if any(
        field.name == "terminal_id" for field in operation.form.fields
    )} == {"payment", "merchant_spend", "merchant_spend_order", "pre_authorisation"}  # every kind
    again = world.send("party_state", ANN, party_id="T1", state="active")
    assert refused(again, "register_differs", "state")
    _right(world, "staff", "parties", "enter", allowed=False)
    other = world.send("party_state", ANN, party_id="T2", state="cancelled")
    assert refused(other, "no_right", "type")


def _apply(world, amount=5_050, receipt="R", number="A"):
    return world.send("merchant_top_up", ANN, application_id=number, merchant_id="M1",
                      receipt_id=receipt, amount_minor=amount, **CNY)


def test_d4a_15_a_top_up_is_approved_only_for_the_remittance_received_and_posts_at_once(world):
    """50.50: no minimum, no whole yuan; the balance rises by exactly it; a receipt serves once."""
    world.register("receipt", receipt_id="R", amount_minor=5_050, **CNY)
    assert refused(_apply(world, receipt="R9"), "original_unknown", "receipt_id")
    for wrong in (5_049, 5_051):
        assert refused(_apply(world, wrong, number=f"A{wrong}"), "original_differs",
                       "amount_minor")
    first, second = _apply(world), _apply(world, number="B")
    waiting = queries.waiting(world.ledger)["pending"]
    assert [w["content"]["application_id"] for w in waiting] == ["A", "B"]
    assert refused(world.approve(first["sequence"], "ann"), "maker_is_checker")
    assert world.balance("2211:M1") == 0
    done = posted(world.approve(first["sequence"]))
    assert [leg[:3] for leg in world.legs(done)] == [
        ("2401", "D", 5_050), ("2211:M1", "C", 5_050)]
    assert world.balance("2211:M1") == 5_050
    assert refused(world.approve(second["sequence"]), "receipt_used", "receipt_id")
    posted(world.send("reject", BEN, pending=second["sequence"], operator_id="ben", reason="x"))


def test_d4a_15_one_fen_is_enough(world):
    """No minimum."""
    world.register("receipt", receipt_id="R", amount_minor=1, **CNY)
    posted(world.approve(_apply(world, 1)["sequence"]))
    assert world.balance("2211:M1") == 1


def test_d4b_13_a_dedicated_account_serves_its_purpose_alone_and_by_two(settings):
    """Another use is refused; its own use waits for the responsible person."""
    world = World(settings)
    world.ledger.set_clock(at(DAY, "22:59:59"))
    world.people()
    world.merchant("M1")
    world.open([("1101", None), ("2602", "M1")])
    world.register("open_account", account_code="1102", purpose=["deposit_returned"], **CNY)
    posted(world.send("deposit_received", movement_id="D", merchant_id="M1", amount_minor=900,
                      **CNY))
    ended(world, "M1")
    leg = {"amount_minor": 100, "component": "use", **CNY}
    foreign = world.send("adjustment", ANN, adjustment_id="J", incident_number="N", reason="x",
                         legs=[{"account_id": "1102", "direction": "C", **leg},
                               {"account_id": "1101", "direction": "D", **leg}])
    assert refused(foreign, "purpose_differs")
    use = {"merchant_id": "M1", "amount_minor": 100, **CNY}
    assert refused(world.send("deposit_returned", movement_id="X", **use), "no_right")
    waits = world.send("deposit_returned", ANN, movement_id="Y", **use)
    assert (waits["status"], world.balance("1102")) == ("pending", 900)
    assert refused(world.approve(waits["sequence"], "ann"), "maker_is_checker")
    posted(world.approve(waits["sequence"]))
    assert world.balance("1102") == 800
    world.close()
    world.ledger.close()
    assert verify(settings).journals == 2


def _crash(world):
    """The process is gone: no checkpoint, no closing; what is on disk is all there is."""
    world.ledger.store.close()
    world.ledger = open_ledger(world.settings, simulated=True)


def test_d4c_04_after_a_crash_nothing_is_lost_and_nothing_is_there_twice(world, settings):
    """Trial balance before = after, verify passes, each acknowledged command is there once."""
    world.close()
    when = on(world, 1)
    sent = [world.command("payment", **when) for _ in range(20)]
    sent += [world.command("top_up", user_id="U2", **when) for _ in range(20)]
    acknowledged = world.ledger.apply(sent, SYSTEM)
    before, digest = world.balances(), world.ledger.head.digest
    _crash(world)
    assert (world.balances(), world.ledger.head.digest) == (before, digest)
    again = world.ledger.apply(sent, SYSTEM)
    assert [{**r, "replayed": True} for r in acknowledged] == again
    assert world.balances() == before
    world.close(days(1))  # the next day is not affected
    assert verify(settings).journals == 40


@pytest.mark.parametrize("ended", ["close", "crash"])
def test_d4c_05_operations_of_a_drill_post_with_its_number_and_stay(world, settings, ended):
    """Real ones, on real data: in the books, in the chain, with the drill's number."""
    done = posted(world.do("payment", metadata={"drill_number": "DR-2026-1"}))
    if ended == "crash":
        _crash(world)
    head = world.close()
    assert head["journals"] == 1 and world.balance("2201:M1") == 9_940
    assert orjson.loads(world.row(done)[12])["metadata"] == {"drill_number": "DR-2026-1"}
    assert verify(settings).journals == 1 and done["booking_date"] == DAY.isoformat()
