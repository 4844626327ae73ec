"""What the gate's checks are called and what they found, in words of either language.

Names and reasons stand beside each check in ``expectations/suites``; they are read as data. The
sentences are built from a result's numbers (`ops.gate_result`), never from its English text.
"""

from __future__ import annotations

from functools import lru_cache

import yaml

from dashboards.views.expressions import literal, pick
from paylake.settings import ROOT

SUITES = ROOT / "expectations" / "suites"


@lru_cache(maxsize=1)
def titles() -> dict[str, tuple[str, str, str, str]]:
    """Check → (title in Chinese, in English, reason in Chinese, in English)."""
    found = {}
    for file in sorted(SUITES.glob("*.yml")):
        for check in yaml.safe_load(file.read_text("utf-8"))["checks"]:
            found[check["code"]] = (
                check["title_zh"],
                check["title_en"],
                check["reason_zh"],
                " ".join(check["reason"].split()),
            )
    return found


def named(language: str) -> str:
    """A relation of every check: check_code, check_name, meaning."""
    shift = 0 if language == "zh" else 1
    rows = ", ".join(
        f"({literal(code)}, {literal(texts[shift])}, {literal(texts[2 + shift])})"
        for code, texts in titles().items()
    )
    return f"select * from (values {rows}) as t(check_code, check_name, meaning)"


def title(language: str, column: str = "check_code") -> str:
    """The title of a check; one that the suites no longer have is shown by its code."""
    return (
        f"coalesce((select n.check_name from ops_check_name_{language} as n"
        f" where n.check_code = {column}), {column})"
    )


def _plain(value: str) -> str:
    """A number without trailing zeros."""
    return f"rtrim(rtrim(cast({value} as varchar), '0'), '.')"


def _count(column: str) -> str:
    return f"format('{{:,}}', cast({column} as bigint))"


def observed(language: str) -> str:
    """What a check found, as a sentence over the columns of `gate_result`."""
    zh = language == "zh"
    compared, differing = _count("compared_count"), _count("differing_count")

    def both(all_well: str, some: str) -> str:
        return f"case when differing_count = 0 then {all_well} else {some} end"

    rows = both(
        f"{compared} || {pick(language, ' 行，全部符合', ' rows, all as asked')}",
        f"{compared} || {pick(language, ' 行中 ', ' rows, ')} || {differing} ||"
        f" {pick(language, ' 行不符', ' not as asked')}",
    )
    items = both(
        f"{compared} || {pick(language, ' 项，全部相等', ' compared, all equal')}",
        f"{compared} || {pick(language, ' 项中 ', ' compared, ')} || {differing} ||"
        f" {pick(language, ' 项不等', ' differ')}",
    )
    none = both(
        pick(language, "没有", "none"),
        f"{differing} || {literal(' 项' if zh else ' items')}",
    )
    return f"""case
        when result = 'error' then {pick(language, "没有跑成", "could not be evaluated")}
        when result = 'not_determinable' then
            {pick(language, "来源没有提供所需数据", "the feeds do not supply what it needs")}
        when compared_count is null then {pick(language, "表没有建成", "the table was not built")}
        when observed_value is not null then {_plain("observed_value")}
        when check_kind = 'reconcile' then {items}
        when check_kind = 'none' then {none}
        when check_kind = 'rows_present' then {compared} || {pick(language, " 行", " rows")}
        else {rows} end"""


def expected(language: str) -> str:
    """What a check asks, as a sentence over the columns of `gate_result`."""
    low, high = _plain("lower_bound"), _plain("upper_bound")
    bounds = f"""case
        when upper_bound is null then {pick(language, "不低于 ", "at least ")} || {low}
        when lower_bound is null then {pick(language, "不高于 ", "at most ")} || {high}
        else {low} || {pick(language, " 至 ", " to ")} || {high} end"""
    texts = {
        "unique": ("每个键只有一行", "one row a key"),
        "not_null": ("没有缺值", "no missing value"),
        "in_set": ("都在值表内", "listed values only"),
        "rows_present": ("至少一行", "at least one row"),
        "reconcile": ("逐项相等，容差 0.00", "all equal, tolerance 0.00"),
        "none": ("没有此类项", "no such item"),
    }
    cases = " ".join(
        f"when {literal(kind)} then {pick(language, *both)}" for kind, both in texts.items()
    )
    return f"case check_kind {cases} when 'between' then {bounds} else '—' end"
