"""The morning summary: the figures of the overview as a text, in either language.

Figures, comparisons and wording are those of 今日总览 (`dashboards.views.overview`); what is open
and what is held comes from ``ops`` at latest.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from dashboards.views import checks, overview
from dashboards.views.codes import ITEM_KINDS
from dashboards.views.expressions import (
    LANGUAGES,
    change,
    day_label,
    exact,
    money,
    pick,
)
from paylake import ops, release, runs
from paylake.currencies import MINOR_DIGITS
from paylake.dates import date_range
from paylake.errors import Held
from paylake.settings import Settings

__all__ = ["Summary", "summary"]


@dataclass(frozen=True)
class Summary:
    """A summary: its one-line subject and its text."""

    business_date: date
    release_id: str
    subject: str
    text: str


def summary(settings: Settings, day: date, language: str = "zh") -> Summary:
    """What is known on the morning after a business date.

    A date that is not out yet is said to be held or waiting; the figures are then those of the last
    released date.

    :raises Held: when nothing is released through that date or before it.
    """
    in_force = release.in_force(settings)
    first = release.first_date(settings)
    if in_force.through is None or first is None or day < first:
        raise Held(
            f"There is no released date up to {day}",
            "`bin/paylake status` shows which date is held or waits.",
        )
    shown = min(day, in_force.through)
    zh = language == "zh"
    with release.reader(settings) as reader:
        figures = reader.query(_figures(language), [shown]).to_pylist()
        reserve = reader.query(_reserve(language), [shown]).to_pylist()
        (label,) = reader.query(
            f"select {day_label('d', language)} as label from (select ?::date as d)", [shown]
        ).to_pylist()
    head = "paylake 早报" if zh else "paylake morning summary"
    subject = f"{head} · {label['label']} · {in_force.release_id}"
    lines = [subject, ""]
    if day > shown:
        lines += [_not_out(settings, day, language), ""]
    lines += [row["line"] for row in figures]
    lines += [row["line"] for row in reserve]
    lines += [_open(settings, language), _held(settings, in_force.through, day, language)]
    return Summary(shown, in_force.release_id, subject, "\n".join(lines) + "\n")


def _figures(language: str) -> str:
    """The five figures with their change against the same weekday, one line each."""
    points = " 个百分点" if language == "zh" else " pp"
    colon = "：" if language == "zh" else ": "
    comma = "，" if language == "zh" else ", "
    compared = (
        "coalesce(case when kind = 'rate' then"
        f" {change('value', 'same_weekday_value', points=points)} else"
        f" {change('value', 'same_weekday_value')} end ||"
        f" {pick(language, ' 较上周同日', ' vs same weekday')},"
        f" {pick(language, '无上周同日可比', 'no same weekday to compare')})"
    )
    absent = _absent(language)
    other = "case currency_code when 'CNY' then '' else ' ' || currency_code end"
    return f"""
        select figure_name || {other} || '{colon}' || case when value is null then {absent} else
            {overview._shown("value", language)} || '{comma}' || {compared} end as line
        from ({overview._figures(language)})
        where business_date = ?
        order by currency_code, figure_order
    """


def _absent(language: str) -> str:
    return pick(language, "—（来源没有提供）", "— (not supplied)")


def _reserve(language: str) -> str:
    words = {
        "book_amount": ("备付金：账面 ", "Reserve: books "),
        "custodian_amount": ("，存管 ", ", custodian "),
        "unarrived_amount": ("，未达账项 ", ", on its way "),
    }
    parts = " || ".join(
        f"{pick(language, *both)} || coalesce({money(column, language)}, {_absent(language)})"
        for column, both in words.items()
    )
    verdict = (
        "case when unexplained_amount is null then ''"
        f" when unexplained_amount = 0 then {pick(language, '（相符）', ' (as it must be)')}"
        f" else {pick(language, '（应为 0，立即查明）', ' (must be 0: find out now)')} end"
    )
    return f"""
        select {parts} || {pick(language, "，未解释 ", ", unexplained ")} ||
            coalesce({exact("unexplained_amount")}, {_absent(language)}) || {verdict} as line
        from mart_settlement__reserve_fund_day
        where business_date = ?
        order by currency_code
    """


def _open(settings: Settings, language: str) -> str:
    """Open items of books by kind and currency; failing checks are told with what they hold."""
    index = LANGUAGES.index(language)
    found: dict[tuple[str, str], list[Any]] = defaultdict(lambda: [0, Decimal(0)])
    for item in ops.latest(settings, "open_item", "closed_date is null and kind <> 'gate'"):
        count = found[item["kind"], item["currency_code"] or ""]
        count[0] += 1
        count[1] += abs(item["amount"] or Decimal(0))
    head = ("未结事项：", "Open items: ")[index]
    if not found:
        return head + ("无", "none")[index]
    return head + ("；", "; ")[index].join(
        f"{ITEM_KINDS[kind][index] if kind in ITEM_KINDS else kind}"
        f" {count}{(' 项', '')[index]} {_symbol(currency)}"
        f"{amount:,.{MINOR_DIGITS.get(currency, 2)}f}"
        for (kind, currency), (count, amount) in sorted(found.items())
    )


def _symbol(currency: str) -> str:
    return "¥" if currency == "CNY" else f"{currency} " if currency else ""


def _held_dates(settings: Settings, through: date, day: date) -> dict[date, list[str]]:
    """Unreleased dates that the gate keeps back → their blocking checks."""
    open_days = [d for d in runs.pending(settings, day) if d > through]
    if not open_days:
        return {}
    judged = release.verdicts(settings, open_days[0], open_days[-1])
    return {d: list(v.blocking) for d, v in sorted(judged.items()) if v.blocking}


def _held(settings: Settings, through: date, day: date, language: str) -> str:
    index = LANGUAGES.index(language)
    held = _held_dates(settings, through, day)
    head = ("被扣住的日期：", "Held dates: ")[index]
    if not held:
        return head + ("无", "none")[index]
    titles = checks.titles()
    return head + ("；", "; ")[index].join(
        f"{d} "
        + ("、", ", ")[index].join(titles[c][index] if c in titles else c for c in blocking)
        for d, blocking in held.items()
    )


def _not_out(settings: Settings, day: date, language: str) -> str:
    through = release.in_force(settings).through
    assert through is not None
    behind = len(date_range(through, day)) - 1
    if language == "zh":
        return f"{day} 尚未发布（晚 {behind} 天）；以下为最后发布日期 {through} 的数字。"
    return f"{day} is not released yet ({behind} day(s) behind); these are {through}'s figures."
