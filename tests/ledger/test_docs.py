"""The documented refusals are the refusals, in their order."""

from __future__ import annotations

from ledger.domain.commands import TYPES
from ledger.domain.refusals import REASONS
from paylake.settings import ROOT


def test_documented_refusals():
    text = (ROOT / "docs" / "explanation" / "ledger.md").read_text("utf-8")
    for number, reason in enumerate(REASONS, 1):
        recorded = "yes" if reason.recorded else "no"
        line = (f"| {number} | `{reason.code}` | {reason.http_status} | {recorded} | "
                f"{reason.meaning} |")
        assert line in text
    for type_, fields in TYPES.items():
        assert f"| `{type_}` | `{fields[0].name}` |" in text
