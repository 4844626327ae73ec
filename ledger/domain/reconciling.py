"""Reconciliation (对账) of one account with a bank's statement: what belongs together.

Pure: postings of the ledger, lines of the statement and items that earlier reconciliations left
open go in; items come out, each in exactly one class:

- `matched` 平账: both sides are equal (or one side's entries cancel out under one reference)
- `amount_differs` 金额不符: the same reference on both sides, other sums
- `missing_in_statement` 单边（账簿有、银行无）: only in the ledger
- `missing_in_ledger` 单边（银行有、账簿无）: only in the statement
- `duplicate` 重复: the bank has it once more than the ledger
- `ambiguous` 无法唯一匹配: several candidates; none is guessed

An item in which the bank has more than the ledger is long (长款), the reverse is short (短款).
The same entries in another order give the same items. Hash maps all the way: the time grows with
the number of entries, but for sorting.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

MATCHED = "matched"
OPEN = ("amount_differs", "missing_in_statement", "missing_in_ledger", "duplicate", "ambiguous")
CLASSES = (MATCHED, *OPEN)
RULES_FORMAT = "paylake-reconciliation-rules/1"
#: Keys of items: by reference, a line without one, a difference that there was before a statement
#: began, a journal that people named as the correction of items.
REFERENCE, LINE, OPENING, JOURNAL = "reference", "line", "opening", "journal"
Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """One way to match; see `ledger/data/reconciliation_rules.yml`."""

    code: str
    zh: str
    en: str
    by: str
    days: int = 0
    lines: str = "all"
    accounts: frozenset[str] = frozenset()


def rules_of(document: Mapping[str, Any]) -> tuple[Rule, ...]:
    """The rules of a document, in order.

    :raises ValueError: naming what is wrong
    """
    if document.get("format") != RULES_FORMAT:
        raise ValueError(f"format is not {RULES_FORMAT}")
    rules = tuple(
        Rule(**{**entry, "accounts": frozenset(entry.get("accounts", ()))})
        for entry in document["rules"]
    )
    if [rule.by for rule in rules[:1]] != ["reference"]:
        raise ValueError("the first rule is by reference")
    for rule in rules[1:]:
        if rule.by != "amount" or rule.lines not in ("all", "unreferenced") or not rule.accounts:
            raise ValueError(f"{rule.code}: by amount, of all or unreferenced lines, for accounts")
        if type(rule.days) is not int or not 0 <= rule.days <= 31:
            raise ValueError(f"{rule.code}: days is a whole number from 0 to 31")
    return rules


@dataclass(frozen=True, slots=True)
class Entry:
    """A posting or a line: its name, its value date, its amount (minor units, on the account's
    normal side), and the key of the item that it belongs to."""

    name: str
    value_date: str
    amount: int
    key: Key


class Item:
    """What belongs together. `carried` are ids of items left open before; `fresh` says whether
    an entry of this time is in it."""

    __slots__ = (
        "carried", "class_", "first_date", "fresh", "into", "key", "ledger", "ledger_count",
        "ledger_date", "ledger_entry", "rule", "statement", "statement_count", "statement_date",
        "statement_entry",
    )

    def __init__(self, key: Key) -> None:
        self.key = key
        self.class_ = ""
        self.rule: str | None = None
        self.ledger = self.ledger_count = self.statement = self.statement_count = 0
        self.first_date = ""
        self.ledger_date = self.statement_date = ""  # the last of each side
        self.ledger_entry: tuple[str, str] | None = None  # the first: date and name
        self.statement_entry: tuple[str, str] | None = None
        self.carried: list[str] = []
        self.fresh = False
        self.into: Item | None = None

    @property
    def difference(self) -> int:
        """Ledger less statement, minor units: below zero the item is long, above it short."""
        return self.ledger - self.statement

    def post(self, entry: Entry) -> None:
        """Add a posting of the ledger."""
        self.ledger += entry.amount
        self.ledger_count += 1
        place = (entry.value_date, entry.name)
        if self.ledger_entry is None or place < self.ledger_entry:
            self.ledger_entry = place
        self.ledger_date = max(self.ledger_date, entry.value_date)
        self._seen(entry.value_date)

    def line(self, entry: Entry) -> None:
        """Add a line of the statement."""
        self.statement += entry.amount
        self.statement_count += 1
        place = (entry.value_date, entry.name)
        if self.statement_entry is None or place < self.statement_entry:
            self.statement_entry = place
        self.statement_date = max(self.statement_date, entry.value_date)
        self._seen(entry.value_date)

    def drop(self, entry: Entry) -> None:
        """Take a line out again: it becomes an item of its own."""
        self.statement -= entry.amount
        self.statement_count -= 1

    def _seen(self, day: str) -> None:
        self.fresh = True
        if not self.first_date or day < self.first_date:
            self.first_date = day

    def join(self, other: Item) -> None:
        """Take in another item."""
        self.ledger += other.ledger
        self.ledger_count += other.ledger_count
        self.statement += other.statement
        self.statement_count += other.statement_count
        self.ledger_entry = _least(self.ledger_entry, other.ledger_entry)
        self.statement_entry = _least(self.statement_entry, other.statement_entry)
        self.ledger_date = max(self.ledger_date, other.ledger_date)
        self.statement_date = max(self.statement_date, other.statement_date)
        dates = [day for day in (self.first_date, other.first_date) if day]
        self.first_date = min(dates, default="")
        self.carried = sorted({*self.carried, *other.carried})
        self.fresh = self.fresh or other.fresh


def _least(one: tuple[str, str] | None, two: tuple[str, str] | None) -> tuple[str, str] | None:
    return min((place for place in (one, two) if place is not None), default=None)


@dataclass(frozen=True, slots=True)
class Matching:
    """Items in the order of their keys, and the place in them of every posting and line."""

    items: tuple[Item, ...]
    of_posting: tuple[int, ...]
    of_line: tuple[int, ...]

    def sums(self) -> dict[str, dict[str, int]]:
        """By class: items, and number and sum of postings and lines on both sides."""
        names = ("items", "ledger_count", "ledger_minor", "statement_count", "statement_minor")
        found = {name: dict.fromkeys(names, 0) for name in CLASSES}
        for item in self.items:
            of = found[item.class_]
            of["items"] += 1
            of["ledger_count"] += item.ledger_count
            of["ledger_minor"] += item.ledger
            of["statement_count"] += item.statement_count
            of["statement_minor"] += item.statement
        return found


def match(
    postings: Sequence[Entry], lines: Sequence[Entry], carried: Iterable[tuple[str, Item]],
    rules: Sequence[Rule], code: str,
) -> Matching:
    """Put postings, lines and what was left open into items.

    :param carried: items left open before, by id (empty: none), each with its class; changed here
    :param code: of the account, for the rules that hold for it
    """
    groups: dict[Key, Item] = {}
    before: dict[Key, str] = {}  # classes of what was left open
    for name, item in carried:
        known = groups.get(item.key)
        before[item.key] = item.class_
        item.carried = [name] if name else []
        if known is None:
            groups[item.key] = item
        else:
            known.join(item)
    for entry in postings:
        item = groups.get(entry.key) or groups.setdefault(entry.key, Item(entry.key))
        item.post(entry)
    for entry in lines:
        item = groups.get(entry.key) or groups.setdefault(entry.key, Item(entry.key))
        item.line(entry)
    items = list(groups.values())
    more, moved = _by_reference(groups, lines, before, rules[0])
    for rule in rules[1:]:
        if code in rule.accounts:
            _by_amount(items, rule)
    for item in items:
        if not item.class_:
            item.class_ = "missing_in_statement" if item.ledger_count else "missing_in_ledger"
    whole = sorted(
        (item for item in (*items, *more) if item.into is None),
        key=lambda item: (item.key, item.class_, item.statement_entry or ("", "")),
    )
    places = {id(item): place for place, item in enumerate(whole)}

    def place(item: Item) -> int:
        return places[id(item if item.into is None else item.into)]

    return Matching(
        tuple(whole), tuple([place(groups[entry.key]) for entry in postings]),
        tuple([place(moved.get(entry.name) or groups[entry.key]) for entry in lines]),
    )


def _by_reference(
    groups: Mapping[Key, Item], lines: Sequence[Entry], before: Mapping[Key, str], rule: Rule
) -> tuple[list[Item], dict[str, Item]]:
    """Class those whose sums are equal, or differ; those of one side stay without a class. Gives
    the lines that the bank has once more than the ledger: their items, and these by line."""
    differing: dict[Key, list[Entry]] = {}
    for key, item in groups.items():
        both = item.ledger_count and item.statement_count
        if item.ledger == item.statement and item.ledger_count + item.statement_count > 1:
            item.class_, item.rule = MATCHED, rule.code
        elif key[0] in (OPENING, JOURNAL):
            item.class_ = "amount_differs"
        elif both:
            item.class_ = "amount_differs"
            differing[key] = []
        elif not item.fresh and before.get(key) == "duplicate":
            item.class_ = "duplicate"
        else:
            item.class_ = ""
    if not differing:
        return [], {}
    for entry in lines:
        found = differing.get(entry.key)
        if found is not None:
            found.append(entry)
    more: list[Item] = []
    moved: dict[str, Item] = {}
    for key, entries in differing.items():
        again = _repeated(-groups[key].difference, entries)
        if not again:
            continue
        extra = Item(key)
        extra.class_ = "duplicate"
        for entry in again:
            groups[key].drop(entry)
            extra.line(entry)
            moved[entry.name] = extra
        groups[key].class_, groups[key].rule = MATCHED, rule.code
        more.append(extra)
    return more, moved


def _repeated(surplus: int, entries: Sequence[Entry]) -> list[Entry]:
    """The lines that explain by how much the bank has more: the last ones of an amount that it has
    several times. None when no amount does, or more than one."""
    by_amount: dict[int, list[Entry]] = {}
    for entry in entries:
        by_amount.setdefault(entry.amount, []).append(entry)
    found = []
    for amount, same in by_amount.items():
        times, rest = divmod(surplus, amount)
        if not rest and 1 <= times < len(same):
            same.sort(key=lambda entry: (entry.value_date, entry.name))
            found.append(same[-times:])
    return found[0] if len(found) == 1 else []


def _by_amount(items: Sequence[Item], rule: Rule) -> None:
    """Pairs of one side each with equal amounts and near dates, if neither has another candidate;
    those that have several are ambiguous."""
    ledger: dict[int, list[tuple[str, Item]]] = {}
    bank: dict[int, list[tuple[str, Item]]] = {}
    for item in items:
        if item.class_ not in ("", "ambiguous") or item.into is not None:
            continue
        if item.ledger_count and not item.statement_count:
            ledger.setdefault(item.ledger, []).append((item.ledger_date, item))
        elif rule.lines == "all" or item.key[0] == LINE:
            bank.setdefault(item.statement, []).append((item.statement_date, item))
    for amount, lines in bank.items():
        postings = ledger.get(amount)
        if postings is None:
            continue
        for side in (lines, postings):
            side.sort(key=lambda dated: (dated[0], dated[1].key))
        line_days = [day for day, _ in lines]
        posting_days = [day for day, _ in postings]
        for day, line in lines:
            first, last = _window(posting_days, day, rule.days)
            if first == last:
                continue
            when, posting = postings[first]
            others = _window(line_days, when, rule.days)
            if last - first > 1 or others[1] - others[0] > 1:
                line.class_ = "ambiguous"
                continue
            line.class_, line.rule = MATCHED, rule.code
            posting.class_, posting.into = MATCHED, line
            line.join(posting)
        for day, posting in postings:
            first, last = _window(line_days, day, rule.days)
            if posting.into is None and first < last:
                posting.class_ = "ambiguous"


def _window(days: Sequence[str], day: str, most: int) -> tuple[int, int]:
    """Places of the days that lie at most so many calendar days from a day."""
    if not most:
        return bisect_left(days, day), bisect_right(days, day)
    middle, step = date.fromisoformat(day), timedelta(most)
    return (
        bisect_left(days, (middle - step).isoformat()),
        bisect_right(days, (middle + step).isoformat()),
    )
