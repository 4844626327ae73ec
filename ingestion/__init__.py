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

__all__ = [
    "IngestResult",
    "QuarantineItem",
    "QuarantineRow",
    "ReplayResult",
    "due_at",
    "ingest",
    "missing_feeds",
    "quarantine_list",
    "quarantine_show",
    "replay",
]
