"""Numbers with valid check digits: cards, accounts, credit codes, resident ids, phones.

All are made up. Vectorised where a world needs millions of them.
"""

from __future__ import annotations

import numpy as np
from stdnum.cn import ric, uscc

# Odd and not a multiple of 5, so coprime to 10^9: index -> body is a permutation without repeats.
_SCRAMBLE = 618_033_989
_BODY = 1_000_000_000


def luhn_digits(digits: np.ndarray) -> np.ndarray:
    """Luhn check digits (ISO/IEC 7812-1).

    :param digits: shape (n, k) of 0..9, without the check digit.
    :returns: shape (n,) of 0..9.
    """
    work = digits.astype(np.int64)
    odd = work[:, ::-1].copy()
    doubled = odd[:, ::2] * 2
    odd[:, ::2] = np.where(doubled > 9, doubled - 9, doubled)
    return (10 - odd.sum(axis=1) % 10) % 10


def card_numbers(index: np.ndarray, prefixes: np.ndarray) -> np.ndarray:
    """Sixteen-digit card numbers, unique per (index, prefix), Luhn-valid.

    :param index: shape (n,), 0 to 999,999,999.
    :param prefixes: shape (n,), six-digit issuer prefixes as integers.
    :returns: shape (n,) of `<U16`.
    """
    body = (index.astype(np.int64) * _SCRAMBLE + 271_828_183) % _BODY
    number = prefixes.astype(np.int64) * _BODY + body
    powers = 10 ** np.arange(14, -1, -1, dtype=np.int64)
    digits = (number[:, None] // powers) % 10
    return (number * 10 + luhn_digits(digits)).astype("U16")


def credit_code(rng: np.random.Generator, region_code: str, serial: int) -> str:
    """A unified social credit code (GB 32100): 18 characters."""
    body = f"{serial:05d}{rng.integers(0, 10_000):04d}"
    organisation = body[:8] + body[8:9]
    stem = f"91{region_code}{organisation}"
    return stem + uscc.calc_check_digit(stem)


def resident_id(rng: np.random.Generator, region_code: str) -> str:
    """A resident identity number (GB 11643): 18 characters, an adult's birth date."""
    county = f"{region_code[:2]}{rng.integers(1, 5):02d}{rng.integers(1, 10):02d}"
    year, month, day = rng.integers(1960, 2002), rng.integers(1, 13), rng.integers(1, 29)
    stem = f"{county}{year:04d}{month:02d}{day:02d}{rng.integers(0, 1000):03d}"
    return stem + ric.calc_check_digit(stem + "0")


def phone(rng: np.random.Generator) -> str:
    """A mobile number of eleven digits."""
    head = (138, 139, 150, 159, 186, 188)[int(rng.integers(0, 6))]
    return f"{head}{rng.integers(0, 100_000_000):08d}"


def bank_account(rng: np.random.Generator, serial: int) -> str:
    """A bank account of nineteen digits that ends in a Luhn digit."""
    body = f"6217{serial:06d}{rng.integers(0, 100_000_000):08d}"
    digits = np.array([[int(c) for c in body]])
    return body + str(int(luhn_digits(digits)[0]))
