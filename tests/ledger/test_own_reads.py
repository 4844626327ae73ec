"""What a caller may read, and what it must not: across merchants, tenants and providers."""

from __future__ import annotations

import re
from urllib.parse import quote

import orjson
import pytest

from ledger.client import LedgerClient, LedgerRefusal, Signer
from ledger.entrypoints.operations import verify
from paylake.crypto import PrivateKey
from tests.ledger.conftest import DAY, SYSTEM, at
from tests.ledger.rules.words import CNY, PLAIN, tenant
from tests.ledger.test_http import Signed, client, http, token

__all__ = ["client", "http", "token"]

RATES = {"transaction": 1000, "user": 1000, "data": 1000}


def make_caller(world, http, name: str, party: str, on_behalf=(), rates=RATES) -> Signed:
    key = PrivateKey.generate()
    world.approved("caller", caller_id=name, party_id=party, on_behalf=list(on_behalf),
                   enabled=True, public_key=key.public.point, rates=rates, rails=["unionpay"])
    return Signed(http, f"caller:{name}", key)


@pytest.fixture
def two(world, http):
    """A platform TM with members TU1, TU2; a platform TN with NU; M1 and M2 without users; a
    caller of TM, one of TN, and a provider for M1."""
    tenant(world)
    world.merchant("TN")
    world.register("party", party_id="NU", party_kind="user", owner_id="TN", identity_check="ID")
    world.approved("party", party_id="PR", party_kind="provider")
    world.open([(code, party) for code, party in (
        ("2201", "TM"), ("2101", "TU1"), ("2101", "TU2"), ("2201", "TN"), ("2101", "NU"),
    )])
    for user, amount in (("TU1", 10_000), ("TU2", 20_000), ("NU", 30_000)):
        world.register("top_up", top_up_id=f"I-{user}", user_id=user, amount_minor=amount, **CNY)
    for merchant in ("TM", "TN", "M1", "M2"):
        world.do("payment", transaction_id=f"P-{merchant}", merchant_id=merchant, **PLAIN)
    for user in ("TU1", "NU"):
        world.register("hold", hold_id=f"H-{user}", hold_kind="suspicious", amount_minor=500,
                       account_id=f"2101:{user}", case_number="C1", **CNY)
    return {
        "TM": make_caller(world, http, "CT", "TM"),
        "TN": make_caller(world, http, "CN", "TN"),
        "PR": make_caller(world, http, "CP", "PR", ["M1"]),
    }


def tries(world) -> list[dict]:
    return [
        {**orjson.loads(row[12]), "actor": row[7], "evidence": row[8], "outcome": row[4]}
        for row in world.ledger.store.entries(1) if row[2] == "foreign_read"
    ]


def get(signed: Signed, path: str, status: int = 200) -> dict:
    answer = signed.send("GET", path)
    assert answer.status_code == status, answer.text
    return answer.json()


def ids(rows: list[dict]) -> set[str]:
    return {row["account_id"] for row in rows}


def test_d0_01_a_merchant_queries_its_own_books_and_its_users(two, world):
    """Accounts, balances, standing, movements, holds; of itself and of its members alone."""
    mine = two["TM"]
    assert ids(get(mine, "/v1/balances")["balances"]) == {"2201:TM", "2101:TU1", "2101:TU2"}
    assert ids(get(mine, "/v1/balances?party_id=TU2")["balances"]) == {"2101:TU2"}
    assert get(mine, "/v1/accounts/2101:TU1/balance")["balance_minor"] == 10_000
    assert get(mine, "/v1/accounts/2101:TU1/standing")["shows"] == "frozen"
    (line,) = get(mine, "/v1/accounts/2101:TU1/movements?type=top_up&number=I-TU1")["movements"]
    assert (line["amount_minor"], line["number"]) == (10_000, "I-TU1")
    (hold,) = get(mine, "/v1/holds")["holds"]
    assert hold["hold_id"] == "H-TU1" == get(
        mine, "/v1/holds?account_id=2101:TU1"
    )["holds"][0]["hold_id"]
    assert get(mine, "/v1/accounts/2202:TM/balance", 404)["error"]["reason"] == "account_not_open"
    assert tries(world) == []


