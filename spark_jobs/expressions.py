"""Column expressions that every table shares: time, money, text.

Both engines run with a UTC session. A stored timestamp is an instant; the wall clock of the
institution appears only through :func:`local_time` and :func:`instant` (`from_utc_timestamp` and
`to_utc_timestamp` nowhere else), so that the business date is decided in one place.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal

from pyspark.sql import Column
from pyspark.sql import functions as F

from paylake.currencies import BY_DIGITS
from paylake.errors import UsageFault
from paylake.settings import Settings

AMOUNT = "decimal(18,4)"
"""Type of every amount in the lake: holds each ISO 4217 scale, 64 bits in DuckDB."""

NIGHT_FROM_HOUR, NIGHT_TO_HOUR = 22, 6
"""Night is from 22:00 (included) to 06:00 (excluded), local wall clock."""

@dataclass(frozen=True)
class Clock:
    """Where and when a business date begins.

    :param zone: IANA name of the institution's zone.
    :param cutoff: wall-clock time from which an event belongs to the next date; 00:00 means that
        business dates are plain local days.
    """

    zone: str = "Asia/Shanghai"
    cutoff: time = time(23)

    @classmethod
    def of(cls, settings: Settings) -> Clock:
        """:raises UsageFault: when the cut-off is not a time of day."""
        try:
            return cls(settings.zone, time.fromisoformat(settings.cutoff))
        except ValueError:
            raise UsageFault(
                f"Setting cutoff {settings.cutoff!r} is not a time of day",
                "Write it as 23:00.",
                where=settings.origin("cutoff"),
            ) from None

    @property
    def shift(self) -> timedelta:
        """How far the wall clock is moved on so that its day is the business date."""
        since_midnight = timedelta(
            hours=self.cutoff.hour, minutes=self.cutoff.minute, seconds=self.cutoff.second
        )
        return timedelta(days=1) - since_midnight if since_midnight else timedelta()


def local_time(moment: Column, clock: Clock) -> Column:
    """The institution's wall clock at an instant. The only place that turns UTC into local time."""
    return F.from_utc_timestamp(moment, clock.zone)


def instant(wall_clock: Column, clock: Clock) -> Column:
    """The instant at which the institution's wall clock showed this text or timestamp."""
    return F.to_utc_timestamp(wall_clock.cast("timestamp"), clock.zone)


def event_date(moment: Column, clock: Clock) -> Column:
    """Business date of an instant, cut-off applied (`paylake.dates.business_date` as a column)."""
    seconds = int(clock.shift.total_seconds())
    return F.to_date(local_time(moment, clock) + F.expr(f"interval {seconds} seconds"))


def is_night(moment: Column, clock: Clock) -> Column:
    """Whether the wall clock showed 22:00 to 05:59:59."""
    hour = F.hour(local_time(moment, clock))
    return (hour >= NIGHT_FROM_HOUR) | (hour < NIGHT_TO_HOUR)


def adjusts_date(happened: Column, business_date: Column, lateness_days: int) -> Column:
    """The date that a row adjusts: set only when it is later than its contract allows."""
    return F.when(happened < F.date_sub(business_date, lateness_days), happened)


def between(first: date, last: date, column: str = "business_date") -> Column:
    """Rows of the dates first to last, both included."""
    return F.col(column).between(F.lit(first), F.lit(last))


def text(name: str) -> Column:
    """A text column; blank is null, because a blank key would join to other blank keys."""
    return F.nullif(F.trim(F.col(name)), F.lit("")).alias(name)


def amount_of_text(value: Column) -> Column:
    """Exact amount of a decimal text such as `1234.50`.

    More than four decimals stop the build: a cast would round them without a word.
    """
    exact = value.cast("decimal(38,10)")
    rounded = value.cast(AMOUNT)
    complaint = F.concat(F.lit("amount with more than 4 decimals in bronze: "), value)
    return F.when(value.isNull() | (exact == rounded), rounded).otherwise(
        F.raise_error(complaint).cast(AMOUNT)
    )


def amount_of_minor(minor: Column, currency_code: Column) -> Column:
    """Exact amount of integer minor units, by the currency's own scale (CNY 2, JPY 0, KWD 3).

    A currency outside ISO 4217 stops the build: a guessed scale would be off by a factor.
    """
    unit = F.when(currency_code.isNull(), F.lit(None).cast("decimal(5,4)"))
    for digits, codes in BY_DIGITS.items():
        factor = F.lit(Decimal(1).scaleb(-digits)).cast("decimal(5,4)")
        unit = unit.when(currency_code.isin(codes.split()), factor)
    complaint = F.concat(F.lit("currency without a known minor unit: "), currency_code)
    unit = unit.otherwise(F.raise_error(complaint).cast("decimal(5,4)"))
    return (minor.cast("bigint").cast("decimal(18,0)") * unit).cast(AMOUNT)


def share(part: Column, whole: Column) -> Column:
    """part / whole as a double of 9 digits; null when whole is zero or null."""
    # The embedded engine's `try_divide` takes integers alone.
    return F.round(part.cast("double") / F.nullif(whole.cast("double"), F.lit(0.0)), 9)
