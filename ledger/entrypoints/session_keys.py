"""Open sessions of callers: keys, numbers, and what still waits for the caller's signature. Kept in
memory: a restarted service knows none, and callers open new ones. What a lost session sent can
still be covered: the log has the digests of what it caused."""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import Request

from ledger.domain import guards
from ledger.domain.actors import Actor
from ledger.domain.chain import sm3
from ledger.service.faults import RequestRefused
from ledger.service.ledger import Ledger
from ledger.sessions import COVER_COUNT, COVER_SECONDS, RequestMac, answered, cover_bytes

_MOST = 10_000
#: Open sessions of one caller, and how many it may open in a minute: nobody's take the place of
#: another's, or make the log grow beyond the rate that its caller has.
MOST_OF_ONE, OPENED_A_MINUTE = 500, 120
_SIGNATURE_BYTES = 160
_RIGHTS = frozenset({"own", "post"})
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")


def _unknown() -> RequestRefused:
    return RequestRefused("session_unknown", "no such session of this caller", 404)


def _wrong() -> RequestRefused:
    return RequestRefused("signature_wrong", "it is not the caller's over the running digest", 401)


def _raw(signature: Any) -> bytes:
    """A signature's bytes; none where it is no hexadecimal text."""
    try:
        return bytes.fromhex(signature)
    except (TypeError, ValueError):
        return b""


def _as_digests(given: Any, count: int) -> None:
    """:raises RequestRefused: 422 `invalid_field`"""
    if not isinstance(given, list) or len(given) != count or not all(
        isinstance(digest, str) and _DIGEST.match(digest) for digest in given
    ):
        raise RequestRefused("invalid_field", f"digests are {count} times 64 hexadecimal digits")


def path_of(request: Request) -> str:
    """The path with its query, as it was sent and signed: escapes stay escapes."""
    scope = request.scope
    path, query = scope["raw_path"].partition(b"?")[0], scope["query_string"]
    return (path + b"?" + query if query else path).decode("latin-1")


def headers_of(request: Request) -> dict[str, str]:
    """The headers by their names in small letters; of those that came twice, the first. The
    framework's mapping goes through all of them for each that is asked for."""
    return {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in reversed(request.scope["headers"])
    }


def stopped_caller(ledger: Ledger, caller_id: str) -> None:
    """
    :raises RequestRefused: 403 `stopped`, when an emergency stop covers everything that it sends
    """
    stop = guards.stopped_caller(ledger.state, caller_id)
    if stop is not None:
        raise RequestRefused("stopped", f"stop {stop} covers {caller_id}", 403)


@dataclass(slots=True)
class Session:
    """One open session; `digests` are those of the requests not yet covered."""

    caller: str
    mac: RequestMac
    number: int
    covered: int
    oldest: float
    digests: list[str]


