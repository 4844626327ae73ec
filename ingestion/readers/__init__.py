"""Readers by format: bytes in, text rows and malformed rows out, and nothing lost between."""

from __future__ import annotations

from ingestion.feeds import Feed
from ingestion.readers import columnar, delimited, fixed_width, json_lines
from ingestion.readers.parsed import Malformed, Parsed, Problem

READERS = {
    "csv": delimited.read,
    "jsonl": json_lines.read,
    "parquet": columnar.read,
    "fixed_width": fixed_width.read,
}

__all__ = ["READERS", "Malformed", "Parsed", "Problem", "read"]


def read(feed: Feed, data: bytes) -> Parsed:
    """Read one data file of a feed by its contract's format."""
    return READERS[feed.format](feed, data)
