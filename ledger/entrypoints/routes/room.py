"""What every path of the service is given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI

from ledger.entrypoints.identity import Identity
from ledger.entrypoints.metrics import Metrics
from ledger.entrypoints.posting import Posting
from ledger.service.ledger import Ledger
from paylake.settings import Settings

OnLedger = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Room:
    """One service. `on_ledger` runs a call in the writer's thread once nothing is under way."""

    app: FastAPI
    settings: Settings
    ledger: Ledger
    identity: Identity
    metrics: Metrics
    posting: Posting
    on_ledger: OnLedger
