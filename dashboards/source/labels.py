"""Names of columns and measures, once for all screens: (Chinese, English)."""

from __future__ import annotations

Text = tuple[str, str]

COLUMNS: dict[str, Text] = {
    "accepted_count": ("已接收交付", "Deliveries accepted"),
    "acquirer_fee_amount": ("收单服务费（元）", "Acquirer fee (CNY)"),
    "adjustment_amount": ("其中调整（元）", "Of which adjustments (CNY)"),
    "age_days": ("账龄（天）", "Age (days)"),
    "amount": ("金额（元）", "Amount (CNY)"),
    "business_date": ("业务日期", "Business date"),
    "cause_name": ("原因", "Cause"),
    "change_text": ("较上周同日", "vs same weekday"),
    "check_code": ("检查代码", "Check code"),
    "check_label": ("检查", "Check"),
    "check_name": ("检查名称", "Check name"),
    "class_name": ("类别", "Class"),
    "closing_disputed_amount": ("争议冻结余额（元）", "Held in dispute (CNY)"),
    "closing_pending_amount": ("期末待结算（元）", "Closing pending (CNY)"),
    "currency_code": ("币种", "Currency"),
    "date_count": ("日期数", "Dates"),
    "day": ("业务日期", "Business date"),
    "day_name": ("日期", "Date"),
    "delivery_id": ("交付", "Delivery"),
    "detail": ("说明", "Detail"),
    "disputed_amount": ("当日新增争议冻结（元）", "Newly disputed (CNY)"),
    "due_day": ("到期日", "Due date"),
    "expected": ("应为", "Expected"),
    "fee_amount": ("手续费合计（元）", "Fees (CNY)"),
    "fee_class_name": ("费率类别", "Fee class"),
    "fee_income_amount": ("手续费收入（元）", "Fee income (CNY)"),
    "feed_name": ("数据源", "Feed"),
    "figure": ("指标代码", "Figure code"),
    "figure_card": ("指标", "Figure"),
    "figure_name": ("指标名称", "Figure name"),
    "figure_order": ("指标次序", "Figure order"),
    "first_day": ("起始日", "First date"),
    "funding": ("资金来源代码", "Funding code"),
    "further_amount": ("其他净额（元）", "Other (CNY)"),
    "gross_amount": ("交易总额（元）", "Gross (CNY)"),
    "held_by": ("扣住它的检查", "Held by"),
    "is_blocking": ("阻断", "Blocking"),
    "is_held": ("未付出", "Held back"),
    "is_late": ("晚到", "Late"),
    "issuer_fee_amount": ("发卡行服务费（元）", "Issuer fee (CNY)"),
    "is_open": ("未更正", "Open"),
    "item_key": ("事项代码", "Item code"),
    "item_name": ("事项", "Item"),
    "kind_name": ("种类", "Kind"),
    "last_day": ("终止日", "Last date"),
    "line_number": ("行号", "Line"),
    "line_order": ("次序", "Order"),
    "matter": ("事项", "Matter"),
    "mcc": ("MCC", "MCC"),
    "mcc_link": ("行业", "Industry"),
    "mcc_name": ("行业", "Industry"),
    "meaning": ("含义", "Meaning"),
    "median_30d_value": ("30 日中位", "30-day median"),
    "merchant": ("商户", "Merchant"),
    "merchant_id": ("商户号", "Merchant number"),
    "merchant_link": ("商户", "Merchant"),
    "merchant_name": ("商户名称", "Merchant name"),
    "merchant_type_name": ("商户类型", "Merchant type"),
    "minimum_payout_amount": ("起付额（元）", "Minimum payout (CNY)"),
    "net_amount": ("结算净额（元）", "Net (CNY)"),
    "network_fee_amount": ("网络服务费（元）", "Network fee (CNY)"),
    "observed": ("实际", "Observed"),
    "opening_pending_amount": ("期初待结算（元）", "Opening pending (CNY)"),
    "owner": ("责任人", "Owner"),
    "payment_amount": ("交易金额（元）", "Payment amount (CNY)"),
    "payment_count": ("笔数", "Payments"),
    "payment_way": ("支付方式代码", "Payment way code"),
    "payment_way_name": ("支付方式", "Payment way"),
    "payout_amount": ("付款额（元）", "Payout (CNY)"),
    "point_date": ("日期", "Date"),
    "point_day": ("日期", "Date"),
    "reason": ("详情", "What to do"),
    "reason_name": ("原因", "Reason"),
    "received_time": ("接收时间", "Received"),
    "record_key": ("业务键", "Business key"),
    "reference": ("参考号", "Reference"),
    "refund_amount": ("退款（元）", "Refunds (CNY)"),
    "refund_count": ("退款笔数", "Refund count"),
    "refused_count": ("被拒交付", "Deliveries refused"),
    "region_code": ("地区代码", "Region code"),
    "region_link": ("地区", "Region"),
    "region_name": ("地区", "Region"),
    "release_id": ("版本", "Release"),
    "result": ("结果代码", "Result code"),
    "result_name": ("结果", "Result"),
    "rows_accepted": ("接收行数", "Rows accepted"),
    "rows_quarantined": ("隔离行数", "Rows in quarantine"),
    "rows_sent": ("送来行数", "Rows sent"),
    "rule_code": ("规则代码", "Rule code"),
    "rule_detail": ("详情", "Rule detail"),
    "rule_name": ("规则", "Rule"),
    "run_id": ("运行", "Run"),
    "same_weekday_payment_amount": ("上周同日金额（元）", "Same weekday amount (CNY)"),
    "same_weekday_value": ("上周同日", "Same weekday"),
    "seconds": ("用时（秒）", "Seconds"),
    "sent_time": ("发送时间", "Sent"),
    "service_fee_amount": ("增值服务费（元）", "Service fee (CNY)"),
    "settlement_cycle": ("结算周期", "Cycle"),
    "settlement_status": ("结算状态代码", "Status code"),
    "severity": ("级别", "Severity"),
    "share_rate": ("占比", "Share"),
    "since_day": ("起自", "Since"),
    "stage_name": ("阶段", "Stage"),
    "started_at": ("开始时刻（UTC）", "Started (UTC)"),
    "started_time": ("开始时间", "Started"),
    "state": ("状态代码", "State code"),
    "state_line": ("数据状态", "State of the data"),
    "state_name": ("状态", "State"),
    "status_name": ("结算状态", "Status"),
    "step_name": ("步骤", "Step"),
    "step_order": ("步骤次序", "Step order"),
    "success_rate": ("成功率", "Success rate"),
    "suite": ("检查组", "Suite"),
    "unclassed_columns": ("未归类的列", "Columns not classed"),
    "usual_seconds": ("通常用时（秒）", "Usual seconds"),
    "value": ("值", "Value"),
    "waivable_name": ("可否放行", "Waivable"),
}

