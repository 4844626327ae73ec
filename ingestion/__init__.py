"""Files to bronze: control check, readers by format, tokenising, quarantine, replay, mappings."""

from ingestion.deliver import IngestResult, due_at, ingest, missing_feeds

__all__ = ["IngestResult", "due_at", "ingest", "missing_feeds"]
