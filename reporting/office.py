"""The reporting office: from released rows to filed packages, for many dates in one pass.

Order of one date: rows read (computed), edit checks (validated), reasons where they are needed
(explained), files rendered and signature stored with the manifest (signed), folder and ZIP in place
(packaged). What was filed stays as filed; what was damaged since is named and mended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from paylake.crypto import PrivateKey, sm3_hex
from paylake.errors import Held, NotVerified, PermanentFailure
from reporting import data, declared, edits, manifest, package, specification
from reporting.data import Rows
from reporting.declared import Declared
from reporting.edits import Outcome
from reporting.filing import Filing, Filings, Reasons
from reporting.manifest import Input, Reason
from reporting.render import render
from reporting.results import Item
from reporting.source import Chain, Release, Source
from reporting.specification import Specification
from reporting.story import Story, event
from reporting.vault import Opener, closed

BATCH_DAYS = 31
# States of a filed date whose package is whole.
IN_PLACE = ("unchanged", "mended", "restated")
Recorder = Callable[[list[dict[str, Any]]], None]


@dataclass(frozen=True)
class Made:
    """A package in memory: its manifest and everything else that it holds."""

    manifest: bytes
    files: Mapping[str, bytes]

    def with_signature(self, signature: bytes) -> dict[str, bytes]:
        return {**self.files, manifest.NAME: self.manifest, manifest.SIGNATURE: signature}


class Office:
    """Files the reports of one home.

    :param root: ``<home>/reports``.
    :param is_demo: mark the key as a demo key in every manifest.
    :param record: takes events for ``ops.report_event``.
    :param recover: (report, date) -> filing told by the event log, when the record is lost.
    :param vault: opens identifiers for the reports that show them in clear.
    :param declares: what the institution says of itself on a report (`reporting.declared`).
    """

    def __init__(
        self,
        root: Path,
        source: Source,
        key: PrivateKey,
        record: Recorder,
        *,
        is_demo: bool = False,
        recover: Callable[[str, date], Filing | None] = lambda report, day: None,
        vault: Opener = closed,
        declares: Callable[[Specification], Declared] = lambda spec: {},
    ) -> None:
        self.root = root
        self.source = source
        self.key = key
        self.record = record
        self.is_demo = is_demo
        self.recover = recover
        self.vault = vault
        self.declares = declares
        self.filings = Filings(root)
        self.reasons = Reasons(root)
        self.chain = Chain(source.releases())

    # -- filing ---------------------------------------------------------------------------------

    def file(self, spec: Specification, days: Sequence[date]) -> list[Item]:
        """File one report for the dates that are released and not filed, mend the filed ones."""
        items: list[Item] = []
        for start in range(0, len(days), BATCH_DAYS):
            items += self._file_batch(spec, days[start : start + BATCH_DAYS])
        return items

    def _file_batch(self, spec: Specification, days: Sequence[date]) -> list[Item]:
        items: dict[date, Item] = {}
        pins: dict[date, Release] = {}
        filed: dict[date, Filing] = {}
        damage: dict[date, list[str]] = {}
        for day in days:
            try:
                filing = self.filing(spec.report, day)
                if filing is None:
                    pins[day] = self.chain.pinned(day)
                    continue
                damage[day] = self.damage(filing)
                filed[day] = filing
                if damage[day] and not self._mend_from_copies(filing):
                    pins[day] = self.chain.get(filing.release_id)
            except Held as error:
                items[day] = Item(spec.report, day, "not_released", error.sentence())
            except (NotVerified, PermanentFailure) as error:
                items[day] = Item(spec.report, day, "damaged", error.sentence())
        if pins:
            rows = data.load(self.source, spec, self.chain, pins)
            complete = [day for day in sorted(pins) if rows.is_complete(spec, day)]
            outcomes = edits.run(spec, edits.load(spec.report), rows, complete)
        signed: list[tuple[Filing, list[dict[str, Any]]]] = []
        for day in sorted(pins):
            if day in filed:
                items |= self._remake(spec, rows, outcomes.get(day, []), filed[day], damage[day])
            else:
                item, filing, events = self._prepare(
                    spec, rows, outcomes.get(day, []), day, pins[day]
                )
                items[day] = item
                signed.append((filing, events)) if filing else self.record(events)
        for day in sorted(set(filed) - set(items)):
            if damage[day]:
                items[day] = self._item(filed[day], "mended", "; ".join(damage[day]))
            else:
                items[day] = self._as_filed(spec, filed[day])
        self._finish([*signed, *self._unfinished(filed.values(), items)])
        return [items[day] for day in days]

    def _as_filed(self, spec: Specification, filing: Filing) -> Item:
        """A whole package of a filed date; one that was restated since is told apart by name."""
        tables = [dataset.table for dataset in spec.datasets.values()]
        link, has_other_rows = self.chain.restated(filing.day, filing.release_id, tables)
        if link is None:
            return self._item(filing, "unchanged", "nothing to do")
        since = f"{link.release_id} restated {filing.day} after it was filed"
        if not has_other_rows:
            return self._item(filing, "unchanged", f"nothing to do; {since}, with the same rows")
        stays = f"the package stays as filed, from {filing.release_id}"
        return self._item(filing, "restated", f"{since}: {stays}")

    def _prepare(
        self,
        spec: Specification,
        rows: Rows,
        outcomes: Sequence[Outcome],
        day: date,
        release: Release,
    ) -> tuple[Item, Filing | None, list[dict[str, Any]]]:
        """Take one new date as far as it may go; a signed one is in the returned filing."""
        if not rows.is_complete(spec, day):
            detail = "the release has no rows for it (the home has no feed that gives them)"
            return Item(spec.report, day, "absent", detail), None, []
        story = Story(spec.report, day, release.release_id)
        story.tell("drafted")
        story.tell("computed")
        blocking = [o for o in outcomes if o.blocks]
        if blocking:
            detail = "; ".join(o.sentence() for o in blocking)
            story.tell("refused", detail)
            codes = tuple(o.rule.code for o in blocking)
            return Item(spec.report, day, "refused", detail, codes), None, story.events
        open_ones, reasons = [], []
        for outcome in (o for o in outcomes if o.needs_reason):
            reason = self.reasons.find(spec.report, day, outcome.rule.code, outcome.digest)
            if reason is None:
                open_ones.append(outcome)
            else:
                reasons.append(reason)
        if open_ones:
            detail = "; ".join(o.sentence() for o in open_ones)
            story.tell("validated", f"needs a named person's reason: {detail}")
            codes = tuple(o.rule.code for o in open_ones)
            return Item(spec.report, day, "awaiting_reason", detail, codes), None, story.events
        story.tell("validated")
        if reasons:
            story.tell("explained", "; ".join(f"{r.code}: {r.person}" for r in reasons))
        said = self.declares(spec)
        made = self._make(spec, rows, outcomes, day, release, reasons, self._key_entry(), said)
        signature = self.key.sign(made.manifest)
        text = made.manifest.decode("utf-8")
        filing = Filing(
            report=spec.report,
            business_date=day.isoformat(),
            state="signed",
            release_id=release.release_id,
            renderer=manifest.renderer_version(),
            manifest_sm3=sm3_hex(made.manifest),
            manifest=text,
            signature=signature.hex(),
            key_fingerprint=self.key.public.fingerprint,
        )
        story.tell("signed", filing=filing)
        self.filings.put(filing)
        package.write(self.root, spec.report, day, made.with_signature(signature))
        return self._item(filing, "filed", f"{len(made.files)} files"), filing, story.events

    def _make(
        self,
        spec: Specification,
        rows: Rows,
        outcomes: Sequence[Outcome],
        day: date,
        release: Release,
        reasons: Sequence[Reason],
        key: Mapping[str, Any],
        said: Declared,
    ) -> Made:
        shown = declared.fill(rows, spec, day, said)
        if spec.clear_columns:
            values = self.vault(spec.report, day, rows.tokens(spec.clear_columns, day))
            shown = shown.in_clear(spec.clear_columns, day, values)
        files, totals = render(spec, shown, day)
        files.append(manifest.verify_page(spec, day))
        inputs = [
            Input(d.table, len(rows.of(name, day)), rows.digest(name, day))
            for name, d in spec.datasets.items()
        ]
        text = manifest.build(
            spec, day, release, inputs, said, outcomes, reasons, totals, files, key
        )
        return Made(text, {f.name: f.data for f in files})

    def _key_entry(self) -> dict[str, Any]:
        entry = {"key_id": manifest.KEY_ID, "key_fingerprint": self.key.public.fingerprint}
        return entry | ({"demo": True} if self.is_demo else {})

    def _finish(self, signed: Sequence[tuple[Filing, list[dict[str, Any]]]]) -> None:
        """Tell the events of packages that are in place, then mark them done: a killed run tells
        them again, so none is lost."""
        if not signed:
            return
        events = []
        for filing, story in signed:
            events += [*story, event(filing, "packaged")]
        self.record(events)
        for filing, _ in signed:
            self.filings.packaged(filing)

    def _unfinished(self, filed, items: Mapping[date, Item]):
        """Filings whose run was killed between signing and the end, now in place."""
        for filing in filed:
            if filing.state == "signed" and items[filing.day].state in IN_PLACE:
                yield filing, [event(filing, "signed", manifest_text=filing.manifest)]

    # -- what was filed -------------------------------------------------------------------------

    def filing(self, report: str, day: date) -> Filing | None:
        """The filing of a date, from its record, or from the event log when that is lost."""
        filing = self.filings.get(report, day, self.key.public)
        if filing is None and (filing := self.recover(report, day)) is not None:
            self.filings.put(filing)
            filing = self.filings.get(report, day, self.key.public)
        return filing

    def damage(self, filing: Filing) -> list[str]:
        """What is missing, altered or extra in a filed package's folder and ZIP, in words."""
        problems = []
        for path in (
            package.folder(self.root, filing.report, filing.day),
            package.archive(self.root, filing.report, filing.day),
        ):
            if not path.exists():
                problems.append(f"{path.name} is missing")
                continue
            try:
                problems += [f"{path.name}: {p}" for p in _against(filing, package.read(path))]
            except NotVerified as error:
                problems.append(f"{path.name}: {error.what}")
        return problems

    def _mend_from_copies(self, filing: Filing) -> bool:
        """Put folder and ZIP in place from what is whole in either. False when something is in
        neither; the signed digests say what is whole, so no renderer is needed."""
        wanted = {f["name"]: f["sm3"] for f in filing.document["files"]}
        whole: dict[str, bytes] = {}
        for path in (
            package.folder(self.root, filing.report, filing.day),
            package.archive(self.root, filing.report, filing.day),
        ):
            try:
                found = package.read(path)
            except NotVerified:
                continue  # the other copy may do; if neither does, the package is made again
            whole |= {n: d for n, d in found.items() if wanted.get(n) == sm3_hex(d)}
        if set(whole) != set(wanted):
            return False
        self._place(filing, Made(filing.manifest_bytes, whole))
        return True

    def _place(self, filing: Filing, made: Made) -> None:
        files = made.with_signature(filing.signature_bytes)
        package.write(self.root, filing.report, filing.day, files)

    def _remake(
        self,
        spec: Specification,
        rows: Rows,
        outcomes: Sequence[Outcome],
        filing: Filing,
        problems: Sequence[str],
    ) -> dict[date, Item]:
        try:
            made = self.made_again(spec, rows, outcomes, filing)
        except (NotVerified, PermanentFailure) as error:
            detail = f"{'; '.join(problems)}: {error.sentence()}"
            return {filing.day: Item(filing.report, filing.day, "damaged", detail)}
        self._place(filing, made)
        return {filing.day: self._item(filing, "mended", "; ".join(problems))}

    def made_again(
        self, spec: Specification, rows: Rows, outcomes: Sequence[Outcome], filing: Filing
    ) -> Made:
        """The package of a filing, rendered again from its pinned release.

        :raises PermanentFailure: for a package of another renderer version.
        :raises NotVerified: when the result is not what was signed.
        """
        if filing.renderer != manifest.renderer_version():
            raise PermanentFailure(
                f"{filing.report} {filing.business_date} was made by renderer "
                f"{filing.renderer[:16]}, this is {manifest.renderer_version()[:16]}: it cannot "
                "rebuild it",
                "Rebuild with the paylake version that filed it (CHANGELOG.md).",
            )
        release = self.chain.get(filing.release_id)
        signed = filing.document["signature"]
        key = {k: v for k, v in signed.items() if k not in ("file", "algorithm", "user_id")}
        made = self._make(
            spec, rows, outcomes, filing.day, release, filing.reasons(), key, filing.declared()
        )
        if sm3_hex(made.manifest) != filing.manifest_sm3:
            now = manifest.read(made.manifest)
            differ = _differing(filing.document, now)
            raise NotVerified(
                f"{filing.report} {filing.business_date} made again differs from what was signed: "
                f"{differ}",
                "The pinned release no longer holds the rows that were filed; restore the lake "
                "from the backup.",
            )
        return made

    def rebuild(self, spec: Specification, day: date) -> tuple[Filing, list[str]]:
        """Make a filed package again from its release, compare it with what was signed, and mend
        what is on disk.

        :returns: the filing, and what was missing or altered.
        """
        filing = self.filing(spec.report, day)
        if filing is None:
            raise PermanentFailure(
                f"{spec.report} for {day} was never filed",
                f"`bin/paylake report --date {day}` files it.",
            )
        pins = {day: self.chain.get(filing.release_id)}
        rows = data.load(self.source, spec, self.chain, pins)
        outcomes = edits.run(spec, edits.load(spec.report), rows, [day])
        made = self.made_again(spec, rows, outcomes[day], filing)
        problems = self.damage(filing)
        if problems:
            self._place(filing, made)
        self._finish(list(self._unfinished([filing], {day: self._item(filing, "unchanged", "")})))
        return filing, problems

    def outcomes(self, spec: Specification, day: date) -> list[Outcome]:
        """What the edit checks say of one released date, filed or not."""
        pins = {day: self.chain.pinned(day)}
        rows = data.load(self.source, spec, self.chain, pins)
        return edits.run(spec, edits.load(spec.report), rows, [day])[day]

    def _item(self, filing: Filing, state: str, detail: str) -> Item:
        return Item(
            filing.report,
            filing.day,
            state,
            detail,
            path=package.folder(self.root, filing.report, filing.day),
            release_id=filing.release_id,
            manifest_sm3=filing.manifest_sm3,
        )


def every(names: Sequence[str] | None) -> list[Specification]:
    """The specifications of the named reports, or of all."""
    return [specification.load(name) for name in names or specification.reports()]


def _against(filing: Filing, files: Mapping[str, bytes]) -> list[str]:
    problems = []
    for name, wanted in (
        (manifest.NAME, filing.manifest_bytes),
        (manifest.SIGNATURE, filing.signature_bytes),
    ):
        if name not in files:
            problems.append(f"{name} is missing")
        elif files[name] != wanted:
            problems.append(f"{name} was altered")
    return problems + package.differences(filing.document, files)


def _differing(signed: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    for name, label in (("inputs", "table"), ("files", "name")):
        before = {e[label]: e["sm3"] for e in signed[name]}
        after = {e[label]: e["sm3"] for e in now[name]}
        changed = sorted(k for k in before.keys() | after.keys() if before.get(k) != after.get(k))
        if changed:
            return f"{name} {', '.join(changed[:5])}" + (" and more" if len(changed) > 5 else "")
    return ", ".join(k for k in signed if signed[k] != now.get(k))
