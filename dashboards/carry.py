"""Filters go along when a reader moves between screens and languages.

Every link from screen to screen leads to ``/paylake/go/<screen>-<language>/``. There the filters
are read that the screen left behind has set (Superset keeps them under a key in its address),
region and industry are put into the other language where that changes, what the next screen lacks
is remembered for the one after it, and the reader is sent on with the filters in the address.
A link that follows a figure names its own filters, and those alone hold, so that the next screen
adds up to the figure that was clicked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from dashboards.rights import SCREEN
from dashboards.source.screens import BY_KEY, Filter, Screen
from dashboards.views.expressions import GO, LANGUAGES
from dashboards.views.overview import UNKNOWN

PREFIX = "NATIVE_FILTER-"
REMEMBERED = "paylake_filters"
LONGEST = 200  # values of one filter that a link carries
# Filters whose values are words of a language, with the gold table that has both names.
_NAMES = {
    "region": ("mart_kpi__region_day", "region_name"),
    "mcc": ("mart_kpi__mcc_day", "mcc_name"),
}
Values = dict[str, list[str]]


def rison(value: str) -> str:
    """A text in Superset's address notation."""
    return "'" + value.replace("!", "!!").replace("'", "!'") + "'"


def address(screen: Screen, language: str, values: Mapping[str, list[str]]) -> str:
    """A screen's address with filters set.

    :param values: filter name → values; filters that the screen does not have are left out.
    """
    parts = []
    for given in screen.filters:
        chosen = values.get(given.name, [])[: None if given.multiple else 1]
        if chosen:
            listed = ",".join(rison(value) for value in chosen)
            label = rison(", ".join(chosen))
            key = f"{PREFIX}{given.name}"
            parts.append(
                f"{key}:(id:{key},extraFormData:(filters:!((col:{given.column},op:IN,"
                f"val:!({listed})))),filterState:(label:{label},value:!({listed})),ownState:())"
            )
    query = ["standalone=2", "expand_filters=0"] if screen.phone else []
    if parts:
        query.append("native_filters=" + quote(f"({','.join(parts)})", safe="!(),:'"))
    path = f"/superset/dashboard/{screen.key}-{language}/"
    return path + ("?" + "&".join(query) if query else "")


def chosen(state: Mapping[str, Any]) -> Values:
    """Filter name → values, from the state that Superset keeps of a filter bar."""
    found: Values = {}
    for key, mask in state.items():
        value = (mask.get("filterState") or {}).get("value") if isinstance(mask, dict) else None
        if key.startswith(PREFIX) and value:
            values = value if isinstance(value, list) else [value]
            found[key.removeprefix(PREFIX)] = [str(one) for one in values][:LONGEST]
    return found


def merge(kept: Mapping[str, list[str]], screen: Screen, now: Mapping[str, list[str]]) -> Values:
    """What is remembered after a screen: its own filters as they are now, the rest as before."""
    own = {given.name for given in screen.filters}
    rest = {name: values for name, values in kept.items() if name not in own}
    return {**rest, **{name: values for name, values in now.items() if name in own}}


def serve_carrying(app: Any) -> None:
    """Add the links' address, and let Superset's own words follow the language of the screen."""
    from flask import redirect, request, session
    from flask_login import current_user

    def go(name: str, language: str) -> Any:
        if name not in BY_KEY or language not in LANGUAGES:
            return redirect("/dashboard/list/")
        if not current_user.is_authenticated:
            return redirect("/login/?next=" + quote(request.full_path.rstrip("?"), safe=""))
        target = BY_KEY[name]
        explicit = {
            key: values[:LONGEST] for key, values in request.args.to_dict(flat=False).items()
        }
        values = _carried(target, language, explicit)
        return redirect(address(target, language, values))

    def follow() -> None:
        found = SCREEN.fullmatch(request.path)
        if found and session.get("locale") != found[2]:
            session["locale"] = found[2]

    app.add_url_rule(f"{GO}/<name>-<any(zh,en):language>/", "paylake_go", go)
    app.before_request(follow)


def _carried(target: Screen, language: str, explicit: Values) -> Values:
    from flask import session

    before = session.get(REMEMBERED) or {}
    kept = _translated(before.get("values", {}), before.get("language", language), language)
    now: Values = {}
    left = _left_behind()
    if left is not None:
        screen, spoken, state = left
        now = _translated(state, spoken, language)
        kept = merge(kept, screen, now)
    if explicit:
        # The figure that was clicked is of these alone.
        kept = merge(kept, target, explicit)
    session[REMEMBERED] = {"language": language, "values": kept}
    day = next((given for given in target.filters if given.name == "day"), None)
    if day is not None and not _offered(day, kept.get("day", [])):
        return {name: values for name, values in kept.items() if name != "day"}
    return kept


def _left_behind() -> tuple[Screen, str, Values] | None:
    """The screen that the reader comes from, its language, and its filters."""
    from flask import request
    from superset import db
    from superset.commands.dashboard.filter_state.get import GetFilterStateCommand
    from superset.commands.temporary_cache.exceptions import TemporaryCacheResourceNotFoundError
    from superset.commands.temporary_cache.parameters import CommandParameters
    from superset.models.dashboard import Dashboard

    came = urlsplit(request.referrer or "")
    found = SCREEN.fullmatch(came.path)
    keys = parse_qs(came.query).get("native_filters_key")
    if came.netloc != request.host or not found or not keys or found[1] not in BY_KEY:
        return None
    slug = f"{found[1]}-{found[2]}"
    dashboard = db.session.query(Dashboard).filter_by(slug=slug).one_or_none()
    if dashboard is None:
        return None
    asked = CommandParameters(resource_id=dashboard.id, key=keys[0])
    try:
        state = GetFilterStateCommand(asked).run()
    except TemporaryCacheResourceNotFoundError:
        return None
    return BY_KEY[found[1]], found[2], chosen(json.loads(state)) if state else {}


def _rows(source: str, sql: str, parameters: list[Any]) -> list[tuple[Any, ...]]:
    from dashboards import serve

    cursor = serve.instance(source).connection.cursor()
    try:
        return cursor.execute(sql, parameters).fetchall()
    finally:
        cursor.close()


def _translated(values: Mapping[str, list[str]], spoken: str, wanted: str) -> Values:
    """The same choices in the other language; a name that it does not have is left out."""
    if spoken == wanted:
        return dict(values)
    done = dict(values)
    for name, (table, column) in _NAMES.items():
        if name in done:
            rows = _rows(
                "gold",
                f"select distinct {column}_{spoken}, {column}_{wanted} from {table}"
                f" where {column}_{wanted} is not null and list_contains($1, {column}_{spoken})",
                [done[name]],
            )
            names = dict(rows)
            names[UNKNOWN[LANGUAGES.index(spoken)]] = UNKNOWN[LANGUAGES.index(wanted)]
            done[name] = [names[value] for value in done[name] if value in names]
    return done


def _offered(day: Filter, values: list[str]) -> bool:
    """Whether the screen has the date: one that is held back is not among the released ones."""
    if not values or day.dataset != "screen_day":
        return True
    return bool(_rows("gold", "select 1 from screen_day_zh where day = ?", [values[0]]))
