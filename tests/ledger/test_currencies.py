"""A chart that keeps dollars (two decimals) and yen (none) beside renminbi: every amount stays in
its own currency, and is shown and exported with that currency's decimals."""

from __future__ import annotations

import csv
import dataclasses
import json
from decimal import Decimal

import pytest
from fastapi.testclient import TestClient

from ledger.adapters.data_files import load_chart
from ledger.adapters.export import export_day
from ledger.adapters.statement_files import write_statements
from ledger.adapters.tokens import Tokens
from ledger.entrypoints.http import create_app
from ledger.entrypoints.operations import open_ledger, verify
from ledger.service.day_run import DayRun
from paylake.deliveries import read_control
from tests.ledger.conftest import ANN, DAY, SYSTEM, World

SCALES = {"CNY": 2, "JPY": 0, "USD": 2}
FEES = {"issuer_fee_minor": 0, "network_fee_minor": 0}


@pytest.fixture(autouse=True)
def chart(monkeypatch):
    kept = dataclasses.replace(load_chart(), currencies=SCALES)
    for place in ("ledger.entrypoints.operations", "ledger.adapters.export"):
        monkeypatch.setattr(f"{place}.load_chart", lambda: kept)


@pytest.fixture
def money(world):
    """The world with its accounts in the three currencies."""
    codes = [("1001", None), ("2301", None), *(
        (code, f"{kind}{n}") for code, kind in (("2101", "U"), ("2201", "M"), ("2202", "M"))
        for n in (1, 2)
    )]
    for currency in ("USD", "JPY"):
        results = world.ledger.open_accounts([
            {"account_code": code, "party_id": party, "currency_code": currency}
            for code, party in codes
        ], SYSTEM)
        assert {r["status"] for r in results} == {"opened"}, results
    return world


def balance(world: World, account: str, currency: str) -> int:
    return world.ledger.state.account(account, currency).balance


def pay(world: World, currency: str, amount: int, fee: int, name: str, **values):
    return world.do(
        "payment", transaction_id=name, currency_code=currency, amount_minor=amount,
        acquirer_fee_minor=fee, **FEES, **values,
    )


@pytest.fixture
def traded(money):
    """In each currency the same: topped up, paid for, refunded in part, held, paid out."""
    for currency in SCALES:
        assert money.do("top_up", currency_code=currency, amount_minor=50_000)["status"] == "posted"
        assert pay(money, currency, 1999, 7, f"P-{currency}")["status"] == "posted"
        back = money.do(
            "refund", original_transaction_id=f"P-{currency}", currency_code=currency,
            amount_minor=1000, acquirer_fee_minor=4, **FEES,  # 7 x 1000 / 1999, half up
        )
        assert back["status"] == "posted", back
        held = money.send(
            "hold", hold_id=f"H-{currency}", hold_kind="authority", account_id="2101:U1",
            currency_code=currency, amount_minor=49_000, case_number="ORDER",
        )
        assert held["status"] == "posted", held
    return money


def test_each_currency_keeps_its_own_books(traded):
    for currency in SCALES:
        assert balance(traded, "2201:M1", currency) == 1999 - 7 - 1000 + 4
        assert balance(traded, "2301", currency) == 3
        assert balance(traded, "1001", currency) == 50_000 + 999
    assert verify(traded.settings).broken is None


def test_currencies_do_not_mix(traded):
    other = traded.do("refund", original_transaction_id="P-JPY", currency_code="USD",
                      amount_minor=1, acquirer_fee_minor=0, **FEES)
    assert other["reason"] == "original_differs"
    assert pay(traded, "EUR", 100, 0, "P-EUR")["reason"] == "unknown_currency"
    authorisation = traded.authorise("U1", "M1", 500)  # of renminbi
    wrong = pay(traded, "USD", 500, 0, "P-U1", user_id="U1", channel="internal",
                authorisation=authorisation)
    assert wrong["reason"] == "authorisation_differs"
    legs = [
        {"account_id": "2201:M1", "currency_code": currency, "direction": side,
         "amount_minor": 100, "component": "adjustment"}
        for currency, side in (("USD", "D"), ("JPY", "C"))
    ]
    unbalanced = traded.send("adjustment", ANN, adjustment_id="A1", reason="r",
                             incident_number="I1", legs=legs)
    assert unbalanced["reason"] == "books_crossed"