class Sessions:
    """All open sessions of one service.

    :param now: wall clock, seconds since 1970
    """

    def __init__(self, ledger: Ledger, now: Callable[[], float]) -> None:
        self.ledger = ledger
        self.now = now
        self._open: dict[str, Session] = {}

    def offer(self, actor: Actor, half: Any) -> tuple[str, str, bytes]:
        """A session's id, the sealed key and the key, for a caller that sent its half.

        :raises RequestRefused: `forbidden`, `stopped`, `invalid_field`
        """
        if actor.kind != "caller":
            raise RequestRefused("forbidden", "callers alone open sessions", 403)
        stopped_caller(self.ledger, actor.id)
        session_id = f"S-{secrets.token_hex(12)}"
        try:
            sealed, key = answered(session_id, half)
        except (TypeError, ValueError) as error:
            raise RequestRefused(
                "invalid_field", "key_half is a point on the SM2 curve, 128 hexadecimal digits"
            ) from error
        return session_id, sealed, key

    def opened(self, actor: Actor, session_id: str, key: bytes) -> None:
        """Its entry stands in the log: requests may come. The caller's own oldest gives way when it
        has too many, that of all when there are too many in all."""
        own = [name for name, session in self._open.items() if session.caller == actor.id]
        if len(own) >= MOST_OF_ONE:
            del self._open[own[0]]
        elif len(self._open) >= _MOST:
            self._open.pop(next(iter(self._open)))
        self._open[session_id] = Session(
            actor.id, RequestMac(key, session_id), 0, 0, self.now(), []
        )

    def sender(
        self, request: Request, headers: Mapping[str, str], right: str, body: bytes
    ) -> tuple[Actor, str]:
        """The caller of a request in a session, and its evidence.

        :param headers: as :func:`headers_of` gives them
        :raises RequestRefused: 401 `session_unknown`, `signature_wrong`, `request_replayed`;
            403 `forbidden`; 409 `session_uncovered`
        """
        session_id = headers["x-paylake-session"]
        session = self._open.get(session_id)
        if session is None:
            raise RequestRefused("session_unknown", "open a session first", 401)
        number, path = headers.get("x-paylake-number", ""), path_of(request)
        digest = sm3(body).hex()
        if not number.isascii() or not number.isdigit() or len(number) > 12 or (
            not hmac.compare_digest(
                headers.get("x-paylake-mac", "").encode(),
                session.mac.of(int(number), request.method, path, digest).encode(),
            )
        ):
            raise RequestRefused("signature_wrong", "the HMAC does not verify", 401)
        if int(number) != session.number + 1:
            raise RequestRefused(
                "request_replayed", f"the next number is {session.number + 1}", 401
            )
        caller = self.ledger.state.get("caller", session.caller)
        if caller is None or not caller["enabled"]:
            raise RequestRefused("unauthorised", "the caller is not known here", 401)
        if right not in _RIGHTS:
            raise RequestRefused("forbidden", f"a caller has not the right to {right}", 403)
        # the whole path: a query that only ends like a cover is not one
        if path != f"/v1/sessions/{session_id}/cover":
            self._has_room(session, caller)
        if not session.digests:
            session.oldest = self.now()
        session.number += 1
        session.digests.append(digest)
        evidence = {"session": session_id, "number": session.number, "digest": digest}
        return Actor("caller", session.caller), orjson.dumps(evidence).decode()

    def caller_of(self, session_id: str) -> str | None:
        """Whose session this is."""
        session = self._open.get(session_id)
        return None if session is None else session.caller

    def _has_room(self, session: Session, caller: dict[str, Any]) -> None:
        most = caller.get("cover_count") or COVER_COUNT
        seconds = caller.get("cover_seconds") or COVER_SECONDS
        if len(session.digests) >= most or (
            session.digests and self.now() - session.oldest > seconds
        ):
            raise RequestRefused(
                "session_uncovered",
                f"{len(session.digests)} requests wait for the caller's signature; the contract "
                f"allows {most}, and {seconds} seconds", 409,
            )

    def covering(self, actor: Actor, session_id: str, last: Any, signature: Any) -> dict[str, Any]:
        """The command that covers requests up to `last`; the signature is verified here.

        :raises RequestRefused: 404 `session_unknown`, 401 `signature_wrong`, 422 `invalid_field`
        """
        session = self._open.get(session_id)
        if session is None or session.caller != actor.id:
            raise _unknown()
        if type(last) is not int or not session.covered < last <= session.number:
            raise RequestRefused(
                "invalid_field", f"last_number is from {session.covered + 1} to {session.number}"
            )
        digests = session.digests[: last - session.covered]
        return self._cover(actor, session_id, session.covered + 1, digests, signature)

    def covering_lost(
        self, actor: Actor, session_id: str, last: Any, signature: Any, given: Any
    ) -> dict[str, Any]:
        """The same for a session that this service does not know any more: the digests are those
        of the log, and where a request left no entry (a read, a repeated command) the caller's own.
        Reads the log beside the writer, as the last thing: a cover whose numbers, digests or
        signature cannot hold costs no search.

        :param given: digests of all requests from the first that is not covered; None: the log has
            them all
        :raises RequestRefused: 404 `session_unknown`, 401 `signature_wrong`, 422 `invalid_field`
        """
        known = self.ledger.state.get("session", session_id)
        if known is None or known["caller"] != actor.id or session_id in self._open:
            raise _unknown()
        covered = known["covered"]
        if type(last) is not int or not covered < last <= covered + _MOST:
            raise RequestRefused("invalid_field", f"last_number is from {covered + 1}")
        if given is not None:
            _as_digests(given, last - covered)
            command = self._cover(actor, session_id, covered + 1, given, signature)
            logged = self._logged(session_id, covered)
            for number, digest in enumerate(given, covered + 1):
                if logged.get(number, digest) != digest:
                    raise RequestRefused(
                        "invalid_field", f"request {number} has another digest in the log"
                    )
            return command
        if not 8 <= len(_raw(signature)) <= _SIGNATURE_BYTES:
            raise _wrong()
        logged = self._logged(session_id, covered)
        digests = []
        for number in range(covered + 1, last + 1):
            if number not in logged:
                raise RequestRefused(
                    "invalid_field", f"request {number} left no entry: send digests"
                )
            digests.append(logged[number])
        return self._cover(actor, session_id, covered + 1, digests, signature)

    def knows(self, session_id: str) -> bool:
        """Whether a session is open here."""
        return session_id in self._open

    def _logged(self, session_id: str, covered: int) -> dict[int, str]:
        """Digests by number of a session's requests in the log that are not covered."""
        reader = self.ledger.store.beside()
        try:
            opened = reader.find_by_key([session_id])[session_id][0]
            said = [orjson.loads(text) for text in reader.of_session(session_id, opened)]
        finally:
            reader.close()
        return {one["number"]: one["digest"] for one in said if one["number"] > covered}

    def _cover(
        self, actor: Actor, session_id: str, first: int, digests: list[str], signature: Any
    ) -> dict[str, Any]:
        key = self.ledger.state.get("caller", actor.id)["public_key"]
        if not self.ledger.authority.verify(
            key, cover_bytes(session_id, first, digests), _raw(signature)
        ):
            raise _wrong()
        last = first + len(digests) - 1
        return {
            "type": "session_cover",
            # an SM2 signature is another one each time: what was refused is signed and sent again
            "idempotency_key": f"cover-{session_id}-{last}-{sm3(signature.encode()).hex()[:12]}",
            "session_id": session_id, "first_number": first, "digests": digests,
            "signature": signature,
        }

    def covered(self, session_id: str, last: int) -> None:
        """The cover stands in the log."""
        session = self._open.get(session_id)
        if session is None:
            return
        del session.digests[: last - session.covered]
        session.covered = last
        session.oldest = self.now()
