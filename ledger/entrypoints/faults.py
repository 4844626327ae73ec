"""Answers to requests that are refused as a whole, and to those that meet a fault."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from ledger.entrypoints.bodies import problem
from ledger.entrypoints.identity import Identity
from ledger.entrypoints.metrics import Metrics
from ledger.service.faults import STORAGE_FAULTS, RequestRefused
from paylake.errors import PaylakeError

log = logging.getLogger("ledger")


class Faults:
    """What one service answers to each kind of error."""

    def __init__(self, identity: Identity, metrics: Metrics) -> None:
        self.identity = identity
        self.metrics = metrics

    def add_to(self, app: FastAPI) -> None:
        """Have the framework ask here."""

        async def answered(request: Request, error: Exception) -> Response:
            return self.answer(request, error, logged=True)

        for kind in (RequestRefused, PaylakeError, ClientDisconnect, HTTPException, Exception):
            app.add_exception_handler(kind, answered)

    def answer(
        self, request: Request, error: BaseException | None, *, logged: bool = False
    ) -> Response:
        """The answer; it is counted and logged.

        :param logged: whether the server logs where an unexpected one happened, as it does of
            those that pass the framework
        """
        match error:
            case RequestRefused():
                return self._refused(request, error)
            case PaylakeError():
                return _fault(error)
            case ClientDisconnect():
                # nobody reads it; it stands in the log and the metrics as what it was, no fault
                return problem(
                    408, "request_timeout", "the request did not arrive", "send it again, whole"
                )
            case HTTPException():
                response = problem(
                    error.status_code, f"http_{error.status_code}", str(error.detail),
                    "see /docs for what this service answers",
                )
                response.headers.update(error.headers or {})
                return response
        # Type and place only: the message may carry what the caller sent.
        log.error(
            "unexpected %s", type(error).__name__, exc_info=None if logged else error,
            extra={"event": "fault"},
        )
        return problem(500, "fault", "the service met a fault of its own", "read its log")

    def _refused(self, request: Request, error: RequestRefused) -> Response:
        kind, signer = self.identity.claimed(request)
        self.metrics.refused(error.reason, kind)
        request.scope["paylake.refused"] = {"reason": error.reason, "signer": signer}
        return problem(
            error.http_status, error.reason, error.detail,
            "see docs/explanation/ledger.md for what the reason means",
        )


def _fault(error: PaylakeError) -> Response:
    if isinstance(error, STORAGE_FAULTS):
        log.error("storage: %s", error, extra={"event": "storage_fault"})
        return problem(503, "storage_unavailable", error.what, error.next_step)
    if error.exit_code == 10:
        return problem(409, "refused", error.what, error.next_step)
    log.error("fault: %s", error, extra={"event": "fault"})
    return problem(500, "fault", error.what, error.next_step)
