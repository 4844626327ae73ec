"""How much is traded on a date, and at what time of it."""

from __future__ import annotations

from datetime import date

import numpy as np

from paylake import dates
from simulator import reference as ref

DAY_SECONDS = 86_400
#: A business date begins at 23:00 of the day before.
CUTOFF_HOUR = 23

_VOLUME = {"weekday": 0.97, "make_up": 0.99, "weekend": 1.06, "holiday": 1.14}


def volume(day: date, rng: np.random.Generator) -> float:
    """Factor on the ordinary number of attempts."""
    return _VOLUME[dates.day_kind(day)] * float(rng.normal(1.0, 0.02))


def trade_factor(day: date) -> np.ndarray:
    """Factor on each trade's share on this kind of day, shape (trades,)."""
    kind = dates.day_kind(day)
    if kind == "holiday":
        return np.array([t.holiday for t in ref.TRADES])
    if kind == "weekend":
        return np.array([t.weekend for t in ref.TRADES])
    return np.ones(len(ref.TRADES))


def hour_distribution() -> np.ndarray:
    """Cumulative share by hour since the cut-off, one row a trade: shape (trades, 24)."""
    rows = []
    for trade in ref.TRADES:
        hours = np.roll(np.array(ref.HOURS[trade.profile], dtype=float), -CUTOFF_HOUR)
        # Nobody sells exactly nothing at night.
        hours = hours + hours.sum() * 0.0008
        rows.append(np.cumsum(hours) / hours.sum())
    return np.array(rows)
