"""Reads over HTTP that only the code had before: deadlines, steps, standing; and the client's."""

from __future__ import annotations

import httpx
import pytest
from jsonschema import Draft202012Validator

from ledger.client import LedgerRefusal, calls
from paylake.dates import next_working_day
from tests.ledger.conftest import ANN, DAY
from tests.ledger.rules.test_d0_fees import _billed, _confirm, _issue
from tests.ledger.rules.words import INTERNAL, days, on, posted
from tests.ledger.test_http import client, http, token

__all__ = ["client", "http", "token"]


def test_d1_07_the_standing_of_an_account_over_http(client, world):
    world.do("top_up", amount_minor=100_000)
    world.send("hold", hold_id="H", hold_kind="suspicious", account_id="2101:U1",
               amount_minor=500, currency_code="CNY", case_number="C1")
    shown = client.standing("2101:U1")
    assert (shown["shows"], shown["balance_minor"], shown["frozen_minor"]) == (
        "frozen", 100_000, 500
    )
    assert shown["destinations"] == ["D1"]
    assert client.standing("2101:U2")["shows"] == "normal"
    with pytest.raises(LedgerRefusal) as caught:
        client.standing("2101:U9")
    assert caught.value.reason == "account_not_open"


def test_d2_07_the_steps_of_a_command_over_http(client, world):
    refused = world.do("payment", authorisation="A0", **INTERNAL)
    *_, verified, asked = client.steps(refused["idempotency_key"])
    assert verified == {
        "step": "verify", "time": "2026-09-12T02:00:00Z", "actor": "system:ledger",
        "result": "authorisation_unknown", "next": None,
    }
    assert (asked["step"], asked["actor"], asked["result"]) == ("query", "system:demo", "refused")
    with pytest.raises(LedgerRefusal) as caught:
        client.steps("nothing")
    assert caught.value.reason == "key_unknown"


def test_d1_12_what_is_due_over_http(client, http, world):
    world.do("top_up", amount_minor=100_000)
    world.do("withdrawal", withdrawal_id="W", amount_minor=5_000, fee_minor=25)
    due = next_working_day(DAY, 1)
    (line,) = client.deadlines()
    assert (line["kind"], line["number"], line["due_on"], line["overdue"]) == (
        "withdrawal", "W", due.isoformat(), False
    )
    (later,) = client.deadlines(next_working_day(DAY, 2))
    assert later["overdue"] is True
    assert http.get("/v1/deadlines").json()["date"] == DAY.isoformat()
    answer = http.get("/v1/deadlines?date=tomorrow")
    assert (answer.status_code, answer.json()["error"]["reason"]) == (404, "not_a_date")


def test_d0_27_a_bill_is_one_of_the_kinds_of_deadlines(client, http, world):
    _billed(world)
    posted(_issue(world, 30, "B1"))
    posted(_confirm(world, "B1", 75, on(world, 31)))
    listed = http.get(f"/v1/deadlines?date={days(40)}").json()
    assert [line["kind"] for line in listed["deadlines"]] == ["bill"]
    known = http.get("/openapi.json").json()["components"]["schemas"]
    Draft202012Validator(
        {"$ref": "#/components/schemas/Deadlines", "components": {"schemas": known}}
    ).validate(listed)


DEPTH = 400


def test_a_tree_of_any_depth_is_answered(http, world):
    """Deeper than JSON is read by most programs when it is nested."""
    for n in range(3, DEPTH + 1):
        world.register("party", party_id=f"U{n}", party_kind="user", identity_check="ID1")
    world.open([("2101", f"U{n}") for n in range(3, DEPTH + 1)])
    for n in range(DEPTH, 1, -1):
        world.register("move_account", account_id=f"2101:U{n}", currency_code="CNY",
                       parent_account_id=f"2101:U{n - 1}")
    world.do("top_up", top_up_id="T1", user_id=f"U{DEPTH}", amount_minor=1000)
    answer = http.get("/v1/accounts/2101:U1/tree")
    assert answer.status_code == 200, answer.text
    listed = answer.json()["accounts"]
    assert [one["level"] for one in listed] == list(range(DEPTH))
    assert {one["total_minor"] for one in listed} == {1000}


