"""What the validators manager signed and refused."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from dvtfast.services.relayer.store.manager_journal import APPEND_ONLY

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table, and let the database keep it append-only."""
    op.create_table(
        "manager_journal",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("vault", sa.LargeBinary(20), nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("amount_gwei", sa.String(40), nullable=False),
        sa.Column("exits", sa.Integer, nullable=False),
        sa.Column("digest", sa.LargeBinary(32)),
        sa.Column("validators", sa.LargeBinary, nullable=False),
        sa.Column("root_or_nonce", sa.LargeBinary(32)),
        sa.Column("signature", sa.LargeBinary(65)),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_index("manager_journal_spent", "manager_journal", ["action", "at"])
    op.create_index("manager_journal_digest", "manager_journal", ["digest"])
    for statement in APPEND_ONLY[op.get_bind().dialect.name]:
        op.execute(statement)
