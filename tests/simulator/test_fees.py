"""Fee rules on cases computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from simulator import fees
from simulator.reference import FEE_CLASSES, FUNDINGS

CASES = [  # amount, funding, fee class -> issuer, network (minor units)
    (5_000_00, "debit", "STD", 13_00, 1_46),
    (1_000_00, "debit", "STD", 3_15, 29),
    (5_000_00, "credit", "STD", 22_50, 1_63),
    (100_000_00, "debit", "STD", 13_00, 3_25),
    (1_000_00, "debit", "PREF_78", 2_73, 25),
    (1_000_00, "credit", "PREF_78", 3_51, 25),
    (1_000_00, "debit", "WAIVED", 0, 0),
    (1_000_00, "credit", "WAIVED", 0, 0),
    (1_000_00, "balance", "STD", 0, 0),
    (1, "debit", "STD", 0, 0),
]


@pytest.mark.parametrize(("amount", "funding", "fee_class", "issuer", "network"), CASES)
def test_issuer_and_network_fee(amount, funding, fee_class, issuer, network):
    found = fees.split(
        np.array([amount]), np.array([FUNDINGS.index(funding)]),
        np.array([FEE_CLASSES.index(fee_class)]),
    )
    assert [int(found[0][0]), int(found[1][0])] == [issuer, network]


def test_half_a_cent_goes_up():
    # 50.00 x 0.45 % = 0.225; 10.00 x 0.0325 % = 0.00325
    issuer, network, _ = fees.split(np.array([50_00, 10_00]), np.array([1, 1]), np.array([0, 0]))
    assert issuer.tolist() == [23, 5]
    assert network.tolist() == [2, 0]


def test_parts_of_a_refund_return_the_whole_fee():
    rng = np.random.default_rng(3)
    amount = rng.integers(3, 1_000_000, 5_000)
    fee = rng.integers(0, 1 + amount // 50)
    first = rng.integers(1, amount)
    back = fees.returned(fee, amount, np.zeros_like(amount), first)
    rest = fees.returned(fee, amount, first, amount - first)
    assert (back + rest == fee).all()
    assert ((back >= 0) & (rest >= 0)).all()


def test_withdrawal_fee():
    assert fees.withdrawal_fee(np.array([50_00, 20_00, 101_00])).tolist() == [25, 10, 51]
