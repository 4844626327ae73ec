"""From released rows to filed packages: what is made, what is left alone, what is held."""

import json
from datetime import date, timedelta
from decimal import Decimal

import pytest

from paylake.errors import PermanentFailure
from reporting import filing, package
from tests.reporting.institution import FIRST, dates, institution


def test_range_files_every_date_in_one_read(open_office, statement, reserve):
    lake = institution(days=4, merchants=6)
    office = open_office(lake)
    items = office.file(statement, dates(4)) + office.file(reserve, dates(4))
    assert [i.state for i in items] == ["filed"] * 8
    assert lake.opened == ["R000004-20260915"] * 2  # one release, one read a report
    folder = package.folder(office.root, statement.report, FIRST)
    names = sorted(p.name for p in folder.iterdir())
    assert len([n for n in names if n.startswith("statement_M")]) == 6
    assert {"VERIFY.md", "manifest.json", "manifest.json.sig", "settlement_totals_20260912.csv"} < {
        *names
    }


def test_range_equals_days_one_by_one(open_office, statement, reserve):
    lake = institution(days=3, merchants=4)
    whole = open_office(lake, "range")
    for spec in (statement, reserve):
        whole.file(spec, dates(3))
    daily_lake = institution(days=3, merchants=4)
    chain, daily_lake.chain = daily_lake.chain, []
    for n, release in enumerate(chain):
        daily_lake.chain.append(release)
        office = open_office(daily_lake, "daily")
        for spec in (statement, reserve):
            assert [i.state for i in office.file(spec, dates(1, FIRST + timedelta(days=n)))] == [
                "filed"
            ]
    compared = 0
    for path in whole.root.glob("*/2026-*/*"):
        if path.name != "manifest.json.sig":
            other = office.root / path.relative_to(whole.root)
            assert other.read_bytes() == path.read_bytes(), path
            compared += 1
    assert compared == 3 * (4 + 3) + 3 * (4 + 2)


def test_filed_dates_are_left_alone(open_office, statement):
    lake = institution(days=2, merchants=3)
    office = open_office(lake)
    office.file(statement, dates(2))
    before = {p: p.stat().st_mtime_ns for p in office.root.rglob("*") if p.is_file()}
    lake.opened.clear()
    office = open_office(lake)
    assert [i.state for i in office.file(statement, dates(2))] == ["unchanged"] * 2
    assert lake.opened == [] and office.events == []
    assert before == {p: p.stat().st_mtime_ns for p in office.root.rglob("*") if p.is_file()}


def test_later_release_does_not_change_a_filed_package(open_office, statement, reserve):
    lake = institution(days=2, merchants=3)
    office = open_office(lake)
    office.file(statement, [FIRST])
    office.file(reserve, [FIRST])
    filed = office.filing(statement.report, FIRST)
    row = lake.rows["mart_settlement__merchant_day"][1]
    row["merchant_name"] = "改名商户"
    restated = lake.publish(FIRST)
    office = open_office(lake)
    (item,) = office.file(statement, [FIRST])
    assert (item.state, item.release_id) == ("restated", "R000001-20260912")
    assert f"{restated.release_id} restated {FIRST} after it was filed" in item.detail
    assert office.filing(statement.report, FIRST) == filed
    # of the other report no row changed
    (item,) = office.file(reserve, [FIRST])
    assert item.state == "unchanged" and "with the same rows" in item.detail
    assert restated.release_id not in filed.manifest
    # rebuilding reads the pinned release, not the one in force
    lake.opened.clear()
    assert office.rebuild(statement, FIRST)[1] == []
    assert lake.opened == ["R000001-20260912"]
    # a date that was never filed takes the restatement
    fresh = open_office(lake, "other")
    fresh.file(statement, [FIRST])
    assert restated.release_id in fresh.filing(statement.report, FIRST).manifest


def test_unreleased_date_is_held_and_the_others_go_out(open_office, reserve):
    lake = institution(days=2, merchants=1)
    office = open_office(lake)
    items = office.file(reserve, dates(3))
    assert [i.state for i in items] == ["filed", "filed", "not_released"]
    assert "2026-09-14 is not released" in items[2].detail
    lake.chain.clear()
    item = open_office(lake, "empty").file(reserve, [FIRST])[0]
    assert item.state == "not_released" and "no date is yet" in item.detail


def test_release_without_the_mart_has_no_report(open_office, reserve):
    lake = institution(days=1, merchants=1)
    del lake.kept["R000001-20260912"]["mart_settlement__reserve_fund_day"]
    item = open_office(lake).file(reserve, [FIRST])[0]
    assert item.state == "absent" and not (open_office(lake).root / reserve.report).exists()


def test_release_that_lacks_a_column_is_refused_by_name(open_office, reserve):
    lake = institution(days=1, merchants=1)
    office = open_office(lake)
    reader = lake.reader("R000001-20260912")
    reader.connection.execute(
        "alter table mart_settlement__reserve_fund_day drop column custodian_amount"
    )
    lake.reader = lambda release_id: reader
    with pytest.raises(PermanentFailure, match="lacks custodian_amount"):
        office.file(reserve, [FIRST])


