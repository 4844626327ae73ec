"""The first real day, from feeds to signed files and live dashboards, through the real servers."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

import duckdb
import httpx
import pytest

from cli.airflow_api import CHAIN, Airflow
from paylake import ops, release, services
from paylake.delta_reader import delta_extension
from paylake.keys import Keyring
from paylake.lake import Lake
from simulator import audit

REPORTS = {"reserve_fund_check", "merchant_settlement_statement"}


@pytest.fixture(scope="module", autouse=True)
def ran(demo):
    assert demo.first.returncode == 0, demo.first.stdout[-3000:] + demo.first.stderr[-3000:]


def test_every_date_has_one_chained_release(demo):
    chain = release.listing(demo.settings)
    assert [r.sequence for r in chain] == list(range(9))
    assert chain[-1].through == date(2026, 9, 19)
    for older, newer in pairwise(chain):
        assert newer.previous_digest == older.digest


def test_every_planted_problem_is_caught_and_nothing_else(demo):
    found = audit.problems(demo.settings)
    assert len(found) >= 10
    assert {c.planted for c in found} >= {"held", "waived", "missing_value", "wrong_key"}
    assert [c for c in found if not c.ok] == []


def test_totals_agree_to_the_cent_everywhere(demo):
    totals = audit.totals(demo.settings)
    assert len(totals) == 7
    assert [t for t in totals if not t.ok] == []


def test_the_ledgers_heads_are_in_the_lake_as_it_signed_them(demo):
    """Checked with the public key alone, one after the other, against the ledger's own files."""
    rows = Lake(demo.settings).query(
        "select * from silver.ledger_head order by business_date, head_number"
    ).to_pylist()
    assert [row["head_name"] for row in rows if row["head_kind"] == "day_close"] == [
        str(date(2026, 9, 12) + timedelta(days=n)) for n in range(8)
    ]
    public = Keyring(demo.settings).public("ledger-1")
    before = None
    for row in rows:
        document = row["document"].encode()
        assert public.verify(document, bytes.fromhex(row["signature"]))
        kept = demo.settings.path("ledger", "heads", f"{row['head_name']}.json")
        assert kept.read_bytes() == document
        assert row["previous_anchor"] == before
        before = row["document_sm3"]
        assert row["received_leg_count"] == row["leg_count"] > 0
    held = {
        (row["check_code"], row["result"]) for row in ops.rows(
            demo.settings, "gate_result", "suite = 'ledger_head' and compared_count > 0"
        )
    }
    assert held == {("ledger_event_gap", "pass"), *((f"ledger_head_{name}", "pass") for name in (
        "present", "chain_end", "counts", "trial_balance", "continues"
    ))}


def test_the_ledgers_events_are_in_the_lake_once_each(demo):
    found = Lake(demo.settings).query(
        "select count(*) as n, count(distinct event_key) as keys, "
        "count(distinct business_date) as dates, count(*) filter (business_date::varchar "
        "<> booking_date) as strays from bronze.raw_ledger__event"
    ).to_pylist()[0]
    assert found["n"] == found["keys"] > 1_000
    assert (found["dates"], found["strays"]) == (8, 0)


def test_statements_add_up_to_the_marts(demo):
    """The files are read as a stranger would: UTF-8 CSV, Chinese headings, a totals section."""
    root = demo.settings.path("reports", "merchant_settlement_statement")
    with release.reader(demo.settings) as reader:
        marts = {
            str(row["business_date"]): row
            for row in reader.query(
                "select business_date, count(*) as files, sum(net_amount) as net "
                "from mart_settlement__merchant_day group by 1"
            ).to_pylist()
        }
    days = [p for p in root.iterdir() if p.is_dir()]
    assert len(days) == 8
    for day in days:
        manifest = json.loads((day / "manifest.json").read_text())
        names = [f["name"] for f in manifest["files"] if f["name"].endswith(".csv")]
        assert len(names) >= marts[day.name]["files"]
        text = json.dumps(manifest, ensure_ascii=False)
        assert f"{marts[day.name]['net']:.2f}" in text.replace(",", "")


