"""The answer file: complete, equal each time, and in agreement with itself."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from simulator.answers import answers, encode
from simulator.params import Params
from simulator.plan import MALFORMED
from simulator.world import World
from tests.simulator.conftest import SMALL

KINDS = {
    *MALFORMED, "truncated_file", "wrong_control_total", "wrong_key", "resent_file", "late_row",
    "new_column", "clearing_late", "payout_late", "receipt_booked_later", "receipt_unknown",
    "dispute", "held", "waived",
}


@pytest.fixture(scope="module")
def noted(world):
    return answers(world)


def test_every_kind_is_planted_and_explained(noted):
    assert {p["kind"] for p in noted["problems"]} == KINDS
    assert len({p["id"] for p in noted["problems"]}) == len(noted["problems"]) >= len(KINDS)
    for problem in noted["problems"]:
        assert problem["where"] and problem["expected"] and problem["resolution"]["how"]
    assert noted["left_out"] == {}
    resolutions = {p["resolution"]["how"] for p in noted["problems"] if p["kind"] in MALFORMED}
    assert resolutions == {"replay", "stays_open"}


def test_the_same_world_writes_the_same_bytes(noted):
    assert encode(answers(World(SMALL))) == encode(noted)


def test_reserve_is_explained_to_the_cent(noted):
    with_items = 0
    for entry in noted["dates"].values():
        reserve = entry["reserve"]
        difference = Decimal(reserve["book_amount"]) - Decimal(reserve["custodian_amount"])
        assert difference == Decimal(reserve["difference_amount"])
        assert difference == sum(Decimal(item["amount"]) for item in reserve["items"])
        with_items += bool(reserve["items"])
    assert with_items >= 6


def test_ledger_balances_and_merchants_agree(noted):
    for entry in noted["dates"].values():
        balances = {k: Decimal(v) for k, v in entry["ledger"]["balances"].items()}
        assert balances["1001"] == sum(v for k, v in balances.items() if k != "1001")
        merchants = entry["merchants"].values()
        assert sum(Decimal(m["closing_pending_amount"]) for m in merchants) == balances["2201"]
        traded = entry["traded"]
        assert sum(Decimal(m["gross_amount"]) for m in merchants) == Decimal(
            traded["payment_amount"]
        )
        for grouping in ("by_region", "by_mcc", "by_payment_way"):
            assert sum(g["payment_count"] for g in traded[grouping].values()) == (
                traded["payment_count"]
            )


def test_silver_is_traded_less_quarantine_plus_replays(noted):
    traded = sum(e["traded"]["row_count"] for e in noted["dates"].values())
    silver = sum(e["silver"]["row_count"] for e in noted["dates"].values())
    open_rows = [
        p for p in noted["problems"]
        if p["kind"] in MALFORMED and p["resolution"]["how"] == "stays_open"
    ]
    assert open_rows and traded - silver == len(open_rows)


def test_dates_that_do_not_go_out_at_once(noted):
    late = {d: e["release"]["why"] for d, e in noted["dates"].items() if e["release"]["why"]}
    assert sorted(late.values()) == ["held", "waived", "wrong_control_total"]
    assert noted["held_date"] in late and noted["waived_date"] in late


def test_a_tiny_world_says_what_it_could_not_plant():
    params = Params(date(2026, 9, 12), 5, merchants=5, terminals=5, txns=60, seed=1)
    noted = answers(World(params))
    planted = {p["kind"] for p in noted["problems"]}
    assert planted and set(noted["left_out"]) == KINDS - planted
    assert {"held", "waived"} <= planted
    assert set(MALFORMED) <= set(noted["left_out"])
