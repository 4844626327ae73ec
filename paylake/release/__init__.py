"""Releases: one a business date, in date order, chained; the row in `ops.release` makes it visible.

`publish` copies the gated partitions from `work` to `gold` (one atomic commit a table), appends all
new release rows in one commit, and writes the readers' files, which are derived. A crash between
these steps leaves the former release in force; running it again completes it.
"""

from paylake.release.chain import (
    FORMAT,
    Release,
    append,
    diff,
    first_date,
    in_force,
    listing,
    release_id,
    show,
)
from paylake.release.publishing import PublishResult, open_on, publish
from paylake.release.readers import mend, read, reader
from paylake.release.verdict import Verdict, held, verdicts

__all__ = [
    "FORMAT",
    "PublishResult",
    "Release",
    "Verdict",
    "append",
    "diff",
    "first_date",
    "held",
    "in_force",
    "listing",
    "mend",
    "open_on",
    "publish",
    "read",
    "reader",
    "release_id",
    "show",
    "verdicts",
]
