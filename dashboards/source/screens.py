"""The screens: which charts, where, with which filters, and how one leads to the next."""

from __future__ import annotations

from dataclasses import dataclass

from dashboards.source.charts import AMBER, BLUE, GREY, RED
from dashboards.source.labels import Text

Height = int | tuple[int, int]  # units of 8 px; (Chinese, English) where words need more lines
Row = list[tuple[str, int, Height]]  # chart, width of 12, height


@dataclass(frozen=True)
class Filter:
    """A filter that means the same on every screen that has it."""

    name: str
    title: Text
    dataset: str
    column: str
    multiple: bool = True
    first: bool = False
    descending: bool = False
    unfiltered: tuple[str, ...] = ()


@dataclass(frozen=True)
class Screen:
    """One dashboard of each language."""

    key: str
    title: Text
    about: Text
    rows: list[Row]
    filters: list[Filter]
    twin: str = ""
    phone: bool = False


def _day(dataset: str, *unfiltered: str) -> Filter:
    return Filter(
        "day", ("业务日期", "Business date"), dataset, "day", multiple=False, first=True,
        descending=True, unfiltered=("state", *unfiltered),
    )  # fmt: skip


def _where(name: str, title: Text) -> Filter:
    return Filter(name, title, "settlement_merchant", f"{name}_name", unfiltered=("state",))


STATE: Row = [("state", 8, 10), ("nav", 4, 10)]
MERCHANT = ("商户", "Merchant")

SCREENS = [
    Screen(
        "overview",
        ("今日总览", "Today"),
        (
            "管理层：昨日是否正常、来自哪里、钱是否完整、有什么未结",
            "Management: was the day normal, where does it come from, is our money whole, what"
            " is open",
        ),
        [
            STATE,
            [("overview_cards", 12, 25)],
            [("overview_trend", 7, 38), ("region", 5, 38)],
            [("reserve_cards", 3, 30), ("reserve_items", 3, 30), ("open_brief", 6, 30)],
            [("mcc", 7, 46), ("payment_way", 5, 46)],
        ],
        [_day("screen_day", "open_brief")],
    ),
    Screen(
        "overview-phone",
        ("今日总览（手机）", "Today (phone)"),
        ("今日总览的手机版，整行排列", "Today for phones, one chart a row"),
        [
            [("nav", 12, 8)],
            [("state", 12, (22, 26))],
            [("overview_cards", 12, (65, 78))],
            [("reserve_cards", 12, (35, 39))],
            [("open_phone", 12, (36, 40))],
            [("overview_trend", 12, 40)],
            [("region_phone", 12, 60)],
            [("payment_way_phone", 12, (32, 47))],
        ],
        [_day("screen_day", "open_phone")],
        twin="overview",
        phone=True,
    ),
    Screen(
        "settlement",
        ("结算", "Settlement"),
        (
            "结算人员：今天付给谁、总额怎样变成净额、谁没有付出、为什么",
            "Settlement clerks: who is paid, how gross becomes net, who was not paid and why",
        ),
        [
            STATE,
            [
                ("settlement_payout", 3, 22),
                ("settlement_net", 3, 22),
                ("settlement_gross", 3, 22),
                ("settlement_fees", 3, 22),
            ],
            [("bridge", 7, 42), ("status", 5, 42)],
            [("held_merchants", 12, 48)],
            [("payouts", 12, 90)],
        ],
        [
            _day("screen_day"),
            _where("region", ("地区", "Region")),
            _where("mcc", ("行业", "Industry")),
            Filter("merchant", MERCHANT, "screen_merchant", "merchant", unfiltered=("state",)),
        ],
    ),
    Screen(
        "merchant",
        ("商户", "Merchant"),
        ("一个商户：结算单、曲线、实收费率", "One merchant: statement, curve, fees charged"),
        [
            STATE,
            [
                ("merchant_gross", 3, 22),
                ("merchant_net", 3, 22),
                ("merchant_payout", 3, 22),
                ("merchant_pending", 3, 22),
            ],
            [("merchant_curve", 8, 42), ("merchant_fees", 4, 42)],
            [("merchant_statement", 12, 100)],
        ],
        [
            _day("screen_day", "merchant_statement"),
            Filter(
                "merchant", MERCHANT, "screen_merchant", "merchant", multiple=False,
                first=True, unfiltered=("state",),
            ),
        ],
    ),
    Screen(
        "quality",
        ("数据质量", "Data quality"),
        (
            "数据工程师：到了什么、什么晚了、什么被拒、哪一天被扣住、由谁放行",
            "Data engineers: what came, what is late, what was refused, which date is held, who"
            " may waive it",
        ),
        [
            STATE,
            [("open_now", 5, 42), ("dates", 7, 42)],
            [("deliveries", 7, 46), ("steps", 5, 46)],
            [("checks", 7, 50), ("quarantine_rules", 5, 50)],
            [("quarantine_rows", 7, 50), ("items", 5, 50)],
        ],
        [
            _day("ops_day", "open_now", "dates", "quarantine_rules", "quarantine_rows", "items")
        ],
    ),
]  # fmt: skip

