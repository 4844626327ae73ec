"""The console's pages: who may see them, what each asks the ledger, how faults look."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ledger.adapters.heads import head_paths
from ledger.adapters.tokens import Tokens
from ledger.domain.fields import parse_day, parse_moment
from ledger.entrypoints.console.render import FOLDER, HEADERS, Renderer, account_url, iso_of
from ledger.entrypoints.console.sessions import Session, Sessions, WrongTries
from ledger.service import entry_views, register_views, views
from ledger.service.faults import STORAGE_FAULTS, RequestRefused
from ledger.service.ledger import Ledger
from ledger.service.reconciliation_views import home, overview
from paylake.errors import PaylakeError
from paylake.settings import Settings

log = logging.getLogger("ledger")

COOKIE = "paylake_console"
LOGIN_BYTES = 8192
#: Rows of a page.
SIZE = 50
JOURNALS = 25
CARDS = 10
_MOST_PAGES = 100_000

Handler = Callable[[Request], Awaitable[Response]]
#: Reason of a refusal -> the texts of its page, and where to go next.
_MISSING = {
    "account_not_open": ("account_unknown", "/console/accounts", "nav_accounts"),
    "unknown_account_code": ("line_unknown", "/console/accounts", "nav_accounts"),
    "journal_unknown": ("journal_unknown", "/console/days", "nav_days"),
    "entry_unknown": ("entry_unknown", "/console/chain", "nav_chain"),
    "party_unknown": ("party_unknown", "/console/parties", "nav_parties"),
    "not_a_date": ("date_unknown", "/console/days", "nav_days"),
}
_NEXT = {"line_unknown": "account_unknown_next"}


class Pages:
    """Every page of the console over one ledger."""

    def __init__(
        self, ledger: Ledger, tokens: Tokens, on_ledger: Callable[..., Awaitable[Any]],
        settings: Settings,
    ) -> None:
        self.ledger = ledger
        self.tokens = tokens
        self.on_ledger = on_ledger
        self.heads = settings.path("ledger", "heads")
        self.sessions = Sessions()
        self.wrong = WrongTries()
        self.render = Renderer(ledger.chart.currencies, ledger.operations)
        self._style = (FOLDER / "static" / "console.css").read_bytes()

    def routes(self) -> list[Route]:
        """Paths below `/console`."""
        pages: dict[str, Handler] = {
            "/": self.home, "/find": self.find, "/accounts": self.accounts,
            "/classes/{code}": self.line, "/accounts/{account_id}": self.account,
            "/journals/{name}": self.journal, "/entries/{sequence}": self.entry,
            "/days": self.days, "/days/{day}": self.day, "/holds": self.holds,
            "/approvals": self.approvals, "/limits": self.limits, "/stops": self.stops,
            "/bills": self.bills, "/reconciliation": self.reconciliation,
            "/parties": self.parties, "/parties/{name}": self.party, "/chain": self.chain,
            "/{rest:path}": self.nothing,
        }
        return [
            Route("/static/console.css", self.style, methods=["GET"]),
            Route("/login", self.login, methods=["GET", "POST"]),
            Route("/logout", self.logout, methods=["POST"]),
            *(Route(path, self._guarded(page), methods=["GET"]) for path, page in pages.items()),
        ]

    # around every page

    def _guarded(self, page: Handler) -> Handler:
        async def guarded(request: Request) -> Response:
            session = self._session(request)
            if session is None:
                return self._to_login(request)
            request.state.session = session
            return await self._whole(request, page)

        return guarded

    async def _whole(self, request: Request, page: Handler) -> Response:
        """A page, or the page that says what went wrong."""
        try:
            return await page(request)
        except RequestRefused as error:
            if error.reason in _MISSING:
                return await self._missing(request, error)
            log.error("console: unexpected refusal %s", error.reason, extra={"event": "fault"})
        except STORAGE_FAULTS as error:
            log.error("console: storage: %s", error, extra={"event": "storage_fault"})
            return await self._message(
                request, 503, "unavailable", what="unavailable_what",
                next_step="unavailable_next",
            )
        except PaylakeError as error:
            log.error("console: fault: %s", error, extra={"event": "fault"})
        except Exception as error:
            # Type alone: the message may carry what the caller sent.
            log.error(
                "console: unexpected %s", type(error).__name__, extra={"event": "fault"}
            )
        return await self._message(request, 500, "fault", next_step="fault_next")

    async def _missing(self, request: Request, error: RequestRefused) -> Response:
        """What was asked for is not there: what it was, and where to look."""
        key, href, link = _MISSING[error.reason]
        name = next(iter(request.path_params.values()), "")
        return await self._message(
            request, error.http_status, key, what=f"{key}_what", name=str(name)[:80],
            next_step=_NEXT.get(key, f"{key}_next"), href=href, link=link,
        )

    async def _message(
        self, request: Request, status: int, title: str, *, next_step: str,
        what: str | None = None, name: str = "", href: str = "/console/", link: str = "nav_home",
    ) -> Response:
        session = getattr(request.state, "session", None)
        frame = None
        if session is not None and status < 500:
            frame = await self.on_ledger(views.frame, self.ledger)
        return self.render.page(
            request, "message.html", status, title_key=title, what=what, name=name,
            next_step=next_step, href=href, link=link, frame=frame, session=session, here="",
        )

    async def http_error(self, request: Request, error: Exception) -> Response:
        """What Starlette itself refuses: a wrong method, an address that is no page."""
        status = error.status_code if isinstance(error, HTTPException) else 500
        session = self._session(request)
        if session is None:
            return self._to_login(request)
        request.state.session = session
        title = "method_wrong" if status == 405 else "not_found"
        return await self._message(request, status, title, next_step="not_found_next")

    def _session(self, request: Request) -> Session | None:
        return self.sessions.get(request.cookies.get(COOKIE))

    def _to_login(self, request: Request) -> Response:
        query = {}
        if request.method == "GET" and request.url.path not in ("/console/", "/console"):
            tail = f"?{request.url.query}" if request.url.query else ""
            query["next"] = request.url.path + tail
        if COOKIE in request.cookies:
            query["expired"] = "1"
        where = "/console/login" + (f"?{urlencode(query)}" if query else "")
        return RedirectResponse(where, 303, headers=HEADERS)

    async def _show(
        self, request: Request, here: str, view: Callable[..., Any], *arguments: Any,
        template: str | None = None, status: int = 200, **values: Any,
    ) -> Response:
        """Ask the ledger once, in its thread, and show what it says."""
        def both() -> tuple[Any, dict[str, Any]]:
            return view(self.ledger, *arguments), views.frame(self.ledger)

        found, frame = await self.on_ledger(both)
        return self.render.page(
            request, template or f"{here}.html", status, found=found, frame=frame, here=here,
            session=request.state.session, **values,
        )

    # coming and going

    async def style(self, _: Request) -> Response:
        """The style sheet, for the login page too."""
        return Response(self._style, media_type="text/css; charset=utf-8", headers=HEADERS)

    async def login(self, request: Request) -> Response:
        """The form, and what it sends."""
        next_ = _inside(request.query_params.get("next", ""))
        if request.method != "POST":
            if self._session(request) is not None:
                return RedirectResponse(next_, 303, headers=HEADERS)
            notice = "expired" if request.query_params.get("expired") else None
            return self._login_page(request, 200, next_, notice=notice)
        if request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            return self._login_page(request, 403, next_, error="login_foreign")
        address = request.client.host if request.client else ""
        wait = self.wrong.wait(address)
        if wait:
            response = self._login_page(request, 429, next_, error="too_many")
            response.headers["retry-after"] = str(wait)
            return response
        form = await _form(request)
        if form is None:
            return self._login_page(request, 413, next_, error="login_form")
        caller = self.tokens.caller(form.get("token", "").strip())
        if caller is None or "read" not in caller.rights:
            self.wrong.add(address)
            log.warning(
                "console: wrong token from %s", address, extra={"event": "login_refused"}
            )
            return self._login_page(request, 401, next_, error="token_wrong")
        log.info("console: %s logged in from %s", caller.name, address, extra={"event": "login"})
        self.sessions.end(request.cookies.get(COOKIE))
        response = RedirectResponse(_inside(form.get("next", "")), 303, headers=HEADERS)
        response.set_cookie(
            COOKIE, self.sessions.start(caller.name), path="/console", httponly=True,
            samesite="strict", secure=request.url.scheme == "https",
        )
        return response

    def _login_page(
        self, request: Request, status: int, next_: str, *, error: str | None = None,
        notice: str | None = None,
    ) -> Response:
        return self.render.page(
            request, "login.html", status, next=next_, error=error, notice=notice, frame=None,
            session=None, here="login",
        )

    async def logout(self, request: Request) -> Response:
        """End the login, whoever asks: the cookie comes from this site alone."""
        self.sessions.end(request.cookies.get(COOKIE))
        response = RedirectResponse("/console/login", 303, headers=HEADERS)
        response.delete_cookie(COOKIE, path="/console", httponly=True, samesite="strict")
        return response

    # pages

    async def home(self, request: Request) -> Response:
        return await self._show(request, "home", home, asked="")

    async def find(self, request: Request) -> Response:
        asked = request.query_params.get("number", "").strip()[:80]
        found = await self.on_ledger(views.find, self.ledger, asked) if asked else None
        if found is None:
            return await self._show(
                request, "home", home, asked=asked, status=404 if asked else 200,
            )
        kind, name = found
        path = {"journal": "journals", "entry": "entries", "party": "parties"}.get(kind)
        where = account_url(name) if path is None else f"/console/{path}/{quote(name, safe='')}"
        return RedirectResponse(where, 303, headers=HEADERS)

    async def accounts(self, request: Request) -> Response:
        return await self._show(request, "accounts", views.chart)

    async def line(self, request: Request) -> Response:
        return await self._show(
            request, "accounts", views.line_accounts, request.path_params["code"],
            _currency(request) or next(iter(self.ledger.chart.currencies)),
            request.query_params.get("after", "")[:64], SIZE, template="line.html",
        )

    async def account(self, request: Request) -> Response:
        asked = {
            name: request.query_params.get(name, "").strip()[:32]
            for name in ("value_date", "known_at")
        }
        day = parse_day(asked["value_date"])
        iso = iso_of(asked["known_at"])
        moment = None if iso is None else parse_moment(iso)
        errors = {
            name for name, found in (("value_date", day), ("known_at", moment))
            if asked[name] and found is None
        }
        return await self._show(
            request, "accounts", views.account, request.path_params["account_id"],
            _currency(request), day, moment, _number(request, "before"), JOURNALS,
            template="account.html", asked=asked, errors=errors, status=422 if errors else 200,
            was_asked=any(asked.values()), paged="before" in request.query_params,
        )

    async def journal(self, request: Request) -> Response:
        return await self._show(
            request, "days", entry_views.journal, request.path_params["name"],
            template="entry.html",
        )

    async def entry(self, request: Request) -> Response:
        text = request.path_params["sequence"]
        sequence = int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0
        return await self._show(
            request, "chain", entry_views.entry, sequence, template="entry.html",
        )

    async def days(self, request: Request) -> Response:
        """The form for a date, and the dates that are closed."""
        asked = request.query_params.get("date", "").strip()[:32]
        day = parse_day(asked)
        if day is not None:
            return RedirectResponse(f"/console/days/{day}", 303, headers=HEADERS)
        return await self._show(
            request, "days", views.closed_days,
            parse_day(request.query_params.get("before", "")),
            SIZE, asked=asked, wrong=bool(asked), status=422 if asked else 200,
        )

    async def day(self, request: Request) -> Response:
        day = parse_day(request.path_params["day"])
        if day is None:
            raise RequestRefused("not_a_date", "it is not a date", 404)
        return await self._show(
            request, "days", views.day, day, _number(request, "after") or 0, SIZE,
            template="day.html", before=_beside(day, -1), later=_beside(day, 1),
            paged="after" in request.query_params,
        )

    async def holds(self, request: Request) -> Response:
        account_id = request.query_params.get("account", "")[:64] or None
        return await self._show(
            request, "holds", register_views.holds, account_id, _page(request), SIZE,
        )

    async def approvals(self, request: Request) -> Response:
        return await self._show(request, "approvals", register_views.waiting, _page(request), CARDS)

    async def limits(self, request: Request) -> Response:
        return await self._show(request, "limits", register_views.limits, _page(request), SIZE)

    async def stops(self, request: Request) -> Response:
        return await self._show(request, "stops", register_views.stops, _page(request), SIZE)

    async def bills(self, request: Request) -> Response:
        merchant = request.query_params.get("merchant", "")[:32] or None
        return await self._show(
            request, "bills", register_views.bills, merchant, _page(request), SIZE,
        )

    async def reconciliation(self, request: Request) -> Response:
        return await self._show(request, "reconciliation", overview, _page(request), SIZE)

    async def parties(self, request: Request) -> Response:
        kind, state = (
            request.query_params.get(name, "")[:32] or None for name in ("kind", "state")
        )
        return await self._show(
            request, "parties", register_views.parties, kind, state, _page(request), SIZE,
        )

    async def party(self, request: Request) -> Response:
        return await self._show(
            request, "parties", register_views.party, request.path_params["name"],
            template="party.html",
        )

    async def chain(self, request: Request) -> Response:
        found = await self.on_ledger(
            views.chain, self.ledger, _number(request, "before"), SIZE
        )
        await asyncio.to_thread(self._compare, found["heads"])
        return await self._show(request, "chain", lambda _: found)

    def _compare(self, heads: list[dict[str, Any]]) -> None:
        """Say of each head whether its two files are there and are what was signed."""
        for head in heads:
            signed = (head.pop("document"), head.pop("signature"))
            try:
                kept = tuple(p.read_bytes() for p in head_paths(self.heads, head["name"]))
            except OSError:
                head["file"] = "file_missing"
                continue
            head["file"] = "file_same" if kept == signed else "file_differs"

    async def nothing(self, request: Request) -> Response:
        return await self._message(request, 404, "not_found", next_step="not_found_next")


async def _form(request: Request) -> dict[str, str] | None:
    """The fields of a sent form, the first of each name; None when it is too long or no text."""
    pieces: list[bytes] = []
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > LOGIN_BYTES:
            return None
        pieces.append(piece)
    try:
        fields = parse_qs(b"".join(pieces).decode("ascii"), max_num_fields=10)
    except ValueError:
        return None
    return {name: values[0] for name, values in fields.items()}


def _inside(next_: str) -> str:
    """Where to go after the login: a page of the console, never anywhere else."""
    try:
        parts = urlsplit(next_)
    except ValueError:
        return "/console/"
    fits = (
        len(next_) <= 500 and next_.isascii() and next_.isprintable()
        and not parts.scheme and not parts.netloc and "\\" not in next_ and ".." not in next_
        and (parts.path == "/console" or parts.path.startswith("/console/"))
        and not parts.path.startswith(("/console/login", "/console/logout"))
    )
    return next_ if fits else "/console/"


def _number(request: Request, name: str) -> int | None:
    text = request.query_params.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def _page(request: Request) -> int:
    return min(max(_number(request, "page") or 1, 1), _MOST_PAGES)


def _currency(request: Request) -> str | None:
    return request.query_params.get("currency", "")[:3] or None


def _beside(day: str, step: int) -> str | None:
    try:
        return parse_day((date.fromisoformat(day) + timedelta(step)).isoformat())
    except OverflowError:
        return None
