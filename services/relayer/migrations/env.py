"""Alembic's entry: migrate the connection that store/engine/database.py opened."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
