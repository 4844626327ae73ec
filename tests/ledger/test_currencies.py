"""A chart that keeps dollars (two decimals) and yen (none) beside renminbi: every amount stays in
its own currency, and is shown and exported with that currency's decimals."""

from __future__ import annotations

import csv
import json
from decimal import Decimal

import pytest
from fastapi.testclient import TestClient

from ledger.adapters.export import export_day
from ledger.adapters.statement_files import write_statements
from ledger.adapters.tokens import Tokens
from ledger.domain.tariffs import ONE_FOR_ALL
from ledger.entrypoints.http import create_app
from ledger.entrypoints.operations import open_ledger, verify
from ledger.service.approvals import lacks_approval
from ledger.service.day_run import DayRun
from paylake.deliveries import read_control
from tests.ledger.conftest import ANN, DAY, World
from tests.ledger.conftest import SCALES as KEPT
from tests.ledger.rules.words import posted, refused, run

FEES = {"issuer_fee_minor": 0, "network_fee_minor": 0}
pytestmark = pytest.mark.usefixtures("currencies")
#: Those in which everything happens here.
SCALES = {name: scale for name, scale in KEPT.items() if name != "KWD"}


@pytest.fixture
def money(world):
    """The world with its accounts in the three currencies."""
    world.open_in("USD", "JPY")
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


def test_a_tariff_is_of_one_currency(money):
    """200 fen and 5,000 yuan say nothing of yen: until yen have a tariff of their own the rates
    hold for them, no least fee, and each withdrawal has its checker."""
    for currency in SCALES:
        posted(money.do("top_up", currency_code=currency, amount_minor=50_000))
    money.approved("tariff", tariff_id="T1", bank_ppm=4_000, third_party_ppm=8_000,
                   least_minor=200, approval_above_minor=500_000)

    def withdraw(currency: str, amount: int, fee: int, sender=ANN) -> dict:
        return money.send(
            "withdrawal", sender, withdrawal_id=f"W{money.number}", user_id="U1",
            destination_id="D1", amount_minor=amount, currency_code=currency, fee_minor=fee,
            authorisation=money.authorise("U1", "D1", amount, currency),
        )

    assert withdraw("CNY", 5_000, 20)["detail"] == "fee_minor must be 200"
    posted(withdraw("CNY", 5_000, 200))
    assert refused(withdraw("JPY", 5_000, 200), "fee_differs")
    assert withdraw("JPY", 5_000, 20)["status"] == "pending"
    money.approved("tariff", tariff_id="T2", bank_ppm=4_000, third_party_ppm=8_000, least_minor=30,
                   approval_above_minor=10_000, currency_code="JPY")
    assert refused(withdraw("JPY", 5_000, 20), "fee_differs")
    posted(withdraw("JPY", 5_000, 30))
    assert withdraw("JPY", 10_001, 40)["status"] == "pending"
    posted(withdraw("CNY", 5_000, 200))  # as before
    assert withdraw("USD", 5_000, 20)["status"] == "pending"
    assert refused(money.send("tariff", ANN, tariff_id="T3", bank_ppm=0, third_party_ppm=0,
                              least_minor=0, approval_bound="none", currency_code="EUR"),
                   "unknown_currency")
    assert verify(money.settings).broken is None


def test_what_was_withdrawn_under_one_tariff_for_all_is_judged_by_it(money):
    """Entries of before: a withdrawal of dollars below the bound, which was of no currency."""
    money.approved("tariff", tariff_id="T1", bank_ppm=4_000, third_party_ppm=8_000,
                   least_minor=200, approval_above_minor=500_000)
    row = ("", "", "withdrawal", ONE_FOR_ALL, "posted", "", "", "caller:C1", "", "",
           DAY.isoformat(), "", json.dumps({"amount_minor": 5_000, "currency_code": "USD"}))
    operations, state = money.ledger.operations, money.ledger.state
    assert lacks_approval(operations, state, row, ()) is None
    now = (*row[:3], ONE_FOR_ALL + 1, *row[4:])
    assert lacks_approval(operations, state, now, ()) == (
        "withdrawal needs a checker, and it has no approval")


def test_the_contracts_minimum_is_of_the_base_currency(money):
    money.merchant("M3", minimum_minor=10_000)
    for currency in ("CNY", "JPY"):
        results = money.ledger.open_accounts(
            [{"account_code": "2201", "party_id": "M3", "currency_code": currency}])
        assert results[0]["status"] == "opened"
        posted(pay(money, currency, 9_000, 0, f"P-{currency}", merchant_id="M3"))
    ran = run(money, 0)
    assert ran.amounts == {"settlement": 9_000}  # the yen
    assert [(row["account_id"], row["reason"]) for row in ran.not_paid] == [
        ("2201:M3", "below_minimum")
    ]
    assert balance(money, "2201:M3", "JPY") == 0
    posted(pay(money, "JPY", 10, 0, "P-2", merchant_id="M3"))
    by_hand = money.do("settlement", merchant_id="M3", amount_minor=10, currency_code="JPY")
    assert posted(by_hand)


def test_a_start_fee_of_the_contract_is_of_the_base_currency(money):
    wrong = money.send("fee_charge", fee_id="F", merchant_id="M1", fee_item="access",
                       amount_minor=500, currency_code="JPY")
    assert refused(wrong, "fee_differs", "currency_code")
    other = money.send("fee_charge", fee_id="F2", merchant_id="M1", fee_item="access",
                       amount_minor=500, currency_code="CNY")
    assert refused(other, "fee_differs", "amount_minor")  # this contract asks none


def test_a_read_without_a_currency_is_refused_where_there_are_several(traded, settings):
    """Else yen would be taken for renminbi, or a balance for the only one."""
    token = settings.path("keys", "ledger.token").read_text("ascii")
    app = create_app(settings, traded.ledger, Tokens.load(settings))
    with TestClient(app, raise_server_exceptions=False) as http:
        http.headers["authorization"] = f"Bearer {token}"
        for part in ("balance", "standing", "movements", "tree"):
            several = http.get(f"/v1/accounts/2101:U1/{part}")
            assert several.status_code == 422, part
            assert several.json()["error"]["reason"] == "invalid_field"
            assert "CNY, JPY, USD" in several.json()["error"]["what"]
            alone = http.get(f"/v1/accounts/2702:U1/{part}").json()
            assert (alone["currency_code"], alone["scale"]) == ("CNY", 2), part
            yen = http.get(f"/v1/accounts/2101:U1/{part}?currency_code=JPY").json()
            assert yen["currency_code"] == "JPY", part
            for asked in ("2702:U1?currency_code=JPY", "2702:U9"):
                name, _, query = asked.partition("?")
                gone = http.get(f"/v1/accounts/{name}/{part}?{query}")
                assert gone.status_code == 404, (part, asked)
    traded.ledger = open_ledger(settings, simulated=True)
