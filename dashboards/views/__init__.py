"""Presentation views: what each dataset of the dashboards reads, as plain SQL over gold tables.

Each released serving file holds views named as the gold tables; these definitions come on top of
them. They hold the row scope (closed unless the connection opens it), texts in both languages, and
links from one screen to the next. Nothing here needs Superset, and nothing runs a query.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dashboards.views import operations, overview, required, settlement
from dashboards.views.expressions import LANGUAGES

Definition = tuple[str, str]


def _with_fallbacks(
    needed: Mapping[str, dict[str, str]], tables: Mapping[str, Iterable[str]]
) -> list[Definition]:
    return [
        (name, required.empty(columns)) for name, columns in needed.items() if name not in tables
    ]


def view_definitions(tables: Mapping[str, Iterable[str]]) -> list[Definition]:
    """Views to create in a release's serving file, in order, after its base views.

    :param tables: base views present in the file (gold tables, and `release` with `release_id`,
        `sequence`, `through`), each with its columns. A table that is not there (a home whose
        feeds lack it, or nothing released) is defined here without rows, so that its screens
        say "—" and why.
    """
    definitions = _with_fallbacks({**required.GOLD, **required.RELEASE}, tables)
    for language in LANGUAGES:
        for module in (overview, settlement):
            definitions += [
                (f"{name}_{language}", sql) for name, sql in module.definitions(language).items()
            ]
    return definitions


def ops_view_definitions(tables: Mapping[str, Iterable[str]]) -> list[Definition]:
    """The same for the file of ``ops`` views, which is read at latest."""
    definitions = _with_fallbacks(required.ops(), tables)
    for language in LANGUAGES:
        definitions += [
            (f"{name}_{language}", sql) for name, sql in operations.definitions(language).items()
        ]
    return definitions