def test_d0_53_a_foreign_read_is_refused_by_name_and_recorded(two, world, settings):
    """Of another merchant, its user, the institution, or of nobody: all the same answer, and the
    caller's signed request stays in the chain."""
    paths = [
        "/v1/balances?party_id=TN", "/v1/balances?party_id=NU", "/v1/balances?party_id=ghost",
        "/v1/accounts/2101:NU/balance", "/v1/accounts/2201:TN/standing",
        "/v1/accounts/2101:NU/movements", "/v1/accounts/1001/balance",
        "/v1/accounts/2101:ghost/balance", "/v1/holds?account_id=2101:NU",
        "/v1/accounts/2101:U1/balance", f"/v1/parties/NU/days/{DAY}",
    ]
    for path in paths:
        problem = get(two["TM"], path, 403)["error"]
        assert problem["reason"] == "not_your_merchant", path
    found = tries(world)
    assert [row["asked"] for row in found] == [
        "TN", "NU", "ghost", "2101:NU", "2201:TN", "2101:NU", "1001", "2101:ghost", "2101:NU",
        "2101:U1", "NU",
    ]
    assert {(row["actor"], row["outcome"]) for row in found} == {("caller:CT", "refused")}
    assert [orjson.loads(row["evidence"])["path"] for row in found] == paths
    assert verify(settings).requests >= len(paths)


def test_d0_53_a_provider_reads_its_merchants_alone(two, world, client):
    """Not other merchants of the house, and no more once it serves another."""
    provider = two["PR"]
    assert ids(get(provider, "/v1/balances")["balances"]) == {
        f"{code}:M1" for code in
        ("2201", "2202", "2211", "1201", "1202", "1203", "1204", "1205", "2601", "2602")
    }
    get(provider, "/v1/accounts/2201:M1/movements")
    for path in ("/v1/accounts/2201:M2/movements", "/v1/accounts/2101:TU1/balance",
                 "/v1/balances?party_id=M2"):
        assert get(provider, path, 403)["error"]["reason"] == "not_your_merchant"
    world.approved("caller", caller_id="CP", party_id="PR", on_behalf=["M2"], enabled=True,
                   public_key=provider.signer.key.public.point, rates=RATES)
    get(provider, "/v1/accounts/2201:M2/movements")
    get(provider, "/v1/accounts/2201:M1/movements", 403)


def test_d0_53_what_a_page_continues_from_opens_nothing(two):
    """A cursor into another's accounts, a filter by code: own rows alone."""
    mine = two["TM"]
    for query in ("after=2101:A/CNY", "after=2201:TN/CNY", "account_code=2101",
                  "account_code=1001", "currency_code=CNY&limit=1"):
        rows = get(mine, f"/v1/balances?{query}")["balances"]
        assert ids(rows) <= {"2201:TM", "2101:TU1", "2101:TU2"}, query


@pytest.mark.parametrize("name", [
    "2101:NU ", "2101:nu", "2101:TU1/../2101:NU", "2101:TU1%00", "2101:TU1:NU", "NU", ":NU",
    "2101:TM\n2101:NU", "6222021234567890123 张三", "x" * 500,
])
def test_d0_53_names_that_only_look_like_ones_own(two, world, name):
    """Whatever stands in the path, nothing foreign comes back, and no text of the caller's making
    goes into the log."""
    answer = two["TM"].send("GET", f"/v1/accounts/{quote(name, safe='')}/balance")
    assert answer.status_code in (403, 404), answer.text
    assert [row["asked"] for row in tries(world)] == [
        name for name in (name,) if re.fullmatch(r"[\w:]{1,64}", name, re.ASCII)
        and name[0] != ":"
    ]


def test_d0_53_what_is_the_houses_stays_the_houses(two, world):
    """Journals, the log, what waits, days, clock, metrics, trees, deadlines: no caller's."""
    for path in ("/v1/journals", "/v1/journals/J000000000001", "/v1/log", "/v1/pending",
                 "/v1/events", f"/v1/days/{DAY}", "/v1/clock", "/metrics", "/v1/deadlines",
                 "/v1/accounts/2201:TM/tree"):
        assert get(two["TM"], path, 403)["error"]["reason"] == "forbidden", path
    for method, path in (("POST", "/v1/heads"), ("POST", f"/v1/days/{DAY}/close")):
        assert two["TM"].send(method, path).status_code == 403


