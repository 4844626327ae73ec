"""D0, rules 34 to 73: instructions, identity, callers, limits, suspension, end, tenants."""

from __future__ import annotations

import orjson
import pytest

from ledger.adapters.data_files import load_suspension_grounds
from ledger.domain.actors import Actor
from ledger.entrypoints.operations import verify
from ledger.requests import signed_bytes
from paylake.crypto import PrivateKey, sm3_hex
from tests.ledger.conftest import ANN, DAY
from tests.ledger.rules.words import (
    CNY,
    INTERNAL,
    PLAIN,
    days,
    ended,
    funds,
    on,
    posted,
    refused,
    tenant,
)


def _caller(world, name="C1", party="M1", on_behalf=(), **values):
    world.approved("caller", **{
        "caller_id": name, "party_id": party, "on_behalf": list(on_behalf), "rates": {},
        "public_key": PrivateKey.generate().public.point, "enabled": True, **values,
    })
    return Actor("caller", name)


def _state(world, party, state, **values):
    return world.send("party_state", ANN, party_id=party, state=state, **values)


def test_d0_34_until_its_start_every_instruction_of_a_merchant_is_refused(world):
    """Entered, reviewed, without contract: nothing posts; active by a contract in force."""
    world.approved("party", party_id="M3", party_kind="merchant")
    world.open([("2201", "M3"), ("1205", "M3"), ("2602", "M3")])
    tries = [
        world.command("payment", merchant_id="M3"), world.command("fee", merchant_id="M3"),
        world.command("settlement", merchant_id="M3"),
    ]
    for result in world.ledger.apply(tries):
        assert refused(result, "party_not_active", "merchant_id")
    assert refused(_state(world, "M3", "active"), "contract_missing")
    world.approved("contract", contract_id="C3", merchant_id="M3", minimum_minor=0,
                   settlement_mode="institution", settlement_cycle="D+1", fee_choice="bill",
                   access_fee_minor=300, use_fee_minor=0, valid_from=DAY.isoformat())

    def not_yet(said, **values):
        result = _state(world, "M3", "active", **values)
        assert refused(result, "start_missing") and said in result["detail"], result
        assert refused(world.do("payment", merchant_id="M3"), "party_not_active")

    not_yet("access fee 0 of 300")  # signed only
    fee = {"merchant_id": "M3", **CNY}
    posted(world.send("fee_charge", fee_id="F1", fee_item="access", amount_minor=300, **fee))
    not_yet("1205:M3 is not paid", evidence="SAID-SO")
    posted(world.send("bill_payment", movement_id="B1", amount_minor=300, **fee))
    not_yet("no channel")
    bare = world.send("channel_onboarded", onboarding_id="ON", merchant_id="M3",
                      channel="unionpay", details={})
    assert refused(bare, "register_differs", "details")
    world.onboard("M3", "unionpay")
    not_yet("no bank account")
    world.bind("M3")
    posted(_state(world, "M3", "active"))
    posted(world.do("payment", merchant_id="M3"))


def test_d0_34_a_platform_starts_as_a_merchant_does(world):
    """It does business of its own, and its users are its own."""
    world.approved("party", party_id="TE", party_kind="tenant")
    world.open([("2201", "TE")])
    pay = {"merchant_id": "TE", "amount_minor": 100, **PLAIN}
    assert refused(world.do("payment", **pay), "party_not_active")
    assert refused(_state(world, "TE", "active"), "contract_missing")
    world.approved("contract", contract_id="CT", merchant_id="TE", minimum_minor=0,
                   settlement_mode="institution", settlement_cycle="D+1", fee_choice="bill",
                   access_fee_minor=0, use_fee_minor=0, valid_from=DAY.isoformat())
    assert refused(_state(world, "TE", "active"), "start_missing")
    world.onboard("TE", "netsunion")
    world.bind("TE")
    posted(_state(world, "TE", "active"))
    assert refused(world.do("payment", **pay, channel="unionpay"), "channel_not_open")
    posted(world.do("payment", **pay, channel="netsunion"))


