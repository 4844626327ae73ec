"""Views of 今日总览: the state line, big figures, where the money comes from, is it whole."""

from __future__ import annotations

from dashboards.views.codes import FEEDS
from dashboards.views.expressions import (
    card,
    change,
    choose,
    count,
    day,
    day_label,
    exact,
    html,
    link,
    literal,
    money,
    percent,
    pick,
    scope,
)

TREND_DAYS = 30

PAYMENT_WAYS = {"bank_card": ("银行卡", "Bank card"), "qr_code": ("扫码", "QR code")}
FUNDING = {
    "debit": ("借记", "debit"),
    "credit": ("贷记", "credit"),
    "balance": ("余额", "balance"),
    "unknown": ("未说明", "not said"),
}


UNKNOWN = ("未知", "Unknown")


def definitions(language: str) -> dict[str, str]:
    """View name (without the language) → SQL."""
    return {
        "screen_state": _state(language),
        "screen_day": _days(),
        "overview_card": _cards(language),
        "overview_trend": _trend(language),
        "overview_region": _slice(
            language, "mart_kpi__region_day", f"region_name_{language}", "region_code", "region"
        ),
        "overview_mcc": _slice(language, "mart_kpi__mcc_day", f"mcc_name_{language}", "mcc", "mcc"),
        "overview_payment_way": _payment_way(language),
        "reserve_card": _reserve(language),
        "reserve_item": _reserve_items(language),
    }


def _state(language: str) -> str:
    """One row, always: which release, which date, how old, late or not."""
    due = _dated("getvariable('due_date')::date", "through", language)
    late = "date_diff('day', through, getvariable('due_date')::date)"
    lacks = pick(language, "本机构的来源没有提供：", "Not supplied by this institution: ")
    between = "、" if language == "zh" else ", "
    absent = (
        "(select string_agg("
        f"{choose(language, 'f.feed', FEEDS)}, '{between}') from (select"
        " unnest(getvariable('absent_feeds')::varchar[]) as feed) as f)"
    )
    hours = (
        "greatest(0, date_diff('hour', through::timestamp + getvariable('date_ends')::interval,"
        " getvariable('as_of')::timestamp))"
    )
    if language == "zh":
        fresh = f"'数据年龄 ' || {hours} || ' 小时'"
        behind = f"'晚 ' || {late} || ' 天：应已发布到 ' || {due}"
        nothing = "'尚无发布：先运行 bin/paylake run，再看质量屏上哪一步在等'"
        words = ("数据版本", "业务日期")
        closed = "'没有对您开放的地区，表中无数：请管理员给您一个地区角色'"
    else:
        fresh = f"'data age ' || {hours} || ' h'"
        behind = f"{late} || ' day(s) late: expected through ' || {due}"
        nothing = (
            "'Nothing released yet: run bin/paylake run, then see on the data quality screen "
            "which step waits'"
        )
        words = ("Release", "Business date")
        closed = "'No region is open to you, so tables are empty: ask for a region role'"
    return f"""
        with one as (select 1),
        state as (
            select release.release_id, release.sequence, release.through,
                coalesce({late} > 0, true) as is_late,
                not {scope()} and coalesce(len(getvariable('scope_region')::varchar[]), 0) = 0
                    as is_closed
            from one left join release on true
        )
        select release_id, {day("through")} as business_date, is_late,
            '<div class="pl-state' || case when is_late or is_closed then ' pl-late' else '' end ||
            '">' ||
            case when through is null then {nothing} else
                '{words[0]} <b>' || {html("release_id")} || '</b> · {words[1]} <b>' ||
                {_dated("through", "getvariable('due_date')::date", language)} || '</b> · ' ||
                case when is_late then {behind} else {fresh} end ||
                case when is_closed then ' · ' || {closed} else '' end
            end ||
            coalesce('<div class="pl-lacks">' || {lacks} || {absent} || '</div>', '') ||
            '</div>' as state_line
        from state
    """


def _dated(column: str, beside: str, language: str) -> str:
    """A date's label, with its year where the date beside it is of another one."""
    year = f"case when year({column}) <> year({beside}) then strftime({column}, '%Y-') else '' end"
    return f"{year} || {day_label(column, language)}"


def _days() -> str:
    """The dates that filters offer; never empty, as a required filter would block the screen."""
    return f"""
        with days as (select distinct {day()} as day from mart_kpi__institution_day)
        select day from days
        union all
        select '—' where not exists (select 1 from days)
    """


