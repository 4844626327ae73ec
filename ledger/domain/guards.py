"""What must hold before a command may post: parties, contract, terminal, stops, the payer's
authorisation, accounts and their status, books, limits, floors. Each returns the first reason
that does not hold, or None; nothing is changed."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Any, Final

from ledger.domain import mandates
from ledger.domain.account import Account, Used
from ledger.domain.chart import SHARD
from ledger.domain.money import BALANCE_LIMIT
from ledger.domain.operations import Operation
from ledger.domain.refusals import Refusal
from ledger.domain.state import State

#: What a party in each state may still do: start new business, or only finish the old.
STARTS = frozenset({"active"})
FINISHES = frozenset({"active", "suspended", "leaving", "cancelled"})
LEAVES = frozenset({"leaving", "cancelled"})
#: What accrues day by day moves no money: no stop and no status of an account ends it, nor the
#: close that asks for it.
_ACCRUES = frozenset({"penalty"})
#: What the payer gets in an exchange: its consent fixes it beside what it sells.
BOUGHT = ("bought_minor", "bought_currency_code")
_UNUSED: Final[Mapping[str, Used]] = {}
_LIMIT: Final[int] = BALANCE_LIMIT
_NONE: Final[dict[str, Account]] = {}


def party(
    state: State, operation: Operation, party_id: str | None, field: str
) -> Refusal | None:
    """A party must be registered and in a state that allows it (rules D0.34, D0.40, D4a.8,
    D4a.10): a suspended, leaving or cancelled one starts nothing new, while refunds,
    chargebacks, authority orders, final payout and fees still post."""
    if party_id is None:
        return None
    document = state.get("party", party_id)
    if document is None:
        return Refusal("party_unknown", f"{party_id} is not registered", field)
    allowed = STARTS if operation.starts else FINISHES
    if operation.before_start and document["state"] == "reviewed":
        return None  # what has to be there before the start: fees, deposit, channels (rule D0.34)
    if operation.final_payout and document["state"] in LEAVES:
        return None  # its money goes back to it (rule D4a.10)
    if document["state"] not in allowed:
        return Refusal("party_not_active", f"{party_id} is {document['state']}", field)
    return None


def channel(state: State, merchant_id: str, rail: str | None) -> Refusal | None:
    """A merchant is paid over channels that it was onboarded to, the institution's own among them
    (rule D0.34). Merchants registered before channels were kept have no list and keep all."""
    channels = state.tables["party"][merchant_id].get("channels")
    if rail is None or channels is None or rail in channels:
        return None
    return Refusal("channel_not_open", f"{merchant_id} is not onboarded to {rail}")


def terminal(state: State, terminal_id: str | None, merchant_id: str | None) -> Refusal | None:
    """Only reviewed terminals of the merchant do business (rules D4a.11 to D4a.13)."""
    if terminal_id is None:
        return None
    document = state.get("party", terminal_id)
    if document is None or document["kind"] != "terminal":
        return Refusal("terminal_not_active", f"{terminal_id} is no terminal", "terminal_id")
    if document["owner_id"] != merchant_id:
        return Refusal(
            "terminal_not_active", f"{terminal_id} is another merchant's", "terminal_id"
        )
    if document["state"] != "active":
        return Refusal(
            "terminal_not_active", f"{terminal_id} is {document['state']}", "terminal_id"
        )
    return None


def stopped(
    state: State, operation: Operation, parties: Iterable[str | None], rail: str | None,
    caller: str | None,
) -> Refusal | None:
    """Emergency stops of everything, a party, a rail or a caller (rules D0.38, D2.10). Stops
    themselves can be placed and lifted all the same, what the ledger does by itself goes on, and a
    caller signs what it sent before (rule D0.36).

    :param parties: all that the command names, and whose caller sends it
    """
    if operation.module in ("sessions", "stops", "system") or operation.type in _ACCRUES:
        return None
    return _stop(state, operation, [
        ("all", None), ("rail", rail), ("caller", caller),
        *(("merchant", party) for party in parties),
    ])


def _stops(state: State) -> dict[tuple[str, str | None], list[Mapping[str, Any]]]:
    """Stops by scope and target."""
    found: dict[tuple[str, str | None], list[Mapping[str, Any]]] = {}
    for stop in state.table("stop").values():
        scope = stop["scope"]
        found.setdefault((scope, None if scope == "all" else stop["target"]), []).append(stop)
    return found


def _stop(
    state: State, operation: Operation, places: Iterable[tuple[str, str | None]]
) -> Refusal | None:
    """The stop of one of these scopes and targets that keeps an operation back; of several the
    first by its name, so that it is the same one after a start."""
    stops = state.derived("stops", _stops)
    hits = [
        stop for place in places for stop in stops.get(place, ())
        if stop["mode"] == "everything" or operation.starts
    ]
    if not hits:
        return None
    first = min(hits, key=lambda stop: stop["id"])
    return Refusal("stopped", f"stop {first['id']} covers {first['target'] or 'everything'}")


def stopped_account(
    state: State, operation: Operation, account_ids: Iterable[str]
) -> Refusal | None:
    """Emergency stops of single accounts, and of the parties whose accounts they are: who receives
    a split, a refund or a correction is named by its account alone."""
    if operation.type in _ACCRUES:
        return None
    accounts = {account_id.partition(SHARD)[0] for account_id in account_ids}
    return _stop(state, operation, [
        *(("account", name) for name in accounts),
        *(("merchant", name.partition(":")[2]) for name in accounts),
    ])


def stopped_caller(state: State, caller_id: str) -> str | None:
    """The stop of everything that a caller sends, its reads too; one of new business leaves it
    these."""
    # asked by another thread than the writer's, which may place one meanwhile
    for stop in tuple(state.tables.get("stop", {}).values()):
        if stop["scope"] == "caller" and stop["target"] == caller_id and (
            stop["mode"] == "everything"
        ):
            return stop["id"]
    return None


def authorisation(
    state: State, asked: tuple, currency: str, booking_date: str, values: Mapping[str, Any],
    version: int,
) -> Refusal | None:
    """Each debit of a customer carries a reference that fixes payer, payee and amount, good once,
    and of an exchange what is bought, so that consent to a payment is none to an exchange; a
    mandate is good again and again, up to its amount and its last date (rule D0.35).

    :param version: of the template that asks
    """
    reference, payer, payee, amount, kind = asked
    if reference is None:
        return Refusal(
            "authorisation_missing", f"a debit of {payer} needs an {kind}", "authorisation"
        )
    found = state.get(kind, reference)
    if found is None:
        return Refusal(
            "authorisation_unknown", f"there is no open {kind} {reference}", "authorisation"
        )
    for name, wanted in (("payer_id", payer), ("payee", payee), ("currency_code", currency)):
        if found[name] != wanted:
            return Refusal(
                "authorisation_differs", f"{reference} fixes another {name}", name
            )
    for name in BOUGHT:
        if found.get(name) != values.get(name):
            fixes = found.get(name, "nothing that is bought")
            return Refusal("authorisation_differs", f"{reference} fixes {fixes}", name)
    if kind == "mandate":
        if not found["valid_from"] <= booking_date <= found["valid_to"]:
            return Refusal(
                "authorisation_unknown", f"mandate {reference} is not valid on {booking_date}",
                "authorisation",
            )
        if amount > found["amount_minor"]:
            return Refusal(
                "authorisation_differs", f"{reference} allows {found['amount_minor']}",
                "amount_minor",
            )
        crossed = mandates.crossed(state, reference, found, amount, booking_date, version)
        if crossed is not None:
            return Refusal(
                "authorisation_differs", f"{reference} allows {crossed}", "authorisation"
            )
    elif amount != found["amount_minor"]:
        return Refusal(
            "authorisation_differs", f"{reference} fixes {found['amount_minor']}", "amount_minor"
        )
    return None


def destination(
    state: State, payer: str | None, destination_id: str | None, needed: bool = False
) -> Refusal | None:
    """Money leaves to bound accounts of the payer alone (rules D0.42, D1.10).

    :param needed: it does leave, so there has to be one
    """
    if destination_id is None:
        return Refusal(
            "destination_unknown", f"a payout goes to the account that is bound to {payer}",
            "destination_id",
        ) if needed else None
    found = state.get("destination", destination_id)
    if found is None or found["party_id"] != payer:
        return Refusal(
            "destination_unknown", f"{destination_id} is not bound to {payer}", "destination_id"
        )
    return None


def oldest_first(
    state: State, merchant_id: str | None, claim: str, currency: str
) -> Refusal | None:
    """Of what a merchant owes the oldest is taken first (rule D0.23); what a negative net left
    owed may always be taken (rule D0.9)."""
    since: dict[str, str] = {}
    for code, line in state.chart.classes.items():
        account = state.account(f"{code}:{merchant_id}", currency) if line.ages else None
        if account is not None:
            owed = [day for day, amount in account.buckets.items() if amount > 0]
            if owed:
                since[code] = min(owed)
    older = [code for code, day in since.items() if day < since.get(claim, "")]
    if claim == "1201" or not older:
        return None
    first = min(older, key=lambda code: since[code])
    return Refusal("older_due", f"{first}:{merchant_id} is owed since {since[first]}", "claim")


def accounts(
    state: State, operation: Operation, legs: Iterable[list], releases: Mapping[str, int],
    gone: Container[str], under_way: Mapping[str, int], keeps: Mapping[str, int],
) -> Refusal | None:
    """Accounts open, status and purpose, books balanced, ranges and floors.

    :param releases: what the command's own holds give back or take, by account id, minor units
    :param gone: accounts whose own hold kept what may already have left the house
    :param under_way: of accounts whose hold a person captures, what else outsiders were told to
        pay out of it, minor units
    :param keeps: of accounts whose own hold kept what has not left the house, what freezes leave
        on them all the same, minor units
    """
    sums: dict[str, int] = {}
    changes: dict[Account, int] = {}
    known: dict[str, Account] = _NONE
    of, key, total = "", "", 0
    unusual = False
    for leg in legs:
        currency: str = leg[1]
        if currency != of:
            of, known = currency, state.accounts.get(currency, _NONE)
        account = known.get(leg[0])
        if account is None:
            return Refusal("account_not_open", f"account {leg[0]} in {currency} is not open")
        amount: int = leg[3]
        signed = amount if leg[2] == "D" else -amount
        if account.sum_key != key:  # most journals have one currency and kind of books
            sums[key] = total
            key = account.sum_key
            total = sums.get(key, 0)
        total += signed
        change = changes.get(account)
        if change is not None:
            changes[account] = change + signed * account.debit_sign
            continue
        changes[account] = signed * account.debit_sign
        if account.status != "normal" or account.frozen or account.purpose is not None:
            unusual = True
    sums[key] = total
    if unusual:
        refusal = _statuses(state, operation, legs, changes, gone)
        if refusal is not None:
            return refusal
    for key, total in sums.items():
        if total:
            return Refusal(
                "books_crossed", f"debit less credit is {total} minor units in {key}"
            )
    low: list[Account] = []
    for account, change in changes.items():
        if not -_LIMIT < account.balance + change < _LIMIT:
            return Refusal(
                "balance_out_of_range", f"account {account.account_id} would leave 18 digits"
            )
        if change < 0:
            low.append(account)
    for account in low:
        change, floor = changes[account], account.floor
        after = account.balance + change
        below = floor is None or operation.journal_type in account.line.below_floor_by
        kept = keeps.get(account.account_id)
        if below and kept is None:
            kept = state.kept_frozen.get((account.account_id, account.currency_code))
        if kept is not None and account.balance > 0 and after < min(kept, account.balance):
            return Refusal(
                "below_floor", f"of account {account.account_id} {kept} minor units are frozen"
            )
        if floor is None or below:
            continue
        released = releases.get(account.account_id, 0)
        outside = under_way.get(account.account_id)
        if outside is None and account.account_id in gone and change + released >= 0:
            continue  # the floor was kept when it was held; what was refunded since is owed
        # a capture takes what is held, but nothing that is under way
        lowered = after - (outside or 0) < floor or change + released < 0
        if lowered and after - account.held + released < floor:
            return Refusal(
                "below_floor",
                f"account {account.account_id} may not go below {floor} minor units",
            )
    return None


def _statuses(
    state: State, operation: Operation, legs: Iterable[list], moved: Iterable[Account],
    gone: Container[str],
) -> Refusal | None:
    """Status and purpose of the accounts that the legs move, in their order."""
    lowered: set[Account] = set()
    raised: set[Account] = set()
    for account_id, currency, direction, amount, _, _ in legs:
        account = state.accounts[currency][account_id]
        change = (amount if direction == "D" else -amount) * account.debit_sign
        if change:
            (raised if change > 0 else lowered).add(account)
    for account in moved:
        # What may already have left is booked all the same; what a pre-authorisation holds has
        # not, so a status or order that came since holds it back.
        refusal = _status(
            account, operation, account in lowered and account.account_id not in gone,
            account in raised,
        )
        if refusal is not None:
            return refusal
    return None


def lowered_later(
    state: State, operation: Operation, account_id: str, currency: str
) -> Refusal | None:
    """A hold that the operation's result will capture: stops, status and purpose are tested when
    it is placed, before the money leaves."""
    account = state.account(account_id, currency)
    if account is None:
        return None
    return stopped_account(state, operation, [account_id]) or _status(
        account, operation, lowers=True, raises=False
    )


def _status(
    account: Account, operation: Operation, lowers: bool, raises: bool
) -> Refusal | None:
    if operation.type in _ACCRUES:
        return None
    if account.status == "closed" or (
        lowers and account.status in ("no_debit", "frozen")
    ) or (raises and account.status == "no_credit"):
        return Refusal("account_status", f"account {account.account_id} is {account.status}")
    if operation.normal and (account.status != "normal" or account.frozen):
        return Refusal("account_status", f"account {account.account_id} is not normal")
    if lowers and account.frozen and operation.module != "holds":
        return Refusal("account_status", f"account {account.account_id} is under a hold")
    if lowers and account.purpose is not None and operation.type not in account.purpose:
        return Refusal(
            "purpose_differs",
            f"account {account.account_id} is not for a {operation.type}",
        )
    return None


def limits(
    state: State, uses: Iterable[tuple], currency: str, booking_date: str, batch: int,
) -> Refusal | None:
    """No limit may be crossed (rules D0.45, D2.9).

    :param batch: the batch that they are of: the sequence of its first entry
    """
    if not state.tables.get("limit"):
        return None
    for scene, account_id, amount in uses:
        usage = state.usage.get((scene, account_id, currency), _UNUSED)
        for limit in state.limits(scene, account_id, currency, booking_date):
            crossed = limit.crossed(usage, amount, booking_date)
            if crossed is None and limit.batch is not None:
                used, count = state.used_in(batch, scene, account_id, currency)
                crossed = limit.crossed_in_batch(used, count, amount)
            if crossed is not None:
                return Refusal(
                    "limit_exceeded", f"limit {limit.id}: {crossed} of {account_id}",
                    "amount_minor",
                )
    return None