def test_d0_34_a_start_fee_whose_charge_was_reversed_is_not_charged(world):
    """It was a wrong booking: the right one is made first."""
    world.approved("party", party_id="M3", party_kind="merchant")
    world.open([("1205", "M3")])
    world.approved("contract", contract_id="C3", merchant_id="M3", minimum_minor=0,
                   settlement_mode="institution", settlement_cycle="D+1", fee_choice="bill",
                   access_fee_minor=300, use_fee_minor=0, valid_from=DAY.isoformat())
    world.onboard("M3", "unionpay")
    world.bind("M3")
    fee = {"merchant_id": "M3", "fee_item": "access", **CNY}
    charged = [posted(world.send("fee_charge", fee_id=f"F{amount}", amount_minor=amount, **fee))
               for amount in (100, 200)]
    back = {"incident_number": "I", "reason": "x"}
    for number, (wrong, said) in enumerate(zip(charged, ("200 of 300", "0 of 300"), strict=True)):
        world.approved("reversal", adjustment_id=f"A{number}", journal_id=wrong["journal_id"],
                       **back)
        early = _state(world, "M3", "active")
        assert refused(early, "start_missing") and said in early["detail"]
    posted(world.send("fee_charge", fee_id="F3", amount_minor=300, **fee))
    posted(world.send("bill_payment", movement_id="B", merchant_id="M3", amount_minor=300, **CNY))
    posted(_state(world, "M3", "active"))
    assert verify(world.settings).broken is None


def test_d0_34_a_payment_goes_over_a_channel_that_has_given_its_parameters(world):
    """Another channel is refused until it has, the institution's own too."""
    world.approved("party", party_id="M3", party_kind="merchant")
    world.approved("contract", contract_id="C3", merchant_id="M3", minimum_minor=0,
                   settlement_mode="institution", settlement_cycle="D+1", fee_choice="bill",
                   access_fee_minor=0, use_fee_minor=0, valid_from=DAY.isoformat())
    world.onboard("M3", "netsunion")
    world.bind("M3")
    posted(_state(world, "M3", "active"))
    world.open([("2201", "M3")])
    world.do("top_up", amount_minor=9_000)
    pay = {"merchant_id": "M3", "amount_minor": 1_000}
    posted(world.do("payment", channel="netsunion", transaction_id="P", **PLAIN, **pay))
    assert refused(world.do("payment", channel="unionpay", **PLAIN, **pay), "channel_not_open")
    assert refused(world.do("payment", **INTERNAL, **pay), "channel_not_open")
    posted(world.do("refund", original_transaction_id="P", amount_minor=1_000, **PLAIN))
    world.approved("party", party_id="M3", party_kind="merchant")
    world.onboard("M3", "internal")
    posted(world.do("payment", **INTERNAL, **pay))  # channels outlive an entry made anew
    posted(world.do("payment", channel="netsunion", **PLAIN, **pay))


@pytest.mark.parametrize(("terms", "evidence", "said"), [
    ({"access_fee_minor": None}, None, "says no access fee"),
    ({"use_fee_minor": 5, "fee_payee": "provider"}, None, "receipt"),
    ({"use_fee_minor": 5, "fee_payee": "provider"}, "PR-1", None),
    ({"fee_payee": "provider"}, None, None),
])
def test_d0_34_the_contract_says_what_the_start_costs_and_a_provider_that_it_is_paid(
    world, terms, evidence, said
):
    """No price is taken as none; 0 says none."""
    world.approved("party", party_id="M3", party_kind="merchant")
    world.approved("contract", **{
        "contract_id": "C3", "merchant_id": "M3", "minimum_minor": 0, "fee_choice": "bill",
        "settlement_mode": "institution", "settlement_cycle": "D+1", "access_fee_minor": 0,
        "use_fee_minor": 0, "valid_from": DAY.isoformat(), **terms,
    })
    world.onboard("M3", "unionpay")
    world.bind("M3")
    result = _state(world, "M3", "active", evidence=evidence)
    if said is None:
        posted(result)
    else:
        assert refused(result, "start_missing") and said in result["detail"]