def _figures(language: str) -> str:
    """The five figures in long form, with what each is compared with."""
    names = [
        ("payment_amount", "交易金额", "Payment amount", "money"),
        ("payment_count", "交易笔数", "Payments", "count"),
        ("success_rate", "成功率", "Success rate", "rate"),
        ("fee_income_amount", "手续费收入", "Fee income", "money"),
        ("active_merchant_count", "活跃商户", "Active merchants", "merchants"),
    ]
    selects = []
    for order, (column, zh, en, kind) in enumerate(names, 1):
        base = "attempt_count" if kind == "rate" else "cast(null as bigint)"
        value, before, median = column, f"same_weekday_{column}", f"median_30d_{column}"
        selects.append(
            f"select business_date, currency_code, {order} as figure_order,"
            f" {literal(column)} as figure, {pick(language, zh, en)} as figure_name,"
            f" '{kind}' as kind, cast({value} as double) as value,"
            f" cast({before} as double) as same_weekday_value,"
            f" cast({median} as double) as median_30d_value, {base} as base_count"
            " from mart_kpi__institution_day"
        )
    return " union all ".join(selects)


def _shown(value: str, language: str) -> str:
    merchants = " 户" if language == "zh" else ""
    payments = " 笔" if language == "zh" else ""
    return (
        f"case kind when 'money' then {money(value, language)}"
        f" when 'rate' then {percent(value)}"
        f" when 'merchants' then {count(value, merchants)}"
        f" else {count(value, payments)} end"
    )


def _spark(language: str) -> str:
    """Thirty days as bars; the hover names day and value."""
    # A rate moves within a narrow band: its bars begin at the month's lowest, the others at zero.
    floor = "case when p.kind = 'rate' then min_value else 0 end"
    height = (
        f"2 + cast(round(24 * (p.value - {floor}) / nullif(max_value - {floor}, 0)) as integer)"
    )
    title = f"{day_label('p.business_date', language)} || ' ' || {_shown('p.value', language)}"
    title = title.replace("currency_code", "p.currency_code").replace("case kind", "case p.kind")
    return f"""
        select a.business_date, a.currency_code, a.figure,
            string_agg(
                '<span class="pl-bar' ||
                case when p.business_date = a.business_date then ' pl-now' else '' end ||
                '" style="height:' || coalesce({height}, 2) || 'px" title="' ||
                coalesce({title}, '—') || '"></span>', '' order by p.business_date
            ) as spark
        from figure as a
        inner join figure as p
            on a.figure = p.figure and a.currency_code = p.currency_code
            and p.business_date between a.business_date - {TREND_DAYS - 1} and a.business_date
        inner join (
            select x.business_date, x.currency_code, x.figure, max(y.value) as max_value,
                min(y.value) as min_value
            from figure as x
            inner join figure as y
                on x.figure = y.figure and x.currency_code = y.currency_code
                and y.business_date between x.business_date - {TREND_DAYS - 1} and x.business_date
            group by all
        ) as m
            on a.business_date = m.business_date and a.currency_code = m.currency_code
            and a.figure = m.figure
        group by all
    """


def _cards(language: str) -> str:
    points = " 个百分点" if language == "zh" else " pp"
    against = pick(language, " 较上周同日", " vs same weekday")
    nothing = pick(language, "无上周同日可比", "no same weekday to compare")
    absent = pick(
        language,
        "本机构的来源没有提供此项数据",
        "not supplied by the feeds",
    )
    compared = (
        "coalesce(case when kind = 'rate' then"
        f" {change('value', 'same_weekday_value', points=points)} else"
        f" {change('value', 'same_weekday_value')} end || {against}, {nothing})"
    )
    median = (
        f"coalesce(' · ' || {pick(language, '30 日中位 ', '30-day median ')} ||"
        f" {_shown('median_30d_value', language)}, '')"
    )
    base = (
        f"coalesce(' · ' || {pick(language, '基数 ', 'of ')} ||"
        f" {count('base_count', ' 次' if language == 'zh' else ' attempts')}, '')"
    )
    hover = f"case when kind = 'money' then {exact('value')} else '' end"
    name = "figure_name || case currency_code when 'CNY' then '' else ' ' || currency_code end"
    return f"""
        with figure as ({_figures(language)}),
        spark as ({_spark(language)})
        select figure.business_date, {day("figure.business_date")} as day, figure_order, figure,
            figure_name, currency_code, value, same_weekday_value, median_30d_value,
            case when value is null then {card(name, "'—'", absent)} else
                {
        card(
            name,
            _shown("value", language),
            f"{compared} || '<br>' || ltrim({median} || {base}, ' ·')",
            hover,
            "spark",
        )
    }
            end as figure_card
        from figure
        inner join spark using (business_date, currency_code, figure)
        where {scope()}
    """


def _trend(language: str) -> str:
    """Each day with the thirty up to it, and the same weekday a week before each of them."""
    label = day_label("p.business_date", language)
    return f"""
        select a.business_date, {day("a.business_date")} as day, p.business_date as point_date,
            case when year(p.business_date) < year(a.business_date) then ' ' else '' end ||
                {label} as point_day,
            p.currency_code, p.payment_amount, p.same_weekday_payment_amount, p.payment_count,
            p.success_rate, p.fee_income_amount, p.refund_amount
        from mart_kpi__institution_day as a
        inner join mart_kpi__institution_day as p
            on a.currency_code = p.currency_code
            and p.business_date between a.business_date - {TREND_DAYS - 1} and a.business_date
        where {scope()}
    """


