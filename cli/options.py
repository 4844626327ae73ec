"""Options that many commands share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import click

from paylake.dates import date_range, parse_date


class DateType(click.ParamType):
    """An ISO business date."""

    name = "date"

    def convert(self, value: Any, param: Any, ctx: Any) -> date:
        return value if isinstance(value, date) else parse_date(value)


def dates(required: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--date D [--to D]`, passed on as `day` and `to`."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        function = click.option(
            "--to", type=DateType(), help="Last business date of a range; --date is its first."
        )(function)
        return click.option(
            "--date", "day", type=DateType(), required=required, help="Business date, 2026-09-12."
        )(function)

    return add


def as_range(day: date, to: date | None) -> tuple[date, date]:
    """First and last date of `--date` and `--to`.

    :raises UsageFault: when the range ends before it begins.
    """
    last = to or day
    date_range(day, last)
    return day, last


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