def test_d0_53_the_steps_of_ones_own_commands_alone(two, world):
    """Not those of the house, not another caller's on the same merchant, whether they are there
    or not."""
    command = {**world.command("payment", merchant_id="TM", **PLAIN), "idempotency_key": "mine"}
    command = world.of("CT", command)
    assert two["TM"].send("POST", "/v1/commands", orjson.dumps(command)).status_code == 201
    assert get(two["TM"], "/v1/commands/CT.mine/steps")["steps"][0]["actor"] == "caller:CT"
    assert get(two["TM"], "/v1/commands/CT.never/steps", 404)["error"]["reason"] == "key_unknown"
    assert get(two["TN"], "/v1/commands/CT.mine/steps", 403)["error"]["reason"] == (
        "not_your_merchant"
    )
    for key in ("k1", "never", "CN.never"):
        get(two["TM"], f"/v1/commands/{key}/steps", 403)
    assert [row["asked"] for row in tries(world)] == ["CT.mine", "k1", "never", "CN.never"]


def test_d0_53_a_card_or_user_that_changed_its_owner_is_no_longer_read(two, world):
    """Who may act for a user may read it; who no longer may act may not read either."""
    world.do("payment", merchant_id="TM", channel="internal", user_id="TU2", amount_minor=20_000,
             **PLAIN)  # another owner takes it with an empty book alone
    world.register("party", party_id="TU2", party_kind="user", owner_id="TN",
                   identity_check="ID")
    get(two["TM"], "/v1/accounts/2101:TU2/balance", 403)
    assert "2101:TU2" not in ids(get(two["TM"], "/v1/balances")["balances"])
    get(two["TN"], "/v1/accounts/2101:TU2/balance")


def test_d0_53_a_switched_off_caller_and_a_borrowed_name_read_nothing(two, world, http):
    """The signature decides, not the header."""
    stranger = Signed(http, "caller:CT", PrivateKey.generate())
    assert stranger.send("GET", "/v1/balances").status_code == 401
    other = Signed(http, "caller:CT", two["TN"].signer.key)
    assert other.send("GET", "/v1/accounts/2101:TU1/balance").status_code == 401
    path = "/v1/accounts/2101:TU1/balance"
    signed = two["TM"].signer.headers("GET", path, b"")
    moved = http.get("/v1/accounts/2101:TU2/balance", headers={**signed, "authorization": ""})
    assert moved.status_code == 401
    world.approved("caller", caller_id="CT", party_id="TM", on_behalf=[], enabled=False,
                   public_key=two["TM"].signer.key.public.point, rates=RATES)
    assert two["TM"].send("GET", path).status_code == 401


def test_d0_53_reads_are_held_to_the_callers_rate(world, http):
    """Tries cannot fill the log faster than the contract's rate allows."""
    slow = make_caller(world, http, "SL", "M1", rates={"data": 2})
    none = make_caller(world, http, "NO", "M1", rates={"transaction": 9})
    for _ in range(2):
        get(slow, "/v1/balances?party_id=M2", 403)
    assert get(slow, "/v1/balances?party_id=M2", 429)["error"]["reason"] == "rate_exceeded"
    assert get(none, "/v1/balances", 403)["error"]["reason"] == "forbidden"
    assert len(tries(world)) == 2


def test_d0_53_sessions_read_too_and_their_tries_are_covered(two, world, client, settings):
    """The request in a session has no signature of its own; the session's covers it."""
    signing: LedgerClient = client.as_signer(two["TM"].signer)
    assert isinstance(two["TM"].signer, Signer)
    with signing.session(cover_count=3) as session:
        for _ in range(4):
            assert session.read(lambda c: c.standing("2101:TU2"))["balance_minor"] == 20_000
        with pytest.raises(LedgerRefusal) as caught:
            session.read(lambda c: c.standing("2101:NU"))
        assert caught.value.reason == "not_your_merchant"
        assert [m["number"] for m in session.read(lambda c: list(c.movements("2101:TU2")))] == [
            "I-TU2"
        ]
    (row,) = tries(world)
    assert orjson.loads(row["evidence"])["number"] == 5
    assert verify(settings).uncovered_requests == 0


def test_d0_53_a_foreign_read_sent_as_a_command_books_nothing(two, world):
    """By whomever: it never posts."""
    command = {"type": "foreign_read", "idempotency_key": "foreign-1", "interface": "holds",
               "asked": "M2", "occurred_at": at(DAY, "10:00:00")}
    answer = two["TM"].send("POST", "/v1/commands", orjson.dumps(command))
    assert (answer.status_code, answer.json()["reason"]) == (403, "ledger_only")
    recorded = world.ledger.record({**command, "idempotency_key": "f2"}, SYSTEM)
    assert recorded["reason"] == "not_your_merchant"
