"""Pieces of SQL that the presentation views share: how a value is shown, in either language.

Amounts stay ``decimal`` in every column that is summed or exported. The texts made here are for
reading only and are rounded for display.
"""

from __future__ import annotations

import csv
from functools import lru_cache

from paylake.currencies import BY_DIGITS
from paylake.dates import CALENDAR

LANGUAGES = ("zh", "en")
MINUS = "−"
#: Decimals of most currencies.
_USUAL = 2
# Where links from screen to screen lead (`dashboards.carry`).
GO = "/paylake/go"

# Row scope: variables that the connection sets for its reader. Unset means closed.
SCOPE_ALL = "coalesce(getvariable('scope_all')::boolean, false)"
SCOPE_REGION = (
    f"({SCOPE_ALL} or coalesce(list_contains(getvariable('scope_region')::varchar[],"
    " {column}), false))"
)


def scope(column: str | None = None) -> str:
    """Predicate for the rows that the reader may see: all, or those of his regions."""
    return SCOPE_REGION.format(column=column) if column else SCOPE_ALL


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def pick(language: str, zh: str, en: str) -> str:
    """A text as an SQL literal, in the language."""
    return literal(zh if language == "zh" else en)


def choose(language: str, column: str, names: dict[str, tuple[str, str]]) -> str:
    """A code as its name; a code that is not listed is shown as it is."""
    index = LANGUAGES.index(language)
    cases = " ".join(
        f"when {literal(code)} then {literal(texts[index])}" for code, texts in names.items()
    )
    return f"case {column} {cases} else {column} end"


def day(column: str = "business_date") -> str:
    """A date as the text that filters use."""
    return f"strftime({column}, '%Y-%m-%d')"


@lru_cache(maxsize=1)
def _special_days() -> tuple[str, str]:
    with CALENDAR.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))

    def listed(kind: str) -> str:
        return ", ".join(f"'{r['calendar_date']}'" for r in rows if r["kind"] == kind)

    return listed("holiday"), listed("make_up")


def day_label(column: str, language: str) -> str:
    """``09-12 周六``; a holiday or a weekend day that is worked is marked."""
    holidays, make_ups = _special_days()
    names = (
        "['周日', '周一', '周二', '周三', '周四', '周五', '周六']"
        if language == "zh"
        else "['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']"
    )
    off, on = ("·休", "·班") if language == "zh" else (" hol.", " work")
    return (
        f"strftime({column}, '%m-%d ') || ({names})[dayofweek({column}) + 1]"
        f" || case when {day(column)} in ({holidays}) then '{off}'"
        f" when {day(column)} in ({make_ups}) then '{on}' else '' end"
    )


def local_time(column: str) -> str:
    """A UTC timestamp as local wall-clock text, to the minute."""
    return (
        f"strftime(cast({column} as timestamp) + getvariable('zone_offset')::interval,"
        " '%m-%d %H:%M')"
    )


def symbol(currency: str) -> str:
    return f"case {currency} when 'CNY' then '¥' else {currency} || ' ' end"


def money(amount: str, language: str, currency: str = "currency_code") -> str:
    """An amount in ¥ with 万 and 亿, or with K, M and B; null stays null."""
    x = f"abs(cast({amount} as double))"
    steps = (
        [("1e8", " 亿"), ("1e4", " 万")]
        if language == "zh"
        else [("1e9", "B"), ("1e6", "M"), ("1e3", "K")]
    )
    cases = " ".join(
        f"when {x} >= {size} then format('{{:,.2f}}', {x} / {size}) || '{unit}'"
        for size, unit in steps
    )
    sign = f"case when {amount} < 0 then '{MINUS}' else '' end"
    return (
        f"{sign} || {symbol(currency)} ||"
        f" case {cases} when {amount} is not null then format('{{:,.2f}}', {x}) end"
    )


def exact(amount: str, currency: str = "currency_code") -> str:
    """An amount to its currency's minor unit, with thousands."""
    x = f"abs(cast({amount} as double))"
    others = " ".join(
        f"when {currency} in ({', '.join(map(literal, codes.split()))})"
        f" then format('{{:,.{digits}f}}', {x})"
        for digits, codes in BY_DIGITS.items() if digits != _USUAL
    )
    return (
        f"case when {amount} < 0 then '{MINUS}' else '' end || {symbol(currency)} ||"
        f" case {others} else format('{{:,.{_USUAL}f}}', {x}) end"
    )


def count(number: str, unit: str) -> str:
    return f"format('{{:,}}', cast({number} as bigint)) || {literal(unit)}"


def percent(rate: str, digits: int = 2) -> str:
    return f"format('{{:.{digits}f}}%', 100 * {rate})"


def arrow(difference: str) -> str:
    """Direction of a difference that is already rounded as it is shown."""
    return (
        f"case when {difference} > 0 then '▲ +' when {difference} < 0 then '▼ {MINUS}' else '' end"
    )


def change(now: str, before: str, *, points: str = "") -> str:
    """Change against an earlier value with arrow and sign: per cent of it, or points of a rate.

    Null when either is missing, or when the earlier value is zero.
    """
    if points:
        difference = f"round(100 * ({now} - {before}), 2)"
        return f"{arrow(difference)} || format('{{:.2f}}', abs({difference})) || {literal(points)}"
    difference = f"round(100 * (cast({now} as double) / nullif({before}, 0) - 1), 1)"
    return f"{arrow(difference)} || format('{{:.1f}}%', abs({difference}))"


def html(text: str) -> str:
    """Escape a value that an outside file gave before it goes between tags."""
    for found, written in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = f"replace({text}, '{found}', '{written}')"
    return text


def link(screen: str, language: str, text: str, **filters: str) -> str:
    """A link to a screen with filters set (`dashboards.carry` takes it there).

    :param text: SQL of the text shown (escaped here).
    :param filters: filter name → SQL of its value.
    """
    values = [
        f"'{name}=' || url_encode(cast({value} as varchar))" for name, value in filters.items()
    ]
    query = " || '&' || ".join(values)
    head = f"'<a href=\"{GO}/{screen}-{language}/?'"
    return f"{head} || {query} || '\">' || {html(text)} || '</a>'"


def card(name: str, value: str, note: str, hover: str = "''", tail: str = "''") -> str:
    """A big figure: its name, the figure (exact on hover), what it compares with, 30 days."""
    return (
        f'\'<div class="pl-card"><div class="pl-name">\' || {name} ||'
        f" '</div><div class=\"pl-value\"><span title=\"' || coalesce({hover}, '') || '\">' ||"
        f" {value} || '</span></div><div class=\"pl-note\">' || {note} ||"
        f" '</div><div class=\"pl-spark\">' || coalesce({tail}, '') || '</div></div>'"
    )
