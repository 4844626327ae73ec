"""Telling people: alarms, and the summary of the morning."""

from __future__ import annotations

from datetime import date

import click

from cli.app import Context
from cli.options import DateType
from cli.output import console, errors
from paylake.errors import UsageFault


@click.command()
@click.option("--code", required=True, help="What it is about: task_failed, late_delivery, …")
@click.option("--subject", required=True, help="Table, check, feed, task or item.")
@click.option("--date", "day", type=DateType(), help="Business date that it is about.")
@click.option("--detail", required=True, help="One sentence.")
@click.pass_obj
def alarm(ctx: Context, code: str, subject: str, day: date | None, detail: str) -> None:
    """Record an alarm and send it to the channels that are set (alarm_webhook, alarm_mail_to)."""
    from paylake import notify

    _say(notify.alarm(ctx.settings, code, subject, detail, day))


@click.command()
@click.option("--date", "day", type=DateType(), help="Business date; the last released one.")
@click.option("--language", type=click.Choice(["zh", "en"]), help="By default summary_language.")
@click.option("--send", is_flag=True, help="Send it to the alarm channels, too.")
@click.option("--if-set", is_flag=True, help="With --send: no channel set is no fault.")
@click.pass_obj
def summary(
    ctx: Context, day: date | None, language: str | None, send: bool, if_set: bool
) -> None:
    """The morning summary of a date: figures, reserve, what is open, what is held."""
    from dashboards.summary import summary as summarise
    from paylake import notify, release

    settings = ctx.settings
    about = day or release.in_force(settings).through
    if about is None:
        raise UsageFault("Nothing is released yet", "Run a date first: `bin/paylake run --date D`.")
    made = summarise(settings, about, language or settings.summary_language)
    console.print(made.text, markup=False, highlight=False, soft_wrap=True, end="")
    if not send:
        return
    if not notify.channels(settings):
        if if_set:
            console.print("not sent: no channel is set")
            return
        raise UsageFault(
            "No channel is set to send to", "Set alarm_webhook, or alarm_mail_to and smtp_host."
        )
    message = notify.Message(
        made.subject,
        made.text,
        {"kind": "summary", "business_date": made.business_date, "release_id": made.release_id},
    )
    _say(notify.tell(settings, "morning_summary", message, made.business_date))


def _say(outcome: list) -> None:
    for sent in outcome:
        if sent.error is None:
            console.print(f"sent: {sent.channel}")
        else:
            errors.print(
                f"paylake: {sent.channel} did not take it ({sent.error}); recorded as an alarm",
                markup=False,
            )
