"""The commands of this room over a home: report, verify, rebuild, explain, list."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from paylake import durable, ops
from paylake.crypto import PrivateKey, PublicKey
from paylake.dates import date_range
from paylake.errors import NotVerified, PermanentFailure, UsageFault
from paylake.keys import Keyring
from paylake.lease import lease
from paylake.settings import Settings
from reporting import declared, edits, manifest, package, specification
from reporting.filing import Filing, Filings
from reporting.manifest import Reason
from reporting.office import Office, every
from reporting.results import RebuildResult, ReportResult
from reporting.source import LakeSource
from reporting.story import from_event
from reporting.vault import opener
from reporting.verification import VerifyResult, verify

PUBLIC_KEY = "institution.pub.pem"
EVENTS = "report_event"


def open_office(settings: Settings) -> Office:
    """The reporting office of a home.

    :raises PermanentFailure: when the home has no key to sign with, or it may not sign today.
    """
    key, is_demo = _signing_key(settings)
    told: dict[tuple[str, date], Filing] = {
        (row["report"], row["business_date"]): from_event(row)
        for row in ops.rows(settings, EVENTS, "state = 'signed'")
    }
    return Office(
        settings.path("reports"),
        LakeSource(settings),
        key,
        lambda events: ops.record(settings, EVENTS, events),
        is_demo=is_demo,
        recover=lambda report, day: told.get((report, day)),
        vault=opener(settings),
        declares=lambda spec: declared.shown(settings, spec),
    )


def _signing_key(settings: Settings) -> tuple[PrivateKey, bool]:
    ring = Keyring(settings)
    key = ring.private(manifest.KEY_ID)
    trust = ring.trust()
    own = trust.get(manifest.KEY_ID)
    if own is not None and not own.is_valid_on(date.today()):
        raise PermanentFailure(
            f"The key {manifest.KEY_ID} is valid from {own.valid_from} to {own.valid_to} only",
            "Put a new key in place (docs/reference/keys.md); nobody signs with an expired one.",
            where=str(ring.folder),
        )
    return key, any(entry.is_demo for entry in trust.values())


def export_public_key(settings: Settings) -> tuple[Path, PublicKey]:
    """Put the institution's public key beside the packages, once.

    :raises NotVerified: when another key is already there: those who have it could not verify.
    """
    path = settings.path("reports", PUBLIC_KEY)
    public = Keyring(settings).private(manifest.KEY_ID).public
    if not path.exists():
        durable.write(path, public.pem().encode("ascii"))
    elif PublicKey.load(path) != public:
        raise NotVerified(
            "The exported public key is not that of the key that would sign",
            "Restore <home>/keys from the backup, or hand out the new public key and remove the "
            "old file.",
            where=str(path),
        )
    return path, public


def report(
    settings: Settings, first: date, last: date, reports: Sequence[str] | None = None
) -> ReportResult:
    """File reports for every released date of a range that is not filed yet, in one pass.

    A filed date is left as it is; what is missing or was altered in its package is named, mended.

    :param reports: names of reports, all of them by default.
    :returns: one item a report and date; its `exit_code` is 0, 10 (an edit check of severity S or V
        refuses a date), 12 (a date is not released, or waits for a person's reason) or 16 (a filed
        package cannot be mended).
    """
    begun = time.monotonic()
    specs = every(reports)
    days = date_range(first, last)
    with lease(settings, "report", f"{first} to {last}"):
        path, public = export_public_key(settings)
        office = open_office(settings)
        items = [item for spec in specs for item in office.file(spec, days)]
    return ReportResult(tuple(items), public.fingerprint, path, time.monotonic() - begun)


def rebuild(settings: Settings, report: str, day: date) -> RebuildResult:
    """Make a filed package again from the release it pins: the same files and manifest, byte for
    byte, with the stored signature. What was missing or altered on disk is mended and named.

    :raises PermanentFailure: when it was never filed, or by another renderer version.
    :raises NotVerified: when the result is not what was signed.
    """
    spec = specification.load(report)
    with lease(settings, "report rebuild", str(day), during_restatement=True):
        export_public_key(settings)
        office = open_office(settings)
        filing, problems = office.rebuild(spec, day)
    return RebuildResult(
        report,
        day,
        filing.release_id,
        filing.manifest_sm3,
        package.folder(office.root, report, day),
        tuple(problems),
    )


def explain(
    settings: Settings, report: str, day: date, code: str, person: str, reason: str
) -> Reason:
    """Keep a named person's reason for what a Q or M rule found on a date; `report` then files it,
    with the reason in the manifest. The reason stands for later dates with the same findings, and
    lapses when they change.

    :raises UsageFault: when that rule found nothing there, or blocks whatever the reason, or the
        person or reason is empty.
    """
    spec = specification.load(report)
    if not person.strip() or not reason.strip():
        raise UsageFault("A reason needs a person and a text", "Give both.")
    if code not in {rule.code for rule in edits.load(report)}:
        raise UsageFault(f"{report} has no rule {code!r}", f"See reporting/rules/{report}.yml.")
    with lease(settings, "report explain", str(day)):
        office = open_office(settings)
        if office.filing(report, day) is not None:
            raise UsageFault(f"{report} for {day} is filed", "A filed package does not change.")
        outcome = next(
            (o for o in office.outcomes(spec, day) if o.rule.code == code and o.needs_reason), None
        )
        if outcome is None:
            raise UsageFault(
                f"{code} asks for no reason for {report} on {day}",
                f"`bin/paylake report --date {day}` shows what does.",
            )
        given = Reason(code, person.strip(), reason.strip(), outcome.digest, day.isoformat())
        office.reasons.add(report, given)
    return given


def list_packages(settings: Settings) -> list[dict[str, Any]]:
    """What was filed, each with the result of verifying it against the exported public key."""
    root = settings.path("reports")
    trust = root / PUBLIC_KEY
    found = []
    if not trust.is_file():
        return []
    for name, day in Filings(root).all():
        path = package.folder(root, name, day)
        try:
            result: VerifyResult | None = verify(path, trust)
            state = result.rows()[0]["result"]
        except NotVerified as error:
            result, state = None, error.sentence()
        found.append(
            {
                "report": name,
                "business_date": day.isoformat(),
                "release": result.release_id if result else "",
                "files": result.files if result else 0,
                "result": state,
                "path": str(path),
            }
        )
    return found
