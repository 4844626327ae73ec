"""What the demo does beside the rooms: its own settings, and reasons for what asks for one."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

import reporting
from cli import demo, demo_reports
from paylake import settings as settings_module
from paylake.errors import PermanentFailure
from reporting.results import Item, ReportResult

FIRST = date(2026, 9, 12)
REPORT = "reserve_fund_check"


def test_the_institution_says_of_itself_what_its_home_keeps(tmp_path):
    settings = settings_module.load({}, home=tmp_path)
    said = demo.with_own_settings(settings)
    assert said.reserve_account and said.reserve_item_owner
    assert (said.reserve_checker, said.reserve_approver) == ("", "")  # nobody is made up
    assert settings_module.load({}, home=tmp_path) == said
    assert said.origin("reserve_account") == f"file {tmp_path / 'paylake.toml'}"


def test_a_file_that_is_there_and_a_setting_that_was_given_stand(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "paylake.toml").write_text('reserve_checker = "周"\n', "utf-8")
    own = settings_module.load({}, home=tmp_path / "a")
    assert demo.with_own_settings(own) is own
    (tmp_path / "b").mkdir()
    given = settings_module.load({"PAYLAKE_RESERVE_ACCOUNT": "1"}, home=tmp_path / "b")
    assert demo.with_own_settings(given).reserve_account == "1"


class Office:
    """Stands for the reporting room: every date from `asks_from` on asks for RFC-Q201's reason
    until one is given; a reason stands for later dates, or for its own alone."""

    def __init__(
        self, days: int, asks_from: int, state: str = "awaiting_reason", stands: bool = True,
        code: str = "RFC-Q201",
    ) -> None:  # fmt: skip
        self.code = code
        self.days = [FIRST + timedelta(days=n) for n in range(days)]
        self.asking = set(self.days[asks_from:])
        self.state, self.stands = state, stands
        self.filed: set[date] = set()
        self.given: list[tuple[date, str]] = []

    def report(self, settings, first, last) -> ReportResult:
        items = []
        for day in self.days:
            if day in self.asking:
                items.append(Item(REPORT, day, self.state, "why", (self.code,)))
            else:
                items.append(Item(REPORT, day, "unchanged" if day in self.filed else "filed", ""))
                self.filed.add(day)
        return ReportResult(tuple(items), "key", settings.home)

    def explain(self, settings, report, day, code, person, reason) -> None:
        assert (report, person) == (REPORT, "operations (demo login)") and "demo reason" in reason
        self.given.append((day, code))
        self.asking -= {d for d in self.asking if d == day or (self.stands and d > day)}


@pytest.mark.parametrize(("stands", "reasons"), [(True, 1), (False, 4)])
def test_what_asks_for_a_reason_gets_the_demo_s(tmp_path, monkeypatch, stands, reasons):
    office = Office(10, 6, stands=stands)
    monkeypatch.setattr(reporting, "report", office.report)
    monkeypatch.setattr(reporting, "explain", office.explain)
    settings = settings_module.load({}, home=tmp_path)
    told = demo_reports.file_reports(settings, FIRST, office.days[-1])
    assert told == f"10 filed, demo reasons given: {reasons}"
    assert office.given[0] == (office.days[6], "RFC-Q201")
    assert demo_reports.file_reports(settings, FIRST, office.days[-1]) == "10 unchanged"


def test_what_no_reason_helps_is_said_with_its_date(tmp_path, monkeypatch):
    office = Office(3, 1, state="refused")
    monkeypatch.setattr(reporting, "report", office.report)
    monkeypatch.setattr(reporting, "explain", office.explain)
    settings = settings_module.load({}, home=tmp_path)
    with pytest.raises(PermanentFailure, match="2026-09-13 is refused: why"):
        demo_reports.file_reports(settings, FIRST, office.days[-1])
    assert office.given == []


def test_a_check_that_nothing_planted_explains_ends_the_demo_by_name(tmp_path, monkeypatch):
    office = Office(3, 1, code="MSS-Q202")
    monkeypatch.setattr(reporting, "report", office.report)
    monkeypatch.setattr(reporting, "explain", office.explain)
    settings = settings_module.load({}, home=tmp_path)
    with pytest.raises(PermanentFailure, match="2026-09-13 is awaiting_reason: why"):
        demo_reports.file_reports(settings, FIRST, office.days[-1])
    assert office.given == []


def test_a_place_that_holds_another_figure_or_none_is_named():
    found = {"ledger": Decimal("1.50"), "marts": Decimal(1000), "files": None}
    assert demo.beside(Decimal("1.5"), found) == "ledger, NOT marts (1,000), NOT files (nothing)"


@pytest.mark.parametrize(("start", "days"), [("2026-12-30", 5), ("2026-12-31", 1)])
def test_a_world_beyond_the_calendar_is_refused_before_anything_is_made(tmp_path, start, days):
    settings = settings_module.load({}, home=tmp_path / "home", start=start, days=days)
    with pytest.raises(PermanentFailure, match="does not know 2027-01-01"):
        demo.Demo(settings, with_screens=False).run()
    assert not settings.home.exists()