BY_KEY = {screen.key: screen for screen in SCREENS}

# Titles of generated parts are hidden where the part says itself what it is.
CSS = f"""
[data-test=chart-grid-component]:has(.pl-state) [data-test=slice-header],
[data-test=chart-grid-component]:has(.pl-state, .pl-card) thead {{ display: none; }}
[data-test=chart-grid-component]:has(.pl-state, .pl-card) [role=table],
[data-test=chart-grid-component]:has(.pl-state, .pl-card) [role=presentation] {{
  visibility: visible !important; height: auto !important; overflow: visible !important; }}
[data-test=chart-grid-component]:has(.pl-state, .pl-card) table {{
  display: block; width: 100%; border: 0; }}
[data-test=chart-grid-component]:has(.pl-state, .pl-card) tr {{
  display: block; background: transparent !important; }}
[data-test=chart-grid-component]:has(.pl-state, .pl-card) td {{
  display: block; border: 0 !important; padding: 0 !important; }}
[data-test=chart-grid-component]:has(.pl-state) tbody {{ display: block; }}
[data-test=chart-grid-component]:has(.pl-state),
[data-test=chart-grid-component]:has(.pl-state) :has(.pl-state) {{
  height: auto !important; overflow: visible !important; padding: 0; margin: 0; }}
[data-test=chart-grid-component]:has(.pl-card) tbody {{
  display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; }}
.pl-state {{ font-size: 16px; padding: 6px 12px; border-left: 4px solid {BLUE}; }}
.pl-state.pl-late {{ border-left-color: {AMBER}; background: #fff4dc; color: #7a4b00; }}
.pl-lacks {{ font-size: 13px; line-height: 1.3; }}
.pl-card {{ padding: 2px 12px; border-left: 3px solid {BLUE}; white-space: normal; }}
.pl-name {{ color: #5b6673; font-size: 13px; }}
.pl-value {{ font-size: 26px; font-weight: 600; line-height: 1.3; white-space: nowrap; }}
.pl-note {{ color: #5b6673; font-size: 12px; line-height: 1.45; }}
.pl-spark {{ display: flex; align-items: flex-end; height: 28px; gap: 1px; margin-top: 4px; }}
.pl-spark:empty {{ display: none; }}
.pl-bar {{ flex: 1; max-width: 8px; background: #b7c9e2; }}
.pl-bar.pl-now {{ background: {BLUE}; }}
.cell-bar {{ background-color: rgba(37, 99, 176, 0.22) !important; }}
.pl-line, .dashboard-markdown a {{ white-space: nowrap; }}
@media (max-width: 700px) {{ .pl-line {{ white-space: normal; }} }}
td.dt-is-null {{ font-size: 0 !important; }}
td.dt-is-null::after {{ content: "—"; font-size: 12px; }}
[role=img][aria-label=empty] {{ display: none; }}
.pl-broken {{ color: {RED}; }}
.pl-attention {{ color: {AMBER}; }}
.pl-calm {{ color: {GREY}; }}
"""

# Superset's English is fixed in its code: what an empty chart says is written over it.
ENGLISH_CSS = """
[aria-label=empty] + div .ant-empty-description { font-size: 0; }
[aria-label=empty] + div .ant-empty-description::after { font-size: 12px;
  content: "No row on this date under these filters: choose another date, or clear filters"; }
"""
