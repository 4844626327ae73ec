"""The gate over a small world: what it passes, what it finds, on which date, and what it keeps."""

from __future__ import annotations

from decimal import Decimal

import pytest

import expectations
from paylake import home, ops, release, settings
from paylake.errors import PermanentFailure, UsageFault
from tests.expectations.gate_world import World, good, money


@pytest.fixture
def here(tmp_path):
    return settings.load({}, home=tmp_path / "home")


def gate(here, world: World):
    return expectations.gate(here, world.days[0], world.days[-1])


def failing(result) -> set[tuple]:
    return {(f.business_date, f.check.code) for f in result.failures}


def test_a_good_world_passes_every_check(here):
    world = good()
    world.write(here)
    result = gate(here, world)
    assert failing(result) == set()
    assert set(result.dates.values()) == {"passed"}
    assert result.checked == len(ops.rows(here, "gate_result")) > 150
    assert result.not_determinable == 0


def _edit(column: str, value):
    def edit(rows):
        rows[0][column] = value
        return rows
    return edit


def _add(column: str, amount: str):
    def edit(rows):
        rows[0][column] += money(amount)
        return rows
    return edit


SETTLEMENT = "work.mart_settlement__merchant_day"
KPI = "work.mart_kpi__institution_day"
TIE_ROW = {
    "side": "ledger_only", "business_key": "P-0913-M1-0", "merchant_id": "M1",
    "ledger_amount": money(100), "currency_code": "CNY",
}
CASES = {
    "settlement_grain_unique": (SETTLEMENT, lambda rows: [*rows, dict(rows[0])]),
    "settlement_keys_not_null": (SETTLEMENT, _edit("settlement_status", None)),
    "settlement_status_known": (SETTLEMENT, _edit("settlement_status", "maybe")),
    "settlement_counts_not_negative": (SETTLEMENT, _edit("payment_count", -1)),
    "settlement_amounts_not_null": (SETTLEMENT, _edit("opening_pending_amount", None)),
    "settlement_net_adds_up": (SETTLEMENT, _add("net_amount", "0.01")),
    "settlement_other_adds_up": (SETTLEMENT, _add("chargeback_amount", "0.01")),
    "settlement_closing_adds_up": (SETTLEMENT, _add("closing_pending_amount", "0.01")),
    "settlement_closing_equals_ledger": (SETTLEMENT, lambda rows: rows[1:]),
    "settlement_disputed_equals_ledger": (SETTLEMENT, _add("closing_disputed_amount", "0.01")),
    "settlement_conserves_ledger": (SETTLEMENT, _add("gross_amount", "-0.01")),
    "settlement_rows_present": (SETTLEMENT, lambda rows: []),
    "reserve_unexplained_zero": (
        "work.mart_settlement__reserve_fund_day", _add("unexplained_amount", "0.01")
    ),
    "reserve_items_explain_difference": (
        "work.mart_settlement__reserve_fund_item", lambda rows: []
    ),
    "reserve_book_equals_ledger": (
        "work.mart_settlement__reserve_fund_day", _add("book_amount", "0.01")
    ),
    "reserve_classes_equal_ledger": (
        "work.mart_settlement__reserve_fund_day", _add("prepaid_card_amount", "0.01")
    ),
    "reserve_rolls_forward": (
        "work.mart_settlement__reserve_fund_day", _add("book_inflow_amount", "0.01")
    ),
    "reserve_fees_moved_equal_ledger": (
        "work.mart_settlement__reserve_fund_day", _add("fee_moved_amount", "0.01")
    ),
    "reserve_custodian_equals_statement": (
        "work.mart_settlement__reserve_fund_day", _add("custodian_amount", "0.01")
    ),
    "reserve_amounts_not_null": (
        "work.mart_settlement__reserve_fund_day", _edit("custodian_amount", None)
    ),
    "reserve_item_cause_known": (
        "work.mart_settlement__reserve_fund_item", _edit("cause", "somehow")
    ),
    "double_entry": ("silver.ledger_entry", _add("amount", "0.01")),
    "ledger_entries_equal_day_close": ("silver.ledger_balance", _add("debit_amount", "0.01")),
    "ledger_balance_adds_up": ("silver.ledger_balance", _add("opening_amount", "0.01")),
    "ledger_trial_balance": ("silver.ledger_balance", _add("closing_amount", "0.01")),
    "ledger_balance_continues": ("silver.ledger_balance", _add("opening_amount", "0.01")),
    "ledger_memo_books_apart": (
        "silver.ledger_entry", _edit("account_code", "9201")
    ),
    "ledger_head_present": ("silver.ledger_head", lambda rows: []),
    "ledger_head_chain_end": ("silver.ledger_head", _edit("received_digest", "ff" * 32)),
    "ledger_head_counts": ("silver.ledger_head", _edit("received_leg_count", 1)),
    "ledger_head_trial_balance": (
        "bronze.raw_ledger__balance", _edit("closing_minor", "-1")
    ),
    "ledger_head_continues": ("silver.ledger_head", _edit("previous_anchor", "ff" * 32)),
    "custodian_statement_adds_up": ("silver.custodian_entry", _add("amount", "0.01")),
    "kpi_rows_present": (KPI, lambda rows: []),
    "kpi_institution_conserves_transactions": (KPI, _add("refund_amount", "0.01")),
    "kpi_fee_income_equals_ledger": (KPI, _add("fee_income_amount", "0.01")),
    "kpi_success_rate_band": (KPI, _edit("success_rate", 0.5)),
    "kpi_region_rows_present": ("work.mart_kpi__region_day", lambda rows: []),
    "kpi_mcc_rows_present": ("work.mart_kpi__mcc_day", lambda rows: []),
    "kpi_payment_way_rows_present": ("work.mart_kpi__payment_way_day", lambda rows: []),
    "kpi_region_conserves_institution": (
        "work.mart_kpi__region_day", _add("payment_amount", "0.01")
    ),
    "kpi_mcc_conserves_institution": ("work.mart_kpi__mcc_day", _edit("attempt_count", 7)),
    "kpi_payment_way_conserves_institution": (
        "work.mart_kpi__payment_way_day", _edit("payment_count", 5)
    ),
    "merchant_profile_conserves_transactions": ("work.merchant_profile", lambda rows: rows[1:]),
    "terminal_profile_windows_nest": ("work.terminal_profile", _edit("payment_count_7d", 1)),
    "terminal_profile_night_share_is_share": (
        "work.terminal_profile", _edit("night_share_rate_1d", 1.5)
    ),
    "tie_unexplained_zero": (
        "work.fct_tie_item",
        lambda rows: [
            {**TIE_ROW, "business_date": good().days[1], "open_item_class": "unexplained"}
        ],
    ),
    "tie_lists_every_difference": ("silver.transaction", lambda rows: rows[1:]),
    "tie_not_received": (
        "work.fct_tie_item",
        lambda rows: [
            {**TIE_ROW, "business_key": f"P{n}", "business_date": good().days[1],
             "open_item_class": "not_received"}
            for n in range(3)
        ],
    ),
}


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Every case on a date of its own, two good dates before it, and what the gate says of all.

    The date after may see a fault too, where a check compares with the date before.
    """
    here = settings.load({}, home=tmp_path_factory.mktemp("planted"))
    world = good(3 * len(CASES) + 1)
    for number, (table, edit) in enumerate(CASES.values()):
        day = world.days[3 * number + 1]
        world.change(
            table, day,
            lambda rows, edit=edit, day=day: [{**row, "business_date": day} for row in edit(rows)],
        )
    world.write(here)
    return world, gate(here, world)


@pytest.mark.parametrize("code", CASES)
def test_a_planted_fault_fails_its_check_on_its_date_alone(planted, code):
    world, result = planted
    place = 3 * list(CASES).index(code) + 1
    before, day, after = world.days[place - 1 : place + 2]
    assert (day, code) in failing(result)
    assert result.dates[before] == "passed"
    assert result.dates[day] == "failed"
    caught = {d for d, found in failing(result) if found == code} - {day, after}
    assert {world.days.index(d) % 3 for d in caught} <= {1, 2}  # of other cases, never a good date


def test_a_date_on_which_nobody_paid_lacks_no_figures(here):
    world = good()
    quiet = world.days[1]
    none = {"payment_amount": money(0), "payment_count": 0, "attempt_count": 0,
            "refund_amount": money(0), "refund_count": 0, "success_rate": None}
    world.change(KPI, quiet, lambda rows: [{**row, **none} for row in rows])
    for name in ("region", "mcc", "payment_way"):
        world.change(f"work.mart_kpi__{name}_day", quiet, lambda rows: [])
    world.change("silver.transaction", quiet, lambda rows: [])
    world.write(here)
    found = {code for day, code in failing(gate(here, world)) if day == quiet}
    # What the ledger still has without a transaction is an open item; no figure of trade is amiss.
    assert not {code for code in found if code.startswith("kpi_") and "band" not in code}


def test_cases_cover_most_of_the_suites():
    from expectations import suites

    codes = {check.code for suite in suites.load() for check in suite.checks}
    assert set(CASES) <= codes
    assert len(CASES) >= 30


def test_more_failing_rows_than_the_library_returns_hide_no_date(here):
    world = good()
    for day in world.days:
        world.change(
            SETTLEMENT, day,
            lambda rows: rows + [
                {**rows[0], "merchant_id": f"X{n}", "settlement_status": "wrong"}
                for n in range(250)
            ],
        )
    world.write(here)
    found = failing(gate(here, world))
    assert {day for day, code in found if code == "settlement_status_known"} == set(world.days)
    row = next(
        r for r in ops.rows(here, "gate_result") if r["check_code"] == "settlement_status_known"
    )
    assert row["observed"] == "253 rows, 250 failing"


def test_range_finds_what_days_one_by_one_find(here, tmp_path):
    other = settings.load({}, home=tmp_path / "other")
    for where in (here, other):
        world = good()
        world.change(KPI, world.days[1], _edit("success_rate", 0.5))
        world.change(SETTLEMENT, world.days[2], _add("net_amount", "0.01"))
        world.write(where)
    gate(here, world)
    for day in world.days:
        expectations.gate(other, day, day)
    columns = ("business_date", "check_code", "result", "observed", "detail", "input_digest")

    def seen(where):
        return sorted(
            tuple(str(row[c]) for c in columns) for row in ops.rows(where, "gate_result")
        )

    assert seen(here) == seen(other)
    items = [
        sorted(
            str({k: v for k, v in row.items() if k != "recorded_at"})
            for row in ops.rows(where, "open_item")
        )
        for where in (here, other)
    ]
    assert items[0] == items[1] != []


def test_absent_feeds_are_not_determinable_and_due_ones_fail(here):
    world = good(1)
    world.write(here)
    lake = here.path("lake", "work", "mart_settlement__reserve_fund_day")
    lake.rename(lake.with_name("gone"))
    result = gate(here, world)
    assert result.dates[world.days[0]] == "failed"
    assert (world.days[0], "reserve_unexplained_zero") in failing(result)
    home.claim(
        here,
        home.Home(
            "mapped", {"mapping": "x"},
            ("ledger_journal", "ledger_balance", "custodian_statement"),
        ),
    )
    result = gate(here, world)
    assert result.dates[world.days[0]] == "passed"
    assert result.not_determinable > 20
    assert failing(result) == set()


def test_a_broken_table_is_an_error_that_holds(here):
    world = good(1)
    world.write(here)
    table = here.path("lake", "silver", "custodian_entry")
    table.rename(table.with_name("gone"))
    result = gate(here, world)
    errors = {f.check.code for f in result.failures if f.result == "error"}
    assert "custodian_statement_adds_up" in errors
    assert result.dates[world.days[0]] == "failed"


def test_stragglers_are_open_items_but_do_not_hold(here):
    world = good()
    row = {
        **TIE_ROW, "business_date": world.days[1], "open_item_class": "not_received"
    }
    world.change("work.fct_tie_item", world.days[1], lambda rows: [row])
    world.change(
        "silver.transaction", world.days[1],
        lambda rows: [r for r in rows if r["transaction_id"] != "P-0913-M1-0"],
    )
    world.write(here)
    result = gate(here, world)
    assert (world.days[1], "tie_not_received") not in failing(result)
    assert (world.days[1], "tie_lists_every_difference") not in failing(result)
    items = [r for r in ops.rows(here, "open_item") if r["kind"] == "tie"]
    assert [(r["class"], r["amount"], r["closed_date"]) for r in items] == [
        ("not_received", Decimal("100.0000"), None),
        ("not_received", Decimal("100.0000"), world.days[2]),
    ]


def test_looking_twice_adds_no_open_item(here):
    world = good()
    world.change(KPI, world.days[2], _edit("success_rate", 0.5))
    world.write(here)
    gate(here, world)
    before = ops.rows(here, "open_item")
    gate(here, world)
    assert ops.rows(here, "open_item") == before
    assert {r["kind"] for r in before} == {"reserve", "gate"}


def test_a_waiver_lets_the_date_out_and_lapses_when_an_input_changes(here):
    world = good(1)
    world.change(KPI, world.days[0], _edit("success_rate", 0.5))
    world.write(here)
    day = world.days[0]
    assert gate(here, world).dates == {day: "failed"}
    row = expectations.waive(here, day, "kpi_success_rate_band", "ops", "channel was down")
    assert row["is_demo"] is False
    assert release.verdicts(here, day, day)[day].result == "waived"
    assert gate(here, world).dates == {day: "waived"}
    world.change(KPI, day, _edit("success_rate", 0.6))
    world.write(here)
    assert release.verdicts(here, day, day)[day].result == "not_gated"
    assert gate(here, world).dates == {day: "failed"}


def test_money_checks_cannot_be_waived_and_waivers_need_words(here):
    world = good(1)
    day = world.days[0]
    world.change("silver.ledger_entry", day, _add("amount", "0.01"))
    world.write(here)
    gate(here, world)
    with pytest.raises(PermanentFailure, match="double_entry cannot be waived"):
        expectations.waive(here, day, "double_entry", "ops", "please")
    with pytest.raises(UsageFault, match="does not hold"):
        expectations.waive(here, day, "kpi_success_rate_band", "ops", "please")
    with pytest.raises(UsageFault, match="a person and a reason"):
        expectations.waive(here, day, "double_entry", " ", "please")
    assert ops.rows(here, "waiver") == []


def test_conservation_and_double_entry_are_declared_not_waivable():
    from expectations import suites

    money_checks = [
        check for suite in suites.load() for check in suite.checks if check.kind == "reconcile"
    ]
    assert len(money_checks) > 15
    assert not [check.code for check in money_checks if check.is_waivable]


def test_every_check_is_named_and_explained_in_both_languages():
    from expectations import suites

    checks = [check for suite in suites.load() for check in suite.checks]
    assert len(checks) > 60
    for check in checks:
        assert any("一" <= sign <= "鿿" for sign in check.title_zh), check.code
        assert any("一" <= sign <= "鿿" for sign in check.reason_zh), check.code
        assert check.title_en.isascii() and len(check.title_en) > 3, check.code
    for titles in ([c.title_zh for c in checks], [c.title_en for c in checks]):
        assert len(set(titles)) == len(titles)


def test_a_result_keeps_its_numbers_for_screens(here):
    from paylake import ops

    world = good()
    world.change(SETTLEMENT, world.days[1], _edit("payment_count", -1))
    world.write(here)
    gate(here, world)
    rows = {
        (row["business_date"], row["check_code"]): row
        for row in ops.latest(here, "gate_result", key=("business_date", "check_code"))
    }
    failed = rows[world.days[1], "settlement_counts_not_negative"]
    assert failed["check_kind"] == "between" and failed["differing_count"] > 0
    assert failed["lower_bound"] == 0 and failed["upper_bound"] is None
    passed = rows[world.days[0], "settlement_counts_not_negative"]
    assert passed["compared_count"] > 0 and passed["differing_count"] == 0
