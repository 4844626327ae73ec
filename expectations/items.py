"""Open items as an event log: an event when an item opens, changes or closes, none in between."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import yaml

from expectations.evaluate import CheckResult
from paylake import ops
from paylake.dates import date_range
from paylake.lake import Lake
from paylake.settings import Settings

FILE = Path(__file__).resolve().parent / "open_items.yml"
_SHOWN = ("class", "amount", "currency_code", "merchant_id", "detail")

Items = dict[date, dict[str, dict[str, Any]]]


def events(
    settings: Settings,
    first: date,
    last: date,
    absent: frozenset[str],
    results: Iterable[CheckResult],
) -> list[dict[str, Any]]:
    """What to append to `ops.open_item` after the gate looked at a range of dates.

    The log already knows what was open before; a date that is looked at again is compared with
    what the log said of it, so that looking twice adds nothing.
    """
    lake = Lake(settings)
    made: list[dict[str, Any]] = []
    for source in yaml.safe_load(FILE.read_text("utf-8")):
        tables = [tuple(name.split(".")) for name in source["tables"]]
        if absent.intersection(source["feeds"]) or not all(lake.exists(*t) for t in tables):
            continue
        listed: Items = {}
        for row in lake.query(source["sql"], {"first": first, "last": last}).to_pylist():
            listed.setdefault(row["business_date"], {})[row["item_key"]] = row
        made += _changes(settings, source["kind"], listed, first, last)
    return made + _failing_checks(settings, results, first, last)


def _changes(
    settings: Settings, kind: str, listed: Items, first: date, last: date
) -> list[dict[str, Any]]:
    log = ops.rows(settings, "open_item", "kind = $kind", {"kind": kind})
    made: list[dict[str, Any]] = []
    for day in date_range(first, last):
        before = _state([*log, *made], day)
        now = listed.get(day, {})
        for key, item in sorted(now.items()):
            known = before.get(key)
            opened = item["opened_date"] or (known["business_date"] if known else day)
            event = {
                "business_date": opened,
                "kind": kind,
                "item_key": key,
                **{name: item[name] for name in _SHOWN},
                "age_days": (day - opened).days,
                "closed_date": None,
            }
            if known is None or any(known[n] != event[n] for n in _SHOWN):
                made.append(event)
        for key, known in sorted(before.items()):
            if key not in now:
                made.append(
                    {
                        **{n: known[n] for n in ("business_date", "kind", "item_key", *_SHOWN)},
                        "age_days": (day - known["business_date"]).days,
                        "closed_date": day,
                    }
                )
    return made


def _state(log: list[dict[str, Any]], day: date) -> dict[str, dict[str, Any]]:
    """Items open at the end of a date, as far as the log (in order of writing) has come."""
    state: dict[str, tuple[date, dict[str, Any]]] = {}
    for event in log:
        spoken = event["business_date"] + timedelta(days=event["age_days"])
        key = event["item_key"]
        if spoken <= day and (key not in state or spoken >= state[key][0]):
            state[key] = (spoken, event)
    return {key: event for key, (_, event) in state.items() if event["closed_date"] is None}


def _failing_checks(
    settings: Settings, results: Iterable[CheckResult], first: date, last: date
) -> list[dict[str, Any]]:
    """A failing check is an item of its date, closed when it passes on the same date."""
    known = {
        row["item_key"]: row
        for row in ops.latest(
            settings,
            "open_item",
            "kind = 'gate' and business_date between $first and $last and closed_date is null",
            {"first": first, "last": last},
        )
    }
    made = []
    for result in results:
        key = f"{result.business_date}:{result.check.code}"
        failing = result.result in ("fail", "error")
        found = known.get(key)
        text = (result.observed or result.detail or result.result)[:2000]
        if failing == (found is not None) and (found is None or found["detail"] == text):
            continue
        made.append(
            {
                "business_date": result.business_date,
                "kind": "gate",
                "item_key": key,
                "class": f"{result.check.severity}_{result.result}" if failing else found["class"],
                "amount": None,
                "currency_code": None,
                "merchant_id": None,
                "age_days": 0,
                "detail": text,
                "closed_date": None if failing else result.business_date,
            }
        )
    return made
