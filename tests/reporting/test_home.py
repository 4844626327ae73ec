"""The commands over a real home: gold through release views, `ops` events, keys, the vault."""

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

import reporting
from paylake import ops, release
from paylake.crypto import PrivateKey, seal
from paylake.errors import NotVerified, PermanentFailure, UsageFault
from paylake.keys import Keyring
from paylake.lake import Lake
from reporting import package, service, specification, vault
from tests.reporting.institution import FIRST

LAST = FIRST + timedelta(days=1)


def test_report_verify_list_rebuild(home):
    held = reporting.report(home, FIRST, LAST)
    assert [i.state for i in held.items] == ["filed", "not_released"] * 2
    assert held.exit_code == 12
    release.publish(home, FIRST, LAST)
    done = reporting.report(home, FIRST, LAST)
    assert [i.state for i in done.items] == ["unchanged", "filed"] * 2 and done.exit_code == 0
    assert done.public_key == home.path("reports", "institution.pub.pem")
    listed = reporting.list(home)
    assert [(p["report"], p["business_date"], p["result"]) for p in listed] == [
        (name, day, "verified")
        for name in ("merchant_settlement_statement", "reserve_fund_check")
        for day in ("2026-09-12", "2026-09-13")
    ]
    for row in listed:
        result = reporting.verify(Path(row["path"]), done.public_key)
        assert result.require().key_fingerprint == done.key_fingerprint
    again = reporting.rebuild(home, "reserve_fund_check", FIRST)
    assert again.mended == () and again.rows()[0]["result"] == "identical"
    assert reporting.report(home, FIRST, LAST).count("unchanged") == 4
    states = [
        r["state"]
        for r in ops.rows(home, "report_event", "report = 'reserve_fund_check'")
        if r["business_date"] == FIRST
    ]
    assert states == ["drafted", "computed", "validated", "signed", "packaged"]
    newest = ops.latest(home, "report_event")
    assert {r["state"] for r in newest} == {"packaged"} and len(newest) == 4


def test_lost_reports_folder_comes_back_with_its_signatures(home):
    reporting.report(home, FIRST, FIRST)
    folder = package.folder(home.path("reports"), "merchant_settlement_statement", FIRST)
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    shutil.rmtree(home.path("reports"))
    again = reporting.report(home, FIRST, FIRST)
    assert again.count("mended") == 2 and again.exit_code == 0
    assert before == {p.name: p.read_bytes() for p in folder.iterdir()}


def test_signing_with_another_key_than_the_exported_one_is_refused(home):
    reporting.report(home, FIRST, FIRST)
    other = PrivateKey.generate()
    home.path("keys", "institution.key.pem").write_text(other.pem(), "ascii")
    with pytest.raises(NotVerified, match="not that of the key that would sign"):
        reporting.report(home, FIRST, FIRST)


def test_nobody_signs_with_an_expired_key(home):
    path = home.path("keys", "trust.json")
    entries = json.loads(path.read_text("utf-8"))
    entries["institution"] = {
        "sender": "institution",
        "feeds": [],
        "public_key": Keyring(home).public("institution").pem(),
        "valid_from": "2018-01-01",
        "valid_to": "2019-12-31",
    }
    path.write_text(json.dumps(entries), "utf-8")
    with pytest.raises(PermanentFailure, match="valid from 2018-01-01 to 2019-12-31"):
        reporting.report(home, FIRST, FIRST)
    assert not home.path("reports", "reserve_fund_check").exists()


def test_bad_calls_say_what_to_do(home):
    with pytest.raises(UsageFault, match="Unknown report 'tax'"):
        reporting.report(home, FIRST, FIRST, ["tax"])
    with pytest.raises(PermanentFailure, match="never filed"):
        reporting.rebuild(home, "reserve_fund_check", FIRST)
    with pytest.raises(UsageFault, match="no rule"):
        reporting.explain(home, "reserve_fund_check", FIRST, "X-1", "王敏", "说明")
    with pytest.raises(UsageFault, match="asks for no reason"):
        reporting.explain(home, "reserve_fund_check", FIRST, "RFC-Q201", "王敏", "说明")