def _slice_columns(language: str) -> str:
    return f"""
        currency_code, payment_amount, payment_count, success_rate, share_rate,
        same_weekday_payment_amount,
        coalesce({change("payment_amount", "same_weekday_payment_amount")}, '—') as change_text
    """


def _slice(language: str, table: str, name: str, code: str, filter_name: str) -> str:
    unknown = pick(language, UNKNOWN[0], UNKNOWN[1])
    shown = f"coalesce({name}, {code}, {unknown})"
    # A day on which no payment has it: the feeds lack it, and there is nothing to follow.
    lacking = f"({code} is null and share_rate = 1)"
    target = link(
        "settlement",
        language,
        shown,
        day=day(),
        **{filter_name: shown},
    )
    absent = pick(language, "来源没有提供", "Not supplied by the feeds")
    where = scope("region_code") if code == "region_code" else scope()
    return f"""
        select business_date, {day()} as day, {code}, {shown} as {filter_name}_name,
            case when {lacking} then {absent} else {target} end as {filter_name}_link,
            {_slice_columns(language)}
        from {table}
        where {where}
    """


def _payment_way(language: str) -> str:
    way = choose(language, "payment_way", PAYMENT_WAYS)
    funding = choose(language, "nullif(funding, 'unknown')", FUNDING)
    return f"""
        select business_date, {day()} as day, payment_way, funding,
            {way} || coalesce(' · ' || {funding}, '') as payment_way_name,
            {_slice_columns(language)}
        from mart_kpi__payment_way_day
        where {scope()}
    """


def _reserve(language: str) -> str:
    """Is our money whole: book, bank, what is on its way, and what nobody can explain."""
    figures = [
        ("book_amount", "备付金账面余额", "Reserve, our books"),
        ("custodian_amount", "存管银行余额", "Reserve, custodian"),
        ("unarrived_amount", "未达账项", "Items on their way"),
        ("unexplained_amount", "未解释差额", "Unexplained difference"),
    ]
    absent = pick(
        language,
        "来源没有提供账务与存管数据",
        "not supplied by the feeds",
    )
    selects = []
    for order, (column, zh, en) in enumerate(figures, 1):
        note = {
            "book_amount": pick(language, "各类负债之和减外汇头寸", "liabilities less position"),
            "custodian_amount": f"{pick(language, '差额 ', 'difference ')} ||"
            f" {exact('difference_amount')}",
            "unarrived_amount": f"{count('item_count', ' 笔' if language == 'zh' else ' item(s)')}"
            f" || case when item_count > 0 then {pick(language, '，最久 ', ', oldest ')}"
            f" || coalesce(largest_age_days, 0) || {pick(language, ' 天', ' days')} else '' end",
            "unexplained_amount": f"case when {column} = 0 then"
            f" {pick(language, '应为 0：相符', 'must be 0: it is')} else"
            f" {pick(language, '应为 0：立即查明', 'must be 0: find out now')} end",
        }[column]
        shown = exact(column) if column == "unexplained_amount" else money(column, language)
        if column == "unexplained_amount":
            shown = (
                f"case when {column} <> 0 then '<span class=\"pl-broken\">' || {shown} ||"
                f" '</span>' else {shown} end"
            )
        name = pick(language, zh, en)
        selects.append(f"""
            select k.business_date, {day("k.business_date")} as day, {order} as figure_order,
                '{column}' as figure, {name} as figure_name, k.currency_code,
                cast(r.{column} as double) as value,
                case when r.{column} is null then {card(name, "'—'", absent)}
                else {
            card(name, shown, note, exact(column)).replace("currency_code", "k.currency_code")
        } end as figure_card
            from mart_kpi__institution_day as k
            left join mart_settlement__reserve_fund_day as r
                on k.business_date = r.business_date and k.currency_code = r.currency_code
            where {scope()}
        """)
    return " union all ".join(selects)


def _reserve_items(language: str) -> str:
    causes = {
        "book_in_bank_not": ("我方已收、银行未收", "We booked a receipt, the bank has not"),
        "book_out_bank_not": ("我方已付、银行未付", "We booked a payment, the bank has not"),
        "bank_in_book_not": ("银行已收、我方未收", "The bank has a receipt, we have not"),
        "bank_out_book_not": ("银行已付、我方未付", "The bank has a payment, we have not"),
    }
    return f"""
        select business_date, {day()} as day, reference,
            {choose(language, "cause", causes)} as cause_name, amount, currency_code,
            {day("first_date")} as first_day, age_days
        from mart_settlement__reserve_fund_item
        where {scope()}
    """
