"""Mass refusals stop a merchant; files of commands are imported and resumed."""

from __future__ import annotations

import csv
import json
from decimal import Decimal

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ledger.adapters.bulk_import import import_file
from ledger.entrypoints import imports
from paylake.crypto import PrivateKey
from paylake.errors import UsageFault
from tests.ledger.conftest import DAY, SYSTEM, at
from tests.ledger.test_http import client, http, token
from tests.ledger.test_own_reads import RATES

__all__ = ["client", "http", "token"]


def test_d2_10_mass_refusals_stop_new_business_with_a_record(world):
    world.approved("breaker", window_seconds=60, least_count=5, refused_percent=60)
    world.do("payment", transaction_id="P")
    for _ in range(4):
        assert world.do("settlement", amount_minor=10**9)["reason"] == "below_floor"
    (stop,) = world.ledger.state.table("stop").values()
    assert stop["placed_by"] == "system:ledger" and stop["target"] == "M1"
    assert stop["reason"] == (
        "4 of 5 commands of M1 refused or failed within 60 seconds, 4000000000 minor units in all"
    )
    assert world.do("payment")["reason"] == "stopped"
    assert world.do("payment", merchant_id="M2")["status"] == "posted"
    refund = world.do("refund", original_transaction_id="P", issuer_fee_minor=35,
                      network_fee_minor=3, acquirer_fee_minor=22)
    assert refund["status"] == "posted"  # new business alone is stopped
    world.approved("stop_lift", stop_id=stop["id"], reason="looked at")
    assert world.do("payment")["status"] == "posted"


def test_d2_10_refusals_spread_over_time_do_not_stop(world):
    world.approved("breaker", window_seconds=60, least_count=3, refused_percent=50)
    for minute in range(0, 50, 2):
        world.do("settlement", amount_minor=10**9, occurred_at=at(DAY, f"10:{minute:02d}:00"))
    assert not world.ledger.state.table("stop")


def _file(path, world):
    rows = [world.command("payment") for _ in range(2500)]
    rows[7]["amount_minor"] = 0
    rows[1700]["merchant_id"] = "M9"
    for row in rows:
        del row["idempotency_key"]
    if path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)


@pytest.mark.parametrize("name", ["day.csv", "day.parquet"])
def test_import_resumes_and_writes_rejects(world, tmp_path, name):
    path, rejects = tmp_path / name, tmp_path / "rejects.csv"
    _file(path, world)
    calls = []

    def send(commands):
        calls.append(len(commands))
        if len(calls) == 2:
            raise ConnectionError("cut")
        return world.ledger.apply(commands, SYSTEM)

    with pytest.raises(ConnectionError):
        import_file(path, send, rejects)
    done = import_file(path, send, rejects)
    assert (done.rows, done.posted, done.refused) == (2500, 2498, 2)
    assert done.replayed == 999  # the first batch, but for its refusal of form
    with rejects.open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert [(row["line"], row["reason"]) for row in found] == [
        ("9", "amount_out_of_range"), ("1702", "party_unknown"),
    ]
    assert world.ledger.head.journal == 2498


def test_d0_53_a_callers_rows_without_a_key_get_one_of_its_own(
    world, client, monkeypatch, tmp_path
):
    """So that they are not refused; begun again they post once."""
    private = PrivateKey.generate()
    world.approved("caller", caller_id="C1", party_id="M1", on_behalf=[], rates=RATES,
                   enabled=True, rails=["unionpay"], public_key=private.public.point)
    rows = [world.of("C1", world.command("payment")) for _ in range(3)]
    for row in rows[:2]:
        del row["idempotency_key"]
    path, key = tmp_path / "day.csv", tmp_path / "c1.pem"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[2]))
        writer.writeheader()
        writer.writerows(rows)
    key.write_text(private.pem())
    monkeypatch.setattr(imports, "LedgerClient", lambda _, sender: client.as_signer(sender))

    def sent():
        return imports.import_file(
            world.settings, path, tmp_path / "rejects.csv", lambda *_: None, "caller:C1", key
        )

    assert [sent()[name] for name in ("posted", "refused", "rejects")] == [3, 0, None]
    assert sent()["replayed"] == 3


