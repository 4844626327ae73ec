"""Every chart of every screen, asked of Superset as each role, against the released tables.

What is expected is read from the Delta files at the versions that the release in force pins, by
DuckDB alone: no view of the dashboards and no reader of the product stands between.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import duckdb
import pytest

from dashboards import access, queries
from dashboards.client import Client
from dashboards.source.charts import BY_KEY, CHARTS
from dashboards.source.screens import SCREENS
from dashboards.views import codes, settlement
from dashboards.views.expressions import LANGUAGES
from paylake import release
from paylake.delta_reader import delta_extension

USERS = {user: roles[0] for user, roles in access.DEMO_USERS.items()}
Row = dict[str, Any]


def cents(value: Any) -> Decimal:
    return Decimal(str(value)).quantize(Decimal("0.01"), ROUND_HALF_UP)


def _connection() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute(f"load '{delta_extension()}'")
    return connection


@dataclass
class Truth:
    """The released tables and the ops tables, read on their own.

    :param regions: the regions that the reader may see; None for all.
    """

    root: Any
    versions: dict[str, int]
    day: date
    release_id: str
    regions: list[str] | None = None
    connection: duckdb.DuckDBPyConnection = field(default_factory=_connection)

    def rows(self, sql: str, parameters: list[Any] | None = None) -> list[Row]:
        """Run SQL: ``{table}`` is a gold table as released, ``{ops.table}`` one at latest."""

        def scan(found: re.Match[str]) -> str:
            name = found[1]
            if name.startswith("ops."):
                return f"delta_scan('{self.root / 'ops' / name[4:]}')"
            return f"delta_scan('{self.root / 'gold' / name}', version => {self.versions[name]})"

        found = self.connection.execute(re.sub(r"\{([\w.]+)\}", scan, sql), parameters or [])
        return found.to_arrow_table().to_pylist()

    def one(self, sql: str, parameters: list[Any] | None = None) -> Row:
        (row,) = self.rows(sql, parameters)
        return row

    @property
    def scope(self) -> str:
        """Rows of `mart_settlement__merchant_day` that the reader may see."""
        if self.regions is None:
            return "true"
        return f"region_code in ({', '.join(repr(code) for code in self.regions)})"

    def merchants(self, columns: str, more: str = "true") -> list[Row]:
        """Rows of the merchant mart on the day."""
        return self.rows(
            f"select {columns} from {{mart_settlement__merchant_day}} "
            f"where business_date = ? and {self.scope} and {more}",
            [self.day],
        )


FEES = settlement.FEES
Check = Callable[[list[Row], Truth, str], None]


def _state(rows: list[Row], truth: Truth, language: str) -> None:
    (row,) = rows
    assert truth.release_id in row["state_line"] and f"{truth.day:%m-%d}" in row["state_line"]


def _cards(table: str, columns: list[str]) -> Check:
    def check(rows: list[Row], truth: Truth, language: str) -> None:
        gold = truth.one(f"select * from {{{table}}} where business_date = ?", [truth.day])
        assert len(rows) == len(columns)
        for row, column in zip(rows, columns, strict=True):
            card, value = row["figure_card"], gold[column]
            if value is None:
                assert ">—<" in card
            elif column == "success_rate":
                assert f"{100 * value:.2f}%" in card
            elif column.endswith("_count"):
                assert f"{value:,}" in card
            else:
                assert f"¥{abs(value):,.2f}" in card and ("−" in card) >= (value < 0)

    return check


KPIS = ["payment_amount", "payment_count", "success_rate", "fee_income_amount",
        "active_merchant_count"]  # fmt: skip
RESERVE = ["book_amount", "custodian_amount", "unarrived_amount", "unexplained_amount"]


def _scale(language: str) -> Decimal:
    return Decimal(10_000) if language == "zh" else Decimal(1)


def _overview_trend(rows: list[Row], truth: Truth, language: str) -> None:
    gold = truth.rows(
        "select strftime(business_date, '%m-%d') as d, payment_amount as now,"
        " same_weekday_payment_amount as before from {mart_kpi__institution_day}"
        " where business_date between ? and ?",
        [truth.day - timedelta(days=29), truth.day],
    )
    shown = {row["point_day"].strip()[:5]: row for row in rows}
    assert len(shown) == len(rows) == len(gold) > 1
    for row in gold:
        for name, value in (("amount", row["now"]), ("amount_before", row["before"])):
            got = shown[row["d"]][name]
            if value is None:
                assert got is None
            else:
                assert cents(Decimal(str(got)) * _scale(language)) == cents(value)


def _slice(table: str) -> Check:
    def check(rows: list[Row], truth: Truth, language: str) -> None:
        gold = truth.rows(
            f"select payment_amount, payment_count from {{{table}}} where business_date = ?",
            [truth.day],
        )
        assert rows and sorted(cents(r["payment_amount"]) for r in rows) == sorted(
            cents(r["payment_amount"]) for r in gold
        )
        if "payment_count" in rows[0]:
            assert sum(r["payment_count"] for r in rows) == sum(r["payment_count"] for r in gold)
        total = truth.one(
            "select payment_amount as a from {mart_kpi__institution_day} where business_date = ?",
            [truth.day],
        )
        assert sum(cents(r["payment_amount"]) for r in rows) == cents(total["a"])

    return check


def _reserve_items(rows: list[Row], truth: Truth, language: str) -> None:
    gold = truth.rows(
        "select reference, amount, age_days from {mart_settlement__reserve_fund_item}"
        " where business_date = ?",
        [truth.day],
    )
    assert sorted((r["reference"], cents(r["amount"]), r["age_days"]) for r in rows) == sorted(
        (r["reference"], cents(r["amount"]), r["age_days"]) for r in gold
    )
    reserve = truth.one(
        "select difference_amount as d from {mart_settlement__reserve_fund_day}"
        " where business_date = ?",
        [truth.day],
    )
    assert sum((cents(r["amount"]) for r in rows), Decimal(0)) == cents(reserve["d"])


def _figure(metric: str, sql: str, *, scaled: bool, merchant: bool = False) -> Check:
    """A big number with its line: the last point is the figure shown."""

    def check(rows: list[Row], truth: Truth, language: str) -> None:
        where = "merchant_id = ?" if merchant else truth.scope
        chosen = [_chosen(truth)["merchant_id"]] if merchant else []
        gold = truth.rows(
            f"select business_date as d, sum({sql}) as v from {{mart_settlement__merchant_day}}"
            f" where business_date between ? and ? and {where} group by 1 order by 1",
            [truth.day - timedelta(days=29), truth.day, *chosen],
        )
        points = sorted(rows, key=lambda row: row["point_date"])
        factor = _scale(language) if scaled else Decimal(1)
        assert [cents(Decimal(str(r[metric])) * factor) for r in points] == [
            cents(r["v"]) for r in gold
        ]
        assert gold[-1]["d"] == truth.day

    return check


def _bridge(rows: list[Row], truth: Truth, language: str) -> None:
    sums = ", ".join(f"sum({sign}{column}) as {column}" for column, sign, _, _ in settlement.STEPS)
    (gold,) = truth.merchants(f"{sums}, sum(net_amount) as net")
    index = 2 if language == "zh" else 3
    factor = _scale(language)
    shown = {row["step_name"]: cents(Decimal(str(row["amount"])) * factor) for row in rows}
    assert shown == {step[index]: cents(gold[step[0]]) for step in settlement.STEPS}
    assert sum(shown.values()) == cents(gold["net"])


def _status(rows: list[Row], truth: Truth, language: str) -> None:
    index = LANGUAGES.index(language)
    gold = truth.merchants(
        "settlement_status as s, count(*) as n, sum(payout_amount) as payout,"
        " sum(closing_pending_amount) as pending, sum(closing_disputed_amount) as disputed",
        "true group by 1",
    )
    expected = {
        settlement.STATUSES[r["s"]][index]: (
            r["n"], cents(r["payout"]), cents(r["pending"]), cents(r["disputed"])
        )
        for r in gold
    }  # fmt: skip
    shown = {
        r["status_name"]: (
            r["merchants"], cents(r["payout"]), cents(r["pending"]), cents(r["disputed"])
        )
        for r in rows
    }  # fmt: skip
    assert shown == expected and shown


def _held_merchants(rows: list[Row], truth: Truth, language: str) -> None:
    gold = truth.merchants(
        "closing_pending_amount as a, closing_disputed_amount as b",
        "settlement_status in ('rolled', 'negative', 'disputed')",
    )
    assert sorted(
        (cents(r["closing_pending_amount"]), cents(r["closing_disputed_amount"])) for r in rows
    ) == sorted((cents(r["a"]), cents(r["b"])) for r in gold)


SETTLED = ("gross_amount", "refund_amount", "net_amount", "payout_amount",
           "closing_pending_amount")  # fmt: skip


def _payouts(rows: list[Row], truth: Truth, language: str) -> None:
    gold = truth.merchants(f"merchant_id, {FEES} as fee_amount, {', '.join(SETTLED)}")
    assert len(rows) == len(gold) > 0
    for column in (*SETTLED, "fee_amount"):
        assert sum(cents(r[column]) for r in rows) == sum(cents(r[column]) for r in gold), column
    text = " ".join(row["merchant_link"] for row in rows)
    assert all(r["merchant_id"] in text for r in gold)


def _chosen(truth: Truth) -> Row:
    """The merchant of the merchant screen: the one with most money, within the reader's rows."""
    return truth.merchants(
        "merchant_id, merchant_name", "true order by gross_amount desc, merchant_id limit 1"
    )[0]


