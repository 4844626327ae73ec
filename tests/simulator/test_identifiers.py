"""Check digits, judged by python-stdnum."""

from __future__ import annotations

import numpy as np
import pytest
from stdnum import luhn
from stdnum.cn import ric, uscc

from simulator import identifiers
from simulator.identifiers import card_numbers
from simulator.reference import ISSUERS


def test_cards_are_unique_and_luhn_valid():
    cards = card_numbers(np.arange(20_000), np.full(20_000, ISSUERS[0].prefix)).tolist()
    assert len(set(cards)) == 20_000
    assert all(len(card) == 16 for card in cards)
    assert all(luhn.is_valid(card) for card in cards[:500])


def test_register_numbers_are_valid(world):
    merchants = world.people.merchants
    kinds = {m.merchant_type for m in merchants}
    assert kinds == {"enterprise", "sole_trader", "micro"}
    for merchant in merchants:
        if merchant.merchant_type == "micro":
            assert merchant.document_number[-1] == ric.calc_check_digit(merchant.document_number)
            assert ric.get_birth_date(merchant.document_number).year >= 1960
        else:
            assert uscc.is_valid(merchant.document_number)
        assert luhn.is_valid(merchant.settlement_account)


@pytest.mark.parametrize("seed", range(5))
def test_phone_has_eleven_digits(seed):
    number = identifiers.phone(np.random.default_rng(seed))
    assert len(number) == 11 and number.isdigit()