def test_whole_yuan_and_the_least_yuan_are_of_renminbi(money):
    for currency, expected in (("CNY", "not_whole_yuan"), ("USD", None), ("JPY", None)):
        found = money.do("top_up", currency_code=currency, amount_minor=150)
        assert found.get("reason") == expected, found


def test_a_hold_and_a_limit_are_of_one_currency(traded):
    def transfer(currency: str, amount: int, name: str) -> dict:
        authorisation = f"AU-{name}"
        traded.register("authorise", authorisation_id=authorisation, payer_id="U1", payee="U2",
                        amount_minor=amount, currency_code=currency, method="password")
        return traded.send("transfer", transaction_id=name, user_id="U1", payee_id="U2",
                           amount_minor=amount, currency_code=currency,
                           authorisation=authorisation)

    assert transfer("JPY", 1001, "T1")["reason"] == "below_floor"  # 49,000 of 50,000 are held
    assert transfer("JPY", 1000, "T2")["status"] == "posted"
    traded.approved("limit", limit_id="L1", scene="transfer", account_code="2101",
                    currency_code="USD", single_minor=900, valid_from=DAY.isoformat())
    assert transfer("USD", 901, "T3")["reason"] == "limit_exceeded"
    assert transfer("CNY", 901, "T4")["status"] == "posted"


def test_the_date_is_run_closed_exported_and_stated(traded, settings, sent_at):
    ran = DayRun(traded.ledger, DAY).run()
    assert ran.booked == {"settlement": 3}
    head = traded.close()
    assert {row["currency_code"] for row in head["trial_balance"]} == set(SCALES)
    done = export_day(settings, DAY, sent_at=sent_at)
    journal, balances = read_control(done.journal_path), read_control(done.balance_path)
    rows = [json.loads(line) for line in
            (done.journal_path / journal.files[0].name).read_bytes().splitlines()]
    for currency, scale in SCALES.items():
        minor = sum(r["amount_minor"] for r in rows if r["currency_code"] == currency)
        assert journal.amount_totals[currency] == Decimal(minor) / 10**scale
    said = json.loads((done.balance_path / "control.json").read_bytes())["amount_totals"]
    with (done.balance_path / balances.files[0].name).open(encoding="utf-8", newline="") as file:
        closing = sum(int(row["closing_minor"]) for row in csv.DictReader(file)
                      if row["currency_code"] == "JPY")
    assert said["JPY"] == str(closing)
    assert said["USD"] == f"{closing / 100:.2f}"
    assert [file.rows > 0 for file in write_statements(settings, DAY)] == [True, False]
    assert verify(settings).broken is None
    traded.reopen()
    assert balance(traded, "2201:M1", "JPY") == 0


def test_the_interface_says_the_scale_and_the_console_shows_it(traded, settings):
    traded.close()
    token = settings.path("keys", "ledger.token").read_text("ascii")
    app = create_app(settings, traded.ledger, Tokens.load(settings))
    with TestClient(app, raise_server_exceptions=False) as http:
        http.headers["authorization"] = f"Bearer {token}"
        for row in http.get("/v1/balances").json()["balances"]:
            assert row["scale"] == SCALES[row["currency_code"]]
        for row in http.get("/v1/holds").json()["holds"]:
            assert row["scale"] == SCALES[row["currency_code"]]
        for part in ("balance", "standing", "movements", "tree"):
            found = http.get(f"/v1/accounts/2101:U1/{part}?currency_code=JPY").json()
            assert found["scale"] == 0, part
        for row in http.get(f"/v1/parties/M1/days/{DAY}").json()["accounts"]:
            assert row["scale"] == SCALES[row["currency_code"]]
        http.post("/console/login", data={"token": token})
        shown = {
            currency: http.get(f"/console/accounts/2101:U1?currency={currency}&lang=en").text
            for currency in SCALES
        }
        assert "50,000" in shown["JPY"] and "50,000.00" not in shown["JPY"]
        assert "500.00" in shown["USD"]
        assert "人民币" not in shown["USD"] + shown["JPY"]
    traded.ledger = open_ledger(settings, simulated=True)
