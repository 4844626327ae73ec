"""Money in whole minor units; splitting without losing a cent."""

from __future__ import annotations

#: Largest amount of one command, in minor units.
AMOUNT_LIMIT = 10**15
#: Balances stay inside 18 digits, which every storage and the lake's decimal(18,4) / int64 hold.
BALANCE_LIMIT = 10**18


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
    has been returned; this refund returns what is missing to that.

    :param fee: fee charged on the payment
    :param gross: amount of the payment
    :param refunded: refunded before this refund
    :param returned: of `fee`, returned before this refund
    :param amount: of this refund
    """
    return pro_rata(fee, refunded + amount, gross) - returned
