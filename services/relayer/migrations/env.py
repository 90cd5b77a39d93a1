"""Alembic's entry: migrate the connection that store/database.py opened."""

from __future__ import annotations

from alembic import context

from dvtfast.services.relayer.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
