"""The network, validators, their messages and shares, and what is served to operators."""

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
        "storage",
        sa.Column("key_id", sa.LargeBinary(5), primary_key=True),
        sa.Column("is_rewritten", sa.Boolean, nullable=False),
    )
    op.create_table(
        "messages",
        sa.Column("id", row_id, primary_key=True),
        sa.Column("public_key", sa.LargeBinary(48), nullable=False),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("subject", sa.LargeBinary, nullable=False),
        sa.Column("is_current", sa.Boolean, nullable=False),
        sa.Column("was_current", sa.Boolean, nullable=False),
        sa.Column("status", sa.SmallInteger, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("claimed_by", sa.LargeBinary(16)),
        sa.Column("claimed_until", sa.BigInteger, nullable=False, server_default="0"),
        sa.UniqueConstraint("public_key", "kind", "subject", name="messages_place"),
    )
    op.create_index("messages_subject", "messages", ["kind", "subject"])
    op.create_index("messages_status", "messages", ["status", "revision"])
    op.create_index("messages_revision", "messages", ["revision"])
    op.create_table(
        "validators",
        sa.Column("public_key", sa.LargeBinary(48), primary_key=True),
        sa.Column("vault", sa.LargeBinary(20)),
        sa.Column("position", sa.Integer),
        sa.Column("asked_at", sa.BigInteger, nullable=False),
        sa.Column("handed_out_at", sa.BigInteger),
    )
    op.create_index("validators_vault", "validators", ["vault", "position"])
    op.create_table(
        "shares",
        sa.Column("message_id", row_id, sa.ForeignKey("messages.id"), primary_key=True),
        sa.Column("share_index", sa.LargeBinary(8), primary_key=True),
        sa.Column("signature", sa.LargeBinary, nullable=False),
        sa.Column("for_this_message", sa.Boolean, nullable=False),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("received_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "key_share_claims",
        sa.Column("public_key", sa.LargeBinary(48), primary_key=True),
        sa.Column("share_index", sa.LargeBinary(8), primary_key=True),
        sa.Column("key_shares", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "signatures",
        sa.Column("message_id", row_id, sa.ForeignKey("messages.id"), primary_key=True),
        sa.Column("signature", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "oracle_shares",
        sa.Column("id", row_id, primary_key=True),
        sa.Column("message_id", row_id, sa.ForeignKey("messages.id"), nullable=False),
        sa.Column("config_digest", sa.LargeBinary(32), nullable=False),
        sa.Column("public_key_shares", sa.LargeBinary, nullable=False),
        sa.Column("encrypted_signatures", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("handed_out_at", sa.BigInteger),
        sa.UniqueConstraint("message_id", "config_digest", name="oracle_shares_place"),
    )
    op.create_table(
        "forgotten",
        sa.Column("public_key", sa.LargeBinary(48), primary_key=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "checkpoints",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
    )
    op.create_table(
        "registered_keys",
        sa.Column("public_key", sa.LargeBinary(48), primary_key=True),
        sa.Column("block_number", sa.BigInteger),
    )
