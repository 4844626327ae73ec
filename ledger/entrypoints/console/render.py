"""Templates, and how values are shown in them. Everything is escaped by the templates' engine."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response

from ledger.adapters.data_files import load_suspension_grounds
from ledger.domain.operations import Operations
from ledger.domain.refusals import BY_CODE
from ledger.entrypoints.console import money, texts

ZONE = ZoneInfo("Asia/Shanghai")
FOLDER = Path(__file__).parent
#: On every answer of the console.
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
LANGUAGE_COOKIE = "paylake_console_language"
_YEAR_SECONDS = 365 * 86400

#: Fields of commands that name something with a page of its own.
_ACCOUNTS = frozenset({"account_id", "to_account_id", "parent_account_id"})
_PARTIES = frozenset({
    "merchant_id", "user_id", "payee_id", "card_id", "party_id", "tenant_id", "terminal_id",
    "owner_id", "payer_id",
})


def local(moment: str) -> str:
    """A UTC text of the ledger in Beijing time."""
    return (
        datetime.fromisoformat(moment[:19]).replace(tzinfo=UTC).astimezone(ZONE)
        .strftime("%Y-%m-%d %H:%M:%S")
    )


def account_url(account_id: str, currency: str | None = None, **query: Any) -> str:
    """Address of an account's page."""
    wanted = {**({"currency": currency} if currency else {}), **query}
    tail = f"?{urlencode(wanted)}" if wanted else ""
    return f"/console/accounts/{quote(account_id, safe=':')}{tail}"


class Renderer:
    """Pages in both languages.

    :param scales: digits after the point by currency
    """

    def __init__(self, scales: Mapping[str, int], operations: Operations) -> None:
        self._scales = scales
        self._operations = operations
        self._made = {language: self._environment(language) for language in texts.LANGUAGES}

    def _environment(self, language: str) -> Environment:
        made = Environment(
            loader=FileSystemLoader(FOLDER / "templates"), autoescape=True,
            undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, auto_reload=False,
        )
        globals_: dict[str, Callable[..., Any] | str] = {
            "t": partial(texts.word, language), "label": partial(texts.label, language),
            "lang": language, "tag": texts.TAGS[language], "local": local,
            "base_currency": next(iter(self._scales)),
            "money": self._money, "capitals": _capitals, "account_url": account_url,
            "operation": partial(self._operation, language),
            "named": lambda entry: entry[language], "address": _address,
            "duration": partial(_duration, language), "link_of": _link_of,
            "ground": partial(_ground, language), "reason": partial(_reason, language),
        }
        made.globals.update(globals_)
        return made

    def _money(self, minor: int, currency: str) -> str:
        return money.amount(minor, self._scales.get(currency, 2))

    def _operation(self, language: str, type_: str) -> str:
        found = self._operations.by_type.get(type_)
        return type_ if found is None else getattr(found, language)

    def page(
        self, request: Request, template: str, status: int = 200, **values: Any
    ) -> Response:
        """A page in the language of the request."""
        asked = request.query_params.get("lang")
        language = texts.choose(
            asked, request.cookies.get(LANGUAGE_COOKIE),
            request.headers.get("accept-language", ""),
        )
        html = self._made[language].get_template(template).render(
            switch=_switch(request, language), **values
        )
        response = Response(
            html, status, media_type="text/html; charset=utf-8",
            headers={**HEADERS, "content-language": texts.TAGS[language]},
        )
        if asked in texts.LANGUAGES:
            response.set_cookie(
                LANGUAGE_COOKIE, asked, max_age=_YEAR_SECONDS, path="/console", httponly=True,
                samesite="lax", secure=request.url.scheme == "https",
            )
        return response


def _switch(request: Request, language: str) -> dict[str, str]:
    """The link to the same page in the other language."""
    other = next(name for name in texts.LANGUAGES if name != language)
    query = [(k, v) for k, v in request.query_params.multi_items() if k != "lang"]
    path = quote(request.url.path, safe="/:%")
    return {
        "href": f"{path}?{urlencode([*query, ('lang', other)])}", "tag": texts.TAGS[other],
        "name": texts.NAMES[other],
    }


def _capitals(minor: int, currency: str) -> str | None:
    """None for money that is not renminbi, and for sums longer than a balance can be."""
    if currency != "CNY" or abs(minor) >= money.CAPITALS_LIMIT:
        return None
    return money.capitals(minor)


def _ground(language: str, code: str) -> str:
    """A ground of suspension, with its number in the list of twelve."""
    said = load_suspension_grounds()[code][language]
    return texts.word(language, "ground_named", number=code, name=said)


def _reason(language: str, code: str) -> str:
    """Why a command was refused; empty for a code of an older program."""
    found = BY_CODE.get(code)
    return "" if found is None else getattr(found, language)


def _address(path: str, **query: Any) -> str:
    wanted = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(wanted)}" if wanted else path


def _duration(language: str, since: str, until: str | None) -> str:
    """How long something has waited, between two UTC texts."""
    if until is None:
        return "—"
    passed = datetime.fromisoformat(until[:19]) - datetime.fromisoformat(since[:19])
    minutes = max(0, int(passed.total_seconds()) // 60)
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    key = "duration" if days else "duration_hours" if hours else "duration_minutes"
    return texts.word(language, key, days=days, hours=hours, minutes=minutes)


def _link_of(name: str, value: Any) -> str | None:
    """Address of what a field names; None when it has no page."""
    if name in _ACCOUNTS and isinstance(value, str):
        return account_url(value)
    if name in _PARTIES and isinstance(value, str):
        return f"/console/parties/{quote(value, safe='')}"
    if name == "journal_id" and isinstance(value, str):
        return f"/console/journals/{quote(value, safe='')}"
    if name == "account_code" and isinstance(value, str):
        return f"/console/classes/{quote(value, safe='')}"
    if name == "pending" and type(value) is int:
        return f"/console/entries/{value}"
    return None


_TIME = re.compile(r"(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2})(:\d{2})?\Z", re.ASCII)


def iso_of(text: str) -> str | None:
    """A time as typed into a form (Beijing time) as ISO text with zone; None when it is none."""
    found = _TIME.match(text)
    return f"{found[1]}T{found[2]}{found[3] or ':00'}+08:00" if found else None
