"""Files that others wrote, of the handbook's layout: generated here, whatever the machine has."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingestion import ingest, mapping, quarantine_list, quarantine_show, replay
from ingestion.casts import _exact_decimal
from ingestion.mapping import ingest_mapped, load_mapping
from paylake import home, ops
from paylake import settings as paylake_settings
from paylake.errors import PermanentFailure, UsageFault
from paylake.lake import Lake
from paylake.settings import Settings

HANDBOOK = Path(mapping.__file__).parent / "mappings" / "handbook.yml"
FIRST = date(2018, 4, 1)


@pytest.fixture
def bare(tmp_path: Path) -> Settings:
    return paylake_settings.load(environ={}, home=tmp_path / "mapped")


def write_file(folder: Path, days: int = 4, per_day: int = 50, **changes: list) -> list[Decimal]:
    """A file of the handbook's layout; returns the exact amounts."""
    count = days * per_day
    cents = [(n * 7919) % 100_000 for n in range(count)]
    moments = [
        datetime(2018, 4, 1) + timedelta(days=n // per_day, seconds=(n % per_day) * 1728)
        for n in range(count)
    ]
    columns = {
        "TRANSACTION_ID": pa.array(range(count), pa.int64()),
        "TX_DATETIME": pa.array(moments, pa.timestamp("ns")),
        "CUSTOMER_ID": pa.array([n % 13 for n in range(count)], pa.int64()),
        "TERMINAL_ID": pa.array([n % 29 for n in range(count)], pa.int64()),
        "TX_AMOUNT": pa.array([c / 100 for c in cents], pa.float64()),
        "TX_TIME_SECONDS": pa.array(range(count), pa.int64()),
        "TX_TIME_DAYS": pa.array([n // per_day for n in range(count)], pa.int64()),
        "TX_FRAUD": pa.array([0] * count, pa.int64()),
        "TX_FRAUD_SCENARIO": pa.array([0] * count, pa.int64()),
    }
    for name, values in changes.items():
        columns[name] = pa.array(values, columns[name].type if name in columns else None)
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), folder / "transactions_x.parquet")
    return [Decimal(c) / 100 for c in cents]


def totals(settings: Settings) -> dict:
    return Lake(settings).query(
        """
        select count(*) as n, count(distinct business_date) as days,
            sum(amount::decimal(18, 2)) as amount, count(merchant_id) as merchants,
            count(funding) as fundings, min(_line_number) as first_line
        from bronze.raw_switch__transaction
        """
    ).to_pylist()[0]


def test_totals_are_met_and_nothing_is_made_up(bare: Settings, tmp_path: Path) -> None:
    amounts = write_file(tmp_path / "files")
    result = ingest_mapped(bare, tmp_path / "files", HANDBOOK)
    assert (result.first, result.last) == (FIRST, FIRST + timedelta(days=3))
    assert not result.waiting and result.unsigned
    assert totals(bare) == {
        "n": 200, "days": 4, "amount": sum(amounts), "merchants": 0, "fundings": 0, "first_line": 1,
    }
    events = ops.latest(bare, "delivery")
    assert {e["key_id"] for e in events} == {None} and {e["state"] for e in events} == {"accepted"}
    assert all(e["unclassed_columns"] is None for e in events)
    assert home.read(bare).absent_feeds[0] == "ledger_journal"
    assert Lake(bare).version("bronze", "raw_switch__transaction") == 1


def test_again_and_by_dates_is_nothing_to_do(bare: Settings, tmp_path: Path) -> None:
    write_file(tmp_path / "files")
    first = ingest_mapped(bare, tmp_path / "files", HANDBOOK)
    assert ingest_mapped(bare, tmp_path / "files", HANDBOOK).nothing
    assert ingest(bare, first.first, first.last).nothing


def test_a_lost_partition_is_made_again_without_the_files(bare: Settings, tmp_path: Path) -> None:
    write_file(tmp_path / "files")
    result = ingest_mapped(bare, tmp_path / "files", HANDBOOK)
    before = Lake(bare).digests("bronze", "raw_switch__transaction", result.first, result.last)
    next(Lake(bare).path("bronze", "raw_switch__transaction").rglob("*.parquet")).unlink()
    (tmp_path / "files" / "transactions_x.parquet").unlink()
    assert ingest(bare, result.first, result.last).built == 1
    after = Lake(bare).digests("bronze", "raw_switch__transaction", result.first, result.last)
    assert after == before


def test_the_kept_original_is_sealed(bare: Settings, tmp_path: Path) -> None:
    write_file(tmp_path / "files")
    ingest_mapped(bare, tmp_path / "files", HANDBOOK)
    kept = list(bare.path("landing", "kept").rglob("*.sealed"))
    assert len(kept) == 1 and b"PAR1" not in kept[0].read_bytes()


def test_bad_rows_of_outside_files_are_quarantined_and_replayed(
    bare: Settings, tmp_path: Path
) -> None:
    amounts = [n / 4 for n in range(200)]
    amounts[120] = 1.005
    moments = [datetime(2018, 4, 1) + timedelta(hours=n // 50 * 24) for n in range(200)]
    moments[60] = None  # type: ignore[call-overload]
    write_file(tmp_path / "files", TX_AMOUNT=amounts, TX_DATETIME=moments)
    result = ingest_mapped(bare, tmp_path / "files", HANDBOOK)
    assert sum(o["rows_accepted"] + o["rows_quarantined"] for o in result.outcomes) == 200
    found = {item.rule_code: item for item in quarantine_list(bare)}
    assert set(found) == {"bad_scale", "missing_value"}
    item = found["bad_scale"]
    assert item.line == 121
    assert quarantine_show(bare, item.delivery_id, item.line).columns["amount"] == "1.005"
    replay(bare, item.delivery_id, item.line, {"amount": "1.01"})
    again = ingest(bare, item.business_date, item.business_date)
    assert [o["rows_accepted"] for o in again.outcomes] == [1]


def test_a_column_that_the_mapping_does_not_know_is_named(bare: Settings, tmp_path: Path) -> None:
    write_file(tmp_path / "files", CARD=["6222"] * 200)
    result = ingest_mapped(bare, tmp_path / "files", HANDBOOK)
    assert {o["unclassed_columns"] for o in result.outcomes} == {'["CARD"]'}


def test_a_changed_mapping_takes_the_place_of_the_old(bare: Settings, tmp_path: Path) -> None:
    amounts = write_file(tmp_path / "files")
    ingest_mapped(bare, tmp_path / "files", HANDBOOK)
    changed = tmp_path / "handbook.yml"
    changed.write_text(HANDBOOK.read_text("utf-8") + "# changed\n", "utf-8")
    ingest_mapped(bare, tmp_path / "files", changed)
    assert totals(bare)["n"] == 200 and totals(bare)["amount"] == sum(amounts)
    states = [e["state"] for e in ops.latest(bare, "delivery")]
    assert states.count("accepted") == 4 and states.count("superseded") == 4


def test_csv_files_map_too(bare: Settings, tmp_path: Path) -> None:
    text = "id;when;card;sum\n" + "".join(
        f"{n};{1 + n // 10:02d}.04.2018 23:{n % 10:02d};{n % 3};{n},50\n" for n in range(30)
    )
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "a.csv").write_text(text.replace(",", "."), "utf-8")
    path = tmp_path / "other.yml"
    path.write_text(
        """
name: other
control: none
cutoff: "23:05"
absent_feeds: [ledger_journal, ledger_balance, merchant, terminal, custodian_statement]
feeds:
  transaction:
    files: "*.csv"
    format: csv
    delimiter: ";"
    date_from: event_at
    columns:
      transaction_id: {from: id}
      card_number: {from: card}
      amount: {from: sum, cast: decimal}
      event_at: {from: when, cast: timestamp, format: "%d.%m.%Y %H:%M"}
      transaction_type: {constant: payment}
      payment_way: {constant: bank_card}
      status: {constant: success}
      currency_code: {constant: CNY}
    absent: [merchant_id, funding, channel]
""",
        "utf-8",
    )
    ingest_mapped(bare, folder, path)
    found = Lake(bare).query(
        "select business_date::varchar as day, count(*) as n, sum(amount::decimal(18, 2)) as a, "
        "min(_line_number) as line from bronze.raw_switch__transaction group by all order by all"
    ).to_pylist()
    assert [(r["day"], r["n"], r["line"]) for r in found] == [
        ("2018-04-01", 5, 2), ("2018-04-02", 10, 7), ("2018-04-03", 10, 17), ("2018-04-04", 5, 27),
    ]
    assert sum(r["a"] for r in found) == sum(range(30)) + Decimal("15")


def test_doubles_become_decimals_exactly_or_not_at_all() -> None:
    given = [0.0, 57.16, 0.07, 85.64999999999999, 141.64999999999998, -3.5, 1.005, 1e300,
             float("nan"), float("inf"), None, 123456789012.34]
    found = _exact_decimal(pa.array(given, pa.float64(), from_pandas=False), 2).to_pylist()
    assert found == ["0.00", "57.16", "0.07", "85.65", "141.65", "-3.50", "1.005", "1e+300",
                     "nan", "inf", None, "123456789012.34"]
    every = np.arange(0, 2_000_000, 7, dtype=np.int64)
    text = _exact_decimal(pa.array(every / 100), 2).cast(pa.decimal128(18, 2))
    assert text.equals(pa.array([Decimal(int(c)) / 100 for c in every], pa.decimal128(18, 2)))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("control: none ", "control: signed ", "control is 'signed'"),
        ("absent: [merchant_id, ", "absent: [", "requires merchant_id"),
        ("cast: decimal", "cast: float", "Unknown cast 'float'"),
        ("from: TX_AMOUNT, ", "", "exactly one of from and constant"),
        ("date_from: event_at", "date_from: amount", "date_from must name"),
        ("ignored:", "forgotten:", "Unknown in feed transaction: forgotten"),
        ("transactions_*", "nothing_*", "No file matches"),
        ("from: TX_AMOUNT", "from: AMOUNT", "no column AMOUNT"),
    ],
)
def test_wrong_mappings_are_named(
    bare: Settings, tmp_path: Path, old: str, new: str, message: str
) -> None:
    write_file(tmp_path / "files")
    path = tmp_path / "m.yml"
    text = HANDBOOK.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")
    with pytest.raises((UsageFault, PermanentFailure), match=message):
        ingest_mapped(bare, tmp_path / "files", path)


def test_a_home_of_another_institution_is_refused(bare: Settings, tmp_path: Path) -> None:
    write_file(tmp_path / "files")
    home.claim(bare, home.Home("simulated", {"seed": 1}))
    with pytest.raises(PermanentFailure, match="another institution"):
        ingest_mapped(bare, tmp_path / "files", HANDBOOK)
    assert load_mapping(HANDBOOK).name == "handbook"