_M = "（万元）"

# Metric name → (SQL in Chinese, SQL in English, format in Chinese, format in English, names).
# Chinese charts count in 万 (the currency format adds the unit), English ones let ¥ carry K and M.
_BIG = ("$,.2f", "$,.3s")


def _sum(amount: str) -> str:
    """Yuan alone: amounts of two currencies have no sum, and every label says which it is."""
    return f"SUM({amount}) FILTER (WHERE currency_code = 'CNY')"


def _scaled(column: str, zh: str, en: str) -> tuple[str, str, str, str, Text]:
    return (f"{_sum(column)} / 10000.0", _sum(column), *_BIG, (zh + _M, en + " (CNY)"))


def _rate(fee: str) -> str:
    return f"{_sum(fee)} / NULLIF({_sum('gross_amount - refund_amount')}, 0)"


def _plain(sql: str, form: str, zh: str, en: str) -> tuple[str, str, str, str, Text]:
    return (sql, sql, form, form, (zh, en))


METRICS: dict[str, dict[str, tuple[str, str, str, str, Text]]] = {
    "overview_trend": {
        "amount": _scaled("payment_amount", "交易金额", "Payment amount"),
        "amount_before": _scaled("same_weekday_payment_amount", "上周同日", "Same weekday before"),
        "payments": _plain(_sum("payment_count"), ",d", "交易笔数", "Payments"),
    },
    "settlement_trend": {
        "gross": _scaled("gross_amount", "交易总额", "Gross"),
        "net": _scaled("net_amount", "结算净额", "Net"),
        "payout": _scaled("payout_amount", "付款额", "Payout"),
        "fees": _scaled("fee_amount", "手续费", "Fees"),
        "gross_exact": _plain(_sum("gross_amount"), ",.2f", "交易总额（元）", "Gross (CNY)"),
        "net_exact": _plain(_sum("net_amount"), ",.2f", "结算净额（元）", "Net (CNY)"),
        "payout_exact": _plain(_sum("payout_amount"), ",.2f", "付款额（元）", "Payout (CNY)"),
        "pending_exact": _plain(
            _sum("closing_pending_amount"), ",.2f", "期末待结算（元）", "Closing pending (CNY)"
        ),
    },
    "settlement_step": {"amount": _scaled("amount", "金额", "Amount")},
    "settlement_merchant": {
        "merchants": _plain("COUNT(DISTINCT merchant_id)", ",d", "商户数", "Merchants"),
        "payout": _plain(_sum("payout_amount"), ",.2f", "付款额（元）", "Payout (CNY)"),
        "pending": _plain(
            _sum("closing_pending_amount"), ",.2f", "期末待结算（元）", "Closing pending (CNY)"
        ),
        "disputed": _plain(
            _sum("closing_disputed_amount"), ",.2f", "争议冻结余额（元）", "Held in dispute (CNY)"
        ),
        "issuer_rate": _plain(
            _rate("issuer_fee_amount"),
            ".3%", "发卡行费率", "Issuer rate",
        ),
        "network_rate": _plain(
            _rate("network_fee_amount"),
            ".3%", "网络费率", "Network rate",
        ),
        "acquirer_rate": _plain(
            _rate("acquirer_fee_amount"),
            ".3%", "收单费率", "Acquirer rate",
        ),
        "service_fee": _plain(
            _sum("service_fee_amount"), ",.2f", "增值服务费（元）", "Service fee (CNY)"
        ),
    },
    "ops_quarantine": {"refused_rows": _plain("COUNT(*)", ",d", "隔离行数", "Rows")},
    "ops_step": {
        "took": _plain("SUM(seconds)", ",.1f", "本次用时（秒）", "Seconds"),
        "usual": _plain("SUM(usual_seconds)", ",.1f", "通常用时（秒）", "Usual seconds"),
    },
}  # fmt: skip

