"""The first schema: tables command, journal, leg, payment, dispute. Where migrations begin."""

from __future__ import annotations

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Nothing: ledgers of this schema were made before there were migrations."""
