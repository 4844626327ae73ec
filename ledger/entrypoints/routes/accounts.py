"""What may be asked of accounts: balances, standing, movements, holds, the steps of a command."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import Response

from ledger.entrypoints.bodies import answer, limit_of, whole_of
from ledger.entrypoints.openapi import operation
from ledger.entrypoints.routes.room import Room
from ledger.service import queries
from ledger.service.statements import Asked, statement
from ledger.service.steps import status_log


def add(room: Room) -> None:
    """Add the paths."""
    app, ledger, identity, on_ledger = room.app, room.ledger, room.identity, room.on_ledger

    @app.get("/v1/balances", summary="Balances now", **operation("Balances", 422))
    async def balances(
        request: Request, account_code: str | None = None, party_id: str | None = None,
        currency_code: str | None = None, after: str | None = None, limit: str = "1000",
    ) -> Response:
        identity.sender(request, "read")
        return answer(await on_ledger(
            queries.balances, ledger, account_code, party_id, currency_code, after,
            limit_of(limit),
        ))

    @app.get(
        "/v1/accounts/{account_id}/balance",
        summary="A balance as of a value date and as known at a time",
        **operation("BalanceAt", 404, 422),
    )
    async def balance_at(
        account_id: str, request: Request, currency_code: str = "CNY",
        value_date: str | None = None, known_at: str | None = None,
    ) -> Response:
        identity.sender(request, "read")
        return answer(await on_ledger(
            queries.balance_at, ledger, account_id, currency_code, value_date, known_at
        ))

    @app.get(
        "/v1/accounts/{account_id}/tree", summary="An account with all accounts below it",
        **operation("Tree", 404),
    )
    async def tree(account_id: str, request: Request, currency_code: str = "CNY") -> Response:
        identity.sender(request, "read")
        return answer(await on_ledger(queries.tree, ledger, account_id, currency_code))

    @app.get("/v1/holds", summary="Open holds", **operation("Holds"))
    async def holds(request: Request, account_id: str | None = None) -> Response:
        identity.sender(request, "read")
        return answer(await on_ledger(queries.holds, ledger, account_id))

    @app.get(
        "/v1/accounts/{account_id}/movements",
        summary="Movements of an account in the last three calendar months",
        **operation("Movements", 404, 409, 422),
    )
    async def movements(
        account_id: str, request: Request, currency_code: str = "CNY",
        first: str | None = None, last: str | None = None, type: str | None = None,
        least_minor: str | None = None, most_minor: str | None = None,
        number: str | None = None, counterparty: str | None = None,
        after: str = "0", limit: str = "100",
    ) -> Response:
        identity.sender(request, "read")
        asked = Asked(
            first, last, type, whole_of("least_minor", least_minor),
            whole_of("most_minor", most_minor), number, counterparty,
        )
        return answer(await on_ledger(
            statement, ledger, account_id, currency_code, asked,
            whole_of("after", after) or 0, limit_of(limit),
        ))

    @app.get(
        "/v1/accounts/{account_id}/standing",
        summary="What an account's owner is shown: balance, what is frozen, normal or not",
        **operation("Standing", 404),
    )
    async def standing(account_id: str, request: Request, currency_code: str = "CNY") -> Response:
        identity.sender(request, "read")
        return answer(await on_ledger(queries.standing, ledger, account_id, currency_code))

    @app.get(
        "/v1/commands/{idempotency_key}/steps",
        summary="The five steps of a command, as far as it came", **operation("Steps", 404),
    )
    async def steps(idempotency_key: str, request: Request) -> Response:
        identity.sender(request, "read")
        rows = await on_ledger(status_log, ledger, idempotency_key)
        return answer({"idempotency_key": idempotency_key, "steps": rows})