# Dataset → (source, title, gold tables it reads).
DATASETS: dict[str, tuple[str, Text, tuple[str, ...]]] = {
    "screen_state": ("gold", ("数据状态", "State of the data"), ("release",)),
    "screen_day": ("gold", ("已发布的日期", "Released dates"), ("mart_kpi__institution_day",)),
    "screen_merchant": ("gold", ("商户名单", "Merchants"), ("mart_settlement__merchant_day",)),
    "overview_card": ("gold", ("总览指标", "Key figures"), ("mart_kpi__institution_day",)),
    "overview_trend": ("gold", ("三十日走势", "Thirty days"), ("mart_kpi__institution_day",)),
    "overview_region": ("gold", ("地区", "Regions"), ("mart_kpi__region_day",)),
    "overview_mcc": ("gold", ("行业", "Industries"), ("mart_kpi__mcc_day",)),
    "overview_payment_way": (
        "gold", ("支付方式", "Payment ways"), ("mart_kpi__payment_way_day",)
    ),
    "reserve_card": (
        "gold", ("备付金", "Reserve fund"),
        ("mart_settlement__reserve_fund_day", "mart_kpi__institution_day"),
    ),
    "reserve_item": (
        "gold", ("未达账项", "Items on their way"), ("mart_settlement__reserve_fund_item",)
    ),
    "settlement_merchant": (
        "gold", ("商户结算", "Merchant settlement"),
        ("mart_settlement__merchant_day", "mart_kpi__region_day", "mart_kpi__mcc_day"),
    ),
    "settlement_trend": (
        "gold", ("结算三十日", "Settlement, thirty days"),
        ("mart_settlement__merchant_day", "mart_kpi__region_day", "mart_kpi__mcc_day"),
    ),
    "settlement_step": (
        "gold", ("总额到净额", "Gross to net"),
        ("mart_settlement__merchant_day", "mart_kpi__region_day", "mart_kpi__mcc_day"),
    ),
    "open_now": (
        "ops", ("未结事项", "What is open"),
        ("gate_result", "delivery", "open_item", "alarm", "release", "waiver"),
    ),
    "open_brief": (
        "ops", ("未结事项简表", "What is open, in short"),
        ("gate_result", "delivery", "open_item", "alarm", "release", "waiver"),
    ),
    "ops_day": ("ops", ("有记录的日期", "Dates with records"), ("delivery", "gate_result")),
    "ops_date": (
        "ops", ("日期与阶段", "Dates and stages"),
        ("delivery", "gate_result", "release", "waiver"),
    ),
    "ops_delivery": ("ops", ("交付", "Deliveries"), ("delivery",)),
    "ops_check": ("ops", ("闸门检查", "Gate checks"), ("gate_result", "waiver")),
    "ops_step": ("ops", ("步骤用时", "Step times"), ("run_step",)),
    "ops_quarantine": ("ops", ("隔离区", "Quarantine"), ("quarantine_row", "delivery")),
    "ops_item": ("ops", ("未结项", "Open items"), ("open_item", "gate_result", "waiver")),
}  # fmt: skip
