"""What the files show: read back by other programs, to the cent."""

import csv
import io
from datetime import timedelta
from decimal import Decimal

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paylake.errors import PermanentFailure
from reporting import amounts, package, render
from tests.reporting.institution import FIRST, D, dates, institution

DAY = FIRST + timedelta(days=2)


def lines_of(data: bytes) -> list[list[str]]:
    assert data.startswith(b"\xef\xbb\xbf") and b"\r\n" in data
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))


@pytest.fixture
def filed(open_office, statement, reserve):
    lake = institution(days=4, merchants=7)
    office = open_office(lake)
    for spec in (statement, reserve):
        office.file(spec, dates(4))
    return lake, office


def test_workbook_reads_back_to_the_cent(filed, reserve):
    lake, office = filed
    folder = package.folder(office.root, reserve.report, DAY)
    book = openpyxl.load_workbook(folder / "reserve_fund_check_20260914.xlsx")
    assert book.sheetnames == ["核对表", "未达账项明细", "控制合计"]
    form = {row[0].value: row[1].value for row in book["核对表"].iter_rows(min_row=5)}
    row = next(
        r for r in lake.rows["mart_settlement__reserve_fund_day"] if r["business_date"] == DAY
    )
    assert round(Decimal(form["账面备付金合计"]), 2) == row["book_amount"]
    assert round(Decimal(form["差额（账面－存管）"]), 2) == row["difference_amount"]
    assert form["核对结果"] == "未达账项已列明"
    for side, closing in (("账面", "账面备付金合计"), ("存管", "存管账户余额")):
        names = (f"{side}期初余额", f"{side}流入金额", f"{side}流出金额", closing)
        opening, inflow, outflow, end = (round(Decimal(form[name]), 2) for name in names)
        assert opening + inflow - outflow == end
    assert form["账面流入笔数"] == 2 and form["存管流出笔数"] == 1
    # nobody was named: lines to sign, and no account
    assert [form[n] for n in ("备付金账号（脱敏）", "复核人", "审批人")] == [None] * 3
    items = list(book["未达账项明细"].iter_rows(min_row=5, values_only=True))
    assert items[0][1] == "CLR-unionpay-20260914" and items[0][3] == "系统已增银行未增"
    assert Decimal(str(items[0][5])) == row["difference_amount"] == Decimal(str(items[1][5]))
    assert book["核对表"]["B9"].number_format.startswith("#,##0.00")
    assert book.properties.created.year == 2000


def test_workbook_without_items_says_none(filed, reserve):
    _, office = filed
    folder = package.folder(office.root, reserve.report, FIRST + timedelta(days=3))
    book = openpyxl.load_workbook(folder / "reserve_fund_check_20260915.xlsx")
    assert book["未达账项明细"]["A5"].value == "无"
    assert len(lines_of((folder / "reserve_fund_check_20260915_items.csv").read_bytes())) == 1
    totals = lines_of((folder / "reserve_fund_check_20260915_totals.csv").read_bytes())
    assert [line[1:] for line in totals[-2:]] == [
        ["未达账项金额合计", "CNY", "0.00"],
        ["未达账项笔数", "CNY", "0"],
    ]


def test_statement_shows_one_merchant_with_a_section_for_adjustments(filed, statement):
    lake, office = filed
    folder = package.folder(office.root, statement.report, DAY)
    lines = lines_of((folder / "statement_M000002_20260914.csv").read_bytes())
    assert lines[0] == list(render.SECTION_HEADINGS)
    assert all(len(line) == 6 for line in lines)
    row = next(
        r
        for r in lake.rows["mart_settlement__merchant_day"]
        if r["business_date"] == DAY and r["merchant_id"] == "M000002"
    )
    shown = {(line[0], line[2]): line for line in lines[1:]}
    assert shown["商户信息", "商户名称"][3] == "测试,商户“2”"
    assert shown["结算汇总", "交易总额"][4:] == ["3", f"{row['gross_amount']:.2f}"]
    assert shown["结算汇总", "发卡行服务费"][5] == f"-{row['issuer_fee_amount']:.2f}"
    assert shown["结算汇总", "期末待结算"][5] == f"{row['closing_pending_amount']:.2f}"
    assert [line[3][:6] for line in lines if line[0] == "说明"][2] == "本结算单不因"
    adjustments = [line for line in lines if line[0] == "调整"]
    assert len(adjustments) == 1 and adjustments[0][5] == "1.23"
    assert shown["付款安排", "应付日期"][3] == "2026-09-15"
    control = shown["控制合计", "结算汇总分项合计（应等于期末）"]
    assert control[5] == f"{row['closing_pending_amount']:.2f}"
    assert shown["商户信息", "结算账户开户行"][3] == "中国工商银行"
    assert shown["商户信息", "结算账户（脱敏）"][3] == f"{'*' * 15}0002"


def test_statement_shows_what_stays_held_in_dispute(filed, statement):
    _, office = filed
    folder = package.folder(office.root, statement.report, DAY)
    lines = lines_of((folder / "statement_M000001_20260914.csv").read_bytes())
    shown = {line[2]: line[5] for line in lines if line[0] == "结算汇总"}
    assert (shown["争议冻结"], shown["期末争议冻结余额"]) == ("-5.55", "5.55")
    totals = lines_of((folder / "settlement_totals_20260914.csv").read_bytes())
    assert [line[3] for line in totals if line[1] == "期末争议冻结余额合计"] == ["5.55"]


