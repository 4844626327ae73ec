"""Releases: one a business date, in date order, chained; the row in `ops.release` makes it visible.

`publish` copies the gated partitions from `work` to `gold` (one atomic commit a table), appends all
new release rows in one commit, and writes the readers' files, which are derived. A crash between
these steps leaves the former release in force; running it again completes it. A published date
changes only by a restatement (`restating`), a release of its own that names the changed dates.
"""

from paylake.release.chain import (
    FORMAT,
    Named,
    Release,
    append,
    diff,
    first_date,
    in_force,
    listing,
    naming,
    release_id,
    restatement_id,
    show,
)
from paylake.release.publishing import PublishResult, open_on, publish
from paylake.release.readers import changed_rows, mend, read, reader, rows_of
from paylake.release.verdict import Verdict, held, verdicts

__all__ = [
    "FORMAT",
    "Named",
    "PublishResult",
    "Release",
    "Verdict",
    "append",
    "changed_rows",
    "diff",
    "first_date",
    "held",
    "in_force",
    "listing",
    "mend",
    "naming",
    "open_on",
    "publish",
    "read",
    "reader",
    "release_id",
    "restatement_id",
    "rows_of",
    "show",
    "verdicts",
]
