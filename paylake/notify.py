"""Telling people: an alarm is recorded first and then sent by mail and webhook, where they are set.

Sending is bounded in time. A channel that does not take a message is an alarm of its own, so that
the operations screen shows it; it never stops the command that had something to say. What leaves
the house names codes, dates and counts; a number as long as a card, document or phone number is
blanked.
"""

from __future__ import annotations

import json
import re
import smtplib
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from paylake import ops
from paylake.errors import UsageFault
from paylake.settings import Settings

SECONDS = 10.0
DETAIL = 4000
TLS = ("offered", "starttls", "tls")
# An identifier stands alone; the digits of a business key (P2026…) follow a letter.
_IDENTIFIER = re.compile(r"(?<![A-Za-z0-9])\d{11,19}[Xx]?(?![A-Za-z0-9])")


@dataclass(frozen=True)
class Message:
    """What is sent: one line for a list, a text for a reader, and fields for a program."""

    subject: str
    text: str
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class Sent:
    """What became of a message on one channel; `error` is None when it was taken."""

    channel: str
    error: str | None


def scrub(text: str) -> str:
    """Blank every number that could be a card, document or phone number."""
    return _IDENTIFIER.sub(lambda found: "*" * len(found[0]), text)


def channels(settings: Settings) -> dict[str, Callable[[Message], None]]:
    """The channels that are set, by name: `webhook`, `mail`.

    :raises UsageFault: for a setting that cannot work.
    """
    found: dict[str, Callable[[Message], None]] = {}
    if settings.alarm_webhook:
        if not settings.alarm_webhook.startswith(("http://", "https://")):
            raise UsageFault(
                "Setting alarm_webhook is not an address of the web",
                "Give it as https://…",
                where=settings.origin("alarm_webhook"),
            )
        found["webhook"] = lambda message: _post(settings.alarm_webhook, message)
    if settings.alarm_mail_to:
        if not settings.smtp_host:
            raise UsageFault(
                "Setting alarm_mail_to is given, but no smtp_host to send through",
                "Set smtp_host (and smtp_port), or remove alarm_mail_to.",
                where=settings.origin("alarm_mail_to"),
            )
        _check_mail(settings)
        found["mail"] = lambda message: _mail(settings, message)
    return found


def _check_mail(settings: Settings) -> None:
    if settings.smtp_tls not in TLS:
        raise UsageFault(
            f"Setting smtp_tls must be one of {', '.join(TLS)}, got {settings.smtp_tls!r}",
            "Correct it, or remove it to get the default.",
            where=settings.origin("smtp_tls"),
        )
    if settings.smtp_user and not _password(settings):
        raise UsageFault(
            "Setting smtp_user is given, but no password",
            "Set smtp_password_file (or PAYLAKE_SMTP_PASSWORD), or remove smtp_user.",
            where=settings.origin("smtp_user"),
        )


def _password(settings: Settings) -> str:
    if not settings.smtp_password_file:
        return settings.smtp_password
    try:
        return Path(settings.smtp_password_file).read_text("utf-8").strip()
    except OSError as error:
        raise UsageFault(
            f"The password of the mail server cannot be read ({error.strerror})",
            "Correct smtp_password_file.",
            where=settings.smtp_password_file,
        ) from error


def _post(address: str, message: Message) -> None:
    body = {"subject": message.subject, "text": message.text, **message.fields}
    request = urllib.request.Request(
        address,
        json.dumps(body, ensure_ascii=False, default=str).encode(),
        {"Content-Type": "application/json; charset=utf-8", "User-Agent": "paylake"},
    )
    with urllib.request.urlopen(request, timeout=SECONDS):
        pass


