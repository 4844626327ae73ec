"""The payment attempts of one business date, made from the seed and the date alone."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date, timedelta

import numpy as np

from simulator import fees, shape
from simulator import reference as ref
from simulator.params import Params
from simulator.population import Population

#: A payment is refunded at most this many days after it was made.
REFUND_DAYS = 6
_CARD, _QR = range(2)
_DEBIT, _CREDIT, _BALANCE = range(3)
_UNIONPAY, _NETSUNION, _INTERNAL = range(3)
_CHIP, _CONTACTLESS, _SCAN, _ONLINE = range(4)


@dataclass(frozen=True)
class Attempts:
    """Payment attempts of a date in the order of time, one array a column, shape (n,).

    `second` counts from the cut-off that begins the date; `card`, `user`, `terminal` are indices
    or -1; amounts are minor units. A refund plan has up to two parts: amount and days later (-1:
    none), with `refund_moment_1/2` in 0..1 placing it within its day. `late_days` is how long an
    offline payment was under way before it reached the switch.
    """

    day: date
    second: np.ndarray
    merchant: np.ndarray
    terminal: np.ndarray
    card: np.ndarray
    user: np.ndarray
    way: np.ndarray
    funding: np.ndarray
    channel: np.ndarray
    amount: np.ndarray
    response: np.ndarray
    entry_mode: np.ndarray
    goods: np.ndarray
    issuer_fee: np.ndarray
    network_fee: np.ndarray
    acquirer_fee: np.ndarray
    refund_amount_1: np.ndarray
    refund_lag_1: np.ndarray
    refund_moment_1: np.ndarray
    refund_amount_2: np.ndarray
    refund_lag_2: np.ndarray
    refund_moment_2: np.ndarray
    late_days: np.ndarray

    def __len__(self) -> int:
        return len(self.second)

    @property
    def ok(self) -> np.ndarray:
        """Which attempts succeeded."""
        return self.response == 0

    def ids(self, index: np.ndarray | None = None) -> np.ndarray:
        """Transaction ids `P20260912` + eight digits, in order of time."""
        numbers = np.arange(len(self)) if index is None else index
        return transaction_ids("P", self.day, numbers)


def transaction_ids(prefix: str, day: date, index: np.ndarray) -> np.ndarray:
    """Ids of a date: prefix, date, eight digits that count from 1."""
    if not len(index):
        return np.empty(0, "U17")
    return np.char.add(f"{prefix}{day:%Y%m%d}", np.char.zfill((index + 1).astype("U8"), 8))


def _pick(cumulative: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Index drawn by a cumulative distribution."""
    return np.minimum(np.searchsorted(cumulative, uniform, side="right"), len(cumulative) - 1)


def _choose(rng: np.random.Generator, shares: tuple[float, ...] | np.ndarray, n: int) -> np.ndarray:
    total = np.cumsum(shares, dtype=float)
    return _pick(total / total[-1], rng.random(n))


