"""What a grade of the rating entails beside its limits: scenes, later payouts, deposit (rules D0.7,
D0.33, D2.9)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledger.domain import grades
from ledger.domain.documents import put
from ledger.domain.forms import Form
from ledger.entrypoints.operations import verify
from tests.ledger.conftest import ANN, DAY
from tests.ledger.rules.words import CNY, PLAIN, days, on, posted, refused, run

TODAY = DAY.isoformat()
TERMS = {"delay_days": 0, "deposit_minor": 0, "barred_scenes": []}


def _terms(world, **values):
    world.approved("grade_terms", **{"grade": "high_risk", "valid_from": TODAY,
                                     "evidence": "SHEET-3", **TERMS, **values})


def _graded(world, party):
    world.approved("grade_change", party_id=party, grade="high_risk", evidence="RATING-1")


def test_d2_09_a_grade_bars_scenes_that_its_parties_do_not_start(world):
    """Payer or merchant; what is under way goes on, other grades and scenes too; from its date."""
    posted(world.do("payment", transaction_id="P", **PLAIN))
    _terms(world, barred_scenes=["payment", "transfer"], valid_from=days(1).isoformat())
    _graded(world, "M1")
    posted(world.do("payment", **PLAIN))  # not yet
    when = on(world, 1)
    assert refused(world.do("payment", **PLAIN, **when), "grade_not_allowed")
    posted(world.do("payment", merchant_id="M2", **PLAIN, **when))
    posted(world.do("refund", original_transaction_id="P", **PLAIN, **when))
    posted(world.do("top_up", **when))
    waits = world.send("grade_change", ANN, party_id="M1", grade="standard", evidence="R-2", **when)
    posted(world.approve(waits["sequence"], **when))
    posted(world.do("payment", **PLAIN, **when))


def test_d2_09_what_a_grade_entails_is_set_by_two_with_its_method(world):
    order = {"grade": "high_risk", "valid_from": TODAY, "evidence": "SHEET-3", **TERMS}
    assert refused(world.send("grade_terms", **order), "no_right")
    wrong = world.send("grade_terms", ANN, **{**order, "barred_scenes": ["payments"]})
    assert refused(wrong, "register_differs", "barred_scenes")
    _terms(world)
    assert refused(world.send("grade_terms", ANN, **order), "register_differs", "valid_from")


@pytest.mark.parametrize("name", TERMS)
def test_d0_33_a_version_of_a_grades_terms_says_each_of_them(world, name):
    """What it leaves out would be none of it from then on: no deposit, no delay, nothing barred."""
    _terms(world, deposit_minor=5_000, delay_days=2, barred_scenes=["transfer"])
    later = {"grade": "high_risk", "valid_from": days(1).isoformat(), "evidence": "SHEET-4",
             **TERMS}
    assert refused(world.send("grade_terms", ANN, **{**later, name: None}), "missing_field", name)
    world.approved("grade_terms", **later)
    assert grades.terms(world.ledger.state, "M1", days(1).isoformat()) == {}  # another grade
    assert world.ledger.state.get("grade_terms", "high_risk")[-1][name] == TERMS[name]


@pytest.mark.usefixtures("older_after_newer")
def test_d0_33_terms_of_before_that_left_something_out_are_kept(world, monkeypatch):
    """They said none of it. What waited as such is not approved by today's template."""
    form = world.ledger.operations.by_type["grade_terms"].form
    old = Form("grade_terms", tuple(
        replace(field, optional=True) if field.name in TERMS else field for field in form.fields
    ))
    bare = {"grade": "high_risk", "evidence": "SHEET-3"}

    def silent(state, v, c):
        return put("grade_terms", v["grade"], [{**v, **TERMS}])

    with world.of_before("grade_terms", 2, form=old), monkeypatch.context() as before:
        before.setattr(world.ledger.movements, "grade_terms", silent, raising=False)
        waits = world.send("grade_terms", ANN, valid_from=TODAY, **bare)
        assert waits["status"] == "pending"
        world.approved("grade_terms", valid_from=TODAY, **bare)
    assert refused(world.approve(waits["sequence"]), "register_differs", "delay_days")
    assert verify(world.settings).broken is None
    world.reopen()
    assert world.ledger.state.get("grade_terms", "high_risk")[0]["deposit_minor"] == 0


def test_d0_07_merchants_of_a_grade_are_paid_later_by_working_days(world):
    """By the run and by hand: a Saturday's payment of T+0 on the second working day."""
    _terms(world, delay_days=2)
    _graded(world, "M1")
    for merchant in ("M1", "M2"):
        posted(world.do("payment", merchant_id=merchant, **PLAIN))
    assert run(world, 0).amounts == {"settlement": 10_000}  # M2's
    when = on(world, 2)
    assert refused(world.do("settlement", **when), "not_due")
    on(world, 3)
    assert run(world, 3).amounts == {"settlement": 10_000}


def test_d0_33_a_merchant_of_a_grade_starts_with_its_deposit(world):
    _terms(world, deposit_minor=5_000)
    world.approved("party", party_id="M3", party_kind="merchant", grade="high_risk")
    world.approved("contract", contract_id="C3", merchant_id="M3", minimum_minor=0,
                   settlement_mode="institution", settlement_cycle="D+1", fee_choice="bill",
                   access_fee_minor=0, use_fee_minor=0, valid_from=TODAY)
    world.onboard("M3", "unionpay")
    world.bind("M3")
    world.open([("2602", "M3")])
    starts = {"party_id": "M3", "state": "active"}
    for amount, passes in ((4_999, False), (1, True)):
        posted(world.send("deposit_received", movement_id=f"DEP-{amount}", merchant_id="M3",
                          amount_minor=amount, **CNY))
        result = world.send("party_state", **starts)
        assert posted(result) if passes else refused(result, "start_missing")
