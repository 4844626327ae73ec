"""Operations: what a command of each type takes and books, compiled from its template
(:mod:`ledger.domain.templates`) into functions of `v`, the command's values, and `c`, the
:class:`Context`: `plan(v, c)` makes its checks and gives a :class:`Plan`; an operation with a
handler has its checks in `check(v, c)`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ledger.domain.forms import Form
from ledger.domain.refusals import Refusal

#: Interface classes of rule D2.24.
CLASSES = ("user", "merchant", "transaction", "data", "risk")
#: What callers may send: `own`, for those for whom they act; `rail`, what happened on a rail, if
#: it is one of theirs; any other operation is the institution's alone.
CALLERS = (None, "own", "rail")
#: What money goes over: the channels of merchants, the institution's own books, its banks, and a
#: third party that pays in or out for a user.
RAILS = ("unionpay", "netsunion", "internal", "bank", "third_party")

#: Handlers that may name a journal, which is looked up as their original.
OF_JOURNAL = ("reversal", "reconciliation_close")

#: (account id, currency, direction D or C, amount, component, custodian reference or None)
Leg = list
_NO_SCALES: Mapping[str, int] = {}


class Context:
    """What a plan may know beside the command. `codes` maps an account code to that of the books
    of the merchant's settlement mode; `contract` is that of `owner`: the merchant, or the one
    whose user or card moves; None without a contract. `scales` are the decimals of the currencies
    that the chart keeps."""

    __slots__ = (
        "actor", "booking_date", "codes", "contract", "hold", "mode", "original", "owner", "parent",
        "scales", "tariff",
    )

    def __init__(
        self, booking_date: str, mode: str, codes: Mapping[str, str],
        contract: Mapping[str, Any], tariff: Mapping[str, Any], actor: str,
        original: Mapping[str, Any] | None = None, parent: Mapping[str, Any] | None = None,
        hold: Mapping[str, Any] | None = None, scales: Mapping[str, int] = _NO_SCALES,
    ) -> None:
        self.booking_date = booking_date
        self.mode = mode
        self.codes = codes
        self.contract = contract
        self.tariff = tariff
        self.actor = actor
        self.original = original
        self.parent = parent
        self.hold = hold
        self.scales = scales
        self.owner: str | None = None


class Plan:
    """What a command will do: legs, and what changes beside balances.

    `counters` are the new values of the original's counters; `holds` are (action, kind, hold id,
    account id, amount, case) tuples, where `free` releases all that is left; `uses` are (scene,
    account id, amount) for the limits; `effects` are those of a register (see
    :mod:`ledger.domain.state`).
    """

    __slots__ = (
        "authorisation", "counters", "effects", "holds", "legs", "parent_counters", "uses",
    )

    def __init__(
        self, legs: list[Leg], counters: dict[str, Any] | None = None,
        parent_counters: dict[str, Any] | None = None, holds: list[tuple] | None = None,
        uses: list[tuple] | None = None, authorisation: tuple | None = None,
        effects: list[list] | None = None,
    ) -> None:
        self.effects = effects
        self.legs = legs
        self.counters = counters
        self.parent_counters = parent_counters
        self.holds = holds
        self.uses = uses
        self.authorisation = authorisation


@dataclass(frozen=True, slots=True)
class Operation:
    """One template, compiled. `handler` names the code of an operation that has no legs of its
    own (registers, approvals); then `plan` is None."""

    type: str
    version: int
    zh: str
    en: str
    about: str
    rules: tuple[str, ...]
    module: str
    interface_class: str
    callers: str | None
    form: Form
    further_currencies: tuple[str, ...]  # its fields that name one beside `currency_code`
    business_key: str | None
    journal_type: str
    starts: bool
    before_start: bool
    final_payout: bool  # of who leaves or has left too, though it starts something
    normal: bool
    oldest_first: str | None
    original_field: str | None
    original_types: frozenset[str]
    original_missing: str
    hold_field: str | None
    mode_field: str | None  # names the settlement mode whose books move
    refers: bool  # to an original, a hold or a journal, which has to be looked up
    scenes: frozenset[str]
    scene_codes: frozenset[tuple[str, str]]  # scene, and the code of an account that it counts
    counters: Mapping[str, int]
    approval: Callable[[Mapping[str, Any], Context], bool] | None
    approval_since: int  # the version from which it is asked like this
    approval_before: Callable[[Mapping[str, Any], Context], bool] | None  # what older ones asked
    approval_register: tuple[str, int] | None  # also on this condition, from which version
    merchant: Callable[[Mapping[str, Any], Context], str | None]
    books: Callable[[Mapping[str, Any], Context], str | None]
    user: Callable[[Mapping[str, Any], Context], str | None]
    rail: Callable[[Mapping[str, Any], Context], str | None]
    by_mandate: bool  # what debits a customer is a mandate, good again and again
    outcome: Callable[[Mapping[str, Any], Context], bool | None] | None  # None: it succeeded
    needs_channel: bool  # the merchant is paid over the rail, and must be onboarded to it
    parties: tuple[str, ...]  # its fields that name a party beside merchant and user
    books_apart: bool  # its books are of none of these, so that they are looked up apart
    check: Callable[[Mapping[str, Any], Context], Refusal | None] | None
    plan: Callable[[Mapping[str, Any], Context], Plan | Refusal] | None
    undo: Callable[[Mapping[str, Any], Context], tuple | Refusal] | None  # by its reversal
    undo_holds: bool  # its reversal places again what it captured
    handler: str | None
    text: str  # the compiled source, for reading and debugging


class Operations:
    """All templates by type."""

    def __init__(self, by_type: Mapping[str, Operation], versions: Mapping[str, int]) -> None:
        self.by_type = by_type
        self.versions = versions
        #: interface class by scene of the limits: that of the operations which use the scene
        self.scenes = _scenes(by_type.values())
        #: codes of the accounts that each scene counts for
        self.scene_codes = {
            scene: frozenset(
                code for o in by_type.values() for of, code in o.scene_codes if of == scene
            ) for scene in self.scenes
        }
        #: in which people enter and review; the ledger alone sends what is of `system`, and a
        #: review asks for the right in the module of what waits
        self.modules = frozenset(o.module for o in by_type.values()) - {"system", "approvals"}
        answers = [o for o in by_type.values() if _answers(o, by_type)]
        #: types that say what became of an order
        self.answers = frozenset(o.type for o in answers)
        #: by type of the orders, which kind of business a success books
        self.orders = {type_: o.journal_type for o in answers for type_ in o.original_types}


def _answers(operation: Operation, by_type: Mapping[str, Operation]) -> bool:
    """Whether it says what became of an order, in a field of that name."""
    return bool(operation.original_types) and any(
        field.name == "result" for field in operation.form.fields
    ) and all("result" in by_type[type_].counters for type_ in operation.original_types)


def _scenes(operations: Iterable[Operation]) -> dict[str, str]:
    """:raises ValueError: when operations of two classes use one scene"""
    found: dict[str, str] = {}
    for operation in operations:
        for scene in operation.scenes:
            if found.setdefault(scene, operation.interface_class) != operation.interface_class:
                raise ValueError(f"scene {scene} is of two interface classes")
    return found
