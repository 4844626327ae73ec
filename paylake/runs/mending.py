"""What a run does about dates that are released already: compare, name, mend, or refuse by name.

In the order in which one thing is made from another: the logs that name all files, what was
received, bronze from it, silver and states from bronze, gold from `work`, readers' files from gold.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from paylake import files, release, repair, serving
from paylake.errors import NotVerified
from paylake.repair import Damage
from paylake.runs.due import stretches
from paylake.runs.steps import StepLog

_RECEIVED = ("bronze", "quarantine")
_BUILT = ("silver", "state")
_RESTORE = "Restore it from the backup (`bin/paylake restore`), or from the store's own versions."


class Mending(StepLog):
    """The part of a run that looks after released dates."""

    def mend(self, released: list[date]) -> None:
        """Compare the released dates with their records; name and mend what was altered or lost.

        :raises NotVerified: when something cannot be made again as it was.
        """
        if not released:
            return
        first, last = released[0], released[-1]
        self._mend_logs()
        readers, told = self._drop_readers()
        damaged = repair.verify(self.settings, first, last)
        self.result.mended += [str(each) for each in damaged]
        if damaged:
            self._mend_received(damaged)
            self._mend_built(damaged)
            self._mend_gold(damaged)
            self._refuse_what_is_left(repair.verify(self.settings, first, last))
        files.record(self.settings, first, last)
        if told:
            self._mend_readers(last, readers)
            self.result.mended += told
        self.result.refused += [
            str(each) for each in files.altered_kept(self.settings, first, last)
        ]

    def _mend_logs(self) -> None:
        damaged = files.altered_logs(self.settings)
        if not damaged:
            return
        left = files.mend_logs(self.settings, damaged)
        if left:
            raise NotVerified(f"{left[0]}, and its text was not recorded", _RESTORE)
        self.result.mended += [str(each) for each in damaged]

    def _mend_received(self, damaged: list[Damage]) -> None:
        """Bronze and quarantine come from the kept deliveries; `ingest` opens these again where
        the stored files are not those that it wrote."""
        for part in _parts(damaged, _RECEIVED):
            self.step(
                "ingest", part[0], part[-1],
                lambda f, t: self.steps["ingest"](f, t, self.seen_until),
            )

    def _mend_built(self, damaged: list[Damage]) -> None:
        built = [each for each in damaged if each.layer in _BUILT]
        repair.clear(self.settings, built)
        for part in _parts(built, _BUILT):
            self.step("build", part[0], part[-1], detail=lambda _: {})

    def _mend_gold(self, damaged: list[Damage]) -> None:
        gold = [each for each in damaged if each.layer == "gold"]
        if not gold:
            return
        first, last = gold[0].business_date, gold[-1].business_date
        try:
            self.step("mend", first, last, lambda f, t: repair.repair(self.settings, gold))
        except NotVerified:
            # work lost it too: the inputs are kept, so the same code builds the same rows
            for part in _parts(gold, ("gold",)):
                self.step("build", part[0], part[-1], detail=lambda _: {})
            self.step("mend", first, last, lambda f, t: repair.repair(self.settings, gold))

    def _refuse_what_is_left(self, damaged: list[Damage]) -> None:
        if damaged:
            raise NotVerified(
                f"{damaged[0]}, and the present code does not make it as it was"
                + (f"; {len(damaged) - 1} more" if len(damaged) > 1 else ""),
                f"Build {damaged[0].business_date} with the code of {damaged[0].release_id}, or "
                "restore the lake from a backup (`bin/paylake restore`).",
            )

    def _drop_readers(self) -> tuple[list[str], list[str]]:
        """Remove readers' files that differ from their records: they are derived, and mending gold
        would read them. Without the definitions of the further views no file of views is right.

        :returns: the releases whose files are to be written, and what to tell.
        """
        altered = files.altered_readers(self.settings)
        told = [str(each) for each in altered]
        chain = [each.release_id for each in release.listing(self.settings)]
        in_force = chain[-1]
        if serving.pointer(self.settings) != in_force:
            told.append(f"serving/{serving.POINTER} does not name {in_force}")
        gone = {self.settings.path(*each.file.path.split("/")) for each in altered}
        if serving.folder(self.settings) / serving.EXTRA in gone:
            written = (serving.file_of(self.settings, each) for each in chain)
            gone |= {path for path in written if path.is_file()}
        for path in gone:
            path.unlink(missing_ok=True)
        lost = [each for each in chain if serving.file_of(self.settings, each) in gone]
        return sorted({*lost, in_force}), told

    def _mend_readers(self, last: date, releases: list[str]) -> None:
        self.step("publish", last, last)
        release.mend(self.settings, only=releases)


def _parts(damaged: Iterable[Damage], layers: tuple[str, ...]) -> list[list[date]]:
    days = {each.business_date for each in damaged if each.layer in layers}
    return stretches(sorted(days))
