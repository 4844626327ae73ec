"""By which versions a ledger was written: the highest of each template that an entry names, and of
the chart of accounts. An older program does not know what a newer one's entries ask and mean, so it
must not go on with such a log, nor judge or export it.

They stand in one row of the meta table, which is written in the transaction of the first entry of
another version: so a start reads one row, whatever the log's length. A ledger whose last writer was
of before that row has none, and every program that reads it knows what is in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from ledger.domain.chart import Chart
from ledger.domain.operations import Operations
from ledger.service.ports import Reader, Row
from paylake.errors import PermanentFailure

#: Name of the row, and in it that of the chart among those of the templates.
ROW = "written_by"
CHART = "chart_of_accounts"


def versions_of(chart: Chart, operations: Operations) -> dict[str, int]:
    """What this program writes."""
    return {**operations.versions, CHART: chart.version}


def refuse_newer(reader: Reader, known: Mapping[str, int], where: str) -> None:
    """Hold what a ledger was written by against what this program knows.

    :param known: of :func:`versions_of`
    :param where: the ledger, for the message
    :raises PermanentFailure: when a newer program wrote to it
    """
    newer = sorted(
        f"{name} is of version {version} there, "
        + (f"here of {known[name]}" if name in known else "here unknown")
        for name, version in _read(reader.meta(ROW), where).items()
        if version > known.get(name, 0)
    )
    if newer:
        more = f" and {len(newer) - 3} more" if len(newer) > 3 else ""
        raise PermanentFailure(
            f"a newer program wrote to this ledger: {'; '.join(newer[:3])}{more}",
            "use that program or a newer one; nothing was changed", where=where,
        )


def _read(text: str | None, where: str) -> dict[str, int]:
    if text is None:
        return {}
    try:
        found = json.loads(text)
        if not all(type(version) is int for version in found.values()):
            raise ValueError("a version is no whole number")
    except (ValueError, AttributeError) as error:
        raise PermanentFailure(
            f"the row {ROW} of the ledger's meta table is not what a program writes ({error})",
            "restore the last backup: somebody, or the disk, changed the database", where=where,
        ) from error
    return dict(found)


class Written:
    """The versions in the storage, for its one writer.

    :param chart: the version of the chart by which entries are made
    """

    def __init__(self, text: str | None, chart: int) -> None:
        self._there = _read(text, "the ledger")
        self._chart = chart

    def raised(self, rows: Sequence[Row]) -> dict[str, int] | None:
        """What the row says with these entries; None: the same as before."""
        found = {(row[2], row[3]) for row in rows}
        if rows:
            found.add((CHART, self._chart))
        there = self._there
        higher = {name: version for name, version in sorted(found)
                  if version > there.get(name, 0)}
        return {**there, **higher} if higher else None

    def keep(self, said: Mapping[str, int]) -> None:
        """They are committed."""
        self._there = dict(said)


def as_text(said: Mapping[str, int]) -> str:
    """The row's value."""
    return json.dumps(said, sort_keys=True)
