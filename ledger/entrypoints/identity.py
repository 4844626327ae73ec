"""Who sends a request: a bearer token of the house's own systems, or an SM2 signature of a person
or a caller.

A signed request carries five headers: `x-paylake-signer` (`operator:<id>` or `caller:<id>`),
`x-paylake-timestamp` (UTC, whole seconds), `x-paylake-nonce` (16 to 64 hexadecimal digits, once
within the window), `x-paylake-digest` (SM3 of the body, hexadecimal) and `x-paylake-signature`
(DER, hexadecimal) over the canonical bytes that :func:`ledger.requests.signed_bytes` gives.
Rules D0.36, D0.37, D2.12, D2.25.
"""

from __future__ import annotations

import re
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from fastapi import Request

from ledger.adapters.nonces import KeptNonces
from ledger.adapters.tokens import Tokens
from ledger.domain.actors import Actor
from ledger.domain.chain import sm3
from ledger.domain.fields import parse_moment
from ledger.entrypoints.session_keys import (
    OPENED_A_MINUTE,
    Sessions,
    headers_of,
    path_of,
    stopped_caller,
)
from ledger.requests import signed_bytes
from ledger.service.faults import RequestRefused
from ledger.service.ledger import Ledger

WINDOW_SECONDS = 300
#: Nonces of one signer within their window: more signatures than this service can check in it.
_NONCES = 1_000_000
#: Paths of commands, which their keys let post once, whoever sends them again.
_KEYED = frozenset({"/v1/commands", "/v1/batches"})
_NONCE = re.compile(r"[0-9a-f]{16,64}\Z")
_HEX = re.compile(r"(?:[0-9a-f]{2}){8,160}\Z")
#: What a signed person or caller may ask over HTTP; tokens carry their own rights. `own` is to
#: read what is one's own: of the house's systems and people that is everything, so `read` has it.
#: `reveal` is to read sensitive values, `reconcile` to send a bank's statement: people, each by the
#: rights of its groups; the second also the house's systems that have `operate`.
_SIGNED_RIGHTS = {
    "operator": frozenset({"read", "own", "post", "reveal", "reconcile"}),
    "caller": frozenset({"own", "post"}),
}
_OF_TOKENS = {"own": "read", "reconcile": "operate"}


