"""One currency against another: each balances by itself through the position account, at a rate
that is exact, and a deal with the bank squares it."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

import orjson
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from ledger.adapters.data_files import load_operations
from ledger.adapters.export import export_day, ledger_path
from ledger.adapters.tokens import Tokens, ensure_demo_token
from ledger.domain.chain import GENESIS, entry_digest
from ledger.domain.money import exchanged
from ledger.domain.positions import part_of
from ledger.entrypoints.http import create_app
from ledger.entrypoints.operations import open_ledger, verify
from ledger.service.events import of_entry
from ledger.service.reconciliation_views import overview
from ledger.service.statements import Asked, statement
from paylake import settings as settings_module
from paylake.deliveries import read_control
from paylake.errors import NotVerified, PermanentFailure
from paylake.keys import Keyring
from tests.ledger.banks import NEXT, Bank, line
from tests.ledger.conftest import ANN, DAY, SCALES, SYSTEM, World, at
from tests.ledger.postgres import Server
from tests.ledger.rules.words import CNY, PLAIN, funds, on, posted, refused, run
from tests.ledger.test_verify import COLUMNS

pytestmark = pytest.mark.usefixtures("currencies")


@pytest.fixture(scope="module")
def server():
    made = Server()
    yield made
    made.stop()


def _start(made: World) -> World:
    """U1 has 2,000.00 dollars, 100,000 yen and 1,000.00 yuan, M1 500.00 dollars pending."""
    made.start()
    made.open([("1901", None), ("2302", None), ("6004", None)])
    made.open_in("JPY", "USD", "KWD")
    for currency, amount in (("USD", 200_000), ("JPY", 100_000), ("CNY", 100_000)):
        posted(made.do("top_up", currency_code=currency, amount_minor=amount))
    posted(made.do("payment", currency_code="USD", amount_minor=50_000, **PLAIN))
    return made


@pytest.fixture
def world(settings):
    made = _start(World(settings))
    yield made
    made.ledger.close()


def consent(
    world: World, payer: str, amount: int, sold: str, gets: int, bought: str, quote: str = "Q1"
) -> str:
    """To sell so much of one currency for so much of another."""
    of = {"bought_minor": gets, "bought_currency_code": bought}
    return world.authorise(payer, quote, amount, sold, **(of if type(gets) is int else {}))


def exchange(world: World, sold: str, amount: int, bought: str, gets: int, rate: str, **values):
    """U1 (or a merchant) sells one currency for another."""
    payer = values.get("merchant_id") or "U1"
    type_ = "merchant_exchange" if "merchant_id" in values else "exchange"
    if type_ == "exchange":
        values = {"user_id": "U1", **values}
    if "authorisation" not in values:
        values["authorisation"] = consent(world, payer, amount, sold, gets, bought)
    return world.send(type_, **{
        "exchange_id": f"X{world.number}", "quote_id": "Q1", "rate": rate, "amount_minor": amount,
        "currency_code": sold, "bought_minor": gets, "bought_currency_code": bought, **values,
    })


def deal(world: World, took: str, amount: int, gave: str, gets: int, name: str = "DEAL1", **values):
    """What a bank took and gave, entered by Ann."""
    return world.send("exchange_settled", ANN, **{
        "movement_id": name, "amount_minor": amount, "currency_code": took, "bought_minor": gets,
        "bought_currency_code": gave, **values,
    })


def settle(world: World, *terms, **values):
    return world.approve(deal(world, *terms, **values)["sequence"])


def legs(world: World, result) -> list[tuple]:
    """Account, currency, side, amount, reference."""
    return [(a, c, s, n, r) for a, c, s, n, _, r in orjson.loads(world.row(result)[13])]


def nets(world: World) -> dict[str, int]:
    """Debit less credit of all accounts, by currency."""
    found: dict[str, int] = {}
    for account in world.ledger.state.all_accounts():
        found[account.currency_code] = (
            found.get(account.currency_code, 0) + account.balance * account.debit_sign
        )
    return found


def positions(world: World) -> dict[str, dict[str, int]]:
    return world.ledger.state.tables.get("position", {})


def test_a_user_sells_dollars_for_yuan(world):
    done = posted(exchange(world, "USD", 10_005, "CNY", 71_061, "7.10255"))
    assert legs(world, done) == [
        ("2101:U1", "USD", "D", 10_005, None), ("1901", "USD", "C", 10_005, None),
        ("1901", "CNY", "D", 71_061, None), ("2101:U1", "CNY", "C", 71_061, None),
    ]
    assert world.balance("2101:U1", "USD") == 189_995
    assert world.balance("2101:U1", "CNY") == 171_061
    assert (world.balance("1901", "USD"), world.balance("1901")) == (-10_005, 71_061)
    assert positions(world) == {"USD/CNY": {"sold": 10_005, "bought": 71_061}}
    assert set(nets(world).values()) == {0}


def test_yen_have_no_decimals_and_dinars_three(world):
    posted(exchange(world, "JPY", 10_001, "CNY", 48_705, "0.0487"))
    posted(exchange(world, "USD", 100, "KWD", 307, "0.3065"))
    assert world.balance("2101:U1", "KWD") == 307
    assert verify(world.settings).broken is None


def test_a_merchant_sells_what_is_pending(world):
    """It is pending in the other currency from the date of the exchange on."""
    done = posted(exchange(world, "USD", 20_000, "CNY", 142_000, "7.1", merchant_id="M1"))
    assert [leg[:4] for leg in legs(world, done)] == [
        ("2201:M1", "USD", "D", 20_000), ("1901", "USD", "C", 20_000),
        ("1901", "CNY", "D", 142_000), ("2201:M1", "CNY", "C", 142_000),
    ]
    account = world.ledger.state.account("2201:M1", "CNY")
    assert account.buckets == {DAY.isoformat(): 142_000}
    assert load_operations().by_type["merchant_exchange"].journal_type == "exchange"


# refusals


@pytest.mark.parametrize("gets", [71_060, 71_062, 1])
def test_the_rate_fixes_the_amount(world, gets):
    wrong = exchange(world, "USD", 10_005, "CNY", gets, "7.10255")
    assert refused(wrong, "rate_differs", "bought_minor")
    assert wrong["detail"] == "bought_minor must be 71061"


@pytest.mark.parametrize("rate", ["7,1", "07.1", "7.", ".5", "-7", "7e1", "1/7", 7, 7.1, ""])
def test_a_rate_is_a_decimal_as_text(world, rate):
    reason = "missing_field" if rate is None else "invalid_field"
    assert refused(exchange(world, "USD", 100, "CNY", 710, rate), reason, "rate")


def test_two_currencies_that_the_chart_keeps(world):
    assert refused(exchange(world, "USD", 100, "USD", 100, "1"), "same_currency",
                   "bought_currency_code")
    assert refused(exchange(world, "USD", 100, "EUR", 90, "0.9", authorisation="A"),
                   "unknown_currency", "bought_currency_code")
    assert refused(exchange(world, "EUR", 100, "USD", 110, "1.1", authorisation="A"),
                   "unknown_currency", "currency_code")
    waits = deal(world, "USD", 100, "EUR", 90)
    assert refused(waits, "unknown_currency", "bought_currency_code")
    assert refused(deal(world, "USD", 1, "USD", 1), "same_currency", "bought_currency_code")


def test_it_is_the_customers_own_consent_to_the_quote(world):
    """The authorisation fixes who sells how much of what, on which quote, and is good once."""
    for values, reason in (
        ({"authorisation": None}, "missing_field"),
        *(({"authorisation": consent(world, *said)}, "authorisation_differs") for said in (
            ("U2", 1000, "USD", 7100, "CNY"), ("U1", 1000, "USD", 7100, "CNY", "Q2"),
            ("U1", 999, "USD", 7100, "CNY"), ("U1", 1000, "CNY", 7100, "CNY"),
        )),
        ({"authorisation": "nothing"}, "authorisation_unknown"),
    ):
        assert refused(exchange(world, "USD", 1000, "CNY", 7100, "7.1", **values), reason)
    good = consent(world, "U1", 1000, "USD", 7100, "CNY")
    posted(exchange(world, "USD", 1000, "CNY", 7100, "7.1", authorisation=good))
    again = exchange(world, "USD", 1000, "CNY", 7100, "7.1", authorisation=good)
    assert refused(again, "authorisation_unknown")


def test_the_consent_is_to_what_the_quote_gives(world):
    """A quote that changed since, or another currency, is nothing that the customer agreed to; nor
    is a payment: a consent to pay M1 is none to sell on a quote that is called M1."""
    good = consent(world, "U1", 1000, "USD", 7100, "CNY")
    changed = exchange(world, "USD", 1000, "CNY", 7000, "7.0", authorisation=good)
    assert refused(changed, "authorisation_differs", "bought_minor")
    other = exchange(world, "USD", 1000, "JPY", 7100, "710", authorisation=good)
    assert refused(other, "authorisation_differs", "bought_currency_code")
    pays = world.authorise("U1", "M1", 1000, "USD")
    sold = exchange(world, "USD", 1000, "CNY", 7100, "7.1", authorisation=pays, quote_id="M1")
    assert refused(sold, "authorisation_differs", "bought_minor")
    sells = consent(world, "U1", 1000, "USD", 7100, "CNY", "M1")
    paid = world.do("payment", channel="internal", user_id="U1", amount_minor=1000,
                    currency_code="USD", authorisation=sells, **PLAIN)
    assert refused(paid, "authorisation_differs", "bought_minor")
    posted(exchange(world, "USD", 1000, "CNY", 7100, "7.1", authorisation=good))
    posted(world.do("payment", channel="internal", user_id="U1", amount_minor=1000,
                    currency_code="USD", authorisation=pays, **PLAIN))
    assert verify(world.settings).broken is None


def test_a_consent_names_what_is_got_with_its_currency(world):
    half = {"authorisation_id": "H", "payer_id": "U1", "payee": "Q1", "amount_minor": 1,
            "currency_code": "USD", "method": "password"}
    for said, field in (({"bought_minor": 7}, "bought_currency_code"),
                        ({"bought_currency_code": "CNY"}, "bought_minor")):
        assert refused(world.send("authorise", **half, **said), "register_differs", field)
    assert refused(world.send("authorise", **half, bought_minor=7, bought_currency_code="EUR"),
                   "unknown_currency", "bought_currency_code")


@pytest.mark.parametrize("merchant", [None, "M1"])
def test_a_rate_that_a_person_enters_needs_a_checker(world, merchant):
    """Who may square positions has the right to enter in the module `exchange`; alone, with a
    customer that agrees, he would give away any sum."""
    given = consent(world, merchant or "U1", 1000, "USD", 1_000_000, "CNY")
    command = {
        "exchange_id": "X", "quote_id": "Q1", "rate": "1000", "amount_minor": 1000,
        "currency_code": "USD", "bought_minor": 1_000_000, "bought_currency_code": "CNY",
        "authorisation": given,
        **({"user_id": "U1"} if merchant is None else {"merchant_id": merchant}),
    }
    waits = world.send("exchange" if merchant is None else "merchant_exchange", ANN, **command)
    assert waits["status"] == "pending" and positions(world) == {}
    assert refused(world.approve(waits["sequence"], "ann"), "maker_is_checker")
    posted(world.approve(waits["sequence"]))
    assert positions(world) == {"USD/CNY": {"sold": 1000, "bought": 1_000_000}}
    assert verify(world.settings).broken is None


def test_a_person_without_a_checker_is_named_by_verify(world):
    done = posted(exchange(world, "USD", 1000, "CNY", 7100, "7.1"))
    _forge(world, done["sequence"], ("actor", "system:switch", "operator:ann"))
    assert "exchange needs a checker, and it has no approval" in _broken(world)


def test_no_caller_names_the_rate(world):
    for type_ in ("exchange", "merchant_exchange", "exchange_settled", "exchange_result"):
        assert world.ledger.operations.by_type[type_].callers is None


def test_below_the_floor_of_what_is_sold(world):
    assert refused(exchange(world, "USD", 200_001, "CNY", 1_420_007, "7.1"), "below_floor")
    posted(world.send("hold", hold_id="H", hold_kind="suspicious", account_id="2101:U1",
                      currency_code="USD", amount_minor=199_000, case_number="C"))
    assert refused(exchange(world, "USD", 1_001, "CNY", 7_107, "7.1"), "below_floor")
    posted(exchange(world, "USD", 1_000, "CNY", 7_100, "7.1"))


@pytest.mark.parametrize(("scope", "target"), [
    ("merchant", "U1"), ("account", "2101:U1"), ("account", "1901"), ("rail", "internal"),
])
def test_under_a_stop(world, scope, target):
    given = consent(world, "U1", 1000, "USD", 7100, "CNY")
    world.register("stop", stop_id="S", stop_scope=scope, stop_target=target,
                   stop_mode="everything", reason="x")
    wanted = exchange(world, "USD", 1000, "CNY", 7100, "7.1", authorisation=given)
    assert refused(wanted, "stopped")


def test_an_account_that_is_not_open_or_not_normal(world):
    assert refused(
        exchange(world, "USD", 1000, "CNY", 7100, "7.1", user_id="U2",
                 authorisation=consent(world, "U2", 1000, "USD", 7100, "CNY")), "below_floor")
    world.register("account_status", account_id="2101:U1", currency_code="CNY",
                   status="no_credit", reason="x")
    assert refused(exchange(world, "USD", 1000, "CNY", 7100, "7.1"), "account_status")
    world.register("party", party_id="U3", party_kind="user", identity_check="ID")
    gone = exchange(world, "USD", 1, "CNY", 7, "7.1", user_id="U3",
                    authorisation=consent(world, "U3", 1, "USD", 7, "CNY"))
    assert refused(gone, "account_not_open")


@pytest.mark.parametrize("mode", ["bank", "self"])
def test_money_that_the_institution_does_not_manage_is_not_exchanged_here(world, mode):
    world.merchant("MB", settlement_mode=mode)
    world.register("party", party_id="UB", party_kind="user", owner_id="MB", identity_check="ID")
    for values in ({"user_id": "UB"}, {"merchant_id": "MB"}):
        given = consent(world, next(iter(values.values())), 1, "USD", 7, "CNY")
        said = exchange(world, "USD", 1, "CNY", 7, "7.1", authorisation=given, **values)
        assert refused(said, "mode_differs", next(iter(values)))


def test_limits_are_of_the_currency_sold(world):
    world.approved("limit", limit_id="L", scene="exchange", account_code="2101",
                   currency_code="USD", day_minor=5_000, valid_from=DAY.isoformat())
    posted(exchange(world, "USD", 5_000, "CNY", 35_500, "7.1"))
    assert refused(exchange(world, "USD", 1, "CNY", 7, "7.1"), "limit_exceeded")
    posted(exchange(world, "CNY", 7_100, "USD", 1_000, "0.140845"))


def test_what_rests_for_a_dispute_is_not_exchanged(world):
    """Exchanged, it would be paid out in the other currency before its quiet days are over."""
    posted(world.do("payment", transaction_id="P", currency_code="USD", amount_minor=9_000,
                    **PLAIN))
    posted(world.do("dispute", transaction_id="D", original_transaction_id="P",
                    currency_code="USD", amount_minor=9_000))
    posted(world.do("dispute_release", original_transaction_id="D", currency_code="USD",
                    amount_minor=9_000))
    late = exchange(world, "USD", 50_001, "CNY", 355_007, "7.1", merchant_id="M1")
    assert refused(late, "not_due", "amount_minor")
    posted(exchange(world, "USD", 50_000, "CNY", 355_000, "7.1", merchant_id="M1"))


def test_a_negative_net_is_taken_back_first(world):
    results = world.ledger.open_accounts(
        [{"account_code": "1201", "party_id": "M1", "currency_code": "USD"}], SYSTEM)
    assert results[0]["status"] == "opened"
    world.register("own_funds", movement_id="OF", amount_minor=1_000, currency_code="USD")
    posted(world.send("shortfall", movement_id="SF", merchant_id="M1", amount_minor=100,
                      currency_code="USD", notice_number="N"))
    assert refused(exchange(world, "USD", 100, "CNY", 710, "7.1", merchant_id="M1"), "older_due")


def test_the_same_key_again(world):
    given = consent(world, "U1", 1000, "USD", 7100, "CNY")
    command = {
        "idempotency_key": "once", "exchange_id": "X", "authorisation": given,
    }
    first = posted(exchange(world, "USD", 1000, "CNY", 7100, "7.1", **command))
    again = exchange(world, "USD", 1000, "CNY", 7100, "7.1", **command)
    assert again["replayed"] and again["journal_id"] == first["journal_id"]
    other = exchange(world, "USD", 1000, "CNY", 7100, "7.10", **command)
    assert refused(other, "idempotency_key_reused", "rate")
    assert positions(world) == {"USD/CNY": {"sold": 1000, "bought": 7100}}


# with the bank


def test_a_deal_squares_the_position_at_the_average_and_keeps_the_difference(world):
    posted(exchange(world, "USD", 10_000, "CNY", 71_000, "7.1"))
    posted(exchange(world, "USD", 5_000, "CNY", 36_000, "7.2"))
    done = settle(world, "USD", 10_000, "CNY", 71_500)
    assert legs(world, posted(done)) == [
        ("1901", "USD", "D", 10_000, None), ("1001", "USD", "C", 10_000, "DEAL1"),
        ("1001", "CNY", "D", 71_500, "DEAL1"), ("1901", "CNY", "C", 71_333, None),
        ("2302", "CNY", "C", 167, None),
    ]
    assert positions(world) == {"USD/CNY": {"sold": 5_000, "bought": 35_667}}
    posted(settle(world, "USD", 5_000, "CNY", 35_000, name="DEAL2"))
    assert positions(world) == {}
    assert world.balance("1901") == world.balance("1901", "USD") == 0
    assert world.balance("2302") == 167 - 667  # in all the bank gave 500 fen less


def test_of_what_customers_buy_abroad_the_difference_is_in_the_base_currency_too(world):
    posted(exchange(world, "CNY", 72_000, "USD", 10_000, "0.1388888889"))
    done = settle(world, "CNY", 35_400, "USD", 5_000)
    assert [leg[:4] for leg in legs(world, posted(done))] == [
        ("1901", "CNY", "D", 36_000), ("1001", "CNY", "C", 35_400), ("2302", "CNY", "C", 600),
        ("1001", "USD", "D", 5_000), ("1901", "USD", "C", 5_000),
    ]


def test_of_two_foreign_currencies_the_difference_is_in_the_one_bought(world):
    posted(exchange(world, "USD", 10_000, "JPY", 15_000, "150"))
    posted(settle(world, "USD", 10_000, "JPY", 14_990))
    assert (world.balance("2302", "JPY"), world.balance("1901", "JPY")) == (-10, 0)
    assert world.ledger.state.account("2302", "USD").balance == 0


def test_no_more_is_squared_than_is_open(world):
    assert refused(deal(world, "USD", 1, "CNY", 7), "exceeds_position", "amount_minor")
    posted(exchange(world, "USD", 100, "CNY", 710, "7.1"))
    assert refused(deal(world, "USD", 101, "CNY", 717), "exceeds_position", "amount_minor")
    assert refused(deal(world, "CNY", 710, "USD", 100), "exceeds_position", "bought_minor")
    first, second = (deal(world, "USD", 100, "CNY", 712, name=n)["sequence"] for n in "AB")
    posted(world.approve(first))
    assert refused(world.approve(second), "exceeds_position", "amount_minor")


def test_two_people_square_and_take_the_result(world):
    posted(exchange(world, "USD", 100, "CNY", 710, "7.1"))
    assert refused(world.send("exchange_settled", movement_id="DEAL", amount_minor=100,
                              currency_code="USD", bought_minor=712, bought_currency_code="CNY"),
                   "no_right")
    waits = deal(world, "USD", 100, "CNY", 712)
    assert refused(world.approve(waits["sequence"], "ann"), "maker_is_checker")
    assert world.balance("1901") == 710
    posted(world.approve(waits["sequence"]))
    result = world.send("exchange_result", ANN, movement_id="R", **CNY)
    assert refused(world.approve(result["sequence"], "ann"), "maker_is_checker")
    posted(world.approve(result["sequence"]))
    assert world.balance("6004") == 2


def test_a_gain_leaves_the_reserve_and_a_loss_is_made_good(world):
    assert refused(world.send("exchange_result", ANN, movement_id="R0", **CNY),
                   "register_differs", "currency_code")
    funds(world)
    reserve = world.balance("1001")
    for name, gave, gain in (("1", 720, 10), ("2", 650, -60)):
        posted(exchange(world, "USD", 100, "CNY", 710, "7.1"))
        posted(settle(world, "USD", 100, "CNY", gave, name=f"DEAL{name}"))
        done = world.approved("exchange_result", movement_id=f"R{name}", **CNY)
        out, into = ("C", "D") if gain > 0 else ("D", "C")
        assert [leg[:1] + leg[2:] for leg in legs(world, done)] == [
            ("2302", into, abs(gain), None), ("1001", out, abs(gain), f"R{name}"),
            ("1101", into, abs(gain), None), ("6004", out, abs(gain), None),
        ]
    assert (world.balance("2302"), world.balance("6004")) == (0, -50)
    # the reserve has exactly what customers are owed: 7.10 yuan twice, wherever the bank stood
    assert world.balance("1001") - reserve == 1_420
    assert world.balance("1101") == 10**7 - 50


# what comes after


def test_a_reversal_gives_both_currencies_back(world):
    before = world.balance("2101:U1"), world.balance("2101:U1", "USD")
    done = posted(exchange(world, "USD", 10_000, "CNY", 71_000, "7.1"))
    posted(exchange(world, "USD", 10_000, "CNY", 70_000, "7"))
    named = {"incident_number": "I", "reason": "a wrong rate"}
    back = world.approved("reversal", adjustment_id="B1", journal_id=done["journal_id"], **named)
    assert [leg[:4] for leg in legs(world, back)] == [
        ("2101:U1", "USD", "C", 10_000), ("1901", "USD", "D", 10_000),
        ("1901", "CNY", "C", 71_000), ("2101:U1", "CNY", "D", 71_000),
    ]
    assert (world.balance("2101:U1") - 70_000, world.balance("2101:U1", "USD") + 10_000) == before
    assert positions(world) == {"USD/CNY": {"sold": 10_000, "bought": 70_000}}
    again = world.send("reversal", ANN, adjustment_id="B2", journal_id=done["journal_id"], **named)
    assert refused(again, "already_reversed")
    world.reopen()
    assert positions(world) == {"USD/CNY": {"sold": 10_000, "bought": 70_000}}
    assert verify(world.settings).broken is None


def test_what_was_squared_is_not_reversed_before_the_deal_is(world):
    done = posted(exchange(world, "USD", 10_000, "CNY", 71_000, "7.1"))
    squared = posted(settle(world, "USD", 6_000, "CNY", 43_000))
    named = {"incident_number": "I", "reason": "a wrong rate"}

    def reverse(name, journal):
        return world.send("reversal", ANN, adjustment_id=name, journal_id=journal, **named)

    assert refused(reverse("B1", done["journal_id"]), "exceeds_original")
    posted(world.approve(reverse("B2", squared["journal_id"])["sequence"]))
    assert positions(world) == {"USD/CNY": {"sold": 10_000, "bought": 71_000}}
    assert world.balance("2302") == 0
    posted(world.approve(reverse("B3", done["journal_id"])["sequence"]))
    assert positions(world) == {} and world.balance("1901", "USD") == 0
    world.close()  # with a checkpoint, in which the position has no line any more
    assert verify(world.settings).broken is None


def test_no_part_of_a_position_is_left_that_no_deal_could_square(world):
    """Of two exchanges a deal squared one's worth at the average; the cheaper one's reversal would
    leave 100 fen against no dollar."""
    first = posted(exchange(world, "USD", 1_000, "CNY", 7_100, "7.1"))
    posted(exchange(world, "USD", 1_000, "CNY", 7_300, "7.3"))
    squared = posted(settle(world, "USD", 1_000, "CNY", 7_200))
    named = {"incident_number": "I", "reason": "a wrong rate"}
    early = world.send("reversal", ANN, adjustment_id="B1", journal_id=first["journal_id"], **named)
    assert refused(early, "exceeds_original")
    for number, done in enumerate((squared, first)):
        waits = world.send("reversal", ANN, adjustment_id=f"B2{number}",
                           journal_id=done["journal_id"], **named)
        posted(world.approve(waits["sequence"]))
    assert positions(world) == {"USD/CNY": {"sold": 1_000, "bought": 7_300}}
    posted(settle(world, "USD", 1_000, "CNY", 7_200, name="DEAL2"))
    assert positions(world) == {}


def test_a_deal_that_squared_what_rounding_left_is_reversed(world):
    """3 yen of 1 fen: the last two squared nothing of the fen."""
    posted(exchange(world, "JPY", 3, "CNY", 1, "0.0033"))
    posted(settle(world, "JPY", 2, "CNY", 1))
    assert positions(world) == {"JPY/CNY": {"sold": 1, "bought": 0}}
    done = posted(settle(world, "JPY", 1, "CNY", 1, name="DEAL2"))
    assert positions(world) == {}
    waits = world.send("reversal", ANN, adjustment_id="B", journal_id=done["journal_id"],
                       incident_number="I", reason="x")
    posted(world.approve(waits["sequence"]))
    assert positions(world) == {"JPY/CNY": {"sold": 1, "bought": 0}}
    assert verify(world.settings).broken is None


def test_what_was_spent_is_not_reversed(world):
    done = posted(exchange(world, "JPY", 100_000, "CNY", 487_000, "0.0487"))
    spent = posted(world.do("payment", channel="internal", user_id="U1", amount_minor=500_000,
                            **PLAIN))
    assert spent
    back = world.send("reversal", ANN, adjustment_id="B", journal_id=done["journal_id"],
                      incident_number="I", reason="x")
    assert refused(back, "below_floor")


def test_each_currency_is_told_stated_closed_and_exported(world, settings, sent_at):
    done = posted(exchange(world, "JPY", 10_001, "CNY", 48_705, "0.0487"))
    told = [(e["account_id"], e["currency_code"], e["credit_minor"])
            for e in of_entry(world.row(done)) if e["event"] == "balance_change"]
    assert told == [("2101:U1", "JPY", -10_001), ("2101:U1", "CNY", 48_705)]
    posted(exchange(world, "USD", 100, "CNY", 710, "7.1", merchant_id="M1"))
    for currency, amount in (("JPY", -10_001), ("CNY", 48_705)):
        page = statement(world.ledger, "2101:U1", currency, Asked(), 0, 10)
        assert page["movements"][-1]["amount_minor"] == amount
    head = world.close()
    for currency in SCALES:
        lines = [row for row in head["trial_balance"] if row["currency_code"] == currency]
        assert sum(r["debit_minor"] for r in lines) == sum(r["credit_minor"] for r in lines)
    journal = read_control((out := export_day(settings, DAY, sent_at=sent_at)).journal_path)
    rows = [json.loads(line) for line in
            (out.journal_path / journal.files[0].name).read_bytes().splitlines()]
    assert [(r["account_id"], r["currency_code"], r["amount_minor"], r["component"])
            for r in rows if r["journal_id"] == done["journal_id"]] == [
        ("2101:U1", "JPY", 10_001, "exchange"), ("1901", "JPY", 10_001, "exchange"),
        ("1901", "CNY", 48_705, "exchange"), ("2101:U1", "CNY", 48_705, "exchange"),
    ]
    assert {r["journal_type"] for r in rows if r["component"] == "exchange"} == {"exchange"}
    assert verify(settings).broken is None


def test_the_run_pays_each_currency_what_is_left_of_it(world):
    posted(exchange(world, "USD", 20_000, "CNY", 142_000, "7.1", merchant_id="M1"))
    assert posted(settle(world, "USD", 20_000, "CNY", 142_000))
    assert run(world, 0).amounts == {"settlement": 30_000 + 142_000}
    assert world.balance("2201:M1") == world.balance("2201:M1", "USD") == 0


def test_what_is_open_is_read_and_the_console_shows_each_in_its_scale(world, settings):
    done = posted(exchange(world, "JPY", 10_001, "CNY", 48_705, "0.0487"))
    posted(exchange(world, "USD", 100, "KWD", 307, "0.3065"))
    token = settings.path("keys", "ledger.token").read_text("ascii")
    app = create_app(settings, world.ledger, Tokens.load(settings))
    with TestClient(app, raise_server_exceptions=False) as http:
        http.headers["authorization"] = f"Bearer {token}"
        assert http.get("/v1/positions").json() == {"positions": [
            {"currency_code": "JPY", "scale": 0, "sold_minor": 10_001,
             "bought_currency_code": "CNY", "bought_scale": 2, "bought_minor": 48_705},
            {"currency_code": "USD", "scale": 2, "sold_minor": 100,
             "bought_currency_code": "KWD", "bought_scale": 3, "bought_minor": 307},
        ], "next": None}
        http.post("/console/login", data={"token": token})
        page = http.get(f"/console/journals/{done['journal_id']}?lang=en").text
        for shown in ("10,001", "487.05", "JPY", "CNY", "0.0487", "Q1"):
            assert shown in page, shown
        for wrong in ("100.01", "48,705", "10,001.00"):
            assert wrong not in page, wrong
        # the command's own fields too, and the capitals of renminbi beside renminbi alone
        assert page.count("487.05") >= 3 and page.count("肆佰捌拾柒元零伍分") >= 1
        assert "壹佰元" not in page
        account = http.get("/console/accounts/1901?currency=CNY&lang=zh").text
        assert "外汇头寸" in account and "487.05" in account
    world.ledger = open_ledger(settings, simulated=True)


def test_a_position_account_may_be_kept_in_shards(world):
    for account in ("1901", "2302"):
        for currency in ("USD", "CNY"):
            world.approved("account_shards", account_id=account, shards=2, currency_code=currency)
    done = posted(exchange(world, "USD", 10_000, "CNY", 71_000, "7.1"))
    assert "#" in legs(world, done)[1][0]
    posted(settle(world, "USD", 10_000, "CNY", 71_500))
    funds(world)
    world.approved("exchange_result", movement_id="R", **CNY)
    below = [a for a in world.ledger.state.all_accounts() if a.code in ("1901", "2302")]
    for currency in ("USD", "CNY"):
        assert sum(a.balance for a in below if a.currency_code == currency) == 0
    assert world.balance("6004") == 500
    assert verify(world.settings).broken is None


def test_a_deal_over_shards_of_the_reserve_is_reversed(world):
    """What a shard gets back in one currency is not there in the other."""
    for currency in ("USD", "CNY"):
        world.approved("account_shards", account_id="1001", shards=3, currency_code=currency)
    for number in range(9):  # the reversal's shard is that of its turn: each once, and more
        posted(exchange(world, "USD", 1_000, "CNY", 7_100, "7.1"))
        done = posted(settle(world, "USD", 1_000, "CNY", 7_000, name=f"DEAL-{number}"))
        posted(world.do("withdrawal", amount_minor=5_000, fee_minor=25))  # from a shard that has it
        waits = world.send("reversal", ANN, adjustment_id=f"B{number}", incident_number="I",
                           journal_id=done["journal_id"], reason="a wrong deal")
        assert waits["status"] == "pending", waits
        posted(world.approve(waits["sequence"]))
    assert verify(world.settings).broken is None


def test_each_currency_of_the_reserve_is_held_against_its_own_statement(world):
    """A deal is one line of each, the result one of its own; what is reversed after the bank's
    statement stays open in both until the bank gives it back."""
    for currency in ("USD", "CNY"):
        world.approved("account_shards", account_id="1001", shards=3, currency_code=currency)
    posted(exchange(world, "USD", 10_000, "CNY", 71_000, "7.1"))
    done = posted(settle(world, "USD", 6_000, "CNY", 43_000))
    funds(world)
    world.approved("exchange_result", movement_id="R", **CNY)
    dollars, yuan = Bank(world, currency="USD"), Bank(world)
    assert dollars.classes(dollars.send([line("1", -6_000, "DEAL1")])) == {
        "matched": 1, "missing_in_statement": 2,  # top-up and payment of before
    }
    assert yuan.classes(yuan.send([line("1", 43_000, "DEAL1"), line("2", -400, "R")])) == {
        "matched": 2, "missing_in_statement": 1,
    }
    when = on(world, 1)
    waits = world.send("reversal", ANN, adjustment_id="B", journal_id=done["journal_id"],
                       incident_number="I", reason="not what was agreed", **when)
    posted(world.approve(waits["sequence"], **when))
    for bank, opening, back in ((dollars, -6_000, 6_000), (yuan, 42_600, -43_000)):
        before = set(bank.open())
        bank.send([], opening, NEXT)
        (reversed_,) = set(bank.open()) - before
        item = bank.open()[reversed_]
        assert (item["key"], item["ledger_minor"]) == (["reference", "DEAL1"], back)
    assert {a["currency"]: a["open_now"] for a in overview(world.ledger, 1, 10)["accounts"]} == {
        "USD": 3, "CNY": 2,
    }
    assert verify(world.settings).broken is None
    world.reopen()
    given_back = NEXT + timedelta(1)
    world.ledger.set_clock(at(given_back, "10:00:00"))
    last = dollars.send([line("3", 6_000, "DEAL1", given_back)], -6_000, given_back)
    assert dollars.classes(last) == {"matched": 1, "missing_in_statement": 2}
    assert len(yuan.open()) == 2
    assert verify(world.settings).broken is None


# the log


def _forge(world: World, sequence: int, *changes: tuple[str, str, str]) -> None:
    """Change columns of an entry and compute the chain anew, as who has the file could."""
    db = sqlite3.connect(ledger_path(world.settings))
    for (name,) in db.execute("select name from sqlite_master where type = 'trigger'").fetchall():
        db.execute(f"drop trigger {name}")
    for column, old, new in changes:
        changed = db.execute(
            f"update entry set {column} = replace({column}, ?, ?) where sequence = ? "
            f"and instr({column}, ?)", (old, new, sequence, old),
        )
        assert changed.rowcount == 1, column
    digest = GENESIS
    for row in db.execute(f"select {COLUMNS} from entry order by sequence").fetchall():
        digest = entry_digest(digest, row)
        db.execute("update entry set digest = ? where sequence = ?", (digest, row[0]))
    db.commit()
    db.close()


def _broken(world: World) -> str:
    with pytest.raises(NotVerified) as caught:
        verify(world.settings)
    return caught.value.what


def test_a_position_that_its_legs_do_not_move_is_named(world):
    done = posted(exchange(world, "USD", 1000, "CNY", 7100, "7.1"))
    _forge(world, done["sequence"],
           ("effects", '"USD","CNY",1000,7100', '"USD","CNY",1000,7000'))
    assert "its legs move another position than it says" in _broken(world)


def test_a_deal_that_squares_more_than_was_open_is_named(world):
    posted(exchange(world, "USD", 1000, "CNY", 7100, "7.1"))
    done = posted(settle(world, "USD", 1000, "CNY", 7100))
    _forge(world, done["sequence"], ("legs", '"USD","D",1000', '"USD","D",2000'),
           ("legs", '"USD","C",1000', '"USD","C",2000'), ("effects", "-1000,", "-2000,"))
    assert "it squares more of a position than was open" in _broken(world)


@pytest.mark.parametrize("storage", ["sqlite", "postgres"])
def test_replayed_by_both_storages(settings, request, storage):
    if storage == "postgres":
        server = request.getfixturevalue("server")
        settings = replace(settings, ledger_database=server.database())
    world = _start(World(settings))
    try:
        posted(exchange(world, "USD", 10_000, "CNY", 71_000, "7.1"))
        posted(exchange(world, "JPY", 10_001, "CNY", 48_705, "0.0487"))
        posted(settle(world, "USD", 4_000, "CNY", 28_350))
        kept = {(a.account_id, a.currency_code): a.balance
                for a in world.ledger.state.all_accounts()}
        before = dict(positions(world))
        assert before["USD/CNY"] == {"sold": 6_000, "bought": 42_600}
        for closes in (False, True):  # by the entries alone, then from the checkpoint
            if closes:
                world.close()
            world.reopen()
            assert positions(world) == before
            assert kept == {(a.account_id, a.currency_code): a.balance
                            for a in world.ledger.state.all_accounts()}
            assert verify(world.settings).broken is None
        _unbalanced(world)
        when = on(world, 1)
        posted(exchange(world, "USD", 1_000, "CNY", 7_100, "7.1", **when,
                        authorisation=_later(world, when)))
        assert verify(world.settings).broken is None
    finally:
        world.ledger.close()


def _unbalanced(world: World) -> None:
    """The storage itself wants a journal of two currencies balanced in each."""
    store = world.ledger.store
    row = list(next(r for r in store.entries(1) if r[2] == "exchange"))
    row[0], row[1], row[5], row[6] = 10**6, 10**6, "new", "new"
    found = orjson.loads(row[13])
    assert [leg[3] for leg in found] == [10_000, 10_000, 71_000, 71_000]
    found[0][3], found[2][3] = 9_000, 72_000  # in both currencies together it would
    row[13] = orjson.dumps(found).decode()
    with pytest.raises(PermanentFailure, match="do not balance"), store.transaction():
        store.append([tuple(row)])


def _later(world: World, when: dict) -> str:
    world.register("authorise", authorisation_id="LATER", payer_id="U1", payee="Q1",
                   amount_minor=1_000, currency_code="USD", bought_minor=7_100,
                   bought_currency_code="CNY", method="password", **when)
    return "LATER"


# any rate, any scale


RATES = st.builds(
    lambda whole, part: f"{whole}.{part}" if part else str(whole),
    st.integers(0, 999_999), st.from_regex(r"[0-9]{0,10}", fullmatch=True),
)
SCALE = st.integers(0, 4)


@examples(max_examples=300)
@given(amount=st.integers(1, 10**15), rate=RATES, sold=SCALE, bought=SCALE)
def test_half_up_of_the_exact_product_whatever_the_scales(amount, rate, sold, bought):
    found = exchanged(amount, rate, "A", "B", {"A": sold, "B": bought})
    exact = Fraction(amount, 10**sold) * Fraction(rate) * 10**bought
    assert Fraction(-1, 2) <= exact - found < Fraction(1, 2)
    assert type(found) is int


@examples(max_examples=200)
@given(
    pool=st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)), min_size=1, max_size=8),
    parts=st.lists(st.integers(1, 100), min_size=1, max_size=8),
)
def test_parts_of_a_position_add_up_to_it(pool, parts):
    """However many deals square it, they take exactly what customers were given."""
    sold, bought = sum(s for s, _ in pool), sum(b for _, b in pool)
    left_sold, left_bought = sold, bought
    for weight in parts:
        took = min(left_sold, max(1, sold * weight // 100))
        if not took:
            break
        cost = part_of(left_bought, took, left_sold)
        assert 0 <= cost <= left_bought
        left_sold, left_bought = left_sold - took, left_bought - cost
    if left_sold:
        assert part_of(left_bought, left_sold, left_sold) == left_bought
    else:
        assert left_bought == 0


STEPS = st.lists(st.one_of(
    st.tuples(st.just("exchange"), st.permutations(["CNY", "JPY", "USD"]), st.integers(1, 20_000),
              RATES),
    st.tuples(st.just("settle"), st.integers(0, 5), st.integers(0, 10**9), st.integers(1, 10**5)),
    st.tuples(st.just("reverse"), st.integers(0, 20)),
), min_size=1, max_size=12)


@examples(max_examples=12, deadline=None)
@given(STEPS)
def test_whatever_is_exchanged_squared_and_reversed_each_currency_sums_to_nothing(steps):
    """And the position account is, currency by currency, the sum of what is open."""
    with tempfile.TemporaryDirectory() as folder:
        found = settings_module.load({}, home=Path(folder) / "home")
        Keyring(found).ensure_demo()
        ensure_demo_token(found)
        world = _start(World(found))
        try:
            _random(world, steps)
            held = {name: dict(row) for name, row in positions(world).items()}
            world.reopen()
            assert positions(world) == held
            assert verify(found).broken is None
        finally:
            world.ledger.close()


def _random(world: World, steps: list[tuple]) -> None:
    journals = []
    for number, (kind, *terms) in enumerate(steps):
        if kind == "reverse":
            if not journals:
                continue
            waits = world.send("reversal", ANN, adjustment_id=f"B{number}", incident_number="I",
                               journal_id=journals[terms[0] % len(journals)], reason="x")
            result = world.approve(waits["sequence"]) if waits["status"] == "pending" else waits
        elif kind == "settle":
            open_, (place, part, other) = sorted(positions(world).items()), terms
            if not open_:
                continue
            name, row = open_[place % len(open_)]
            took, _, gave = name.partition("/")
            amount = other if took == "CNY" else 1 + part % (row["sold"] + 1)
            gets = 1 + part % (row["bought"] + 1) if took == "CNY" else other
            waits = deal(world, took, amount, gave, gets, name=f"DEAL-{number}")
            result = world.approve(waits["sequence"]) if waits["status"] == "pending" else waits
        else:
            (sold, bought, _), amount, rate = terms
            gets = exchanged(amount, rate, sold, bought, SCALES)
            if not 1 <= gets <= 10**15:
                continue
            result = posted(exchange(world, sold, amount, bought, gets, rate)) if (
                amount <= world.balance("2101:U1", sold)
            ) else exchange(world, sold, amount, bought, gets, rate)
        if result["status"] == "posted":
            journals.append(result["journal_id"])
        assert set(nets(world).values()) == {0}
        sums = dict.fromkeys(SCALES, 0)
        for name, row in positions(world).items():
            sold, _, bought = name.partition("/")
            assert row["sold"] >= 0 and row["bought"] >= 0
            sums[sold] -= row["sold"]
            sums[bought] += row["bought"]
        assert sums == {c: world.balance("1901", c) for c in SCALES}
