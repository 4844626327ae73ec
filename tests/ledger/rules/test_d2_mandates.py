"""Terms of a mandate: how often and for how much in all, months between two collections, months in
all (rules D0.35, D2.2, D2.9), and that `verify` judges them again."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from ledger.domain.operations import Operations
from ledger.entrypoints.operations import verify
from tests.ledger.conftest import at
from tests.ledger.rules.words import CNY, posted, refused
from tests.ledger.test_verify import _broken, _forge

FIRST = date(2026, 9, 12)


def _mandate(world, name="MD", **terms):
    return world.send("mandate", mandate_id=name, payer_id="U1", method="sms_code", **{
        "payee": "M1", "amount_minor": 1_000, "valid_from": "2026-09-12",
        "valid_to": "2026-12-12", **CNY, **terms,
    })


def _collect(world, amount=1_000, mandate="MD", type_="agreement_payment", on=FIRST, **values):
    world.ledger.set_clock(at(on, "22:00:00"))
    world.number += 1
    return world.send(type_, transaction_id=f"X{world.number}", user_id="U1", merchant_id="M1",
                      amount_minor=amount, acquirer_fee_minor=0, authorisation=mandate,
                      **{"occurred_at": at(on, "11:00:00"), **CNY, **values})


@pytest.fixture(autouse=True)
def _money(world):
    posted(world.do("top_up", amount_minor=100_000))


@pytest.mark.parametrize("type_", ["collection", "agreement_payment"])
@pytest.mark.parametrize(("terms", "amounts", "passed"), [
    ({"total_count": 2}, (100, 1_001, 200, 300), (True, False, True, False)),
    ({"total_minor": 1_500}, (1_000, 501, 500, 1), (True, False, True, False)),
])
def test_d2_09_an_agreement_bounds_times_and_sum_in_all(world, type_, terms, amounts, passed):
    """Exactly the most passes; refused ones do not count, an undone one gives nothing back."""
    posted(_mandate(world, **terms))
    results = [_collect(world, amount, type_=type_) for amount in amounts]
    assert [result["status"] == "posted" for result in results] == list(passed)
    assert all(result["reason"] == "authorisation_differs"
               for result in results if result["status"] == "refused")
    world.reopen()
    posted(world.do("void", original_transaction_id=_number(world, results[0])))
    assert refused(_collect(world, 1, type_=type_), "authorisation_differs", "authorisation")
    posted(_mandate(world, "M-2"))
    posted(_collect(world, 1_000, "M-2", type_))  # another agreement of the two


def _reversed(world, result):
    world.number += 1
    return world.approved("reversal", adjustment_id=f"AD{world.number}", incident_number="I",
                          reason="wrong", journal_id=result["journal_id"])


@pytest.mark.parametrize("terms", [{"total_count": 2}, {"total_minor": 1_500}])
def test_d0_73_a_reversed_collection_gives_its_mandate_time_and_sum_back(world, terms):
    """Once, and no more than it used; after a start too."""
    posted(_mandate(world, **terms))
    first, second = posted(_collect(world, 1_000)), posted(_collect(world, 500))
    assert refused(_collect(world, 1), "authorisation_differs", "authorisation")
    _reversed(world, second)
    world.ledger.checkpoint()
    world.reopen()
    if "total_minor" in terms:
        assert refused(_collect(world, 501), "authorisation_differs")
    third = posted(_collect(world, 500))
    assert refused(_collect(world, 1), "authorisation_differs")
    for result in (first, third):
        _reversed(world, result)
    assert world.ledger.state.get("collected", "MD") is None
    posted(_collect(world, 1_000))
    assert world.ledger.state.get("collected", "MD") == {"count": 1, "total": 1_000}
    assert verify(world.settings).broken is None


def test_d0_73_a_reversed_collection_still_counts_for_the_months_between_two(world):
    """And of a mandate that ended, or has no such terms, nothing is left to give back to."""
    posted(_mandate(world, spacing_months=3))
    _reversed(world, posted(_collect(world)))
    assert refused(_collect(world), "authorisation_differs", "authorisation")
    posted(_mandate(world, "M-2"))
    posted(_mandate(world, "M-3", total_count=1))
    done = [posted(_collect(world, mandate=name)) for name in ("M-2", "M-3")]
    posted(world.send("mandate_end", mandate_id="M-3"))
    for result in done:
        _reversed(world, result)
    assert world.ledger.state.tables["collected"] == {}
    assert verify(world.settings).broken is None


@pytest.mark.parametrize("version", [4, 5])
def test_d0_73_a_reversed_collection_leaves_the_months_of_the_one_before(world, version):
    """They bind other mandates as they did; what a template of before booked does not say which
    these were."""
    known = world.ledger.operations
    old = replace(known.by_type["agreement_payment"], version=version)
    world.ledger.operations = Operations(
        {**known.by_type, "agreement_payment": old}, known.versions)
    _until(world, "M-A", spacing_months=3)
    _until(world, "M-B")
    first = posted(_collect(world, mandate="M-A"))
    second = posted(_collect(world, mandate="M-A", on=date(2026, 12, 12)))
    world.ledger.checkpoint()
    world.reopen()
    _reversed(world, second)
    early = {"mandate": "M-B", "occurred_at": at(date(2026, 12, 11), "12:00:00"),
             "on": date(2026, 12, 12)}
    if version == 5:
        told = _collect(world, **early)
        assert refused(told, "authorisation_differs", "authorisation")
        assert "the next collection on 2026-12-12, after the months" in told["detail"]
        posted(_collect(world, mandate="M-B", on=date(2026, 12, 12)))
        _reversed(world, first)
    posted(_collect(world, **early))
    assert world.ledger.state.get("collected_until", "U1 M1") is None
    assert verify(world.settings).broken is None


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_d0_73_reversed_in_any_order_no_collections_months_are_left(world, order):
    """What is reversed binds nobody, also when a later one is reversed after it."""
    _until(world, "M-A", spacing_months=3)
    days = (FIRST, date(2026, 12, 12), date(2027, 3, 12))
    done = [posted(_collect(world, mandate="M-A", on=day)) for day in days]
    untils = ["2026-12-12", "2027-03-12", "2027-06-12"]
    for number in order:
        _reversed(world, done[number])
        untils[number] = None
        left = sorted(filter(None, untils), reverse=True)
        assert world.ledger.state.get("collected_until", "U1 M1") == (left or None)
    assert verify(world.settings).broken is None


def _number(world, result):
    return world.row(result)[6]


@pytest.mark.parametrize(("on", "passes"), [
    (date(2026, 9, 12), False), (date(2026, 12, 11), False), (date(2026, 12, 12), True),
])
def test_d2_09_months_pass_between_two_debits_of_a_payer_for_a_payee(world, on, passes):
    """A second agreement of the same two does not come in between."""
    posted(_mandate(world, spacing_months=3))
    posted(_mandate(world, "M-2", spacing_months=3))
    posted(_collect(world))
    for name in ("M-2", "MD"):
        result = _collect(world, mandate=name, on=on)
        if passes and name == "M-2":
            posted(result)
        else:
            assert refused(result, "authorisation_differs", "authorisation")
            assert "months after that of" in result["detail"]


def _until(world, name, **terms):
    """A mandate of more than a year."""
    posted(_mandate(world, name, valid_to="2027-12-12", **terms))


def test_d2_09_a_debit_by_any_mandate_counts_for_the_months_between_two(world):
    """Also one by a mandate without months before it: the next by the one with them waits as long
    from then; so does a mandate that is given only afterwards."""
    _until(world, "M-A", spacing_months=3)
    _until(world, "M-B")
    posted(_collect(world, mandate="M-B"))
    posted(_collect(world, mandate="M-B", on=date(2026, 10, 12)))
    world.ledger.checkpoint()
    world.reopen()
    early = _collect(world, mandate="M-A", on=date(2026, 12, 12))
    assert refused(early, "authorisation_differs", "authorisation")
    assert "the next collection on 2027-01-12" in early["detail"]
    _until(world, "M-C", spacing_months=3)
    assert refused(_collect(world, mandate="M-C", on=date(2027, 1, 11)), "authorisation_differs")
    posted(_collect(world, mandate="M-C", on=date(2027, 1, 12)))
    assert verify(world.settings).broken is None


@pytest.mark.parametrize("terms", [{}, {"total_count": 9}, {"spacing_months": 1}])
def test_d2_09_no_debit_by_another_mandate_comes_into_the_months_of_one(world, terms):
    """Rule C15: no second debit of the customer for the payee in those months, by whichever
    mandate, on an earlier date neither; nor when the one with the months was ended."""
    _until(world, "M-A", spacing_months=3)
    _until(world, "M-B", **terms)
    posted(_collect(world, mandate="M-A", on=date(2026, 10, 1)))
    world.ledger.checkpoint()
    world.reopen()
    for on in (date(2026, 10, 1), date(2026, 12, 31)):
        result = _collect(world, mandate="M-B", on=on)
        assert refused(result, "authorisation_differs", "authorisation")
        if "spacing_months" not in terms or on.month == 12:
            assert "the next collection on 2027-01-01" in result["detail"]
    posted(world.send("mandate_end", mandate_id="M-A"))
    assert refused(_collect(world, mandate="M-B", on=date(2026, 12, 31)), "authorisation_differs")
    assert refused(
        _collect(world, mandate="M-B", occurred_at=at(date(2026, 9, 30), "12:00:00"),
                 on=date(2026, 12, 31)), "authorisation_differs",
    )
    posted(_collect(world, mandate="M-B", on=date(2027, 1, 1)))
    assert verify(world.settings).broken is None


@pytest.mark.usefixtures("older_after_newer")
@pytest.mark.parametrize(("version", "named"), [(4, True), (3, False)])
def test_d2_09_a_debit_within_anothers_months_is_named(world, version, named):
    """One by a template of before, which let it, is not."""
    known = world.ledger.operations
    old = replace(known.by_type["agreement_payment"], version=3)
    _until(world, "M-A", spacing_months=3)
    _until(world, "M-B")
    posted(_collect(world, mandate="M-A"))
    world.ledger.operations = Operations(
        {**known.by_type, "agreement_payment": old}, known.versions)
    posted(_collect(world, mandate="M-B", on=date(2026, 10, 12)))
    world.ledger.operations = known
    if named:
        _forge(world, f"update entry set version = {version} "
                      f"where sequence = {world.ledger.head.sequence}")
        assert "it crossed mandate M-B: the next collection on 2026-12-12" in _broken(world)
    else:
        assert verify(world.settings).broken is None


@pytest.mark.parametrize("terms", [{}, {"total_count": 9}])
def test_d2_09_a_debit_of_an_earlier_date_does_not_make_the_last_one_earlier(world, terms):
    _until(world, "M-A", spacing_months=3)
    _until(world, "M-B", **terms)
    posted(_collect(world, mandate="M-B", on=date(2026, 9, 13)))
    posted(_collect(world, mandate="M-B", occurred_at=at(FIRST, "12:00:00"),
                    on=date(2026, 9, 13)))
    assert refused(_collect(world, mandate="M-A", on=date(2026, 12, 12)), "authorisation_differs")
    posted(_collect(world, mandate="M-A", on=date(2026, 12, 13)))
    assert verify(world.settings).broken is None


@pytest.mark.parametrize(("version", "named"), [(3, True), (2, False)])
def test_d2_09_a_debit_that_leaves_no_date_is_named(world, version, named):
    """One by a template of before, which left none without terms, is not."""
    posted(_mandate(world))
    posted(_collect(world))
    _forge(world, """update entry set effects = replace(effects,
        '["put","collected_last","U1 M1","2026-09-12"],', ''), """
           f"version = {version} where type = 'agreement_payment'")
    if named:
        assert "it does not count against mandate MD" in _broken(world)
    else:
        assert verify(world.settings).broken is None


def test_d2_09_a_log_of_a_debit_with_terms_by_a_template_of_before_verifies(world):
    """There an earlier date took the place of a later one."""
    known = world.ledger.operations
    old = replace(known.by_type["agreement_payment"], version=2)
    _until(world, "M-B", total_count=9)
    world.ledger.operations = Operations(
        {**known.by_type, "agreement_payment": old}, known.versions)
    posted(_collect(world, mandate="M-B", on=date(2026, 9, 13)))
    posted(_collect(world, mandate="M-B", occurred_at=at(FIRST, "12:00:00"),
                    on=date(2026, 9, 13)))
    assert world.ledger.state.get("collected_last", "U1 M1") == FIRST.isoformat()
    world.ledger.operations = known
    assert verify(world.settings).broken is None


@pytest.mark.parametrize(("terms", "field"), [
    ({"span_months": 3}, None), ({"span_months": 2}, "valid_to"), ({"span_months": 0}, None),
    ({"total_count": 0}, "total_count"), ({"spacing_months": 0}, "spacing_months"),
])
def test_d2_09_a_mandate_spans_no_more_months_than_it_may(world, terms, field):
    result = _mandate(world, **terms)
    if terms == {"span_months": 3}:
        posted(result)
    else:
        assert refused(result, "register_differs", field)


@pytest.mark.parametrize(("old", "new", "reason"), [
    ('{"count":2,"total":2000}', '{"count":1,"total":2000}', "it does not count against mandate"),
    ('"total_minor":2000', '"total_minor":1999', "it crossed mandate MD: 1999 minor units in all"),
    ('"total_count":2', '"total_count":1', "it crossed mandate MD: 1 collections in all"),
])
def test_d2_09_that_no_collection_crossed_its_mandate_can_be_proved(world, old, new, reason):
    posted(_mandate(world, total_minor=2_000, total_count=2))
    for _ in range(2):
        posted(_collect(world))
    assert verify(world.settings).broken is None
    _forge(world, f"update entry set effects = replace(effects, '{old}', '{new}'), "
                  f"content = replace(content, '{old}', '{new}')")
    assert reason in _broken(world)


@pytest.mark.parametrize("months", [12 * 10**4, 10**15])
def test_d2_09_more_months_than_there_are_dates_are_never_over(world, months):
    posted(_mandate(world, span_months=months, spacing_months=months))
    posted(_collect(world))
    refusal = _collect(world, on=date(2026, 12, 12))
    assert refused(refusal, "authorisation_differs") and "9999-12-31" in refusal["detail"]


def test_d0_35_an_ended_mandate_leaves_no_trace_of_its_use(world):
    """And nothing is collected by it any more."""
    posted(_mandate(world, total_count=5))
    posted(_collect(world))
    posted(world.send("mandate_end", mandate_id="MD"))
    assert refused(_collect(world), "authorisation_unknown")
    assert world.ledger.state.get("collected", "MD") is None
    assert verify(world.settings).broken is None
