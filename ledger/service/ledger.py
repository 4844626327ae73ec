"""The ledger as a whole: what is in memory, and every use case that writes.

Not safe for several threads: the entry points call it from one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from ledger.domain.actors import LEDGER, Actor, bootstrapping
from ledger.domain.chain import GENESIS, sm3
from ledger.domain.chart import Chart
from ledger.domain.fields import parse_moment
from ledger.domain.holds import HoldKind
from ledger.domain.movements import Movements
from ledger.domain.operations import Operation, Operations
from ledger.domain.state import State
from ledger.service import folding
from ledger.service.authority import Authority, Verifier
from ledger.service.breaker import Breaker
from ledger.service.clock import Clock
from ledger.service.day_close import HEAD_FORMAT, DayClose, head_bytes, trial_balance_sm3
from ledger.service.faults import RequestRefused
from ledger.service.history import History
from ledger.service.hold_end import before, ended
from ledger.service.ports import HeadSigner, Store, Vault
from ledger.service.queried import Queried
from ledger.service.units import Job, Pipeline
from ledger.service.written import ROW as WRITTEN
from ledger.service.written import Written

if TYPE_CHECKING:
    from ledger.service.booking import Booked

BATCH_LIMIT = 1000
#: Entries after which the fold is written down, so that a start replays no more than these.
CHECKPOINT_ENTRIES = 40_000


class Head:
    """The end of the log, as committed."""

    __slots__ = ("booked_at", "closed", "digest", "journal", "sequence")

    def __init__(self) -> None:
        self.sequence = 0
        self.journal = 0
        self.digest = GENESIS
        self.booked_at = ""
        self.closed: str | None = None

    def copy(self) -> Head:
        """Another one that stands at the same place."""
        made = Head()
        for name in self.__slots__:
            setattr(made, name, getattr(self, name))
        return made

    def follow(self, booked: Booked) -> None:
        """Move to the end of what a batch added."""
        self.sequence, self.journal = booked.sequence, booked.journal
        self.digest, self.booked_at = booked.digest, booked.booked_at


class Ledger:
    """One open ledger.

    :param store: storage, of which this is the only writer
    :param clock: the one clock; a simulated one is set to its stored time
    :param signer: signs heads
    :param vault: commits to and seals sensitive values
    :param verify: checks SM2 signatures of people and callers
    """

    def __init__(
        self, store: Store, chart: Chart, operations: Operations,
        hold_kinds: Mapping[str, HoldKind], clock: Clock, signer: HeadSigner, vault: Vault,
        verify: Verifier,
    ) -> None:
        self.store = store
        self.chart = chart
        self.operations = operations
        self.hold_kinds = hold_kinds
        self.movements = Movements(
            hold_kinds, operations.scenes, operations.modules, operations.scene_codes
        )
        self.clock = clock
        self.signer = signer
        self.vault = vault
        self.authority = Authority(self, verify)
        self.breaker = Breaker(self)
        self.pipeline = Pipeline(self)
        self.queried = Queried(store)
        self.ending = False  # set by who is about to close it: what reads beside it stops
        self._load()

    def _load(self) -> None:
        """The fold at the last checkpoint, and the entries since then."""
        state, history, head = State(self.chart), History(), Head()
        folding.load(self.store, state, history, head)
        clock = self.store.meta("clock")
        state.closed, state.trial_balance = head.closed, self._trial_balance
        self.state, self.history, self.head = state, history, head
        self.written = Written(self.store.meta(WRITTEN), self.chart.version)
        # a crash, or a full disk, between the commit of a head and the writing of its files
        kept = self.signer.kept()
        self._unkept = [
            head for name in self.store.head_names() if name not in kept
            and (head := self.store.head(name)) is not None
        ]
        self.keep_heads()
        if clock is not None and self.clock.simulated:
            self.clock.set(clock)

    def reload(self) -> None:
        """Read what is in memory from the store again, which says what was committed."""
        self._load()
        self.store.uncertain = False

    def _trial_balance(self, day: str) -> str | None:
        close = self.pipeline.reads.reader.find_close(day)
        return None if close is None else trial_balance_sm3(json.loads(close["document"]))

    def bootstrapping(self, operation: Operation, actor: Actor) -> bool:
        """Whether this is one of the first people and rights, which none could review yet."""
        return (
            operation.module == "authority" and actor.kind == "system"
            and bootstrapping(self.state)
        )

    def apply(
        self, raws: Sequence[Any], actor: Actor = LEDGER, evidence: str = ""
    ) -> list[dict[str, Any]]:
        """Post up to `BATCH_LIMIT` commands in one transaction; one result each.

        :raises RequestRefused: `batch_too_large`, `batch_empty`
        """
        if not raws:
            raise RequestRefused("batch_empty", "the batch has no commands")
        if len(raws) > BATCH_LIMIT:
            raise RequestRefused(
                "batch_too_large", f"the batch has {len(raws)} commands, more than {BATCH_LIMIT}"
            )
        (results,) = self.apply_all([Job(raws, actor, evidence)])
        return results

    def record(
        self, command: dict[str, Any], actor: Actor, evidence: str = ""
    ) -> dict[str, Any]:
        """Post what the service itself records of what somebody asked, in the sender's name."""
        ((result,),) = self.apply_all([Job([command], actor, evidence, recorded=True)])
        return result

    def apply_all(self, jobs: Sequence[Job]) -> list[list[dict[str, Any]]]:
        """Several senders' commands in one transaction, so that they share its flush to disk; the
        results of each. A fault of the storage undoes all of them."""
        self.pipeline.settle()
        results = self.pipeline.run(jobs)
        if self.due():
            self.checkpoint()
        return results

    def begin(self, jobs: Sequence[Job]) -> Future[list[list[dict[str, Any]]]]:
        """As `apply_all`, but answers at once: the results come with the commit. Whatever else is
        asked of the ledger before that waits for it by :meth:`settle`."""
        return self.pipeline.begin(jobs)

    def end_holds(self, through: str) -> None:
        """End the holds whose last date is a date or earlier (rule D0.15)."""
        now = self.clock.now()
        if now is not None and ended(self.state, through):
            self.pipeline.settle()
            self.pipeline.run([Job([], LEDGER, "", (through, now))])

    def end_holds_before_today(self) -> None:
        """End the holds that had to end before the ledger's own date."""
        now = self.clock.now()
        if now is not None:
            self.end_holds(before(self.clock.booking_date(now)))

    def settle(self) -> None:
        """Wait until what was begun is committed or undone."""
        self.pipeline.settle()

    def due(self, coming: int = 0) -> bool:
        """Whether the fold should be written down, with so many entries more."""
        return len(self.history) + coming >= CHECKPOINT_ENTRIES

    def dry_run(self, raws: Sequence[Any], actor: Actor = LEDGER) -> list[dict[str, Any]]:
        """What `apply` would answer; nothing is written."""
        if not raws:
            raise RequestRefused("batch_empty", "the batch has no commands")
        if len(raws) > BATCH_LIMIT:
            raise RequestRefused(
                "batch_too_large", f"the batch has {len(raws)} commands, more than {BATCH_LIMIT}"
            )
        self.pipeline.settle()
        results = self.pipeline.dry_run(Job(raws, actor, ""))
        return [{**result, "dry_run": True} for result in results]

    def checkpoint(self) -> None:
        """Write the fold down. The log does not need it: a ledger without one replays all."""
        fold = folding.Fold(self)
        try:
            fold.write(self.store)
        except BaseException:
            fold.failed(self)
            raise
        fold.written(self)

    def open_accounts(
        self, raws: Sequence[Any], actor: Actor = LEDGER, evidence: str = ""
    ) -> list[dict[str, Any]]:
        """Open accounts, each an entry of the log; `opened`, `already_open` or `refused` each.

        An account of the institution itself opens with `party_id` null.

        :param evidence: of the sender's signed request, as `apply` takes it
        """
        if len(raws) > BATCH_LIMIT:
            raise RequestRefused(
                "batch_too_large", f"{len(raws)} accounts, more than {BATCH_LIMIT}"
            )
        now = self.clock.now()
        if now is None:
            raise RequestRefused("clock_not_set", "the simulated clock was never set")
        commands: list[Any] = []
        results: list[dict[str, Any]] = []
        where: list[int] = []
        listed: dict[tuple[str, str], int] = {}
        again: list[tuple[int, int]] = []
        for place, raw in enumerate(raws):
            name = self._open_name(raw)
            if name is not None and (self.state.account(*name) is not None or name in listed):
                if name in listed:
                    again.append((len(results), listed[name]))
                results.append({
                    "status": "already_open", "account_id": name[0], "currency_code": name[1],
                })
                continue
            if name is not None:
                listed[name] = len(results)
            where.append(len(results))
            results.append({})
            command = dict(raw) if isinstance(raw, dict) else raw
            if isinstance(command, dict):
                # a key of its own each time: a refusal must not bind a later attempt
                key = f"open-{self.head.sequence}-{place}"
                command = {"type": "open_account", "idempotency_key": key, **command}
                if self.clock.simulated:
                    command.setdefault("occurred_at", now)
            commands.append(command)
        applied = self.apply(commands, actor, evidence) if commands else ()
        for index, result in zip(where, applied, strict=True):
            if result["status"] == "refused":
                results[index] = {
                    name: result[name] for name in ("status", "reason", "detail", "field")
                    if name in result
                }
            else:
                name = self._open_name(raws[index])
                assert name is not None
                results[index] = {
                    "status": "opened", "account_id": name[0], "currency_code": name[1],
                }
        for index, first in again:
            if results[first]["status"] == "refused":
                results[index] = dict(results[first])
        return results

    @staticmethod
    def _open_name(raw: Any) -> tuple[str, str] | None:
        if not isinstance(raw, dict):
            return None
        code, party, currency = (
            raw.get(name) for name in ("account_code", "party_id", "currency_code")
        )
        if not isinstance(code, str) or not isinstance(currency, str) or not (
            party is None or isinstance(party, str)
        ):
            return None
        return (code if party is None else f"{code}:{party}", currency)

    def set_clock(self, now: Any) -> str:
        """Set the clock of a simulated ledger; returns it as UTC text.

        It may go back (a day is resumed), but not into a closed date.

        :raises RequestRefused: `not_simulated`, `invalid_field`, `date_closed`
        """
        if not self.clock.simulated:
            raise RequestRefused(
                "not_simulated", "the clock of a ledger that is not simulated cannot be set",
                http_status=403,
            )
        self.pipeline.sure()
        moment = parse_moment(now)
        if moment is None:
            raise RequestRefused(
                "invalid_field", "now must be an ISO 8601 time with zone and whole seconds"
            )
        day = self.clock.booking_date(moment)
        if self.head.closed is not None and day <= self.head.closed:
            raise RequestRefused("date_closed", f"{day} is closed", http_status=409)
        with self.store.transaction():
            self.store.set_clock(moment)
        self.clock.set(moment)
        return moment

    def close_day(self, day: date) -> dict[str, Any]:
        """Close a business date at one go; see :class:`DayClose`, whose parts the service runs
        apart."""
        close = DayClose(self, day.isoformat())
        closed = close.begin()
        if closed is not None:
            return closed
        close.reading.read(self.store)
        return close.finish()

    def anchor(self) -> dict[str, Any]:
        """Sign the end of the log and keep it in a file outside the database; nothing new: the
        last head again.

        :raises RequestRefused: `clock_not_set`
        """
        self.pipeline.sure()
        self.keep_heads()
        last = self.store.last_head()
        if last is not None and last["sequence"] == self.head.sequence:
            return json.loads(last["document"])
        now = self.clock.now()
        if now is None:
            raise RequestRefused("clock_not_set", "the simulated clock was never set", 409)
        name = f"hour-{now[:13]}-{self.head.sequence}"
        document = {
            "format": HEAD_FORMAT, "name": name, "signed_at": now,
            "key_id": self.signer.key_id, "chain_sequence": self.head.sequence,
            "chain_digest": self.head.digest.hex(),
            "previous_anchor": sm3(last["document"]).hex() if last is not None else None,
        }
        raw = head_bytes(document)
        signature = self.signer.sign(name, raw)
        head = {
            "name": name, "sequence": self.head.sequence, "digest": self.head.digest,
            "key_id": self.signer.key_id, "document": raw, "signature": signature,
        }
        with self.store.transaction():
            self.store.insert_head(head)
        self.keep_heads(head)
        return document

    def keep_heads(self, *signed: dict[str, Any]) -> None:
        """Write the files of heads that are committed and lack them.

        :param signed: one that was committed just now
        :raises DiskFull, EnvironmentFault: the next call tries those again
        """
        self._unkept += signed
        while self._unkept:
            head = self._unkept[0]
            self.signer.keep(head["name"], head["document"], head["signature"])
            del self._unkept[0]

    def unsigned_for(self) -> float:
        """Seconds since the last signed head by the ledger's clock; infinite without one, 0 while
        there is nothing to sign or no clock."""
        now, last = self.clock.now(), self.store.last_head()
        if now is None or self.head.sequence == (last["sequence"] if last else 0):
            return 0.0
        if last is None:
            return float("inf")
        said = json.loads(last["document"])
        moments = [datetime.fromisoformat(moment[:19]) for moment in
                   (now, said.get("signed_at") or said["closed_at"])]
        return (moments[0] - moments[1]).total_seconds()

    @property
    def lost(self) -> bool:
        """Whether a connection to the storage is gone for good: what was committed is for another
        process to find out, which takes the writer's lock anew."""
        return self.store.lost or self.pipeline.reads.reader.lost

    def look(self) -> None:
        """Notice a lost connection; while the storage has something to do, that does."""
        if self.pipeline.idle:
            self.store.look()
            self.pipeline.reads.reader.look()

    def probe(self) -> None:
        """Write something that means nothing, flushed to disk: the storage takes postings."""
        with self.store.transaction():
            self.store.set_meta("probed", self.clock.now() or "")

    def close(self) -> None:
        """Write the fold down and give the storage back."""
        try:
            self.pipeline.close()
            if not self.lost:
                self.queried.flush()
                if len(self.history) and not self.store.uncertain:
                    self.checkpoint()
        finally:
            self.store.close()
