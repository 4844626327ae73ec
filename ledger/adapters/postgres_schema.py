"""Which schema a PostgreSQL database has, by Alembic's own table.

Alembic writes its statements as text here (its offline mode) and asyncpg runs them: a driver of
SQLAlchemy for PostgreSQL is not needed. So a revision for PostgreSQL gives statements and reads no
rows.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ledger.adapters.schema import REVISIONS, SCHEMA_VERSION
from paylake.errors import PermanentFailure

SCRIPTS = Path(__file__).parent / "migrations"
HEAD = REVISIONS[SCHEMA_VERSION]


def stamp_statements(revision: str = HEAD) -> str:
    """What marks a database that has the tables of a revision as such."""
    return _statements(lambda command, config: command.stamp(config, revision, sql=True))


def upgrade_statements(revision: str) -> str:
    """What brings a database from a revision to today's."""
    return _statements(
        lambda command, config: command.upgrade(config, f"{revision}:head", sql=True)
    )


def _statements(run: Callable[[Any, Any], None]) -> str:
    from alembic import command  # slow to import, and seldom needed
    from alembic.config import Config

    text = io.StringIO()
    config = Config(output_buffer=text)
    config.set_main_option("script_location", str(SCRIPTS))
    config.attributes["dialect"] = "postgresql"
    run(command, config)
    return text.getvalue()


def check(revision: str, where: str) -> None:
    """Refuse a database that this program does not write.

    :raises PermanentFailure: naming the revision
    """
    if revision == HEAD:
        return
    if revision in REVISIONS.values():
        raise PermanentFailure(
            f"the ledger's database has schema {revision}, this program writes {HEAD}",
            "migrate it with `python -m ledger migrate`", where=where,
        )
    raise PermanentFailure(
        f"the ledger's database has schema {revision}, which this program does not know; it "
        f"writes {HEAD}", "use the program version that made it", where=where,
    )
