"""How often validators moved, who moved them, and for which vault they are rotated."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table and the columns."""
    op.create_table(
        "movers",
        sa.Column("asked_by", sa.String(8), primary_key=True),
        sa.Column("until", sa.BigInteger, nullable=False),
    )
    op.add_column("validators", sa.Column("rotated_for", sa.LargeBinary(20)))
    op.add_column("validators", sa.Column("moves_until", sa.BigInteger))
