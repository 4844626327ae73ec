"""Sealed values by commitment and key, so that they can be sealed anew with another key.

What is there was sealed with the first key. A database that revision 0002 has just made out of the
first schema has today's tables already.
"""

from __future__ import annotations

from alembic import context, op

from ledger.adapters.migrations.versions.rev_0002 import split
from ledger.adapters.schema import POSTGRES_RESEALED, RESEALED

revision = "0003"
down_revision = "0002"

_SQLITE = """
drop trigger secret_no_update;
drop trigger secret_no_delete;
alter table secret rename to old_secret;
create table secret (
    commitment text not null,
    sealed blob not null,
    key_number integer not null,
    primary key (commitment, key_number)
) without rowid;
insert into secret select commitment, sealed, 1 from old_secret;
drop table old_secret;
""" + RESEALED + """
pragma user_version = 3;
"""

_POSTGRES = """
drop trigger secret_append_only on secret;
alter table secret add column key_number bigint not null default 1;
alter table secret alter column key_number drop default;
alter table secret drop constraint secret_pkey;
alter table secret add primary key (commitment, key_number);
update meta set value = '3' where name = 'schema';
""" + POSTGRES_RESEALED


def upgrade() -> None:
    """Add the key's number."""
    if context.is_offline_mode():  # PostgreSQL: written as text
        op.execute(_POSTGRES)
        return
    sqlite = op.get_bind().connection.driver_connection
    assert sqlite is not None
    columns = [row[1] for row in sqlite.execute("pragma table_info(secret)")]
    if "key_number" not in columns:
        for statement in split(_SQLITE):
            sqlite.execute(statement)
