"""A home whose serving files hold made-up gold and ops tables, for tests and for looking.

The rows are invented, but they add up as the marts' definitions say: net is gross less refunds,
fees and disputes; closing is opening plus net less payout; the KPI tables are sums over
the merchants.

    python -m tests.dashboards.serving_fixture --home var/dashboards-dev [--kind full|mapped|empty]
"""

from __future__ import annotations

import argparse
import json
import random
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from dashboards import views
from dashboards.views import required
from paylake.contracts import arrow_type
from paylake.dates import run_time
from paylake.settings import Settings, load

FIRST = date(2026, 9, 12)
REGIONS = [
    ("440000", "广东", "Guangdong", 9), ("310000", "上海", "Shanghai", 8),
    ("330000", "浙江", "Zhejiang", 6), ("320000", "江苏", "Jiangsu", 6),
    ("110000", "北京", "Beijing", 6), ("510000", "四川", "Sichuan", 4),
    ("370000", "山东", "Shandong", 4), ("420000", "湖北", "Hubei", 3),
    ("350000", "福建", "Fujian", 3), ("610000", "陕西", "Shaanxi", 2),
    ("500000", "重庆", "Chongqing", 2), ("530000", "云南", "Yunnan", 1),
]  # fmt: skip
MCCS = [
    ("5812", "餐馆", "Restaurants", 40), ("5411", "超市", "Supermarkets", 120),
    ("5912", "药店", "Pharmacies", 60), ("7011", "酒店", "Hotels", 480),
    ("5541", "加油站", "Service stations", 220), ("5651", "服装", "Clothing", 160),
    ("5732", "电子产品", "Electronics", 900), ("8062", "医院", "Hospitals", 350),
]  # fmt: skip
CENT = Decimal("0.01")


def _cents(value: Decimal) -> Decimal:
    return value.quantize(CENT, ROUND_HALF_UP)


def _merchants(rng: random.Random, count: int) -> list[dict[str, Any]]:
    surnames, trades = (
        "王李张刘陈杨黄周吴徐",
        ["百货", "餐饮", "药房", "商贸", "服饰", "数码", "便利店"],
    )
    made = []
    for number in range(1, count + 1):
        region = rng.choices(REGIONS, [r[3] for r in REGIONS])[0]
        mcc = rng.choice(MCCS)
        made.append(
            {
                "merchant_id": f"M{number:06d}",
                "merchant_name": f"{region[1]}{rng.choice(surnames)}记"
                f"{rng.choice(trades)}{number}号",
                "merchant_type": rng.choices(["enterprise", "sole_trader", "micro"], [4, 4, 2])[0],
                "region": region,
                "mcc": mcc,
                "settlement_mode": "institution_managed",
                "settlement_cycle": rng.choices(["T+1", "D+1", "T+0"], [6, 3, 1])[0],
                "fee_class": rng.choices(["STD", "PREF_78", "WAIVED"], [7, 2, 1])[0],
                "minimum_payout_amount": Decimal(rng.choice([0, 0, 10, 100, 1000])),
                "size": rng.lognormvariate(3, 0.9),
            }
        )
    return made


