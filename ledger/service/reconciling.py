"""Reconciling (对账) one account with a bank's statement: begun by the writer, read and matched
beside it while postings go on, recorded by the writer in one entry.

Statements of an account and currency follow one another without a gap: each begins on the day after
the last one ended, with its closing balance. Another statement for the last one's dates takes its
place, unless people closed items since: then the next one may open with a corrected balance, and
the gap is an open item. What is left open goes into the next one. At every moment the closing
balance of the ledger less that of the statement is the sum of the open items, to the minor unit.

The reasons for refusing, in the order in which they are tested: those of the statement itself
(:mod:`ledger.domain.bank_statement`), `no_right`, `account_not_open`, `not_reconciled`,
`clock_not_set`, `not_due`, `range_differs`, `items_closed`, `opening_differs`, `balance_differs`
(the ledger does not open as it closed, which cannot be and is looked at each time),
`matching_differs` (what was matched does not add up, which cannot be either),
`too_many_open_items`. Such a request leaves no entry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from ledger.domain.actors import LEDGER, Actor, has_right
from ledger.domain.bank_statement import Statement
from ledger.domain.chain import sm3
from ledger.domain.chart import SHARD
from ledger.domain.reconciliations import (
    DONE,
    ITEMS,
    LAST,
    MASK,
    MOST_OPEN,
    answered,
    document_of,
    item_of,
)
from ledger.domain.reconciling import (
    JOURNAL,
    LINE,
    MATCHED,
    OPENING,
    REFERENCE,
    Entry,
    Item,
    Rule,
    match,
)
from ledger.domain.sensitive import looks
from ledger.domain.shards import balance
from ledger.service.account_reading import AccountReading, Posting
from ledger.service.faults import RequestRefused
from ledger.service.reconciliation_results import COLUMNS, file_of, head, shown, shown_item

if TYPE_CHECKING:
    from ledger.service.ledger import Ledger

MODULE = "reconciliation"
#: Keeps the file of a reconciliation: its last date, its id, the file, what it is about.
Keep = Callable[[str, str, bytes, Mapping[str, Any]], None]
#: Entries that are left to the writer to read at the end, rounds to come there, and rounds after
#: which the writer matches itself what is still posted to the statement's dates.
_LITTLE, _ROUNDS, _TRIES = 1000, 10, 3
_PAGE = 1000


class Reconciling:
    """One statement on its way into the ledger.

    :param sender: who sends it; a person needs the right to enter in the module
        `reconciliation`
    :param evidence: of the signed request
    """

    def __init__(
        self, ledger: Ledger, statement: Statement, rules: Sequence[Rule], keep: Keep,
        sender: Actor, evidence: str = "", *, dry_run: bool = False,
    ) -> None:
        self.ledger, self.statement, self.rules, self.keep = ledger, statement, rules, keep
        self.sender, self.evidence, self.dry_run = sender, evidence, dry_run
        self.statement_sm3 = statement.sm3()
        self._keys: dict[str, tuple[str, ...]] = {}
        self._tries = 0

    def begin(self) -> dict[str, Any] | None:
        """Whether it may be reconciled, and where the ledger stands. The result of a statement that
        was sent before.

        :raises RequestRefused: with one of the reasons above
        """
        ledger, said = self.ledger, self.statement
        ledger.settle()
        state = ledger.state
        if self.sender.kind != "system" and (
            self.sender.kind != "operator"
            or not has_right(state, self.sender.id, MODULE, "enter")
        ):
            raise RequestRefused(
                "no_right", f"{self.sender.name} has not the right to enter in {MODULE}", 403
            )
        account = state.account(said.account_id, said.currency_code)
        if account is None:
            raise RequestRefused(
                "account_not_open", f"account {said.account_id} is not open", 404
            )
        if not account.line.reconciled or SHARD in said.account_id:
            raise RequestRefused(
                "not_reconciled",
                f"the chart of accounts knows no statements of {said.account_id}", 422,
            )
        key = f"{said.account_id}/{said.currency_code}"
        last = state.get(LAST, key) or {"last": None, "revision": 0}
        same = answered(
            state, self.statement_sm3, said.first_date, said.last_date, last["last"]
        )
        if same is not None:
            return shown(ledger, same, replayed=True)
        now = ledger.clock.now()
        if now is None:
            raise RequestRefused("clock_not_set", "the simulated clock was never set", 409)
        today = ledger.clock.booking_date(now)
        if said.last_date > today:
            raise RequestRefused("not_due", f"{said.last_date} lies after {today}", 409)
        self.revision, self.supersedes = last["revision"], None
        base = self._base(last)
        self.base = None if base is None else state.get(DONE, base)
        self.previous = base
        self.gap = 0 if self.base is None else said.opening - self.base["closing_minor"]
        if self.gap and not last["closings" if self.supersedes is None else "closings_before"]:
            assert self.base is not None
            raise RequestRefused(
                "opening_differs", f"the statement before closed with {self.base['closing_minor']} "
                f"minor units, this one opens with {said.opening}", 409,
            )
        self.name = (
            f"RC-{said.account_id}-{said.currency_code}-{said.last_date.replace('-', '')}"
            f"-{self.revision + 1}"
        )
        self.current = {
            name: document for name, document in state.table(ITEMS).items()
            if document["account_id"] == said.account_id
            and document["currency_code"] == said.currency_code
        }
        seen = None if self.base is None else (
            self.base["last_date"], self.base["through_sequence"]
        )
        self.reading = AccountReading(
            said.account_id, said.currency_code, account.debit_sign, said.first_date,
            said.last_date, seen, balance(state, account), ledger.head.sequence,
            lambda: ledger.ending,
        )
        self._today = today
        return None

    def _base(self, last: Mapping[str, Any]) -> str | None:
        """The reconciliation that this one follows."""
        said, name = self.statement, last["last"]
        if name is None:
            return None
        done = self.ledger.state.get(DONE, name)
        if (said.first_date, said.last_date) == (done["first_date"], done["last_date"]):
            if last["closings"]:
                raise RequestRefused(
                    "items_closed", f"people closed items since {name}: what the bank corrects "
                    "comes with its next statement, which may open with another balance", 409,
                )
            self.supersedes = name
            return done["previous"]
        expected = (date.fromisoformat(done["last_date"]) + timedelta(1)).isoformat()
        if said.first_date != expected:
            raise RequestRefused(
                "range_differs", f"the next statement begins on {expected}; one for "
                f"{done['first_date']} to {done['last_date']} takes the place of {name}", 409,
            )
        return name

    def read_beside(self) -> None:
        """Read and match in the calling thread, which is not the writer's."""
        reader = self.ledger.store.beside()
        try:
            start = None if self.base is None else self.base["read_from"]
            self.reading.begin(reader, start, self._today)
            self._match()
            for _ in range(_ROUNDS):
                if self.reading.read_on(reader):
                    self._match()
                if self.ledger.head.sequence - self.reading.through < _LITTLE:
                    break
        finally:
            reader.close()
        self._kept()

    def finish(self) -> dict[str, Any] | None:
        """Record it, in the writer's thread. None: something was posted to its dates meanwhile, or
        its items changed, so that it begins again.

        :raises RequestRefused: when the ledger refuses the entry
        """
        ledger = self.ledger
        ledger.settle()
        self._tries += 1
        said = self.statement
        last = ledger.state.get(LAST, f"{said.account_id}/{said.currency_code}") or {}
        if last.get("revision", 0) != self.revision and self._tries < _TRIES:
            return None
        if self.reading.follow(ledger.store.entries(self.reading.through + 1)):
            if self._tries < _TRIES:
                return None
            self._match()
            self._kept()
        if self.dry_run:
            return self._tried()
        command = {
            "type": "reconciliation",
            # a key of its own each time: a refusal must not bind a later attempt
            "idempotency_key": f"reconcile-{ledger.head.sequence}-{self.statement_sm3[:32]}",
            "reconciliation_id": self.name, "account_id": said.account_id,
            "currency_code": said.currency_code, "first_date": said.first_date,
            "last_date": said.last_date, "statement_sm3": self.statement_sm3,
            "items_sm3": self.items_sm3, "totals": self._totals(),
            "item_changes": [
                self.changes[start:start + _PAGE] for start in range(0, len(self.changes), _PAGE)
            ],
            "asked_by": self.sender.name,
        }
        if self.supersedes is not None:
            command["supersedes"] = self.supersedes
        if ledger.clock.simulated:
            command["occurred_at"] = ledger.clock.now()
        (result,) = ledger.apply([command], LEDGER, self.evidence)
        if result["status"] == "refused":
            raise RequestRefused(result["reason"], result["detail"], 409)
        return shown(ledger, self.name, replayed=False)

    # matching

    def _match(self) -> None:
        """Match, and say what becomes of the open items."""
        said, reading = self.statement, self.reading
        carried, self.before = self._carried()
        corrected = {item.key[1] for _, item in carried if item.key[0] == JOURNAL}
        self.opening = reading.closing - sum(posting.amount for posting in reading.postings)
        if self.base is None and self.opening != said.opening:
            carried.append(("", self._before("balance", self.opening, said.opening)))
        elif self.base is not None and self.opening != self.base["ledger_closing_minor"]:
            raise RequestRefused(
                "balance_differs", f"the ledger closed {self.base['last_date']} with "
                f"{self.base['ledger_closing_minor']} minor units, and opens with {self.opening}",
                409,
            )
        elif self.gap:
            carried.append(("", self._before(said.first_date, 0, self.gap)))
        self.matching = match(
            [self._posting(posting, corrected) for posting in reading.postings],
            [Entry(line.line_id, line.value_date, line.amount, self._key(
                line.reference, (LINE, line.value_date, line.line_id)
            )) for line in said.lines],
            carried, self.rules, said.account_id,
        )
        self._foots()
        self._changes()

    def _before(self, of: str, ledger: int, bank: int) -> Item:
        """What the balances differ by before the statement begins, minor units of each side."""
        item = Item((OPENING, of))
        item.ledger, item.statement = ledger, bank
        item.ledger_count = item.statement_count = 1
        item.first_date = item.ledger_date = item.statement_date = self.statement.first_date
        item.fresh = True
        return item

    def _carried(self) -> tuple[list[tuple[str, Item]], dict[str, dict[str, Any]]]:
        """What stood open before this statement's dates: items and their documents. Where it takes
        the place of another one, what that one did to them is undone."""
        found: dict[str, dict[str, Any]] = {}
        for name, document in self.current.items():
            if self.supersedes is not None and document["changed_by"] == self.supersedes:
                before = document["before"]
                if before is not None:
                    found[name] = {**before, "changed_by": before["opened_by"], "before": None}
            elif document["class"] != MATCHED:
                found[name] = document
        return [(name, item_of(found[name])) for name in sorted(found)], found

    def _posting(self, posting: Posting, corrected: set[str]) -> Entry:
        key: tuple[str, ...] = (JOURNAL, posting.journal)
        if posting.journal not in corrected:
            key = self._key(posting.reference, key)
        return Entry(posting.name, posting.value_date, posting.amount, key)

    def _key(self, reference: str | None, otherwise: tuple[str, ...]) -> tuple[str, ...]:
        """The key of a reference. One that has the form of a person's identifier stands in the log
        as a commitment alone, the same one each time (rule D1.23)."""
        if reference is None:
            return otherwise
        key = self._keys.get(reference)
        if key is None:
            key = (REFERENCE, reference)
            if looks(reference) is not None:
                commitment, _, _ = self.ledger.vault.commit(MODULE, "reference", reference)
                key = (REFERENCE, "", commitment)
            self._keys[reference] = key
        return key

    def _foots(self) -> None:
        """Both sides are whole, and what is open is what the balances differ by."""
        said, sums = self.statement, self.matching.sums()
        moved = sum(posting.amount for posting in self.reading.postings)
        ledger = sum(d["ledger_minor"] for d in self.before.values()) + moved
        bank = sum(d["statement_minor"] for d in self.before.values()) + (
            said.closing - said.opening + self.gap
        )
        if self.base is None and self.opening != said.opening:
            ledger, bank = ledger + self.opening, bank + said.opening
        left = sum(item.difference for item in self.matching.items)
        for what, found, wanted in (
            ("the ledger's side", sum(of["ledger_minor"] for of in sums.values()), ledger),
            ("the statement's side", sum(of["statement_minor"] for of in sums.values()), bank),
            ("what is open", left, self.reading.closing - said.closing),
        ):
            if found != wanted:
                raise RequestRefused(
                    "matching_differs", f"{what} adds up to {found} minor units, not to {wanted}: "
                    "a fault of this program; nothing is recorded", 409,
                )

    def _changes(self) -> None:
        """What every item of the account is afterwards, where it is not what it was."""
        said, want, self.ids = self.statement, {}, []
        for number, item in enumerate(self.matching.items, 1):
            own = item.carried[0] if item.carried else f"{self.name}.{number}"
            self.ids.append(own)
            for name in item.carried:
                want[name] = {
                    "account_id": said.account_id, "currency_code": said.currency_code,
                    "class": MATCHED, "changed_by": self.name, "before": _bare(self.before[name]),
                }
            if item.class_ == MATCHED:
                continue
            before = self.before.get(own)
            document = document_of(
                item, said.account_id, said.currency_code,
                self.name if before is None else before["opened_by"],
            )
            if before is None or _bare(before) != document:
                want[own] = {
                    **document, "changed_by": self.name,
                    "before": None if before is None else _bare(before),
                }
            else:
                want[own] = before
        self.open = sum(1 for item in self.matching.items if item.class_ != MATCHED)
        if self.open > MOST_OPEN:
            raise RequestRefused(
                "too_many_open_items", f"{self.open} items would stay open, more than {MOST_OPEN}",
                409,
            )
        self.changes = [
            [name, want.get(name)] for name in sorted({*want, *self.current})
            if want.get(name) != self.current.get(name)
        ]

    def _totals(self) -> dict[str, Any]:
        said = self.statement
        return {
            "revision": self.revision, "previous": self.previous,
            "opening_minor": said.opening, "closing_minor": said.closing,
            "ledger_opening_minor": self.opening, "ledger_closing_minor": self.reading.closing,
            "difference_minor": self.reading.closing - said.closing,
            "lines": len(said.lines), "postings": len(self.reading.postings),
            "carried_items": len(self.before), "open_items": self.open,
            "classes": self.matching.sums(),
            "through_sequence": self.reading.through, "read_from": self.reading.read_from,
        }

    def _tried(self) -> dict[str, Any]:
        """What a dry run answers: totals, and the first open items."""
        said = self.statement
        items = [
            {"item_id": name, **shown_item(document_of(
                item, said.account_id, said.currency_code, self.name
            ))}
            for name, item in zip(self.ids, self.matching.items, strict=True)
            if item.class_ != MATCHED
        ]
        return {
            **head(self.ledger, self.name, {
                "account_id": said.account_id, "currency_code": said.currency_code,
                "first_date": said.first_date, "last_date": said.last_date,
                "statement_sm3": self.statement_sm3, "items_sm3": self.items_sm3,
                "asked_by": self.sender.name, "supersedes": self.supersedes,
                "superseded_by": None, "booked_on": None, **self._totals(),
            }),
            "replayed": False, "dry_run": True, "items": items[:_PAGE],
        }

    # the file

    def _kept(self) -> None:
        """Write the file that lists every posting and line with its class. It is there before the
        entry that names its digest; without that entry the next one of this name replaces it."""
        data = file_of(
            self.matching, self.ids, self.before, self.reading.postings, self.statement.lines,
            self._clear,
        )
        self.items_sm3 = sm3(data).hex()
        if not self.dry_run:
            said = self.statement
            self.keep(said.last_date, self.name, data, {
                "reconciliation_id": self.name, "account_id": said.account_id,
                "currency_code": said.currency_code, "first_date": said.first_date,
                "last_date": said.last_date, "statement_sm3": self.statement_sm3,
                "columns": list(COLUMNS),
            })

    def _clear(self, reference: str | None) -> str:
        if reference is None:
            return ""
        return MASK if len(self._keys.get(reference, ())) == 3 else reference


def reconcile(reconciling: Reconciling) -> dict[str, Any]:
    """All of it in one thread, the writer's."""
    while True:
        done = reconciling.begin()
        if done is None:
            reconciling.read_beside()
            done = reconciling.finish()
        if done is not None:
            return done


def _bare(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document without what was done to it."""
    return {k: v for k, v in document.items() if k not in ("changed_by", "before")}
