"""Who takes part: merchants, terminals, cards, payment accounts, and how they change.

A population is made once from the seed. Registry entries change on dates decided beforehand
(openings, a moved shop, a new settlement account, a rotated key, a merchant that leaves), so the
snapshot of any date can be made alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property

import numpy as np

from simulator import identifiers
from simulator import reference as ref
from simulator.params import Params


@dataclass(frozen=True)
class Merchant:
    """One line of the merchant register; `minimum_payout` in minor units."""

    merchant_id: str
    name: str
    merchant_type: str
    trade: int
    region_code: str
    address: str
    legal_representative: str
    document_number: str
    phone: str
    settlement_account: str
    settlement_bank: str
    settlement_mode: str
    settlement_cycle: str
    minimum_payout: int
    parent_platform_id: str
    fee_class: str
    status: str
    opened: date

    @property
    def mcc(self) -> str:
        return ref.TRADES[self.trade].mcc


@dataclass(frozen=True)
class Terminal:
    """One line of the terminal register."""

    terminal_id: str
    serial_number: str
    merchant_id: str
    terminal_type: str
    place: str
    region_code: str
    key_version: int
    status: str
    installed: date


@dataclass(frozen=True)
class Change:
    """From `day` on, entry number `index` has `value` in `field`; `gone` leaves the snapshot."""

    day: date
    index: int
    field: str
    value: object


class Population:
    """Merchants, terminals, cards and payment accounts of one world."""

    def __init__(self, params: Params) -> None:
        self.params = params
        self._rng = params.rng("population")
        self.merchants = self._make_merchants()
        self.terminals = self._make_terminals()
        self.changes = self._make_changes()
        self.terminal_changes = self._make_terminal_changes()
        self._make_cards()
        self.users = max(50, params.txns // 10)

    # -- registry ------------------------------------------------------------------------------

    def _person(self) -> str:
        rng = self._rng
        given = "".join(ref.GIVEN[i] for i in rng.integers(0, len(ref.GIVEN), rng.integers(1, 3)))
        return ref.SURNAMES[rng.integers(0, len(ref.SURNAMES))] + given

    def _address(self, province: ref.Province) -> str:
        rng = self._rng
        district = province.districts[rng.integers(0, len(province.districts))]
        street = ref.STREETS[rng.integers(0, len(ref.STREETS))]
        return f"{province.name}{province.city}{district}{street}{rng.integers(1, 900)}号"

    def _make_merchants(self) -> list[Merchant]:
        rng, params = self._rng, self.params
        weights = np.array([t.weight for t in ref.TRADES])
        # Every trade and every fee class appears even in a small world.
        trades = np.concatenate([
            np.argsort(-weights)[: params.merchants],
            rng.choice(len(weights), max(0, params.merchants - len(weights)),
                       p=weights / weights.sum()),
        ])[: params.merchants]
        shares = np.array([p.weight for p in ref.PROVINCES])
        regions = rng.choice(len(shares), params.merchants, p=shares / shares.sum())
        return [self._merchant(n, int(trades[n]), int(regions[n])) for n in range(params.merchants)]

    def _merchant(self, index: int, trade_index: int, region_index: int) -> Merchant:
        rng = self._rng
        trade, province = ref.TRADES[trade_index], ref.PROVINCES[region_index]
        public = trade.fee_class == "WAIVED" or trade.mcc in ("4111", "4900")
        kind = "enterprise" if public else str(
            rng.choice(ref.MERCHANT_TYPES, p=(0.45, 0.40, 0.15))
        )
        person = self._person()
        word = ref.SHOP_WORDS[rng.integers(0, len(ref.SHOP_WORDS))]
        place = (province.city or province.name).removesuffix("市")
        name = {
            "enterprise": f"{place}{word}{trade.label}有限公司",
            "sole_trader": f"{place}{word}{trade.label}（个体）",
            "micro": f"{person}{trade.label}",
        }[kind]
        serial = index + 1
        opened_late = index >= 10 and rng.random() < 0.05
        opened = (
            self.params.start + timedelta(days=int(rng.integers(1, max(2, self.params.days))))
            if opened_late
            else self.params.start - timedelta(days=int(rng.integers(30, 1800)))
        )
        cycle = str(rng.choice(ref.CYCLES, p=(0.03, 0.72, 0.25)))
        if index < len(ref.CYCLES):  # even the smallest world has every cycle
            cycle = ref.CYCLES[index]
        return Merchant(
            merchant_id=f"M{serial:06d}",
            name=name,
            merchant_type=kind,
            trade=trade_index,
            region_code=province.code,
            address=self._address(province),
            legal_representative=person,
            document_number=(
                identifiers.resident_id(rng, province.code)
                if kind == "micro"
                else identifiers.credit_code(rng, province.code, serial)
            ),
            phone=identifiers.phone(rng),
            settlement_account=identifiers.bank_account(rng, serial),
            settlement_bank=ref.SETTLEMENT_BANKS[rng.integers(0, len(ref.SETTLEMENT_BANKS))],
            settlement_mode=str(rng.choice(ref.MODES, p=(0.85, 0.10, 0.05))),
            settlement_cycle=cycle,
            minimum_payout=int(rng.choice((0, 10_00, 100_00, 1000_00), p=(0.4, 0.3, 0.2, 0.1))),
            parent_platform_id=(
                f"PF{rng.integers(1, 6):03d}" if rng.random() < 0.12 else ""
            ),
            fee_class=trade.fee_class,
            status="active",
            opened=opened,
        )

    def _make_terminals(self) -> list[Terminal]:
        rng, count = self._rng, len(self.merchants)
        extra = self.params.terminals - count
        weights = rng.lognormal(0, 0.8, count)
        owners = np.concatenate([
            np.arange(count), rng.choice(count, extra, p=weights / weights.sum())
        ])
        kinds = rng.choice(3, len(owners), p=(0.55, 0.33, 0.12))
        found = []
        for number, owner in enumerate(owners, start=1):
            merchant = self.merchants[owner]
            kind = ref.TERMINAL_TYPES[kinds[number - 1]]
            floor = int(rng.integers(1, 7))
            found.append(Terminal(
                terminal_id=f"T{number:06d}",
                serial_number=f"SN{kind[0].upper()}{number:05d}{rng.integers(0, 10_000):04d}",
                merchant_id=merchant.merchant_id,
                terminal_type=kind,
                place=f"{merchant.address}{floor}层",
                region_code=merchant.region_code,
                key_version=int(rng.integers(1, 4)),
                status="active",
                installed=merchant.opened,
            ))
        return found

    def _make_changes(self) -> list[Change]:
        rng, days = self._rng, self.params.dates()
        found: list[Change] = []
        for day in days[1:]:
            for _ in range(int(rng.poisson(max(0.5, len(self.merchants) / 250)))):
                index = int(rng.integers(0, len(self.merchants)))
                province = next(p for p in ref.PROVINCES
                                if p.code == self.merchants[index].region_code)
                field, value = (
                    ("phone", identifiers.phone(rng)),
                    ("address", self._address(province)),
                    ("settlement_account", identifiers.bank_account(rng, 900_000 + len(found))),
                    ("minimum_payout", int(rng.choice((0, 10_00, 50_00, 200_00)))),
                )[int(rng.integers(0, 4))]
                found.append(Change(day, index, field, value))
        if len(days) >= 12 and len(self.merchants) >= 25:
            # Two that stop: one suspended, one cancelled that leaves the snapshot later.
            suspended, cancelled = rng.choice(np.arange(20, len(self.merchants)), 2, replace=False)
            found.append(Change(days[6], int(suspended), "status", "suspended"))
            found.append(Change(days[5], int(cancelled), "status", "cancelled"))
            found.append(Change(days[10], int(cancelled), "gone", True))
        return sorted(found, key=lambda c: (c.day, c.index, c.field))

    def _make_terminal_changes(self) -> list[Change]:
        rng, found = self._rng, []
        for day in self.params.dates()[1:]:
            for _ in range(int(rng.poisson(max(0.5, len(self.terminals) / 400)))):
                index = int(rng.integers(0, len(self.terminals)))
                found.append(Change(day, index, "key_version", int(rng.integers(4, 9))))
        return sorted(found, key=lambda c: (c.day, c.index, c.field))

    @staticmethod
    def _as_of(entries: list, changes: list[Change], day: date) -> list:
        current: list = list(entries)
        for change in changes:
            if change.day > day:
                break
            if current[change.index] is None:
                continue
            if change.field == "gone":
                current[change.index] = None
            else:
                current[change.index] = replace(
                    current[change.index], **{change.field: change.value}
                )
        return current

    def merchants_as_of(self, day: date) -> list[Merchant | None]:
        """The register on a date by index; None for one not yet opened or no longer listed."""
        return [
            m if m is not None and m.opened <= day else None
            for m in self._as_of(self.merchants, self.changes, day)
        ]

    def terminals_as_of(self, day: date) -> list[Terminal | None]:
        """Terminals on a date by index; they come and go with their merchants."""
        listed = {m.merchant_id: m for m in self.merchants_as_of(day) if m is not None}
        return [
            None if (owner := listed.get(t.merchant_id)) is None
            else t if owner.status == "active"
            else replace(t, status="inactive")
            for t in self._as_of(self.terminals, self.terminal_changes, day)
        ]

    # -- arrays that trading needs -------------------------------------------------------------

    @cached_property
    def trade_of(self) -> np.ndarray:
        return np.array([m.trade for m in self.merchants], dtype=np.int64)

    @cached_property
    def fee_class_of(self) -> np.ndarray:
        return np.array([ref.FEE_CLASSES.index(m.fee_class) for m in self.merchants])

    @cached_property
    def cycle_of(self) -> np.ndarray:
        return np.array([ref.CYCLES.index(m.settlement_cycle) for m in self.merchants])

    @cached_property
    def size_of(self) -> np.ndarray:
        """Relative number of customers of each merchant: a few large ones, many small."""
        return self.params.rng("sizes").lognormal(0, 0.9, len(self.merchants))

    @cached_property
    def terminal_owner(self) -> np.ndarray:
        index = {m.merchant_id: n for n, m in enumerate(self.merchants)}
        return np.array([index[t.merchant_id] for t in self.terminals])

    @cached_property
    def terminal_kind(self) -> np.ndarray:
        return np.array([ref.TERMINAL_TYPES.index(t.terminal_type) for t in self.terminals])

    def trading_on(self, day: date) -> np.ndarray:
        """Which merchants take payments on a date, shape (merchants,) of bool."""
        return np.array([m is not None and m.status == "active" for m in self.merchants_as_of(day)])

    def minimum_payout_on(self, day: date) -> np.ndarray:
        """Smallest payout of each merchant on a date, minor units."""
        # A merchant that has left is paid whatever is still its own.
        return np.array(
            [0 if m is None else m.minimum_payout for m in self.merchants_as_of(day)],
            dtype=np.int64,
        )

    def _make_cards(self) -> None:
        rng = self.params.rng("cards")
        count = max(500, self.params.txns * 3 // 2)
        shares = np.array([i.share for i in ref.ISSUERS])
        issuer = rng.choice(len(shares), count, p=shares / shares.sum())
        prefixes = np.array([i.prefix for i in ref.ISSUERS])[issuer]
        self.card_numbers = identifiers.card_numbers(np.arange(count), prefixes)
        self.card_is_credit = np.array([i.is_credit for i in ref.ISSUERS])[issuer]
        self.card_in_outage = np.isin(prefixes, ref.OUTAGE_PREFIXES)

    @staticmethod
    def user_ids(index: np.ndarray) -> np.ndarray:
        """Payment account holders `U000001`…, shape of `index`."""
        return np.char.add("U", np.char.zfill((index + 1).astype("U"), 6))
