"""What an account's owner may ask: balances, standing, movements, statements of a day, holds, the
steps of a command. A caller is given what is its own; from people and the house's own systems
nothing is kept back."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from fastapi.responses import Response

from ledger.entrypoints.bodies import answer, day_of, limit_of, whole_of
from ledger.entrypoints.openapi import operation
from ledger.entrypoints.routes.room import Room
from ledger.service import queries
from ledger.service.day_statements import of_party
from ledger.service.own_reads import OwnReads
from ledger.service.statements import Asked, statement
from ledger.service.steps import status


def _sender(room: Room, request: Request) -> OwnReads:
    """Who asks, within its rate."""
    actor, evidence = room.identity.sender(request, "own")
    room.identity.count(actor, "data")
    return OwnReads(room.ledger, actor, evidence)


def add(room: Room) -> None:
    """Add the paths."""
    app, ledger, on_ledger = room.app, room.ledger, room.on_ledger

    @app.get("/v1/balances", summary="Balances now", **operation("Balances", 422, 429))
    async def balances(
        request: Request, account_code: str | None = None, party_id: str | None = None,
        currency_code: str | None = None, after: str | None = None, limit: str = "1000",
    ) -> Response:
        own = _sender(room, request)
        length = limit_of(limit)

        def asked() -> dict[str, Any]:
            if party_id is not None:
                own.party("balances", party_id)
            return queries.balances(
                ledger, account_code, party_id, currency_code, after, length, own.owns
            )

        return answer(await on_ledger(asked))

    @app.get(
        "/v1/accounts/{account_id}/balance",
        summary="A balance as of a value date and as known at a time",
        **operation("BalanceAt", 404, 409, 422, 429),
    )
    async def balance_at(
        account_id: str, request: Request, currency_code: str | None = None,
        value_date: str | None = None, known_at: str | None = None,
    ) -> Response:
        own = _sender(room, request)

        def asked() -> dict[str, Any]:
            own.account("balance", account_id)
            return queries.balance_at(ledger, account_id, currency_code, value_date, known_at)

        return answer(await on_ledger(asked))

    @app.get(
        "/v1/accounts/{account_id}/standing",
        summary="What an account's owner is shown: balance, what is frozen, normal or not",
        **operation("Standing", 404, 409, 422, 429),
    )
    async def standing(
        account_id: str, request: Request, currency_code: str | None = None
    ) -> Response:
        own = _sender(room, request)

        def asked() -> dict[str, Any]:
            own.account("standing", account_id)
            return queries.standing(ledger, account_id, currency_code)

        return answer(await on_ledger(asked))

    @app.get(
        "/v1/accounts/{account_id}/movements",
        summary="Movements and orders of an account in the last three calendar months",
        **operation("Movements", 404, 409, 422, 429),
    )
    async def movements(
        account_id: str, request: Request, currency_code: str | None = None,
        first: str | None = None, last: str | None = None, type: str | None = None,
        least_minor: str | None = None, most_minor: str | None = None,
        number: str | None = None, counterparty: str | None = None,
        after: str = "0", limit: str = "100",
    ) -> Response:
        own = _sender(room, request)
        filters = Asked(
            first, last, type, whole_of("least_minor", least_minor),
            whole_of("most_minor", most_minor), number, counterparty,
        )
        start, length = whole_of("after", after) or 0, limit_of(limit)

        def asked() -> dict[str, Any]:
            own.account("movements", account_id)
            return statement(ledger, account_id, currency_code, filters, start, length)

        return answer(await on_ledger(asked))

    @app.get("/v1/holds", summary="Open holds", **operation("Holds", 409, 422, 429))
    async def holds(
        request: Request, account_id: str | None = None, after: str | None = None,
        limit: str = "1000",
    ) -> Response:
        own = _sender(room, request)
        length = limit_of(limit)

        def asked() -> dict[str, Any]:
            if account_id is not None:
                own.account("holds", account_id)
            return queries.holds(ledger, account_id, after, length, own.owns)

        return answer(await on_ledger(asked))

    @app.get(
        "/v1/parties/{party_id}/days/{day}",
        summary="The statement of a closed date: a party's accounts, and its fees by item",
        **operation("DayStatement", 404, 409, 429),
    )
    async def day_statement(party_id: str, day: str, request: Request) -> Response:
        own = _sender(room, request)
        wanted = day_of(day).isoformat()

        def asked() -> dict[str, Any]:
            own.party("day_statement", party_id)
            return of_party(ledger, party_id, wanted)

        return answer(await on_ledger(asked))

    @app.get(
        "/v1/commands/{idempotency_key}/steps",
        summary="Amount, status and the five steps of a command; the query is the fifth",
        **operation("Steps", 404, 409, 429),
    )
    async def steps(idempotency_key: str, request: Request) -> Response:
        own = _sender(room, request)

        def asked() -> dict[str, Any]:
            own.command("steps", idempotency_key)
            return status(ledger, idempotency_key, own.actor.name)

        return answer(await on_ledger(asked))