def test_failing_edit_check_refuses_one_date_only(open_office, reserve):
    lake = institution(days=3, merchants=1)
    bad = lake.kept["R000003-20260914"]["mart_settlement__reserve_fund_day"][1]
    bad["user_balance_amount"] += Decimal("0.01")
    office = open_office(lake)
    items = office.file(reserve, dates(3))
    assert [i.state for i in items] == ["filed", "refused", "filed"]
    assert "RFC-V101" in items[1].detail and "98765434346.43" not in items[0].detail
    assert not package.folder(office.root, reserve.report, FIRST + timedelta(days=1)).exists()
    assert [e["state"] for e in office.events if e["business_date"].day == 13] == [
        "drafted",
        "computed",
        "refused",
    ]


def test_quality_finding_waits_for_a_reason_that_then_stands_in_the_manifest(open_office, reserve):
    lake = institution(days=1, merchants=1)
    item = lake.kept["R000001-20260912"]["mart_settlement__reserve_fund_item"][0]
    item["first_date"] = date(2026, 9, 1)
    office = open_office(lake)
    assert [i.state for i in office.file(reserve, [FIRST])] == ["awaiting_reason"]
    outcome = next(o for o in office.outcomes(reserve, FIRST) if o.needs_reason)
    given = ("RFC-Q201", "王敏", "银行次月入账，已取得回执", outcome.digest)
    reason = filing.Reason(*given, since="2026-09-12")
    for stale in (
        filing.Reason("RFC-Q201", "王敏", "为其他差异所作说明", "0" * 64, "2026-09-12"),
        filing.Reason(*given, since="2026-09-13"),  # given for a later date only
    ):
        office.reasons.add(reserve.report, stale)
        item = office.file(reserve, [FIRST])[0]
        assert (item.state, item.codes) == ("awaiting_reason", ("RFC-Q201",))
    office.reasons.add(reserve.report, reason)
    assert [i.state for i in office.file(reserve, [FIRST])] == ["filed"]
    document = json.loads(office.filing(reserve.report, FIRST).manifest)
    assert document["reasons"] == [vars(reason)]
    assert {"code": "RFC-Q201", "severity": "Q", "result": "fired", "findings": 1} in document[
        "edits"
    ]
    assert [e["state"] for e in office.events[-5:]] == [
        "computed",
        "validated",
        "explained",
        "signed",
        "packaged",
    ]
    assert office.rebuild(reserve, FIRST)[1] == []


def test_reason_stands_for_later_dates_with_the_same_findings(open_office, reserve):
    lake = institution(days=3, merchants=1)
    shown = lake.kept["R000003-20260914"]
    old = {
        "reference": "B2026090100000001",
        "side": "custodian_only",
        "cause": "bank_in_book_not",
        "amount": Decimal("-50.00"),
        "currency_code": "CNY",
        "first_date": date(2026, 9, 1),
    }
    for day in dates(3):
        age = (day - old["first_date"]).days
        shown["mart_settlement__reserve_fund_item"].append(
            {**old, "business_date": day, "age_days": age}
        )
    for row in shown["mart_settlement__reserve_fund_day"]:
        for name in ("difference_amount", "unarrived_amount"):
            row[name] -= 50
        # it came before the first date
        row["custodian_opening_amount"] += 50
        row["custodian_amount"] += 50
        row["item_count"] += 1
        row["largest_age_days"] = (row["business_date"] - old["first_date"]).days
    office = open_office(lake)
    assert [i.state for i in office.file(reserve, dates(3))] == ["awaiting_reason"] * 3
    second = FIRST + timedelta(days=1)
    outcome = next(o for o in office.outcomes(reserve, second) if o.needs_reason)
    office.reasons.add(
        reserve.report,
        filing.Reason("RFC-Q201", "王敏", "来款单位待查", outcome.digest, second.isoformat()),
    )
    items = office.file(reserve, dates(3))
    assert [i.state for i in items] == ["awaiting_reason", "filed", "filed"]


def test_manifest_names_release_renderer_totals_and_every_file(open_office, reserve, statement):
    office = open_office(institution(days=1, merchants=2), is_demo=True)
    office.file(reserve, [FIRST])
    office.file(statement, [FIRST])
    document = json.loads(office.filing(reserve.report, FIRST).manifest)
    assert document["release"]["id"] == "R000001-20260912"
    assert document["signature"]["demo"] is True
    assert {t["name"]: t["value"] for t in document["control_totals"]}["book_amount"] == (
        "98765433344.43"
    )
    files = {f["name"]: f for f in document["files"]}
    folder = package.folder(office.root, reserve.report, FIRST)
    on_disk = {p.name for p in folder.iterdir()} - {"manifest.json", "manifest.json.sig"}
    assert set(files) == on_disk and len(files) == 5
    assert all(files[n]["bytes"] == (folder / n).stat().st_size for n in files)
    # what a merchant takes along shows no other merchant's money
    shown = json.loads(office.filing(statement.report, FIRST).manifest)
    assert not any("control_totals" in f for f in shown["files"])


def test_state_machine_refuses_other_steps():
    assert filing.advance("signed", "packaged") == "packaged"
    for before, after in ((None, "signed"), ("refused", "signed"), ("packaged", "drafted")):
        with pytest.raises(PermanentFailure, match="does not go from"):
            filing.advance(before, after)
