"""The intent of a restatement, in `ops.restatement`: recorded before anything is replaced.

A restatement builds published dates again in place, in silver, state and work. So what it is about
to do, and the Delta versions that it starts from, are recorded first: whoever comes after a kill
can go on with it, or put everything back. While one is open no other command writes (`paylake.
lease` asks here). `paylake.runs.restating` does the work; the release that comes of it names it.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from paylake import ops
from paylake.errors import Held
from paylake.settings import Settings

TABLE = "restatement"
OPENED, DONE, WITHDRAWN = "opened", "done", "withdrawn"


@dataclass(frozen=True)
class Intent:
    """A restatement that was opened.

    :param release_id: of the release that it appends, if anything differs.
    :param first: the date to restate; every date up to `through` is built again with it.
    :param versions: `layer.table` → the Delta version that stood when it was opened.
    :param built_digest: what the dates held when their build was done; None while it is not.
    """

    release_id: str
    first: date
    through: date
    person: str
    reason: str
    is_demo: bool
    opened_at: datetime
    versions: dict[str, int]
    built_digest: str | None = None

    @property
    def command(self) -> str:
        """The command that goes on with it."""
        return (
            f"bin/paylake restate --date {self.first} --person {shlex.quote(self.person)} "
            f"--reason {shlex.quote(self.reason)}"
        )


def opened(settings: Settings) -> Intent | None:
    """The restatement that is open, None when there is none."""
    for row in ops.latest(settings, TABLE, f"state = '{OPENED}'"):
        return Intent(
            row["release_id"],
            row["first_date"],
            row["through"],
            row["person"],
            row["reason"],
            row["is_demo"],
            row["opened_at"],
            json.loads(row["delta_versions"]),
            row["built_digest"],
        )
    return None


def write(settings: Settings, intent: Intent, state: str, detail: str | None = None) -> None:
    """Record where a restatement has come.

    :param state: `opened`, `done` or `withdrawn`.
    """
    row: dict[str, Any] = {
        "release_id": intent.release_id,
        "first_date": intent.first,
        "through": intent.through,
        "person": intent.person,
        "reason": intent.reason,
        "is_demo": intent.is_demo,
        "state": state,
        "delta_versions": json.dumps(intent.versions, sort_keys=True),
        "built_digest": intent.built_digest,
        "detail": detail,
        "opened_at": intent.opened_at,
    }
    ops.record(settings, TABLE, [row])


def refuse_others(settings: Settings, step: str) -> None:
    """Let no other command write while a restatement is open.

    :raises Held: naming it, how to go on with it and how to put it back.
    """
    intent = opened(settings)
    if intent is not None:
        raise Held(
            f"A restatement of {intent.first} to {intent.through} by {intent.person} is open since "
            f"{intent.opened_at:%Y-%m-%d %H:%M} UTC, so {step} may not write",
            f"Go on with it: `{intent.command}`; or put everything back: "
            "`bin/paylake restate --withdraw`.",
            where=f"ops.{TABLE}",
        )
