"""Few words for what the tests of the rules say often."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from ledger.domain.settling import Calendar
from ledger.service.day_run import DayRun
from tests.ledger.conftest import DAY, World, at

CNY = {"currency_code": "CNY"}
PLAIN = {"issuer_fee_minor": 0, "network_fee_minor": 0, "acquirer_fee_minor": 0}
INTERNAL = {"channel": "internal", "user_id": "U1", "issuer_fee_minor": 0,
            "network_fee_minor": 0, "acquirer_fee_minor": 0}


def days(number: int) -> date:
    """The date so many calendar days after the first."""
    return DAY + timedelta(number)


def on(world: World, number: int, hour: str = "12:00:00") -> dict[str, Any]:
    """Move the clock to a later date; the time of its commands."""
    world.ledger.set_clock(at(days(number), "22:59:59"))
    return {"occurred_at": at(days(number), hour)}


def plain_weekdays(world: World) -> None:
    """A calendar without public holidays, for dates of a year whose holidays nobody knows yet."""
    def moved(day: date, number: int) -> date:
        while number:
            day += timedelta(1)
            number -= day.weekday() < 5
        return day

    world.ledger.clock.calendar = Calendar(moved, lambda day: False)


def run(world: World, number: int) -> Any:
    """The ledger's own run of a date."""
    return DayRun(world.ledger, days(number)).run()


def refused(result: dict[str, Any], reason: str, field: str | None = None) -> bool:
    """Whether a result is this refusal, without postings."""
    assert result["status"] == "refused", result
    assert result["reason"] == reason, result
    assert field is None or result.get("field") == field, result
    return "journal_id" not in result


def posted(result: dict[str, Any]) -> dict[str, Any]:
    assert result["status"] == "posted", result
    return result


def ended(world: World, merchant: str, **values: Any) -> None:
    """The institution ends a merchant's business on a ground, at once and by two (rule D0.46)."""
    world.approved("party_state", party_id=merchant, state="cancelled", suspension_ground="9",
                   evidence="COURT-9", **values)


def tenant(world: World, **contract: Any) -> None:
    """A merchant TM with two members, whose books are its own."""
    world.merchant("TM", **contract)
    for name in ("TU1", "TU2"):
        world.register("party", party_id=name, party_kind="user", owner_id="TM",
                       identity_check="ID")


def funds(world: World, amount: int = 10**7) -> None:
    """Own money at the bank."""
    world.register("own_funds", movement_id="OF", amount_minor=amount, **CNY)
