"""Whose home this is: one institution each, and that never changes.

`home.json` is written by the first command that loads something. A simulated home names the
parameters of its world; a mapped one the mapping of the files that others wrote.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from paylake import contracts
from paylake.durable import write_private
from paylake.errors import PermanentFailure
from paylake.settings import Settings


@dataclass(frozen=True)
class Home:
    """:param kind: `simulated` or `mapped`.
    :param institution: what tells one institution from another: the parameters of the simulated
        world, or the mapping's name.
    :param absent_feeds: feeds that this institution does not send; checks that need one are "not
        determinable" instead of failing. What comes with an absent feed is absent as well, and in
        a mapped home what comes with another feed and is not mapped, also where the file is older
        than that feed's contract.
    :param cutoff: wall-clock cut-off of business dates, when it is not the setting's.
    """

    kind: str
    institution: dict[str, Any]
    absent_feeds: tuple[str, ...] = ()
    cutoff: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)


def exists(settings: Settings) -> bool:
    return settings.path("home.json").is_file()


def read(settings: Settings) -> Home:
    """:raises PermanentFailure: when nothing was ever loaded here, or the file is damaged."""
    path = settings.path("home.json")
    try:
        data = json.loads(path.read_text("utf-8"))
        return Home(
            kind=data["kind"],
            institution=data["institution"],
            absent_feeds=_absent(data),
            cutoff=data.get("cutoff"),
            extra=data.get("extra", {}),
        )
    except FileNotFoundError:
        raise PermanentFailure(
            "There is no home here yet",
            "Run `make run`, or set PAYLAKE_HOME to an existing one.",
            where=str(settings.home),
        ) from None
    except (ValueError, KeyError) as error:
        raise PermanentFailure(
            f"home.json cannot be read: {error!r}", "Restore it from a backup.", where=str(path)
        ) from None


def _absent(data: Mapping[str, Any]) -> tuple[str, ...]:
    """The feeds that the file names, and what comes with them or with a feed that is mapped."""
    named = tuple(data.get("absent_feeds", ()))
    mapped = data.get("extra", {}).get("relaxed", {}) if data["kind"] == "mapped" else None
    along = [
        c.name for c in contracts.all_contracts("feed")
        if c.get("comesWith") in named
        or (c.get("comesWith") and mapped is not None and c.name not in mapped)
    ]
    return (*named, *(name for name in along if name not in named))


def claim(settings: Settings, home: Home) -> None:
    """Make this the home of an institution, or check that it is already.

    :raises PermanentFailure: when it holds another institution.
    """
    if not exists(settings):
        settings.home.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(home), indent=2, ensure_ascii=False)
        write_private(settings.path("home.json"), text.encode())
        return
    found = read(settings)
    if (found.kind, found.institution) != (home.kind, home.institution):
        raise PermanentFailure(
            f"This home holds another institution: {found.kind} {found.institution}, "
            f"not {home.kind} {home.institution}",
            "Use another PAYLAKE_HOME, or remove this one with `make clean`.",
            where=str(settings.home),
        )