class Identity:
    """Authentication of one service.

    :param now: wall clock, seconds since 1970: freshness of requests is a matter of transport,
        also in a simulated ledger
    :param folder: where nonces are kept for a service that is started again
    """

    def __init__(
        self, ledger: Ledger, tokens: Tokens, folder: Path, now: Callable[[], float] = time.time
    ) -> None:
        self.ledger = ledger
        self.tokens = tokens
        self.now = now
        self.kept = KeptNonces(folder, 2 * WINDOW_SECONDS, now())
        self._nonces: OrderedDict[str, float] = OrderedDict(self.kept.found)
        self._of_signer = Counter(key.partition("/")[0] for key in self._nonces)
        self._rates: dict[tuple[str, str, int], int] = {}
        self.sessions = Sessions(ledger, now)

    def sender(self, request: Request, right: str, body: bytes = b"") -> tuple[Actor, str]:
        """The sender and the evidence to keep (JSON text; empty for a token).

        :raises RequestRefused: 401 `unauthorised`, `signature_wrong`, `request_stale`,
            `request_replayed`; 403 `forbidden`, `stopped`; 503 `too_many_nonces`
        """
        headers = headers_of(request)
        if "x-paylake-session" in headers:
            return self._not_stopped(right, *self.sessions.sender(request, headers, right, body))
        if "x-paylake-signer" in headers:
            return self._not_stopped(right, *self._signed(request, headers, right, body))
        scheme, _, token = headers.get("authorization", "").partition(" ")
        caller = self.tokens.caller(token.strip()) if scheme.lower() == "bearer" else None
        if caller is None:
            raise RequestRefused(
                "unauthorised", "a known bearer token or a signed request is needed", 401
            )
        right = _OF_TOKENS.get(right, right)
        if right not in caller.rights:
            raise RequestRefused("forbidden", f"this token has not the right to {right}", 403)
        return Actor("system", caller.name), ""

    def claimed(self, request: Request) -> tuple[str, str | None]:
        """Who a refused request says it is from, for the log and the metrics: the kind, and the
        name where it is registered here. Nothing else that a stranger sent is repeated."""
        headers = headers_of(request)
        if "x-paylake-session" in headers:
            name = self.sessions.caller_of(headers["x-paylake-session"])
            return "session", None if name is None else f"caller:{name}"
        if "x-paylake-signer" in headers:
            kind, _, name = headers["x-paylake-signer"].partition(":")
            if kind not in _SIGNED_RIGHTS:
                return "none", None
            known = self.ledger.state.get(kind, name) is not None
            return kind, f"{kind}:{name}" if known else None
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return "none", None
        found = self.tokens.caller(token.strip())
        return "system", None if found is None else f"system:{found.name}"

    def _not_stopped(self, right: str, actor: Actor, evidence: str) -> tuple[Actor, str]:
        """A stopped caller reads nothing (rule D0.38). What it posts goes on: each command is
        refused by name, and the refusal stands in the log."""
        if right == "own" and actor.kind == "caller":
            stopped_caller(self.ledger, actor.id)
        return actor, evidence

    def _signed(
        self, request: Request, headers: Mapping[str, str], right: str, body: bytes
    ) -> tuple[Actor, str]:
        signer = headers["x-paylake-signer"]
        kind, _, name = signer.partition(":")
        known = self._known(kind, name)
        if known is None:
            raise RequestRefused("unauthorised", "the signer is not known here", 401)
        nonce, stamp = headers.get("x-paylake-nonce", ""), headers.get("x-paylake-timestamp", "")
        signature = headers.get("x-paylake-signature", "")
        if not _NONCE.match(nonce) or not _HEX.match(signature):
            raise RequestRefused(
                "signature_wrong", "nonce and signature are hexadecimal digits", 401
            )
        moment = parse_moment(stamp)
        if moment is None or abs(
            datetime.fromisoformat(moment[:19]).replace(tzinfo=UTC).timestamp() - self.now()
        ) > WINDOW_SECONDS:
            raise RequestRefused(
                "request_stale",
                f"the timestamp is not within {WINDOW_SECONDS} seconds of this service's time",
                401,
            )
        path = path_of(request)
        evidence = {
            "signer": signer, "public_key": known["public_key"], "method": request.method,
            "path": path, "timestamp": stamp, "nonce": nonce, "digest": sm3(body).hex(),
            "signature": signature,
        }
        if headers.get("x-paylake-digest", evidence["digest"]) != evidence["digest"]:
            raise RequestRefused("signature_wrong", "the digest is not that of the body", 401)
        if not self.ledger.authority.verify(
            known["public_key"], signed_bytes(evidence), bytes.fromhex(signature)
        ):
            raise RequestRefused("signature_wrong", "the signature does not verify", 401)
        self._once(f"{signer}/{nonce}", keep=request.scope["path"] not in _KEYED)
        if right not in _SIGNED_RIGHTS[kind]:
            raise RequestRefused("forbidden", f"a {kind} has not the right to {right}", 403)
        return Actor(kind, name), orjson.dumps(evidence).decode()

    def _known(self, kind: str, name: str) -> Mapping[str, Any] | None:
        if kind not in _SIGNED_RIGHTS:
            return None
        document = self.ledger.state.get(kind, name)
        return document if document is not None and document["enabled"] else None

    def _once(self, key: str, *, keep: bool) -> None:
        """A nonce serves once within the window, also after another start if it is kept; a repeated
        command is safe by its key. None is forgotten within it: a signer that has too many there
        waits until its oldest are out of it, and others do not."""
        now = self.now()
        nonces = self._nonces
        while nonces:
            oldest = next(iter(nonces))
            if nonces[oldest] > now - 2 * WINDOW_SECONDS:
                break
            nonces.popitem(last=False)
            self._of_signer[oldest.partition("/")[0]] -= 1
        if key in nonces:
            raise RequestRefused("request_replayed", "the nonce was used before", 401)
        signer = key.partition("/")[0]
        if self._of_signer[signer] >= _NONCES:
            raise RequestRefused(
                "too_many_nonces", f"{signer} sent {_NONCES} requests within "
                f"{2 * WINDOW_SECONDS} seconds: send it again later", 503,
            )
        if keep:  # first: a request that is not answered may be sent again as it is
            self.kept.add(key, now)
        nonces[key] = now
        self._of_signer[signer] += 1

    def count(self, actor: Actor, interface_class: str, number: int = 1) -> None:
        """Hold a caller to its rate in an interface class (rules D0.38, D2.24, D2.25).

        :raises RequestRefused: 403 `forbidden` for a class it may not use, 429 `rate_exceeded`
        """
        if actor.kind != "caller":
            return
        rates = self.ledger.state.get("caller", actor.id)["rates"]
        most = rates.get(interface_class)
        if most is None:
            raise RequestRefused(
                "forbidden", f"{actor.id} may not use interfaces of class {interface_class}", 403
            )
        self._used(
            actor, interface_class, number, most,
            f"{actor.id} may send {most} a minute in {interface_class}",
        )

    def count_session(self, actor: Actor) -> None:
        """Hold a caller to the sessions that it may open in a minute: each is an entry of the log.

        :raises RequestRefused: 429 `rate_exceeded`
        """
        if actor.kind == "caller":
            self._used(
                actor, "sessions", 1, OPENED_A_MINUTE,
                f"{actor.id} may open {OPENED_A_MINUTE} sessions a minute",
            )

    def count_cover(self, actor: Actor) -> None:
        """Hold a caller to as many covers in a minute as it may send requests and open sessions:
        each is an entry of the log, too, and a cover sent in a session is itself to be covered.

        :raises RequestRefused: 429 `rate_exceeded`
        """
        if actor.kind == "caller":
            rates = self.ledger.state.get("caller", actor.id)["rates"]
            most = sum(rates.values()) + OPENED_A_MINUTE
            self._used(actor, "covers", 1, most, f"{actor.id} may cover {most} times a minute")

    def _used(self, actor: Actor, what: str, number: int, most: int, told: str) -> None:
        minute = int(self.now() // 60)
        key = (actor.id, what, minute)
        if len(self._rates) > 10_000:
            self._rates = {k: v for k, v in self._rates.items() if k[2] >= minute}
        used = self._rates.get(key, 0) + number
        if used > most:
            raise RequestRefused("rate_exceeded", told, 429)
        self._rates[key] = used
