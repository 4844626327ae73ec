"""Every chart, once for both languages: what it shows, from which columns, by which formula."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dashboards.source.labels import Text

BLUE, GREY, AMBER, RED = "#2563b0", "#9aa5b1", "#d98e04", "#c62828"
# Six series at most.
SERIES = (BLUE, GREY, "#5b8fd0", "#c3ccd6", "#17406f", "#6f7c8a")


@dataclass(frozen=True)
class Chart:
    """One chart.

    :param columns: gold (or ops) columns that it shows, for its description and the linter.
    :param formula: how the shown value follows from them.
    :param params: Superset's own parameters, metrics by name.
    """

    key: str
    dataset: str
    viz: str
    title: Text
    columns: tuple[str, ...]
    formula: Text
    params: dict[str, Any] = field(default_factory=dict)


def rgb(colour: str) -> dict[str, Any]:
    red, green, blue = (int(colour[n : n + 2], 16) for n in (1, 3, 5))
    return {"r": red, "g": green, "b": blue, "a": 1}


# Columns whose values are written as HTML by the views, everything in them escaped there. Tables of
# others show what outside files gave as it is.
HTML_COLUMNS = frozenset(
    {
        "check_label", "detail", "figure_card", "matter", "mcc_link", "merchant_link",
        "region_link", "state_line",
    }
)  # fmt: skip


def _rows(
    columns: list[str],
    order: list[tuple[str, bool]],
    *,
    limit: int = 1000,
    bars: tuple[str, ...] = (),
    formats: dict[str, str] | None = None,
    filters: list[dict[str, Any]] | None = None,
    page: int = 0,
    search: bool = False,
) -> dict[str, Any]:
    """A table of rows as they are in the dataset."""
    formats = formats or {}
    config: dict[str, Any] = {}
    for column in columns:
        config[column] = {"showCellBars": column in bars}
        if column in formats:
            config[column]["d3NumberFormat"] = formats[column]
            config[column]["d3SmallNumberFormat"] = formats[column]
    return {
        "query_mode": "raw",
        "all_columns": columns,
        "order_by_cols": [f'["{c}", {"true" if up else "false"}]' for c, up in order],
        "row_limit": limit,
        "server_pagination": False,
        "page_length": page,
        "include_search": search,
        "allow_render_html": not HTML_COLUMNS.isdisjoint(columns),
        "show_cell_bars": bool(bars),
        "color_pn": False,
        "align_pn": False,
        "column_config": config,
        "table_timestamp_format": "%m-%d %H:%M",
        "adhoc_filters": filters or [],
    }


def _is_true(column: str) -> dict[str, Any]:
    return {
        "expressionType": "SIMPLE",
        "subject": column,
        "operator": "==",
        "comparator": True,
        "clause": "WHERE",
    }


_NO_TIME = {
    "expressionType": "SIMPLE",
    "subject": "point_date",
    "operator": "TEMPORAL_RANGE",
    "comparator": "No filter",
    "clause": "WHERE",
}


def _figure(metric: str) -> dict[str, Any]:
    """A big figure with its thirty days and its change against the same weekday."""
    return {
        "x_axis": "point_date",
        "time_grain_sqla": "P1D",
        "metric": metric,
        "adhoc_filters": [_NO_TIME],
        "compare_lag": 7,
        "compare_suffix": ("较上周同日", "vs same weekday"),
        "show_trend_line": True,
        "start_y_axis_at_zero": True,
        "header_font_size": 0.4,
        "subheader_font_size": 0.15,
        "rolling_type": "None",
        "time_format": "%m-%d",
        "color_picker": rgb(BLUE),
        "show_timestamp": False,
    }


def _line(dataset_metrics: list[str], **more: Any) -> dict[str, Any]:
    return {
        "x_axis": "point_day",
        "metrics": dataset_metrics,
        "groupby": [],
        "adhoc_filters": [],
        "x_axis_sort": "point_day",
        "x_axis_sort_asc": True,
        "row_limit": 1000,
        "show_legend": True,
        "legendOrientation": "top",
        "legendType": "scroll",
        "rich_tooltip": True,
        "markerEnabled": False,
        "seriesType": "line",
        "color_scheme": "paylake",
        "truncateYAxis": False,
        "y_axis_title_margin": 30,
        "x_axis_title_margin": 30,
        "xAxisLabelRotation": 0,
        "xAxisLabelInterval": "auto",
        **more,
    }


SLICE_FORMATS = {"payment_amount": ",.2f", "share_rate": ".1%", "payment_count": ",d"}


def _ranked(name: str) -> dict[str, Any]:
    return _rows(
        [name, "payment_amount", "share_rate", "change_text", "payment_count"],
        [("payment_amount", False)],
        limit=1000,
        bars=("payment_amount",),
        formats=SLICE_FORMATS,
    )


AMOUNTS = (
    "gross_amount", "refund_amount", "issuer_fee_amount", "network_fee_amount",
    "acquirer_fee_amount", "service_fee_amount", "disputed_amount", "net_amount",
    "opening_pending_amount", "payout_amount", "closing_pending_amount",
    "closing_disputed_amount", "amount", "fee_amount",
    "minimum_payout_amount", "adjustment_amount", "further_amount",
)  # fmt: skip
MONEY = dict.fromkeys(AMOUNTS, ",.2f")

SLICE_COLUMNS = ("payment_amount", "share_rate", "same_weekday_payment_amount", "payment_count")
SLICE_FORMULA = (
    "金额 = 当日成功交易之和；占比 = 金额 ÷ 全机构金额；变化 = 金额 ÷ 上周同日金额 − 1",
    "amount = sum of the day's successful payments; share = amount / institution's amount;"
    " change = amount / same weekday's amount - 1",
)

CHARTS = [
    Chart(
        "state", "screen_state", "table", ("数据状态", "State of the data"),
        ("release_id", "through"),
        ("在用版本、其最后业务日期、距切日时刻的小时数；晚于应发布日期时为琥珀色",
         "release in force, its last business date, hours since its cut-off; amber when a later"
         " date is due"),
        _rows(["state_line"], [], limit=10),
    ),
    Chart(
        "overview_cards", "overview_card", "table",
        ("昨日是否正常（与上周同日、30 日中位相比）",
         "Was the day normal (against same weekday and 30-day median)"),
        ("payment_amount", "payment_count", "success_rate", "attempt_count",
         "fee_income_amount", "active_merchant_count"),
        ("各指标的当日值；箭头 = 当日 ÷ 上周同日 − 1（成功率为百分点之差）；"
         "成功率 = 成功笔数 ÷ 尝试笔数",
         "the day's value; arrow = value / same weekday - 1 (points for the rate); success rate ="
         " successful payments / attempts"),
        _rows(["figure_card"], [("figure_order", True)]),
    ),
    Chart(
        "overview_trend", "overview_trend", "echarts_timeseries_line",
        ("30 日交易金额与上周同日（万元，日）",
         "Payment amount, 30 days and a week before (CNY, day)"),
        ("payment_amount", "same_weekday_payment_amount"),
        ("交易金额 = 当日成功交易之和；灰线为七天前的同一星期日",
         "payment amount = sum of the day's successful payments; the grey line is the same weekday"
         " a week before"),
        # By name, in the order of the measures: the first series is ours, and blue.
        _line(["amount", "amount_before"], area=False, sort_series_type="name",
              sort_series_ascending=(False, True)),
    ),
    Chart(
        "region", "overview_region", "table",
        ("各地区交易金额排名（元，日）", "Payment amount by region (CNY, day)"),
        ("region_code", *SLICE_COLUMNS), SLICE_FORMULA, _ranked("region_link"),
    ),
    Chart(
        "mcc", "overview_mcc", "table",
        ("各行业交易金额排名（元，日）", "Payment amount by industry (CNY, day)"),
        ("mcc", *SLICE_COLUMNS), SLICE_FORMULA, _ranked("mcc_link"),
    ),
    Chart(
        "payment_way", "overview_payment_way", "table",
        ("各支付方式交易金额排名（元，日）", "Payment amount by payment way (CNY, day)"),
        ("payment_way", "funding", *SLICE_COLUMNS), SLICE_FORMULA, _ranked("payment_way_name"),
    ),
    Chart(
        "region_phone", "overview_region", "table",
        ("各地区交易金额（元，日）", "Payment amount by region (CNY)"),
        ("region_code", *SLICE_COLUMNS), SLICE_FORMULA,
        _rows(["region_link", "payment_amount", "change_text"], [("payment_amount", False)],
              bars=("payment_amount",), formats=SLICE_FORMATS),
    ),
    Chart(
        "payment_way_phone", "overview_payment_way", "table",
        ("各支付方式交易金额（元，日）", "Payment amount by payment way (CNY)"),
        ("payment_way", "funding", *SLICE_COLUMNS), SLICE_FORMULA,
        _rows(["payment_way_name", "payment_amount", "change_text"],
              [("payment_amount", False)], bars=("payment_amount",), formats=SLICE_FORMATS),
    ),
    Chart(
        "reserve_cards", "reserve_card", "table",
        ("备付金是否完整", "Is the reserve fund whole"),
        ("book_amount", "custodian_amount", "difference_amount", "unarrived_amount",
         "unexplained_amount", "item_count", "largest_age_days"),
        ("未解释差额 = 账面 − 存管 − 未达账项，必须为 0",
         "unexplained = books - custodian - items on their way; must be 0"),
        _rows(["figure_card"], [("figure_order", True)]),
    ),
    Chart(
        "reserve_items", "reserve_item", "table",
        ("未达账项明细（元）", "Items on their way (CNY)"),
        ("reference", "cause", "amount", "first_date", "age_days"),
        ("金额带符号，合计 = 账面 − 存管", "signed amounts; they add up to books - custodian"),
        _rows(["cause_name", "reference", "amount", "age_days"], [("age_days", False)],
              limit=50, formats=MONEY),
    ),
    Chart(
        "open_now", "open_now", "table", ("未结事项", "What is open"),
        ("result", "state", "closed_date", "severity"),
        ("未放行的阻断检查、未补送的被拒交付、迟到、未结项、告警",
         "blocking checks not waived, refused deliveries not sent again, lateness, open items,"
         " alarms"),
        _rows(["matter", "since_day", "detail"], [("line_order", True), ("since_day", True)],
              limit=50),
    ),
    Chart(
        "open_brief", "open_brief", "table", ("未结事项（前几项）", "What is open (first lines)"),
        ("result", "state", "closed_date", "severity"),
        ("与数据质量屏的未结事项相同，只列最要紧的几项",
         "the same as on the data quality screen, the worst lines alone"),
        _rows(["matter", "since_day", "detail"], [("line_order", True), ("since_day", True)],
              limit=50),
    ),
    Chart(
        "open_phone", "open_brief", "table", ("未结事项（前几项）", "What is open (first lines)"),
        ("result", "state", "closed_date", "severity"),
        ("与数据质量屏的未结事项相同，只列最要紧的几项",
         "the same as on the data quality screen, the worst lines alone"),
        _rows(["matter", "detail"], [("line_order", True), ("since_day", True)], limit=50),
    ),
    *(
        Chart(
            f"settlement_{name}", "settlement_trend", "big_number", title, (f"{column}",),
            ("所选日期各商户之和；百分比与上周同日相比；线为 30 日",
             "sum over merchants on the chosen date; per cent against the same weekday; line of"
             " 30 days"),
            _figure(name),
        )
        for name, column, title in (
            ("payout", "payout_amount", ("当日付款额（万元）", "Paid out on the day (CNY)")),
            ("net", "net_amount", ("结算净额（万元）", "Net of the day (CNY)")),
            ("gross", "gross_amount", ("交易总额（万元）", "Gross of the day (CNY)")),
            ("fees", "issuer_fee_amount", ("手续费合计（万元）", "Fees of the day (CNY)")),
        )
    ),
    Chart(
        "bridge", "settlement_step", "waterfall",
        ("从交易总额到结算净额（万元，日）", "From gross to net (CNY, day)"),
        ("gross_amount", "refund_amount", "issuer_fee_amount", "network_fee_amount",
         "acquirer_fee_amount", "service_fee_amount", "disputed_amount"),
        ("净额 = 总额 − 退款 − 四项手续费 − 争议冻结；有撤销、拒付、分账等的另列“其他”",
         "net = gross - refunds - four fees - disputed; voids, chargebacks, splits and the like,"
         " where there are any, as other"),
        {
            "x_axis": "step_name", "metric": "amount", "groupby": [], "adhoc_filters": [],
            "row_limit": 100, "show_value": True, "show_legend": False, "show_total": True,
            "increase_color": rgb(BLUE), "decrease_color": rgb(GREY), "total_color": rgb(BLUE),
            "increase_label": ("增加", "Increase"), "decrease_label": ("减少", "Decrease"),
            "total_label": ("结算净额", "Net"), "x_ticks_layout": "flat",
        },
    ),
    Chart(
        "status", "settlement_merchant", "table",
        ("商户结算状态（户、元）", "Merchants by settlement status (CNY)"),
        ("settlement_status", "payout_amount", "closing_pending_amount",
         "closing_disputed_amount"),
        ("按结算状态计商户数并求和", "merchants counted and amounts summed by status"),
        {
            "query_mode": "aggregate", "groupby": ["status_name"],
            "metrics": ["merchants", "payout", "pending", "disputed"], "adhoc_filters": [],
            "row_limit": 20, "order_desc": True, "timeseries_limit_metric": "merchants",
            "show_cell_bars": False, "server_pagination": False, "column_config": {},
        },
    ),
    Chart(
        "held_merchants", "settlement_merchant", "table",
        ("没有付出的商户与原因（元）", "Merchants not paid, and why (CNY)"),
        ("settlement_status", "closing_pending_amount", "minimum_payout_amount",
         "closing_disputed_amount"),
        ("状态为结转、为负或争议冻结的商户", "merchants rolled over, negative or disputed"),
        _rows(["merchant_link", "status_name", "region_name", "closing_pending_amount",
               "closing_disputed_amount", "reason_name"],
              [("closing_pending_amount", False)], limit=500, formats=MONEY,
              filters=[_is_true("is_held")], page=10),
    ),
    Chart(
        "payouts", "settlement_merchant", "table",
        ("各商户结算（元，日）", "Settlement by merchant (CNY, day)"),
        ("gross_amount", "refund_amount", "issuer_fee_amount", "net_amount", "payout_amount",
         "closing_pending_amount", "due_date", "settlement_status"),
        ("期末待结算 = 期初 + 净额 − 付款额", "closing = opening + net - payout"),
        _rows(["merchant_link", "merchant_type_name", "region_name", "mcc_name",
               "settlement_cycle", "payment_count", "gross_amount", "refund_amount",
               "fee_amount", "net_amount", "payout_amount", "closing_pending_amount",
               "due_day", "status_name"],
              [("payout_amount", False)], limit=5000, bars=("payout_amount",),
              formats=MONEY, page=20, search=True),
    ),
    *(
        Chart(
            f"merchant_{name}", "settlement_trend", "big_number", title, (column,),
            ("所选商户在所选日期的值；百分比与上周同日相比",
             "the chosen merchant on the chosen date; per cent against the same weekday"),
            _figure(f"{name}_exact"),
        )
        for name, column, title in (
            ("gross", "gross_amount", ("交易总额（元）", "Gross (CNY)")),
            ("net", "net_amount", ("结算净额（元）", "Net (CNY)")),
            ("payout", "payout_amount", ("付款额（元）", "Payout (CNY)")),
            ("pending", "closing_pending_amount", ("期末待结算（元）", "Closing pending (CNY)")),
        )
    ),
    Chart(
        "merchant_curve", "settlement_trend", "echarts_timeseries_line",
        ("30 日交易总额与净额（元，日）", "Gross and net, 30 days (CNY, day)"),
        ("gross_amount", "net_amount"),
        ("所选商户每日之和", "sums of the chosen merchant by day"),
        _line(["gross_exact", "net_exact"], sort_series_type="name", sort_series_ascending=True),
    ),
    Chart(
        "merchant_fees", "settlement_merchant", "table",
        ("实收费率（日）", "Fees charged (day)"),
        ("fee_class", "issuer_fee_amount", "network_fee_amount", "acquirer_fee_amount",
         "service_fee_amount"),
        ("费率 = 手续费 ÷ （交易总额 − 退款）", "rate = fee / (gross - refunds)"),
        {
            "query_mode": "aggregate", "groupby": ["fee_class_name"],
            "metrics": ["issuer_rate", "network_rate", "acquirer_rate", "service_fee"],
            "adhoc_filters": [], "row_limit": 20, "order_desc": True, "show_cell_bars": False,
            "server_pagination": False, "column_config": {},
        },
    ),
    Chart(
        "merchant_statement", "settlement_merchant", "table",
        ("逐日结算单（元）", "Statement by day (CNY)"),
        ("gross_amount", "refund_amount", "issuer_fee_amount", "network_fee_amount",
         "acquirer_fee_amount", "service_fee_amount", "disputed_amount", "net_amount",
         "opening_pending_amount", "payout_amount", "closing_pending_amount"),
        ("期末待结算 = 期初 + 净额 − 付款额", "closing = opening + net - payout"),
        _rows(["day_name", "payment_count", "gross_amount", "refund_amount",
               "issuer_fee_amount", "network_fee_amount", "acquirer_fee_amount",
               "service_fee_amount", "disputed_amount", "further_amount", "net_amount",
               "opening_pending_amount", "payout_amount", "closing_pending_amount",
               "status_name"],
              [("business_date", False)], limit=1000, formats=MONEY, page=31),
    ),
    Chart(
        "dates", "ops_date", "table",
        ("各日期到了哪一步", "How far each date has come"),
        ("through", "result", "state", "rows_quarantined"),
        ("有版本为已发布；有未放行的阻断检查为被扣住",
         "released when a release ends on it; held when"
         " a blocking check is not waived"),
        _rows(["day_name", "stage_name", "held_by", "release_id", "accepted_count",
               "refused_count", "rows_quarantined"],
              [("business_date", False)], limit=10000),
    ),
    Chart(
        "deliveries", "ops_delivery", "table",
        ("当日交付：到了什么、拒了什么", "Deliveries of the day: what came, what was refused"),
        ("feed", "state", "rows", "rows_accepted", "rows_quarantined", "reason"),
        ("每份交付的最新状态", "newest state of each delivery"),
        _rows(["feed_name", "state_name", "received_time", "rows_sent", "rows_accepted",
               "rows_quarantined", "unclassed_columns", "reason_name"],
              [("state_name", False), ("feed_name", True)], limit=200,
              formats={"rows_sent": ",d", "rows_accepted": ",d", "rows_quarantined": ",d"}),
    ),
    Chart(
        "checks", "ops_check", "table",
        ("当日闸门检查（未通过在前）", "Gate checks of the day (failures first)"),
        ("check_code", "result", "check_kind", "compared_count", "differing_count",
         "observed_value", "lower_bound", "upper_bound", "owner", "is_waivable"),
        ("每项检查的最新结果，悬停见其含义；责任人可放行者另注明",
         "newest result of each check, its meaning on hover, and who may waive it"),
        _rows(["check_label", "result_name", "observed", "expected", "owner", "waivable_name"],
              [("is_blocking", False), ("result", True)], limit=500, page=15),
    ),
    Chart(
        "steps", "ops_step", "table",
        ("当日步骤用时（秒）", "Seconds by step, of the day"),
        ("step", "seconds", "result", "first_date", "last_date"),
        ("通常用时 = 同一步骤每日期用时的中位数 × 日期数",
         "usual = median seconds a date of the step x dates"),
        _rows(["step_name", "seconds", "usual_seconds", "date_count", "result_name",
               "started_time"], [("started_at", True)], limit=50, bars=("seconds",)),
    ),
    Chart(
        "quarantine_rules", "ops_quarantine", "echarts_timeseries_bar",
        ("未更正隔离行数：按数据源与规则（行）", "Open rows in quarantine by feed and rule"),
        ("rule_code", "file_names"),
        ("每条规则拒收而未更正的行数，全部日期", "open rows by rule, all dates"),
        {
            "x_axis": "feed_name", "metrics": ["refused_rows"], "groupby": ["rule_name"],
            "adhoc_filters": [_is_true("is_open")], "orientation": "vertical", "stack": "Stack",
            "row_limit": 1000,
            "color_scheme": "paylake",
            "show_legend": True, "legendOrientation": "right", "legendType": "scroll",
            "show_value": True, "rich_tooltip": True, "truncateYAxis": False,
            "x_axis_sort": "feed_name", "x_axis_sort_asc": True,
        },
    ),
    Chart(
        "quarantine_rows", "ops_quarantine", "table",
        ("未更正的隔离行（元，全部日期，新的在前）", "Open rows in quarantine (CNY, newest first)"),
        ("business_date", "rule_code", "record_key", "merchant_id", "amount", "_delivery_id",
         "_line_number", "file_names"),
        ("每行一条被拒且未更正的记录，可从原文件再看；账龄按应发布日期计",
         "one refused record that no replay has corrected; the kept file shows the line; age up to"
         " the date that is due"),
        _rows(["day_name", "feed_name", "rule_name", "record_key", "merchant_id", "amount",
               "line_number", "age_days"],
              [("business_date", False), ("feed_name", True), ("line_number", True)], limit=1000,
              formats=MONEY, filters=[_is_true("is_open")], page=10),
    ),
    Chart(
        "items", "ops_item", "table",
        ("未结项（元）", "Open items (CNY)"),
        ("kind", "class", "item_key", "merchant_id", "amount", "age_days"),
        ("未结束的勾对项、备付金项与闸门项", "tie, reserve and gate items that are not closed"),
        _rows(["kind_name", "class_name", "item_name", "merchant_id", "amount", "age_days"],
              [("age_days", False)], limit=1000, formats=MONEY, page=15),
    ),
]  # fmt: skip

BY_KEY = {chart.key: chart for chart in CHARTS}
