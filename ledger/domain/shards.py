"""Shards: an account of the institution that everybody's payments touch, kept as several.

`1001` in four shards is `1001` and, below it in the tree, `1001#1` to `1001#4`; its balance is the
sum of them all. What raises the account goes to one shard, in turn. What lowers it is taken from
as many as it needs, so a debit is exact to the minor unit and refused by the sum alone, never
because one shard is short. A shard has no life of its own: status, stops and purpose are those of
its account, and no sender has to know of it.
"""

from __future__ import annotations

from collections.abc import Iterator

from ledger.domain.account import Account
from ledger.domain.chart import SHARD
from ledger.domain.documents import Values, differs
from ledger.domain.operations import Context, Leg, Plan
from ledger.domain.refusals import Refusal
from ledger.domain.state import State

#: Register of sharded accounts: how many shards each has, by `account id/currency`.
TABLE = "shards"
MOST = 64


def shards_of(state: State, account: Account) -> Iterator[Account]:
    """The shards of an account, first to last; none of one that is whole."""
    accounts = state.accounts[account.currency_code]
    number = state.get(TABLE, f"{account.account_id}/{account.currency_code}") or 0
    for n in range(1, number + 1):
        yield accounts[f"{account.account_id}{SHARD}{n}"]


def balance(state: State, account: Account) -> int:
    """An account's balance with that of its shards, minor units on its normal side."""
    return account.balance + sum(shard.balance for shard in shards_of(state, account))


def account_shards(state: State, v: Values, c: Context) -> Plan | Refusal:
    """Keep an account in so many shards; later in more, never in fewer."""
    name, currency, number = v["account_id"], v["currency_code"], v["shards"]
    account = state.account(name, currency)
    if account is None:
        return Refusal("account_not_open", f"account {name} is not open", "account_id")
    line = account.line
    if line.party != "none" or line.settles or line.ages or line.accrues or SHARD in name:
        return differs("only an account of the institution itself is kept in shards", "account_id")
    if account.status != "normal" or account.held or account.frozen:
        return differs(f"account {name} is not normal or is under a hold", "account_id")
    if account.floor != line.floor:
        return differs(f"account {name} has a floor of its own", "account_id")
    before = sum(1 for _ in shards_of(state, account))
    if not before < number <= MOST:
        return differs(f"account {name} is kept in {before + 1} to {MOST} shards", "shards")
    document = {
        "code": account.code, "party_id": None, "opened_date": c.booking_date, "parent": name,
        "tenant": account.tenant, "purpose": sorted(account.purpose) if account.purpose else None,
    }
    return Plan([], effects=[
        *(["open", f"{name}{SHARD}{n}", currency, document] for n in range(before + 1, number + 1)),
        ["put", TABLE, f"{name}/{currency}", number],
    ])


def spread(state: State, legs: list[Leg], turn: int) -> list[Leg]:
    """The same journal over the shards of its accounts.

    :param turn: a number that grows with each entry; it says which shard's turn it is
    """
    found: list[Leg] = []
    moved: dict[str, dict[str, int]] = {}
    for leg in legs:
        found += _parts(state, leg, turn, moved.setdefault(leg[1], {}))
    return found


def _parts(state: State, leg: Leg, turn: int, moved: dict[str, int]) -> list[Leg]:
    """One leg over the shards.

    :param moved: what earlier legs of the journal did to each shard in its currency, to be kept up
    """
    name, currency, direction, amount, component, reference = leg
    whole = state.account(name.partition(SHARD)[0], currency)
    shards = [] if whole is None else list(shards_of(state, whole))
    if whole is None or not shards:
        return [leg]
    raises = (direction == "D") == (whole.debit_sign > 0)
    if raises and SHARD in name:  # a reversal gives back where it was taken
        taken = [(name, amount)]
    elif raises:
        taken = [(shards[turn % len(shards)].account_id, amount)]
    else:
        first = turn % len(shards)
        taken = _taken([*shards[first:], *shards[:first], whole], amount, moved)
    sign = 1 if raises else -1
    for shard, part in taken:
        moved[shard] = moved.get(shard, 0) + sign * part
    return [[shard, currency, direction, part, component, reference] for shard, part in taken]


def _taken(shards: list[Account], amount: int, moved: dict[str, int]) -> list[tuple[str, int]]:
    """An amount out of shards, the first as far as it goes. What none of them has is asked of the
    first, whose floor then decides."""
    parts: dict[str, int] = {}
    for shard in shards:
        floor = shard.floor
        there = amount if floor is None else (
            shard.balance + moved.get(shard.account_id, 0) - floor
        )
        part = min(amount, there)
        if part > 0:
            parts[shard.account_id] = part
            amount -= part
        if not amount:
            break
    if amount:
        first = shards[0].account_id
        parts[first] = parts.get(first, 0) + amount
    return list(parts.items())
