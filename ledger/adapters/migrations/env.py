"""Alembic's environment: migrations run on the connection that `migrate` opened, or are written as
text for a database of another kind."""

from __future__ import annotations

from alembic import context

if context.is_offline_mode():  # whoever runs the text has a transaction of its own
    context.configure(
        dialect_name=context.config.attributes["dialect"], transactional_ddl=False,
        literal_binds=True,
    )
else:
    context.configure(
        connection=context.config.attributes["connection"], transaction_per_migration=True
    )
with context.begin_transaction():
    context.run_migrations()
