"""Files to bronze: control check, readers by format, tokenising, quarantine, replay, mappings."""

from ingestion.deliver import IngestResult, due_at, ingest, missing_feeds
from ingestion.quarantine import (
    QuarantineItem,
    QuarantineRow,
    ReplayResult,
    quarantine_list,
    quarantine_show,
    replay,
)
from ingestion.shown import Clear, DeliveryLine, ShownDelivery, delivery_list, delivery_show

__all__ = [
    "Clear",
    "DeliveryLine",
    "IngestResult",
    "QuarantineItem",
    "QuarantineRow",
    "ReplayResult",
    "ShownDelivery",
    "delivery_list",
    "delivery_show",
    "due_at",
    "ingest",
    "missing_feeds",
    "quarantine_list",
    "quarantine_show",
    "replay",
]
