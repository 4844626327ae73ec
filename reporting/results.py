"""What the room's commands return: small, printable as a table or as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

# state of a date after `report` -> exit code
EXIT_CODES = {
    "filed": 0,
    "unchanged": 0,
    "mended": 0,
    "restated": 0,  # a newer release has other rows; the package stays as it was filed
    "absent": 0,
    "not_released": 12,
    "awaiting_reason": 12,
    "refused": 10,
    "damaged": 16,
}


@dataclass(frozen=True)
class Item:
    """One report of one business date: what was done, or why not.

    :param codes: the edit checks that refuse it, or that wait for a person's reason.
    """

    report: str
    business_date: date
    state: str
    detail: str
    codes: tuple[str, ...] = ()
    path: Path | None = None
    release_id: str = ""
    manifest_sm3: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {
            "report": self.report,
            "business_date": self.business_date.isoformat(),
            "state": self.state,
            "release": self.release_id,
            "manifest_sm3": self.manifest_sm3,
            "path": str(self.path) if self.path else None,
            "codes": list(self.codes),
            "detail": self.detail,
        }


@dataclass(frozen=True)
class ReportResult:
    """What `report` did, one item a report and date."""

    items: tuple[Item, ...]
    key_fingerprint: str
    public_key: Path
    seconds: float = field(default=0.0, compare=False)

    columns = ("report", "business_date", "state", "release", "detail")

    @property
    def exit_code(self) -> int:
        """The gravest of the items': damaged, then refused, then held."""
        codes = {EXIT_CODES[item.state] for item in self.items}
        return next((code for code in (16, 10, 12) if code in codes), 0)

    def count(self, state: str) -> int:
        return sum(item.state == state for item in self.items)

    @property
    def mended(self) -> list[str]:
        """What was missing or altered of filed packages and was made again, in words."""
        return self._told("mended")

    @property
    def damaged(self) -> list[str]:
        """Filed packages that could not be made again, in words."""
        return self._told("damaged")

    def _told(self, state: str) -> list[str]:
        return [
            f"{item.report} of {item.business_date}: {item.detail}"
            for item in self.items
            if item.state == state
        ]

    def rows(self) -> list[dict[str, Any]]:
        return [
            {k: v for k, v in item.as_dict().items() if k in self.columns} for item in self.items
        ]

    def as_dict(self) -> dict[str, Any]:
        return {
            "items": [item.as_dict() for item in self.items],
            "key_fingerprint": self.key_fingerprint,
            "public_key": str(self.public_key),
        }


@dataclass(frozen=True)
class RebuildResult:
    """A package made again, equal to what was signed.

    :param mended: what was missing or altered on disk, in words.
    """

    report: str
    business_date: date
    release_id: str
    manifest_sm3: str
    path: Path
    mended: tuple[str, ...]

    def rows(self) -> list[dict[str, Any]]:
        return [
            {
                "report": self.report,
                "business_date": self.business_date.isoformat(),
                "release": self.release_id,
                "result": f"mended: {'; '.join(self.mended)}" if self.mended else "identical",
            }
        ]

    def as_dict(self) -> dict[str, Any]:
        return {
            **self.rows()[0],
            "manifest_sm3": self.manifest_sm3,
            "path": str(self.path),
            "mended": list(self.mended),
        }
