"""A session: its requests carry an HMAC each, and the caller signs their running digest."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from ledger.client.connection import LedgerRefusal
from ledger.client.documents import Command, Result
from ledger.client.signers import SessionSigner, Signer
from ledger.sessions import CallerHalf, cover_bytes

if TYPE_CHECKING:
    from ledger.client.calls import LedgerClient

T = TypeVar("T")


class LedgerSession:
    """A client whose requests go through one session. Close it: that covers what is not yet."""

    def __init__(self, opener: LedgerClient, signer: Signer, cover_count: int) -> None:
        half = CallerHalf()
        opened = opener._call("POST", "/v1/sessions", {"key_half": half.public})
        key = half.key(opened["session_id"], opened["sealed_key"])
        self._opener = opener
        self._signer = signer
        self.session = SessionSigner(opened["session_id"], key, cover_count)
        self._client = opener.as_signer(self.session)

    def command(self, command: Command) -> Result:
        """Post one command; covers first when the contract's number is reached.

        A request that got no answer ends the session, for whether it was counted is not known:
        open another and send the command again, its key makes that safe.
        """
        if len(self.session.digests) >= self.session.cover_count:
            self.cover()
        return self._client.command(command)

    def read(self, ask: Callable[[LedgerClient], T]) -> T:
        """Ask something of the service in this session, such as
        `session.read(lambda client: client.standing("2101:U000001"))`."""
        if len(self.session.digests) >= self.session.cover_count:
            self.cover()
        return ask(self._client)

    def cover(self) -> None:
        """Sign the running digest of what was sent so far; a service that was started again since
        is given the digests, for it has only those of what stands in its log.

        :raises LedgerRefusal: when it was not taken; the digests are kept, to be signed again
        """
        session = self.session
        if not session.digests:
            return
        last = session.number
        signature = self._signer.key.sign(
            cover_bytes(session.session_id, session.covered + 1, session.digests)
        ).hex()
        path = f"/v1/sessions/{session.session_id}/cover"
        order = {"last_number": last, "signature": signature}
        try:
            answer = self._opener._call("POST", path, order)
        except LedgerRefusal as refusal:
            if refusal.reason != "invalid_field":
                raise
            answer = self._opener._call("POST", path, {**order, "digests": session.digests})
        if answer["status"] != "posted":
            raise LedgerRefusal(
                answer["reason"], answer["detail"],
                "remove the cause and cover again: the digests are kept", where=path,
            )
        session.covered = last
        session.digests.clear()

    def __enter__(self) -> LedgerSession:
        return self

    def __exit__(self, *_: object) -> None:
        self.cover()
        self._client.close()
