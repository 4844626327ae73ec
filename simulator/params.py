"""What a simulated world is made from: nothing else decides what happens in it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np

from paylake import dates
from paylake.errors import UsageFault
from paylake.settings import Settings


@dataclass(frozen=True)
class Params:
    """Size, period and seed of a world.

    :param txns: card and code payment attempts of an ordinary day.
    """

    start: date = date(2026, 9, 12)
    days: int = 30
    merchants: int = 300
    terminals: int = 900
    txns: int = 10_000
    seed: int = 20260912

    def __post_init__(self) -> None:
        for name, least in (("days", 1), ("merchants", 5), ("terminals", 5), ("txns", 50)):
            value = getattr(self, name)
            if value < least:
                raise UsageFault(
                    f"{name.upper()} must be at least {least}, got {value}",
                    f"Give {name.upper()}={least} or more.",
                )
        if self.terminals < self.merchants:
            raise UsageFault(
                f"{self.terminals} terminals are too few for {self.merchants} merchants",
                "Give at least one terminal a merchant.",
            )
        if self.seed < 0:
            raise UsageFault(f"SEED must not be negative, got {self.seed}", "Give a whole number.")

    @classmethod
    def from_settings(cls, settings: Settings) -> Params:
        """The world that a home's settings describe."""
        return cls(
            start=dates.parse_date(settings.start),
            days=settings.days,
            merchants=settings.merchants,
            terminals=settings.terminals,
            txns=settings.txns,
            seed=settings.seed,
        )

    @property
    def last(self) -> date:
        return self.start + timedelta(days=self.days - 1)

    def dates(self) -> list[date]:
        """Every business date, in order."""
        return dates.date_range(self.start, self.last)

    def rng(self, purpose: str, day: date | None = None) -> np.random.Generator:
        """A stream of its own for each purpose and date, so that a date can be made alone."""
        key = [self.seed, *purpose.encode(), 0 if day is None else day.toordinal()]
        return np.random.default_rng(key)

    def document(self) -> dict[str, Any]:
        """As JSON, for `home.json` and the answer file."""
        return {**asdict(self), "start": self.start.isoformat()}
