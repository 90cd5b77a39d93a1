"""The network, exits, their shares, and what is served to operators."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    row_id = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table("made_for", sa.Column("network", sa.String(32), primary_key=True))
    op.create_table(
        "exits",
        sa.Column("id", row_id, primary_key=True),
        sa.Column("public_key", sa.LargeBinary(48), nullable=False),
        sa.Column("validator_index", sa.LargeBinary(8), nullable=False),
        sa.Column("status", sa.SmallInteger, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("public_key", "validator_index", name="exits_place"),
    )
    op.create_index("exits_validator_index", "exits", ["validator_index"])
    op.create_index("exits_status", "exits", ["status", "revision"])
    op.create_index("exits_revision", "exits", ["revision"])
    op.create_table(
        "validators",
        sa.Column("public_key", sa.LargeBinary(48), primary_key=True),
        sa.Column("exit_id", row_id, sa.ForeignKey("exits.id"), nullable=False),
    )
    op.create_index("validators_exit_id", "validators", ["exit_id"])
    op.create_table(
        "shares",
        sa.Column("exit_id", row_id, sa.ForeignKey("exits.id"), primary_key=True),
        sa.Column("share_index", sa.LargeBinary(8), primary_key=True),
        sa.Column("signature", sa.LargeBinary(96), nullable=False),
        sa.Column("for_this_exit", sa.Boolean, nullable=False),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("received_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "oracle_shares",
        sa.Column("exit_id", row_id, sa.ForeignKey("exits.id"), primary_key=True),
        sa.Column("public_key_shares", sa.LargeBinary, nullable=False),
        sa.Column("encrypted_signatures", sa.LargeBinary, nullable=False),
        sa.Column("config_digest", sa.LargeBinary(32), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