def test_openssl_verifies_a_package_with_the_key_from_outside(demo):
    reports = demo.settings.path("reports")
    checked = 0
    for report in REPORTS:
        for day in sorted(p for p in (reports / report).iterdir() if p.is_dir()):
            result = subprocess.run(
                [
                    "openssl", "pkeyutl", "-verify", "-pubin",
                    "-inkey", str(reports / "institution.pub.pem"),
                    "-in", str(day / "manifest.json"), "-rawin", "-digest", "sm3",
                    "-sigfile", str(day / "manifest.json.sig"),
                    "-pkeyopt", "distid:1234567812345678",
                ],
                capture_output=True, text=True, check=False,
            )
            assert "Verified Successfully" in result.stdout, result.stderr
            checked += 1
    assert checked == 16


def test_a_second_run_finds_all_done_and_changes_nothing(demo):
    lake = Lake(demo.settings)
    before = {
        f"{layer}.{table}": lake.version(layer, table)
        for layer in ("bronze", "silver", "state", "work", "gold", "quarantine", "vault")
        for table in lake.tables(layer)
    }
    again = demo.call("demo")
    assert again.returncode == 0, again.stdout[-2000:] + again.stderr
    assert "0 dates made, 8 found done" in again.stdout
    assert again.stdout.count("nothing to do") >= 4
    after = {name: lake.version(*name.split(".")) for name in before}
    assert after == before


def test_what_is_altered_is_named_and_mended(demo):
    day = sorted(
        p for p in demo.settings.path("reports", "reserve_fund_check").iterdir() if p.is_dir()
    )[0]
    file = next(p for p in day.iterdir() if p.suffix == ".csv")
    raw = file.read_bytes()
    file.write_bytes(raw[:-3] + bytes([raw[-3] ^ 1]) + raw[-2:])
    serving = demo.settings.path("serving", f"{release.in_force(demo.settings).release_id}.duckdb")
    serving.unlink()
    again = demo.call("demo")
    assert again.returncode == 0, again.stdout[-2000:] + again.stderr
    assert file.read_bytes() == raw
    assert file.name in again.stdout
    assert serving.exists()


def test_delta_tables_read_the_same_elsewhere(demo):
    lake = Lake(demo.settings)
    table = lake.path("gold", "mart_kpi__institution_day")
    with duckdb.connect() as connection:
        connection.execute(f"load '{delta_extension()}'")
        rows = connection.execute(
            f"select count(*), sum(payment_amount) from delta_scan('{table}')"
        ).fetchone()
    with release.reader(demo.settings) as reader:
        same = reader.query(
            "select count(*) as n, sum(payment_amount) as a from mart_kpi__institution_day"
        ).to_pylist()[0]
    assert rows == (same["n"], same["a"]) and rows[0] == 8


def test_no_card_number_is_anywhere_in_the_lake(demo):
    """Searches every text column outside the vault for every card number of the feeds."""
    from simulator.params import Params
    from simulator.world import World

    cards = {str(n) for n in World(Params.from_settings(demo.settings)).people.card_numbers}
    assert len(cards) > 100 and all(len(card) >= 16 for card in cards)
    lake = Lake(demo.settings)
    columns = 0
    for layer in ("bronze", "silver", "state", "work", "gold", "ops", "quarantine"):
        for name in lake.tables(layer):
            for column in [c for c, kind in lake.columns(layer, name) if kind == "string"]:
                digits = lake.query(
                    f"select distinct unnest(regexp_extract_all(\"{column}\", '[0-9]{{16,19}}')) "
                    f"as v from {layer}.{name}"
                )
                columns += 1
                assert not cards.intersection(digits["v"].to_pylist()), f"{layer}.{name}.{column}"
    assert columns > 100


def test_screens_and_scheduler_answer(demo):
    superset = httpx.get(f"http://127.0.0.1:{demo.settings.superset_port}/health", trust_env=False)
    airflow = httpx.get(
        f"http://127.0.0.1:{demo.settings.airflow_port}/api/v2/monitor/health", trust_env=False
    )
    assert superset.text == "OK"
    assert airflow.json()["scheduler"]["status"] == "healthy"