@pytest.mark.parametrize(("fixed", "field"), [
    (("U2", "M1", 1_000), "payer_id"), (("U1", "M2", 1_000), "payee"),
    (("U1", "M1", 999), "amount_minor"), (("U1", "M1", 1_001), "amount_minor"),
])
def test_d0_35_an_instruction_that_differs_from_what_was_authorised_is_left_undone(
    world, fixed, field
):
    """Payer, payee and amount are fixed by the reference; 0 postings."""
    world.do("top_up", amount_minor=5_000)
    before = world.balances()
    result = world.do("payment", amount_minor=1_000, authorisation=world.authorise(*fixed),
                      **INTERNAL)
    assert refused(result, "authorisation_differs", field) and world.balances() == before


def test_d0_35_each_customer_debit_carries_a_reference_good_once(world):
    """Without one, and with a used one, it is refused."""
    world.do("top_up", amount_minor=5_000)
    pay = {"amount_minor": 1_000, **INTERNAL}
    assert refused(world.do("payment", authorisation=None, **pay), "authorisation_missing")
    reference = world.authorise("U1", "M1", 1_000)
    posted(world.do("payment", authorisation=reference, **pay))
    again = world.do("payment", authorisation=reference, **pay)
    assert refused(again, "authorisation_unknown") and world.balance("2101:U1") == 4_000


def test_d0_36_the_callers_signed_request_is_kept_in_the_chain(caller, world, settings):
    """What was signed stands beside what it caused and proves itself again."""
    body = orjson.dumps(world.of("C1", world.command("payment")))
    sequence = caller.send("POST", "/v1/commands", body).json()["sequence"]
    (row,) = world.ledger.store.entries(sequence, sequence)
    evidence = orjson.loads(row[8])
    assert row[7] == "caller:C1" and evidence["digest"] == sm3_hex(body)
    key = world.ledger.state.get("caller", "C1")["public_key"]
    signature = bytes.fromhex(evidence["signature"])
    prove = world.ledger.authority.verify
    assert prove(key, signed_bytes(evidence), signature)
    assert not prove(key, signed_bytes({**evidence, "digest": sm3_hex(b"other")}), signature)
    assert verify(settings).requests == 1


def test_d0_37_one_key_per_caller_none_shared_and_no_other_use(world):
    """A key of another caller is refused; so is what is not the caller's to send."""
    key = PrivateKey.generate().public.point
    one = _caller(world, public_key=key)
    shared = world.send("caller", ANN, caller_id="C2", party_id="M2", on_behalf=[], rates={},
                        public_key=key, enabled=True)
    assert refused(shared, "register_differs", "public_key")
    for type_, values in (
        ("receipt", {"receipt_id": "R", "amount_minor": 1, **CNY}),
        ("settlement", {"payout_id": "S", "merchant_id": "M1", "amount_minor": 1, **CNY}),
        ("stop", {"stop_id": "S", "stop_scope": "all", "stop_mode": "everything",
                  "reason": "x"}),
    ):
        assert refused(world.send(type_, one, **values), "no_right", "type"), type_
    foreign = world.of("C1", world.command("payment", merchant_id="M2"))
    assert refused(world.ledger.apply([foreign], one)[0], "not_your_merchant")


def test_d0_38_a_provider_has_its_own_key_limits_and_stop(http, caller, world):
    """Its data count as the merchant's; it is cut off alone."""
    from tests.ledger.test_http import Signed

    key = PrivateKey.generate()
    world.approved("party", party_id="PR", party_kind="provider")
    provider = {"name": "PV", "party": "PR", "on_behalf": ["M1"],
                "public_key": key.public.point, "rates": {"transaction": 2},
                "rails": ["unionpay"]}
    _caller(world, **provider)
    signed = Signed(http, "caller:PV", key)

    def sent(caller, name):
        command = world.of(name, world.command("payment"))
        return caller.send("POST", "/v1/commands", orjson.dumps(command)).status_code

    said = [sent(signed, "PV") for _ in range(3)]
    assert said == [201, 201, 429] and world.balance("2201:M1") == 2 * 9_940
    _caller(world, **{**provider, "enabled": False})
    assert sent(signed, "PV") == 401
    assert sent(caller, "C1") == 201  # the merchant's own