def attempts(
    params: Params, people: Population, day: date, outage: bool = False, late: bool = False
) -> Attempts:
    """Make a date's attempts.

    :param outage: one bank's cards fail for most of the day, so that about 70 % of all attempts
        succeed.
    :param late: one payment was taken offline four days before.
    """
    rng = params.rng("trade", day)
    n = max(20, round(params.txns * shape.volume(day, rng)))
    merchant = _merchants(people, day, rng, n)
    trade = people.trade_of[merchant]
    unsorted = _seconds(trade, rng, n)
    order = np.argsort(unsorted, kind="stable")
    second, merchant, trade = unsorted[order], merchant[order], trade[order]

    terminal = _terminals(people, merchant, rng, n)
    is_code = np.where(
        terminal < 0, rng.random(n) < 0.75,
        np.where(people.terminal_kind[terminal] == 1, True, rng.random(n) < 0.30),
    )
    way = np.where(is_code, _QR, _CARD)
    card = (len(people.card_numbers) * rng.beta(0.9, 1.6, n)).astype(np.int64)
    funding = np.where(people.card_is_credit[card], _CREDIT, _DEBIT)
    from_account = is_code & (rng.random(n) < 0.30)
    funding = np.where(from_account, _BALANCE, funding)
    user = np.where(from_account, (people.users * rng.beta(0.9, 2.0, n)).astype(np.int64), -1)
    card = np.where(from_account, -1, card)
    channel = np.where(
        from_account, _INTERNAL, np.where(is_code & (rng.random(n) < 0.8), _NETSUNION, _UNIONPAY)
    )
    entry = np.where(terminal < 0, _ONLINE,
                     np.where(is_code, _SCAN, np.where(rng.random(n) < 0.6, _CONTACTLESS, _CHIP)))
    amount = _amounts(trade, rng, n)
    response = _responses(people, card, second, rng, n, outage)
    fee_class = people.fee_class_of[merchant]
    issuer, network, acquirer = fees.split(amount, funding, fee_class)
    plan = _refund_plan(amount, response == 0, rng, n)
    late_days = np.zeros(n, dtype=np.int64)
    if late:
        candidates = np.flatnonzero(
            (response == 0) & (way == _CARD) & (entry != _ONLINE) & (plan["refund_lag_1"] < 0)
        )
        late_days[candidates[len(candidates) // 2]] = 4
    return Attempts(
        day=day, second=second, merchant=merchant, terminal=terminal, card=card, user=user,
        way=way, funding=funding, channel=channel, amount=amount, response=response,
        entry_mode=entry, goods=_choose(rng, (60, 12, 10, 8, 4, 3, 1, 1, 0.5, 0.5), n),
        issuer_fee=issuer, network_fee=network, acquirer_fee=acquirer, late_days=late_days, **plan,
    )


def _merchants(people: Population, day: date, rng: np.random.Generator, n: int) -> np.ndarray:
    weight = (
        np.array([t.weight for t in ref.TRADES])[people.trade_of]
        * shape.trade_factor(day)[people.trade_of]
        * people.size_of
        * people.trading_on(day)
    )
    return _choose(rng, weight, n)


def _seconds(trade: np.ndarray, rng: np.random.Generator, n: int) -> np.ndarray:
    distribution = shape.hour_distribution()
    # One search for all trades: shift each row's distribution by its row number.
    flat = (distribution + np.arange(len(distribution))[:, None]).ravel()
    position = np.searchsorted(flat, trade + rng.random(n), side="right")
    hour = np.minimum(position - trade * 24, 23)
    return hour * 3600 + rng.integers(0, 3600, n)


def _terminals(
    people: Population, merchant: np.ndarray, rng: np.random.Generator, n: int
) -> np.ndarray:
    """A terminal of the merchant, or -1 for an on-line payment."""
    order = np.argsort(people.terminal_owner, kind="stable")
    count = np.bincount(people.terminal_owner, minlength=len(people.merchants))
    first = np.concatenate([[0], np.cumsum(count)[:-1]])
    chosen = order[first[merchant] + (rng.random(n) * count[merchant]).astype(np.int64)]
    return np.where(rng.random(n) < 0.06, -1, chosen)


def _amounts(trade: np.ndarray, rng: np.random.Generator, n: int) -> np.ndarray:
    median = np.array([t.median for t in ref.TRADES], dtype=float)[trade]
    spread = np.array([t.spread for t in ref.TRADES])[trade]
    raw = np.exp(np.log(median) + spread * rng.standard_normal(n))
    cents = np.clip(np.rint(raw), 1_00, 200_000_00).astype(np.int64)
    ending = rng.random(n)  # prices end in yuan, in tenths, or anywhere
    return np.where(ending < 0.45, cents // 100 * 100,
                    np.where(ending < 0.75, cents // 10 * 10, cents))


def _responses(
    people: Population, card: np.ndarray, second: np.ndarray, rng: np.random.Generator, n: int,
    outage: bool,
) -> np.ndarray:
    failed = rng.random(n) < 0.042
    code = np.where(failed, _choose(rng, ref.FAILURE_SHARES, n), 0)
    # A payment account has neither an issuer nor a card that runs out.
    code = np.where((card < 0) & np.isin(code, (4, 5, 6)), ref.INSUFFICIENT, code)
    dice = rng.random(n)
    if outage:
        # From 02:00 to 22:00 the bank's system answers almost nobody; so many of those attempts
        # fail that the date as a whole comes to 70 %.
        exposed = (
            (card >= 0) & people.card_in_outage[card] & (second > 3 * 3600) & (second < 23 * 3600)
            & (code == 0)
        )
        wanted = max(0, int((code == 0).sum()) - round(0.70 * n))
        if exposed.sum() < wanted:  # a small world: take other banks' cards too
            exposed = (card >= 0) & (code == 0)
        hit = np.flatnonzero(exposed)
        code[hit[np.argsort(dice[hit], kind="stable")[:wanted]]] = ref.UNAVAILABLE
    return code


def _refund_plan(
    amount: np.ndarray, ok: np.ndarray, rng: np.random.Generator, n: int
) -> dict[str, np.ndarray]:
    refunded = ok & (rng.random(n) < 0.016)
    partial = rng.random(n) < 0.40
    share = rng.uniform(0.2, 0.8, n)
    first = np.where(partial, np.maximum(1, (amount * share).astype(np.int64)), amount)
    lag = np.minimum(rng.geometric(0.45, n) - 1, REFUND_DAYS - 1)
    again = refunded & partial & (rng.random(n) < 0.5) & (amount - first > 0)
    later = np.minimum(lag + 1 + rng.integers(0, 2, n), REFUND_DAYS)
    rest = amount - first
    return {
        "refund_amount_1": np.where(refunded, first, 0),
        "refund_lag_1": np.where(refunded, lag, -1),
        "refund_moment_1": rng.random(n),
        "refund_amount_2": np.where(again, rest, 0),
        "refund_lag_2": np.where(again, later, -1),
        "refund_moment_2": rng.random(n),
    }


def take(made: Attempts, index: np.ndarray) -> dict[str, np.ndarray]:
    """The chosen attempts' columns."""
    return {f.name: getattr(made, f.name)[index] for f in fields(made) if f.name != "day"}


@dataclass(frozen=True)
class PlannedRefund:
    """Refunds due on a date, in order of time; shape (n,) each. `part` is 1 or 2."""

    second: np.ndarray
    day_ordinal: np.ndarray
    index: np.ndarray
    part: np.ndarray
    amount: np.ndarray
    before: np.ndarray


def planned_refunds(day: date, made: dict[date, Attempts]) -> PlannedRefund:
    """Refunds that a date brings, of payments up to :data:`REFUND_DAYS` days old.

    :param made: attempts by date; dates before the world's start are absent.
    """
    rows: list[tuple[np.ndarray, ...]] = []
    for lag in range(REFUND_DAYS + 1):
        origin = made.get(day - timedelta(days=lag))
        if origin is None:
            continue
        for part in (1, 2):
            index = np.flatnonzero(getattr(origin, f"refund_lag_{part}") == lag)
            moment = getattr(origin, f"refund_moment_{part}")[index]
            # After the payment on the same day, in shop hours on a later one.
            begin = origin.second[index] + 60 if lag == 0 else np.full(len(index), 10 * 3600)
            begin = np.minimum(begin, shape.DAY_SECONDS - 1)
            second = begin + (moment * (shape.DAY_SECONDS - 1 - begin)).astype(np.int64)
            amount = getattr(origin, f"refund_amount_{part}")[index]
            before = np.zeros_like(amount) if part == 1 else origin.refund_amount_1[index]
            rows.append((
                second, np.full(len(index), origin.day.toordinal()), index,
                np.full(len(index), part), amount, before,
            ))
    columns = [np.concatenate(parts).astype(np.int64) for parts in zip(*rows, strict=True)]
    order = np.lexsort((columns[3], columns[2], columns[1], columns[0]))
    return PlannedRefund(*(c[order] for c in columns))
