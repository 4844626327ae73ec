"""The form of a command: a reader made for the fields that a sender gives says the same."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.adapters.data_files import load_operations
from ledger.domain.forms import MOST_GIVEN, Form
from ledger.domain.refusals import Refusal

PAYMENT = {
    "type": "payment", "idempotency_key": "k1", "occurred_at": "2026-09-12T10:00:00+08:00",
    "transaction_id": "T1", "merchant_id": "M1", "amount_minor": 100, "currency_code": "CNY",
    "channel": "unionpay", "issuer_fee_minor": 0, "network_fee_minor": 0,
    "acquirer_fee_minor": 0, "metadata": {"b": 1, "a": "x"},
}
ODD: tuple[Any, ...] = (None, True, -1, 0, 10**19, 1.5, "", "x" * 300, "\x00", [], {}, "2026", "M2")


@pytest.fixture(scope="module")
def form() -> Form:
    shared = load_operations().by_type["payment"].form
    found = Form(shared.type, shared.fields)
    assert isinstance(found.parse(PAYMENT, True), dict)  # the reader for these fields is there
    return found


def plain(form: Form, raw: dict[str, Any], simulated: bool = True) -> Any:
    """What the form says of a command whose fields it never saw together."""
    return Form(form.type, form.fields).parse(raw, simulated)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, Refusal):
        return (one.code, one.detail, one.field) == (other.code, other.detail, other.field)
    return one == other and list(one) == list(other)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(PAYMENT.keys() - {"type"})), st.sampled_from(ODD),
                       max_size=4))
def test_a_reader_for_the_fields_given_says_what_the_form_says(form, changes):
    raw = {**PAYMENT, **changes}
    assert same(form.parse(raw, True), plain(form, raw))


@pytest.mark.parametrize("gone", [name for name in PAYMENT if name != "type"])
def test_what_is_absent_or_null_is_said(form, gone):
    absent = {name: value for name, value in PAYMENT.items() if name != gone}
    for raw in (absent, {**PAYMENT, gone: None}):
        assert same(form.parse(raw, True), plain(form, raw))
        assert same(form.parse(raw, True), plain(form, raw))  # again, by its own reader


def test_values_come_in_the_order_of_the_form_whatever_was_sent(form):
    turned = dict(reversed(PAYMENT.items()))
    for _ in range(2):
        assert list(form.parse(turned, True)) == list(form.parse(PAYMENT, True))


def test_a_time_is_for_simulated_ledgers_alone(form):
    assert form.parse(PAYMENT, False).code == "unknown_field"
    timeless = {name: value for name, value in PAYMENT.items() if name != "occurred_at"}
    for _ in range(2):
        assert isinstance(form.parse(timeless, False), dict)
        assert form.parse(timeless, True).code == "missing_field"


def test_no_more_readers_are_kept_than_senders_have(form):
    for names in permutations(list(PAYMENT)[:5]):
        order = (*names, *(name for name in PAYMENT if name not in names))
        assert isinstance(form.parse({name: PAYMENT[name] for name in order}, True), dict)
    assert len(form._given[True]) == MOST_GIVEN
