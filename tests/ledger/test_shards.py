"""Hot accounts in shards (capability K11): the sum of the shards is the balance, always; what
lowers it is exact; nobody who sends has to know."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.domain.chart import Chart, parts_of
from ledger.domain.shards import TABLE, balance, shards_of, spread
from ledger.domain.state import State
from ledger.entrypoints.operations import verify
from ledger.service import queries
from tests.ledger.conftest import ANN, DAY, at
from tests.ledger.rules.words import CNY, posted, refused

HOT = "1001"


def _shard(world, number=4, account_id=HOT):
    return world.approved("account_shards", account_id=account_id, shards=number, **CNY)


def _sum(world, account_id=HOT):
    account = world.ledger.state.account(account_id, "CNY")
    return balance(world.ledger.state, account)


@pytest.fixture
def sharded(world):
    """10,000 came in before the account was split."""
    world.do("top_up", amount_minor=10_000)
    _shard(world)
    return world


def _out(world, amount, name):
    """So much leaves by an adjustment of U1's account."""
    return world.approved("adjustment", adjustment_id=name, incident_number="N", reason="r", legs=[
        {"account_id": account_id, "currency_code": "CNY", "direction": side,
         "amount_minor": amount, "component": "test"}
        for account_id, side in (("2101:U1", "D"), (HOT, "C"))
    ])


def _hot(world, result):
    """What a journal did to the account and its shards: account and amount."""
    return {leg[0]: leg[2] for leg in world.legs(result) if parts_of(leg[0])[0] == HOT}


def test_what_comes_in_goes_to_the_shards_in_turn(sharded):
    world = sharded
    seen = Counter()
    for _ in range(40):
        seen.update(_hot(world, world.do("top_up", amount_minor=1_000)))
    assert seen == {f"1001#{n}": 10_000 for n in range(1, 5)}
    assert _sum(world) == 50_000 and world.balance(HOT) == 10_000
    assert queries.tree(world.ledger, HOT, "CNY")["accounts"][0]["total_minor"] == 50_000
    assert queries.balance_at(world.ledger, HOT, "CNY", None, None)["balance_minor"] == 50_000


def test_what_goes_out_is_taken_from_as_many_as_it_needs(sharded):
    """14,000 are there, in five places; 13,999 of them leave in one journal."""
    world = sharded
    for _ in range(4):
        world.do("top_up", amount_minor=1_000)
    taken = _hot(world, _out(world, 13_999, "A"))
    assert sum(taken.values()) == 13_999 and len(taken) == 5
    assert _sum(world) == 1
    assert min(a.balance for a in world.ledger.state.all_accounts() if a.code == HOT) == 0
    assert verify(world.settings).entries == world.ledger.head.sequence


def test_a_reversal_takes_back_though_the_shard_is_empty_by_then(sharded):
    world = sharded
    done = world.do("top_up", user_id="U2", amount_minor=1_000)
    (shard,) = _hot(world, done)
    out = _out(world, 10_000, "A")
    assert world.balance(shard) == 0 and _sum(world) == 1_000
    reversal = {"incident_number": "N", "reason": "r"}
    back = world.approved("reversal", adjustment_id="B", journal_id=done["journal_id"], **reversal)
    assert _hot(world, back) == {HOT: 1_000} and _sum(world) == 0
    again = world.approved("reversal", adjustment_id="C", journal_id=out["journal_id"], **reversal)
    assert sum(_hot(world, again).values()) == 10_000 == _sum(world)
    assert world.balance(shard) == 1_000  # what was taken from it stands there again


