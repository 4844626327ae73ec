"""The morning summary: the figures are the gold table's, and a date that is not out is said so."""

from __future__ import annotations

import re
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner

from cli.app import paylake
from dashboards import summary as module
from dashboards.summary import summary
from dashboards.views import required
from paylake.errors import Held
from paylake.settings import Settings
from tests.dashboards.serving_fixture import _store
from tests.dashboards.test_views import reader
from tests.paylake import sinks

LAST = date(2026, 10, 11)
RESERVE = "mart_settlement__reserve_fund_day"


@pytest.fixture
def released(full_home: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The made-up home with a chain of releases that ends on its last date, and an open item."""
    connection = reader(full_home)

    @contextmanager
    def opened(_: Settings) -> Any:
        yield SimpleNamespace(
            query=lambda sql, given: connection.execute(sql, given).to_arrow_table()
        )

    in_force = SimpleNamespace(release_id="R000030-20261011", through=LAST)
    monkeypatch.setattr(module.release, "in_force", lambda _: in_force)
    monkeypatch.setattr(module.release, "first_date", lambda _: date(2026, 9, 12))
    monkeypatch.setattr(module.release, "reader", opened)
    monkeypatch.setattr(
        module.release,
        "verdicts",
        lambda *_: {date(2026, 10, 12): SimpleNamespace(blocking=["double_entry"])},
    )
    monkeypatch.setattr(module.runs, "pending", lambda _, day: [day] if day > LAST else [])
    items = [
        {"kind": "tie", "amount": Decimal(amount), "currency_code": currency}
        for amount, currency in (("34.70", "CNY"), ("-5", "CNY"), ("2", "USD"))
    ]
    stored = module.ops.latest
    monkeypatch.setattr(
        module.ops, "latest",
        lambda given, table, *more: items if table == "open_item" else stored(given, table, *more),
    )  # fmt: skip
    return full_home


@pytest.mark.parametrize("language", ["zh", "en"])
def test_figures_are_those_of_the_gold_table(released: Settings, language: str) -> None:
    made = summary(released, LAST, language)
    (payments, rate) = (
        reader(released)
        .execute(
            "select payment_count, success_rate from mart_kpi__institution_day"
            " where business_date = ?",
            [LAST],
        )
        .fetchone()
    )
    assert f"{payments:,}" in made.text and f"{100 * rate:.2f}%" in made.text
    assert ("备付金" if language == "zh" else "Reserve") in made.text
    assert "¥39.70" in made.text and "USD 2.00" in made.text  # two currencies have no sum
    assert "R000030-20261011" in made.subject
    assert len(made.text.strip().splitlines()) == 10
    if language == "zh":
        words = set(re.findall(r"[A-Za-z_]{3,}", made.text))
        assert words <= {"paylake", "USD"}


def test_a_held_date_is_said_with_its_check_and_the_last_figures_follow(
    released: Settings,
) -> None:
    made = summary(released, date(2026, 10, 12), "zh")
    assert made.business_date == LAST
    assert "2026-10-12 尚未发布（晚 1 天）" in made.text
    assert "被扣住的日期：2026-10-12 每笔凭证借贷相等" in made.text


def test_the_command_sends_it_by_mail_and_webhook(
    released: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both channels are real servers; what they take is the text that the command prints."""
    made = summary(released, LAST, "en")
    with sinks.smtp() as mail, sinks.webhook() as (address, posted):
        environment = {
            "PAYLAKE_HOME": str(tmp_path), "PAYLAKE_ALARM_WEBHOOK": address,
            "PAYLAKE_ALARM_MAIL_TO": "desk@bank.example", "PAYLAKE_SMTP_HOST": "127.0.0.1",
            "PAYLAKE_SMTP_PORT": str(mail.port), "PAYLAKE_SUMMARY_LANGUAGE": "en",
        }  # fmt: skip
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        arguments = ["summary", "--date", str(LAST), "--send", "--if-set"]
        done = CliRunner().invoke(paylake, arguments)
    assert done.exit_code == 0, done.output
    assert mail.mails[0]["Subject"] == made.subject == posted[0]["subject"]
    assert mail.mails[0].get_content().split() == made.text.split()
    assert posted[0]["text"] == made.text and posted[0]["kind"] == "summary"
    for name in ("ALARM_WEBHOOK", "ALARM_MAIL_TO"):
        monkeypatch.delenv(f"PAYLAKE_{name}")
    assert "not sent: no channel is set" in CliRunner().invoke(paylake, arguments).output


def test_before_the_first_release_there_is_nothing_to_tell(released: Settings) -> None:
    with pytest.raises(Held):
        summary(released, date(2026, 9, 1))


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_home_without_a_custodian_says_so_and_judges_nothing(language: str) -> None:
    connection = duckdb.connect()
    amounts = dict.fromkeys(required.GOLD[RESERVE])
    books = {**amounts, "business_date": LAST, "currency_code": "CNY", "book_amount": Decimal(5)}
    _store(connection, RESERVE, required.GOLD[RESERVE], [books])
    ((line,),) = connection.execute(module._reserve(language), [LAST]).fetchall()
    assert "¥5.00" in line
    assert line.count("来源没有提供" if language == "zh" else "not supplied") == 3
    assert "0.00" not in line and "查明" not in line and "find out" not in line
