"""What the senders send for a date, and when: right, wrong, and sent again."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from simulator import feeds
from simulator.spoil import BadRow, held_block, spoil_rows
from simulator.world import World

ZONE = ZoneInfo("Asia/Shanghai")
#: Sent on the calendar day after the business date, before the contracts' due hours.
LEDGER_TIME, REGISTRY_TIME = time(0, 20), time(0, 40)
SWITCH_TIME, CUSTODIAN_TIME = time(1, 10), time(2, 25)
#: Sent again in time for the run at 08:00, or after it.
AGAIN_EARLY, AGAIN_LATE, SUPPLEMENT_TIME = time(6, 30), time(11, 20), time(10, 40)
#: When paylake sends a corrected row: before the run of the date on which it counts.
REPLAY_TIME = time(5, 0)
_NEW_COLUMN = "payer_card_full"


@dataclass(frozen=True)
class Sending:
    """One delivery: a single data file with its control values.

    `cut_to` keeps only that many bytes of the file, although the control file describes the whole.
    `planted` names the problem that it carries; `expected` is what ingestion should make of it.
    """

    feed: str
    day: date
    sequence: int
    name: str
    content: bytes
    rows: int
    sent_at: datetime
    key_id: str
    totals: dict[str, Decimal]
    planted: str | None = None
    expected: str = "accepted"
    reason_code: str | None = None
    cut_to: int | None = None

    @property
    def delivery_id(self) -> str:
        return f"{self.feed}/{self.day.isoformat()}/{self.sequence}"


@dataclass
class Outbox:
    """A date's deliveries in the order of sending, and the rows spoilt in them."""

    sendings: list[Sending] = field(default_factory=list)
    bad_rows: list[tuple[BadRow, str, int]] = field(default_factory=list)
    missing: tuple[int, int] | None = None


def at(day: date, clock: time) -> datetime:
    """A time on the calendar day after a business date."""
    return datetime.combine(day + timedelta(days=1), clock, ZONE)


def outbox(world: World, day: date) -> Outbox:
    """Make the deliveries of switch, registry and custodian for a date."""
    box = Outbox()
    _registry(world, day, box)
    _switch(world, day, box)
    _custodian(world, day, box)
    return box


def _registry(world: World, day: date, box: Outbox) -> None:
    for feed, make, ending in (
        ("merchant", feeds.merchant_file, "csv"), ("terminal", feeds.terminal_file, "parquet"),
    ):
        content, rows = make(world.people, day)
        name = f"{feed}_{day:%Y%m%d}.{ending}"
        box.sendings.append(Sending(
            feed, day, 1, name, content, rows, at(day, REGISTRY_TIME), "registry-1", {}
        ))
        if feed == "terminal" and world.plan.on("resent_file") == day:
            box.sendings.append(Sending(
                feed, day, 2, name, content, rows, at(day, AGAIN_EARLY), "registry-1", {},
                planted="resent_file", expected="ignored", reason_code="same_content",
            ))


def _summed(rows: list[list[str]]) -> dict[str, Decimal]:
    """What the switch's own books say that its rows add up to."""
    position = feeds.TRANSACTION_COLUMNS.index("amount")
    return {feeds.CURRENCY: sum((Decimal(row[position]) for row in rows), Decimal("0.00"))}


def _switch(world: World, day: date, box: Outbox) -> None:
    plan, made = world.plan, world.day(day)
    rows = feeds.rows_of(feeds.transaction_table(world.people, made, world.recent(day)))
    missing: list[list[str]] = []
    if plan.on("held") == day:
        first, stop = held_block(world.params, made)
        box.missing = (first, stop)
        missing, rows = rows[first:stop], rows[:first] + rows[stop:]
    totals = _summed(rows)
    spoilt = spoil_rows(world.params, plan, made, rows)
    header = list(feeds.TRANSACTION_COLUMNS)
    sent_rows = rows
    if plan.on("new_column") == day:
        header.append(_NEW_COLUMN)
        card = header.index("card_number")
        sent_rows = [[*row, row[card]] for row in rows]
    head, lines = feeds.csv_lines(header, sent_rows)
    content = (head + "".join(lines)).encode("gb18030")

    def send(sequence: int, **more: object) -> Sending:
        values: dict = {
            "content": content, "rows": len(rows), "sent_at": at(day, SWITCH_TIME),
            "key_id": "switch-1", "totals": totals, **more,
        }
        tail = "" if sequence == 1 else f"_{sequence}"
        sending = Sending(
            "transaction", day, sequence, f"transaction_{day:%Y%m%d}{tail}.csv", **values
        )
        box.sendings.append(sending)
        return sending

    sequence = 1
    for kind, reason in (("truncated_file", "truncated"), ("wrong_key", "wrong_key")):
        if plan.on(kind) == day:
            more: dict = {"key_id": "registry-1"}
            if kind == "truncated_file":
                more = {"cut_to": len(content) * 3 // 5}
            send(sequence, planted=kind, expected="refused", reason_code=reason,
                 sent_at=at(day, time(1, 10 + sequence)), **more)
            sequence += 1
    good = send(
        sequence, sent_at=at(day, SWITCH_TIME if sequence == 1 else AGAIN_EARLY),
        planted="new_column" if plan.on("new_column") == day else None,
    )
    for row in spoilt:
        line = 2 + sum(text.count("\n") for text in lines[:row.index])
        box.bad_rows.append((row, good.delivery_id, line))
    if missing:
        head, lines = feeds.csv_lines(feeds.TRANSACTION_COLUMNS, missing)
        send(
            sequence + 1, content=(head + "".join(lines)).encode("gb18030"), rows=len(missing),
            totals=_summed(missing), sent_at=at(day, SUPPLEMENT_TIME), planted="held",
        )


def _custodian(world: World, day: date, box: Outbox) -> None:
    made = world.day(day)
    content, rows, summed = feeds.custodian_file(
        world.people, day, made.movements, made.opening, made.closing
    )
    name = f"custodian_{day:%Y%m%d}.txt"
    totals = feeds.total(summed)
    wrong = world.plan.on("wrong_control_total") == day
    if wrong:
        box.sendings.append(Sending(
            "custodian_statement", day, 1, name, content, rows, at(day, CUSTODIAN_TIME),
            "custodian-1", feeds.total(summed + 1_00), planted="wrong_control_total",
            expected="refused", reason_code="amount_mismatch",
        ))
    box.sendings.append(Sending(
        "custodian_statement", day, 2 if wrong else 1, name, content, rows,
        at(day, AGAIN_LATE if wrong else CUSTODIAN_TIME), "custodian-1", totals,
    ))