def test_d0_40_a_book_is_not_active_before_a_passed_identity_check(world):
    """A person or firm is entered first; without the check nothing posts."""
    world.register("party", party_id="U9", party_kind="user")
    world.open([("2101", "U9")])
    assert refused(world.do("top_up", user_id="U9"), "party_not_active", "user_id")
    assert refused(_state(world, "U9", "active"), "register_differs", "identity_check")
    posted(_state(world, "U9", "active", identity_check="CHK-1"))
    posted(world.do("top_up", user_id="U9"))


def _pays(world, user, name):
    """A merchant's payout to a user out of its balance."""
    return world.send("payout_on_behalf", transaction_id=name, merchant_id="M1", user_id=user,
                      amount_minor=100, fee_minor=0, **CNY)


def _loss(user, name):
    return {"movement_id": name, "user_id": user, "amount_minor": 100, "case_number": "N",
            "finding": "this_institution", "evidence": "E", **CNY}


def test_d0_40_who_is_paid_on_behalf_or_compensated_has_passed_the_check(world):
    """Who is suspended or cancelled is paid by nobody as new business, a loss is made good all the
    same; a grade bars who receives as well."""
    funds(world)
    posted(world.send("receipt", receipt_id="R", amount_minor=9_000, **CNY))
    world.approved("merchant_top_up", application_id="A", merchant_id="M1", receipt_id="R",
                   amount_minor=9_000, **CNY)
    world.register("party", party_id="U9", party_kind="user")
    world.open([("2101", "U9")])
    for user, reason in (("U9", "party_not_active"), ("U8", "party_unknown")):
        assert refused(_pays(world, user, "P1"), reason, "user_id")
        assert refused(world.send("compensation", ANN, **_loss(user, "C1")), reason, "user_id")
    posted(_state(world, "U9", "active", identity_check="CHK-1"))
    posted(_pays(world, "U9", "P2"))
    world.approved("party_state", party_id="U9", state="suspended", suspension_ground="1",
                   evidence="E")
    assert refused(_pays(world, "U9", "P3"), "party_not_active", "user_id")
    world.approved("compensation", **_loss("U9", "C2"))
    world.approved("grade_terms", grade="high_risk", valid_from=DAY.isoformat(), evidence="S",
                   barred_scenes=["payout_on_behalf"], delay_days=0, deposit_minor=0)
    world.approved("grade_change", party_id="U2", grade="high_risk", evidence="R")
    assert refused(_pays(world, "U2", "P4"), "grade_not_allowed")
    posted(_pays(world, "U1", "P5"))
    assert verify(world.settings).broken is None


@pytest.mark.parametrize(("most", "passed"), [
    ({"single_minor": 9_999}, 0), ({"single_minor": 10_000}, 3), ({"day_count": 2}, 2),
])
def test_d0_45_single_transactions_are_limited_by_amount_and_by_count(world, most, passed):
    """Exactly the limit passes; entered by maker and checker."""
    world.approved("limit", limit_id="L", scene="payment", account_code="2201",
                   valid_from=DAY.isoformat(), **CNY, **most)
    results = [world.do("payment") for _ in range(3)]
    assert [r["status"] for r in results] == ["posted"] * passed + ["refused"] * (3 - passed)
    assert {r["reason"] for r in results[passed:]} <= {"limit_exceeded"}


