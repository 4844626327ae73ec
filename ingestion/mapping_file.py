"""The format of a mapping file, `ingestion/mappings/<name>.yml`, checked before use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ingestion.feeds import Feed
from paylake.crypto import sm3_hex
from paylake.errors import UsageFault

_TOP = {"name", "title", "control", "cutoff", "absent_feeds", "feeds"}
_FEED = {"files", "format", "encoding", "delimiter", "date_from", "columns", "absent", "ignored"}
_COLUMN = {"from", "cast", "constant", "format"}


@dataclass(frozen=True)
class FeedMapping:
    """How the files of one feed are read."""

    feed: Feed
    files: str
    format: str
    encoding: str
    delimiter: str
    date_from: str
    columns: dict[str, dict[str, Any]]
    ignored: tuple[str, ...]


@dataclass(frozen=True)
class Mapping:
    """A mapping file, checked."""

    name: str
    title: str
    cutoff: str
    absent_feeds: tuple[str, ...]
    feeds: dict[str, FeedMapping]
    digest: str
    raw: bytes


def load_mapping(path: Path) -> Mapping:
    """Read a mapping file.

    :raises UsageFault: when it is absent, or says something unknown or contradictory.
    """
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise UsageFault(
            f"The mapping cannot be read: {error.strerror}", "Give a file of ingestion/mappings/.",
            where=str(path),
        ) from None
    return parse_mapping(raw, str(path))


def parse_mapping(raw: bytes, where: str) -> Mapping:
    """Check the text of a mapping; see :func:`load_mapping`."""

    def wrong(what: str) -> UsageFault:
        return UsageFault(what, "docs/how-to/map-foreign-files.md has the format.", where=where)

    try:
        node = yaml.safe_load(raw)
    except yaml.YAMLError as error:
        raise wrong(f"Not YAML: {error}") from None
    if not isinstance(node, dict) or not node.get("name") or not node.get("feeds"):
        raise wrong("A mapping needs a name and feeds")
    _only(node, _TOP, "the mapping", wrong)
    if node.get("control") != "none":
        raise wrong(f"control is {node.get('control')!r}; only none is known here")
    feeds = {
        name: _feed_mapping(name, entry, wrong) for name, entry in node["feeds"].items()
    }
    return Mapping(
        name=str(node["name"]),
        title=str(node.get("title") or node["name"]),
        cutoff=str(node.get("cutoff") or "00:00"),
        absent_feeds=tuple(node.get("absent_feeds") or ()),
        feeds=feeds,
        digest=sm3_hex(raw),
        raw=raw,
    )


def _only(node: dict, known: set[str], what: str, wrong) -> None:
    unknown = sorted(set(node) - known)
    if unknown:
        raise wrong(f"Unknown in {what}: {', '.join(unknown)}")


def _feed_mapping(name: str, node: dict[str, Any], wrong) -> FeedMapping:
    _only(node, _FEED, f"feed {name}", wrong)
    columns = node.get("columns") or {}
    absent = frozenset(node.get("absent") or ())
    feed = Feed(Feed.load(name).contract, absent)
    for column, entry in columns.items():
        _only(entry, _COLUMN, f"{name}.{column}", wrong)
        if column not in feed.names:
            raise wrong(f"Feed {name} has no column {column}")
        if ("from" in entry) == ("constant" in entry):
            raise wrong(f"{name}.{column} needs exactly one of from and constant")
    lacking = [
        c.name for c in feed.columns if feed.is_required(c) and c.name not in columns
    ]
    if lacking:
        raise wrong(f"Feed {name} requires {', '.join(lacking)}: map them, or list them as absent")
    both = sorted(absent & set(columns))
    if both:
        raise wrong(f"{name}: {', '.join(both)} both mapped and absent")
    date_from = node.get("date_from")
    if date_from not in columns or feed.contract.column(date_from).type not in (
        "date", "timestamp",
    ):
        raise wrong(f"{name}: date_from must name a mapped date or time column")
    if node.get("format") not in ("parquet", "csv"):
        raise wrong(f"{name}: format is {node.get('format')!r}, not parquet or csv")
    return FeedMapping(
        feed=feed,
        files=str(node["files"]),
        format=str(node["format"]),
        encoding=str(node.get("encoding") or "utf-8"),
        delimiter=str(node.get("delimiter") or ","),
        date_from=str(date_from),
        columns=columns,
        ignored=tuple(node.get("ignored") or ()),
    )
