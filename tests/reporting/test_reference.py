"""The reference page tells of every report, and the code of nothing that it does not."""

from paylake.settings import ROOT
from reporting import specification
from reporting.filing import TRANSITIONS
from reporting.results import EXIT_CODES

PAGE = (ROOT / "docs" / "reference" / "reports.md").read_text("utf-8")


def test_every_report_has_its_section():
    assert len(specification.reports()) == 2
    for report in specification.reports():
        assert f"\n## `{report}`\n" in PAGE
        assert specification.load(report).title in PAGE


def test_states_and_exit_codes_are_documented():
    for state in TRANSITIONS:
        assert state is None or state in PAGE
    assert set(EXIT_CODES.values()) == {0, 10, 12, 16}
    for code in (10, 12, 16):
        assert f"{code} " in PAGE


def test_headings_of_the_reserve_fund_check_are_on_the_page():
    columns = specification.load("reserve_fund_check").dataset("summary").columns.values()
    missing = [c.heading for c in columns if c.kind != "date" and c.heading not in PAGE]
    assert missing == []
