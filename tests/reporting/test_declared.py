"""What the institution says of itself: from its settings, masked, and the same in every rebuild."""

import openpyxl

from paylake import settings as settings_module
from reporting import declared, manifest, package
from tests.reporting.institution import FIRST, dates, institution
from tests.reporting.test_files import lines_of

ACCOUNT = "24330013300000001"
SAID = {"reserve_account": ACCOUNT, "reserve_checker": "张三", "reserve_approver": "李四"}


def settings_with(tmp_path, **values):
    return settings_module.load({}, home=tmp_path / "home", **values)


def test_an_account_is_masked_and_what_is_not_set_stays_empty(tmp_path, reserve, statement):
    said = declared.shown(settings_with(tmp_path, **SAID), reserve)
    assert said["reserve_account"] == "*" * 13 + "0001"
    assert (said["reserve_checker"], said["reserve_item_owner"]) == ("张三", "")
    assert declared.shown(settings_with(tmp_path), reserve)["reserve_account"] == ""
    assert declared.shown(settings_with(tmp_path, **SAID), statement) == {}


def test_it_stands_in_every_file_and_the_clear_account_in_none(open_office, tmp_path, reserve):
    settings = settings_with(tmp_path, reserve_item_owner="资金部", **SAID)
    office = open_office(
        institution(days=2, merchants=1), declares=lambda spec: declared.shown(settings, spec)
    )
    assert [i.state for i in office.file(reserve, dates(2))] == ["filed", "filed"]
    folder = package.folder(office.root, reserve.report, FIRST)
    heads, row = lines_of((folder / "reserve_fund_check_20260912_summary.csv").read_bytes())
    shown = dict(zip(heads, row, strict=True))
    assert shown["备付金账号（脱敏）"] == "*" * 13 + "0001"
    assert shown["账户类型"] == "备付金集中存管账户"
    assert (shown["复核人"], shown["审批人"]) == ("张三", "李四")
    heads, item = lines_of((folder / "reserve_fund_check_20260912_items.csv").read_bytes())
    assert dict(zip(heads, item, strict=True))["责任人"] == "资金部"
    book = openpyxl.load_workbook(folder / "reserve_fund_check_20260912.xlsx")
    form = {line[0].value: line[1].value for line in book["核对表"].iter_rows(min_row=5)}
    assert (form["备付金账号（脱敏）"], form["审批人"]) == ("*" * 13 + "0001", "李四")
    assert not any(ACCOUNT.encode() in path.read_bytes() for path in folder.iterdir())


def test_a_rebuild_says_what_was_said_then(open_office, tmp_path, reserve):
    lake = institution(days=2, merchants=1)
    settings = settings_with(tmp_path, **SAID)
    office = open_office(lake, declares=lambda spec: declared.shown(settings, spec))
    office.file(reserve, dates(2))
    folder = package.folder(office.root, reserve.report, FIRST)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "reserve_fund_check_20260912.xlsx").unlink()
    other = settings_with(tmp_path, reserve_checker="王五")
    office = open_office(lake, declares=lambda spec: declared.shown(other, spec))
    _, problems = office.rebuild(reserve, FIRST)
    assert problems == ["2026-09-12: reserve_fund_check_20260912.xlsx is missing"]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    document = manifest.read(before[manifest.NAME])
    assert {"setting": "reserve_checker", "value": "张三"} in document["declared"]
