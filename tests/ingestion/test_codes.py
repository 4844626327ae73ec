"""The documented lists are the lists of the code."""

from __future__ import annotations

import re

from ingestion.codes import REASONS, RULES, WAITING
from paylake.settings import ROOT


def test_the_reference_page_lists_every_code_in_order() -> None:
    page = (ROOT / "docs" / "reference" / "ingestion-codes.md").read_text("utf-8")
    listed = re.findall(r"^\| `([a-z_]+)` \|(?: ([a-z_]+) \|)? (.+) \|$", page, re.MULTILINE)
    expected = [
        (
            code,
            "waiting" if code in WAITING
            else "ignored_duplicate" if code == "same_content"
            else "refused",
            meaning,
        )
        for code, meaning in REASONS.items()
    ] + [(code, "", meaning) for code, meaning in RULES.items()]
    assert listed == expected and len(listed) > 30
