"""Views of 结算 and of one merchant: what is paid, how gross becomes net, who was held and why."""

from __future__ import annotations

from dashboards.views.expressions import (
    choose,
    day,
    day_label,
    exact,
    link,
    pick,
    scope,
)

TREND_DAYS = 30

STATUSES = {
    "paid": ("已付", "Paid"),
    "due": ("待付", "Due"),
    "rolled": ("结转", "Rolled over"),
    "negative": ("余额为负", "Negative"),
    "disputed": ("争议冻结", "Disputed"),
    "none": ("无结算", "Nothing to settle"),
}
MERCHANT_TYPES = {
    "enterprise": ("企业", "Enterprise"),
    "sole_trader": ("个体工商户", "Sole trader"),
    "micro": ("小微商户", "Micro merchant"),
}
FEE_CLASSES = {
    "STD": ("标准", "Standard"),
    "PREF_78": ("优惠 7.8 折", "Preferential 78 %"),
    "WAIVED": ("减免", "Waived"),
}
# Steps of the waterfall, numbered because the chart sorts them by name.
STEPS = [
    ("gross_amount", "", "①交易总额", "① Gross"),
    ("refund_amount", "-", "②退款", "② Refunds"),
    ("issuer_fee_amount", "-", "③发卡行服务费", "③ Issuer fee"),
    ("network_fee_amount", "-", "④网络服务费", "④ Network fee"),
    ("acquirer_fee_amount", "-", "⑤收单服务费", "⑤ Acquirer fee"),
    ("service_fee_amount", "-", "⑥增值服务费", "⑥ Service fee"),
    ("disputed_amount", "-", "⑦争议冻结", "⑦ Disputed"),
]
MONEY = [
    "gross_amount", "refund_amount", "issuer_fee_amount", "network_fee_amount",
    "acquirer_fee_amount", "service_fee_amount", "disputed_amount", "adjustment_amount",
    "net_amount", "opening_pending_amount", "payout_amount", "closing_pending_amount",
    "closing_disputed_amount",
]  # fmt: skip
#: What of the net is neither payments, refunds, fees nor disputes (voids, chargebacks, splits …),
#: by the mart's other columns: a release of an older program has no column of it.
FURTHER = (
    "net_amount - (gross_amount - refund_amount - issuer_fee_amount - network_fee_amount"
    " - acquirer_fee_amount - service_fee_amount - disputed_amount)"
)
FEES = "issuer_fee_amount + network_fee_amount + acquirer_fee_amount + service_fee_amount"


def definitions(language: str) -> dict[str, str]:
    """View name (without the language) → SQL."""
    return {
        "screen_merchant": _merchants(),
        "settlement_merchant": _merchant(language),
        "settlement_trend": _trend(language),
        "settlement_step": _steps(language),
    }


def _labels() -> str:
    """Merchant by merchant what filters call it, within the reader's scope: its last name and its
    number, so that a new name does not part its history, and the number where nobody named it."""
    return f"""
        select merchant_id,
            coalesce(max_by(merchant_name, business_date) || ' ', '') || merchant_id as merchant
        from mart_settlement__merchant_day where {scope("region_code")}
        group by merchant_id
    """


def _merchants() -> str:
    """The merchants that a filter offers, within the reader's scope; never empty."""
    return f"""
        with merchants as ({_labels()})
        select merchant from merchants
        union all
        select '—' where not exists (select 1 from merchants)
    """


def _names(language: str, of: str) -> tuple[str, str]:
    """Columns of a relation's merchant, region and industry by name, and the joins for them."""
    columns = f"""
            l.merchant,
            coalesce(r.region_name, {of}.region_code, {pick(language, "未知", "Unknown")})
                as region_name,
            coalesce(c.mcc_name, {of}.mcc, {pick(language, "未知", "Unknown")}) as mcc_name"""
    joins = f"""
        inner join ({_labels()}) as l on {of}.merchant_id = l.merchant_id
        left join (
            select region_code, max(region_name_{language}) as region_name
            from mart_kpi__region_day group by region_code
        ) as r on {of}.region_code = r.region_code
        left join (
            select mcc, max(mcc_name_{language}) as mcc_name from mart_kpi__mcc_day group by mcc
        ) as c on {of}.mcc = c.mcc"""
    return columns, joins


def _named(language: str) -> str:
    """Merchant days in the reader's scope, with the names of region and MCC."""
    columns, joins = _names(language, "m")
    return f"""
        select m.*, {FEES} as fee_amount, {columns},
            case m.currency_code when 'CNY' then '' else ' · ' || m.currency_code end
                as other_currency
        from mart_settlement__merchant_day as m {joins}
        where {scope("m.region_code")}
    """


