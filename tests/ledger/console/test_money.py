"""Amounts as people read them."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ledger.entrypoints.console.money import CAPITALS_LIMIT, amount, capitals


@pytest.mark.parametrize(("minor", "scale", "text"), [
    (0, 2, "0.00"), (5, 2, "0.05"), (-5, 2, "-0.05"), (123456, 2, "1,234.56"),
    (-123456789, 2, "-1,234,567.89"), (10**15, 2, "10,000,000,000,000.00"), (1234, 0, "1,234"),
    (1234567, 3, "1,234.567"),
])
def test_amounts(minor, scale, text):
    assert amount(minor, scale) == text


# The first six are the examples of 《支付结算办法》, appendix 1, in the shorter of its forms.
@pytest.mark.parametrize(("fen", "text"), [
    (140950, "人民币壹仟肆佰零玖元伍角"),
    (600714, "人民币陆仟零柒元壹角肆分"),
    (168032, "人民币壹仟陆佰捌拾元叁角贰分"),
    (10700053, "人民币壹拾万柒仟元伍角叁分"),
    (1640902, "人民币壹万陆仟肆佰零玖元零贰分"),
    (32504, "人民币叁佰贰拾伍元零肆分"),
    (1000, "人民币壹拾元整"),
    (0, "人民币零元整"),
    (5, "人民币伍分"),
    (50, "人民币伍角"),
    (1234560, "人民币壹万贰仟叁佰肆拾伍元陆角"),
    (1234567, "人民币壹万贰仟叁佰肆拾伍元陆角柒分"),
    (-10000, "人民币负壹佰元整"),
    (100000100, "人民币壹佰万零壹元整"),
    (10000000000, "人民币壹亿元整"),
    (10000000001, "人民币壹亿元零壹分"),
    (90000823080, "人民币玖亿零捌仟贰佰叁拾元捌角"),
    (10000100000000, "人民币壹仟亿零壹佰万元整"),
    (10**14, "人民币壹万亿元整"),
    (100010000000000, "人民币壹万零壹亿元整"),
    (10**15, "人民币壹拾万亿元整"),
    (10**15 - 1, "人民币玖万玖仟玖佰玖拾玖亿玖仟玖佰玖拾玖万玖仟玖佰玖拾玖元玖角玖分"),
    (10**18 - 1, "人民币玖仟玖佰玖拾玖万玖仟玖佰玖拾玖亿玖仟玖佰玖拾玖万玖仟玖佰玖拾玖元玖角玖分"),
])
def test_capitals(fen, text):
    assert capitals(fen) == text


def test_more_than_a_balance_can_be_has_no_capitals():
    with pytest.raises(ValueError):
        capitals(CAPITALS_LIMIT)


DIGITS = {character: value for value, character in enumerate("零壹贰叁肆伍陆柒捌玖")}
PLACES = {"拾": 10, "佰": 100, "仟": 1000, "万": 10**4, "亿": 10**8}


def read(text: str) -> int:
    """A number in capitals, read by people's rule: a unit multiplies all the smaller before it."""
    parts: list[int] = []
    for character in text:
        if character in DIGITS:
            parts.append(DIGITS[character])
            continue
        unit, below = PLACES[character], 0
        while parts and parts[-1] < unit:
            below += parts.pop()
        parts.append(below * unit)
    return sum(parts)


def fen_of(text: str) -> int:
    text = text.removeprefix("人民币").removesuffix("整")
    sign = -1 if text.startswith("负") else 1
    text = text.removeprefix("负")
    total = 0
    for unit, worth in (("元", 100), ("角", 10), ("分", 1)):
        before, found, after = text.partition(unit)
        if found:
            total += read(before) * worth
            text = after
    assert not text
    return sign * total


@given(st.integers(-CAPITALS_LIMIT + 1, CAPITALS_LIMIT - 1))
@example(10**17)
@example(101010101010101010)
def test_capitals_read_back_are_the_amount(fen):
    text = capitals(fen)
    assert fen_of(text) == fen
    assert "零零" not in text and "零元" not in text.replace("人民币零元", "")
    assert text.endswith("整") == (fen % 100 == 0 if fen >= 0 else -fen % 100 == 0)


# many zeros, where capitals go wrong
@given(st.lists(st.sampled_from("0000123456789"), min_size=1, max_size=18).map("".join).map(int))
def test_capitals_with_many_zeros_read_back(fen):
    assert fen_of(capitals(fen)) == fen