def _settlement(rng: random.Random, merchants: list[dict], days: list[date]) -> list[dict]:
    pending: dict[str, Decimal] = defaultdict(Decimal)
    rows = []
    for day in days:
        shape = 1.25 if day.weekday() >= 5 else 1.0
        shape *= 1.6 if date(2026, 10, 1) <= day <= date(2026, 10, 7) else 1.0
        for m in merchants:
            payments = max(0, round(rng.gauss(m["size"] * shape, m["size"] ** 0.5)))
            gross = sum(
                (
                    _cents(Decimal(m["mcc"][3] * rng.lognormvariate(0, 0.5)))
                    for _ in range(payments)
                ),
                Decimal(0),
            )
            refunds = sum(rng.random() < 0.02 for _ in range(payments))
            refund = _cents(gross / payments * refunds) if payments else Decimal(0)
            if rng.random() < 0.004:
                refund = _cents(gross * Decimal("1.8") + 50)
                refunds = max(1, refunds)
            issuer = _cents((gross - refund) * Decimal("0.0040"))
            network = _cents((gross - refund) * Decimal("0.0004"))
            acquirer = _cents((gross - refund) * Decimal("0.0016"))
            service = Decimal("1.00") if rng.random() < 0.05 else Decimal(0)
            disputed = _cents(gross / 4) if rng.random() < 0.003 else Decimal(0)
            voided = Decimal("1.50") if payments > 5 and m is merchants[0] else Decimal(0)
            net = gross - refund - issuer - network - acquirer - service - disputed - voided
            opening = pending[m["merchant_id"]]
            payable = opening + net
            pays = payable > 0 and payable >= m["minimum_payout_amount"] and day.weekday() != 0
            payout = payable if pays else Decimal(0)
            closing = opening + net - payout
            pending[m["merchant_id"]] = closing
            status = (
                "disputed" if disputed else "negative" if closing < 0 else "paid" if pays
                else "rolled" if 0 < closing < m["minimum_payout_amount"]
                else "due" if closing > 0 else "none"
            )  # fmt: skip
            rows.append(
                {
                    **{k: v for k, v in m.items() if k not in ("region", "mcc", "size")},
                    "business_date": day, "region_code": m["region"][0], "mcc": m["mcc"][0],
                    "currency_code": "CNY", "payment_count": payments, "gross_amount": gross,
                    "refund_count": refunds, "refund_amount": refund,
                    "issuer_fee_amount": issuer, "network_fee_amount": network,
                    "acquirer_fee_amount": acquirer, "service_fee_amount": service,
                    "disputed_amount": disputed, "adjustment_amount": Decimal(0),
                    "net_amount": net, "opening_pending_amount": opening,
                    "other_amount": -voided, "void_amount": voided,
                    "payout_amount": payout, "closing_pending_amount": closing,
                    "closing_disputed_amount": disputed,
                    "due_date": day + timedelta(days=1), "settlement_status": status,
                }
            )  # fmt: skip
    return rows


def _slices(rows: list[dict], merchants: list[dict], days: list[date]) -> dict[str, list[dict]]:
    names = {m["merchant_id"]: m for m in merchants}
    keys = {
        "mart_kpi__region_day": lambda r: dict(
            zip(("region_code", "region_name_zh", "region_name_en"),
                names[r["merchant_id"]]["region"], strict=False)
        ),
        "mart_kpi__mcc_day": lambda r: dict(
            zip(("mcc", "mcc_name_zh", "mcc_name_en"), names[r["merchant_id"]]["mcc"],
                strict=False)
        ),
    }  # fmt: skip
    result: dict[str, list[dict]] = {}
    for table, key in keys.items():
        sums: dict[tuple, list] = {}
        for r in rows:
            k = key(r)
            cell = sums.setdefault((r["business_date"], tuple(k.items())), [Decimal(0), 0])
            cell[0] += r["gross_amount"]
            cell[1] += r["payment_count"]
        totals: dict[date, Decimal] = defaultdict(Decimal)
        for (day, _), (amount, _n) in sums.items():
            totals[day] += amount
        result[table] = [
            {
                "business_date": day, **dict(k), "currency_code": "CNY", "payment_amount": a,
                "payment_count": n, "success_rate": 0.97,
                "share_rate": float(a / totals[day]) if totals[day] else None,
                "same_weekday_payment_amount": sums.get((day - timedelta(days=7), k), [None])[0],
            }
            for (day, k), (a, n) in sums.items()
        ]  # fmt: skip
    ways = [("bank_card", "debit", "0.3"), ("bank_card", "credit", "0.2"),
            ("qr_code", "debit", "0.2"), ("qr_code", "credit", "0.1"),
            ("qr_code", "balance", "0.2")]  # fmt: skip
    totals = {d: sum((r["gross_amount"] for r in rows if r["business_date"] == d), Decimal(0))
              for d in days}  # fmt: skip
    result["mart_kpi__payment_way_day"] = [
        {
            "business_date": d, "payment_way": w, "funding": f, "currency_code": "CNY",
            "payment_amount": _cents(totals[d] * Decimal(s)), "payment_count": 1000,
            "success_rate": 0.97, "share_rate": float(s),
            "same_weekday_payment_amount": _cents(totals[d - timedelta(days=7)] * Decimal(s))
            if d - timedelta(days=7) in totals else None,
        }
        for d in days for w, f, s in ways
    ]  # fmt: skip
    return result