def _merchant_curve(rows: list[Row], truth: Truth, language: str) -> None:
    gold = truth.rows(
        "select sum(gross_amount) as g, sum(net_amount) as n, count(*) as days"
        " from {mart_settlement__merchant_day} where merchant_id = ? and business_date <= ?",
        [_chosen(truth)["merchant_id"], truth.day],
    )[0]
    assert len(rows) == gold["days"]
    assert sum(cents(r["gross_exact"]) for r in rows) == cents(gold["g"])
    assert sum(cents(r["net_exact"]) for r in rows) == cents(gold["n"])


def _merchant_fees(rows: list[Row], truth: Truth, language: str) -> None:
    chosen = _chosen(truth)["merchant_id"]
    (gold,) = truth.merchants(
        "*, gross_amount - refund_amount as base", f"merchant_id = '{chosen}'"
    )
    (row,) = rows
    for name in ("issuer", "network", "acquirer"):
        rate = float(gold[f"{name}_fee_amount"]) / float(gold["base"])
        assert row[f"{name}_rate"] == pytest.approx(rate, abs=1e-6)
    assert cents(row["service_fee"]) == cents(gold["service_fee_amount"])


def _merchant_statement(rows: list[Row], truth: Truth, language: str) -> None:
    gold = truth.rows(
        "select *, other_amount as further_amount from {mart_settlement__merchant_day}"
        " where merchant_id = ? order by business_date desc",
        [_chosen(truth)["merchant_id"]],
    )
    assert len(rows) == len(gold) > 1
    columns = [c for c in BY_KEY["merchant_statement"].params["all_columns"] if "amount" in c]
    for shown, row in zip(rows, gold, strict=True):
        assert [cents(shown[c]) for c in columns] == [cents(row[c]) for c in columns]


