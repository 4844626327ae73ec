"""One client's connection: each request signed, tried again while nobody answers, its answer read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import httpx
import orjson

from ledger.client.signers import SessionSigner, Signer
from paylake.errors import PermanentFailure, TransientFault

_TRANSIENT_STATUS = frozenset({429, 502, 503, 504})


class LedgerRefusal(PermanentFailure):
    """The service refused a whole request (not one command of it); `reason` is its code."""

    def __init__(self, reason: str, what: str, next_step: str, *, where: str | None = None):
        self.reason = reason
        super().__init__(what, next_step, where=where)


class Connection:
    """Requests to one ledger service.

    :param base_url: such as `http://127.0.0.1:18701`
    :param token: bearer token (`<home>/keys/ledger.token` in a demo home), or a
        :class:`~ledger.client.signers.Signer`
    :param retries: how often a transient fault is tried again before :class:`TransientFault`
    """

    def __init__(
        self,
        base_url: str,
        token: str | Signer | SessionSigner,
        *,
        timeout: float = 60.0,
        retries: int = 6,
        transport: httpx.BaseTransport | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._retries = retries
        self._pause = pause
        self._made: dict[str, Any] = {
            "timeout": timeout, "retries": retries, "transport": transport, "pause": pause,
        }
        self._http = httpx.Client(
            base_url=base_url,
            timeout=timeout,
            transport=transport,
            trust_env=False,
            headers={"content-type": "application/json"},
        )
        self._signer = None if isinstance(token, str) else token
        if isinstance(token, SessionSigner):
            self._retries = 0  # a number serves once
        if self._signer is None:
            self._http.headers["authorization"] = f"Bearer {token}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def _pages(self, path: str, name: str, query: dict[str, Any]) -> Iterator[dict[str, Any]]:
        while True:
            page = self._call("GET", path, query=query)
            yield from page[name]
            if page["next"] is None or not page[name]:  # the outbox says where to go on later
                return
            query = {**query, "after": page["next"]}

    def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
        *,
        results: bool = False,
    ) -> Any:
        """:param results: whether a refusal of the command is an answer, not an error"""
        content = None if body is None else orjson.dumps(body)
        request = self._http.build_request(method, path, content=content, params=query)
        fault = "no answer"
        for attempt in range(self._retries + 1):
            if attempt:
                self._pause(min(0.1 * 2**attempt, 5.0))
            try:
                if self._signer is not None:  # anew each time: a nonce serves once
                    request.headers.update(self._signer.headers(
                        method, request.url.raw_path.decode("ascii"), content or b""
                    ))
                answer = self._http.send(request)
            except httpx.TransportError as error:
                fault = f"{type(error).__name__}: {error}"
                continue
            if answer.status_code in _TRANSIENT_STATUS:
                fault = f"answer {answer.status_code}"
                continue
            return self._answer(answer, results=results)
        raise TransientFault(
            f"the ledger service did not answer {method} {path} ({fault})",
            "see that it runs (`bin/paylake status`), then repeat the command",
            where=str(self._http.base_url),
        )

    @staticmethod
    def _answer(answer: httpx.Response, *, results: bool = False) -> Any:
        try:
            document = orjson.loads(answer.content)
        except orjson.JSONDecodeError as error:
            raise PermanentFailure(
                f"the ledger service answered {answer.status_code} with something not JSON",
                "see that the address is that of a paylake ledger",
                where=str(answer.url),
            ) from error
        if answer.status_code >= 400 and not (results and "status" in document):
            problem = document.get("error", {})
            raise LedgerRefusal(
                problem.get("reason", f"http_{answer.status_code}"),
                problem.get("what", f"the ledger service answered {answer.status_code}"),
                problem.get("next_step", "read the ledger's log"),
                where=str(answer.url),
            )
        return document