SECRET = "6222021234567890128"
ROWS = [
    # refused by form, and of no known type
    {"type": "bind_account", "destination_id": "D1", "party_id": "U1", "bound_account": SECRET,
     "bound_name": "张三", "bank_code": "B 1"},
    {"type": "bind_acount", "destination_id": "D2", "party_id": "U1", "bound_account": SECRET},
    {"type": "party", "party_id": "U9", "party_kind": "user", "identity_check": "ID",
     "details": '{"phone": "13800138000"}', "sensitive_details": '{"phone": "13800138000"}'},
    # where nothing sensitive belongs
    {"type": "top_up", "top_up_id": "T", "user_id": "U1", "amount_minor": 0,
     "currency_code": "CNY", "metadata": '{"note": "13800138000"}'},
    {"type": "top_up", "top_up_id": "T", "user_id": "U1", "amount_minor": 1,
     "currency_code": "CNY", "name": "张三", "remark": "13800138000"},
]


@pytest.mark.parametrize("name", ["day.csv", "day.parquet"])
def test_d1_23_refused_rows_are_kept_for_the_owner_alone_and_without_what_is_sensitive(
    world, tmp_path, name
):
    """Nor are they after an import that was broken off."""
    path, rejects = tmp_path / name, tmp_path / "rejects.csv"
    columns = list(dict.fromkeys(column for row in ROWS for column in row))
    if path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(ROWS)
            file.write(f"top_up{',' * len(columns)}{SECRET}\n")  # a cell too many
    else:
        pq.write_table(pa.Table.from_pylist([
            {column: row.get(column) for column in columns} for row in ROWS
        ]), path)
    partial = tmp_path / ".rejects.csv.partial"
    partial.write_text("")
    partial.chmod(0o644)
    done = import_file(path, lambda rows: world.ledger.apply(rows, SYSTEM), rejects)
    assert done.refused == done.rows == len(ROWS) + (path.suffix == ".csv")
    assert rejects.stat().st_mode & 0o077 == 0
    text = rejects.read_text("utf-8")
    for value in (SECRET, "张三", "13800138000"):
        assert value not in text
    with rejects.open(encoding="utf-8", newline="") as file:
        first = json.loads(next(csv.DictReader(file))["row"])
    assert (first["destination_id"], first["bound_account"]) == ("D1", "***")


def test_import_sends_no_row_whose_cells_are_not_those_of_the_header(world, tmp_path):
    """Neither without the cells that are too many, nor with fields left out that came too late:
    a comma in an amount would else post its first digits."""
    path, rejects = tmp_path / "day.csv", tmp_path / "rejects.csv"
    path.write_text(
        "type,top_up_id,user_id,channel_id,currency_code,amount_minor\n"
        f"top_up,T1,U1,CH1,CNY,1,{SECRET}\n"
        "top_up,T2,U1,CH1,CNY,200\n"
        "\n"
        "top_up,T3,U1,CH1\n"
        "top_up,T4,U1,CH1,CNY,\n", "utf-8",
    )
    sent = []

    def send(commands):
        sent.extend(command["top_up_id"] for command in commands)
        return [{"status": "posted", "idempotency_key": c["idempotency_key"]} for c in commands]

    done = import_file(path, send, rejects)
    assert sent == ["T2", "T4"]  # an empty cell is a cell
    assert (done.rows, done.posted, done.refused) == (4, 2, 2)
    with rejects.open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert [(row["line"], row["reason"], row["detail"]) for row in found] == [
        ("2", "unknown_field", "the row has 7 cells, the header 6"),
        ("5", "missing_field", "the row has 4 cells, the header 6"),
    ]
    assert SECRET not in rejects.read_text("utf-8")
    assert json.loads(found[1]["row"]) == {
        "type": "top_up", "top_up_id": "T3", "user_id": "U1", "channel_id": "***",
    }