def _latest(table: str, key: str) -> str:
    return (
        f"(select * from {{ops.{table}}} qualify row_number() over"
        f" (partition by {key} order by recorded_at desc) = 1)"
    )


DELIVERY = _latest("delivery", "feed, business_date, sequence, data_digest")
GATE = _latest("gate_result", "business_date, suite, check_code")
ITEM = _latest("open_item", "kind, item_key")


def _open_now(rows: list[Row], truth: Truth, language: str) -> None:
    lines = " ".join(f"{row['matter']} {row['detail']}" for row in rows)
    for item in truth.rows(
        f'select kind, "class", count(*) as n, sum(abs(amount)) as a from {ITEM}'
        " where closed_date is null and kind <> 'gate' group by all"
    ):
        assert re.search(rf"\b{item['n']}\b", lines) and f"{item['a']:,.2f}" in lines


def _open_brief(rows: list[Row], truth: Truth, language: str) -> None:
    assert 1 <= len(rows) <= 5 and all(row["matter"] for row in rows)


def _dates(rows: list[Row], truth: Truth, language: str) -> None:
    released = {row["release_id"] for row in rows if row["release_id"] != "—"}
    ids = truth.rows("select distinct release_id as r from {ops.release} where through is not null")
    assert released == {row["r"] for row in ids}
    counted = truth.one(
        f"select count(*) filter (where state = 'accepted') as a,"
        f" count(*) filter (where state = 'refused') as r, sum(rows_quarantined) as q"
        f" from {DELIVERY}"
    )
    assert sum(r["accepted_count"] for r in rows) == counted["a"]
    assert sum(r["refused_count"] for r in rows) == counted["r"]
    assert sum(r["rows_quarantined"] for r in rows) == counted["q"]