@pytest.mark.parametrize("missing", ["settlement_account_masked", "settlement_bank"])
def test_a_merchant_without_an_account_waits_for_a_reason(open_office, statement, missing):
    lake = institution(days=1, merchants=2)
    lake.kept["R000001-20260912"]["mart_settlement__merchant_day"][1][missing] = None
    item = open_office(lake).file(statement, [FIRST])[0]
    assert (item.state, item.codes) == ("awaiting_reason", ("MSS-Q202",))


def test_a_mart_without_the_account_gives_no_statement(open_office, statement):
    lake = institution(days=1, merchants=2)
    reader = lake.reader("R000001-20260912")
    reader.connection.execute(
        "alter table mart_settlement__merchant_day drop column settlement_account_masked"
    )
    lake.reader = lambda release_id: reader
    with pytest.raises(PermanentFailure, match="lacks settlement_account_masked"):
        open_office(lake).file(statement, [FIRST])


def test_two_currencies_stand_in_one_statement_with_their_own_decimals(open_office, statement):
    lake = institution(days=1, merchants=1)
    first = lake.kept["R000001-20260912"]["mart_settlement__merchant_day"]
    yen = {k: D(0) if k.endswith("_amount") else v for k, v in first[0].items()}
    yen |= {"currency_code": "JPY", "gross_amount": D(500), "net_amount": D(500)}
    yen |= {"closing_pending_amount": D(500)}
    first.append(yen)
    office = open_office(lake)
    assert [i.state for i in office.file(statement, [FIRST])] == ["filed"]
    folder = package.folder(office.root, statement.report, FIRST)
    lines = lines_of((folder / "statement_M000000_20260912.csv").read_bytes())
    gross = [(line[1], line[5]) for line in lines if line[2] == "交易总额"]
    assert gross[1] == ("JPY", "500") and gross[0][0] == "CNY" and "." in gross[0][1]
    totals = lines_of((folder / "settlement_totals_20260912.csv").read_bytes())
    assert ["2026-09-12", "交易总额合计", "JPY", "500"] in totals


def test_text_that_looks_like_a_formula_is_disarmed():
    assert render.safe_text("=cmd|' /C calc'!A0") == "'=cmd|' /C calc'!A0"
    assert render.safe_text("@SUM(A1)").startswith("'")
    assert render.safe_text("某某商店-1") == "某某商店-1"


def test_amounts_are_exact_or_refused():
    assert amounts.as_text(D("-0.0000"), "CNY") == "0.00"
    assert amounts.as_text(D("1234567890123.4500"), "CNY") == "1234567890123.45"
    assert amounts.as_text(D("12"), "JPY") == "12" and amounts.as_text(D("1"), "KWD") == "1.000"
    with pytest.raises(PermanentFailure, match="more decimals"):
        amounts.as_text(D("0.001"), "CNY")
    with pytest.raises(PermanentFailure, match="no scale"):
        amounts.as_text(D("1"), "XXX")
    with pytest.raises(PermanentFailure, match="too many digits"):
        amounts.as_cell(D("12345678901234567.89"), "CNY")


@given(st.integers(-(10**15) + 1, 10**15 - 1))
def test_cells_show_every_amount_of_fifteen_digits_exactly(cents):
    amount = Decimal(cents).scaleb(-2)
    assert Decimal(f"{amounts.as_cell(amount, 'CNY'):.15G}") == amount


MONEY = st.integers(0, 10**9).map(lambda cents: Decimal(cents).scaleb(-2))


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.tuples(MONEY, MONEY, MONEY, MONEY, MONEY, MONEY, MONEY, MONEY), min_size=1, max_size=8
    )
)
def test_merchant_files_add_up_to_the_mart(statement, figures):
    """Split by merchant and added up again, from the files' own text, nothing is lost."""
    lake = institution(days=1, merchants=len(figures))
    rows = lake.rows["mart_settlement__merchant_day"]
    names = ("gross", "refund", "issuer_fee", "network_fee", "acquirer_fee", "service_fee")
    for row, values in zip(rows, figures, strict=True):
        row |= {f"{n}_amount": v for n, v in zip(names, values, strict=False)}
        row["disputed_amount"], row["payout_amount"] = values[6:]
        row["net_amount"] = values[0] - sum(values[1:7])
        row["closing_pending_amount"] = (
            row["opening_pending_amount"] + row["net_amount"] - row["payout_amount"]
        )
    from reporting.data import Rows

    columns = tuple(c for c in statement.dataset("merchants").columns if c in rows[0])
    loaded = Rows({("merchants", FIRST): columns}, {"merchants": {FIRST: rows}})
    files, totals = render.render(statement, loaded, FIRST)
    merchants = [f for f in files if f.name.startswith("statement_")]
    assert len(merchants) == len(figures)
    plus = ("gross_amount", "net_amount", "closing_pending_amount", "closing_disputed_amount")
    signs = dict.fromkeys(plus, 1)
    mart = {t.name: Decimal(t.value) for t in totals if t.name.endswith("_amount")}
    for name in mart:
        heading = statement.dataset("merchants").columns[name].heading
        shown = sum(
            Decimal(line[5])
            for f in merchants
            for line in lines_of(f.data)
            if line[0] == "结算汇总" and line[2] == heading
        )
        sign = signs.get(name, 1 if name == "opening_pending_amount" else -1)
        assert sign * shown == mart[name] == sum(r[name] for r in rows)