def test_verify_needs_neither_home_nor_lake(home, tmp_path):
    """In a process of its own, with a folder and a key, and a home that does not exist."""
    reporting.report(home, FIRST, FIRST)
    shutil.copytree(
        package.folder(home.path("reports"), "reserve_fund_check", FIRST), tmp_path / "got"
    )
    shutil.copy(home.path("reports", "institution.pub.pem"), tmp_path / "key.pem")
    shutil.rmtree(home.home)
    code = (
        "import sys, pathlib, reporting; "
        "r = reporting.verify(pathlib.Path('got'), pathlib.Path('key.pem')); sys.exit(r.exit_code)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(reporting.__file__).parents[1])}
    for change, expected in ((b"", 0), (b"x", 16)):
        target = tmp_path / "got" / "reserve_fund_check_20260912_items.csv"
        target.write_bytes(target.read_bytes() + change)
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env=environment, check=False
        )
        assert done.returncode == expected


# -- the vault ---------------------------------------------------------------------------------

VAULT = pa.schema(
    [
        ("token", pa.string()),
        ("kind", pa.string()),
        ("key_id", pa.string()),
        ("sealed_value", pa.binary()),
        ("first_seen_date", pa.date32()),
    ]
)


@pytest.fixture
def account(home) -> str:
    """The token of one settlement account, sealed as ingestion does."""
    token = Keyring(home).tokeniser().token("6222020200112345678")
    lake = Lake(home)
    lake.ensure("vault", "identifier", VAULT, partition_by=())
    sealed = seal(Keyring(home).seal_key(), b"6222020200112345678", token.encode())
    row = {"token": token, "kind": "account", "key_id": "t1", "sealed_value": sealed}
    row["first_seen_date"] = FIRST
    lake.append("vault", "identifier", pa.Table.from_pylist([row], schema=VAULT))
    return token


def test_each_opening_of_the_vault_is_recorded(home, account):
    before = datetime.now(UTC)
    opened = vault.open_values(home, "some_report", FIRST, [account, account])
    assert opened == {account: "6222020200112345678"}
    rows = ops.rows(home, "vault_opening")
    assert [(r["token"], r["purpose"], r["business_date"]) for r in rows] == [
        (account, "some_report", FIRST)
    ]
    assert rows[0]["opened_at"].replace(tzinfo=UTC) >= before.replace(microsecond=0)
    with pytest.raises(PermanentFailure, match="no value for 1 of 2 tokens"):
        vault.open_values(home, "some_report", FIRST, [account, "t1_unknown"])
    assert len(ops.rows(home, "vault_opening")) == 1  # nothing handed out, nothing recorded


def test_today_no_report_opens_the_vault(home, account):
    reporting.report(home, FIRST, FIRST)
    assert ops.rows(home, "vault_opening") == []
    assert [specification.load(r).clear_columns for r in specification.reports()] == [(), ()]


def test_report_that_asks_for_clear_values_gets_them_recorded(home, account):
    """The items report with a token column shown in clear, as a specification may ask."""
    document = yaml.safe_load((specification.SPECS / "reserve_fund_check.yml").read_text("utf-8"))
    document["clear_columns"] = ["account_token"]
    document["datasets"]["items"]["columns"]["account_token"] = {
        "heading": "账号",
        "sql": f"'{account}'",
    }
    document["files"][1]["columns"].append("account_token")
    spec = specification.parse(document, "reserve_fund_check.yml")
    office = service.open_office(home)
    assert office.file(spec, [FIRST])[0].state == "filed"
    folder = package.folder(office.root, spec.report, FIRST)
    text = (folder / "reserve_fund_check_20260912_items.csv").read_text("utf-8-sig")
    assert "6222020200112345678" in text and account not in text
    assert [r["purpose"] for r in ops.rows(home, "vault_opening")] == [spec.report]
    assert date.fromisoformat("2026-09-12") == ops.rows(home, "vault_opening")[0]["business_date"]