def _deliveries(rows: list[Row], truth: Truth, language: str) -> None:
    gold = truth.one(
        "select count(*) as n, coalesce(sum(rows), 0) as sent, coalesce(sum(rows_accepted), 0) as a"
        f" from {DELIVERY} where business_date = ?",
        [truth.day],
    )
    assert len(rows) == gold["n"] > 0
    assert sum(r["rows_sent"] for r in rows) == gold["sent"]
    assert sum(r["rows_accepted"] for r in rows) == gold["a"]


def _checks(rows: list[Row], truth: Truth, language: str) -> None:
    gold = truth.rows(f"select result from {GATE} where business_date = ?", [truth.day])
    index = LANGUAGES.index(language)
    assert len(gold) > 10
    assert sorted(row["result_name"].split(" · ")[0] for row in rows) == sorted(
        codes.CHECK_RESULTS[row["result"]][index] for row in gold
    )


def _steps(rows: list[Row], truth: Truth, language: str) -> None:
    gold = truth.one(
        "select round(sum(seconds), 1) as s, count(*) as n from "
        + _latest("run_step", "run_id, step, first_date, last_date")
        + " where last_date = ? and step in ('ingest', 'build', 'gate', 'publish', 'report')",
        [truth.day],
    )
    assert len(rows) == gold["n"] > 0
    assert sum(r["seconds"] for r in rows) == pytest.approx(gold["s"], abs=0.05 * len(rows) + 0.05)


def _quarantined(truth: Truth) -> int:
    """Refused lines that no accepted replay names."""
    folder = truth.root / "quarantine"
    total = sum(
        truth.one(f"select count(*) as n from delta_scan('{log.parent}')")["n"]
        for log in folder.glob("*/_delta_log")
    )
    replays = truth.one(
        f"select count(*) as n from (select unnest(from_json(file_names, '[\"VARCHAR\"]')) as f"
        f" from {DELIVERY} where state = 'accepted') where f like 'replay-%'"
    )
    return total - replays["n"]


def _quarantine_rules(rows: list[Row], truth: Truth, language: str) -> None:
    assert sum(r["refused_rows"] for r in rows) == _quarantined(truth) > 0


def _quarantine_rows(rows: list[Row], truth: Truth, language: str) -> None:
    assert len(rows) == _quarantined(truth)


def _items(rows: list[Row], truth: Truth, language: str) -> None:
    gold = truth.rows(f"select amount from {ITEM} where closed_date is null")
    assert sorted(str(cents(r["amount"] or 0)) for r in rows) == sorted(
        str(cents(r["amount"] or 0)) for r in gold
    )


CHECKS: dict[str, Check] = {
    "state": _state,
    "overview_cards": _cards("mart_kpi__institution_day", KPIS),
    "overview_trend": _overview_trend,
    **dict.fromkeys(("region", "region_phone"), _slice("mart_kpi__region_day")),
    "mcc": _slice("mart_kpi__mcc_day"),
    **dict.fromkeys(("payment_way", "payment_way_phone"), _slice("mart_kpi__payment_way_day")),
    "reserve_cards": _cards("mart_settlement__reserve_fund_day", RESERVE),
    "reserve_items": _reserve_items,
    "open_now": _open_now,
    **dict.fromkeys(("open_brief", "open_phone"), _open_brief),
    "settlement_payout": _figure("payout", "payout_amount", scaled=True),
    "settlement_net": _figure("net", "net_amount", scaled=True),
    "settlement_gross": _figure("gross", "gross_amount", scaled=True),
    "settlement_fees": _figure("fees", FEES, scaled=True),
    "bridge": _bridge,
    "status": _status,
    "held_merchants": _held_merchants,
    "payouts": _payouts,
    "merchant_gross": _figure("gross_exact", "gross_amount", scaled=False, merchant=True),
    "merchant_net": _figure("net_exact", "net_amount", scaled=False, merchant=True),
    "merchant_payout": _figure("payout_exact", "payout_amount", scaled=False, merchant=True),
    "merchant_pending": _figure(
        "pending_exact", "closing_pending_amount", scaled=False, merchant=True
    ),
    "merchant_curve": _merchant_curve,
    "merchant_fees": _merchant_fees,
    "merchant_statement": _merchant_statement,
    "dates": _dates,
    "deliveries": _deliveries,
    "checks": _checks,
    "steps": _steps,
    "quarantine_rules": _quarantine_rules,
    "quarantine_rows": _quarantine_rows,
    "items": _items,
}
# Charts that may have no row on a day: nothing of the kind happened, which the screen says.
MAY_BE_EMPTY = {"held_merchants", "reserve_items", "quarantine_rules", "quarantine_rows", "items"}