def _institution(rows: list[dict], days: list[date], *, ledger: bool) -> list[dict]:
    kpis: dict[date, dict[str, Any]] = {}
    for day in days:
        own = [r for r in rows if r["business_date"] == day]
        payments = sum(r["payment_count"] for r in own)
        attempts = round(payments / 0.97)
        kpis[day] = {
            "business_date": day, "currency_code": "CNY",
            "payment_amount": sum((r["gross_amount"] for r in own), Decimal(0)),
            "payment_count": payments, "attempt_count": attempts,
            "success_rate": round(payments / attempts, 9),
            "refund_amount": sum((r["refund_amount"] for r in own), Decimal(0)),
            "refund_count": sum(r["refund_count"] for r in own),
            "fee_income_amount": sum(
                (r["acquirer_fee_amount"] + r["service_fee_amount"] for r in own), Decimal(0))
            if ledger else None,
            "active_merchant_count": sum(r["payment_count"] > 0 for r in own) if ledger else None,
            "active_terminal_count": 900,
            "reserve_unexplained_amount": Decimal(0) if ledger else None,
        }  # fmt: skip
        for name in ("payment_amount", "payment_count", "success_rate", "fee_income_amount",
                     "active_merchant_count"):  # fmt: skip
            earlier = kpis.get(day - timedelta(days=7), {}).get(name)
            before = sorted(float(kpis[d][name]) for d in kpis if kpis[d][name] is not None)
            kpis[day][f"same_weekday_{name}"] = earlier
            kpis[day][f"median_30d_{name}"] = before[len(before) // 2] if before else None
    return list(kpis.values())


def gold_tables(kind: str = "full", days: int = 30, merchants: int = 300) -> dict[str, list[dict]]:
    """Rows of each gold table.

    :param kind: ``full``; ``mapped`` for a home without merchants, ledger and custodian.
    """
    rng = random.Random(7)
    dates = [FIRST + timedelta(days=n) for n in range(days)]
    people = _merchants(rng, merchants)
    rows = _settlement(rng, people, dates)
    tables = {"mart_kpi__institution_day": _institution(rows, dates, ledger=kind == "full")}
    slices = _slices(rows, people, dates)
    if kind == "mapped":
        return {**tables, "mart_kpi__payment_way_day": slices["mart_kpi__payment_way_day"]}
    reserve, items = [], []
    for day in dates:
        owed = sum(
            (r["closing_pending_amount"] for r in rows if r["business_date"] == day), Decimal(0)
        )
        waiting = [Decimal("12345.67"), Decimal("-800.00")]
        book = Decimal("5000000") + owed
        reserve.append(
            {
                "business_date": day, "currency_code": "CNY", "book_amount": book,
                "custodian_amount": book - sum(waiting), "difference_amount": sum(waiting),
                "unarrived_amount": sum(waiting), "unexplained_amount": Decimal(0),
                "item_count": 2, "largest_age_days": 2,
            }
        )  # fmt: skip
        items += [
            {
                "business_date": day, "reference": f"CLR-unionpay-{day:%Y%m%d}",
                "side": "book_only", "cause": "book_in_bank_not", "amount": waiting[0],
                "currency_code": "CNY", "first_date": day, "age_days": 0,
            },
            {
                "business_date": day, "reference": f"PO{day:%Y%m%d}0007", "side": "book_only",
                "cause": "book_out_bank_not", "amount": waiting[1], "currency_code": "CNY",
                "first_date": day - timedelta(days=2), "age_days": 2,
            },
        ]  # fmt: skip
    return {
        **tables, **slices, "mart_settlement__merchant_day": rows,
        "mart_settlement__reserve_fund_day": reserve,
        "mart_settlement__reserve_fund_item": items,
    }  # fmt: skip


def ops_tables(days: int = 30, *, held: bool = False) -> dict[str, list[dict]]:
    """Rows of the ops tables for the same dates; with `held`, the last date did not go out."""
    settings = load({})
    dates = [FIRST + timedelta(days=n) for n in range(days)]
    feeds = ["transaction", "ledger_journal", "ledger_balance", "merchant", "terminal",
             "custodian_statement"]  # fmt: skip
    rng = random.Random(11)
    out: dict[str, list[dict]] = defaultdict(list)
    for number, day in enumerate(dates):
        at = run_time(day, settings).replace(tzinfo=None)
        for feed in feeds:
            refused = feed == "transaction" and number == 5
            common = {
                "feed": feed, "business_date": day, "sent_at": at - timedelta(hours=6),
                "received_at": at, "rows": 10000, "amount_totals": "{}", "key_id": "switch-1",
                "recorded_at": at,
            }  # fmt: skip
            bad = rng.choice([0, 0, 0, 2, 5]) if feed in ("transaction", "merchant") else 0
            if refused:
                out["delivery"].append(
                    {**common, "sequence": 1, "delivery_id": f"{feed}/{day}/1", "state": "refused",
                     "reason_code": "wrong_digest", "data_digest": "a" * 64,
                     "reason": "The file's SM3 is not the one in control.json. Ask for it again."}
                )  # fmt: skip
            out["delivery"].append(
                {**common, "sequence": 2 if refused else 1,
                 "delivery_id": f"{feed}/{day}/{2 if refused else 1}", "state": "accepted",
                 "rows_accepted": 10000 - bad, "rows_quarantined": bad, "data_digest": "b" * 64,
                 "unclassed_columns": '["backup_card"]' if number == 20 and not refused
                 and feed == "transaction" else "[]"}
            )  # fmt: skip
            for line in range(bad):
                out["quarantine_row"].append(
                    {"table_name": "raw_switch__transaction" if feed == "transaction"
                     else "raw_registry__merchant",
                     "business_date": day, "rule_code": rng.choice(
                         ["bad_number", "missing_value", "bad_enum", "duplicate_key"]),
                     "rule_detail": "amount is not a number",
                     "record_key": f"T{day:%m%d}{line:04d}",
                     "merchant_id": None, "amount": Decimal("88.00"),
                     "_delivery_id": f"{feed}/{day}/1", "_file_name": f"{feed}.csv",
                     "_line_number": 100 + line}
                )  # fmt: skip
        begun = at
        for step, seconds in (("ingest", 4.0), ("build", 11.0), ("gate", 3.0), ("publish", 1.5),
                              ("report", 5.0)):  # fmt: skip
            out["run_step"].append(
                {"run_id": f"run-{day}", "step": step, "first_date": day, "last_date": day,
                 "started_at": begun, "seconds": seconds * rng.uniform(0.8, 1.3),
                 "result": "held" if held and day == dates[-1] and step in ("gate", "publish")
                 else "done", "recorded_at": at + timedelta(seconds=30)}
            )  # fmt: skip
            begun += timedelta(seconds=seconds)
        for suite, code in (
            ("mart_settlement__merchant_day", "settlement_net_adds_up"),
            ("mart_settlement__merchant_day", "settlement_closing_equals_ledger"),
            ("mart_settlement__reserve_fund_day", "reserve_unexplained_zero"),
            ("mart_kpi__institution_day", "kpi_institution_conserves_transactions"),
        ):
            failed = held and day == dates[-1] and code == "settlement_closing_equals_ledger"
            out["gate_result"].append(
                {"business_date": day, "run_id": f"run-{day}", "suite": suite,
                 "check_code": code, "severity": "fail", "result": "fail" if failed else "pass",
                 "check_kind": "reconcile", "compared_count": 300, "differing_count": 3 * failed,
                 "input_digest": "c" * 64, "is_waivable": code != "settlement_net_adds_up",
                 "owner": "settlement@paylake.example", "recorded_at": at}
            )  # fmt: skip
        if not (held and day == dates[-1]):
            out["release"].append(
                {"release_id": f"R{number + 1:04d}-{day}", "sequence": number + 1, "through": day,
                 "previous_digest": "", "digest": "d" * 64, "document": "{}",
                 "delta_versions": "{}", "recorded_at": at}
            )  # fmt: skip
    first = out["quarantine_row"][0]  # corrected since
    out["delivery"].append(
        {"feed": first["_delivery_id"].split("/")[0], "business_date": dates[-1], "sequence": 9,
         "delivery_id": "replay", "state": "accepted", "rows": 1, "rows_accepted": 1,
         "rows_quarantined": 0, "amount_totals": "{}", "key_id": "paylake-1",
         "file_names": json.dumps([f"replay-{first['business_date']}-1-L{first['_line_number']}-"
                                   f"{first['_file_name']}"]),
         "data_digest": "e" * 64, "recorded_at": datetime(2026, 10, 12)}
    )  # fmt: skip
    for day, code, subject, detail in (
        (dates[20], "unclassed_column", "transaction.backup_card", "No contract classes it."),
        (dates[-2], "task_failed", "paylake_build.build", "exit 15: paylake: The disk is full."),
        (dates[-1], "task_failed", "paylake_publish.publish", "exit 12: paylake: it is held."),
    ):
        out["alarm"].append(
            {"business_date": day, "alarm_code": code, "subject": subject, "state": "raised",
             "severity": "critical", "detail": detail, "recorded_at": datetime(2026, 10, 12)}
        )  # fmt: skip
    out["open_item"].append(
        {"business_date": dates[-3], "kind": "tie", "item_key": "ledger_only:T1:CNY",
         "class": "quarantined",
         "amount": Decimal("88.00"), "currency_code": "CNY", "age_days": 2,
         "merchant_id": "M000007",
         "recorded_at": datetime(2026, 10, 12)}
    )  # fmt: skip
    return dict(out)


def _store(connection: Any, name: str, columns: dict[str, str], rows: list[dict]) -> None:
    # Through Arrow, so that decimals stay decimals and absent columns are null.
    schema = pa.schema([(n, arrow_type(t)) for n, t in columns.items()])
    table = pa.Table.from_pylist([{n: r.get(n) for n in columns} for r in rows], schema=schema)
    connection.register("incoming", table)
    typed = ", ".join(f'cast("{n}" as {t}) as "{n}"' for n, t in columns.items())
    connection.execute(f'create table "{name}" as select {typed} from incoming')
    connection.unregister("incoming")


def write_release(settings: Settings, tables: dict[str, list[dict]], sequence: int = 30) -> str:
    """A serving file with these gold tables, made the release in force."""
    through = max(r["business_date"] for r in tables["mart_kpi__institution_day"])
    release_id = f"R{sequence:04d}-{through}"
    folder = settings.path("serving")
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{release_id}.duckdb"
    file.unlink(missing_ok=True)
    connection = duckdb.connect(str(file))
    columns = {**required.GOLD, **required.RELEASE}
    rows = {
        **tables,
        "release": [{"release_id": release_id, "sequence": sequence, "through": through}],
    }
    for name, found in rows.items():
        _store(connection, name, columns[name], found)
    for name, sql in views.view_definitions({n: columns[n] for n in rows}):
        connection.execute(f'create view "{name}" as {sql}')
    connection.close()
    pointer = folder / ".CURRENT.new"
    pointer.write_text(release_id + "\n", "utf-8")
    pointer.replace(folder / "CURRENT")
    return release_id


def write_ops(settings: Settings, tables: dict[str, list[dict]]) -> None:
    """``ops.duckdb`` with these tables."""
    file = settings.path("serving", "ops.duckdb")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    connection = duckdb.connect(str(file))
    for name, rows in tables.items():
        _store(connection, name, required.ops()[name], rows)
    for name, sql in views.ops_view_definitions(tables):
        connection.execute(f'create view "{name}" as {sql}')
    connection.close()


def make_home(home: Path, kind: str = "full") -> Settings:
    """A home of made-up data.

    :param kind: ``full``, ``held`` (the last date is held back), ``mapped`` (no merchants, ledger,
        custodian), ``empty`` (nothing released).
    """
    settings = load(home=home)
    home.mkdir(parents=True, exist_ok=True)
    mapped = kind == "mapped"
    home.joinpath("home.json").write_text(
        json.dumps({"kind": "simulated", "made_at": datetime.now(UTC).isoformat()}), "utf-8"
    )
    if kind == "empty":
        return settings
    days = 29 if kind == "held" else 30
    write_release(settings, gold_tables("mapped" if mapped else "full", days), days)
    write_ops(settings, ops_tables(30, held=kind == "held"))
    return settings


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--kind", default="full", choices=["full", "held", "mapped", "empty"])
    given = parser.parse_args()
    make_home(given.home, given.kind)


if __name__ == "__main__":
    main()
