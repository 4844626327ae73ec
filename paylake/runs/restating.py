"""Restating published dates: built again from bronze with the present code, judged, and released.

Order: the intent is recorded, the dates are built again, compared with the chain, judged from the
first changed date on, and named by one more release. A kill anywhere leaves the intent open; the
same command goes on, and `withdraw` puts back what stood before. Bronze and quarantine are read,
never written. The loop's steps are handed in, as to a run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa

from paylake import content, files, ops, release, repair, restatement
from paylake.errors import NotVerified, UsageFault
from paylake.lake import Lake
from paylake.lease import lease
from paylake.release import changes, restating
from paylake.release.changes import Change
from paylake.restatement import DONE, OPENED, WITHDRAWN, Intent
from paylake.runs.due import is_simulated
from paylake.runs.steps import StepLog
from paylake.serving import View
from paylake.settings import Settings

#: What a build replaces, and publishing: put back in this order, what is judged first.
LAYERS = ("work", "silver", "state", "gold")
Views = Callable[[], Sequence[View] | None]


@dataclass
class RestatementResult:
    """What a restatement did, or has come to.

    :param release_id: the release that it appended; None when nothing differs, or of a preview.
    :param dates: the dates that this release names; of a preview those that differ.
    :param changes: by date and table, against the release in force before.
    """

    intent: Intent
    release_id: str | None = None
    dates: list[date] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)

    @property
    def nothing(self) -> bool:
        """True when the present code makes the dates as they are published."""
        return self.release_id is None and not self.dates

    def rows(self) -> list[dict[str, Any]]:
        """One row a date and table that changed."""
        return [change.row() for change in self.changes]


def restate(
    settings: Settings,
    first: date,
    person: str,
    reason: str,
    steps: Mapping[str, Callable[..., Any]],
    views: Views = lambda: None,
    told: Callable[[list[Change]], None] = lambda changes: None,
    *,
    preview: bool = False,
) -> RestatementResult:
    """Build a published date and those after it again, and release what differs.

    :param steps: `build(first, last)` and `gate(first, last)`.
    :param views: gives the views beyond the gold tables, asked for once all is built.
    :param told: gets what differs before it is judged, and so also when it is then held.
    :param preview: once that is told, put everything back; nothing is judged or published.
    :raises UsageFault: when the date is not released, or another restatement is open.
    :raises NotVerified: when what the dates are made from is damaged.
    :raises Held: when the gate holds a date; the restatement stays open.
    """
    if not person.strip() or not reason.strip():
        raise UsageFault(
            "A restatement needs a person and a reason", "Give --person and --reason in words."
        )
    with lease(settings, "restate", str(first), during_restatement=True):
        work = Restating(settings, steps)
        with work.recorded():
            return work.run(first, person.strip(), reason.strip(), views, told, preview)


def withdraw(settings: Settings, steps: Mapping[str, Callable[..., Any]]) -> Intent:
    """Put back what stood before the open restatement: the very files of silver, state, work and
    gold. What was published stays.

    :raises UsageFault: when none is open, or it is published already.
    """
    with lease(settings, "restate", "withdraw", during_restatement=True):
        work = Restating(settings, steps)
        with work.recorded():
            return work.withdraw()


class Restating(StepLog):
    """A restatement, timed and recorded in `ops.run_step` like a run."""

    def run(
        self,
        first: date,
        person: str,
        reason: str,
        views: Views,
        told: Callable[[list[Change]], None],
        preview: bool,
    ) -> RestatementResult:
        chain = release.listing(self.settings)
        if preview and (found := restatement.opened(self.settings)) is not None:
            raise UsageFault(
                f"A restatement of {found.first} by {found.person} is open; a preview is one too",
                f"Go on with it: `{found.command}`; or put everything back: "
                "`bin/paylake restate --withdraw`.",
            )
        intent = self._opened(chain, first, person, reason)
        if chain[-1].release_id == intent.release_id:
            return self._finish(intent, views())
        intent = self._built(intent)
        made = restating.rebuilt(self.settings, intent)
        if not made.changed:
            restating.even_out(self.settings, intent, made)
            files.record(self.settings, intent.first, intent.through)
            restatement.write(self.settings, intent, DONE, "nothing differs")
            return RestatementResult(intent)
        differing = self._changes(intent, made)
        told(differing)
        if preview:
            self.withdraw()
            return RestatementResult(intent, None, made.changed, differing)
        start = made.changed[0]
        judged = release.verdicts(self.settings, start, intent.through)
        if any(verdict.result == "not_gated" for verdict in judged.values()):
            # All of them in one pass: what is open is told date by date, in order.
            self.step("gate", start, intent.through)
        out = restating.judged(self.settings, intent, start)
        self.step(
            "restate", start, intent.through,
            lambda f, t: restating.publish(self.settings, intent, made, out),
        )
        return self._finish(intent, views())

    def _opened(
        self, chain: list[release.Release], first: date, person: str, reason: str
    ) -> Intent:
        """The open restatement, or a new one."""
        intent = restatement.opened(self.settings)
        if intent is not None:
            if (intent.first, intent.person, intent.reason) != (first, person, reason):
                raise UsageFault(
                    f"A restatement of {intent.first} by {intent.person} is open",
                    f"Go on with it: `{intent.command}`; or put everything back: "
                    "`bin/paylake restate --withdraw`.",
                )
            return intent
        through = chain[-1].through
        if through is None or first not in release.naming(chain):
            raise UsageFault(
                f"{first} is not released, so there is nothing to restate",
                f"`bin/paylake run --date {first}` builds it with the present code; "
                "`bin/paylake release list` shows what is released.",
            )
        self._refuse_damage(first, through)
        lake = Lake(self.settings)
        stands = [(layer, table) for layer in LAYERS for table in lake.tables(layer)]
        intent = Intent(
            release.restatement_id(chain[-1].sequence + 1, through),
            first,
            through,
            person,
            reason,
            is_simulated(self.settings),
            datetime.now(UTC),
            {f"{layer}.{table}": lake.version(layer, table) for layer, table in stands},
        )
        restatement.write(self.settings, intent, OPENED)
        return intent

    def _refuse_damage(self, first: date, through: date) -> None:
        """What is damaged is mended first: it would be restated as if a rule had been wrong."""
        damaged: list[Any] = [
            *files.altered_logs(self.settings), *repair.verify(self.settings, first, through)
        ]
        if damaged:
            more = f", and {len(damaged) - 1} more" if len(damaged) > 1 else ""
            raise NotVerified(
                f"{damaged[0]}{more}",
                f"`bin/paylake run --date {first} --to {through}` mends it with the code of its "
                "release; restate then.",
            )

    def _built(self, intent: Intent) -> Intent:
        """Build the dates again, unless they are as this restatement built them with this code."""
        if intent.built_digest is None or intent.built_digest != self._content(intent):
            self.step("build", intent.first, intent.through, detail=lambda _: {})
            intent = replace(intent, built_digest=self._content(intent))
            restatement.write(self.settings, intent, OPENED)
        return intent

    def _content(self, intent: Intent) -> str:
        held = content.gated(Lake(self.settings), intent.first, intent.through)
        listed = {str(day): digest for day, digest in held.items()}
        return content.digest_of([content.code_version(), listed])

    def _finish(self, intent: Intent, views: Sequence[View] | None) -> RestatementResult:
        """The release is there: put it in force for readers, and close the restatement."""
        chain = release.listing(self.settings)
        release.mend(self.settings, views, only=[intent.release_id])
        restatement.write(self.settings, intent, DONE, f"released as {intent.release_id}")
        return RestatementResult(
            intent,
            intent.release_id,
            sorted(chain[-1].named()),
            release.changed_rows(self.settings, chain[-2].release_id, chain[-1].release_id),
        )

    def _changes(self, intent: Intent, made: restating.Rebuilt) -> list[Change]:
        lake = Lake(self.settings)

        def built(table: str, days: Sequence[date]) -> pa.Table | None:
            if not lake.exists("work", table):
                return None
            return lake.query(
                f"select * from work.{table} where list_contains(?, business_date)", [list(days)]
            )

        with release.reader(self.settings) as reader:
            return changes.compare(release.rows_of(reader), built, made.tables())

    def withdraw(self) -> Intent:
        intent = restatement.opened(self.settings)
        if intent is None:
            raise UsageFault("No restatement is open", "There is nothing to put back.")
        if release.in_force(self.settings).release_id == intent.release_id:
            raise UsageFault(
                f"The restatement of {intent.first} is published as {intent.release_id}",
                f"`{intent.command}` completes it; a release is never taken back.",
            )
        # From here on nothing that was built may be taken for built, whoever goes on.
        intent = replace(intent, built_digest=None)
        restatement.write(self.settings, intent, OPENED, "being withdrawn")
        self.step("withdraw", intent.first, intent.through, lambda f, t: self._put_back(intent))
        last = self._last_gated(intent)
        judged = release.verdicts(self.settings, intent.first, last)
        if any(verdict.result == "not_gated" for verdict in judged.values()):
            # The gate looked at what is gone now: its word of these dates is asked anew.
            self.step("gate", intent.first, last)
        files.record(self.settings, intent.first, intent.through)
        restatement.write(self.settings, intent, WITHDRAWN)
        return intent

    def _put_back(self, intent: Intent) -> None:
        lake = Lake(self.settings)
        for layer in LAYERS:
            for table in lake.tables(layer):
                version = intent.versions.get(f"{layer}.{table}")
                if version is not None:
                    lake.restore(layer, table, version)
                elif layer == "gold":
                    # Gold tables are not dropped; of one that came with this build no row is kept.
                    rows = lake.query(f"select * from gold.{table} limit 0")
                    lake.replace(layer, table, rows, intent.first, intent.through)
                else:
                    lake.drop(layer, table)

    def _last_gated(self, intent: Intent) -> date:
        days = [row["business_date"] for row in ops.rows(
            self.settings, "gate_result", "business_date > $day", {"day": intent.through}
        )]
        return max([intent.through, *days])