@pytest.fixture(scope="module", autouse=True)
def ran(demo):
    assert demo.first.returncode == 0, demo.first.stdout[-3000:] + demo.first.stderr[-3000:]


def _truth(demo, user: str) -> Truth:
    released = release.in_force(demo.settings)
    assert released.through is not None
    roles = access.DEMO_USERS[user]
    regions = sorted(r.removeprefix(access.REGION) for r in roles if r.startswith(access.REGION))
    return Truth(
        demo.settings.path("lake"), released.versions, released.through, released.release_id,
        None if access.SEE_ALL.intersection(roles) else regions,
    )  # fmt: skip


def test_every_chart_is_asked_and_held_against_the_lake():
    assert set(CHECKS) == {chart.key for chart in CHARTS}


def _keys(screen, seen: set[str], *, every: bool) -> list[str]:
    """The charts of a screen to ask for: every one, or one of each dataset, for what a role may
    open is a matter of datasets."""
    keys = [key for row in screen.rows for key, _, _ in row if key != "nav"]
    if every:
        return keys
    found = []
    for key in keys:
        if BY_KEY[key].dataset not in seen:
            seen.add(BY_KEY[key].dataset)
            found.append(key)
    return found


#: The administrator is asked for every chart; the analyst, whose rows are narrower, for one of each
#: dataset, because the rule of rows is the dataset's. The others in `make test-long`.
@pytest.mark.parametrize(("user", "every"), [
    ("admin", True), ("analyst", False),
    *(pytest.param(user, False, marks=pytest.mark.long) for user in ("management", "operations")),
    *(pytest.param(user, True, marks=pytest.mark.long) for user in USERS if user != "admin"),
])
def test_what_charts_return_equals_the_released_tables(demo, user, every):
    """Rows, counts and amounts, to the cent; nothing where the role has no right."""
    reader, administrator = Client(demo.settings, user), Client(demo.settings, "admin")
    truth = _truth(demo, user)
    opened = {
        f"{chart.dataset}_{language}" for chart in CHARTS for language in LANGUAGES
    } if USERS[user] == "Admin" else access.datasets_of(
        next(role for role in access.ROLES if role.name == USERS[user])
    )  # fmt: skip
    merchant = _chosen(truth)
    values = {
        "day": [str(truth.day)],
        "merchant": [f"{merchant['merchant_name']} {merchant['merchant_id']}"],
    }
    answered = refused = charts = 0
    seen: set[str] = set()
    ids: dict[str, int] = {}
    # Each chart in one language; the next user asks for the other one.
    turn = list(USERS).index(user)
    for screen in SCREENS:
        # The merchant filter is set where a screen is about one merchant.
        given = values if screen.key == "merchant" else {"day": values["day"]}
        keys = _keys(screen, seen, every=every)
        charts += len(keys)
        for position, key in enumerate(keys):
            language = LANGUAGES[(position + turn) % len(LANGUAGES)]
            table = f"{BY_KEY[key].dataset}_{language}"
            if table not in ids:
                ids[table] = administrator.dataset(table)
            filters = queries.filters_of(screen, key, given)
            status, rows = reader.chart(key, language, filters, ids[table])
            if table not in opened:
                assert status == 403 and not isinstance(rows, list), (key, status, rows)
                refused += 1
                continue
            assert status == 200, (key, language, rows)
            assert rows or key in MAY_BE_EMPTY, (key, language)
            CHECKS[key](rows, truth, language)
            answered += 1
    assert answered + refused == charts
    assert answered > (10 if every else 3)
    assert (refused > 0) == (USERS[user] in ("management", "analyst"))