@pytest.mark.parametrize("ground", [str(n) for n in range(1, 13)])
def test_d0_46_a_suspension_names_one_of_twelve_grounds_with_evidence_by_two(world, ground):
    """It starts nothing new and is lifted by two, on the same ground."""
    held = {"suspension_ground": ground, "evidence": "DOC-1"}
    assert refused(world.send("party_state", party_id="M1", state="suspended", **held),
                   "no_right")
    assert refused(_state(world, "M1", "suspended"), "register_differs", "suspension_ground")
    assert refused(_state(world, "M1", "suspended", suspension_ground=ground),
                   "register_differs", "evidence")
    world.approved("party_state", party_id="M1", state="suspended", **held)
    document = world.ledger.state.get("party", "M1")
    assert (document["ground"], document["evidence"]) == (ground, "DOC-1")
    assert refused(world.do("payment"), "party_not_active")
    other = _state(world, "M1", "active", suspension_ground=str(int(ground) % 12 + 1))
    assert refused(other, "register_differs", "suspension_ground")
    world.approved("party_state", party_id="M1", state="active", suspension_ground=ground)
    posted(world.do("payment"))


def test_d0_46_there_is_no_thirteenth_ground(world):
    """The list is closed."""
    assert _state(world, "M1", "suspended", suspension_ground="13")["reason"] == "invalid_field"
    (field,) = (f for f in world.ledger.operations.by_type["party_state"].form.fields
                if f.name == "suspension_ground")
    assert field.of == tuple(load_suspension_grounds()) and len(field.of) == 12


def test_d0_46_the_business_is_ended_on_a_ground_with_evidence_by_two_too(world):
    """At the merchant's own application it starts nothing new at once (rules D4a.10, D0.48)."""
    ends = {"party_id": "M1", "state": "cancelled", "suspension_ground": "9"}
    assert refused(world.send("party_state", ANN, **ends), "register_differs", "evidence")
    assert refused(world.send("party_state", **ends, evidence="COURT-9"), "no_right")
    world.approved("party_state", **ends, evidence="COURT-9")
    document = world.ledger.state.get("party", "M1")
    assert (document["state"], document["ground"], document["evidence"]) == (
        "cancelled", "9", "COURT-9")
    posted(_state(world, "M2", "leaving"))
    assert refused(world.do("payment", merchant_id="M2"), "party_not_active", "merchant_id")


def test_d0_46_a_merchant_entered_anew_stays_suspended_on_its_ground(world):
    """So that it is lifted by two all the same."""
    world.approved("party_state", party_id="M1", state="suspended", suspension_ground="7",
                   evidence="DOC-1")
    world.approved("grade_change", party_id="M1", grade="gold", evidence="RATING-1")
    world.approved("party", party_id="M1", party_kind="merchant")
    assert refused(_state(world, "M1", "active"), "register_differs", "suspension_ground")
    document = world.ledger.state.get("party", "M1")
    assert (document["grade"], document["ground"], document["evidence"]) == ("gold", "7", "DOC-1")


def _blocks(world, number, detail):
    when = on(world, number)
    result = world.send("party_state", party_id="TM", state="cancelled", evidence="CONSENT-1",
                        **when)
    assert refused(result, "register_differs", "state") and detail in result["detail"], result


