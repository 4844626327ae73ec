"""What a request to post goes through, whichever way it came: who sent it, its commands, the
caller's rates, the queue before the writer; and the answer to one command."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Request

from ledger.domain.actors import Actor
from ledger.domain.refusals import BY_CODE
from ledger.entrypoints.bodies import parsed
from ledger.entrypoints.gathering import Gathering
from ledger.entrypoints.identity import Identity
from ledger.entrypoints.metrics import Metrics, type_of, types_of
from ledger.service.ledger import Job


class Posting:
    """Posting at one service."""

    def __init__(self, identity: Identity, metrics: Metrics, gathering: Gathering) -> None:
        self.identity = identity
        self.metrics = metrics
        self.gathering = gathering

    def one(self, request: Request, raw: bytes) -> tuple[Job, str | None]:
        """The job of a request with one command, and what that says of its type.

        :raises RequestRefused: when it is refused as a whole
        """
        actor, evidence = self.identity.sender(request, "post", raw)
        command = parsed(raw)
        type_ = type_of(command)
        self.identity.count(actor, self._class_of(type_))
        return Job([command], actor, evidence), type_

    def count(self, actor: Actor, commands: Sequence[Any]) -> list[str | None]:
        """Hold a caller to its rates, by the interface class of each command; what each command
        says of its type.

        :raises RequestRefused: 403 `forbidden`, 429 `rate_exceeded`
        """
        types = types_of(commands)
        if actor.kind == "caller":
            sent: Counter[str] = Counter()
            for type_, number in Counter(types).items():
                sent[self._class_of(type_)] += number
            for name, number in sent.items():
                self.identity.count(actor, name, number)
        return types

    def _class_of(self, type_: str | None) -> str:
        return self.metrics.classes.get(type_ or "", "transaction")


def status_of(result: Mapping[str, Any]) -> int:
    """The HTTP status of the answer to one command."""
    if result["status"] == "refused":
        return BY_CODE[result["reason"]].http_status
    return 200 if result["replayed"] else 201
