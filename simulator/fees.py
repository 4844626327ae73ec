"""Fee rules after the 2016 reform, in whole minor units.

Source: NDRC price [2016] 557 (debit issuer fee 0.35 % capped at 13 yuan, credit 0.45 %, network
fee 0.0325 % a side capped at 3.25 yuan), PBOC [2021] 169 (debit of standard merchants x 0.9,
preferential merchants x 0.78, charities waived); the factor is applied to the rate, never to the
cap; half up to the cent for each transaction. The acquirer's own fee is a market price: here a
rate a fee class.
"""

from __future__ import annotations

import numpy as np

from simulator.reference import FEE_CLASSES, FUNDINGS

#: Rates are whole numbers of 10^-8, so that 0.0325 % x 0.9 x 0.78 stay exact.
SCALE = 100_000_000
ISSUER_CAP_DEBIT = 13_00
NETWORK_CAP = 3_25
_NO_CAP = np.iinfo(np.int64).max
_DEBIT, _CREDIT, _BALANCE = range(3)
_FACTORS = {  # per cent of the rate: by fee class, for debit and credit
    "STD": (90, 100),
    "PREF_78": (78, 78),
    "WAIVED": (0, 0),
}
_ACQUIRER = {  # by fee class: card or quick payment, payment account
    "STD": (150_000, 380_000),
    "PREF_78": (80_000, 250_000),
    "WAIVED": (50_000, 100_000),
}


def _table(values: dict[str, tuple[int, int, int]]) -> np.ndarray:
    return np.array([values[name] for name in FEE_CLASSES], dtype=np.int64)


ISSUER_RATES = _table({k: (3500 * d, 4500 * c, 0) for k, (d, c) in _FACTORS.items()})
NETWORK_RATES = _table({k: (325 * d, 325 * c, 0) for k, (d, c) in _FACTORS.items()})
ACQUIRER_RATES = _table({k: (card, card, own) for k, (card, own) in _ACQUIRER.items()})
ISSUER_CAPS = np.array([ISSUER_CAP_DEBIT, _NO_CAP, _NO_CAP], dtype=np.int64)
assert len(FUNDINGS) == ISSUER_RATES.shape[1]

#: Withdrawal fee: 0.5 % of the amount, half up, at least 0.10 yuan.
WITHDRAWAL_RATE = 500_000
WITHDRAWAL_LEAST = 10
#: Terminal service fee a month, in minor units.
TERMINAL_FEE = 30_00


def half_up(amount: np.ndarray, rate: np.ndarray | int) -> np.ndarray:
    """amount x rate / 10^8, rounded half up; amounts are not negative."""
    return (amount * rate + SCALE // 2) // SCALE


def split(
    amount: np.ndarray, funding: np.ndarray, fee_class: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Issuer, network and acquirer fee of payments.

    :param amount: shape (n,), minor units.
    :param funding, fee_class: shape (n,), indices of FUNDINGS and FEE_CLASSES.
    :returns: three arrays of shape (n,), minor units.
    """
    amount = amount.astype(np.int64)
    issuer = np.minimum(half_up(amount, ISSUER_RATES[fee_class, funding]), ISSUER_CAPS[funding])
    network = np.minimum(half_up(amount, NETWORK_RATES[fee_class, funding]), NETWORK_CAP)
    return issuer, network, half_up(amount, ACQUIRER_RATES[fee_class, funding])


def returned(fee: np.ndarray, amount: np.ndarray, before: np.ndarray, part: np.ndarray):
    """The part of a fee that a refund gives back, so that the parts add up to the whole.

    Half up of the share refunded so far, less what earlier parts gave back.

    :param fee, amount: fee and gross of the payment.
    :param before: refunded by earlier parts; `part`: refunded now. All minor units, shape (n,).
    """
    def share(refunded: np.ndarray) -> np.ndarray:
        return (2 * fee * refunded + amount) // (2 * amount)

    return share(before + part) - share(before)


def withdrawal_fee(amount: np.ndarray) -> np.ndarray:
    """Fee of withdrawals, minor units."""
    return np.maximum(half_up(amount, WITHDRAWAL_RATE), WITHDRAWAL_LEAST)