def test_d0_48_a_merchant_leaves_early_when_all_conditions_hold_computed(world):
    """Notice of a month, no frozen funds, no dispute, users cleared, fees paid."""
    tenant(world, settlement_cycle="T+0")
    world.open([("2201", "TM"), ("2202", "TM"), ("1205", "TM"), ("2101", "TU1")])
    world.do("payment", transaction_id="P", merchant_id="TM", amount_minor=900, **PLAIN)
    world.do("top_up", user_id="TU1", amount_minor=1_000)
    charged = posted(world.send("fee_charge", fee_id="F", merchant_id="TM", fee_item="service",
                                amount_minor=40, **CNY))
    assert charged
    posted(world.send("hold", hold_id="H", hold_kind="suspicious", account_id="2101:TU1",
                      amount_minor=1, case_number="C", **CNY))
    world.do("dispute", transaction_id="D", original_transaction_id="P", amount_minor=900)
    posted(_state(world, "TM", "leaving"))
    _blocks(world, 29, "one month has not passed")  # 2026-10-11
    _blocks(world, 30, "is not paid")  # 1205 stands first
    when = on(world, 30, "13:00:00")
    posted(world.send("bill_payment", movement_id="B", merchant_id="TM", amount_minor=40,
                      **CNY, **when))
    _blocks(world, 30, "frozen funds")
    waits = world.send("hold_release", ANN, result_id="R", hold_id="H", case_number="C", **when)
    posted(world.approve(waits["sequence"], **when))
    _blocks(world, 30, "not cleared")
    world.register("bind_account", destination_id="DT", party_id="TU1", bound_account="6",
                   bound_name="T", bank_code="B", **when)
    world.register("authorise", authorisation_id="AX", payer_id="TU1", payee="U2",
                   amount_minor=1_000, method="password", **CNY, **when)
    posted(world.send("transfer", transaction_id="X", user_id="TU1", payee_id="U2",
                      amount_minor=1_000, authorisation="AX", **CNY, **when))
    _blocks(world, 30, "open disputes")
    world.do("dispute_release", original_transaction_id="D", amount_minor=900, **when)
    bare = world.send("party_state", party_id="TM", state="cancelled", **when)
    assert refused(bare, "register_differs", "evidence")  # the institution's written consent
    posted(world.send("party_state", party_id="TM", state="cancelled", evidence="CONSENT-1",
                      **when))


@pytest.mark.parametrize("now", ["active", "suspended"])
def test_d0_48_there_is_no_way_around_notice_and_conditions(world, now):
    """Whatever it is, a merchant that started becomes `leaving` first, unless a ground ends it."""
    if now == "suspended":
        world.approved("party_state", party_id="M1", state="suspended", suspension_ground="7",
                       evidence="DOC-1")
    around = _state(world, "M1", "cancelled", evidence="CONSENT-1")
    assert refused(around, "register_differs", "state") and "leaving" in around["detail"]
    ended(world, "M1")


def test_d0_48_a_merchant_that_never_started_needs_no_notice_but_owes_nothing(world):
    """Nobody uses it yet; its access fee is paid all the same."""
    for name in ("M3", "M4"):
        world.approved("party", party_id=name, party_kind="merchant")
        world.approved("contract", contract_id=f"C-{name}", merchant_id=name, minimum_minor=0,
                       settlement_mode="institution", settlement_cycle="D+1", fee_choice="bill",
                       access_fee_minor=40, use_fee_minor=0, valid_from=days(0).isoformat())
    world.open([("1205", "M3")])
    posted(world.send("fee_charge", fee_id="F", merchant_id="M3", fee_item="access",
                      amount_minor=40, **CNY))
    owes = _state(world, "M3", "cancelled")
    assert refused(owes, "register_differs", "state") and "not paid" in owes["detail"]
    posted(world.send("bill_payment", movement_id="B", merchant_id="M3", amount_minor=40, **CNY))
    for name in ("M3", "M4"):
        posted(_state(world, name, "cancelled"))


def test_d0_48_a_frozen_account_a_member_of_no_tenants_book_and_a_debt_count_too(world):
    """Frozen by its status, a member's by its owner, owed as a pending settlement below zero."""
    tenant(world, settlement_cycle="T+0")
    world.open([("2201", "TM"), ("2101", "TU1")])
    world.register("party", party_id="U9", party_kind="user", identity_check="ID")
    world.open([("2101", "U9")])
    world.register("party", party_id="U9", party_kind="user", owner_id="TM", identity_check="ID")
    world.do("top_up", user_id="TU1", amount_minor=1_000)
    world.do("top_up", user_id="U9", amount_minor=1_000)
    world.register("account_status", account_id="2101:TU1", status="frozen", reason="x", **CNY)
    posted(_state(world, "TM", "leaving"))
    posted(world.do("fee", merchant_id="TM", amount_minor=7))
    _blocks(world, 30, "2101:TU1 has frozen funds")
    when = on(world, 30, "13:00:00")
    thaw = world.send("account_status", ANN, account_id="2101:TU1", status="normal", reason="x",
                      **CNY, **when)
    posted(world.approve(thaw["sequence"], **when))
    for number, user in enumerate(("TU1", "U9")):
        _blocks(world, 30, f"2101:{user} of a user is not cleared")
        world.register("authorise", authorisation_id=f"A{user}", payer_id=user, payee="U2",
                       amount_minor=1_000, method="password", **CNY, **when)
        posted(world.send("transfer", transaction_id=f"X{number}", user_id=user, payee_id="U2",
                          amount_minor=1_000, authorisation=f"A{user}", **CNY, **when))
    _blocks(world, 30, "2201:TM is below zero")


