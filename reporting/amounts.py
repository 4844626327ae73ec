"""Amounts on paper: exact decimals, as many as the currency has (ISO 4217), never a float."""

from __future__ import annotations

from decimal import Decimal

from paylake.currencies import MINOR_DIGITS
from paylake.errors import PermanentFailure


def scale(currency: str) -> int:
    """Decimals of a currency.

    :raises PermanentFailure: for a currency that is not in the table.
    """
    try:
        return MINOR_DIGITS[currency]
    except KeyError:
        raise PermanentFailure(
            f"Currency {currency!r} has no scale here",
            "Add its ISO 4217 minor units to paylake/currencies.py.",
        ) from None


def exact(amount: Decimal, currency: str) -> Decimal:
    """The amount with its currency's decimals.

    :raises PermanentFailure: when digits would be lost: a mart's figure is never rounded here.
    """
    result = amount.quantize(Decimal(1).scaleb(-scale(currency)))
    if result != amount:
        raise PermanentFailure(
            f"{amount} {currency} has more decimals than the currency",
            "Correct the mart; a report does not round.",
        )
    return abs(result) if result == 0 else result  # no "-0.00"


def as_text(amount: Decimal, currency: str) -> str:
    """``-1234.50``: plain digits, no separators, no exponent."""
    return f"{exact(amount, currency):f}"


def as_cell(amount: Decimal, currency: str) -> float:
    """The number that goes into a spreadsheet cell, which holds doubles only.

    XlsxWriter writes 16 digits; a spreadsheet reads them into a double and shows 15.

    :raises PermanentFailure: when the sheet would not show the exact amount (above 15 digits).
    """
    cell = float(amount)
    if Decimal(f"{float(f'{cell:.16G}'):.15G}") != amount:
        raise PermanentFailure(
            f"{amount} {currency} has too many digits for a spreadsheet cell",
            "Take the CSV file, or report in a larger unit.",
        )
    return cell