def test_the_client_pages_movements(client, world, monkeypatch):
    monkeypatch.setattr("ledger.client.calls.BATCH_LIMIT", 2)
    for amount in (1000, 2000, 3000, 4000, 5000):
        world.do("top_up", amount_minor=amount)
    found = list(client.movements("2101:U1"))
    assert [line["amount_minor"] for line in found] == [1000, 2000, 3000, 4000, 5000]
    assert [m["amount_minor"] for m in client.movements("2101:U1", least_minor=4000)] == [
        4000, 5000,
    ]


def test_d2_26_every_body_and_answer_has_an_example_of_its_form(http):
    """And each error that a route documents is one of the form of errors."""
    document = http.get("/openapi.json").json()
    known = document["components"]["schemas"]
    seen = set()
    for path, methods in document["paths"].items():
        for method, said in methods.items():
            assert {"500", "503"} <= set(said["responses"]), (method, path)
            contents = [answer["content"] for answer in said["responses"].values()]
            contents += [said["requestBody"]["content"]] if "requestBody" in said else []
            for content in contents:
                for media in content.values():
                    seen.add(media["schema"]["$ref"].rpartition("/")[2])
    assert len(seen) > 30
    for name in sorted(seen):
        Draft202012Validator(
            {"$ref": f"#/components/schemas/{name}", "components": {"schemas": known}}
        ).validate(known[name]["example"])


def pages(http, path, name, between=lambda: None):
    """Every line of a list, two at a time; `between` happens after each page."""
    found, query = [], {"limit": "2"}
    while True:
        answer = http.get(httpx.URL(path).copy_merge_params(query))
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page[name]) <= 2
        found += page[name]
        if page["next"] is None:
            return found
        between()
        query["after"] = str(page["next"])


@pytest.fixture
def open_things(world, monkeypatch):
    """Five holds, as many withdrawals on their way, changes that wait, and positions."""
    world.do("top_up", amount_minor=200_000)
    for number in range(1, 6):
        world.do("withdrawal", withdrawal_id=f"W{number}", amount_minor=5_000, fee_minor=25)
        world.send("party", ANN, party_id=f"M{number + 3}", party_kind="merchant")
    for number, pair in enumerate(("USD/CNY", "CNY/USD", "EUR/CNY", "JPY/CNY", "KWD/CNY"), 1):
        world.ledger.state.tables.setdefault("position", {})[pair] = {
            "sold": number, "bought": number}
        monkeypatch.setitem(world.ledger.chart.currencies, pair[:3], 2)
    return world


@pytest.mark.parametrize(("path", "name", "number"), [
    ("/v1/holds", "holds", lambda line: line["hold_id"]),
    ("/v1/holds?account_id=2101:U1", "holds", lambda line: line["hold_id"]),
    ("/v1/pending", "pending", lambda line: line["content"]["party_id"]),
    ("/v1/deadlines", "deadlines", lambda line: line["number"]),
    ("/v1/positions", "positions", lambda line: line["currency_code"]),
])
def test_lists_of_what_is_open_come_in_pages(http, open_things, path, name, number):
    """As many as were asked for, in the order of the whole list, and each once."""
    whole = http.get(path).json()
    assert whole["next"] is None and len(whole[name]) == 5
    found = pages(http, path, name)
    assert found == whole[name] and len({number(line) for line in found}) == 5