def test_a_shard_has_no_life_of_its_own(sharded):
    """Status, stops, holds and the place in the tree are those of its account."""
    world = sharded
    shard = {"account_id": "1001#2", "currency_code": "CNY"}
    assert refused(world.send("account_status", ANN, status="frozen", reason="r", **shard),
                   "register_differs", "account_id")
    assert refused(world.send("move_account", ANN, parent_account_id="1101", **shard),
                   "register_differs", "account_id")
    for name in (HOT, "1001#2"):
        assert refused(
            world.send("hold", ANN, hold_id="H", hold_kind="authority", account_id=name,
                       case_number="N", amount_minor=1, **CNY), "hold_not_allowed", "account_id")
    posted(world.send("account_status", ANN, account_id=HOT, status="no_credit", reason="r",
                      **CNY))
    assert refused(world.do("top_up", amount_minor=1_000), "account_status")
    world.approved("account_status", account_id=HOT, status="normal", reason="r", **CNY)
    posted(world.send("stop", ANN, stop_id="S", stop_scope="account", stop_target=HOT,
                      stop_mode="everything", reason="r"))
    assert refused(world.do("top_up", amount_minor=1_000), "stopped")


def test_only_accounts_of_the_institution_are_split_and_never_in_fewer(sharded):
    world = sharded

    def asked(account_id, number):
        return world.send("account_shards", ANN, account_id=account_id, shards=number, **CNY)

    assert refused(asked("2201:M1", 4), "register_differs", "account_id")
    assert refused(asked("1001#1", 4), "register_differs", "account_id")
    assert refused(asked("1003", 4), "account_not_open", "account_id")
    for number in (0, 4, 65):
        assert refused(asked(HOT, number), "register_differs", "shards")
    _shard(world, 6)
    assert [a.account_id for a in shards_of(world.ledger.state, world.ledger.state.account(
        HOT, "CNY"))] == [f"1001#{n}" for n in range(1, 7)]


def test_the_day_closes_and_a_restart_knows_the_shards(sharded):
    world = sharded
    for _ in range(8):
        world.do("payment")
    total = _sum(world)
    head = world.close(DAY)
    line = next(row for row in head["trial_balance"] if row["account_code"] == HOT)
    assert line["closing_minor"] == total
    world.reopen()
    assert _sum(world) == total
    world.ledger.set_clock(at(DAY, "23:40:00"))
    assert verify(world.settings).entries == world.ledger.head.sequence
    assert {row["account_id"] for row in queries.balances(
        world.ledger, HOT, None, None, None, 100)["balances"]} == {
        HOT, *(f"1001#{n}" for n in range(1, 5))}


@given(
    st.lists(st.integers(0, 500), min_size=1, max_size=8),
    st.lists(st.tuples(st.sampled_from("DC"), st.integers(1, 2_000)), min_size=1, max_size=6),
    st.integers(0, 10**6),
)
def test_any_journal_over_any_shards_moves_the_same_sum_and_none_below_its_floor(
    balances, moves, turn
):
    """Unless all of them together have too little: then the account's floor refuses it."""
    state = State(Chart.from_document(_CHART))
    document = {"code": HOT, "party_id": None, "opened_date": str(DAY)}
    state.change([
        ["open", HOT, "CNY", document],
        *(["open", f"1001#{n}", "CNY", document] for n in range(1, len(balances))),
        ["put", TABLE, "1001/CNY", len(balances) - 1],
    ], str(DAY))
    for n, amount in enumerate(balances):
        state.accounts["CNY"][HOT if n == 0 else f"1001#{n}"].balance = amount
    legs = [[HOT, "CNY", side, amount, "test", None] for side, amount in moves]
    made = spread(state, legs, turn)
    for side in "DC":
        assert sum(leg[3] for leg in made if leg[2] == side) == sum(
            leg[3] for leg in legs if leg[2] == side)
    assert all(leg[3] > 0 for leg in made)
    after = Counter({a.account_id: a.balance for a in state.all_accounts()})
    short = False
    for leg in made:
        after[leg[0]] += leg[3] if leg[2] == "D" else -leg[3]
    running = sum(balances)
    for side, amount in moves:
        running += amount if side == "D" else -amount
        short = short or running < 0
    assert short or min(after.values()) >= 0
    assert sum(after.values()) == running


_CHART = {
    "format": "paylake-chart/2", "version": 1,
    "currencies": [{"code": "CNY", "scale": 2}],
    "accounts": [{
        "code": HOT, "name_zh": "备付金", "name_en": "reserve", "kind": "asset",
        "books": "reserve", "party": "none", "floor_minor": 0, "below_floor_by": [],
    }],
}
