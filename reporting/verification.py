"""Verify a package offline: nothing but the package and a key that came by another way."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from paylake.crypto import PublicKey
from paylake.errors import NotVerified, PermanentFailure
from reporting import manifest, package


@dataclass(frozen=True)
class TrustedSigner:
    """A verifying key; a trust file also says from when to when it may sign."""

    key: PublicKey
    key_id: str = manifest.KEY_ID
    valid_from: date | None = None
    valid_to: date | None = None


@dataclass(frozen=True)
class VerifyResult:
    """What verifying one package found. `problems` is empty exactly when it verifies."""

    path: Path
    report: str
    business_date: str
    release_id: str
    files: int
    key_fingerprint: str
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.problems

    @property
    def exit_code(self) -> int:
        return 0 if self.ok else NotVerified.exit_code

    def require(self) -> VerifyResult:
        """:raises NotVerified: unless the package verifies."""
        if self.problems:
            shown = "; ".join(self.problems[:5])
            more = f"; and {len(self.problems) - 5} more" if len(self.problems) > 5 else ""
            raise NotVerified(
                f"The package does not verify: {shown}{more}",
                "Do not use it; ask the sender for it again.",
                where=str(self.path),
            )
        return self

    def rows(self) -> list[dict[str, Any]]:
        return [
            {
                "report": self.report,
                "business_date": self.business_date,
                "release": self.release_id,
                "files": self.files,
                "key_fingerprint": self.key_fingerprint,
                "result": "verified" if self.ok else "; ".join(self.problems),
            }
        ]

    def as_dict(self) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "report": self.report,
            "business_date": self.business_date,
            "release": self.release_id,
            "files": self.files,
            "key_fingerprint": self.key_fingerprint,
            "ok": self.ok,
            "problems": list(self.problems),
        }


def load_trust(path: Path) -> list[TrustedSigner]:
    """Signers from a public key (PEM) or a trust file (JSON: key id -> public_key, valid_from,
    valid_to, as in ``keys/trust.json``). A key that the file trusts with feeds is a sender's: it
    signs deliveries and no report.

    :raises PermanentFailure: when it is neither, or trusts nobody with reports.
    """
    path = Path(path)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PermanentFailure(
            f"The trusted key cannot be read: {error}",
            "Give the institution's public key, which it hands out apart from its packages.",
            where=str(path),
        ) from None
    if not text.lstrip().startswith("{"):
        return [TrustedSigner(PublicKey.load(path))]
    try:
        signers = [
            TrustedSigner(
                PublicKey.from_pem(entry["public_key"]),
                key_id,
                date.fromisoformat(entry["valid_from"]),
                date.fromisoformat(entry["valid_to"]),
            )
            for key_id, entry in json.loads(text).items()
            if not entry.get("feeds")
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PermanentFailure(
            f"The trust file cannot be read: {error!r}",
            "Write it as docs/reference/reports.md says.",
            where=str(path),
        ) from None
    if not signers:
        raise PermanentFailure(
            "The trust file holds no key that may sign reports, senders' keys alone",
            "Add the institution's public key, or give that key itself.",
            where=str(path),
        )
    return signers


def verify(path: Path, trust: Path, today: date | None = None) -> VerifyResult:
    """Check the manifest's signature with a trusted key, then every file against the manifest.

    :param path: a package's folder or ZIP.
    :param trust: see `load_trust`. A key inside the package is never looked at.
    :param today: the day on which a trusted key must have begun to be valid; today by default.
    :raises NotVerified: when there is nothing to verify: no package, no manifest, a broken ZIP.
    :returns: a result with the problems found; its `exit_code` is 16 when there are any.
    """
    path = Path(path)
    signers = load_trust(trust)
    files = package.read(path)
    for name in (manifest.NAME, manifest.SIGNATURE):
        if name not in files:
            raise NotVerified(
                f"The package has no {name}", "Ask the sender for it again.", where=str(path)
            )
    data = files[manifest.NAME]
    signer = next((s for s in signers if s.key.verify(data, files[manifest.SIGNATURE])), None)
    if signer is None:
        # Unsigned content is not interpreted: nothing of the manifest is believed or shown.
        known = ", ".join(s.key.fingerprint for s in signers)
        problem = f"manifest.json is not signed with a trusted key ({known}), or was altered"
        return VerifyResult(path, "", "", "", len(files), "", (problem,))
    document = manifest.read(data)
    problems = _validity(signer, date.fromisoformat(document["business_date"]), today)
    problems += package.differences(document, files)
    return VerifyResult(
        path,
        document["report"],
        document["business_date"],
        document["release"]["id"],
        len(document["files"]),
        signer.key.fingerprint,
        tuple(problems),
    )


def _validity(signer: TrustedSigner, business_date: date, today: date | None) -> list[str]:
    """A package is signed after its business date, so a key that ended before it cannot have been
    valid when it signed."""
    if signer.valid_to is not None and business_date > signer.valid_to:
        return [f"the key {signer.key_id} ended on {signer.valid_to}, before {business_date}"]
    if signer.valid_from is not None and (today or date.today()) < signer.valid_from:
        return [f"the key {signer.key_id} is valid from {signer.valid_from} only"]
    return []