def _mail(settings: Settings, message: Message) -> None:
    mail = EmailMessage()
    mail["Subject"] = message.subject
    mail["From"] = settings.alarm_mail_from
    mail["To"] = settings.alarm_mail_to
    mail.set_content(message.text)
    context = ssl.create_default_context(cafile=settings.smtp_ca_file or None)
    place = (settings.smtp_host, settings.smtp_port)
    with (
        smtplib.SMTP_SSL(*place, timeout=SECONDS, context=context)
        if settings.smtp_tls == "tls"
        else smtplib.SMTP(*place, timeout=SECONDS)
    ) as server:
        server.ehlo()
        secured = settings.smtp_tls == "tls"
        if not secured and (settings.smtp_tls == "starttls" or server.has_extn("starttls")):
            server.starttls(context=context)
            server.ehlo()
            secured = True
        if settings.smtp_user:
            if not secured:
                raise smtplib.SMTPException(
                    "the server offers no TLS, and a password is not sent in clear"
                )
            server.login(settings.smtp_user, _password(settings))
        server.send_message(mail)


def send(settings: Settings, message: Message) -> list[Sent]:
    """Send on every channel that is set; a failing one is recorded as an alarm, not raised.

    :raises UsageFault: for a setting that cannot work.
    """
    clean = Message(
        scrub(message.subject),
        scrub(message.text),
        {k: scrub(v) if isinstance(v, str) else v for k, v in message.fields.items()},
    )
    outcome = []
    for name, deliver in channels(settings).items():
        try:
            deliver(clean)
        except (OSError, smtplib.SMTPException, urllib.error.URLError) as error:
            outcome.append(Sent(name, f"{type(error).__name__}: {error}"))
        else:
            outcome.append(Sent(name, None))
    _judge_channels(settings, outcome)
    return outcome


def _judge_channels(settings: Settings, outcome: list[Sent]) -> None:
    """A channel that fails is an alarm until it takes a message again."""
    if not outcome:
        return
    before = {
        row["subject"]: row["state"]
        for row in ops.latest(settings, "alarm", "alarm_code = 'channel_failed'")
    }
    rows = []
    for sent in outcome:
        if sent.error is None and before.get(sent.channel, "cleared") == "cleared":
            continue
        rows.append(
            {
                "alarm_code": "channel_failed",
                "subject": sent.channel,
                "severity": "critical",
                "state": "cleared" if sent.error is None else "raised",
                "channel": sent.channel,
                "detail": None if sent.error is None else sent.error[:DETAIL],
            }
        )
    ops.record(settings, "alarm", rows)


def alarm(
    settings: Settings,
    code: str,
    subject: str,
    detail: str,
    day: date | None = None,
    severity: str = "critical",
) -> list[Sent]:
    """Record an alarm, send it, and record on which channels it went out.

    :param code: what it is about: `task_failed`, `late_delivery`, …
    :param subject: table, check, feed, task or item; never a person's data.
    :param detail: one sentence.
    """
    row = {
        "business_date": day,
        "alarm_code": code,
        "subject": subject,
        "severity": severity,
        "detail": detail[:DETAIL],
    }
    ops.record(settings, "alarm", [{**row, "state": "raised"}])
    about = f" {day}" if day else ""
    message = Message(
        f"[paylake] {code}{about}: {subject}",
        f"{detail}\n\n{code} · {subject}{about} · {severity}\n",
        {"kind": "alarm", **row},
    )
    outcome = send(settings, message)
    _record_sent(settings, row, outcome)
    return outcome


def tell(settings: Settings, code: str, message: Message, day: date) -> list[Sent]:
    """Send something that is no alarm (a summary) and record on which channels it went out."""
    row = {
        "business_date": day,
        "alarm_code": code,
        "subject": message.subject[:500],
        "severity": "info",
        "detail": None,
    }
    outcome = send(settings, message)
    _record_sent(settings, row, outcome)
    return outcome


def _record_sent(settings: Settings, row: Mapping[str, Any], outcome: list[Sent]) -> None:
    ops.record(
        settings,
        "alarm",
        [
            {**row, "state": "sent", "channel": sent.channel}
            for sent in outcome
            if sent.error is None
        ],
    )
