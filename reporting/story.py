"""Events of ``ops.report_event``: the life of a package, told step by step."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from reporting.filing import Filing, advance


class Story:
    """The events of one new package, each a step that the state machine allows."""

    def __init__(self, report: str, day: date, release_id: str) -> None:
        self._base = {"report": report, "business_date": day, "release_id": release_id}
        self._state: str | None = None
        self.events: list[dict[str, Any]] = []

    def tell(self, state: str, detail: str = "", filing: Filing | None = None) -> None:
        self._state = advance(self._state, state)
        if filing is not None:
            self.events.append(event(filing, state, manifest_text=filing.manifest))
        else:
            self.events.append({**self._base, "state": state, "detail": detail[:1000] or None})


def event(filing: Filing, state: str, manifest_text: str | None = None) -> dict[str, Any]:
    """An event of a signed package; the one of signing carries the manifest itself."""
    return {
        "report": filing.report,
        "business_date": filing.day,
        "state": state,
        "release_id": filing.release_id,
        "renderer": filing.renderer,
        "manifest_sm3": filing.manifest_sm3,
        "signature": filing.signature,
        "key_fingerprint": filing.key_fingerprint,
        "manifest": manifest_text,
    }


def from_event(row: Mapping[str, Any]) -> Filing:
    """The filing that a ``signed`` event tells of."""
    return Filing(
        report=row["report"],
        business_date=row["business_date"].isoformat(),
        state="signed",
        release_id=row["release_id"],
        renderer=row["renderer"],
        manifest_sm3=row["manifest_sm3"],
        manifest=row["manifest"],
        signature=row["signature"],
        key_fingerprint=row["key_fingerprint"],
    )