def test_the_last_date_went_through_airflow(demo):
    airflow = Airflow(demo.settings)
    assert {dag: airflow.state(dag, date(2026, 9, 19)) for dag in CHAIN} == dict.fromkeys(
        CHAIN, "success")
    assert {dag: airflow.state(dag, date(2026, 9, 18)) for dag in CHAIN} == dict.fromkeys(CHAIN)


def test_the_waiver_is_marked_as_the_demo_s(demo):
    waivers = ops.rows(demo.settings, "waiver")
    assert len(waivers) == 1
    assert waivers[0]["is_demo"] and waivers[0]["check_code"] == "kpi_success_rate_band"


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",), ("release", "list"), ("quarantine", "list"), ("report", "list"),
        ("settings",),
    ],
)
def test_tables_are_also_json(demo, arguments):
    rows = demo.json(*arguments)
    assert len(rows) > 0 and isinstance(rows[0], dict)


@pytest.mark.parametrize("suffix", ["csv", "xlsx", "parquet"])
def test_released_tables_are_exported(demo, tmp_path, suffix):
    out = tmp_path / f"kpi.{suffix}"
    done = demo.call("export", "mart_kpi__institution_day", "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert out.stat().st_size > 500


def test_a_notebook_reads_a_release(demo, monkeypatch):
    import paylake

    frame = paylake.read("mart_kpi__institution_day", home=str(demo.settings.home))
    assert len(frame) == 8 and frame["payment_amount"].map(type).eq(Decimal).all()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("run", "--date", "None"), 2, "not a date"),
        (("build", "--date", "2026-09-13", "--to", "2026-09-12"), 2, "ends"),
        (("export", "mart_nothing", "--out", "/tmp/x.csv"), 2, "mart_nothing"),
        (("release", "show", "R999999-20300101"), 2, "R999999"),
        (("ingest", "--date", "2026-09-20"), 11, "waits"),
        (("release", "waive", "--date", "2026-09-19", "--check", "double_entry",
          "--person", "x", "--reason", "y"), 2, "double_entry"),
        (("nonsense",), 2, "nonsense"),
    ],
)
def test_bad_input_gets_one_sentence_and_its_exit_code(demo, arguments, code, words):
    done = demo.call(*arguments)
    assert done.returncode == code, done.stderr
    assert words in done.stderr and "Traceback" not in done.stderr


def test_another_institution_is_refused(demo):
    done = subprocess.run(
        ["bin/paylake", "demo"],
        env={**demo.environment, "PAYLAKE_SEED": "8"},
        capture_output=True, text=True, check=False,
    )
    assert done.returncode == 10
    assert "another institution" in done.stderr


@pytest.mark.long
def test_a_backup_comes_back_equal(demo, tmp_path):
    out = tmp_path / "home.tar.gz"
    assert demo.call("backup", "--out", str(out)).returncode == 0
    other = {**demo.environment, "PAYLAKE_HOME": str(tmp_path / "restored")}
    done = subprocess.run(
        ["bin/paylake", "restore", "--from", str(out)],
        env=other, capture_output=True, text=True, check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "ledger verified" in done.stdout
    listed = subprocess.run(
        ["bin/paylake", "release", "list", "--json"],
        env=other, capture_output=True, text=True, check=True,
    )
    assert json.loads(listed.stdout) == demo.json("release", "list")
    shutil.rmtree(tmp_path / "restored")


def test_stop_stops_what_was_started(demo):
    """Last in this module: the home's servers end here."""
    assert set(services.recorded(demo.settings)) == {"ledger", "engine", "airflow", "superset"}
    names = services.recorded(demo.settings)
    found = {name: services.running(demo.settings, name) for name in names}
    assert all(found.values())
    assert demo.call("down").returncode == 0
    assert services.recorded(demo.settings) == []
    assert all(each.process() is None for each in found.values())