def test_d0_48_unused_prepaid_fees_become_income_at_closing(world):
    """Not before, and not back to the merchant."""
    funds(world)
    world.merchant("M3", fee_choice="prepaid")
    world.open([("2601", "M3")])
    world.register("fee_prepayment", movement_id="F", merchant_id="M3", amount_minor=500, **CNY)
    early = world.send("fees_unused", movement_id="E", merchant_id="M3", **CNY)
    assert refused(early, "register_differs", "merchant_id")
    ended(world, "M3")
    done = posted(world.send("fees_unused", movement_id="G", merchant_id="M3", **CNY))
    assert [leg[:3] for leg in world.legs(done)] == [("2601:M3", "D", 500), ("6001", "C", 500)]


def test_d0_53_a_caller_touches_no_other_tenants_books_and_the_try_is_recorded(caller, world):
    """A foreign member's book is refused, and so is a read; the refusal stands in the chain."""
    tenant(world)
    world.open([("2101", "TU1"), ("2201", "TM")])
    for command in (world.of("C1", world.command("payment", merchant_id="TM")),
                    world.of("C1", world.command("top_up", user_id="TU1"))):
        answer = caller.send("POST", "/v1/commands", orjson.dumps(command))
        assert (answer.status_code, answer.json()["reason"]) == (403, "not_your_merchant")
        (row,) = world.ledger.store.find_by_key([command["idempotency_key"]]).values()
        assert (row[4], row[7], row[13]) == ("refused", "caller:C1", "[]")
    for path in ("/v1/balances?party_id=TU1", "/v1/accounts/2101:TU1/movements",
                 "/v1/journals", "/v1/events"):
        assert caller.send("GET", path).status_code == 403


def test_d0_73_a_wrong_posting_is_reversed_and_booked_anew_with_its_incident(world):
    """Linked reversal and new booking, each with the incident's number, by maker and checker."""
    wrong = posted(world.do("payment", transaction_id="P", amount_minor=5_000, **PLAIN))
    back = {"adjustment_id": "A1", "journal_id": wrong["journal_id"], "reason": "wrong amount"}
    bare = world.send("reversal", ANN, **back)
    assert (bare["reason"], bare["field"]) == ("missing_field", "incident_number")
    assert refused(world.send("reversal", incident_number="INC-1", **back), "no_right")
    done = world.approved("reversal", incident_number="INC-1", **{**back, "adjustment_id": "A2"})
    leg = {"amount_minor": 500, "component": "correction", **CNY}
    new = world.approved("adjustment", adjustment_id="A3", incident_number="INC-1", reason="paid",
                         legs=[{"account_id": "1001", "direction": "D", **leg},
                               {"account_id": "2201:M1", "direction": "C", **leg}])
    for result in (done, new):
        assert orjson.loads(world.row(result)[12])["incident_number"] == "INC-1"
    assert orjson.loads(world.row(done)[12])["journal_id"] == wrong["journal_id"]
    assert world.balance("2201:M1") == 500
    again = world.send("reversal", ANN, incident_number="INC-1", **{**back, "adjustment_id": "A4"})
    assert refused(again, "already_reversed")
