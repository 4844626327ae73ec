"""A small world, made once."""

from __future__ import annotations

from datetime import date

import pytest

from simulator.params import Params
from simulator.world import World

SMALL = Params(date(2026, 9, 12), 30, merchants=40, terminals=80, txns=300, seed=7)


@pytest.fixture(scope="session")
def world() -> World:
    return World(SMALL)