@pytest.mark.parametrize(("text", "what"), [
    (b"type,user_id,user_id\n", "names `user_id` twice"), (b"type,\n", "without a name"),
    (b"type,user_id\ntop_up,\"U1\n", "line 2 cannot be read"),
    (b"type,user_id\ntop_up,\xff\n", "cannot be read"), (b"", "no column `type`"),
])
def test_import_names_what_makes_a_csv_unreadable(world, tmp_path, text, what):
    path = tmp_path / "day.csv"
    path.write_bytes(text)
    with pytest.raises(UsageFault, match=what):
        import_file(path, world.ledger.apply, tmp_path / "r.csv")


def test_import_names_a_parquet_file_that_is_none(world, tmp_path):
    path = tmp_path / "day.parquet"
    path.write_bytes(b"PAR1 no")
    with pytest.raises(UsageFault, match="cannot be read"):
        import_file(path, world.ledger.apply, tmp_path / "r.csv")
    pq.write_table(pa.table({"user_id": ["U1"]}), path)
    with pytest.raises(UsageFault, match="no column `type`"):
        import_file(path, world.ledger.apply, tmp_path / "r.csv")


def _over_http(world):
    """Commands as they arrive: what JSON cannot say is not sent."""
    return lambda commands: world.ledger.apply(orjson.loads(orjson.dumps(commands)), SYSTEM)


@pytest.mark.parametrize("amount", ["--5", "9" * 30, "9" * 5000, "5.0", "+5", "1e3", "５"])
def test_import_goes_on_after_a_number_that_is_none(world, tmp_path, amount):
    path = tmp_path / "day.csv"
    head = "type,occurred_at,top_up_id,user_id,currency_code,amount_minor"
    row = f"top_up,{at(DAY, '10:00:00')},I%d,U1,CNY,%s"
    path.write_text("\n".join((head, row % (1, amount), row % (2, "1000"), "")))
    done = import_file(path, _over_http(world), tmp_path / "r.csv")
    assert (done.posted, done.refused) == (1, 1)
    (line,) = csv.DictReader((tmp_path / "r.csv").open(encoding="utf-8"))
    assert (line["line"], line["reason"], line["field"]) == (
        "2", "amount_out_of_range", "amount_minor")


@pytest.mark.parametrize(("column", "passes"), [
    (pa.array([Decimal(1000)], pa.decimal128(18, 0)), True),
    (pa.array([Decimal("1000.00")], pa.decimal128(18, 2)), False),
    (pa.array([Decimal("1000.50")], pa.decimal128(18, 2)), False),
    (pa.array([Decimal(10**30)], pa.decimal128(38, 0)), False),
    (pa.array([b"1000"]), False), (pa.array([1000], pa.duration("s")), False),
])
def test_import_reads_a_decimal_column_and_names_what_is_no_number(
    world, tmp_path, column, passes
):
    path = tmp_path / "day.parquet"
    pq.write_table(pa.table({
        "type": ["top_up"], "occurred_at": [at(DAY, "10:00:00")], "top_up_id": ["I"],
        "user_id": ["U1"], "currency_code": ["CNY"], "amount_minor": column,
    }), path)
    done = import_file(path, _over_http(world), tmp_path / "r.csv")
    assert (done.posted, done.refused) == (int(passes), int(not passes))
    assert world.balance("2101:U1") == (1_000 if passes else 0)


def test_import_names_what_is_wrong_with_a_file(world, tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(UsageFault, match="no column `type`"):
        import_file(path, world.ledger.apply, tmp_path / "r.csv")
    path = tmp_path / "x.txt"
    path.write_text("")
    with pytest.raises(UsageFault, match="neither CSV nor Parquet"):
        import_file(path, world.ledger.apply, tmp_path / "r.csv")
