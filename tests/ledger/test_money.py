"""Splitting fees over refunds: parts add up to the whole, whatever the parts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.domain.money import largest_remainder, pro_rata, returned_fee


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


def test_of_equal_remainders_the_earlier_part_gets_the_unit():
    assert largest_remainder(100, [1, 1, 1]) == [34, 33, 33]
    assert largest_remainder(2, [1, 1, 1, 1]) == [1, 1, 0, 0]
    assert largest_remainder(250, [50, 45, 5]) == [125, 113, 12]
    assert largest_remainder(7, [0, 3, 0]) == [0, 7, 0]


@settings(max_examples=300)
@given(st.integers(0, 10**15), st.lists(st.integers(0, 10**9), min_size=1, max_size=40))
def test_a_split_adds_up_and_no_part_is_a_unit_off(total, weights):
    if not sum(weights):
        with pytest.raises(ValueError, match="no split"):
            largest_remainder(total, weights)
        return
    parts, whole = largest_remainder(total, weights), sum(weights)
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part * whole - total * weight) < whole
    # who got the unit had the larger remainder, or the same and came earlier
    rests = [(-(total * weight % whole), n) for n, weight in enumerate(weights)]
    raised = [r for r, p, w in zip(rests, parts, weights, strict=True) if p > total * w // whole]
    assert sorted(rests)[: len(raised)] == sorted(raised)
