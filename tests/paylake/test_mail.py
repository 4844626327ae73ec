"""Mail through a server that wants TLS and a login; a password never goes out in clear."""

from __future__ import annotations

from datetime import date

import pytest

from paylake import notify, settings
from paylake.errors import UsageFault
from tests.paylake import sinks

DAY = date(2026, 10, 9)
MESSAGE = notify.Message("早报 10-09", "交易金额 ¥1.00 万\n", {})
LOGIN = ("paylake", "s3cret-word")


def here(tmp_path, port: int, **more):
    return settings.load(
        {}, home=tmp_path, alarm_mail_to="a@bank.example", smtp_host="127.0.0.1", smtp_port=port,
        **more,
    )  # fmt: skip


@pytest.mark.parametrize("way", ["offered", "starttls"])
def test_a_mail_goes_out_over_tls_with_a_login(tmp_path, way):
    context, trusted = sinks.certificate(tmp_path)
    secret = tmp_path / "password"
    secret.write_text(LOGIN[1] + "\n")
    with sinks.smtp(context, login=LOGIN) as sink:
        given = here(
            tmp_path, sink.port, smtp_tls=way, smtp_ca_file=str(trusted), smtp_user=LOGIN[0],
            smtp_password_file=str(secret),
        )  # fmt: skip
        (sent,) = notify.tell(given, "morning_summary", MESSAGE, DAY)
    assert sent.error is None
    assert sink.secured == [True] and sink.users == ["paylake"]
    (mail,) = sink.mails
    assert mail["Subject"] == "早报 10-09" and "¥1.00 万" in mail.get_content()


def test_a_wrong_password_and_an_unknown_certificate_are_told(tmp_path):
    context, trusted = sinks.certificate(tmp_path)
    with sinks.smtp(context, login=LOGIN) as sink:
        wrong = here(
            tmp_path, sink.port, smtp_user=LOGIN[0], smtp_password="other",
            smtp_ca_file=str(trusted),
        )  # fmt: skip
        (sent,) = notify.send(wrong, MESSAGE)
        assert "535" in sent.error and "other" not in sent.error
        (sent,) = notify.send(here(tmp_path, sink.port), MESSAGE)
        assert "CERTIFICATE" in sent.error.upper()
    assert sink.mails == []


def test_a_password_is_not_sent_in_clear(tmp_path):
    with sinks.smtp() as sink:
        given = here(tmp_path, sink.port, smtp_user=LOGIN[0], smtp_password=LOGIN[1])
        (sent,) = notify.send(given, MESSAGE)
        assert "no TLS" in sent.error
        (sent,) = notify.send(here(tmp_path, sink.port, smtp_tls="starttls"), MESSAGE)
        assert sent.error is not None
    assert sink.mails == []


def test_the_password_is_not_shown_among_the_settings(tmp_path):
    given = settings.load({"PAYLAKE_SMTP_PASSWORD": LOGIN[1]}, home=tmp_path)
    assert given.smtp_password == LOGIN[1] and LOGIN[1] not in given.shown("smtp_password")
    assert LOGIN[1] not in " ".join(given.as_environment().values())


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"smtp_tls": "ssl3"}, "smtp_tls"),
        ({"smtp_user": "x"}, "smtp_user"),
        ({"smtp_user": "x", "smtp_password_file": "/nowhere/at/all"}, "cannot be read"),
    ],
)
def test_a_mail_setting_that_cannot_work_is_named(tmp_path, given, word):
    with pytest.raises(UsageFault) as caught:
        notify.channels(here(tmp_path, 25, **given))
    assert word in caught.value.sentence()
