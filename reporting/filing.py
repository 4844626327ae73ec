"""What was filed: the signature with what it signs, one small file a package.

``<home>/reports/.signatures/<report>/<date>.json`` is written, flushed and renamed before the
package itself: it is the moment from which the date is filed. A package is made again from it, a
later release does not change it, and a killed run goes on from it. ``ops.report_event`` tells the
story of each package, with a second copy of manifest and signature from which a lost record is
written anew.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path

from paylake import durable
from paylake.crypto import PublicKey, sm3_hex
from paylake.errors import NotVerified, PermanentFailure
from reporting import manifest
from reporting.manifest import Reason

FOLDER = ".signatures"

# drafted: a date that may be filed; computed: its rows read; validated: edit checks done, none that
# blocks; explained: reasons given for those that need one; signed; packaged: in place.
TRANSITIONS: dict[str | None, tuple[str, ...]] = {
    None: ("drafted",),
    "drafted": ("computed",),
    "computed": ("validated", "refused"),
    "validated": ("signed", "explained"),
    "explained": ("signed",),
    "signed": ("packaged",),
    "packaged": (),
    "refused": (),  # the next run begins a new draft
}


def advance(state: str | None, new: str) -> str:
    """The new state, when a package may go there from the old one.

    :raises PermanentFailure: for a step that the life of a report does not have.
    """
    if new not in TRANSITIONS[state]:
        raise PermanentFailure(
            f"A report package does not go from {state or 'nothing'} to {new}",
            "This is a defect of paylake; please report it.",
        )
    return new


@dataclass(frozen=True)
class Filing:
    """One filed package: its manifest's text, the signature in hex, and the pinned release."""

    report: str
    business_date: str
    state: str
    release_id: str
    renderer: str
    manifest_sm3: str
    manifest: str
    signature: str
    key_fingerprint: str

    @property
    def manifest_bytes(self) -> bytes:
        return self.manifest.encode("utf-8")

    @property
    def signature_bytes(self) -> bytes:
        return bytes.fromhex(self.signature)

    @property
    def document(self) -> dict:
        return manifest.read(self.manifest_bytes)

    @property
    def day(self) -> date:
        return date.fromisoformat(self.business_date)

    def declared(self) -> dict[str, str]:
        """What the institution said of itself when the package was made."""
        return {entry["setting"]: entry["value"] for entry in self.document["declared"]}

    def reasons(self) -> list[Reason]:
        return [Reason(**entry) for entry in self.document["reasons"]]


class Filings:
    """The filings of one home."""

    def __init__(self, reports: Path) -> None:
        self.root = reports / FOLDER

    def path(self, report: str, day: date) -> Path:
        return self.root / report / f"{day.isoformat()}.json"

    def get(self, report: str, day: date, key: PublicKey | None = None) -> Filing | None:
        """The filing of a date, or None.

        :param key: when given, the signature must verify with it.
        :raises NotVerified: when the record was altered.
        """
        path = self.path(report, day)
        if not path.is_file():
            return None
        try:
            filing = Filing(**json.loads(path.read_text("utf-8")))
            whole = sm3_hex(filing.manifest_bytes) == filing.manifest_sm3
            document = filing.document
            whole = whole and (document["report"], document["business_date"]) == (
                report,
                day.isoformat(),
            )
            signature = filing.signature_bytes
        except (OSError, TypeError, ValueError, NotVerified):
            whole, filing, signature = False, None, b""
        if not whole or (key and not key.verify(filing.manifest_bytes, signature)):
            raise NotVerified(
                f"The filing record of {report} {day} was altered or signed with another key",
                "Restore <home>/reports and <home>/keys from the backup.",
                where=str(path),
            )
        return filing

    def put(self, filing: Filing) -> None:
        text = json.dumps(asdict(filing), ensure_ascii=False, indent=1)
        durable.write(self.path(filing.report, filing.day), text.encode("utf-8"))

    def packaged(self, filing: Filing) -> Filing:
        """Record that the package is in place."""
        done = replace(filing, state=advance(filing.state, "packaged"))
        self.put(done)
        return done

    def all(self) -> list[tuple[str, date]]:
        """(report, date) of everything filed, in order."""
        found = [
            (path.parent.name, date.fromisoformat(path.stem))
            for path in self.root.glob("*/*.json")
            if not path.name.startswith(".")
        ]
        return sorted(found)


class Reasons:
    """Reasons given for Q and M findings, before a package that carries them is signed: one file a
    report, ``<home>/reports/.reasons/<report>.json``."""

    def __init__(self, reports: Path) -> None:
        self.root = reports / ".reasons"

    def _path(self, report: str) -> Path:
        return self.root / f"{report}.json"

    def given(self, report: str) -> list[Reason]:
        """All reasons of a report, oldest date first."""
        path = self._path(report)
        if not path.is_file():
            return []
        try:
            return [Reason(**entry) for entry in json.loads(path.read_text("utf-8"))]
        except (TypeError, ValueError) as error:
            raise PermanentFailure(
                f"The reasons for {report} cannot be read: {error}",
                "Restore the file from the backup, or remove it and give the reasons again.",
                where=str(path),
            ) from None

    def find(self, report: str, day: date, code: str, findings_sm3: str) -> Reason | None:
        """The newest reason for these findings that was given for this date or an earlier one."""
        standing = [
            r
            for r in self.given(report)
            if (r.code, r.findings_sm3) == (code, findings_sm3) and r.since <= day.isoformat()
        ]
        return standing[-1] if standing else None

    def add(self, report: str, reason: Reason) -> None:
        """Keep a reason; it replaces one for the same rule, findings and date."""
        key = (reason.since, reason.code, reason.findings_sm3)
        others = [r for r in self.given(report) if (r.since, r.code, r.findings_sm3) != key]
        entries = sorted([*others, reason], key=lambda r: (r.since, r.code, r.findings_sm3))
        text = json.dumps([vars(r) for r in entries], ensure_ascii=False, indent=1)
        durable.write(self._path(report), text.encode("utf-8"))
