"""The tree of accounts: parent = its own balance and the sum of its children, at any depth."""

from __future__ import annotations

import pytest

from ledger.service.queries import tree
from tests.ledger.conftest import World

CNY = {"currency_code": "CNY"}
USERS = 6


@pytest.fixture
def grown(settings):
    """U1 over U2 over U3 over U4, with U5 beside U4; U6 stands alone. Each has 10 n yuan."""
    world = World(settings)
    world.start(users=USERS)
    for n in range(1, USERS + 1):
        world.do("top_up", top_up_id=f"T{n}", user_id=f"U{n}", amount_minor=n * 1000)
    for child, parent in ((2, 1), (3, 2), (4, 3), (5, 3)):
        move(world, child, parent)
    yield world
    world.ledger.close()


def move(world: World, child: int, parent: int | None) -> None:
    to = {} if parent is None else {"parent_account_id": f"2101:U{parent}"}
    world.register("move_account", account_id=f"2101:U{child}", **to, **CNY)


def accounts(world: World, user: int) -> list[dict]:
    return tree(world.ledger, f"2101:U{user}", "CNY")["accounts"]


def total(world: World, user: int) -> int:
    return accounts(world, user)[0]["total_minor"]


def check(listed: list[dict]) -> int:
    """Every parent of the tree is its own balance and its children, which stand behind it, one
    level below; returns how many there are."""
    for place, one in enumerate(listed):
        children = [c for c in listed if c["parent_account_id"] == one["account_id"]]
        parts = sum(child["total_minor"] for child in children)
        assert one["total_minor"] == one["balance_minor"] + parts
        assert {c["level"] for c in children} <= {one["level"] + 1}
        assert all(listed.index(child) > place for child in children)
    return len(listed)


def test_totals_at_every_depth(grown):
    top = accounts(grown, 1)
    assert check(top) == 5 and top[0]["total_minor"] == 15000
    assert [one["level"] for one in top] == [0, 1, 2, 3, 3]
    assert [total(grown, n) for n in range(1, USERS + 1)] == [15000, 14000, 12000, 4000, 5000, 6000]


def test_a_moved_subtree_keeps_its_totals_and_changes_those_above(grown):
    top, *below = accounts(grown, 3)
    move(grown, 3, 6)
    assert accounts(grown, 3) == [{**top, "parent_account_id": "2101:U6"}, *below]
    assert [total(grown, n) for n in (1, 2, 6)] == [3000, 2000, 18000]
    grown.do("top_up", top_up_id="T9", user_id="U4", amount_minor=1000)
    assert [total(grown, n) for n in (4, 3, 6, 1)] == [5000, 13000, 19000, 3000]
    move(grown, 3, None)
    assert [total(grown, n) for n in (3, 6)] == [13000, 6000]


@pytest.mark.parametrize("parent", [1, 2, 3, 4])
def test_no_account_comes_below_itself(grown, parent):
    before = [total(grown, n) for n in range(1, USERS + 1)]
    result = grown.send("move_account", account_id="2101:U1",
                        parent_account_id=f"2101:U{parent}", **CNY)
    assert (result["status"], result["reason"]) == ("refused", "register_differs")
    assert [total(grown, n) for n in range(1, USERS + 1)] == before
