"""Splitting fees over refunds: parts add up to the whole, whatever the parts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.domain.money import pro_rata, returned_fee


def test_half_up():
    assert [pro_rata(5, part, 10) for part in range(11)] == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


@pytest.mark.parametrize("arguments", [(1, 1, 0), (1, 2, 1), (1, -1, 2), (-1, 1, 2)])
def test_no_share_of_nonsense(arguments):
    with pytest.raises(ValueError, match="no share"):
        pro_rata(*arguments)


@settings(max_examples=300)
@given(
    parts=st.lists(st.integers(1, 10**12), min_size=1, max_size=12),
    share=st.integers(0, 10_000),
)
def test_parts_add_up(parts, share):
    gross = sum(parts)
    fee = gross * share // 10_000
    refunded = returned = 0
    for part in parts:
        due = returned_fee(fee, gross, refunded, returned, part)
        assert 0 <= due <= part + 1
        refunded += part
        returned += due
        assert abs(returned * gross - fee * refunded) * 2 <= gross
    assert returned == fee