def _reason(language: str) -> str:
    """Why a merchant's money did not go out, in a sentence."""
    if language == "zh":
        texts = (
            "'待结算 ' || {closing} || ' 未达起付额 ' || {minimum} || '，结转下期'",
            "'退款、手续费或争议超过交易，余额 ' || {closing} || '，以后续交易抵补'",
            "'争议冻结 ' || {disputed} || '，待裁定'",
            "'到期日 ' || {due} || ' 付 ' || {closing}",
            "'已付 ' || {payout}",
        )
    else:
        texts = (
            "'Pending ' || {closing} || ' is below the minimum payout ' || {minimum}"
            " || ': rolled over'",
            "'Refunds, fees or disputes exceed sales: balance ' || {closing}"
            " || ', to be covered by later sales'",
            "'Disputed ' || {disputed} || ' is held until decided'",
            "'Pays ' || {closing} || ' on ' || {due}",
            "'Paid ' || {payout}",
        )
    values = {
        "closing": exact("closing_pending_amount"),
        "minimum": exact("minimum_payout_amount"),
        "disputed": exact("closing_disputed_amount"),
        "payout": exact("payout_amount"),
        "due": f"coalesce({day_label('due_date', language)}, '—')",
    }
    rolled, negative, disputed, due, paid = (text.format(**values) for text in texts)
    return (
        f"case settlement_status when 'rolled' then {rolled} when 'negative' then {negative}"
        f" when 'disputed' then {disputed} when 'due' then {due} when 'paid' then {paid}"
        " else '' end"
    )


def _merchant(language: str) -> str:
    shown = "coalesce(merchant_name, merchant_id) || other_currency"
    target = link("merchant", language, shown, day=day(), merchant="merchant")
    return f"""
        with named as ({_named(language)})
        select business_date, {day()} as day,
            {day_label("business_date", language)} || other_currency as day_name,
            merchant_id, merchant_name, merchant, {target} as merchant_link,
            {choose(language, "merchant_type", MERCHANT_TYPES)} as merchant_type_name,
            region_code, region_name, mcc, mcc_name, settlement_cycle,
            {choose(language, "fee_class", FEE_CLASSES)} as fee_class_name,
            minimum_payout_amount, currency_code, payment_count, refund_count,
            {", ".join(MONEY)}, fee_amount, {FURTHER} as further_amount,
            {day("due_date")} as due_day, settlement_status,
            {choose(language, "settlement_status", STATUSES)} as status_name,
            settlement_status in ('rolled', 'negative', 'disputed') as is_held,
            coalesce({_reason(language)}, '—') as reason_name
        from named
    """


DAYS = "select distinct business_date from mart_settlement__merchant_day"
TREND = (
    "payment_count", "gross_amount", "refund_amount", "net_amount", "payout_amount",
    "closing_pending_amount", "disputed_amount", "fee_amount",
)  # fmt: skip
_IN_WINDOW = f"between a.business_date - {TREND_DAYS - 1} and a.business_date"


def _quiet() -> str:
    """Rows of zeros, each day with the thirty up to it: a merchant's dates without a row.

    The mart has no row where a merchant neither moved nor held money, but a chart shows the last
    row as the day's figure, and counts seven rows back for the same weekday.
    """
    return f"""
        select a.business_date, d.business_date as point_date, m.merchant_id, m.currency_code,
            m.region_code, m.mcc, {", ".join(f"0 as {column}" for column in TREND)}
        from ({DAYS}) as a
        inner join ({DAYS}) as d on d.business_date {_IN_WINDOW}
        inner join (
            select merchant_id, currency_code, min(business_date) as first_date,
                max_by(region_code, business_date) as region_code,
                max_by(mcc, business_date) as mcc
            from mart_settlement__merchant_day as h
            cross join (select count(*) as day_count from ({DAYS})) as n
            where {scope("region_code")}
            group by merchant_id, currency_code
            having count(*) < any_value(n.day_count)
        ) as m on m.first_date <= d.business_date
        anti join mart_settlement__merchant_day as p
            on p.merchant_id = m.merchant_id and p.currency_code = m.currency_code
            and p.business_date = d.business_date
    """


def _trend(language: str) -> str:
    """Each day with the thirty up to it, by merchant: figures, their line and their comparison."""
    columns, joins = _names(language, "t")
    figures = ", ".join(f"{FEES} as fee_amount" if c == "fee_amount" else f"p.{c}" for c in TREND)
    return f"""
        select t.business_date, {day("t.business_date")} as day, t.point_date,
            case when year(t.point_date) < year(t.business_date) then ' ' else '' end ||
                {day_label("t.point_date", language)} as point_day,
            t.merchant_id, t.region_code, t.currency_code, {", ".join(TREND)}, {columns}
        from (
            select a.business_date, p.business_date as point_date, p.merchant_id, p.currency_code,
                p.region_code, p.mcc, {figures}
            from ({DAYS}) as a
            inner join mart_settlement__merchant_day as p on p.business_date {_IN_WINDOW}
            where {scope("p.region_code")}
            union all
            {_quiet()}
        ) as t {joins}
    """


def _steps(language: str) -> str:
    index = 2 if language == "zh" else 3
    columns = "merchant, region_code, region_name, mcc_name, currency_code"
    further = (
        f"select business_date, {day()} as day, {len(STEPS) + 1} as step_order,"
        f" {pick(language, '⑧其他', '⑧ Other')} as step_name, {columns},"
        f" {FURTHER} as amount from named where {FURTHER} <> 0"
    )
    selects = [
        f"select business_date, {day()} as day, {order} as step_order,"
        f" '{step[index]}' as step_name,"
        f" {columns},"
        f" {step[1]}{step[0]} as amount from named"
        for order, step in enumerate(STEPS, 1)
    ] + [further]
    return f"with named as ({_named(language)}) " + " union all ".join(selects)