@pytest.mark.parametrize(("path", "name", "number"), [
    ("/v1/holds", "holds", lambda line: line["hold_id"]),
    ("/v1/deadlines", "deadlines", lambda line: line["number"]),
])
def test_a_page_goes_on_where_the_last_ended_whatever_was_done_since(
    http, open_things, path, name, number
):
    """What ends in between takes nothing that stays with it, and what comes is no second time
    there."""
    world, steps = open_things, iter(range(9))

    def between():
        if next(steps) == 0:  # the first page was W1 and W2
            world.do("withdrawal_result", withdrawal_id="W1", result="failed")
            world.do("withdrawal_result", withdrawal_id="W2", result="failed")
            world.do("withdrawal", withdrawal_id="W0", amount_minor=5_000, fee_minor=25)
            world.do("withdrawal", withdrawal_id="W9", amount_minor=5_000, fee_minor=25)

    assert [number(line) for line in pages(http, path, name, between)] == [
        "W1", "W2", "W3", "W4", "W5", "W9"]


def test_a_page_of_what_waits_goes_on_after_a_review(http, open_things):
    first = http.get("/v1/pending?limit=2").json()
    for line in first["pending"]:
        posted(open_things.approve(line["sequence"]))
    second = http.get(f"/v1/pending?limit=2&after={first['next']}").json()
    assert [line["content"]["party_id"] for line in second["pending"]] == ["M6", "M7"]


@pytest.mark.parametrize("path", [
    "/v1/holds?limit=0", "/v1/pending?limit=1001", "/v1/deadlines?limit=x",
    "/v1/positions?limit=", "/v1/pending?after=W1", "/v1/deadlines?after=W1",
    "/v1/positions?after=USD",
])
def test_a_page_that_cannot_be_is_refused_by_name(http, path):
    answer = http.get(path)
    assert (answer.status_code, answer.json()["error"]["reason"]) == (422, "invalid_field")


def test_the_client_takes_all_pages(client, open_things, monkeypatch):
    monkeypatch.setattr(calls, "BATCH_LIMIT", 2)
    assert [hold["hold_id"] for hold in client.holds()] == [f"W{n}" for n in range(1, 6)]
    assert len(client.pending()) == len(client.deadlines()) == len(client.positions()) == 5


def test_d1_14_a_withdrawal_over_http_from_its_request_to_its_return(client, http, world):
    """By the customer's own number, whatever became of it."""
    def seen(**asked):
        return [(line["type"], line["number"], line["amount_minor"], line["status"])
                for line in client.movements("2101:U1", **asked)]

    world.do("top_up", amount_minor=100_000)
    world.do("withdrawal", withdrawal_id="W1", amount_minor=5_000, fee_minor=25)
    assert seen(number="W1") == [("withdrawal", "W1", -5_025, "under_way")]
    world.do("withdrawal_result", withdrawal_id="W1", result_id="RES-1")
    assert seen(number="W1") == seen(number="RES-1") == seen(type="withdrawal") == [
        ("withdrawal", "W1", -5_025, "posted")]
    world.do("withdrawal_returned", withdrawal_id="W1")
    assert seen(number="W1") == [("withdrawal", "W1", -5_025, "returned")]
    schema = http.get("/openapi.json").json()["components"]["schemas"]["Movements"]
    page = http.get("/v1/accounts/2101:U1/movements").json()
    Draft202012Validator(schema).validate(page)
    assert {name for line in page["movements"] for name in line} == set(
        schema["properties"]["movements"]["items"]["properties"])


def test_an_order_that_is_answered_between_two_pages_comes_as_what_it_became(http, open_things):
    """Nothing is lost; the line of before said what was so then."""
    answered = iter(["W1", "W5"])

    def between():
        number = next(answered, None)
        if number is not None:
            open_things.do("withdrawal_result", withdrawal_id=number)

    found = pages(http, "/v1/accounts/2101:U1/movements?type=withdrawal", "movements", between)
    assert [(line["number"], line["status"]) for line in found] == [
        ("W1", "under_way"), ("W2", "under_way"), ("W3", "under_way"), ("W4", "under_way"),
        ("W1", "posted"), ("W5", "posted")]
