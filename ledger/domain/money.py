"""Money in whole minor units; splitting without losing a cent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

#: Largest amount of one command, in minor units.
AMOUNT_LIMIT = 10**15
#: Balances stay inside 18 digits, which every storage and the lake's decimal(18,4) / int64 hold.
BALANCE_LIMIT = 10**18


def half_up(numerator: int, denominator: int) -> int:
    """A quotient of whole numbers, not negative, rounded half up.

    >>> half_up(5100 * 5, 1000)
    26
    """
    if denominator <= 0 or numerator < 0:
        raise ValueError(f"no rounding of {numerator} / {denominator}")
    return (2 * numerator + denominator) // (2 * denominator)


def contract_fee(
    prices: Mapping[str, int] | None, item: str, amount: int, currency: str,
    scales: Mapping[str, int], unnamed: int | None,
) -> int | None:
    """What a contract asks for a fee item of an operation, in minor units: its price each time,
    which is of the base currency alone, and its share of the amount, rounded half up.

    >>> contract_fee({"payment": 40, "payment_ppm": 6_000}, "payment", 1_250, "CNY", {"CNY": 2}, 0)
    48

    :param prices: of the contract, by item; shares are millionths, their names end in `_ppm`
    :param scales: the currencies that are kept, the base currency first
    :param unnamed: what it is where the contract names neither
    """
    if prices is None:
        return unnamed
    each, share = prices.get(item), prices.get(item + "_ppm")
    if each is None and share is None:
        return unnamed
    fee = each if each is not None and currency == next(iter(scales)) else 0
    return fee if share is None else fee + half_up(amount * share, 1_000_000)


def exchanged(
    amount: int, rate: str, sold: str, bought: str, scales: Mapping[str, int]
) -> int:
    """What so much of one currency gives of another, rounded half up to its minor unit.

    >>> exchanged(10_001, "0.0487", "JPY", "CNY", {"JPY": 0, "CNY": 2})  # 487.0487 yuan
    48705

    :param amount: minor units of the currency sold
    :param rate: whole units of the currency bought for one whole unit of the one sold, a decimal
        as text
    :param scales: digits after the point of each currency
    """
    whole, _, part = rate.partition(".")
    return half_up(
        amount * int(whole + part) * 10 ** scales[bought], 10 ** (len(part) + scales[sold])
    )


def pro_rata(fee: int, part: int, whole: int) -> int:
    """The share of `fee` that belongs to `part` of `whole`, rounded half up, all in minor units.

    >>> pro_rata(5, 1, 2)
    3
    """
    if whole <= 0 or not 0 <= part <= whole or fee < 0:
        raise ValueError(f"no share of {fee} for {part} of {whole}")
    return (2 * fee * part + whole) // (2 * whole)


def returned_fee(fee: int, gross: int, refunded: int, returned: int, amount: int) -> int:
    """The fee that a refund of `amount` returns, so that all refunds together return `fee`.

    Rounding is cumulative: after refunding r of `gross` in all, exactly `pro_rata(fee, r, gross)`
    has been returned; this refund returns what is missing to that. (Rule D1.15.)

    :param fee: fee charged on the payment
    :param gross: amount of the payment
    :param refunded: refunded before this refund
    :param returned: of `fee`, returned before this refund
    :param amount: of this refund
    """
    # never less than nothing: a reversal of an earlier refund may have left a unit too many
    return max(0, pro_rata(fee, refunded + amount, gross) - returned)


def largest_remainder(total: int, weights: Sequence[int]) -> list[int]:
    """Split `total` by weights so that the parts add up to it (largest remainder; of equal
    remainders the earlier part gets the unit).

    >>> largest_remainder(250, [50, 45, 5])
    [125, 113, 12]
    """
    whole = sum(weights)
    if total < 0 or whole <= 0 or min(weights) < 0:
        raise ValueError(f"no split of {total} by {list(weights)}")
    parts = [total * weight // whole for weight in weights]
    order = sorted(range(len(weights)), key=lambda i: (-(total * weights[i] % whole), i))
    for index in order[: total - sum(parts)]:
        parts[index] += 1
    return parts


def taken_back(
    parts: list[list[Any]] | None, amount: int, merchant: str, gone: int = 0
) -> list[tuple[str, int]]:
    """Of whom a refund is taken back: of each part of a split payment in proportion to what is
    left of it (largest remainder), so the shares add up to the refund, no part is taken below
    nothing, and the last refund takes the rest of every part. An unsplit payment is its
    merchant's.

    >>> taken_back([["A", 50], ["B", 45], ["C", 5]], 10, "A")
    [('A', 5), ('B', 5), ('C', 0)]
    >>> taken_back([["A", 50], ["B", 45], ["C", 5]], 10, "A", 50)
    [('A', 0), ('B', 9), ('C', 1)]

    :param parts: (merchant, what was not refunded of its part), minor units
    :param merchant: of the payment
    :param gone: what was disputed and charged back of the payment, which is the merchant's to bear:
        it is not left of its part, as far as that goes
    """
    if not parts:
        return [(merchant, amount)]
    there = [max(0, left - gone) if name == merchant else left for name, left in parts]
    if not any(there):
        return [(merchant, amount)]
    shares = largest_remainder(amount, there)
    return [(name, share) for (name, _), share in zip(parts, shares, strict=True)]


def parts_left(parts: list[list[Any]] | None, taken: list[tuple[str, int]]) -> Any:
    """The parts of a split payment after :func:`taken_back`; of an unsplit one 0."""
    if not parts:
        return 0
    return [[name, left - share] for (name, left), (_, share) in zip(parts, taken, strict=True)]


def share_of(taken: list[tuple[str, int]], merchant: str) -> int:
    """What of :func:`taken_back` is one merchant's, minor units."""
    return sum(share for name, share in taken if name == merchant)
